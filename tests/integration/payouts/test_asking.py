"""Creating, retrying and cancelling payouts: what sep31 relies on."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from django.db import connection

from kernel.assets import parse_asset_name
from localnet.bank import TEST_ACCOUNTS
from payouts import services
from payouts.models import Attempt, Payout
from payouts.rails.registry import UnknownMethod
from tests.integration.payouts.conftest import make_details, make_payout, take_to_rail
from tests.integration.payouts.test_sending import run_in_threads

pytestmark = pytest.mark.django_db(transaction=True)
P, A = Payout.Status, Attempt.Status


def test_asking_twice_for_one_reference_makes_one_payout():
    first = make_payout(reference="t-1")
    again = make_payout(reference="t-1", details=make_details("1111111111"))
    assert first.pk == again.pk
    assert Payout.objects.get().details["bank_account_number"] == "9876543210"


def test_many_who_ask_at_once_for_one_reference_get_one_payout():
    payouts = run_in_threads(*[lambda: make_payout(reference="t-1")] * 6)
    assert len({payout.pk for payout in payouts}) == 1
    assert Payout.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Decimal("1700.51")},
        {"asset": parse_asset_name("iso4217:USD")},
        {"method": "mobile_money"},
    ],
)
def test_one_reference_cannot_stand_for_two_different_payouts(changes):
    make_payout(reference="t-1")
    with pytest.raises(services.PayoutDiffers):
        make_payout(reference="t-1", **changes)


def make_orders(*references, **changes):
    wanted = {
        "asset": parse_asset_name("iso4217:MXN"),
        "amount": Decimal("1700.50"),
        "method": "bank_account",
        "details": make_details(),
    } | changes
    return [services.PayoutOrder(reference=reference, **wanted) for reference in references]


@pytest.mark.parametrize("size", [1, 50])
def test_a_batch_is_made_with_as_few_queries_as_one(size, django_assert_num_queries):
    orders = make_orders(*(f"t-{number}" for number in range(size)))
    with django_assert_num_queries(2 + 2):  # BEGIN and COMMIT included
        made = services.create_payouts(orders)
    assert [payout.reference for payout in made] == [order.reference for order in orders]


def test_a_batch_holds_what_was_there_already_and_what_is_new():
    old = make_payout(reference="t-2")
    made = services.create_payouts(make_orders("t-3", "t-2", "t-1"))
    assert [payout.reference for payout in made] == ["t-3", "t-2", "t-1"]
    assert made[1].pk == old.pk
    assert Payout.objects.count() == 3


def test_two_orders_of_one_batch_cannot_share_a_reference_and_differ():
    orders = make_orders("t-1") + make_orders("t-1", amount=Decimal(5))
    with pytest.raises(services.PayoutDiffers):
        services.create_payouts(orders)


def test_batches_are_inserted_in_one_order_so_that_overlapping_ones_cannot_deadlock():
    references = [f"t-{number}" for number in range(20)]
    services.create_payouts(make_orders(*reversed(references)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT reference FROM payouts_payout ORDER BY ctid")
        inserted = [reference for (reference,) in cursor.fetchall()]
    assert inserted == sorted(references)


@pytest.mark.parametrize("amount", ["0", "-1", "1700.505"])
def test_an_amount_that_the_currency_cannot_express_is_not_rounded_but_turned_down(amount):
    with pytest.raises(ValueError, match="can't be paid out"):
        make_payout(amount=Decimal(amount))


def test_a_stellar_asset_is_nothing_that_a_rail_could_deliver():
    with pytest.raises(ValueError, match="can't be paid out"):
        make_payout(asset=parse_asset_name("stellar:native"))


def test_a_method_without_a_rail_is_turned_down():
    with pytest.raises(UnknownMethod):
        make_payout(method="pigeon")


def test_only_the_details_that_the_rail_needs_are_kept():
    payout = make_payout(details=make_details(birth_date="1990-01-01", bank_branch_number="7"))
    payout.refresh_from_db()
    assert set(payout.details) == {*make_details(), "bank_branch_number"}


def test_a_refused_payout_is_delivered_with_corrected_details(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["refused_account"]))
    payout = services.retry_payout(payout.pk, details=make_details("1231231234"))
    assert payout.status == P.DUE
    assert (payout.refused_fields, payout.message) == ({}, "")
    take_to_rail(payout)
    assert payout.status == P.DELIVERED
    assert [a.status for a in payout.attempts.all()] == [A.REFUSED, A.DELIVERED]
    assert [p["account_number"] for p in bank.payments(payout.pk)] == ["1231231234"]


def test_each_attempt_keeps_what_was_sent_with_it(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["refused_account"]))
    take_to_rail(services.retry_payout(payout.pk, details=make_details("1231231234")))
    sent = [attempt.details["bank_account_number"] for attempt in payout.attempts.all()]
    assert sent == [TEST_ACCOUNTS["refused_account"], "1231231234"]


def test_retrying_a_failed_payout_starts_a_new_round_of_tries(bank, settings):
    settings.PAYOUT_MAX_TRIES = 1
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["fails_twice"]))
    assert payout.status == P.FAILED
    settings.PAYOUT_MAX_TRIES = 2
    services.retry_payout(payout.pk)
    take_to_rail(payout, times=2)
    assert payout.status == P.DELIVERED


def test_retrying_twice_is_the_same_as_once_and_the_newest_details_are_sent(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["refused_name"]))
    services.retry_payout(payout.pk, details=make_details("1231231234"))
    services.retry_payout(payout.pk, details=make_details("4564564567"))
    take_to_rail(payout)
    assert [p["account_number"] for p in bank.payments(payout.pk)] == ["4564564567"]


@pytest.mark.parametrize("outcome", ["paid", "paid_later", "timeout_paid"])
def test_a_payout_that_is_under_way_or_done_is_not_retried(bank, outcome):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS[outcome]))
    before = payout.status
    assert services.retry_payout(payout.pk, details=make_details("1")).status == before
    assert payout.attempts.count() == 1


def test_a_cancelled_payout_stays_cancelled(bank):
    payout = services.cancel_payout(make_payout().pk)
    assert services.retry_payout(payout.pk).status == P.CANCELLED
    take_after = services.send_due_payouts()
    assert take_after == 0
    assert bank.payments(payout.pk) == []


@pytest.mark.parametrize("outcome", ["refused_account", "undeliverable", "always_fails"])
def test_a_payout_of_which_nothing_was_paid_can_be_cancelled_once_or_twice(bank, outcome):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS[outcome]))
    for _ in range(2):
        assert services.cancel_payout(payout.pk).status == P.CANCELLED


@pytest.mark.parametrize("outcome", ["paid", "paid_later", "timeout_paid"])
def test_a_payout_that_may_have_been_paid_cannot_be_cancelled(bank, outcome):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS[outcome]))
    before = payout.status
    with pytest.raises(services.PayoutInFlight):
        services.cancel_payout(payout.pk)
    payout.refresh_from_db()
    assert payout.status == before


def test_an_unknown_payout_is_an_error_of_its_own():
    for service in (services.cancel_payout, services.retry_payout):
        with pytest.raises(Payout.DoesNotExist):
            service(uuid.uuid4())
