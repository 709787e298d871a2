"""What we hold on customers, without the values, and what follows from it. Reads only."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kernel.languages import ENGLISH
from sep12.decisions import customer_decisions
from sep12.models import Customer, CustomerField, Decision
from sep12.screening import screening_enabled
from sep12.serializers import write_customer
from sep12.status import CLEAR, Assessment, FieldState, Verdict, assess
from sep12.types import CustomerType, default_customer_type


@dataclass
class Dossier:
    """A customer, the states of its fields by SEP-9 name, and KYC's verdicts by type."""

    customer: Customer
    fields: dict[str, FieldState] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    @property
    def type(self) -> CustomerType:
        """The type it was last registered for."""
        return default_customer_type(self.customer.type)

    def add_verdict(self, type_name: str, status: str, message: str, revision: int) -> None:
        is_current = revision == self.customer.revision
        self.verdicts[type_name] = Verdict(status, message, is_current=is_current)

    def decide(self, customer_type: CustomerType) -> Verdict:
        recorded = self.verdicts.get(customer_type.name)
        return customer_decisions().decide(customer_type.name, recorded)

    def outdate_verdicts(self) -> None:
        """Note that the customer's values change, which nobody has judged."""
        self.verdicts = {
            name: replace(verdict, is_current=False) for name, verdict in self.verdicts.items()
        }

    def assess(self, customer_type: CustomerType) -> Assessment:
        return assess(
            customer_type,
            self.fields,
            self.decide(customer_type),
            screening=effective_screening(self.customer.screening, screening_enabled()),
        )

    def describe(self, customer_type: CustomerType, language: str = ENGLISH) -> dict[str, Any]:
        """The body of GET /customer for that type."""
        return write_customer(
            self.customer.pk, customer_type, self.fields, self.assess(customer_type), language
        )


def effective_screening(state: str, enabled: bool) -> str:
    """What screening says, as `assess` wants it, of a customer in that `Customer.Screening`. Whom
    an operator found on a list stays blocked when screening is switched off."""
    return state if enabled or state == Customer.Screening.BLOCKED else CLEAR


def read_dossiers(customer_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Dossier]:
    """Those of these customers that are there. One query for any number of them; nothing is
    unsealed."""
    if not customer_ids:
        return {}
    return {
        customer.pk: make_dossier(customer, fields, decisions)
        for customer, fields, decisions in Customer.objects.with_states(customer_ids)
    }


def make_dossier(
    customer: Customer, fields: Iterable[Sequence[Any]], decisions: Iterable[Sequence[Any]]
) -> Dossier:
    """One of a row of `Customer.objects.with_states`."""
    dossier = Dossier(customer, {name: FieldState(*state) for name, *state in fields})
    for type_name, status, message, revision in decisions:
        dossier.add_verdict(type_name, status, message, revision)
    return dossier


def open_dossiers(customers: Iterable[Customer]) -> dict[uuid.UUID, Dossier]:
    """Those of customers who were read, and locked, before. Two queries; nothing is unsealed."""
    dossiers = {customer.pk: Dossier(customer) for customer in customers}
    for owner, name, state in CustomerField.objects.states(dossiers):
        dossiers[owner].fields[name] = FieldState(*state)
    add_verdicts(dossiers)
    return dossiers


def add_verdicts(dossiers: dict[uuid.UUID, Dossier]) -> None:
    """Read what KYC decided on these customers; one query."""
    decisions = Decision.objects.filter(customer_id__in=dossiers)
    for owner, type_name, status, message, revision in decisions.values_list(
        "customer_id", "type", "status", "message", "revision"
    ):
        dossiers[owner].add_verdict(type_name, status, message, revision)
