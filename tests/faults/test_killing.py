"""kill -9 of any one process, while payments flow and at the worst moments."""

from __future__ import annotations

import os
import signal

import pytest

from localnet.service import ALL, RunningService
from tests.faults.payments import Payments
from tests.faults.processes import freeze, frozen, wait_for

pytestmark = pytest.mark.faults


def test_payments_end_as_they_should_though_every_process_is_killed_in_turn(
    service: RunningService, payments: Payments
) -> None:
    with payments.flowing():
        payments.wait_for_steps(20)
        for name in ALL:
            killed = service.kill(name)
            service.wait_until_running(name, instead_of=killed)
            payments.wait_for_steps(8)
    payments.check()


@pytest.mark.parametrize("name", ["worker", "postgres", "bank"])
def test_who_dies_while_the_bank_has_an_order_does_not_make_it_pay_twice(
    service: RunningService, payments: Payments, name: str
) -> None:
    bank = freeze(service, "bank")  # it takes orders, and answers none
    [payment] = payments.start("paid")
    payments.wait_until_asked(payment)
    pid = bank if name == "bank" else service.kill(name)
    os.kill(bank, signal.SIGKILL if name == "bank" else signal.SIGCONT)
    service.wait_until_running(name, instead_of=pid)
    payments.check()


@pytest.mark.parametrize("name", ["worker", "network"])
def test_who_dies_while_a_refund_is_signed_does_not_make_it_leave_twice(
    service: RunningService, payments: Payments, name: str
) -> None:
    [payment] = payments.start("undeliverable")
    wait_for(
        lambda: payments.rows(
            "SELECT 1 FROM stellar_outgoingpayment o JOIN sep31_refund r ON r.outgoing_id = o.id"
            " WHERE o.transaction_hash IS NOT NULL AND r.transaction_id = %s",
            payment,
        ),
        "the refund is signed",
        explain=lambda: payments.explain(payment),
    )
    with frozen(service, "network"):
        pid = service.pid_of(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    service.wait_until_running(name, instead_of=pid)
    payments.check()
