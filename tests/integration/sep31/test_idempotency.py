"""`Idempotency-Key` on POST /transactions (draft-ietf-httpapi-idempotency-key-header-07)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import ApiError, BadRequest
from sep31 import idempotency, views
from sep31.idempotency import answer_once, purge_idempotent_requests, read_key
from sep31.models import Event, IdempotentRequest, Transaction
from tests.fixtures.callers import RegisteredAnchor, bearer_for
from tests.fixtures.transactions import order, register_both
from tests.integration.sep31.test_api import make_quote

pytestmark = pytest.mark.django_db
KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


def post(anchor: RegisteredAnchor, key: str, *, token: str | None = None, **changes: Any) -> Any:
    return Client().post(
        "/sep31/transactions",
        order(**changes),
        content_type="application/json",
        headers={"Authorization": token or bearer_for(anchor.account), "Idempotency-Key": key},
    )


# -- What a repeat gets -------------------------------------------------------------------------
def test_a_repeated_request_gets_the_first_answer_byte_for_byte(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    first, second = (post(anchor, KEY, **customers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert Transaction.objects.count() == 1


def test_it_is_the_answer_of_then_also_where_the_transaction_has_moved_on(
    anchor: RegisteredAnchor,
) -> None:
    first = post(anchor, KEY)
    Transaction.objects.update(status="pending_sender", ready_at=timezone.now())
    assert set(first.json()) == {"id"}
    assert post(anchor, KEY).content == first.content


def test_a_repeat_with_a_quote_is_no_second_redemption(anchor: RegisteredAnchor, rate: Any) -> None:
    quote = make_quote(anchor)
    terms = {"quote_id": quote["id"], **register_both(anchor)}
    first = post(anchor, KEY, **terms)
    assert first.status_code == 201
    assert post(anchor, KEY, **terms).content == first.content
    other = post(anchor, '"another key"', **terms)
    assert (other.status_code, other.json()["error"]) == (
        400,
        "quote_id names a quote that was already used",
    )


def test_the_same_values_in_another_order_are_the_same_request(anchor: RegisteredAnchor) -> None:
    body = order()
    turned = dict(reversed(body.items()))
    answers = [
        Client().post(
            "/sep31/transactions",
            json.dumps(one, indent=2),
            content_type="application/json",
            headers={**anchor.headers(), "Idempotency-Key": KEY},
        )
        for one in (body, turned)
    ]
    assert answers[0].content == answers[1].content
    assert Transaction.objects.count() == 1


def test_another_body_under_the_same_key_is_refused(anchor: RegisteredAnchor) -> None:
    first = post(anchor, KEY)
    answer = post(anchor, KEY, amount="101")
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "Idempotency-Key was used for a request with another body; send a new key"
    }
    assert Transaction.objects.count() == 1
    assert post(anchor, KEY).content == first.content


def test_a_refusal_is_not_remembered_so_that_the_request_may_be_mended(
    anchor: RegisteredAnchor,
) -> None:
    assert post(anchor, KEY, amount="0").status_code == 400
    assert not IdempotentRequest.objects.exists()
    assert post(anchor, KEY).status_code == 201


def test_without_a_key_each_request_is_one_of_its_own(anchor: RegisteredAnchor) -> None:
    path, headers = "/sep31/transactions", anchor.headers()
    ids = [
        Client().post(path, order(), "application/json", headers=headers).json()["id"]
        for _ in range(2)
    ]
    assert len(set(ids)) == 2
    assert not IdempotentRequest.objects.exists()


# -- Whose key it is ----------------------------------------------------------------------------
def test_callers_do_not_share_their_keys(
    anchor: RegisteredAnchor, stranger: RegisteredAnchor
) -> None:
    tokens = [
        bearer_for(anchor.account),
        bearer_for(anchor.account, "1"),
        bearer_for(anchor.account, muxed_id=1),
        bearer_for(stranger.account),
        bearer_for(stranger.account, "1"),
    ]
    ids = {post(anchor, KEY, token=token).json()["id"] for token in tokens}
    assert len(ids) == len(tokens)


def test_a_caller_and_a_key_never_run_into_one_another(anchor: RegisteredAnchor) -> None:
    """Memo 1 with the key "2x" is not memo 12 with the key "x"."""
    first = post(anchor, "2x", token=bearer_for(anchor.account, "1"))
    second = post(anchor, "x", token=bearer_for(anchor.account, "12"))
    assert first.json()["id"] != second.json()["id"]


def test_nothing_of_the_request_is_kept_but_digests(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    answer = post(anchor, '"bob.banda@example.com"', refund_memo="Bob Banda", **customers, **TEXT)
    assert answer.status_code == 201
    [row] = IdempotentRequest.objects.all().values()
    kept = str(row)
    for private in ("Bob", "bob.banda", customers["sender_id"], anchor.account):
        assert private not in kept


TEXT = {"refund_memo_type": "text"}


# -- The header ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ('"abc"', "abc"),
        ("abc", "abc"),
        ("  abc ", "abc"),
        (r'"a \"quoted\" \\ key"', r'a "quoted" \ key'),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_key_is_a_string_of_rfc_8941_or_the_same_without_quotes(
    header: str | None, key: str | None
) -> None:
    assert read_key(header) == key


BAD_KEYS = [
    *("", " ", '""', "a, b", '"a", "b"', '"a";b=1', "a b", '"a', 'a"', r'"\x"', "\x00", "é"),
    *("x" * 256, f'"{"x" * 256}"', '"\n"', "a\tb", "{}", "(a)"),
]


@pytest.mark.parametrize("header", BAD_KEYS)
def test_other_keys_are_a_400_that_says_what_is_allowed(
    anchor: RegisteredAnchor, header: str
) -> None:
    answer = post(anchor, header)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Idempotency-Key must be one key of 1 to 255")
    assert not Transaction.objects.exists()


@given(st.text(max_size=300))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        key = read_key(header)
    except BadRequest:
        return
    assert key
    assert len(key) <= 255
    assert key.isascii()


# -- Queries ------------------------------------------------------------------------------------
def test_a_key_costs_three_statements_and_its_absence_none(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    path, headers = "/sep31/transactions", anchor.headers()
    Client().post(path, order(**customers), "application/json", headers=headers)
    with CaptureQueriesContext(connection) as plain:
        Client().post(path, order(**customers), "application/json", headers=headers)
    with CaptureQueriesContext(connection) as keyed:
        post(anchor, KEY, **customers)
    with CaptureQueriesContext(connection) as repeated:
        post(anchor, KEY, **customers)

    def statements(queries: CaptureQueriesContext) -> list[str]:
        return [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]

    assert not [sql for sql in statements(plain) if "idempotent" in sql]
    # Before it makes anything it asks who calls; then the key, and its answer.
    assert len(statements(keyed)) == len(statements(plain)) + 3
    assert len(statements(repeated)) == 3  # the token, the key and its answer


# -- At once ------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_hundred_repeats_at_once_make_one_transaction_and_get_equal_answers(
    anchor: RegisteredAnchor,
) -> None:
    customers = register_both(anchor)
    together = threading.Barrier(25)

    def send(number: int) -> tuple[int, bytes]:
        if number < 25:
            together.wait()
        try:
            answer = post(anchor, KEY, **customers)
            return answer.status_code, answer.content
        finally:
            connections.close_all()

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(send, range(100)))
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert Transaction.objects.count() == 1
    assert Event.objects.count() == 1


def wait_until_somebody_waits() -> None:
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
            if cursor.fetchone():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def in_a_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except ApiError as error:
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first_succeeds", [True, False])
def test_who_comes_meanwhile_gets_the_firsts_answer_or_its_turn(
    anchor: RegisteredAnchor, first_succeeds: bool
) -> None:
    caller = anchor.caller()
    done: list[str] = []

    def make(name: str) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            done.append(name)
            return {"made_by": name}

        return run

    class GaveUp(Exception):
        pass

    try:
        with transaction.atomic():
            answer_once(caller, "k", {}, make("first"))
            thread, results = in_a_thread(lambda: answer_once(caller, "k", {}, make("second")))
            wait_until_somebody_waits()
            if not first_succeeds:
                raise GaveUp
    except GaveUp:
        pass
    thread.join()
    assert results == [{"made_by": "first" if first_succeeds else "second"}]
    assert done == (["first"] if first_succeeds else ["first", "second"])


@pytest.mark.django_db(transaction=True)
def test_a_crash_before_the_answer_is_stored_leaves_neither_key_nor_transaction(
    anchor: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(views, "describe_created", die)
    with pytest.raises(RuntimeError):
        post(anchor, KEY)
    assert not Transaction.objects.exists()
    assert not IdempotentRequest.objects.exists()
    monkeypatch.undo()
    assert post(anchor, KEY).status_code == 201


# -- How long -----------------------------------------------------------------------------------
def test_a_key_is_kept_for_a_day_at_least_and_purged_in_batches(
    anchor: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PURGE_BATCH", 2)
    kept = post(anchor, KEY)
    IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(hours=25))
    for number in range(5):
        post(anchor, f"old-{number}")
    old = IdempotentRequest.objects.filter(created_at__gt=timezone.now() - timedelta(hours=1))
    old.update(created_at=timezone.now() - idempotency.KEPT - timedelta(seconds=1))
    assert purge_idempotent_requests() == 5
    assert post(anchor, KEY).content == kept.content
    assert purge_idempotent_requests() == 0
