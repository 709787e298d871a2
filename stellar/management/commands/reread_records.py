"""`manage.py reread_records`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stellar.sources import HorizonSource, SourceUnavailable
from stellar.watcher import reread_records


class Command(BaseCommand):
    help = (
        "Tries again to read the payment records that the watcher could not read, for example "
        "after an upgrade. Those that can be read now become received payments."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with HorizonSource() as source:
                read, remain = reread_records(source)
        except SourceUnavailable as error:
            raise CommandError(f"Horizon did not answer ({error}); run this again") from error
        self.stdout.write(f"{read} read, {remain} still unreadable")
