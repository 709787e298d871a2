"""One running service for all of these tests, and a set of payments to put through it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet.service import ALL, RunningService
from tests.faults.payments import Payments
from tests.faults.processes import thaw

# Short, so that what a fault holds up goes on soon; none of the tests relies on any of them.
SETTINGS = {
    "SWEEP_SECONDS": "1",
    "WATCH_SECONDS": "10",
    "PAYOUT_FIRST_RETRY_SECONDS": "1",
    "CALLBACK_FIRST_RETRY_SECONDS": "1",
    "BANK_TIMEOUT_SECONDS": "1",
    "HORIZON_TIMEOUT_SECONDS": "2",
    "DB_IDLE_IN_TRANSACTION_SECONDS": "5",
    "LEDGER_SECONDS": "0.3",
}


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[RunningService]:
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    with RunningService(folder, settings=SETTINGS) as running:
        yield running
    if request.session.testsfailed:
        print(f"\nThe state of the service is kept in {folder}")
    else:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _payments(service: RunningService) -> Iterator[Payments]:
    with Payments(service) as payments:
        yield payments


@pytest.fixture
def payments(service: RunningService, _payments: Payments) -> Iterator[Payments]:
    """Payments through a service that is whole, before the test and for whoever comes after it."""
    yield _payments
    for name in ALL:
        thaw(service, name)
        service.start_process(name)
    _payments.forget()
