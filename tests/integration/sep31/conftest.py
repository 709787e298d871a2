"""Two sending anchors, and rates, for the tests of transactions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sep38.models import Rate
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.transactions import usdc


@pytest.fixture
def anchor(db) -> RegisteredAnchor:
    return make_sending_anchor("NairaPay")


@pytest.fixture
def stranger(db) -> RegisteredAnchor:
    return make_sending_anchor("Somebody Else")


@pytest.fixture
def rate(db) -> Rate:
    return Rate.objects.create(
        sell_asset=usdc(), buy_asset="iso4217:MXN", rate=Decimal("17.5"), source="test"
    )
