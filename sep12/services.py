"""What is done to customers: find, put, erase, judge."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from callbacks.services import check_callback_url, erase_callbacks, redirect_callbacks
from kernel.announce import announce
from kernel.errors import BadRequest, Conflict
from kernel.instances import new_instance
from kernel.languages import ENGLISH
from kernel.rows import insert_rows, insert_with_rows
from sep10.authentication import Caller
from sep10.models import SendingAnchor
from sep12 import sep9
from sep12.cases import settle_cases, waits_for_decision
from sep12.changes import callback_stream, changing, settle
from sep12.content import CleanFile
from sep12.dossiers import Dossier, add_verdicts, read_dossiers
from sep12.finding import (
    check_found,
    find_customer,
    find_dossier,
    locate,
    no_such_id,
    not_registered,
)
from sep12.identity import CustomerParams
from sep12.models import Customer, CustomerField, CustomerFile, Decision
from sep12.screening import NAME_FIELDS, screening_enabled
from sep12.serializers import Submission, write_customer
from sep12.signals import customer_changed
from sep12.status import (
    ACCEPTED,
    NEEDS_INFO,
    REJECTED,
    VERIFICATION_REQUIRED,
    Assessment,
    FieldState,
    Verdict,
)
from sep12.stored_files import claim_files, drop_unused, new_file
from sep12.transactions import customer_transactions
from sep12.types import customer_types, default_customer_type, get_customer_type
from sep12.verification import check_codes, fields_to_verify, start_verifications

logger = logging.getLogger(__name__)

REGISTER_TRIES = 5
MAX_MESSAGE = 300


# -- Looking ----------------------------------------------------------------------------------
def describe_customer(
    caller: Caller, params: CustomerParams, language: str = ENGLISH
) -> dict[str, Any]:
    """The reply to GET /customer. An unregistered customer is told what we would need."""
    named = get_customer_type(params.type) if params.type is not None else None
    dossier = find_dossier(caller, params)
    if dossier is None:
        customer_type = named or default_customer_type()
        # Nobody is accepted before they are registered, also where nothing is required.
        return write_customer(None, customer_type, {}, Assessment(NEEDS_INFO), language)
    return dossier.describe(named or dossier.type, language)


def assess_customers(
    pairs: Iterable[tuple[uuid.UUID, str]],
) -> dict[tuple[uuid.UUID, str], Assessment]:
    """The status of each (customer id, type), in one query for any number of pairs.

    A customer that was erased, or never was, needs all its info; so does one of a type that the
    configuration no longer has.
    """
    wanted = set(pairs)
    dossiers = read_dossiers({customer_id for customer_id, _ in wanted})
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

    All or nothing: raises `BadRequest` naming a field, or `NotFound`, and leaves no trace. Only
    confirmation codes are checked first and on their own: a wrong one counts, whatever becomes of
    the rest.
    """
    if params.type is not None:
        get_customer_type(params.type)
    if registered := _register_at_once(caller, params, submission):
        return registered.pk
    caller.ensure_admitted()
    if submission.verifications:
        known = find_customer(caller, params)
        if known is None:
            name = next(iter(submission.verifications))
            raise BadRequest(f"{name}_verification: {name} is not waiting for verification")
        check_codes(known, submission.verifications)
    with transaction.atomic():
        customer, is_new = _lock_or_register(caller, params, submission)
        if is_new:
            _fill(caller, customer, submission)
        else:
            _update(caller, customer, params, submission)
    return customer.pk


def _register_at_once(
    caller: Caller, params: CustomerParams, submission: Submission
) -> Customer | None:
    """Register a new customer with its first texts, in one statement, as most PUTs do.

    None, and nothing was written, if it is registered already, if there is more to write, or if
    the caller may not use this service: the statement itself admits it.
    """
    files = submission.files or submission.file_ids
    with_more = params.transaction_id or files or submission.verifications
    if params.id or with_more or not fields_to_verify().isdisjoint(submission.texts):
        return None
    customer = _new_customer(None, locate(caller, params), params, submission)
    dossier = Dossier(customer)
    fields = _new_fields(dossier, submission.texts, {})
    if waits_for_decision(dossier, dossier.type):
        return None
    if not caller.admission_to(lambda given: insert_with_rows(customer, fields, given=given)):
        return None
    announce(customer_changed, customer_id=customer.pk, is_new=True)
    return customer


def _lock_or_register(
    caller: Caller, params: CustomerParams, submission: Submission
) -> tuple[Customer, bool]:
    """The customer whom `params` mean, locked, and whether it was registered just now.

    An erasure may come between finding a row and locking it, hence the tries.
    """
    for _ in range(REGISTER_TRIES):
        where = locate(caller, params)
        if params.transaction_id is not None and params.type is not None:
            # The transaction's own lock comes before the customer's, here as everywhere.
            found = _find_or_register(caller, params, where)
            customer_transactions().attach_customer(
                caller, params.transaction_id, params.type, found.pk
            )
            where = {"pk": found.pk}
        locked = Customer.objects.lock_present(**where)
        if locked is not None:
            check_found(locked, params)
            return locked, False
        if params.id is not None:
            raise no_such_id()
        if "pk" not in where:
            # Many PUTs of one new customer may come at once: the unique constraint lets one insert
            # through, the others wait for it and insert nothing.
            customer = _new_customer(caller.sending_anchor, where, params, submission)
            if insert_rows([customer], unless_there=True):
                return customer, True
    raise Conflict("This customer is being erased; try again")


