from django.urls import URLPattern, URLResolver, path

from sep10.views import AuthView

urlpatterns: list[URLPattern | URLResolver] = [path("auth", AuthView.as_view())]
