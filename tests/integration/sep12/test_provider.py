"""An outside KYC provider decides: it is told of cases, and answers at once or by webhook."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from sep12 import provider, services
from sep12.cases import REPLACED
from sep12.models import Case, Customer, CustomerField, CustomerFile, Decision
from sep12.provider_messages import is_signed, sign
from sep12.status import Verdict
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.partner import Partner, Request
from tests.integration.sep12.conftest import Api

SECRET = "provider-secret-of-at-least-32-characters"
NAMES = {"first_name": "Lucía", "last_name": "Hernández"}
NO = {"status": "rejected", "message": "No"}


@pytest.fixture(autouse=True)
def kyc(settings: Any) -> Iterator[Partner]:
    with Partner() as partner:
        settings.CUSTOMER_DECISIONS = "sep12.decisions.HttpProvider"
        settings.KYC_PROVIDER_URL = partner.url
        settings.KYC_PROVIDER_SECRETS = [SECRET, "an-older-secret-of-at-least-32-characters"]
        settings.KYC_PROVIDER_TIMEOUT_SECONDS = 5.0
        yield partner


@pytest.fixture
def customer_id(api: Api) -> str:
    return api.register(type="sender", **NAMES)


def the_case() -> Case:
    return Case.objects.get(closed_at=None)


def pause() -> timedelta:
    due_at = the_case().due_at
    assert due_at is not None
    return due_at - timezone.now()


def make_due() -> None:
    Case.objects.exclude(due_at=None).update(due_at=timezone.now() - timedelta(seconds=1))


def webhook(document: Any, *, secret: str = SECRET, at: float | None = None) -> Any:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    signature = sign(secret, timestamp=int(time.time() if at is None else at), body=raw)
    return Client().post(
        "/webhooks/kyc", raw, "application/json", headers={"Landfall-Signature": signature}
    )


# -- Telling the provider ---------------------------------------------------------------------
def test_the_provider_is_told_who_waits_and_by_whom_it_is_told(
    kyc: Partner, customer_id: str
) -> None:
    assert provider.ask_about_due_cases() == 1
    [request] = kyc.requests
    assert request.json == {
        "case": str(the_case().pk),
        "customer": customer_id,
        "type": "sender",
        "answer_url": "http://localhost:8000/webhooks/kyc",
        "fields": NAMES,
        "files": {},
    }
    assert request.headers["idempotency-key"] == str(the_case().pk)
    signature = request.headers["landfall-signature"]
    assert is_signed(signature, request.body, secrets=[SECRET], now=time.time())


def test_documents_go_along_and_what_the_type_does_not_list_stays_here(
    api: Api, kyc: Partner
) -> None:
    customer_id = api.register(type="sender", **NAMES, bank_account_number="5500010001")
    customer = Customer.objects.get(pk=customer_id)
    file = CustomerFile.objects.create(
        sending_anchor=customer.sending_anchor,
        account=customer.account,
        customer=customer,
        content=b"\xff\xd8 the picture",
        content_type="image/jpeg",
        size=14,
    )
    CustomerField.objects.create(customer=customer, name="photo_id_front", file=file)
    api.register(id=customer_id, type="checked")
    provider.ask_about_due_cases()
    told = {request.json["type"]: request.json for request in kyc.requests}
    assert told["sender"]["fields"] == NAMES
    assert told["sender"]["files"] == {}
    assert told["checked"]["fields"] == {"first_name": "Lucía"}
    content = base64.b64encode(b"\xff\xd8 the picture").decode()
    assert told["checked"]["files"] == {
        "photo_id_front": {"content_type": "image/jpeg", "content": content}
    }


def test_the_customer_waits_while_the_provider_thinks(
    api: Api, kyc: Partner, customer_id: str
) -> None:
    provider.ask_about_due_cases()
    assert api.status(id=customer_id) == "PROCESSING"
    assert provider.ask_about_due_cases() == 0
    # Its webhook may get lost.
    assert pause() > timedelta(hours=23)
    make_due()
    kyc.reply = (200, {"status": "accepted"})
    provider.ask_about_due_cases()
    assert api.status(id=customer_id) == "ACCEPTED"
    assert kyc.requests[0].body == kyc.requests[1].body


def test_an_answer_at_once_is_a_decision(api: Api, kyc: Partner, customer_id: str) -> None:
    kyc.reply = (200, {"status": "accepted"})
    provider.ask_about_due_cases()
    assert api.status(id=customer_id) == "ACCEPTED"
    case = Case.objects.get()
    assert (case.outcome, case.closed_by, case.due_at) == ("ACCEPTED", "KYC provider", None)
    assert Decision.objects.get().decided_by == "KYC provider"


@pytest.mark.parametrize(
    "reply",
    [
        (500, {}),
        (404, {"status": "accepted"}),
        (201, {"status": "accepted"}),
        (302, {"status": "accepted"}),
        (200, {}),
        (200, b"<html>"),
        (200, {"status": "rejected"}),
        (200, {"status": "needs_info", "fields": {"bank_account_number": "No"}}),
        (200, {"status": "accepted", "message": "x" * 100_000}),
    ],
)
def test_what_is_no_answer_changes_nothing_and_is_asked_again(
    api: Api, kyc: Partner, customer_id: str, reply: Any
) -> None:
    kyc.reply = reply
    provider.ask_about_due_cases()
    assert api.status(id=customer_id) == "PROCESSING"
    assert the_case().last_error
    assert timedelta(0) < pause() < timedelta(seconds=6)
    assert len(kyc.requests) == 1
    make_due()
    kyc.reply = (200, {"status": "accepted"})
    provider.ask_about_due_cases()
    assert api.status(id=customer_id) == "ACCEPTED"


def test_a_provider_that_is_down_loses_nothing_and_is_left_in_peace(
    api: Api, settings: Any, kyc: Partner, customer_id: str
) -> None:
    other = api.register(type="sender", memo="2", **NAMES)
    settings.KYC_PROVIDER_URL = "http://127.0.0.1:1/"
    assert provider.ask_about_due_cases() == 1  # and not the other one too
    case = Case.objects.get(tries=1)
    assert "the call failed" in case.last_error
    new = Case.objects.get(tries=0)
    provider.ask_about_new_case(new.pk)
    assert Case.objects.get(pk=new.pk).tries == 0
    settings.KYC_PROVIDER_URL = kyc.url
    kyc.reply = (200, {"status": "accepted"})
    make_due()
    assert provider.ask_about_due_cases() == 2
    assert {api.status(id=one) for one in (customer_id, other)} == {"ACCEPTED"}


def test_pauses_between_calls_grow_up_to_an_hour(kyc: Partner, customer_id: str) -> None:
    kyc.reply = (500, {})
    pauses = []
    for tries in (0, 1, 5, 40):
        Case.objects.update(tries=tries)
        make_due()
        provider.ask_about_due_cases()
        pauses.append(pause().total_seconds())
    assert pauses == sorted(pauses)
    assert 1500 < pauses[-1] <= 3600


def test_the_answer_of_a_call_that_timed_out_here_is_asked_for_by_the_same_id(
    settings: Any, api: Api, kyc: Partner, customer_id: str
) -> None:
    settings.KYC_PROVIDER_TIMEOUT_SECONDS = 0.3
    answered = threading.Event()

    def slow_once(request: Request) -> tuple[int, Any]:
        if len(kyc.requests) == 1:
            answered.wait(5)
        return 200, {"status": "accepted"}

    kyc.reply = slow_once
    provider.ask_about_due_cases()
    answered.set()
    assert api.status(id=customer_id) == "PROCESSING"
    make_due()
    provider.ask_about_due_cases()
    assert api.status(id=customer_id) == "ACCEPTED"
    assert {request.json["case"] for request in kyc.requests} == {str(Case.objects.get().pk)}


def test_values_that_can_not_be_opened_hold_up_no_other_case(
    settings: Any, api: Api, kyc: Partner, customer_id: str
) -> None:
    settings.SEALING_KEYS = ["MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="]
    other = api.register(type="sender", memo="2", **NAMES)
    kyc.reply = (200, {"status": "accepted"})
    assert provider.ask_about_due_cases() == 2
    assert "can't open" in Case.objects.get(customer_id=customer_id).last_error
    assert api.status(id=other) == "ACCEPTED"


def test_without_url_or_secret_nothing_leaves(
    settings: Any, kyc: Partner, customer_id: str
) -> None:
    settings.KYC_PROVIDER_SECRETS = []
    provider.ask_about_due_cases()
    assert kyc.requests == []
    assert "must be set" in the_case().last_error


def test_nothing_of_the_customer_reaches_logs_or_errors(
    kyc: Partner, customer_id: str, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    kyc.reply = (200, {"status": "needs_info", "fields": {"Hernández": "Lucía"}})
    provider.ask_about_due_cases()
    make_due()
    kyc.reply = (200, {"status": "rejected", "message": "Lucía HERNÁNDEZ of 5500010001 is known"})
    provider.ask_about_due_cases()
    kept = [caplog.text, Case.objects.get().last_error, Decision.objects.get().message]
    assert Decision.objects.get().message == "[hidden] [hidden] of [hidden] is known"
    for text in kept:
        assert "lucía" not in text.lower()
        assert "hernández" not in text.lower()


@pytest.mark.django_db(transaction=True)
def test_no_lock_and_no_transaction_is_open_while_the_provider_is_called(
    api: Api, kyc: Partner, customer_id: str
) -> None:
    seen: list[str] = []

    def change_meanwhile(request: Request) -> tuple[int, Any]:
        try:
            api.register(id=customer_id, last_name="García")
            seen.append(api.status(id=customer_id))
        finally:
            connection.close()
        return 200, {"status": "accepted"}

    kyc.reply = change_meanwhile
    provider.ask_about_case(the_case().pk)
    assert seen == ["PROCESSING"]
    # Accepted was the old name; nobody has judged the new one.
    assert api.status(id=customer_id) == "PROCESSING"
    assert Case.objects.get(closed_at__isnull=False).outcome == REPLACED
    kyc.reply = (200, {"status": "accepted"})
    provider.ask_about_due_cases()
    assert kyc.requests[-1].json["fields"]["last_name"] == "García"
    assert api.status(id=customer_id) == "ACCEPTED"


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_the_provider_once(kyc: Partner, customer_id: str) -> None:
    case_id = the_case().pk
    together = threading.Barrier(4)

    def work() -> None:
        together.wait(5)
        provider.ask_about_case(case_id)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert len(kyc.requests) == 1


# -- Its answers by webhook -------------------------------------------------------------------
@pytest.fixture
def told(kyc: Partner, customer_id: str) -> str:
    """The id of a case that the provider knows."""
    provider.ask_about_due_cases()
    return str(the_case().pk)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": "accepted"}, "ACCEPTED"),
        (NO, "REJECTED"),
        ({"status": "processing"}, "PROCESSING"),
    ],
)
def test_a_webhook_decides(api: Api, customer_id: str, told: str, answer: Any, status: str) -> None:
    assert webhook({"case": told, **answer}).status_code == 200
    assert api.status(id=customer_id) == status


def test_a_rejection_tells_the_sending_anchor_why(api: Api, customer_id: str, told: str) -> None:
    webhook({"case": told, **NO})
    assert api.get(id=customer_id).json()["message"] == "No"


def test_needs_info_asks_for_the_refused_fields_and_the_correction_is_another_case(
    api: Api, kyc: Partner, customer_id: str, told: str
) -> None:
    fields = {"last_name": "It is not the one of the document", "id_number": "Needed"}
    assert webhook({"case": told, "status": "needs_info", "fields": fields}).status_code == 200
    got = api.get(id=customer_id).json()
    assert got["status"] == "NEEDS_INFO"
    assert got["provided_fields"]["last_name"]["error"] == "It is not the one of the document"
    assert set(got["fields"]) >= {"last_name", "id_number"}
    api.register(id=customer_id, last_name="García", id_number="A1")
    assert api.status(id=customer_id) == "PROCESSING"
    assert str(the_case().pk) != told


def test_the_same_answer_twice_is_the_same_as_once(api: Api, customer_id: str, told: str) -> None:
    for _ in range(2):
        assert webhook({"case": told, "status": "accepted"}).status_code == 200
    assert Decision.objects.count() == 1


def test_an_answer_to_a_closed_case_changes_nothing_but_people_hear_of_a_contradiction(
    api: Api, customer_id: str, told: str, caplog: Any
) -> None:
    webhook({"case": told, "status": "accepted"})
    assert webhook({"case": told, **NO}).status_code == 200
    assert api.status(id=customer_id) == "ACCEPTED"
    assert "now says rejected" in caplog.text


def test_an_answer_about_older_values_neither_accepts_nor_refuses_newer_ones(
    api: Api, customer_id: str, told: str
) -> None:
    api.register(id=customer_id, last_name="García")
    refusal = {"status": "needs_info", "fields": {"last_name": "Wrong"}}
    for answer in ({"status": "accepted"}, refusal, NO):
        assert webhook({"case": told, **answer}).status_code == 200
        assert api.status(id=customer_id) == "PROCESSING"
    assert the_case().revision == 2


def test_nor_where_the_case_itself_was_left_behind(api: Api, customer_id: str, told: str) -> None:
    Customer.objects.update(revision=9)  # by some way that settles no cases
    assert webhook({"case": told, "status": "accepted"}).status_code == 200
    assert api.status(id=customer_id) == "PROCESSING"
    assert (str(the_case().pk) != told, the_case().revision) == (True, 9)


def test_an_answer_does_not_overrule_an_operator(api: Api, customer_id: str, told: str) -> None:
    services.record_decision(
        uuid.UUID(customer_id), "sender", Verdict("REJECTED", "Known to us"), decided_by="ana"
    )
    assert webhook({"case": told, "status": "accepted"}).status_code == 200
    assert api.status(id=customer_id) == "REJECTED"


def test_an_answer_on_an_erased_customer_finds_no_case(
    api: Api, anchor: RegisteredAnchor, told: str
) -> None:
    api.delete(anchor.account)
    assert webhook({"case": told, "status": "accepted"}).status_code == 404


def refused(response: Any, status: int) -> None:
    assert response.status_code == status
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: webhook(body, secret="another secret of at least 32 characters"),
        lambda body: webhook(body, at=time.time() - 301),
        # A minute beyond what is allowed, for time goes on until it is read.
        lambda body: webhook(body, at=time.time() + 360),
        lambda body: Client().post("/webhooks/kyc", body, "application/json"),
        lambda body: Client().post(
            "/webhooks/kyc", body, "application/json", headers={"Landfall-Signature": "t=1, s=1"}
        ),
    ],
)
def test_without_a_good_and_new_signature_nothing_is_read(
    api: Api, customer_id: str, told: str, forge: Callable[[bytes], Any]
) -> None:
    refused(forge(json.dumps({"case": told, "status": "accepted"}).encode()), 401)
    refused(forge(b"not even JSON"), 401)
    assert api.status(id=customer_id) == "PROCESSING"


def test_an_older_secret_is_good_while_secrets_are_changed(
    api: Api, customer_id: str, told: str
) -> None:
    older = "an-older-secret-of-at-least-32-characters"
    assert webhook({"case": told, "status": "accepted"}, secret=older).status_code == 200


def test_where_no_secret_is_set_there_is_no_webhook(settings: Any, told: str) -> None:
    settings.KYC_PROVIDER_SECRETS = []
    refused(webhook({"case": told, "status": "accepted"}, secret=""), 404)


@pytest.mark.parametrize("kind", ["REVIEW", "SCREENING"])
def test_cases_that_are_not_the_providers_are_unknown_to_it(
    api: Api, customer_id: str, told: str, kind: str
) -> None:
    other = Case.objects.create(customer_id=customer_id, kind=kind, type="receiver")
    refused(webhook({"case": str(other.pk), "status": "accepted"}), 404)
    refused(webhook({"case": str(uuid.uuid4()), "status": "accepted"}), 404)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"status": "accepted"}',
        b'{"case": 7, "status": "accepted"}',
        b'{"case": ["a"], "status": "accepted"}',
        b'{"case": "CASE"}',
        b'{"case": "CASE", "status": "maybe"}',
        b'{"case": "CASE", "status": "rejected"}',
        b'{"case": "CASE", "status": "rejected", "message": "\\u0000"}',
        b'{"case": "CASE", "status": "needs_info"}',
        b'{"case": "CASE", "status": "needs_info", "fields": {"bank_account_number": "No"}}',
        b'{"case": "CASE", "status": "accepted", "status": "rejected"}',
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_with_a_reason(
    api: Api, customer_id: str, told: str, body: bytes
) -> None:
    refused(webhook(body.replace(b"CASE", told.encode())), 400)
    assert api.status(id=customer_id) == "PROCESSING"


def test_an_answer_that_is_too_large_is_not_read(told: str) -> None:
    refused(webhook(b" " * (300 * 1024)), 413)


@pytest.mark.django_db(transaction=True)
def test_contradicting_answers_at_once_leave_one_decision(
    api: Api, customer_id: str, told: str
) -> None:
    answers = [{"status": "accepted"}, NO] * 3
    together = threading.Barrier(len(answers))
    statuses: list[int] = []

    def answer(document: Any) -> None:
        together.wait(10)
        statuses.append(webhook({"case": told, **document}).status_code)
        connection.close()

    threads = [threading.Thread(target=answer, args=[document]) for document in answers]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert statuses == [200] * len(answers)
    decision, case = Decision.objects.get(), Case.objects.get()
    assert decision.status == case.outcome


def test_another_anchors_customer_is_told_apart_by_its_case(api: Api, kyc: Partner) -> None:
    ours = api.register(type="sender", **NAMES)
    theirs_api = Api(make_sending_anchor().headers())
    theirs = theirs_api.register(type="sender", **NAMES)
    provider.ask_about_due_cases()
    case = Case.objects.get(customer_id=theirs)
    webhook({"case": str(case.pk), "status": "accepted"})
    assert (api.status(id=ours), theirs_api.status(id=theirs)) == ("PROCESSING", "ACCEPTED")
