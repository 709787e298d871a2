from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from django.utils import timezone

from kernel.assets import parse_asset_name
from payouts import services
from payouts.models import Payout
from tests.fixtures.bank import running_bank

MXN = parse_asset_name("iso4217:MXN")


@pytest.fixture(scope="package")
def bank_process(tmp_path_factory):
    with running_bank(tmp_path_factory.mktemp("bank"), hang_seconds=3.0) as running:
        yield running


@pytest.fixture
def bank(bank_process, settings):
    """A running sandbox bank, and settings that lead to it."""
    settings.BANK_URL = bank_process.url
    settings.BANK_API_KEY = bank_process.api_key
    settings.BANK_TIMEOUT_SECONDS = 1.0
    settings.PAYOUT_MAX_TRIES = 4
    return bank_process


def make_details(account_number="9876543210", **changes):
    return {
        "first_name": "Ana",
        "last_name": "Luna",
        "bank_account_number": account_number,
        "bank_number": "002",
    } | changes


def make_payout(account_number="9876543210", **changes) -> Payout:
    wanted = {
        "reference": uuid.uuid4().hex,
        "asset": MXN,
        "amount": Decimal("1700.50"),
        "method": "bank_account",
        "details": make_details(account_number),
    } | changes
    return services.create_payout(**wanted)


def let_time_pass(payout: Payout) -> None:
    """As if the back-off, or a dead worker's claim, had run out."""
    still_open = Payout.objects.filter(pk=payout.pk, next_try_at__isnull=False)
    still_open.update(next_try_at=timezone.now())


def take_to_rail(payout: Payout, times: int = 1) -> Payout:
    for _ in range(times):
        let_time_pass(payout)
        services.send_payout(payout.pk)
    payout.refresh_from_db()
    return payout
