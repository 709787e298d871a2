"""What operators do: each deed is confirmed, permitted, done once and remembered."""

from __future__ import annotations

import re
import threading
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test import Client

from callbacks.models import Callback
from kernel.errors import Conflict
from sep10.models import SendingAnchor, SendingAnchorAccount
from sep12.models import Decision
from sep31.inbox import keep_inbox_receipt, refund_inbox_receipt
from sep31.machine import Wish
from sep31.models import Event, Receipt, Refund, Transaction
from sep31.reconcile import balance_books
from sep31.services import request_by_operator
from sep38.models import Rate
from stellar.models import OutgoingPayment
from tests.fixtures.callers import make_sending_anchor
from tests.fixtures.transactions import RECEIVER, make_transaction, usdc
from tests.integration.admin.conftest import log_in, stray_payment
from tests.integration.admin.pages import (
    action_url,
    all_actions,
    page_url,
    press,
    whole_database,
)

pytestmark = pytest.mark.django_db


def row_of(model, everything):
    return next(row for row in everything if isinstance(row, model))


def words(answer) -> str:
    return answer.content.decode()


# -- What holds for each of them --------------------------------------------------------------
def test_no_action_works_without_its_permission(everything):
    views = {f"{m._meta.app_label}.view_{m._meta.model_name}" for m, _ in all_actions()}
    onlooker = log_in("onlooker", *views)
    before = whole_database()
    for model, action in all_actions():
        url = action_url(row_of(model, everything), action.name)
        assert onlooker.get(url).status_code == 403, url
        assert onlooker.post(url, {"seen": "x"}).status_code == 403, url
    assert whole_database() == before


def test_no_action_works_without_a_csrf_token(everything, operator):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    before = whole_database()
    for model, action in all_actions():
        assert strict.post(action_url(row_of(model, everything), action.name)).status_code == 403
    assert whole_database() == before


def test_no_action_is_done_by_a_post_that_saw_no_confirmation(everything, operator):
    before = whole_database()
    for model, action in all_actions():
        answer = operator.post(action_url(row_of(model, everything), action.name), {"seen": "x"})
        assert "It changed since you looked" in words(answer)
    assert whole_database() == before


# -- Transactions -----------------------------------------------------------------------------
def test_a_refund_says_what_goes_to_whom_and_is_done_on_post(everything, operator):
    page = words(operator.get(action_url(everything.held, "refund")))
    assert "100 USDC" in page
    assert everything.held.account in page
    answer = press(operator, everything.held, "refund")
    assert "The money is being sent back." in words(answer)
    refund = Refund.objects.get(transaction=everything.held)
    assert (refund.actor, refund.amount) == ("olga", 100)
    [entry] = LogEntry.objects.all()
    assert entry.object_id == str(everything.held.pk)
    assert "The money is being sent back." in entry.change_message
    event = Event.objects.filter(transaction=everything.held).last()
    assert event is not None and event.actor == "olga"


def test_a_refund_that_failed_is_retried(everything, operator):
    press(operator, everything.stuck, "retry")
    everything.failed_payment.refresh_from_db()
    assert everything.failed_payment.status == OutgoingPayment.Status.PENDING


def test_what_the_state_does_not_allow_is_refused_in_plain_words(everything, operator):
    page = words(operator.get(action_url(everything.held, "retry")))
    assert "Nothing failed that could be retried." in page
    assert "confirm-form" not in page


def test_a_state_that_changed_between_look_and_post_is_shown_again(everything, operator):
    url = action_url(everything.held, "refund")
    found = re.search(r'name="seen" value="(\w+)"', words(operator.get(url)))
    assert found is not None
    request_by_operator(everything.held.pk, Wish.REFUND, "somebody else")
    answer = operator.post(url, {"seen": found.group(1)}, follow=True)
    assert "It changed since you looked" in words(answer)
    assert Refund.objects.filter(transaction=everything.held).count() == 1
    assert not LogEntry.objects.exists()


# -- Sending anchors --------------------------------------------------------------------------
def test_all_tokens_of_a_sending_anchor_are_revoked_at_once(everything, operator, anchor):
    headers = anchor.headers()
    other = make_sending_anchor("Other").headers()
    url = "/sep12/customer"
    assert Client().get(url, headers=headers).status_code == 200
    page = words(operator.get(action_url(everything.partner, "revoke_tokens")))
    assert "NairaPay" in page
    assert "All its tokens were revoked." in words(
        press(operator, everything.partner, "revoke_tokens")
    )
    assert Client().get(url, headers=headers).status_code == 401
    assert Client().get(url, headers=other).status_code == 200
    [entry] = LogEntry.objects.all()
    assert "All its tokens were revoked." in entry.change_message


