"""A customer belongs to the account that registered it; for all others there is none."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from sep12 import finding, services
from sep12.models import Customer
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor
from tests.integration.sep12.conftest import Api, Transactions

URL = "https://callback.example.com/kyc"

ATTEMPTS: dict[str, Callable[[Api, str, str], Any]] = {
    "get": lambda api, who, account: api.get(id=who),
    "get with type": lambda api, who, account: api.get(id=who, type="sender"),
    "get by transaction": lambda api, who, account: api.get(transaction_id="t1", type="sender"),
    "get with a foreign transaction": lambda api, who, account: api.get(
        id=who, transaction_id="t1", type="sender"
    ),
    "put": lambda api, who, account: api.put(id=who, first_name="Mallory"),
    "put by transaction": lambda api, who, account: api.put(
        transaction_id="t1", type="sender", first_name="Mallory"
    ),
    "attach": lambda api, who, account: api.put(
        id=who, transaction_id="t1", type="sender", first_name="Mallory"
    ),
    "verification": lambda api, who, account: api.put(
        "/verification", id=who, first_name_verification="1"
    ),
    "callback": lambda api, who, account: api.put("/callback", id=who, url=URL),
    "delete by id": lambda api, who, account: api.delete(account, id=who),
    "delete": lambda api, who, account: api.delete(account),
    "delete with memo": lambda api, who, account: api.delete(account, memo="7"),
}


@pytest.fixture
def owned(anchor: RegisteredAnchor) -> str:
    """A customer with memo 7 that stands in transaction t1."""
    Transactions.owners["t1"] = anchor.account
    return Api(anchor.headers()).register(
        memo="7", transaction_id="t1", type="sender", first_name="Ana", last_name="Paz"
    )


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=list(ATTEMPTS))
def test_for_another_sending_anchor_there_is_no_such_customer(
    attempt: Callable[[Api, str, str], Any], anchor: RegisteredAnchor, owned: str
) -> None:
    stranger = make_sending_anchor()
    response = attempt(Api(stranger.headers()), owned, anchor.account)
    assert response.status_code == 404
    assert response.json()["error"]
    assert owned not in response.content.decode()
    _assert_untouched(owned)


@pytest.mark.parametrize("name", ["get", "put", "verification", "callback"])
@pytest.mark.parametrize("token", [{"memo": "8"}, {"muxed_id": 8}])
def test_for_another_user_of_the_same_account_there_is_no_such_customer(
    name: str, token: dict[str, Any], anchor: RegisteredAnchor, owned: str
) -> None:
    other = Api({"Authorization": bearer_for(anchor.account, **token)})
    assert ATTEMPTS[name](other, owned, anchor.account).status_code == 404
    assert other.delete(anchor.account, memo="7").status_code == 404
    assert other.delete(anchor.account).status_code == 404
    assert other.get(memo="7").status_code == 403
    assert other.put(memo="7", first_name="Mallory").status_code == 403
    assert other.put("/callback", memo="7", url=URL).status_code == 403
    _assert_untouched(owned)


@pytest.mark.parametrize("token", [{}, {"memo": "7"}, {"muxed_id": 7}])
def test_the_account_and_its_own_user_reach_the_customer(
    token: dict[str, Any], anchor: RegisteredAnchor, owned: str
) -> None:
    own = Api({"Authorization": bearer_for(anchor.account, **token)})
    assert own.get(id=owned).json()["id"] == owned
    assert own.get(memo="7", account=anchor.account).json()["id"] == owned
    assert own.register(id=owned, last_name="Quispe") == owned


def test_the_answer_for_anothers_customer_is_that_for_none(
    anchor: RegisteredAnchor, owned: str
) -> None:
    stranger = Api(make_sending_anchor().headers())
    assert stranger.get(id=owned).content == stranger.get(id=str(uuid.uuid4())).content


def test_an_account_that_is_not_the_tokens_is_refused(api: Api, owned: str) -> None:
    other = make_sending_anchor().account
    for response in (api.get(account=other), api.put(account=other, first_name="Ana")):
        assert response.status_code == 403
        assert "account" in response.json()["error"]


def test_other_rooms_get_only_the_callers_customers(anchor: RegisteredAnchor, owned: str) -> None:
    pk = uuid.UUID(owned)
    for caller in (anchor.caller(), anchor.caller("7"), anchor.caller("8")):
        assert list(finding.read_owned_dossiers(caller, [pk, uuid.uuid4()])) == [pk]
    assert finding.read_owned_dossiers(make_sending_anchor().caller(), [pk]) == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "customer"),
        ("put", "customer"),
        ("put", "customer/verification"),
        ("put", "customer/callback"),
        ("delete", "customer/GABC"),
        ("get", "customer/files"),
        ("post", "customer/files"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no.such.token"}])
def test_without_a_valid_token_everything_is_a_401(
    db: None, client: Any, method: str, path: str, headers: dict[str, str]
) -> None:
    response = getattr(client, method)(f"/sep12/{path}", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]


def _assert_untouched(customer_id: str) -> None:
    owner = uuid.UUID(customer_id)
    customer = Customer.objects.get(pk=owner)
    assert services.reveal_fields({owner})[owner]["first_name"] == "Ana"
    assert (customer.memo, customer.callback_url, customer.erased_at) == ("7", "", None)
