"""What every room's tests share. A room's own fixtures stand beside its tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from hypothesis import settings

# A busy machine is not a defect: examples are limited by their number, never by their time.
settings.register_profile("landfall", deadline=None)
settings.load_profile("landfall")


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """What one test left in Django's cache is not there for the next."""
    yield
    cache.clear()
