"""The sandbox bank keeps its word: docs/sandbox-bank.md, spoken to over HTTP."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
import requests

from localnet.bank import TEST_ACCOUNTS
from tests.fixtures.bank import running_bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    with running_bank(tmp_path_factory.mktemp("bank"), hang_seconds=1.0) as running:
        yield running


def make_order(account_number="9876543210", **changes):
    return {
        "reference": uuid.uuid4().hex,
        "amount": "1700.50",
        "currency": "MXN",
        "method": "bank_account",
        "account_number": account_number,
        "account_holder": "Ana Luna",
    } | changes


def make_key():
    return str(uuid.uuid4())


def wait_for_status(bank, key, status):
    for _ in range(100):
        answer = bank.get(f"/payouts/by-key/{key}").json()
        if answer["status"] == status:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"never became {status}: {answer}")


def test_an_ordinary_account_is_paid_and_stands_in_the_statement(bank):
    order, key = make_order(), make_key()
    answer = bank.post(key, order)
    assert (answer.status_code, answer.json()["status"]) == (201, "paid")
    [payment] = bank.payments(order["reference"])
    assert payment["key"] == key
    assert payment["amount"] == "1700.50"
    assert payment["id"] == answer.json()["id"]


@pytest.mark.parametrize(
    ("outcome", "code", "expected"),
    [
        ("paid", 201, {"status": "paid"}),
        ("paid_later", 202, {"status": "accepted"}),
        ("later_refused", 202, {"status": "accepted"}),
        ("later_undeliverable", 202, {"status": "accepted"}),
        ("refused_account", 422, {"status": "refused"}),
        ("refused_name", 422, {"status": "refused"}),
        ("fails_twice", 503, {"status": "failed", "retryable": True}),
        ("always_fails", 503, {"status": "failed", "retryable": True}),
        ("undeliverable", 409, {"status": "failed", "retryable": False}),
    ],
)
def test_each_test_account_brings_about_its_outcome(bank, outcome, code, expected):
    answer = bank.post(make_key(), make_order(TEST_ACCOUNTS[outcome]))
    assert answer.status_code == code
    assert answer.json().items() >= expected.items()


def test_a_refusal_names_the_fields_of_sep_9(bank):
    def fields(outcome, **changes):
        order = make_order(TEST_ACCOUNTS[outcome], **changes)
        return set(bank.post(make_key(), order).json()["fields"])

    assert fields("refused_account") == {"bank_account_number"}
    assert fields("refused_name") == {"first_name", "last_name"}
    assert fields("refused_account", method="mobile_money") == {"mobile_money_number"}


def test_a_mobile_number_may_have_a_country_code_before_the_test_number(bank):
    order = make_order("+52" + TEST_ACCOUNTS["undeliverable"], method="mobile_money")
    assert bank.post(make_key(), order).status_code == 409


def test_a_number_that_is_no_account_number_is_refused_by_name(bank):
    answer = bank.post(make_key(), make_order("12-34"))
    assert answer.status_code == 422
    assert set(answer.json()["fields"]) == {"bank_account_number"}


@pytest.mark.parametrize(
    ("outcome", "final", "payments"),
    [
        ("paid_later", "paid", 1),
        ("later_refused", "refused", 0),
        ("later_undeliverable", "failed", 0),
    ],
)
def test_what_was_accepted_is_settled_a_little_later(bank, outcome, final, payments):
    order, key = make_order(TEST_ACCOUNTS[outcome]), make_key()
    first = bank.post(key, order).json()
    assert bank.payments(order["reference"]) == []
    assert wait_for_status(bank, key, final)["id"] == first["id"]
    assert len(bank.payments(order["reference"])) == payments


def test_the_third_attempt_of_a_reference_that_fails_twice_is_paid(bank):
    order = make_order(TEST_ACCOUNTS["fails_twice"])
    codes = [bank.post(make_key(), order).status_code for _ in range(3)]
    assert codes == [503, 503, 201]
    assert len(bank.payments(order["reference"])) == 1


@pytest.mark.parametrize("outcome", ["paid", "paid_later", "always_fails", "refused_name"])
def test_the_same_key_gets_the_first_answer_again_and_pays_nothing_more(bank, outcome):
    order, key = make_order(TEST_ACCOUNTS[outcome]), make_key()
    first, second = bank.post(key, order), bank.post(key, order)
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert len(bank.payments(order["reference"])) <= 1


def test_the_same_key_sent_by_many_at_once_pays_once(bank):
    order, key = make_order(), make_key()
    threads = [threading.Thread(target=bank.post, args=(key, order)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bank.payments(order["reference"])) == 1


def test_the_same_key_with_another_body_is_turned_down_and_pays_nothing(bank):
    order, key = make_order(), make_key()
    bank.post(key, order)
    answer = bank.post(key, order | {"amount": "9999.00"})
    assert answer.status_code == 409
    assert "status" not in answer.json()
    assert [p["amount"] for p in bank.payments(order["reference"])] == ["1700.50"]


def test_a_key_that_was_never_sent_is_never_seen(bank):
    answer = bank.get(f"/payouts/by-key/{make_key()}")
    assert (answer.status_code, answer.json()) == (404, {"status": "never_seen"})


def test_what_was_sent_for_a_reference_is_found_by_it(bank):
    order, key = make_order(), make_key()
    bank.post(key, order)
    [found] = bank.get(f"/payouts/by-reference/{order['reference']}").json()["payouts"]
    assert (found["key"], found["status"]) == (key, "paid")
    assert bank.get("/payouts/by-reference/unheard-of").status_code == 404


@pytest.mark.parametrize(
    ("outcome", "code", "payments"), [("timeout_paid", 200, 1), ("timeout_unpaid", 404, 0)]
)
def test_a_client_that_gives_up_waiting_learns_by_key_what_became_of_it(
    bank, outcome, code, payments
):
    order, key = make_order(TEST_ACCOUNTS[outcome]), make_key()
    with pytest.raises(requests.Timeout):
        bank.post(key, order, timeout=0.3)
    assert bank.get(f"/payouts/by-key/{key}").status_code == code
    assert len(bank.payments(order["reference"])) == payments


def test_an_order_that_was_lost_once_is_paid_when_the_same_key_comes_again(bank):
    order, key = make_order(TEST_ACCOUNTS["timeout_once"]), make_key()
    with pytest.raises(requests.Timeout):
        bank.post(key, order, timeout=0.3)
    assert bank.get(f"/payouts/by-key/{key}").status_code == 404
    assert bank.post(key, order).status_code == 201
    assert len(bank.payments(order["reference"])) == 1


def test_a_killed_bank_remembers_what_it_answered(tmp_path):
    with running_bank(tmp_path) as bank:
        order, key = make_order(), make_key()
        later, later_key = make_order(TEST_ACCOUNTS["paid_later"]), make_key()
        first = bank.post(key, order).json()
        bank.post(later_key, later)
        bank.kill()
        bank.start()
        assert bank.post(key, order).json() == first
        wait_for_status(bank, later_key, "paid")
        assert len(bank.payments(order["reference"])) == 1
        assert len(bank.payments(later["reference"])) == 1


def test_a_wrong_api_key_pays_nothing_and_reads_nothing(bank):
    order = make_order()
    wrong = {"Authorization": "Bearer gu\u00e9ss".encode("latin-1")}
    assert bank.post(make_key(), order, headers=wrong).status_code == 401
    assert requests.get(f"{bank.url}/statement", timeout=5).status_code == 401
    assert bank.payments(order["reference"]) == []


def test_anybody_may_read_the_list_of_test_accounts(bank):
    listed = requests.get(f"{bank.url}/test-accounts", timeout=5).json()
    assert {name: entry["account_number"] for name, entry in listed.items()} == TEST_ACCOUNTS
    assert all(entry["description"] for entry in listed.values())


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        make_order(amount="0"),
        make_order(amount="-1"),
        make_order(amount="1e3"),
        make_order(amount=5),
        make_order(amount="\u0661"),
        make_order(currency="pesos"),
        make_order(method="cash"),
        make_order(account_holder=""),
        make_order(account_holder="\ud800"),
        make_order(account_number=["5500010001"]),
        make_order(reference=None),
    ],
)
def test_an_order_that_makes_no_sense_is_a_bad_request(bank, body):
    answer = bank.post(make_key(), body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_an_order_without_a_key_is_a_bad_request(bank):
    assert bank.post("", make_order()).status_code == 400


def test_a_body_that_is_too_large_is_turned_down(bank):
    assert bank.post(make_key(), make_order(note="x" * 100_000)).status_code == 413
