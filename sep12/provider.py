"""Ask an outside KYC provider about customers, and take down what it answers.

A case of kind PROVIDER is the outbox row: claimed and committed, POSTed with no lock held, the
answer recorded. The case's id is the key, so that a call whose outcome is unknown is made again
with the same one. Its answer may come at once or, after a 202, by `sep12.webhooks`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from kernel.api import absolute_url, parse_json
from kernel.errors import BadRequest, NotFound
from kernel.http import HttpAnswer, OutboundFailed, OutboundRefused, partner_post
from kernel.sealed import CannotUnseal
from kernel.wording import clean_message
from sep12 import provider_messages, status
from sep12.cases import close_case, settle_cases, waits_for_decision
from sep12.content import CleanFile
from sep12.dossiers import open_dossiers
from sep12.models import Case, Customer, CustomerField
from sep12.provider_messages import ACCEPTED, NEEDS_INFO, PROCESSING, Answer, read_answer
from sep12.services import record_decision, reject_fields, reveal_fields
from sep12.status import Verdict
from sep12.sweeping import try_each
from sep12.types import CustomerType, get_customer_type

logger = logging.getLogger(__name__)

NAME = "KYC provider"  # as operators see it
WEBHOOK_PATH = "/webhooks/kyc"
FIRST_RETRY_SECONDS = 5.0
MAX_RETRY_SECONDS = 3600.0
# A webhook may get lost too: so long after a 202 the provider is asked again.
ASK_AGAIN = timedelta(hours=24)
# Words of these are in the vocabulary of any reason ("the passport has expired").
_NOT_PERSONAL = frozenset({"id_type"})

_SWEEPING = threading.Lock()


@dataclass(frozen=True)
class Claim:
    """One call about a case, which this worker alone may make."""

    case_id: uuid.UUID
    customer_id: uuid.UUID
    type: str
    tries: int


class NotUnderstood(Exception):
    """The provider's answer tells us nothing. The message holds nothing of the provider's."""


# -- Asking -----------------------------------------------------------------------------------
def ask_about_new_case(case_id: uuid.UUID) -> None:
    """Tell the provider of a case that was just opened, unless it is failing: the sweep goes on
    trying, and new cases for a dead provider must not hold every worker."""
    if not Case.objects.provider_is_failing():
        ask_about_case(case_id)


def ask_about_due_cases(limit: int = 100) -> int:
    """Ask about up to `limit` cases, until the provider gives no answer; how many were tried."""
    due = Case.objects.due(timezone.now()).values_list("pk", flat=True)[:limit]
    return try_each(due, ask_about_case, _SWEEPING)


def ask_about_case(case_id: uuid.UUID) -> bool:
    """Ask about a case if it is due and nobody else does; False if the provider didn't answer.

    Must not be called inside a database transaction.
    """
    claim = _claim(case_id)
    if claim is None:
        return True
    try:
        customer_type = get_customer_type(claim.type)
        http = _post(claim, _write_request(claim, customer_type))
        record_answer(case_id, _read(http, customer_type))
    except (OutboundRefused, OutboundFailed) as error:
        _record_failure(claim, str(error))
        return False
    except (NotUnderstood, BadRequest) as error:
        _record_failure(claim, str(error))
    except CannotUnseal as error:
        _record_failure(claim, f"we can't open the customer's values: {error}")
    except NotFound:
        pass  # the customer was erased meanwhile
    return True


def _claim(case_id: uuid.UUID) -> Claim | None:
    now = timezone.now()
    with transaction.atomic(durable=True):
        owner = Case.objects.filter(pk=case_id).values_list("customer_id").first()
        customer = owner and Customer.objects.lock_present(pk=owner[0])
        case = Case.objects.due(now).filter(pk=case_id).first() if customer else None
        if case is None:
            return None
        case.tries += 1
        # A claim outlasts its call: only a worker that died or froze lets it lapse.
        case.due_at = now + timedelta(seconds=settings.KYC_PROVIDER_TIMEOUT_SECONDS + 15)
        case.save(update_fields=["tries", "due_at"])
    return Claim(case.pk, case.customer_id, case.type, case.tries)


def _write_request(claim: Claim, customer_type: CustomerType) -> bytes:
    """What the provider is told of a case: the fields that its type lists, and no others.

    Values that changed since the claim may go out here. That change has closed the case, so what
    the provider answers has no effect.
    """
    fields = CustomerField.objects.filter(
        customer_id=claim.customer_id, name__in=customer_type.listed
    ).select_related("file")
    texts, files = {}, {}
    for one in fields:
        if one.file is not None:
            files[one.name] = CleanFile(bytes(one.file.content), one.file.content_type)
        elif one.value is not None:
            texts[one.name] = str(one.value)
    return provider_messages.write_request(
        case=str(claim.case_id),
        customer=str(claim.customer_id),
        customer_type=customer_type.name,
        answer_url=absolute_url(WEBHOOK_PATH),
        texts=texts,
        files=files,
    )


def _post(claim: Claim, body: bytes) -> HttpAnswer:
    if not settings.KYC_PROVIDER_URL or not settings.KYC_PROVIDER_SECRETS:
        raise OutboundRefused("KYC_PROVIDER_URL and KYC_PROVIDER_SECRETS must be set")
    signature = provider_messages.sign(
        settings.KYC_PROVIDER_SECRETS[0], timestamp=int(time.time()), body=body
    )
    return partner_post(
        settings.KYC_PROVIDER_URL,
        body=body,
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": str(claim.case_id),
            provider_messages.SIGNATURE_HEADER: signature,
        },
        timeout=settings.KYC_PROVIDER_TIMEOUT_SECONDS,
    )


def _read(http: HttpAnswer, customer_type: CustomerType) -> Answer:
    if http.status == 202:
        return Answer(PROCESSING)
    if http.status != 200:
        raise NotUnderstood(f"the provider answered HTTP {http.status}")
    return read_answer(parse_json(http.body), customer_type)


def _record_failure(claim: Claim, error: str) -> None:
    """Try again later, for ever; only the latest claim decides when."""
    longest = min(FIRST_RETRY_SECONDS * 2 ** min(claim.tries - 1, 30), MAX_RETRY_SECONDS)
    spread = random.uniform(0.5, 1)  # noqa: S311 - spreads load only
    with transaction.atomic(durable=True):
        Customer.objects.lock_present(pk=claim.customer_id)
        Case.objects.filter(pk=claim.case_id, closed_at=None, tries=claim.tries).update(
            due_at=timezone.now() + timedelta(seconds=longest * spread), last_error=error[:300]
        )
    logger.warning("KYC case %s, try %s: %s", claim.case_id, claim.tries, error)


# -- Answers ----------------------------------------------------------------------------------
def receive_answer(raw: bytes) -> None:
    """Take an answer that came by webhook. Raises `BadRequest`, or `NotFound` for no case of ours.

    An answer that came before is the same as none.
    """
    document = parse_json(raw)
    if not isinstance(document, dict):
        raise BadRequest("The answer must be a JSON object")
    try:
        case_id = uuid.UUID(str(document.get("case")))
    except ValueError as error:
        raise BadRequest("case must be the id that the case came with") from error
    case = Case.objects.filter(pk=case_id, kind=Case.Kind.PROVIDER).first()
    if case is None:
        raise _no_such_case()
    record_answer(case_id, read_answer(document, get_customer_type(case.type)))


def record_answer(case_id: uuid.UUID, answer: Answer) -> None:
    """Do what the provider answered, unless the case is closed. Raises `NotFound`.

    A case is of one revision of its customer. Whatever the provider says of it, values that it
    never saw are neither accepted nor refused.
    """
    with transaction.atomic():
        owner = Case.objects.filter(pk=case_id).values_list("customer_id").first()
        customer = owner and Customer.objects.lock_present(pk=owner[0])
        case = Case.objects.filter(pk=case_id, kind=Case.Kind.PROVIDER).first()
        if not customer or case is None:
            raise _no_such_case()
        if case.closed_at is not None:
            _note_late_answer(case, answer)
        elif case.revision != customer.revision:
            _ask_anew(customer, case)
        elif answer.status == PROCESSING:
            case.due_at, case.last_error = timezone.now() + ASK_AGAIN, ""
            case.save(update_fields=["due_at", "last_error"])
        else:
            _decide(case, answer)


def _decide(case: Case, answer: Answer) -> None:
    values = reveal_fields([case.customer_id])[case.customer_id]
    personal = {name: value for name, value in values.items() if name not in _NOT_PERSONAL}
    close_case(case, answer.status.upper(), NAME)
    if answer.status == NEEDS_INFO:
        reasons = {name: clean_message(reason, personal) for name, reason in answer.fields.items()}
        reject_fields(case.customer_id, reasons)
        return
    verdict = Verdict(
        status.ACCEPTED if answer.status == ACCEPTED else status.REJECTED,
        clean_message(answer.message, personal),
    )
    record_decision(case.customer_id, case.type, verdict, decided_by=NAME, revision=case.revision)


def _ask_anew(customer: Customer, case: Case) -> None:
    """Replace a case that was left behind by a change of values."""
    dossier, customer_type = open_dossiers([customer])[customer.pk], get_customer_type(case.type)
    settle_cases(customer, case.type, waits_for_decision(dossier, customer_type))


def _note_late_answer(case: Case, answer: Answer) -> None:
    """The first answer stands; one that differs is for people to clear up."""
    if case.closed_by == NAME and answer.status not in (PROCESSING, case.outcome.lower()):
        logger.error(
            "KYC case %s is %s, but the provider now says %s: ask it",
            case.pk,
            case.outcome,
            answer.status,
        )


def _no_such_case() -> NotFound:
    return NotFound("There is no such case")
