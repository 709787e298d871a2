"""A likeness to somebody on a sanctions list stops the money, whenever it is found."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from payouts.models import Payout
from payouts.rails.base import Answer, Outcome
from payouts.rails.sandbox_bank import SandboxBank
from payouts.services import send_payout
from sep12.models import Customer, ScreeningHit
from sep12.screening import services as screening
from sep31.models import Refund, Transaction
from sep31.receipts import match_payments
from sep31.services import advance
from sep31.tasks import sweep_transactions
from tests.fixtures.transactions import (
    make_transaction,
    post_transaction,
    record_payment,
    register_both,
)

pytestmark = pytest.mark.django_db

HEADER = "id,schema,name,aliases,birth_date,countries\n"
NOBODY = "NK-1,Person,Ignatius Nobody,,,\n"
RECEIVER = "NK-2,Person,Bob Banda,,,\n"
SENDER = "NK-3,Person,ADEYEMI Alice,,,\n"


@pytest.fixture(autouse=True)
def lists(settings, tmp_path, monkeypatch):
    """Screening is on, with a list that none of the customers is on."""
    settings.SANCTIONS_LISTS = ["world:opensanctions"]
    monkeypatch.setattr(screening, "_held", screening._Held())

    def publish(*rows: str) -> None:
        file = tmp_path / "targets.simple.csv"
        file.write_text(HEADER + "".join(rows))
        call_command(
            "load_sanctions_list", "world", file, format="opensanctions", stdout=io.StringIO()
        )

    publish(NOBODY)
    return publish


def screen() -> None:
    screening.screen_due_customers()


def decide(*, confirmed: bool) -> None:
    screening.decide_hit(ScreeningHit.objects.get().pk, confirmed=confirmed, decided_by="ada")


def ready_transaction(anchor) -> Transaction:
    customers = register_both(anchor)
    screen()
    answer = post_transaction(anchor, **customers)
    assert answer.status_code == 201, answer.content
    row = Transaction.objects.get(pk=answer.json()["id"])
    assert row.status == "pending_sender"
    return row


def pay(row: Transaction) -> None:
    record_payment(row)
    match_payments()
    look(row)


def look(row: Transaction) -> None:
    advance([row.pk])
    row.refresh_from_db()


def test_nobody_pays_in_before_both_customers_were_screened(anchor):
    row = make_transaction(anchor)
    assert row.status == "pending_receiver"
    screen()
    look(row)
    assert row.status == "pending_sender"


@pytest.mark.parametrize("listed", [SENDER, RECEIVER], ids=["sender", "receiver"])
def test_a_hit_found_before_the_payment_came_keeps_the_payout_back(anchor, lists, listed):
    row = ready_transaction(anchor)
    lists(NOBODY, listed)
    screen()
    pay(row)
    assert row.status == "pending_receiver"
    assert not Payout.objects.exists()
    decide(confirmed=False)
    look(row)
    assert Payout.objects.get().reference == str(row.pk)


@pytest.mark.parametrize("listed", [SENDER, RECEIVER], ids=["sender", "receiver"])
def test_the_payment_of_a_blocked_customer_ends_as_the_policy_says_and_not_as_a_payout(
    anchor, lists, listed
):
    row = ready_transaction(anchor)
    lists(NOBODY, listed)
    screen()
    pay(row)
    decide(confirmed=True)
    look(row)
    assert not Payout.objects.exists()
    assert Refund.objects.get().transaction == row
    assert row.reason == "customer_rejected"


def rail_is_away(row: Transaction, monkeypatch) -> Payout:
    """The first try failed, and the payout waits for the next one."""
    monkeypatch.setattr(
        SandboxBank, "send", lambda *_: Answer(Outcome.FAILED, retryable=True, message="away")
    )
    pay(row)
    payout = Payout.objects.get()
    send_payout(payout.pk)
    payout.refresh_from_db()
    assert payout.status == "due"
    return payout


def test_a_hit_found_while_the_rail_is_away_keeps_the_payout_back_until_it_is_dismissed(
    anchor, lists, monkeypatch
):
    row = ready_transaction(anchor)
    payout = rail_is_away(row, monkeypatch)
    lists(NOBODY, RECEIVER)
    screen()
    look(row)
    assert (row.status, row.reason) == ("pending_receiver", "payout_held")
    Payout.objects.update(next_try_at=None)
    assert not send_payout(payout.pk)
    decide(confirmed=False)
    look(row)
    payout.refresh_from_db()
    assert (row.reason, payout.status) == ("payout_released", "due")


def test_a_payout_that_waits_is_given_up_once_its_customer_is_blocked(anchor, lists, monkeypatch):
    row = ready_transaction(anchor)
    payout = rail_is_away(row, monkeypatch)
    lists(NOBODY, SENDER)
    screen()
    decide(confirmed=True)
    look(row)
    payout.refresh_from_db()
    assert payout.status == "cancelled"
    assert Refund.objects.get().transaction == row


def test_the_sweep_alone_pays_out_after_a_dismissal(anchor, lists):
    row = ready_transaction(anchor)
    lists(NOBODY, RECEIVER)
    screen()
    pay(row)
    decide(confirmed=False)
    Transaction.objects.update(look_at=row.started_at)
    sweep_transactions()
    assert Payout.objects.exists()


def test_a_blocked_customer_is_refused_at_the_door(anchor, lists):
    customers = register_both(anchor)
    lists(NOBODY, RECEIVER)
    screen()
    decide(confirmed=True)
    answer = post_transaction(anchor, **customers)
    assert answer.status_code == 400
    assert "sanction" not in answer.json()["error"].lower()
    assert Customer.objects.filter(screening="BLOCKED").count() == 1
