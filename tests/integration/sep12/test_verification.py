"""Fields that a customer proves by a confirmation code (SEP-12, "Verification")."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.utils import timezone

from sep12 import verification
from sep12.models import Case, Customer, CustomerField, SentCode, Verification
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.partner import Partner
from tests.integration.sep12.conftest import Api

NUMBER, OTHER_NUMBER = "+525512345678", "+525587654321"
RECEIVER = {
    "first_name": "Lucía",
    "last_name": "Hernández",
    "bank_account_number": "5500010001",
}
FIELD = "mobile_number"
CODE = "mobile_number_verification"


class Phones:
    """A sender that keeps what it was told to send: (field, value, code, key)."""

    sent: ClassVar[list[tuple[str, str, str, str]]] = []
    fails: ClassVar[bool] = False

    def send(self, name: str, value: str, code: str, *, key: str) -> None:
        self.sent.append((name, value, code, key))
        if self.fails:
            raise ConnectionError(f"{value} does not answer")


@pytest.fixture(autouse=True)
def phones(settings: Any, own_configuration: None) -> Iterator[type[Phones]]:
    sender = "tests.integration.sep12.test_verification.Phones"
    settings.ANCHOR = {
        **settings.ANCHOR,
        "verification": {"mobile_number": sender, "email_address": sender},
    }
    Phones.sent.clear()
    Phones.fails = False
    yield Phones
    Phones.fails = False


@pytest.fixture
def customer_id(api: Api) -> str:
    return api.register(type="receiver", **RECEIVER, mobile_number=NUMBER)


def last_code() -> str:
    verification.send_due_codes()
    return Phones.sent[-1][2]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def state_of(api: Api, customer_id: str, name: str = FIELD) -> str:
    return str(api.get(id=customer_id).json()["provided_fields"][name]["status"])


def refusal(response: Any) -> str:
    assert response.status_code == 400
    return str(response.json()["error"])


def make_due() -> None:
    past = timezone.now() - timedelta(seconds=1)
    Verification.objects.exclude(due_at=None).update(due_at=past)


def expire() -> None:
    Verification.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


# -- The way it goes --------------------------------------------------------------------------
def test_a_field_is_to_be_verified_before_it_counts(api: Api) -> None:
    """SEP-12: "it will first receive status `VERIFICATION_REQUIRED`"."""
    customer_id = api.register(
        type="sender", first_name="Lucía", last_name="Hernández", mobile_number=NUMBER
    )
    assert state_of(api, customer_id) == "VERIFICATION_REQUIRED"
    assert state_of(api, customer_id, "first_name") == "ACCEPTED"


def test_a_code_of_six_digits_goes_to_the_value_and_brings_the_field_through(
    api: Api, customer_id: str
) -> None:
    code = last_code()
    [(name, value, _, key)] = Phones.sent
    assert (name, value) == (FIELD, NUMBER)
    assert len(code) == 6 and code.isascii() and code.isdigit()
    assert key == str(Verification.objects.get().pk)
    assert api.put(id=customer_id, **{CODE: code}).status_code == 202
    assert state_of(api, customer_id) == "ACCEPTED"
    assert not Verification.objects.exists()


def test_the_deprecated_endpoint_takes_codes_too_and_answers_like_get(
    api: Api, customer_id: str
) -> None:
    """SEP-12, "Customer PUT Verification"."""
    response = api.put("/verification", id=customer_id, **{CODE: last_code()})
    assert response.status_code == 200
    assert response.json() == api.get(id=customer_id).json()
    assert response.json()["provided_fields"][FIELD]["status"] == "ACCEPTED"


def test_a_required_field_holds_up_the_customer_until_it_is_verified(
    api: Api, settings: Any
) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"
    settings.ANCHOR["verification"]["last_name"] = settings.ANCHOR["verification"][FIELD]
    customer_id = api.register(type="sender", first_name="Lucía", last_name="Hernández")
    assert api.status(id=customer_id) == "NEEDS_INFO"
    assert not Case.objects.exists()
    api.register(id=customer_id, last_name_verification=last_code())
    assert api.status(id=customer_id) == "PROCESSING"
    assert Case.objects.get().closed_at is None


def test_one_request_may_verify_one_field_and_change_another(api: Api, customer_id: str) -> None:
    """SEP-12, "Verification", the example."""
    code = last_code()
    api.register(id=customer_id, email_address="lucia@example.com", **{CODE: code})
    assert state_of(api, customer_id) == "ACCEPTED"
    assert state_of(api, customer_id, "email_address") == "VERIFICATION_REQUIRED"


def test_a_request_repeated_after_its_answer_was_lost_is_fine(api: Api, customer_id: str) -> None:
    code = last_code()
    for _ in range(2):
        assert api.put(id=customer_id, **{CODE: code}).status_code == 202


def test_the_same_value_again_sends_no_second_code(api: Api, customer_id: str) -> None:
    code = last_code()
    api.register(id=customer_id, mobile_number=NUMBER)
    verification.send_due_codes()
    assert [one[2] for one in Phones.sent] == [code]


# -- Codes that are not right -----------------------------------------------------------------
@pytest.mark.parametrize("code", ["000", "not digits", "١٢٣٤٥٦", "1234567", "x" * 100_000, " "])
def test_a_code_that_is_none_is_refused(api: Api, customer_id: str, code: str) -> None:
    last_code()
    assert CODE in refusal(api.put(id=customer_id, **{CODE: code}))
    assert state_of(api, customer_id) == "VERIFICATION_REQUIRED"


def test_a_wrong_code_is_refused_and_says_how_often_it_may_be_tried(
    api: Api, customer_id: str
) -> None:
    code = last_code()
    assert "4 more may be tried" in refusal(api.put(id=customer_id, **{CODE: wrong(code)}))
    assert api.put(id=customer_id, **{CODE: code}).status_code == 202


def test_a_wrong_code_leaves_nothing_of_its_request_but_is_counted(
    api: Api, customer_id: str
) -> None:
    body = {"last_name": "García", CODE: wrong(last_code())}
    refusal(api.put(id=customer_id, **body))
    assert CustomerField.objects.get(name="last_name").value == "Hernández"
    assert Verification.objects.get().wrong_tries == 1


def test_after_too_many_wrong_codes_the_right_one_is_no_use(api: Api, customer_id: str) -> None:
    code = last_code()
    for _ in range(5):
        refusal(api.put(id=customer_id, **{CODE: wrong(code)}))
    assert "too many" in refusal(api.put(id=customer_id, **{CODE: code}))
    api.register(id=customer_id, mobile_number=NUMBER)
    new = last_code()
    assert len(Phones.sent) == 2
    assert api.put(id=customer_id, **{CODE: new}).status_code == 202


def test_an_expired_code_is_no_use_and_the_value_again_brings_a_new_one(
    api: Api, customer_id: str
) -> None:
    code = last_code()
    expire()
    assert "expired" in refusal(api.put(id=customer_id, **{CODE: code}))
    api.register(id=customer_id, mobile_number=NUMBER)
    assert api.put(id=customer_id, **{CODE: last_code()}).status_code == 202
    assert len({key for *_, key in Phones.sent}) == 2


def test_the_code_of_the_old_number_does_not_verify_the_new_one(api: Api, customer_id: str) -> None:
    old = last_code()
    api.register(id=customer_id, mobile_number=OTHER_NUMBER)
    new = last_code()
    assert Phones.sent[-1][1] == OTHER_NUMBER
    if old != new:
        refusal(api.put(id=customer_id, **{CODE: old}))
    assert api.put(id=customer_id, **{CODE: new}).status_code == 202


def test_nor_does_it_when_it_comes_with_the_new_number(api: Api, customer_id: str) -> None:
    api.register(id=customer_id, mobile_number=OTHER_NUMBER, **{CODE: last_code()})
    assert state_of(api, customer_id) == "VERIFICATION_REQUIRED"


def test_several_codes_are_right_together_or_not_at_all(api: Api) -> None:
    customer_id = api.register(
        type="receiver", **RECEIVER, mobile_number=NUMBER, email_address="l@example.com"
    )
    verification.send_due_codes()
    codes = {name: code for name, _, code, _ in Phones.sent}
    both = {f"{name}_verification": code for name, code in codes.items()}
    message = refusal(
        api.put(id=customer_id, **{**both, "email_address_verification": wrong(both[CODE])})
    )
    assert "email_address_verification" in message
    assert state_of(api, customer_id) == "VERIFICATION_REQUIRED"
    assert api.put(id=customer_id, **both).status_code == 202
    assert state_of(api, customer_id) == state_of(api, customer_id, "email_address") == "ACCEPTED"


@pytest.mark.parametrize("name", ["first_name", "email_address", "tax_id"])
def test_a_code_for_a_field_that_waits_for_none_is_refused(
    api: Api, customer_id: str, name: str
) -> None:
    message = refusal(api.put(id=customer_id, **{f"{name}_verification": "123456"}))
    assert name in message


def test_another_anchor_can_not_even_try(api: Api, customer_id: str) -> None:
    code = last_code()
    other = Api(make_sending_anchor().headers())
    assert other.put(id=customer_id, **{CODE: code}).status_code == 404
    assert Verification.objects.get().wrong_tries == 0


def test_an_erased_customer_leaves_no_code(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    api.delete(anchor.account)
    assert not Verification.objects.exists()
    verification.send_due_codes()
    assert Phones.sent == []


@pytest.mark.django_db(transaction=True)
def test_tries_at_once_do_not_get_past_the_limit(api: Api, customer_id: str) -> None:
    code = last_code()
    tries = 20
    together = threading.Barrier(tries)
    errors: list[str] = []

    def guess() -> None:
        together.wait(20)
        errors.append(refusal(api.put(id=customer_id, **{CODE: wrong(code)})))
        connection.close()

    threads = [threading.Thread(target=guess) for _ in range(tries)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len([error for error in errors if "is not the code" in error]) == 5
    assert len([error for error in errors if "too many" in error]) == tries - 5
    assert Verification.objects.get().wrong_tries == 5


@pytest.mark.django_db(transaction=True)
def test_a_code_and_a_new_number_at_once_never_leave_the_new_number_unproven(api: Api) -> None:
    for attempt in range(5):
        customer_id = api.register(
            memo=str(attempt), type="receiver", **RECEIVER, mobile_number=NUMBER
        )
        code = last_code()
        SentCode.objects.all().delete()
        together = threading.Barrier(2)

        def put(body: dict[str, str], customer_id: str, together: threading.Barrier) -> None:
            together.wait(10)
            api.put(id=customer_id, **body)
            connection.close()

        threads = [
            threading.Thread(target=put, args=[body, customer_id, together])
            for body in ({CODE: code}, {"mobile_number": OTHER_NUMBER})
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
        assert state_of(api, customer_id) == "VERIFICATION_REQUIRED"


# -- Sending ----------------------------------------------------------------------------------
def test_a_code_is_sealed_and_in_no_log(
    api: Api, customer_id: str, caplog: Any, phones: type[Phones]
) -> None:
    caplog.set_level(logging.DEBUG)
    phones.fails = True
    code = last_code()
    refusal(api.put(id=customer_id, **{CODE: wrong(code)}))
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM sep12_verification, sep12_sentcode")
        row = repr([bytes(v) if isinstance(v, memoryview) else v for v in cursor.fetchone()])
    for text in (caplog.text, row):
        assert code not in text
        assert NUMBER not in text


def test_a_sender_that_fails_is_called_again_with_the_same_code_and_key(
    api: Api, customer_id: str, phones: type[Phones]
) -> None:
    phones.fails = True
    verification.send_due_codes()
    assert verification.send_due_codes() == 0  # not before a pause
    phones.fails = False
    make_due()
    verification.send_due_codes()
    first, second = phones.sent
    assert first == second
    assert api.put(id=customer_id, **{CODE: second[2]}).status_code == 202


def test_a_sender_that_goes_on_failing_is_given_up_and_the_value_again_starts_anew(
    api: Api, customer_id: str, phones: type[Phones]
) -> None:
    phones.fails = True
    for _ in range(7):
        verification.send_due_codes()
        make_due()
    assert len(phones.sent) == 5
    assert "could not be sent" in refusal(api.put(id=customer_id, **{CODE: phones.sent[0][2]}))
    phones.fails = False
    api.register(id=customer_id, mobile_number=NUMBER)
    assert api.put(id=customer_id, **{CODE: last_code()}).status_code == 202


def test_a_worker_that_died_while_sending_loses_nothing(
    customer_id: str, phones: type[Phones]
) -> None:
    pk = Verification.objects.get().pk
    assert verification._claim(pk) is not None  # and then it died
    assert verification.send_due_codes() == 0
    make_due()
    verification.send_due_codes()
    assert len(phones.sent) == 1


def test_new_codes_do_not_wait_for_a_sender_that_is_failing(
    api: Api, customer_id: str, phones: type[Phones]
) -> None:
    phones.fails = True
    verification.send_due_codes()
    api.register(memo="2", type="receiver", **RECEIVER, mobile_number=OTHER_NUMBER)
    new = Verification.objects.get(send_tries=0)
    verification.send_new_code(new.pk)
    assert len(phones.sent) == 1
    phones.fails = False
    make_due()
    verification.send_due_codes()
    assert {value for _, value, *_ in phones.sent} == {NUMBER, OTHER_NUMBER}


@pytest.mark.django_db(transaction=True)
def test_no_lock_is_held_while_a_code_is_sent(api: Api, customer_id: str, monkeypatch: Any) -> None:
    def change_meanwhile(self: Any, name: str, value: str, code: str, *, key: str) -> None:
        Phones.sent.append((name, value, code, key))
        thread = threading.Thread(target=change)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()

    def change() -> None:
        api.register(id=customer_id, mobile_number=OTHER_NUMBER)
        connection.close()

    with monkeypatch.context() as patch:
        patch.setattr(Phones, "send", change_meanwhile)
        verification.send_due_codes()
    assert [value for _, value, *_ in Phones.sent] == [NUMBER]
    # What was recorded of the old number's code is not taken for the new one's.
    assert Verification.objects.get().send_tries == 0
    assert api.put(id=customer_id, **{CODE: last_code()}).status_code == 202
    assert Phones.sent[-1][1] == OTHER_NUMBER


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_a_code_once(customer_id: str) -> None:
    pk = Verification.objects.get().pk
    together = threading.Barrier(4)

    def work() -> None:
        together.wait(5)
        verification.send_code(pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert len(Phones.sent) == 1


# -- Nobody's phone is flooded ----------------------------------------------------------------
def test_a_field_gets_only_so_many_codes_in_an_hour(api: Api, customer_id: str) -> None:
    for attempt in range(10):
        api.register(id=customer_id, mobile_number=f"+52551234567{attempt}")
        verification.send_due_codes()
    assert len(Phones.sent) == 5
    assert "could not be sent" in refusal(api.put(id=customer_id, **{CODE: "123456"}))
    SentCode.objects.update(sent_at=timezone.now() - timedelta(hours=1))
    api.register(id=customer_id, mobile_number="+525512345679")
    assert api.put(id=customer_id, **{CODE: last_code()}).status_code == 202


def test_a_number_gets_only_so_many_codes_in_an_hour_whoever_asks(api: Api) -> None:
    others = Api(make_sending_anchor().headers())
    for memo in range(5):
        for anchor in (api, others):
            anchor.register(memo=str(memo), type="receiver", **RECEIVER, mobile_number=NUMBER)
    verification.send_due_codes()
    assert len(Phones.sent) == 5


def test_nor_more_by_erasing_the_customer_in_between(api: Api, anchor: RegisteredAnchor) -> None:
    for _ in range(8):
        api.register(type="receiver", **RECEIVER, mobile_number=NUMBER)
        verification.send_due_codes()
        assert api.delete(anchor.account).status_code == 200
    assert len(Phones.sent) == 5


def test_a_sending_anchor_gets_only_so_many_codes_in_an_hour(api: Api, settings: Any) -> None:
    settings.VERIFICATION_CODES_PER_ANCHOR_PER_HOUR = 3
    for memo in range(5):
        number = f"+52551234567{memo}"
        api.register(memo=str(memo), type="receiver", **RECEIVER, mobile_number=number)
    other = Api(make_sending_anchor().headers())
    other.register(type="receiver", **RECEIVER, mobile_number=OTHER_NUMBER)
    verification.send_due_codes()
    values = [value for _, value, *_ in Phones.sent]
    assert len(values) == 4
    assert OTHER_NUMBER in values


@pytest.mark.django_db(transaction=True)
def test_limits_hold_for_codes_that_are_sent_at_once(api: Api) -> None:
    for memo in range(10):
        api.register(memo=str(memo), type="receiver", **RECEIVER, mobile_number=NUMBER)
    keys = list(Verification.objects.values_list("pk", flat=True))
    together = threading.Barrier(len(keys))

    def work(pk: Any) -> None:
        together.wait(10)
        verification.send_code(pk)
        connection.close()

    threads = [threading.Thread(target=work, args=[pk]) for pk in keys]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert len(Phones.sent) == 5


def test_who_got_codes_is_forgotten_when_no_limit_counts_it(customer_id: str) -> None:
    verification.send_due_codes()
    assert verification.purge_sent_codes() == 0
    SentCode.objects.update(sent_at=timezone.now() - timedelta(hours=1))
    assert verification.purge_sent_codes() == 1
    assert not SentCode.objects.exists()


# -- The gateway over HTTP --------------------------------------------------------------------
class TestWithTheHttpSender:
    @pytest.fixture(autouse=True)
    def gateway(self, settings: Any) -> Iterator[Partner]:
        with Partner((200, {})) as partner:
            settings.ANCHOR["verification"][FIELD] = "sep12.senders.HttpSender"
            settings.VERIFICATION_GATEWAY_URL = partner.url
            settings.VERIFICATION_GATEWAY_KEY = "gateway-key"
            yield partner

    def test_the_gateway_is_told_what_to_send_to_whom(
        self, api: Api, customer_id: str, gateway: Partner
    ) -> None:
        verification.send_due_codes()
        [request] = gateway.requests
        key = str(Verification.objects.get().pk)
        code = request.json["code"]
        assert request.json == {"field": FIELD, "to": NUMBER, "code": code, "key": key}
        assert request.headers["authorization"] == "Bearer gateway-key"
        assert request.headers["idempotency-key"] == key
        assert api.put(id=customer_id, **{CODE: code}).status_code == 202

    @pytest.mark.parametrize("status", [302, 400, 429, 503])
    def test_what_it_does_not_take_is_sent_again(
        self, customer_id: str, gateway: Partner, status: int
    ) -> None:
        gateway.reply = (status, {})
        verification.send_due_codes()
        make_due()
        gateway.reply = (202, {})
        verification.send_due_codes()
        assert len(gateway.requests) == 2
        assert gateway.requests[0].body == gateway.requests[1].body
        assert Verification.objects.get().due_at is None


def test_what_is_verified_stays_so_when_other_fields_change(api: Api, customer_id: str) -> None:
    api.register(id=customer_id, **{CODE: last_code()})
    api.register(id=customer_id, last_name="García", mobile_number=NUMBER)
    assert state_of(api, customer_id) == "ACCEPTED"
    assert Customer.objects.get().revision == 2
