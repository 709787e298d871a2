"""A bank that says nothing for longer than we wait."""

from __future__ import annotations

import pytest

from localnet.service import RunningService
from tests.faults.payments import Payments
from tests.faults.processes import frozen

pytestmark = pytest.mark.faults


def test_an_unknown_outcome_is_looked_up_and_paid_once(
    service: RunningService, payments: Payments
) -> None:
    with frozen(service, "bank"):
        for payment in payments.start("paid", "paid", "refused_account", "timeout_once"):
            # Asked, looked up in vain, and so on: several calls, one attempt.
            payments.wait_until_asked(payment, times=2)
            [attempt] = payments.attempts(payment)
            assert attempt["status"] == "claimed"
            assert attempt["message"].startswith("outcome unknown")
    payments.check()
