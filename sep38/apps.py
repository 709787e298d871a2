from django.apps import AppConfig


class Sep38Config(AppConfig):
    name = "sep38"
    verbose_name = "Rates and quotes"
    default_auto_field = "django.db.models.BigAutoField"
