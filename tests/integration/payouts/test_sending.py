"""Payouts against a real bank process: each outcome, crashes, races, and never a second payment."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from localnet.bank import TEST_ACCOUNTS
from payouts import services
from payouts.models import Attempt, Payout
from payouts.rails.base import Answer, Outcome
from payouts.rails.sandbox_bank import SandboxBank
from payouts.signals import payout_changed, payout_due
from tests.integration.payouts.conftest import (
    let_time_pass,
    make_details,
    make_payout,
    take_to_rail,
)

pytestmark = pytest.mark.django_db(transaction=True)
P, A = Payout.Status, Attempt.Status


class Killed(BaseException):
    """Stands for `kill -9`: nothing after it runs, and no handler of ours stops it."""


def statuses(payout):
    return [attempt.status for attempt in payout.attempts.all()]


def run_in_threads(*calls):
    """Run all at once, each with its own database connection; their results or exceptions."""
    results = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(index, call):
        try:
            start.wait()
            results[index] = call()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def settle(payout, status):
    """Ask the bank until the payout has left ACCEPTED."""
    for _ in range(100):
        if take_to_rail(payout).status != P.ACCEPTED:
            break
        time.sleep(0.02)
    assert payout.status == status
    return payout


# -- Each outcome -----------------------------------------------------------------------------


def test_an_ordinary_payout_is_delivered_once_with_its_amount_to_the_cent(bank):
    payout = take_to_rail(make_payout())
    assert payout.status == P.DELIVERED
    assert payout.delivered_at is not None
    assert payout.next_try_at is None
    [payment] = bank.payments(payout.pk)
    assert (payment["amount"], payment["currency"]) == ("1700.50", "MXN")
    assert payment["account_holder"] == "Ana Luna"
    assert payment["key"] == str(payout.attempts.get().pk)
    assert payment["id"] == payout.rail_reference


def test_mobile_money_goes_to_the_mobile_number(bank):
    details = {"first_name": "Ana", "last_name": "Luna", "mobile_money_number": "+525555123456"}
    payout = take_to_rail(make_payout(method="mobile_money", details=details))
    assert payout.status == P.DELIVERED
    assert bank.payments(payout.pk)[0]["account_number"] == "+525555123456"


def test_an_accepted_payout_is_asked_after_until_it_is_delivered(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["paid_later"]))
    assert payout.status == P.ACCEPTED
    assert statuses(payout) == [A.ACCEPTED]
    settle(payout, P.DELIVERED)
    assert statuses(payout) == [A.DELIVERED]
    assert len(bank.payments(payout.pk)) == 1


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        ("refused_account", {"bank_account_number"}),
        ("refused_name", {"first_name", "last_name"}),
    ],
)
def test_a_refused_payout_names_the_fields_and_waits(bank, outcome, fields):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS[outcome]))
    assert payout.status == P.REFUSED
    assert set(payout.refused_fields) == fields
    assert all(payout.refused_fields.values())
    assert payout.next_try_at is None
    assert bank.payments(payout.pk) == []


def test_a_payout_sent_back_later_is_refused_with_its_field(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["later_refused"]))
    assert payout.status == P.ACCEPTED
    settle(payout, P.REFUSED)
    assert set(payout.refused_fields) == {"bank_account_number"}


def test_a_payout_sent_back_later_for_a_closed_account_has_failed(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["later_undeliverable"]))
    settle(payout, P.FAILED)


def test_a_closed_account_fails_at_once(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["undeliverable"]))
    assert (payout.status, statuses(payout)) == (P.FAILED, [A.FAILED])
    assert payout.message == "The account is closed"
    assert payout.next_try_at is None


def test_a_passing_failure_is_retried_with_a_new_attempt_until_it_is_paid(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["fails_twice"]))
    assert payout.status == P.DUE
    assert payout.next_try_at > timezone.now()
    take_to_rail(payout, times=2)
    assert payout.status == P.DELIVERED
    assert statuses(payout) == [A.FAILED, A.FAILED, A.DELIVERED]
    assert len(bank.payments(payout.pk)) == 1


def test_a_payout_that_fails_each_time_has_failed_after_the_last_try(bank, settings):
    payout = take_to_rail(
        make_payout(TEST_ACCOUNTS["always_fails"]), times=settings.PAYOUT_MAX_TRIES + 3
    )
    assert payout.status == P.FAILED
    assert statuses(payout) == [A.FAILED] * settings.PAYOUT_MAX_TRIES


def test_missing_details_are_refused_by_name_before_the_bank_hears_of_it(bank):
    details = make_details()
    del details["bank_number"]
    payout = take_to_rail(make_payout(details=details))
    assert payout.status == P.REFUSED
    assert set(payout.refused_fields) == {"bank_number"}
    assert bank.get(f"/payouts/by-reference/{payout.pk}").status_code == 404


# -- Unknown outcomes -------------------------------------------------------------------------


def test_a_time_out_that_was_paid_is_looked_up_and_paid_once(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["timeout_paid"]))
    assert (payout.status, statuses(payout)) == (P.IN_FLIGHT, [A.CLAIMED])
    assert "unknown" in payout.message
    take_to_rail(payout)
    assert (payout.status, statuses(payout)) == (P.DELIVERED, [A.DELIVERED])
    assert payout.message == ""
    assert len(bank.payments(payout.pk)) == 1


def test_a_time_out_that_was_never_seen_is_sent_again_under_the_same_key(bank):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["timeout_once"]))
    assert payout.status == P.IN_FLIGHT
    take_to_rail(payout)
    assert (payout.status, statuses(payout)) == (P.DELIVERED, [A.DELIVERED])
    [payment] = bank.payments(payout.pk)
    assert payment["key"] == str(payout.attempts.get().pk)


def test_an_outcome_that_stays_unknown_is_never_a_failure_and_never_a_second_attempt(
    bank, settings
):
    settings.BANK_URL = "http://127.0.0.1:9"  # nobody listens
    payout = take_to_rail(make_payout(), times=settings.PAYOUT_MAX_TRIES + 3)
    assert (payout.status, statuses(payout)) == (P.IN_FLIGHT, [A.CLAIMED])
    assert payout.next_try_at > timezone.now()
    assert "outcome unknown, 7 call(s) so far" in payout.message
    settings.BANK_URL = bank.url
    take_to_rail(payout)
    assert (payout.status, len(bank.payments(payout.pk))) == (P.DELIVERED, 1)


def test_a_wrong_api_key_is_an_unknown_outcome_that_the_right_one_mends(bank, settings):
    settings.BANK_API_KEY = "wrong"
    payout = take_to_rail(make_payout(), times=2)
    assert payout.status == P.IN_FLIGHT
    assert "HTTP 401" in payout.message
    settings.BANK_API_KEY = bank.api_key
    take_to_rail(payout)
    assert (payout.status, len(bank.payments(payout.pk))) == (P.DELIVERED, 1)


def test_an_accepted_payout_that_the_bank_no_longer_knows_is_not_sent_again(bank, monkeypatch):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["paid_later"]))
    monkeypatch.setattr(SandboxBank, "look_up", lambda self, key: None)
    monkeypatch.setattr(SandboxBank, "send", lambda self, order: pytest.fail("sent again"))
    take_to_rail(payout)
    assert (payout.status, statuses(payout)) == (P.ACCEPTED, [A.ACCEPTED])
    assert "never seen now" in payout.message


def test_a_rail_whose_code_breaks_leaves_the_outcome_unknown(bank, monkeypatch):
    def send_and_break(self, order):
        real_send(self, order)
        raise RuntimeError("no account 9876543210")

    real_send = SandboxBank.send
    monkeypatch.setattr(SandboxBank, "send", send_and_break)
    payout = take_to_rail(make_payout())
    assert payout.status == P.IN_FLIGHT
    assert "9876543210" not in payout.message
    take_to_rail(payout)
    assert (payout.status, len(bank.payments(payout.pk))) == (P.DELIVERED, 1)


# -- Crashes ----------------------------------------------------------------------------------


def test_a_worker_killed_before_the_call_is_made_up_for_when_its_claim_lapses(bank, monkeypatch):
    def die(self, order):
        raise Killed

    payout = make_payout()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SandboxBank, "send", die)
        services.send_payout(payout.pk)
    assert statuses(payout) == [A.CLAIMED]
    assert services.send_payout(payout.pk) is False, "the claim still stands"
    take_to_rail(payout)
    assert (payout.status, statuses(payout)) == (P.DELIVERED, [A.DELIVERED])
    assert len(bank.payments(payout.pk)) == 1


@pytest.mark.parametrize(
    ("outcome", "expected", "payments"),
    [
        ("paid", P.DELIVERED, 1),
        ("refused_account", P.REFUSED, 0),
        ("undeliverable", P.FAILED, 0),
        ("always_fails", P.DUE, 0),
    ],
)
def test_a_worker_killed_after_the_call_loses_nothing_of_the_answer(
    bank, monkeypatch, outcome, expected, payments
):
    def die(claim, answer):
        raise Killed

    payout = make_payout(TEST_ACCOUNTS[outcome])
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(services, "_record", die)
        services.send_payout(payout.pk)
    monkeypatch.setattr(SandboxBank, "send", lambda self, order: pytest.fail("sent again"))
    take_to_rail(payout)
    assert payout.status == expected
    assert len(statuses(payout)) == 1
    assert len(bank.payments(payout.pk)) == payments


def test_a_claim_outlasts_all_that_one_worker_may_do_with_it(bank, monkeypatch):
    def look_at_claim(self, order):
        row = Payout.objects.get()
        left.append(row.next_try_at - timezone.now())
        return Answer(Outcome.DELIVERED)

    left: list[timedelta] = []
    monkeypatch.setattr(SandboxBank, "send", look_at_claim)
    services.send_payout(make_payout().pk)
    assert left[0].total_seconds() > 2 * SandboxBank().call_seconds


def test_the_rail_is_called_with_no_transaction_open(bank, monkeypatch):
    def check_send(self, order):
        inside.append(connection.in_atomic_block)
        return Answer(Outcome.UNKNOWN)

    def check_look_up(self, key):
        inside.append(connection.in_atomic_block)

    inside: list[bool] = []
    monkeypatch.setattr(SandboxBank, "send", check_send)
    monkeypatch.setattr(SandboxBank, "look_up", check_look_up)
    take_to_rail(make_payout(), times=2)
    assert inside == [False, False, False]


def test_sending_inside_a_transaction_is_a_mistake_that_does_not_pass(bank):
    payout = make_payout()
    with pytest.raises(RuntimeError), transaction.atomic():
        services.send_payout(payout.pk)
    assert bank.payments(payout.pk) == []


# -- Several at once --------------------------------------------------------------------------


def test_many_workers_on_one_payout_make_one_attempt_and_one_payment(bank):
    payout = make_payout()
    results = run_in_threads(*[lambda: services.send_payout(payout.pk)] * 6)
    assert sorted(results) == [False] * 5 + [True]
    assert statuses(payout) == [A.DELIVERED]
    assert len(bank.payments(payout.pk)) == 1


def test_two_sweeps_at_once_deliver_every_payout_once(bank):
    payouts = [make_payout() for _ in range(12)]
    handled = run_in_threads(services.send_due_payouts, services.send_due_payouts)
    assert sum(handled) == 12
    for payout in payouts:
        assert statuses(payout) == [A.DELIVERED]
        assert len(bank.payments(payout.pk)) == 1


def test_two_workers_that_call_with_one_key_after_a_lapsed_claim_pay_once(bank, monkeypatch):
    def send_slowly(self, order):
        # Its claim lapses while it is held up; another worker takes over, then both send.
        if first.acquire(blocking=False):
            let_time_pass(payout)
            services.send_payout(payout.pk)
        return real_send(self, order)

    first, real_send = threading.Lock(), SandboxBank.send
    payout = make_payout()
    monkeypatch.setattr(SandboxBank, "send", send_slowly)
    assert services.send_payout(payout.pk) is True
    payout.refresh_from_db()
    assert (payout.status, statuses(payout)) == (P.DELIVERED, [A.DELIVERED])
    assert len(bank.payments(payout.pk)) == 1


@pytest.mark.parametrize("_round", range(8))
def test_a_payout_is_cancelled_or_sent_but_never_both(bank, _round):
    payout = make_payout()
    cancelled, _ = run_in_threads(
        lambda: services.cancel_payout(payout.pk), lambda: services.send_payout(payout.pk)
    )
    payout.refresh_from_db()
    if isinstance(cancelled, services.PayoutInFlight):
        assert (payout.status, len(bank.payments(payout.pk))) == (P.DELIVERED, 1)
    else:
        assert (payout.status, statuses(payout)) == (P.CANCELLED, [])
        assert bank.payments(payout.pk) == []


def test_a_late_answer_does_not_change_a_settled_attempt_and_is_reported(bank, monkeypatch, caplog):
    def settle_meanwhile(self, order):
        # Another worker settles the attempt while this one's answer is on its way.
        Attempt.objects.update(status=A.DELIVERED)
        Payout.objects.update(status=P.DELIVERED, next_try_at=None)
        return Answer(Outcome.FAILED, message="too late")

    monkeypatch.setattr(SandboxBank, "send", settle_meanwhile)
    payout = make_payout()
    with caplog.at_level(logging.ERROR):
        services.send_payout(payout.pk)
    payout.refresh_from_db()
    assert (payout.status, statuses(payout)) == (P.DELIVERED, [A.DELIVERED])
    assert payout.message == ""
    assert str(payout.attempts.get().pk) in caplog.text


def test_a_late_answer_to_an_old_attempt_leaves_the_new_one_alone(bank, monkeypatch):
    answers = []
    payout = make_payout(TEST_ACCOUNTS["fails_twice"])
    real_record = services._record
    monkeypatch.setattr(services, "_record", lambda *given: answers.append(given))
    services.send_payout(payout.pk)
    monkeypatch.setattr(services, "_record", real_record)
    take_to_rail(payout, times=3)
    assert statuses(payout) == [A.FAILED, A.FAILED, A.DELIVERED]
    services._record(*answers[0])
    payout.refresh_from_db()
    assert payout.status == P.DELIVERED
    assert statuses(payout) == [A.FAILED, A.FAILED, A.DELIVERED]


# -- The database as referee ------------------------------------------------------------------


@pytest.mark.parametrize("first", Attempt.LIVE)
@pytest.mark.parametrize("second", Attempt.LIVE)
def test_two_attempts_that_may_have_paid_cannot_stand_side_by_side(first, second):
    payout = make_payout()
    Attempt.objects.create(payout=payout, number=1, status=first, details={})
    with pytest.raises(IntegrityError, match="attempt_one_that_may_have_paid"):
        Attempt.objects.create(payout=payout, number=2, status=second, details={})


@pytest.mark.parametrize("first", [A.REFUSED, A.FAILED])
def test_a_new_attempt_may_follow_one_that_did_not_pay(first):
    payout = make_payout()
    Attempt.objects.create(payout=payout, number=1, status=first, details={})
    Attempt.objects.create(payout=payout, number=2, details={})


@pytest.mark.parametrize(
    ("status", "has_time"), [(P.DUE, False), (P.IN_FLIGHT, False), (P.DELIVERED, True)]
)
def test_a_payout_has_a_next_try_exactly_while_it_is_open(status, has_time):
    payout = make_payout()
    when = timezone.now() if has_time else None
    with pytest.raises(IntegrityError, match="payout_open_has_next_try"):
        Payout.objects.filter(pk=payout.pk).update(status=status, next_try_at=when)


# -- The sweep --------------------------------------------------------------------------------


def test_the_sweep_takes_what_is_due_and_leaves_what_is_not(bank):
    due, later = make_payout(), make_payout()
    Payout.objects.filter(pk=later.pk).update(next_try_at=timezone.now() + timedelta(hours=1))
    assert services.send_due_payouts() == 1
    due.refresh_from_db()
    later.refresh_from_db()
    assert (due.status, later.status) == (P.DELIVERED, P.DUE)


def test_the_sweep_takes_no_more_than_its_limit_and_the_longest_waiting_first(bank):
    payouts = [make_payout() for _ in range(3)]
    assert services.send_due_payouts(limit=2) == 2
    left = Payout.objects.get(status=P.DUE)
    assert left.pk == payouts[2].pk


def test_one_payout_that_cannot_be_handled_does_not_hold_up_the_others(bank, caplog):
    broken, sound = make_payout(), make_payout()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payouts_payout SET details = 'x' WHERE id = %s", [broken.pk])
    assert services.send_due_payouts() == 1
    sound.refresh_from_db()
    assert sound.status == P.DELIVERED
    assert f"{broken.pk} could not be handled (CannotUnseal)" in caplog.text


def test_sending_costs_the_same_few_queries_however_many_attempts_went_before(
    bank, django_assert_max_num_queries
):
    payout = take_to_rail(make_payout(TEST_ACCOUNTS["always_fails"]), times=3)
    let_time_pass(payout)
    with django_assert_max_num_queries(13):  # BEGIN and COMMIT included
        services.send_payout(payout.pk)


# -- Announcements and personal data ----------------------------------------------------------


def test_each_change_of_status_is_announced_after_it_can_be_read(bank):
    def hear(payout_id, **_):
        heard.append(Payout.objects.get(pk=payout_id).status)

    heard: list[str] = []
    payout_changed.connect(hear)
    try:
        payout = make_payout(TEST_ACCOUNTS["refused_account"])
        take_to_rail(payout)
        services.retry_payout(payout.pk, details=make_details())
        take_to_rail(payout)
    finally:
        payout_changed.disconnect(hear)
    assert heard == ["in_flight", "refused", "due", "in_flight", "delivered"]


def test_a_payout_that_may_be_sent_now_is_announced_as_due(bank):
    def hear(payout_id, **_):
        heard.append(payout_id)

    heard: list[object] = []
    payout_due.connect(hear)
    try:
        payout = make_payout(TEST_ACCOUNTS["undeliverable"])
        take_to_rail(payout)
        services.retry_payout(payout.pk)
    finally:
        payout_due.disconnect(hear)
    assert heard == [payout.pk, payout.pk]


def test_nothing_of_the_receiving_client_can_be_read_in_the_database_or_the_log(
    bank, monkeypatch, caplog
):
    def gossip(self, order):
        said = f"{order.details['bank_account_number']} is not Ana LUNA's\x00"
        return Answer(
            Outcome.REFUSED,
            fields={"bank_account_number": said * 100},
            message=said,
            rail_reference=said,
        )

    monkeypatch.setattr(SandboxBank, "send", gossip)
    with caplog.at_level(logging.DEBUG):
        payout = take_to_rail(make_payout())
    assert payout.status == P.REFUSED
    assert payout.details["bank_account_number"] == "9876543210"
    stored = caplog.text
    with connection.cursor() as cursor:
        for table in ("payouts_payout", "payouts_attempt"):
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")
            stored += str(cursor.fetchall())
    for secret in ("9876543210", "Luna", "LUNA", "Ana"):
        assert secret not in stored
    assert len(payout.refused_fields["bank_account_number"]) <= 300