# -- The inbox --------------------------------------------------------------------------------
def test_what_is_in_the_inbox_is_sent_back(everything, operator):
    press(operator, everything.inbox, "refund")
    refund = Refund.objects.get(receipt=everything.inbox)
    everything.inbox.refresh_from_db()
    assert (everything.inbox.rest, everything.inbox.decided_by) == ("refund", "olga")
    assert (refund.part, refund.amount, refund.actor) == ("uncredited", 100, "olga")
    assert refund.outgoing.destination == everything.inbox.payment.from_account


def test_what_is_in_the_inbox_is_kept(everything, operator):
    press(operator, everything.inbox, "keep")
    everything.inbox.refresh_from_db()
    assert (everything.inbox.rest, everything.inbox.decided_by) == ("kept", "olga")
    assert not Refund.objects.filter(receipt=everything.inbox).exists()


@pytest.mark.parametrize("second", [refund_inbox_receipt, keep_inbox_receipt])
@pytest.mark.parametrize("first", [refund_inbox_receipt, keep_inbox_receipt])
def test_the_inbox_is_decided_once(everything, first, second):
    first(everything.inbox.pk, "olga")
    before = whole_database()
    with pytest.raises(Conflict, match="not in the inbox"):
        second(everything.inbox.pk, "otto")
    assert whole_database() == before


def test_only_the_inbox_is_decided(everything):
    credited = Receipt.objects.get(transaction=everything.held)
    with pytest.raises(Conflict):
        refund_inbox_receipt(credited.pk, "olga")


def test_a_payment_that_no_refund_could_carry_stays_in_the_inbox(everything, operator):
    odd = stray_payment(everything.held, memo="é" * 20, memo_type="text")
    answer = press(operator, odd, "refund")
    assert "Nothing was changed." in words(answer)
    odd.refresh_from_db()
    assert odd.rest == Receipt.Rest.INBOX


@pytest.mark.django_db(transaction=True)
def test_of_operators_who_decide_at_once_one_wins():
    receipt = stray_payment(make_transaction(make_sending_anchor("NairaPay")))
    outcomes = []

    def decide(service, name):
        try:
            service(receipt.pk, name)
            outcomes.append("done")
        except Conflict:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=decide, args=(service, f"{service.__name__}{number}"))
        for number in range(4)
        for service in (refund_inbox_receipt, keep_inbox_receipt)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done"] + ["refused"] * 7
    receipt.refresh_from_db()
    assert Refund.objects.count() == (1 if receipt.rest == Receipt.Rest.REFUND else 0)
    assert all(balance.difference == 0 for balance in balance_books())


