from django.apps import AppConfig


class Sep12Config(AppConfig):
    name = "sep12"
    verbose_name = "Customers"
    default_auto_field = "django.db.models.BigAutoField"
