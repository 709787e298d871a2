"""`manage.py set_rate SELL BUY RATE`: put a new rate in force."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kernel.assets import parse_asset_name
from kernel.errors import BadRequest
from sep38.services import set_rate


class Command(BaseCommand):
    help = "Put a new rate of a pair in force: units of BUY for one of SELL, before the spread."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sell", help="for example stellar:USDC:G...")
        parser.add_argument("buy", help="for example iso4217:MXN")
        parser.add_argument("rate", help="for example 17.05")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sell, buy = parse_asset_name(options["sell"]), parse_asset_name(options["buy"])
            rate = set_rate(sell, buy, options["rate"])
        except (ValueError, BadRequest) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(rate))
