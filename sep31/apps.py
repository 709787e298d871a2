from django.apps import AppConfig


class Sep31Config(AppConfig):
    name = "sep31"
    verbose_name = "Transactions"
    default_auto_field = "django.db.models.BigAutoField"
