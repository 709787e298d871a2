"""A sending anchor, and what it calls. SEP-12 is held against the shipped anchor.toml, unless a
test says what its anchor asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sep12.types import customer_types
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.kyc import Api


@pytest.fixture
def anchor(db: None) -> RegisteredAnchor:
    return make_sending_anchor()


@pytest.fixture
def api(anchor: RegisteredAnchor) -> Api:
    return Api(anchor.headers())


@pytest.fixture
def configure(settings: Any) -> Iterator[Callable[..., None]]:
    """`configure(customer_types={...})`: other tables of anchor.toml for this test."""

    def configure(**tables: Any) -> None:
        settings.ANCHOR = {**settings.ANCHOR, **tables}
        customer_types.cache_clear()

    yield configure
    customer_types.cache_clear()
