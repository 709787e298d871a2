"""`manage.py reconcile`: the books per asset, held against the ledger."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from kernel.assets import parse_asset_name
from kernel.money import format_amount
from sep1.assets import received_assets
from sep31.reconcile import Balance, balance_books
from stellar.sources import HorizonSource


class Command(BaseCommand):
    help = (
        "Prove that received = paid out + fees + refunded + held, per asset, and that the ledger "
        "holds what the books say. Exits with 1 if not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON instead of a table.")
        parser.add_argument(
            "--offline", action="store_true", help="The books only, without asking the network."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            books = balance_books()
        ledger = {} if options["offline"] else _read_ledger()
        rows = [_describe(balance, ledger) for balance in books]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            for row in rows:
                self.stdout.write("  ".join(f"{key}: {_write(row[key])}" for key in row))
        if wrong := [row["asset"] for row in rows if not row["balanced"]]:
            raise CommandError(f"The books do not balance for {', '.join(map(str, wrong))}")


def _read_ledger() -> dict[str, Decimal]:
    """What our account holds on the ledger, by SEP-38 name."""
    with HorizonSource() as source:
        balances = source.fetch_account(settings.DISTRIBUTION_ACCOUNT).balances
    return {str(asset): amount for asset, amount in balances.items()}


def _write(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{amount} {asset}" for asset, amount in value.items()) or "none"
    return value


def _describe(balance: Balance, ledger: dict[str, Decimal]) -> dict[str, object]:
    row: dict[str, object] = {
        "asset": balance.asset,
        "received": format_amount(balance.received),
        "paid_out": format_amount(balance.paid_out),
        "fees": format_amount(balance.fees),
        "refunded": format_amount(balance.refunded),
        "held": format_amount(balance.held),
        "fees_after_conversion": {
            asset: format_amount(amount) for asset, amount in balance.fees_after_conversion.items()
        },
        "balanced": balance.difference == 0,
    }
    on_ledger = ledger.get(balance.asset)
    # XLM also pays network fees and reserves, so only assets that we receive are compared.
    if on_ledger is not None and parse_asset_name(balance.asset) in received_assets():
        expected = balance.received - balance.refunded
        row["on_ledger"] = format_amount(on_ledger)
        # Positive: our treasury moved it elsewhere (redeemed it). Negative: it came in unwatched.
        row["moved_elsewhere"] = format_amount(expected - on_ledger)
    return row