def _find_or_register(caller: Caller, params: CustomerParams, where: Mapping[str, Any]) -> Customer:
    customer = Customer.objects.present().filter(**where).first()
    if customer is None and "pk" not in where:
        insert_rows([_new_customer(caller.sending_anchor, where, params)], unless_there=True)
        customer = Customer.objects.present().filter(**where).first()
    if customer is None:
        raise no_such_id()
    return customer


def _new_customer(
    sending_anchor: SendingAnchor | None,
    where: Mapping[str, Any],
    params: CustomerParams,
    submission: Submission | None = None,
) -> Customer:
    owner = sending_anchor.pk if sending_anchor else None
    customer = new_instance(Customer, sending_anchor_id=owner, type=params.type or "", **where)
    if submission is not None and submission.names:
        _count_change(customer, submission.texts)
    return customer


def _count_change(customer: Customer, texts: Iterable[str]) -> None:
    """Note on a customer that values change: who judged or screened it before did not see them.

    Whom an operator found on a sanctions list is not let go by another spelling.
    """
    customer.revision += 1
    blocked = customer.screening == Customer.Screening.BLOCKED
    if screening_enabled() and not blocked and not NAME_FIELDS.isdisjoint(texts):
        customer.screening = Customer.Screening.DUE


def _fill(caller: Caller, customer: Customer, submission: Submission) -> None:
    """Write the first fields of a customer whom nobody else can see yet: no callback URL waits for
    it, no case and no transaction names it."""
    dossier = Dossier(customer)
    files = _store_files(caller, customer, submission.files, submission.file_ids)
    insert_rows(_new_fields(dossier, submission.texts, files))
    if waits_for_decision(dossier, dossier.type):
        settle_cases(customer, dossier.type.name, True)
    _send_codes(dossier, submission.texts)
    announce(customer_changed, customer_id=customer.pk, is_new=True)


def _update(
    caller: Caller, customer: Customer, params: CustomerParams, submission: Submission
) -> None:
    """Write what differs from what we hold of a locked customer, and settle what follows."""
    dossier, held = _open_for_update(customer, submission)
    before = dossier.assess(dossier.type)
    texts = {name: text for name, text in submission.texts.items() if held.get(name) != text}
    files = {name: file for name, file in submission.files.items() if held.get(name) != file}
    file_ids = {name: pk for name, pk in submission.file_ids.items() if held.get(name) != pk}
    for name in submission.names - texts.keys() - files.keys() - file_ids.keys():
        if dossier.fields[name].status == REJECTED:
            # What refused it would refuse it again, and the sending anchor learns sooner that its
            # client corrected nothing.
            raise BadRequest(f"{name} must be corrected: this same value was refused before")
    changes = bool(texts or files or file_ids)
    if changes:
        _count_change(customer, texts)
        dossier.outdate_verdicts()
        _write_fields(dossier, texts, _store_files(caller, customer, files, file_ids))
        if files or file_ids:
            drop_unused(customer)
    _send_codes(dossier, submission.texts)
    if changes or params.transaction_id or params.type not in (None, customer.type):
        customer.type = params.type or customer.type
        settle(dossier, before)


def _open_for_update(customer: Customer, submission: Submission) -> tuple[Dossier, dict[str, Any]]:
    """The customer's dossier, and what it holds now in the fields of `submission`: a text, a
    file's id where one is named, or a file itself. Opens no other value, and 2 to 3 queries."""
    dossier = Dossier(customer)
    held: dict[str, Any] = {}
    file_ids: dict[str, str] = {}
    for name, state, value, file_id in CustomerField.objects.states_and_values(
        customer, submission.texts
    ):
        dossier.fields[name] = FieldState(*state)
        held[name] = value
        if file_id is not None:
            file_ids[name] = held[name] = str(file_id)
    add_verdicts({customer.pk: dossier})
    for name, file in submission.files.items():
        # The same size comes first, for opening a file takes longer than a count of its bytes.
        if name in file_ids:
            same = CustomerFile.objects.filter(pk=file_ids[name], size=len(file.content)).first()
            held[name] = same and CleanFile(bytes(same.content), same.content_type)
    return dossier, held


def _store_files(
    caller: Caller,
    customer: Customer,
    files: Mapping[str, CleanFile],
    file_ids: Mapping[str, str],
) -> dict[str, CustomerFile]:
    stored = {name: new_file(caller, customer, file) for name, file in files.items()}
    return stored | (claim_files(caller, customer, file_ids) if file_ids else {})


