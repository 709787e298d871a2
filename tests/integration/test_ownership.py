"""Every way to another's customers, files, quotes and transactions that we could think of: all
refused, and nothing told.

The table spans all rooms, on the real wiring. A path that takes an id and does not stand in it
fails the test.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import URLPattern, URLResolver, get_resolver

from sep38.models import Rate
from tests.fixtures.callers import bearer_for, make_sending_anchor
from tests.fixtures.documents import photo
from tests.fixtures.transactions import RECEIVER, SENDER, order, register_customer, usdc

URL = "https://callback.example.com/hook"
MXN = "iso4217:MXN"


@dataclass(frozen=True)
class Owned:
    """What one sending anchor has with us."""

    account: str
    sender: str
    receiver: str
    transaction: str
    waiting: str  # a transaction whose customers are not registered yet
    quote: str
    file: str


@dataclass(frozen=True)
class Attempt:
    """A request on something of `Owned`, and the statuses that refuse it."""

    send: Callable[[Mallory, Owned], Any]
    refused: tuple[int, ...] = (404,)


class Mallory:
    """Whoever tries, with a valid token of their own."""

    def __init__(self, authorization: str) -> None:
        self.headers = {"Authorization": authorization}

    def __call__(self, method: str, path: str, **body: Any) -> Any:
        raw = json.dumps(body) if body else ""
        return Client().generic(method, path, raw, "application/json", headers=self.headers)

    def form(self, path: str, **parts: Any) -> Any:
        return Client().put(
            path, encode_multipart(BOUNDARY, parts), MULTIPART_CONTENT, headers=self.headers
        )


CUSTOMER, FILES = "/sep12/customer", "/sep12/customer/files"
TRANSACTIONS = "/sep31/transactions"

ATTEMPTS: dict[str, Attempt] = {
    # SEP-12, by id
    "see a customer": Attempt(lambda me, of: me("GET", f"{CUSTOMER}?id={of.sender}")),
    "see a customer as a type": Attempt(
        lambda me, of: me("GET", f"{CUSTOMER}?id={of.sender}&type=sep31-sender")
    ),
    "change a customer": Attempt(
        lambda me, of: me("PUT", CUSTOMER, id=of.sender, first_name="Mallory")
    ),
    "change a customer by a form": Attempt(
        lambda me, of: me.form(CUSTOMER, id=of.sender, photo_id_front=photo())
    ),
    "change a customer by the query": Attempt(
        lambda me, of: me("PUT", f"{CUSTOMER}?id={of.sender}", first_name="Mallory")
    ),
    "verify a field": Attempt(
        lambda me, of: me(
            "PUT", f"{CUSTOMER}/verification", id=of.sender, mobile_number_verification="123456"
        )
    ),
    "verify a field in a PUT": Attempt(
        lambda me, of: me("PUT", CUSTOMER, id=of.sender, mobile_number_verification="123456")
    ),
    "hear of a customer": Attempt(
        lambda me, of: me("PUT", f"{CUSTOMER}/callback", id=of.sender, url=URL)
    ),
    "erase a customer": Attempt(lambda me, of: me("DELETE", f"{CUSTOMER}/{of.account}")),
    "erase a customer by memo": Attempt(
        lambda me, of: me("DELETE", f"{CUSTOMER}/{of.account}", memo="1", memo_type="id")
    ),
    "erase a customer by id": Attempt(
        lambda me, of: me("DELETE", f"{CUSTOMER}/{of.account}", id=of.sender)
    ),
    # SEP-12, by account and memo: the token names another
    "see a customer by account": Attempt(
        lambda me, of: me("GET", f"{CUSTOMER}?account={of.account}&memo=1&memo_type=id"), (403,)
    ),
    "change a customer by account": Attempt(
        lambda me, of: me("PUT", CUSTOMER, account=of.account, memo="1", first_name="Mallory"),
        (403,),
    ),
    # SEP-12, by transaction
    "see a transaction's customer": Attempt(
        lambda me, of: me("GET", f"{CUSTOMER}?transaction_id={of.transaction}&type=sep31-sender")
    ),
    "change a transaction's customer": Attempt(
        lambda me, of: me(
            "PUT", CUSTOMER, transaction_id=of.transaction, type="sep31-sender", first_name="M"
        )
    ),
    "become a transaction's customer": Attempt(
        lambda me, of: me(
            "PUT", CUSTOMER, transaction_id=of.waiting, type="sep31-receiver", **RECEIVER
        )
    ),
    # SEP-12, files
    "take a file": Attempt(
        lambda me, of: me("PUT", CUSTOMER, photo_id_front_file_id=of.file), (400,)
    ),
    "see a file": Attempt(lambda me, of: _no_files(me("GET", f"{FILES}?file_id={of.file}"))),
    "see a customer's files": Attempt(
        lambda me, of: _no_files(me("GET", f"{FILES}?customer_id={of.sender}"))
    ),
    # SEP-38
    "see a quote": Attempt(lambda me, of: me("GET", f"/sep38/quote/{of.quote}")),
    "redeem a quote": Attempt(
        lambda me, of: me(
            "POST",
            TRANSACTIONS,
            **order(quote_id=of.quote, destination_asset=MXN, **_customers_of(me)),
        ),
        (400, 404),
    ),
    # SEP-31
    "see a transaction": Attempt(lambda me, of: me("GET", f"{TRANSACTIONS}/{of.transaction}")),
    "correct a transaction": Attempt(
        lambda me, of: me(
            "PATCH", f"{TRANSACTIONS}/{of.transaction}", fields={"transaction": {"note": "x"}}
        )
    ),
    "hear of a transaction": Attempt(
        lambda me, of: me("PUT", f"{TRANSACTIONS}/{of.transaction}/callback", url=URL)
    ),
    "cancel a transaction": Attempt(
        lambda me, of: me("POST", f"{TRANSACTIONS}/{of.transaction}/cancel")
    ),
    "list a customer's transactions": Attempt(
        lambda me, of: _nothing(me("GET", f"{TRANSACTIONS}?customer_id={of.sender}"))
    ),
    "list transactions": Attempt(lambda me, of: _nothing(me("GET", TRANSACTIONS))),
    "read events": Attempt(lambda me, of: _nothing(me("GET", "/sep31/events"))),
    "pay from a customer": Attempt(
        lambda me, of: me(
            "POST", TRANSACTIONS, **order(**{**_customers_of(me), "sender_id": of.sender})
        ),
        (400, 404),
    ),
    "pay to a customer": Attempt(
        lambda me, of: me(
            "POST", TRANSACTIONS, **order(**{**_customers_of(me), "receiver_id": of.receiver})
        ),
        (400, 404),
    ),
}


@dataclass(frozen=True)
class NothingFound:
    """SEP-12, "Customer Files", "GET Response": who has no such file is told of none."""

    status_code: int
    content: bytes


def _no_files(answer: Any) -> NothingFound:
    assert answer.status_code == 200
    assert answer.json() == {"files": []}
    return NothingFound(404, answer.content)


def _nothing(answer: Any) -> NothingFound:
    """An empty list: whoever has none of these is told of none."""
    assert answer.status_code == 200
    body = answer.json()
    assert body.get("transactions", body.get("events")) == []
    return NothingFound(404, answer.content)


def _customers_of(me: Mallory) -> dict[str, str]:
    """Mallory's own, so that nothing but what is another's can be the reason of a refusal."""
    ids = {}
    for role, memo, fields in (("sender", "91", SENDER), ("receiver", "92", RECEIVER)):
        found = me("PUT", CUSTOMER, memo=memo, memo_type="id", type=f"sep31-{role}", **fields)
        if found.status_code == 202:
            ids[f"{role}_id"] = found.json()["id"]
    return ids


@pytest.fixture
def owned(db: None) -> Owned:
    anchor = make_sending_anchor()
    Rate.objects.create(sell_asset=usdc(), buy_asset=MXN, rate="17")
    mine = Mallory(bearer_for(anchor.account))
    sender = register_customer(anchor, "1", "sep31-sender", **SENDER)
    receiver = register_customer(anchor, "2", "sep31-receiver", **RECEIVER)
    price = {"sell_asset": usdc(), "buy_asset": MXN, "sell_amount": "100", "context": "sep31"}
    made = mine("POST", TRANSACTIONS, **order(sender_id=sender, receiver_id=receiver))
    waiting = mine("POST", TRANSACTIONS, **order(sender_id=sender))
    quote = mine("POST", "/sep38/quote", **price, buy_delivery_method="bank_account")
    file = Client().post(FILES, {"file": photo()}, headers=mine.headers)
    return Owned(
        account=anchor.account,
        sender=sender,
        receiver=receiver,
        transaction=made.json()["id"],
        waiting=waiting.json()["id"],
        quote=quote.json()["id"],
        file=file.json()["file_id"],
    )


def _everything() -> dict[str, list[Any]]:
    """All rows of what an attempt could change."""
    tables = ("sep12_customer", "sep12_customerfield", "sep12_customerfile", "sep31_transaction")
    with connection.cursor() as cursor:
        found = {}
        for table in (*tables, "sep38_quote", "sep31_event", "callbacks_callback"):
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t ORDER BY 1")
            found[table] = [row[0] for row in cursor.fetchall()]
    return found


@pytest.mark.parametrize("name", ATTEMPTS)
def test_another_sending_anchor_is_refused(name: str, owned: Owned) -> None:
    _assert_refused(name, owned, Mallory(make_sending_anchor().headers()["Authorization"]))


@pytest.mark.parametrize("name", [n for n in ATTEMPTS if n not in ("redeem a quote",)])
@pytest.mark.parametrize("token", [{"memo": "1"}, {"muxed_id": 1}], ids=["memo", "muxed"])
def test_the_same_memo_of_another_account_is_refused(
    name: str, token: dict[str, Any], owned: Owned
) -> None:
    stranger = make_sending_anchor()
    _assert_refused(name, owned, Mallory(bearer_for(stranger.account, **token)))


def _assert_refused(name: str, owned: Owned, mallory: Mallory) -> None:
    attempt = ATTEMPTS[name]
    _customers_of(mallory)
    before = _everything()
    answer = attempt.send(mallory, owned)
    assert answer.status_code in attempt.refused, answer.content
    for theirs in (owned.sender, owned.receiver, SENDER["first_name"], RECEIVER["first_name"]):
        assert theirs.encode() not in answer.content
    assert _everything() == before


USERS_OWN = [
    *("see a customer", "see a customer as a type", "change a customer"),
    *("change a customer by a form", "change a customer by the query", "verify a field"),
    *("verify a field in a PUT", "hear of a customer", "erase a customer by id", "take a file"),
    *("see a file", "see a customer's files"),
]


@pytest.mark.parametrize("name", USERS_OWN)
@pytest.mark.parametrize("token", [{"memo": "8"}, {"muxed_id": 8}], ids=["memo", "muxed"])
def test_another_user_of_the_same_account_is_refused(
    name: str, token: dict[str, Any], owned: Owned
) -> None:
    """SEP-12, "Shared, Omnibus, or Pooled Accounts": a token with a memo is one user's."""
    _assert_refused(name, owned, Mallory(bearer_for(owned.account, **token)))


