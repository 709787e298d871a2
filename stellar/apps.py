from django.apps import AppConfig


class StellarConfig(AppConfig):
    name = "stellar"
    default_auto_field = "django.db.models.BigAutoField"
