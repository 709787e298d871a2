from django.apps import AppConfig


class Sep38Config(AppConfig):
    name = "sep38"
    default_auto_field = "django.db.models.BigAutoField"
