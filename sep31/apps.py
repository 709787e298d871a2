from django.apps import AppConfig


class Sep31Config(AppConfig):
    name = "sep31"
    default_auto_field = "django.db.models.BigAutoField"
