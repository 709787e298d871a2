"""What is done to customers: find, put, erase, judge."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from callbacks.services import check_callback_url, queue_callback
from kernel.announce import announce
from kernel.errors import BadRequest, Conflict, NotFound
from sep10.authentication import Caller
from sep12 import sep9
from sep12.decisions import customer_decisions
from sep12.identity import CustomerParams, Identity, token_memo
from sep12.models import Customer, CustomerField, Decision
from sep12.serializers import Submission, write_customer
from sep12.signals import customer_changed
from sep12.status import (
    FINAL,
    NEEDS_INFO,
    REJECTED,
    VERIFICATION_REQUIRED,
    Assessment,
    FieldState,
    Verdict,
    assess,
)
from sep12.transactions import customer_transactions
from sep12.types import CustomerType, customer_types, default_customer_type, get_customer_type

logger = logging.getLogger(__name__)

REGISTER_TRIES = 5
MAX_MESSAGE = 300


@dataclass
class _Dossier:
    """What we hold on a customer, without the values."""

    customer: Customer
    fields: dict[str, FieldState]
    verdicts: dict[str, Verdict]

    def assess(self, customer_type: CustomerType) -> Assessment:
        recorded = self.verdicts.get(customer_type.name)
        verdict = customer_decisions().decide(customer_type.name, recorded)
        return assess(customer_type, self.fields, verdict)

    def describe(self, customer_type: CustomerType) -> dict[str, Any]:
        return write_customer(
            self.customer.pk, customer_type, self.fields, self.assess(customer_type)
        )


def _open_dossiers(customers: Iterable[Customer]) -> dict[uuid.UUID, _Dossier]:
    """Two queries for any number of customers; nothing is unsealed."""
    dossiers = {customer.pk: _Dossier(customer, {}, {}) for customer in customers}
    for owner, name, state in CustomerField.objects.states(dossiers):
        dossiers[owner].fields[name] = FieldState(*state)
    decisions = Decision.objects.filter(customer_id__in=dossiers)
    for owner, type_name, *verdict in decisions.values_list(
        "customer_id", "type", "status", "message"
    ):
        dossiers[owner].verdicts[type_name] = Verdict(*verdict)
    return dossiers


# -- Whom a request means ---------------------------------------------------------------------
def _owned(caller: Caller) -> dict[str, str]:
    """What a customer must match to be the caller's. SEP-12, GET and PUT "Errors": else 404.

    A token with a memo speaks for one user of a shared account only.
    """
    memo = token_memo(caller)
    own = {"account": caller.account}
    return own if memo is None else {**own, "memo_type": "id", "memo": memo}


def _parse_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise _no_such_id() from error


def _no_such_id() -> NotFound:
    return NotFound("customer not found for the id given")


def get_owned_customer(
    caller: Caller, customer_id: uuid.UUID | str, *, of_any_user: bool = False
) -> Customer:
    """The caller's customer of that id. Raises `NotFound` if there is none, if it was erased, or
    if it is another's.

    A token with a memo finds that user only, or with `of_any_user` all of its account: a payment
    has two customers, and a token can name but one.
    """
    owned = {"account": caller.account} if of_any_user else _owned(caller)
    customer = (
        Customer.objects.present()
        .filter(pk=_parse_id(str(customer_id)), **owned)
        .select_related("sending_anchor")
        .first()
    )
    if customer is None:
        raise _no_such_id()
    return customer


def _locate(caller: Caller, params: CustomerParams) -> dict[str, Any]:
    """The filter that finds the customer whom `params` mean, among the caller's.

    Raises `NotFound` for an id or a transaction that can't be the caller's.
    """
    attached = None
    if params.transaction_id is not None:
        attached = customer_transactions().find_customer(caller, params.transaction_id, params.type)
    if params.id is not None:
        return {"pk": _parse_id(params.id), **_owned(caller)}
    if params.transaction_id is None or params.names_memo:
        return _by_identity(params.identity)
    if attached and Customer.objects.present().filter(pk=attached, **_owned(caller)).exists():
        return {"pk": attached}
    return _by_identity(
        Identity(
            caller.account,
            Customer.MemoType.TRANSACTION,
            f"{params.transaction_id} {params.type}",
        )
    )


def _by_identity(identity: Identity) -> dict[str, str]:
    return {
        "account": identity.account,
        "memo_type": identity.memo_type,
        "memo": identity.memo,
    }


def _check_found(customer: Customer, params: CustomerParams) -> None:
    if params.id is not None and params.names_memo:
        found = (customer.account, customer.memo_type, customer.memo)
        named = params.identity
        if found != (named.account, named.memo_type, named.memo):
            raise BadRequest("id and memo must name the same customer; leave one of them out")


def find_customer(caller: Caller, params: CustomerParams) -> Customer | None:
    """The customer whom a request means, None if (account, memo) is not registered yet.

    Raises `NotFound` for an unknown `id` or transaction.
    """
    customer = Customer.objects.present().filter(**_locate(caller, params)).first()
    if customer is None and params.id is not None:
        raise _no_such_id()
    if customer is not None:
        _check_found(customer, params)
    return customer


def _not_registered(params: CustomerParams) -> NotFound:
    if params.id is not None:
        return _no_such_id()
    return NotFound("customer not found for this account and memo")


# -- Looking ----------------------------------------------------------------------------------
def describe_customer(caller: Caller, params: CustomerParams) -> dict[str, Any]:
    """The reply to GET /customer. An unregistered customer is told what we would need."""
    named = get_customer_type(params.type) if params.type is not None else None
    customer = find_customer(caller, params)
    if customer is None:
        customer_type = named or default_customer_type()
        # Nobody is accepted before they are registered, also where nothing is required.
        return write_customer(None, customer_type, {}, Assessment(NEEDS_INFO))
    dossier = _open_dossiers([customer])[customer.pk]
    return dossier.describe(named or default_customer_type(customer.type))


def assess_customers(
    pairs: Iterable[tuple[uuid.UUID, str]],
) -> dict[tuple[uuid.UUID, str], Assessment]:
    """The status of each (customer id, type), in 3 queries for any number of pairs.

    A customer that was erased, or never was, needs all its info; so does one of a type that the
    configuration no longer has.
    """
    wanted = set(pairs)
    dossiers = _open_dossiers(
        Customer.objects.present().filter(pk__in={customer_id for customer_id, _ in wanted})
    )
    types = customer_types()
    result = {}
    for customer_id, type_name in wanted:
        customer_type, dossier = types.get(type_name), dossiers.get(customer_id)
        if customer_type is None:
            result[customer_id, type_name] = Assessment(
                NEEDS_INFO, message=f"There is no customer type {type_name}."
            )
        elif dossier is None:
            result[customer_id, type_name] = Assessment(
                NEEDS_INFO,
                missing=customer_type.required,
                message="The customer is not registered.",
            )
        else:
            result[customer_id, type_name] = dossier.assess(customer_type)
    return result


def reveal_fields(customer_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, str]]:
    """All text values of these customers in the clear, by SEP-9 name. For payouts only."""
    revealed: dict[uuid.UUID, dict[str, str]] = {pk: {} for pk in customer_ids}
    fields = CustomerField.objects.filter(customer_id__in=revealed, value__isnull=False)
    for field in fields.only("customer_id", "name", "value"):
        revealed[field.customer_id][field.name] = str(field.value)
    return revealed


# -- Changing ---------------------------------------------------------------------------------
def put_customer(caller: Caller, params: CustomerParams, submission: Submission) -> uuid.UUID:
    """Register or update a customer (SEP-12, "Customer PUT"); its id. Idempotent.

    All or nothing: raises `BadRequest` naming a field, or `NotFound`, and leaves no trace.
    """
    if params.type is not None:
        get_customer_type(params.type)
    with transaction.atomic():
        customer = _lock_or_register(caller, params)
        dossier = _open_dossiers([customer])[customer.pk]
        before = dossier.assess(default_customer_type(customer.type))
        _check_verifications(dossier, submission.verifications)
        changed = _changed_fields(dossier, submission)
        _write_fields(changed)
        dossier.fields |= {row.name: FieldState(row.status) for row in changed}
        if changed or params.transaction_id or params.type not in (None, customer.type):
            customer.type = params.type or customer.type
            _settle(dossier, before)
    return customer.pk


def _lock_or_register(caller: Caller, params: CustomerParams) -> Customer:
    """The customer whom `params` mean, locked; a new row if (account, memo) is not registered.

    An erasure may come between finding a row and locking it, hence the tries.
    """
    for _ in range(REGISTER_TRIES):
        where = _locate(caller, params)
        if params.transaction_id is not None and params.type is not None:
            # The transaction's own lock comes before the customer's, here as everywhere.
            found = _find_or_register(caller, params, where)
            customer_transactions().attach_customer(
                caller, params.transaction_id, params.type, found.pk
            )
            where = {"pk": found.pk}
        customer = Customer.objects.lock_present(**where)
        if customer is None and "pk" not in where:
            _register(caller, params, where)
            customer = Customer.objects.lock_present(**where)
        if customer is not None:
            _check_found(customer, params)
            return customer
        if params.id is not None:
            raise _no_such_id()
    raise Conflict("This customer is being erased; try again")


def _find_or_register(caller: Caller, params: CustomerParams, where: Mapping[str, Any]) -> Customer:
    customer = Customer.objects.present().filter(**where).first()
    if customer is None and "pk" not in where:
        _register(caller, params, where)
        customer = Customer.objects.present().filter(**where).first()
    if customer is None:
        raise _no_such_id()
    return customer


def _register(caller: Caller, params: CustomerParams, where: Mapping[str, Any]) -> None:
    """Insert the row that `where` describes, unless it is there.

    Many PUTs of one new customer may come at once: the unique constraint lets one insert
    through, the others wait for it and insert nothing.
    """
    row = Customer(sending_anchor=caller.sending_anchor, type=params.type or "", **where)
    Customer.objects.bulk_create([row], ignore_conflicts=True)


def _check_verifications(dossier: _Dossier, codes: Iterable[str]) -> None:
    # No field gets VERIFICATION_REQUIRED from us yet and we send no codes, so none is right.
    for name in codes:
        state = dossier.fields.get(name)
        if state is None or state.status != VERIFICATION_REQUIRED:
            raise BadRequest(f"{name}_verification: {name} is not waiting for verification")
        raise BadRequest(f"{name}_verification: the confirmation code is not valid")


def _changed_fields(dossier: _Dossier, submission: Submission) -> list[CustomerField]:
    """The rows to write: what differs from what we hold.

    A value that was refused is not taken again: what refused it would refuse it again, and the
    sending anchor learns sooner that its client corrected nothing.
    """
    mine = CustomerField.objects.filter(customer=dossier.customer)
    held = dict(mine.filter(name__in=submission.texts).values_list("name", "value"))
    refused = {name for name, state in dossier.fields.items() if state.status == REJECTED}
    refused_files = refused & submission.files.keys()
    if refused_files:
        held |= dict(mine.filter(name__in=refused_files).values_list("name", "file"))
    changed = []
    for name, text in submission.texts.items():
        if held.get(name) != text:
            changed.append(CustomerField(customer=dossier.customer, name=name, value=text))
        elif name in refused:
            raise _same_again(name)
    for name, file in submission.files.items():
        if name in refused and held[name] == file.content:
            raise _same_again(name)
        changed.append(
            CustomerField(
                customer=dossier.customer,
                name=name,
                file=file.content,
                content_type=file.content_type,
            )
        )
    return changed


def _same_again(name: str) -> BadRequest:
    return BadRequest(f"{name} must be corrected: this same value was refused before")


def _write_fields(rows: list[CustomerField]) -> None:
    CustomerField.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["customer", "name"],
        update_fields=["value", "file", "content_type", "status", "error", "updated_at"],
    )


def _settle(dossier: _Dossier, before: Assessment) -> None:
    """Save the customer after a change, and tell its callback URL if the status is a new one.

    SEP-12, "Customer callback PUT": POSTs end with ACCEPTED or REJECTED; whoever wants to watch
    on sets the URL again.
    """
    customer = dossier.customer
    customer_type = default_customer_type(customer.type)
    status = dossier.assess(customer_type).status
    if customer.callback_url and status != before.status:
        queue_callback(
            stream=f"sep12:{customer.pk}",
            url=customer.callback_url,
            body=dossier.describe(customer_type),
        )
        if status in FINAL:
            customer.callback_url = ""
    customer.save(update_fields=["type", "callback_url", "updated_at"])
    announce(customer_changed, customer_id=customer.pk)


def verify_fields(caller: Caller, params: CustomerParams, codes: Mapping[str, str]) -> None:
    """Check confirmation codes by field (SEP-12, "Customer PUT Verification").

    Raises `NotFound` for an unknown customer, `BadRequest` for a field that waits for no code.
    """
    customer = find_customer(caller, params)
    if customer is None:
        raise _not_registered(params)
    if not codes:
        raise BadRequest(
            "A SEP-9 field with _verification is required, for example mobile_number_verification"
        )
    _check_verifications(_open_dossiers([customer])[customer.pk], codes)


def set_callback(caller: Caller, params: CustomerParams, url: object) -> None:
    """Store the URL that hears of status changes, in the place of any earlier one.

    Raises `BadRequest` for a URL that we don't call, `NotFound` for an unknown customer.
    """
    checked = check_callback_url(url, caller.sending_anchor.allowed_callback_hosts)
    with transaction.atomic():
        customer = _lock_found(caller, params)
        customer.callback_url = checked
        customer.save(update_fields=["callback_url", "updated_at"])


def erase_customer(caller: Caller, params: CustomerParams) -> None:
    """Delete all that says who a customer is (SEP-12, "Customer DELETE"). Raises `NotFound`.

    The row stays, without its memo: transactions point at it. Decisions go too, for what was
    found out about a person is personal.
    """
    with transaction.atomic():
        customer = _lock_found(caller, params)
        customer.fields.all().delete()
        customer.decisions.all().delete()
        customer.memo = customer.memo_type = customer.callback_url = ""
        customer.erased_at = timezone.now()
        customer.save()
        announce(customer_changed, customer_id=customer.pk)


def _lock_found(caller: Caller, params: CustomerParams) -> Customer:
    customer = Customer.objects.lock_present(**_locate(caller, params))
    if customer is None:
        raise _not_registered(params)
    _check_found(customer, params)
    return customer


def reject_fields(customer_id: uuid.UUID, errors: Mapping[str, str]) -> frozenset[str]:
    """Refuse fields, by SEP-9 name, each with a message for the sending anchor; those it refused.

    GET /customer then says NEEDS_INFO until other values are PUT. A field that was never sent is
    asked for in the same way. Messages must hold no personal data. Names that SEP-9 does not know
    are left out, since no one could send them, and so is all of an erased customer.
    """
    known = {name: error for name, error in errors.items() if name in sep9.FIELDS}
    if len(known) < len(errors):
        logger.error("a refusal names fields that SEP-9 does not know")
    with transaction.atomic():
        customer = Customer.objects.lock_present(pk=customer_id)
        if customer is None or not known:
            return frozenset()
        dossier = _open_dossiers([customer])[customer.pk]
        before = dossier.assess(default_customer_type(customer.type))
        rows = [
            CustomerField(
                customer=customer,
                name=name,
                status=CustomerField.Status.REJECTED,
                error=message[:MAX_MESSAGE],
            )
            for name, message in known.items()
        ]
        CustomerField.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["customer", "name"],
            update_fields=["status", "error", "updated_at"],
        )
        for row in rows:
            held = dossier.fields.get(row.name)
            dossier.fields[row.name] = FieldState(
                row.status, row.error, provided=held is not None and held.provided
            )
        _settle(dossier, before)
    return frozenset(known)


def record_decision(
    customer_id: uuid.UUID, type_name: str, verdict: Verdict, *, decided_by: str
) -> None:
    """Write down what KYC decided on a customer for one type, in the place of an earlier verdict.

    Raises `NotFound` for a customer that was erased or never was, `BadRequest` for an unknown
    type, `ValueError` for a rejection without a message (SEP-12, "Customer Statuses").
    """
    get_customer_type(type_name)
    if verdict.status == REJECTED and not verdict.message:
        raise ValueError("a rejection needs a message")
    with transaction.atomic():
        customer = Customer.objects.lock_present(pk=customer_id)
        if customer is None:
            raise _no_such_id()
        dossier = _open_dossiers([customer])[customer.pk]
        before = dossier.assess(default_customer_type(customer.type))
        Decision.objects.update_or_create(
            customer=customer,
            type=type_name,
            defaults={
                "status": verdict.status,
                "message": verdict.message[:MAX_MESSAGE],
                "decided_by": decided_by,
            },
        )
        dossier.verdicts[type_name] = verdict
        _settle(dossier, before)
