from django.apps import AppConfig


class Sep10Config(AppConfig):
    name = "sep10"
    default_auto_field = "django.db.models.BigAutoField"
