"""Who decides on customers: the class that `settings.CUSTOMER_DECISIONS` names."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from sep12.status import ACCEPTED, Verdict


class CustomerDecisions(Protocol):
    """How a KYC process decides on customers that gave us all we require.

    It is asked at each look at a customer, so it must not call the outside world. A process that
    takes its time answers PROCESSING where nothing is recorded yet, hears of customers by
    `signals.customer_changed`, and reports through `services.record_decision`.
    """

    def decide(self, customer_type: str, recorded: Verdict | None) -> Verdict:
        """The verdict for `customer_type`, given the one on record if any."""
        ...


class AcceptAtOnce:
    """All required fields are enough, unless an operator recorded something else."""

    def decide(self, customer_type: str, recorded: Verdict | None) -> Verdict:
        return recorded or Verdict(ACCEPTED)


@lru_cache(maxsize=4)
def _load(path: str) -> CustomerDecisions:
    decisions: CustomerDecisions = import_string(path)()
    return decisions


def customer_decisions() -> CustomerDecisions:
    return _load(settings.CUSTOMER_DECISIONS)
