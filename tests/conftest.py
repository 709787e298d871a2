"""What every room's tests share. A room's own fixtures stand beside its tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# A busy machine is not a defect: examples are limited by their number, never by their time. Nor is
# a run of values that a test does not speak of: it goes on until it has enough of the others.
hypothesis_settings.register_profile(
    "landfall",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
hypothesis_settings.load_profile("landfall")


# Stellar accounts and secrets have 56 characters, UUIDs 36, signatures more.
SHORTEST_RANDOM = 36


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Keys and ids that are made up anew in each process can't name a test: the processes that
    share the tests among them (bin/test) must know each by one name."""
    return argname if isinstance(val, str) and len(val) >= SHORTEST_RANDOM else None


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """What one test left in Django's cache is not there for the next."""
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _unlimited_requests(settings: Any) -> None:
    """Tests ask more often than anybody should; those of the limits set their own."""
    settings.AUTH_ADDRESS_LIMIT = settings.AUTH_ACCOUNT_LIMIT = 0
