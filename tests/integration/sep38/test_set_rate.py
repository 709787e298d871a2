"""`manage.py set_rate SELL BUY RATE`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from sep38.models import Rate
from tests.integration.sep38.conftest import MXN, USDC

pytestmark = pytest.mark.django_db


def test_a_rate_is_added_and_the_old_one_stays(rates, capsys):
    call_command("set_rate", USDC, MXN, "17.123456789012")
    assert "17.123456789012" in capsys.readouterr().out
    assert Rate.objects.filter(buy_asset=MXN).count() == 2
    assert Rate.objects.latest("pk").rate == Decimal("17.123456789012")


@pytest.mark.parametrize(
    "arguments",
    [
        (USDC, MXN, "0"),
        (USDC, MXN, "-1"),
        (USDC, MXN, "NaN"),
        (USDC, MXN, "1e3"),
        (USDC, MXN, "17,05"),
        (USDC, MXN, "1.0000000000001"),
        (MXN, USDC, "0.05"),
        (USDC, "iso4217:EUR", "1"),
        ("USDC", MXN, "17"),
    ],
)
def test_what_is_no_rate_of_a_pair_is_refused_in_words(rates, arguments):
    before = Rate.objects.count()
    with pytest.raises(CommandError):
        call_command("set_rate", "--", *arguments)
    assert Rate.objects.count() == before
