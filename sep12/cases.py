"""The queue of customers who wait for a decision of KYC: our operators', or a provider's.

One case is open for each type for which a customer waits. A review is of what the customer says
now, whatever that becomes meanwhile; a provider's case is of one revision of it and no other, so
that a late answer can't be taken for one about newer values.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.utils import timezone

from kernel.announce import announce
from sep12.decisions import customer_decisions
from sep12.dossiers import Dossier, open_dossiers
from sep12.models import Case, Customer, Decision
from sep12.signals import case_due
from sep12.status import PROCESSING
from sep12.types import CustomerType, customer_types

# Screening opens and closes cases of its own.
KINDS = (Case.Kind.REVIEW, Case.Kind.PROVIDER)

# Outcomes, beside the statuses of a decision.
REPLACED = "REPLACED"  # by a case for newer values
NOT_NEEDED = "NOT_NEEDED"  # fields are missing again, or it was decided elsewhere


def waits_for_decision(dossier: Dossier, customer_type: CustomerType) -> bool:
    """Whether the client has told all, and somebody has to decide."""
    return (
        dossier.assess(customer_type).status == PROCESSING
        and dossier.decide(customer_type).status == PROCESSING
    )


def settle_cases(
    customer: Customer, type_name: str, waits: bool, *, decided: Iterable[str] = ()
) -> None:
    """Open the case of a customer who `waits` for a decision as `type_name`, close it otherwise.

    So too for each other type for which it ever had one, or was `decided` on: a change of values
    concerns them all. To be called after each change, with the customer's lock. One query where
    there is no case.
    """
    newest = Case.objects.newest(customer, KINDS)
    waiting = {type_name: waits}
    if others := {*decided, *(case.type for case in newest)} - {type_name}:
        dossier, types = open_dossiers([customer])[customer.pk], customer_types()
        for name in others:
            waiting[name] = name in types and waits_for_decision(dossier, types[name])
    wanted = customer_decisions().case_kind
    for name, it_waits in waiting.items():
        open_cases = [case for case in newest if case.type == name and case.closed_at is None]
        _settle_type(customer, name, wanted if it_waits else None, open_cases)


def ask_for_decision(customer_id: uuid.UUID, type_name: str) -> None:
    """Open a case if the customer waits for a decision as `type_name`, for which it may never have
    been registered. In the caller's transaction; several customers in primary-key order.
    """
    customer = Customer.objects.lock_present(pk=customer_id)
    if customer is not None:
        dossier, customer_type = open_dossiers([customer])[customer_id], customer_types()[type_name]
        settle_cases(customer, type_name, waits_for_decision(dossier, customer_type))


def _settle_type(
    customer: Customer, type_name: str, wanted: Case.Kind | None, open_cases: list[Case]
) -> None:
    has_case = False
    for case in open_cases:
        if case.kind != wanted:
            close_case(case, *_outcome(customer, type_name))
        elif case.revision == customer.revision:
            has_case = True
        elif case.kind == Case.Kind.PROVIDER and case.tries:
            # The provider knows this id with other values.
            close_case(case, REPLACED)
        else:
            # It keeps its place in the queue.
            has_case = True
            case.revision = customer.revision
            case.save(update_fields=["revision"])
    if wanted is not None and not has_case:
        _open(customer, wanted, type_name)


def _open(customer: Customer, kind: Case.Kind, type_name: str) -> None:
    is_providers = kind == Case.Kind.PROVIDER
    case = Case.objects.create(
        customer=customer,
        kind=kind,
        type=type_name,
        revision=customer.revision,
        due_at=timezone.now() if is_providers else None,
    )
    if is_providers:
        announce(case_due, case_id=case.pk)


def close_case(case: Case, outcome: str, closed_by: str = "") -> None:
    case.closed_at = timezone.now()
    case.outcome, case.closed_by = outcome, closed_by
    case.due_at = None
    case.save(update_fields=["closed_at", "outcome", "closed_by", "due_at"])


def _outcome(customer: Customer, type_name: str) -> tuple[str, str]:
    """(outcome, closed by) of a case that is not needed any more."""
    decision = Decision.objects.filter(
        customer=customer, type=type_name, revision=customer.revision
    ).first()
    if decision is None or decision.status == PROCESSING:
        return NOT_NEEDED, ""
    return decision.status, decision.decided_by
