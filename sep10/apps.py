from django.apps import AppConfig


class Sep10Config(AppConfig):
    name = "sep10"
    verbose_name = "Sending anchors"
    default_auto_field = "django.db.models.BigAutoField"
