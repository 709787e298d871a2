"""`manage.py start_watching`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stellar.sources import HorizonSource, Ledger, SourceUnavailable
from stellar.watcher import start_cursor

_MAX_TOKEN = 2**63


class Command(BaseCommand):
    help = (
        "Sets where watching the distribution account begins. Not needed for a new account: "
        "without a cursor the watcher begins with the account's first payment. For an account "
        "with a long history, --cursor now skips what came before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--cursor",
            required=True,
            help='"now", "0" (the whole history), or the paging token of the last payment that '
            "needs no reading",
        )
        parser.add_argument(
            "--move",
            action="store_true",
            help="move an existing cursor; forward it skips payments, backward it reads them "
            "again, which credits none of them twice",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        token, passed = self._find_start(options["cursor"])
        try:
            cursor = start_cursor(
                settings.DISTRIBUTION_ACCOUNT, token, passed, move=options["move"]
            )
        except ValueError as error:
            raise CommandError(f"{error}; to move its cursor, add --move") from error
        self.stdout.write(f"{cursor.account} will be watched from {cursor.paging_token} on")

    def _find_start(self, text: str) -> tuple[int, Ledger | None]:
        if text == "now":
            try:
                with HorizonSource() as source:
                    latest = source.fetch_network().latest
            except SourceUnavailable as error:
                raise CommandError(f"Horizon did not answer ({error})") from error
            # The last place that the ledger has room for (SEP-35).
            return (latest.sequence << 32) + 2**32 - 1, latest
        if text.isascii() and text.isdigit() and int(text) < _MAX_TOKEN:
            return int(text), None
        raise CommandError('--cursor must be "now", "0" or a paging token')
