"""Two of what there should be one of, and the same payment seen more than once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from localnet.service import ROOT, RunningService
from tests.faults.payments import Payments
from tests.faults.processes import freeze, frozen, thaw

pytestmark = pytest.mark.faults

# Watches as the task does, but never goes away because another one is there.
_WATCH = """
import django
django.setup()
from django.conf import settings
from stellar import watcher
from stellar.sources import HorizonSource
print("watching", flush=True)
with HorizonSource() as source:
    watcher.watch(settings.DISTRIBUTION_ACCOUNT, source, seconds=3600, should_stop=lambda: False)
"""


@contextmanager
def _twin_of(service: RunningService, name: str) -> Iterator[None]:
    twin = service.start_twin(name)
    try:
        yield
    finally:
        twin.kill()
        twin.wait()


@contextmanager
def _running(
    service: RunningService, program: str, *arguments: str, until: str
) -> Iterator[subprocess.Popen[str]]:
    """Another process of the anchor's code, once it has printed `until`."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**service.env, "DJANGO_SETTINGS_MODULE": "anchor.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{until}\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_many_watchers_and_workers_at_once_credit_and_pay_once(
    service: RunningService, payments: Payments
) -> None:
    with ExitStack() as stack:
        for twin in ("watcher", "worker", "beat"):
            stack.enter_context(_twin_of(service, twin))
        for _ in range(2):
            stack.enter_context(_running(service, _WATCH, until="watching"))
        with payments.flowing():
            payments.wait_for_steps(30)
        payments.check()


def test_payments_that_are_delivered_again_are_credited_once(
    service: RunningService, payments: Payments
) -> None:
    with payments.flowing():
        payments.wait_for_steps(20)
        service.manage("start_watching", "--cursor", "0", "--move")
        payments.wait_for_steps(10)
    payments.check()


def test_another_watcher_goes_on_where_one_froze(
    service: RunningService, payments: Payments
) -> None:
    payments.start("paid")
    payments.check()  # by now a watcher watches
    freeze(service, "watcher")
    with _twin_of(service, "watcher"):
        payments.start("paid", "undeliverable")
        payments.check()
        thaw(service, "watcher")
        payments.start("paid")
        payments.check()


def test_another_worker_goes_on_where_one_froze_with_a_claim_in_hand(
    service: RunningService, payments: Payments
) -> None:
    started = payments.start("timeout_paid", "timeout_once")
    for payment in started:
        payments.wait_until_asked(payment)
    freeze(service, "worker")
    with _twin_of(service, "worker"):
        payments.check()
        thaw(service, "worker")
        # What the frozen one still meant to do, it does before or beside these.
        payments.start("paid", "timeout_paid")
        payments.check()


# Takes a transaction's lock as `advance` does, and then does nothing any more.
_LOCK = """
import sys
import time
import django
django.setup()
from django.db import transaction
from sep31.models import Transaction
with transaction.atomic():
    Transaction.objects.lock_for_change(sys.argv[1:])
    print("locked", flush=True)
    time.sleep(3600)
"""


def test_who_freezes_with_a_lock_in_hand_does_not_hold_up_a_payment_for_ever(
    service: RunningService, payments: Payments
) -> None:
    with ExitStack() as stack:
        with frozen(service, "bank"):
            [payment] = payments.start("paid")
            payments.wait_until_asked(payment)
            stack.enter_context(_running(service, _LOCK, str(payment.id), until="locked"))
        payments.check()
