from django.apps import AppConfig


class AnchorConfig(AppConfig):
    name = "anchor"

    def ready(self) -> None:
        # They register checks and listeners.
        from anchor import (  # noqa: F401
            authentication_checks,
            checks,
            kyc_checks,
            rate_checks,
            screening_checks,
            wiring,
        )
