"""SEP-12's paths, under /sep12/."""

from django.urls import path

from sep12 import file_views, views

urlpatterns = [
    path("customer", views.CustomerView.as_view()),
    path("customer/verification", views.VerificationView.as_view()),
    path("customer/callback", views.CallbackView.as_view()),
    path("customer/files", file_views.FilesView.as_view()),
    path("customer/<str:account>", views.CustomerAccountView.as_view()),
]
