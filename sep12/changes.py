"""What follows from any change of a customer: its callback, its cases, and who must hear of it.

Whoever changes what a customer's status depends on does it inside `changing`, or ends with
`settle` while it holds the customer's lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from callbacks.services import queue_callback
from kernel.announce import announce
from sep12.cases import settle_cases, waits_for_decision
from sep12.dossiers import Dossier, open_dossiers
from sep12.models import Customer
from sep12.signals import customer_changed
from sep12.status import FINAL, Assessment


def callback_stream(customer: Customer) -> str:
    """The stream of a customer's callbacks."""
    return f"sep12:{customer.pk}"


@contextmanager
def changing(customer_id: uuid.UUID) -> Iterator[Customer | None]:
    """Lock a customer for a change of its fields, decisions or screening, then settle it.

    Yields the locked customer, None if it was erased or never was; the caller may set its
    attributes and need not save it.
    """
    with transaction.atomic():
        customer = Customer.objects.lock_present(pk=customer_id)
        if customer is None:
            yield None
            return
        before = open_dossiers([customer])[customer_id]
        standing = before.assess(before.type)
        yield customer
        settle(open_dossiers([customer])[customer_id], standing)


def settle(dossier: Dossier, before: Assessment) -> None:
    """Save a customer after a change, and tell its callback URL if the status is a new one.

    SEP-12, "Customer callback PUT": POSTs end with ACCEPTED or REJECTED; whoever wants to watch
    on sets the URL again.
    """
    customer, customer_type = dossier.customer, dossier.type
    after = dossier.assess(customer_type)
    if customer.callback_url and after.status != before.status:
        queue_callback(
            stream=callback_stream(customer),
            url=customer.callback_url,
            body=dossier.describe(customer_type, customer.callback_language),
        )
        if after.status in FINAL:
            customer.callback_url = ""
    customer.save(
        update_fields=[
            *("type", "callback_url", "revision", "screening", "screened_with", "updated_at")
        ]
    )
    settle_cases(
        customer,
        customer_type.name,
        waits_for_decision(dossier, customer_type),
        decided=dossier.verdicts,
    )
    announce(customer_changed, customer_id=customer.pk, is_new=False)
