"""Who decides on customers: the class that `settings.CUSTOMER_DECISIONS` names."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from sep12.models import Case
from sep12.status import ACCEPTED, PROCESSING, REJECTED, Verdict


class CustomerDecisions(Protocol):
    """How a KYC process decides on customers that gave us all we require.

    `case_kind` says who gets a case for each customer that waits for a decision: our operators, an
    outside provider, or (None) nobody, since the process hears of customers in its own way.
    """

    case_kind: ClassVar[Case.Kind | None]

    def decide(self, customer_type: str, recorded: Verdict | None) -> Verdict:
        """The verdict for `customer_type`, given the one on record if any.

        It is asked at each look at a customer, so it must not call the outside world, and what it
        answers may follow from these two alone: of customers about whom nothing or a plain yes is
        on record it is asked before they are looked up (`sep12.accepted`). A process that takes
        its time answers PROCESSING here and reports through
        `services.record_decision`.
        """
        ...


class AcceptAtOnce:
    """All required fields are enough, unless an operator recorded something else. For test
    networks."""

    case_kind: ClassVar[Case.Kind | None] = None

    def decide(self, customer_type: str, recorded: Verdict | None) -> Verdict:
        return recorded or Verdict(ACCEPTED)


class OperatorReview:
    """Our operators decide on each customer, and again after each change of its values."""

    case_kind: ClassVar[Case.Kind | None] = Case.Kind.REVIEW

    def decide(self, customer_type: str, recorded: Verdict | None) -> Verdict:
        return _still_holds(recorded)


class HttpProvider:
    """An outside provider decides (`sep12.provider`), and again after each change of values."""

    case_kind: ClassVar[Case.Kind | None] = Case.Kind.PROVIDER

    def decide(self, customer_type: str, recorded: Verdict | None) -> Verdict:
        return _still_holds(recorded)


def _still_holds(recorded: Verdict | None) -> Verdict:
    """What was decided on the values that we hold now. A rejection is of the person, not of a
    value: SEP-12, "Customer Statuses", says that it "will never succeed"."""
    if recorded is not None and (recorded.is_current or recorded.status == REJECTED):
        return recorded
    return Verdict(PROCESSING)


@lru_cache(maxsize=4)
def _load(path: str) -> CustomerDecisions:
    decisions: CustomerDecisions = import_string(path)()
    return decisions


def customer_decisions() -> CustomerDecisions:
    return _load(settings.CUSTOMER_DECISIONS)
