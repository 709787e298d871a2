"""A parameter given twice is refused: two readings of it are how a value gets past a check."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def anchor() -> RegisteredAnchor:
    return make_sending_anchor()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/auth", "account"),
        ("/auth", "client_domain"),
        ("/sep12/customer", "id"),
        ("/sep12/customer/files", "file_id"),
        ("/sep31/transactions", "limit"),
        ("/sep31/events", "after"),
        ("/sep38/prices", "sell_asset"),
        ("/sep38/price", "sell_amount"),
    ],
)
def test_in_a_query(anchor: RegisteredAnchor, path: str, name: str) -> None:
    headers = anchor.headers() if path != "/auth" else {}
    answer = Client().get(f"{path}?{name}=1&{name}=2", headers=headers)
    assert (answer.status_code, answer.json()) == (400, {"error": f"{name} must be given once"})


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [("post", "/auth", "transaction"), ("put", "/sep12/customer", "first_name")],
)
def test_in_a_form(anchor: RegisteredAnchor, method: str, path: str, name: str) -> None:
    headers = anchor.headers() if path != "/auth" else {}
    answer = getattr(Client(), method)(path, f"{name}=1&{name}=2", FORM, headers=headers)
    assert (answer.status_code, answer.json()) == (400, {"error": f"{name} must be given once"})
