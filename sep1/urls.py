from django.urls import URLPattern, URLResolver, path

from sep1.views import StellarTomlView

urlpatterns: list[URLPattern | URLResolver] = [
    path(".well-known/stellar.toml", StellarTomlView.as_view())
]
