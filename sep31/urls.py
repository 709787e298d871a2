from django.urls import path

from sep31 import views

urlpatterns = [
    path("info", views.InfoView.as_view()),
    path("transactions", views.TransactionsView.as_view()),
    path("transactions/<str:transaction_id>", views.TransactionView.as_view()),
    path("transactions/<str:transaction_id>/callback", views.CallbackView.as_view()),
    path("transactions/<str:transaction_id>/cancel", views.CancelView.as_view()),
    path("events", views.EventsView.as_view()),
]