def test_what_is_anothers_and_what_never_was_look_alike(owned: Owned) -> None:
    """Else ids could be guessed at."""
    mallory = Mallory(make_sending_anchor().headers()["Authorization"])
    never = str(uuid.uuid4())
    places = (f"{CUSTOMER}?id=", f"{FILES}?file_id=", f"{TRANSACTIONS}/", "/sep38/quote/")
    for place in places:
        for theirs in (owned.sender, owned.transaction, owned.quote, owned.file):
            there, absent = (mallory("GET", place + one) for one in (theirs, never))
            assert (there.status_code, there.content) == (absent.status_code, absent.content)


def test_each_path_of_the_protocols_that_takes_an_id_is_in_the_table() -> None:
    tried = [
        "sep12/customer",
        "sep12/customer/verification",
        "sep12/customer/callback",
        "sep12/customer/files",
        "sep12/customer/<str:account>",
        "sep38/quote/<str:quote_id>",
        "sep31/transactions",
        "sep31/transactions/<str:transaction_id>",
        "sep31/transactions/<str:transaction_id>/callback",
        "sep31/transactions/<str:transaction_id>/cancel",
        "sep31/events",
    ]
    open_to_all = ["sep38/info", "sep38/prices", "sep38/price", "sep38/quote", "sep31/info"]
    paths = [path for path in _paths(get_resolver().url_patterns) if path.startswith("sep")]
    assert sorted(paths) == sorted(tried + open_to_all)


def _paths(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for one in patterns:
        here = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from _paths(one.url_patterns, here)
        else:
            yield here


def test_its_owner_reaches_all_of_it(owned: Owned) -> None:
    """Else a refusal would prove nothing."""
    owner = Mallory(bearer_for(owned.account))
    for path, key in (
        (f"{CUSTOMER}?id={owned.sender}", "id"),
        (f"{TRANSACTIONS}/{owned.transaction}", "transaction"),
        (f"/sep38/quote/{owned.quote}", "id"),
    ):
        assert owner("GET", path).json()[key]
    assert owner("GET", f"{FILES}?file_id={owned.file}").json()["files"]
    took = owner("PUT", CUSTOMER, id=owned.sender, photo_id_front_file_id=owned.file)
    assert took.status_code == 202