def _write_fields(
    dossier: Dossier, texts: Mapping[str, str], files: Mapping[str, CustomerFile]
) -> None:
    CustomerField.objects.bulk_create(
        _new_fields(dossier, texts, files),
        update_conflicts=True,
        unique_fields=["customer", "name"],
        update_fields=["value", "file", "status", "error", "updated_at"],
    )


def _new_fields(
    dossier: Dossier, texts: Mapping[str, str], files: Mapping[str, CustomerFile]
) -> list[CustomerField]:
    """The rows of these values, which the dossier knows from now on."""
    customer, to_verify = dossier.customer, fields_to_verify()
    rows = [
        new_instance(
            CustomerField,
            customer_id=customer.pk,
            name=name,
            value=text,
            status=VERIFICATION_REQUIRED if name in to_verify else ACCEPTED,
        )
        for name, text in texts.items()
    ]
    rows += [CustomerField(customer=customer, name=name, file=file) for name, file in files.items()]
    dossier.fields |= {row.name: FieldState(row.status) for row in rows}
    return rows


def _send_codes(dossier: Dossier, texts: Mapping[str, str]) -> None:
    """Start the verification of what was sent and is not verified, also of what was sent before."""
    unverified = {
        name: text
        for name, text in texts.items()
        if dossier.fields[name].status == VERIFICATION_REQUIRED
    }
    if unverified:
        start_verifications(dossier.customer, unverified)


def verify_fields(caller: Caller, params: CustomerParams, codes: Mapping[str, str]) -> None:
    """Check confirmation codes by field (SEP-12, "Customer PUT Verification").

    Raises `NotFound` for an unknown customer, `BadRequest` for a wrong code, or for a field that
    waits for none.
    """
    customer = find_customer(caller, params)
    if customer is None:
        raise not_registered(params)
    if not codes:
        raise BadRequest(
            "A SEP-9 field with _verification is required, for example mobile_number_verification"
        )
    check_codes(customer, codes)


def set_callback(
    caller: Caller, params: CustomerParams, url: object, language: str = ENGLISH
) -> None:
    """Store the URL that hears of status changes, in the place of any earlier one, and in which
    language it does.

    Raises `BadRequest` for a URL that we don't call, `NotFound` for an unknown customer.
    """
    checked = check_callback_url(url, caller.sending_anchor.allowed_callback_hosts)
    with transaction.atomic():
        customer = _lock_found(caller, params)
        customer.callback_url, customer.callback_language = checked, language
        customer.save(update_fields=["callback_url", "callback_language", "updated_at"])
        redirect_callbacks(stream=callback_stream(customer), url=checked)


def erase_customer(caller: Caller, params: CustomerParams) -> None:
    """Delete all that says who a customer is (SEP-12, "Customer DELETE"). Raises `NotFound`.

    The row stays, without its memo: transactions point at it. Decisions, cases, hits and what
    callbacks said go too, for what was found out about a person is personal.
    """
    with transaction.atomic():
        customer = _lock_found(caller, params)
        customer.fields.all().delete()
        drop_unused(customer)
        for found_out in ("decisions", "verifications", "cases", "hits"):
            getattr(customer, found_out).all().delete()
        erase_callbacks(stream=callback_stream(customer))
        customer.memo = customer.memo_type = customer.callback_url = ""
        customer.screening = Customer.Screening.NEVER
        customer.erased_at = timezone.now()
        customer.save()
        announce(customer_changed, customer_id=customer.pk, is_new=False)


def _lock_found(caller: Caller, params: CustomerParams) -> Customer:
    customer = Customer.objects.lock_present(**locate(caller, params))
    if customer is None:
        raise not_registered(params)
    check_found(customer, params)
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
    if not known:
        return frozenset()
    with changing(customer_id) as customer:
        if customer is None:
            return frozenset()
        rows = [
            CustomerField(
                customer=customer, name=name, status=REJECTED, error=message[:MAX_MESSAGE]
            )
            for name, message in known.items()
        ]
        CustomerField.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["customer", "name"],
            update_fields=["status", "error", "updated_at"],
        )
    return frozenset(known)


def record_decision(
    customer_id: uuid.UUID,
    type_name: str,
    verdict: Verdict,
    *,
    decided_by: str,
    revision: int | None = None,
) -> None:
    """Write down what KYC decided on a customer for one type, in the place of an earlier verdict.

    `revision` is the customer's that was judged. Raises `Conflict` if the customer has sent other
    values since, `NotFound` for one that was erased or never was, `BadRequest` for an unknown
    type, `ValueError` for a rejection without a message (SEP-12, "Customer Statuses").
    """
    get_customer_type(type_name)
    if verdict.status == REJECTED and not verdict.message:
        raise ValueError("a rejection needs a message")
    with changing(customer_id) as customer:
        if customer is None:
            raise no_such_id()
        if revision not in (None, customer.revision):
            raise Conflict("The customer has sent other values meanwhile; look at them first")
        Decision.objects.update_or_create(
            customer=customer,
            type=type_name,
            defaults={
                "status": verdict.status,
                "message": verdict.message[:MAX_MESSAGE],
                "revision": customer.revision,
                "decided_by": decided_by,
            },
        )
