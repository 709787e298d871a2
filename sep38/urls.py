from django.urls import URLPattern, URLResolver, path

from sep38 import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("info", views.InfoView.as_view()),
    path("prices", views.PricesView.as_view()),
    path("price", views.PriceView.as_view()),
    path("quote", views.QuotesView.as_view()),
    path("quote/<str:quote_id>", views.QuoteView.as_view()),
]
