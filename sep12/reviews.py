"""An operator's decision on a case: it holds for what the operator saw, and for nothing newer."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from kernel.errors import Conflict
from sep12.models import Case, Customer


class NotAsSeen(Conflict):
    """The customer, or what was decided on it, is not as it was when the operator looked."""


def digest_of(case: Case, customer: Customer) -> str:
    """Hex SHA-256 of all that a decision on the case rests on, without any value."""
    parts = [
        (case.closed_at, customer.revision, customer.screening, customer.erased_at),
        *customer.fields.order_by("pk").values_list("pk", "status", "error", "updated_at"),
        *customer.decisions.order_by("pk").values_list("pk", "status", "message", "updated_at"),
        *customer.hits.order_by("pk").values_list("pk", "status"),
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@contextmanager
def deciding(case_id: uuid.UUID, *, seen: str) -> Iterator[Case]:
    """An open case whose customer is as it was `seen` (`digest_of`), for what is decided on it in
    this block: all of it, or nothing.

    Raises `NotAsSeen` if the customer changed since, or another operator was faster.
    """
    with transaction.atomic():
        # The customer's lock first, as everywhere: of two operators, one waits here and then
        # reads what the other did.
        owner = Case.objects.filter(pk=case_id).values_list("customer_id", flat=True).first()
        customer = Customer.objects.lock_present(pk=owner)
        case = Case.objects.filter(pk=case_id).first()
        if customer is None or case is None:
            raise NotAsSeen("The customer was erased meanwhile.")
        if case.closed_at:
            by = f" by {case.closed_by}" if case.closed_by else ""
            outcome = f": {case.outcome}" if case.outcome else ""
            raise NotAsSeen(f"The case was closed meanwhile{by}{outcome}.")
        if digest_of(case, customer) != seen:
            raise NotAsSeen("The customer changed since you looked. This is how it is now.")
        yield case
