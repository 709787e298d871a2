"""A sending anchor, the pairs of anchor.toml and a rate for each."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from kernel.assets import parse_asset_name
from sep38 import pairs, sources
from sep38.services import set_rate
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor

USDC = f"stellar:USDC:{settings.ANCHOR['assets'][0]['issuer']}"
MXN = "iso4217:MXN"
USD = "iso4217:USD"


@pytest.fixture(autouse=True)
def _fresh_configuration():
    pairs.all_pairs.cache_clear()
    sources.all_sources.cache_clear()
    yield
    pairs.all_pairs.cache_clear()
    sources.all_sources.cache_clear()


@pytest.fixture
def configure(settings: Any):
    """Changes the pair USDC -> MXN, and what else the anchor's configuration has.

    A key that is set to None is taken away.
    """

    def change(pair: dict[str, Any] | None = None, **tables: Any) -> None:
        entries = [
            {**entry, **(pair or {})} if entry["buy"] == MXN else entry
            for entry in settings.ANCHOR["pairs"]
        ]
        kept = [
            {key: value for key, value in entry.items() if value is not None} for entry in entries
        ]
        settings.ANCHOR = {**settings.ANCHOR, "pairs": kept, **tables}
        pairs.all_pairs.cache_clear()
        sources.all_sources.cache_clear()

    return change


@pytest.fixture
def anchor(db: None) -> RegisteredAnchor:
    return make_sending_anchor()


@pytest.fixture
def rates(db: None) -> None:
    set_rate(parse_asset_name(USDC), parse_asset_name(MXN), "17.05")
    set_rate(parse_asset_name(USDC), parse_asset_name(USD), "1")


@pytest.fixture
def quote_body() -> dict[str, Any]:
    return {
        "sell_asset": USDC,
        "buy_asset": MXN,
        "sell_amount": "100",
        "buy_delivery_method": "bank_account",
        "country_code": "MX",
        "context": "sep31",
    }


@pytest.fixture
def post_quote(client: Client, anchor: RegisteredAnchor):
    def post(body: Any, **headers: str) -> Any:
        return client.post(
            "/sep38/quote",
            body,
            content_type="application/json",
            headers={**anchor.headers(), **headers},
        )

    return post
