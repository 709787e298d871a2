"""`manage.py reseal_personal_data [--batch-size N] [--check]`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kernel.resealing import count_by_key, reseal_column, sealed_fields
from kernel.sealed import SealedBytesField, key_ids

_MAX_NAMED = 20


class Command(BaseCommand):
    help = (
        "Encrypt personal data anew that is not under the newest of SEALING_KEYS. It can be "
        "stopped at any time and run again, beside everything else. Fails while any value is left "
        "under another key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch-size", type=int, default=500, help="rows per transaction")
        parser.add_argument(
            "--check", action="store_true", help="only count the values under each key"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch_size"] < 1:
            raise CommandError("--batch-size must be at least 1")
        fields = sealed_fields()
        if not options["check"]:
            for field in fields:
                self._reseal(field, options["batch_size"])
        if left := sum(self._count(field) for field in fields):
            raise CommandError(
                f"{left} values are not under the newest key. Those under an older one can be "
                "resealed: run this again without --check, and restart every process that still "
                "runs with the former SEALING_KEYS. Those under an unknown key need that key back "
                "in SEALING_KEYS. Do not remove a key that has values."
            )
        self.stdout.write("Every value is under the newest key; the others may go.")

    def _reseal(self, field: SealedBytesField, batch_size: int) -> None:
        done, unopened = 0, set()
        for batch in reseal_column(field, batch_size=batch_size):
            done += batch.resealed
            self.stdout.write(f"{_name(field)}: {done} resealed")
            self.stdout.flush()
            unopened.update(batch.unopened)
        if unopened:
            named = ", ".join(map(str, sorted(unopened)[:_MAX_NAMED]))
            self.stderr.write(
                f"{_name(field)}: {len(unopened)} values do not open with their key; they were "
                f"changed, or are another column's. Rows: {named}"
                f"{', ...' if len(unopened) > _MAX_NAMED else ''}"
            )

    def _count(self, field: SealedBytesField) -> int:
        """Say how many values are under each key; the number of those not under the newest."""
        newest, *older = key_ids()
        counted = count_by_key(field)
        for key_id, count in counted.items():
            kind = "newest" if key_id == newest else "older" if key_id in older else "unknown"
            self.stdout.write(f"{_name(field)}: {count} under key {key_id.hex()} ({kind})")
        return sum(counted.values()) - counted.get(newest, 0)


def _name(field: SealedBytesField) -> str:
    return f"{field.model._meta.label_lower}.{field.name}"