@pytest.mark.django_db(transaction=True)
def test_deciding_on_a_rest_does_not_block_its_transactions_own_refund(settings):
    """Both insert a refund that points at the receipt and the transaction, in either order."""
    anchor = make_sending_anchor("NairaPay")
    from tests.integration.admin.conftest import paid

    for _ in range(5):
        row = paid(anchor, amount=Decimal(130))
        receipt = Receipt.objects.get(transaction=row)
        Refund.objects.filter(receipt=receipt).delete()
        Receipt.objects.filter(pk=receipt.pk).update(rest=Receipt.Rest.INBOX)
        failures = []

        def run(work, failures=failures):
            try:
                work()
            except Exception as error:
                failures.append(error)
            finally:
                connections.close_all()

        threads = [
            threading.Thread(target=run, args=(work,))
            for work in (
                lambda pk=receipt.pk: refund_inbox_receipt(pk, "olga"),
                lambda pk=row.pk: request_by_operator(pk, Wish.REFUND, "otto"),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert Refund.objects.filter(receipt=receipt).count() == 2


# -- Callbacks, outgoing payments, unread records ---------------------------------------------
def test_a_callback_is_sent_again(everything, operator):
    press(operator, everything.callback, "resend")
    everything.callback.refresh_from_db()
    assert everything.callback.status == Callback.Status.PENDING


def test_a_failed_payment_is_paid_again(everything, operator):
    page = words(operator.get(action_url(everything.failed_payment, "retry")))
    assert "op_no_trust" in page
    press(operator, everything.failed_payment, "retry")
    everything.failed_payment.refresh_from_db()
    assert everything.failed_payment.status == OutgoingPayment.Status.PENDING


def test_an_unread_record_is_marked_as_dealt_with(everything, operator):
    press(operator, everything.unread, "resolve")
    everything.unread.refresh_from_db()
    assert everything.unread.resolved_at is not None


# -- Customers --------------------------------------------------------------------------------
def test_personal_data_is_shown_on_a_post_alone_and_the_history_tells_who_looked(
    everything, operator
):
    asked = words(operator.get(action_url(everything.customer, "reveal")))
    assert RECEIVER["bank_account_number"] not in asked
    shown = press(operator, everything.customer, "reveal")
    for value in RECEIVER.values():
        assert value in words(shown)
    assert "no-store" in shown.headers["Cache-Control"]
    [entry] = LogEntry.objects.all()
    assert "bank_account_number" in entry.change_message
    assert entry.user.username == "olga"


def test_the_history_never_holds_a_value(everything, operator):
    press(operator, everything.customer, "reveal")
    press(
        operator,
        everything.customer,
        "decide",
        type="sep31-receiver",
        status="REJECTED",
        message="Somebody called Zebedee is on a list",
    )
    text = " ".join(f"{e.object_repr} {e.change_message}" for e in LogEntry.objects.all())
    assert LogEntry.objects.count() == 2
    for value in set(RECEIVER.values()) - {"001"}:
        assert value not in text
    history = words(operator.get(f"{page_url(everything.customer)[:-7]}history/"))
    assert "Zebedee" not in history


def test_an_operator_decides_on_a_customer(everything, operator):
    answer = press(
        operator, everything.customer, "decide", type="sep31-receiver", status="REJECTED"
    )
    assert "A rejection needs a message" in words(answer)
    press(
        operator,
        everything.customer,
        "decide",
        type="sep31-receiver",
        status="REJECTED",
        message="We can't serve this customer.",
    )
    decision = Decision.objects.get(customer=everything.customer, type="sep31-receiver")
    assert (decision.status, decision.decided_by) == ("REJECTED", "olga")


# -- Partners and rates -----------------------------------------------------------------------
def partner(anchor, **changes):
    return {
        "name": anchor.name,
        "enabled": "on",
        "allowed_callback_hosts": "",
        "allowed_assets": "",
        "accounts-TOTAL_FORMS": "1",
        "accounts-INITIAL_FORMS": "1",
        "accounts-0-id": str(anchor.accounts.get().pk),
        "accounts-0-sending_anchor": str(anchor.pk),
        "accounts-0-account": anchor.accounts.get().account,
        **changes,
    }


def test_a_sending_anchor_is_limited_and_shut_out(anchor, operator):
    row = anchor.sending_anchor
    hosts = "Pay.example.com\nhooks.example.com"
    changes = {"allowed_callback_hosts": hosts, "max_daily_amount": "5000"}
    data = partner(row, **changes)
    del data["enabled"]
    assert operator.post(page_url(row), data).status_code == 302
    row = SendingAnchor.objects.get(pk=row.pk)
    assert not row.enabled
    assert row.allowed_callback_hosts == ["pay.example.com", "hooks.example.com"]
    assert row.max_daily_amount == 5000


def test_a_sending_anchors_account_must_be_one(anchor, operator):
    data = {
        "name": "Another",
        "enabled": "on",
        "accounts-TOTAL_FORMS": "1",
        "accounts-INITIAL_FORMS": "0",
        "accounts-0-account": "G" + "A" * 55,
    }
    answer = operator.post("/admin/sep10/sendinganchor/add/", data)
    assert "This must be a Stellar account" in words(answer)
    good = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
    answer = operator.post("/admin/sep10/sendinganchor/add/", {**data, "accounts-0-account": good})
    assert answer.status_code == 302
    assert SendingAnchorAccount.objects.get(account=good).sending_anchor.name == "Another"


def test_an_asset_that_is_none_is_refused(anchor, operator):
    row = anchor.sending_anchor
    answer = operator.post(page_url(row), partner(row, allowed_assets="USDC"))
    assert "an asset is named like stellar:USDC:G" in words(answer)


def add_rate(client, rate, **more):
    return client.post("/admin/sep38/rate/add/", {"pair": "1", "new_rate": rate, **more})


def test_a_rate_is_added_and_the_old_one_stays(everything, operator):
    assert add_rate(operator, "17.9").status_code == 302
    newest = Rate.objects.latest("pk")
    assert (newest.rate, newest.source, newest.sell_asset) == (Decimal("17.9"), "olga", usdc())
    assert Rate.objects.count() == 2


@pytest.mark.parametrize("rate", ["0", "-1", "1e3", "NaN", "17,5", "", "1.1234567890123"])
def test_a_rate_that_is_none_is_refused(everything, operator, rate):
    assert add_rate(operator, rate).status_code == 200
    assert Rate.objects.count() == 1


def test_a_rate_that_moves_far_must_be_meant(everything, operator):
    assert "away" in words(add_rate(operator, "175"))
    assert Rate.objects.count() == 1
    assert add_rate(operator, "175", is_meant="on").status_code == 302
    assert Rate.objects.latest("pk").rate == 175


def test_the_status_written_by_the_machine_is_all_that_changed(everything, operator):
    other = Transaction.objects.filter(pk=everything.held.pk).values().get()
    press(operator, everything.stuck, "retry")
    assert Transaction.objects.filter(pk=everything.held.pk).values().get() == other
