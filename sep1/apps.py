from django.apps import AppConfig


class Sep1Config(AppConfig):
    name = "sep1"
    default_auto_field = "django.db.models.BigAutoField"
