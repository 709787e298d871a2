from django.apps import AppConfig


class StellarConfig(AppConfig):
    name = "stellar"
    verbose_name = "Stellar"
    default_auto_field = "django.db.models.BigAutoField"
