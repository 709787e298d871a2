from django.apps import AppConfig


class AnchorConfig(AppConfig):
    name = "anchor"

    def ready(self) -> None:
        from anchor import checks, screening_checks, wiring  # noqa: F401  registers checks and listeners
