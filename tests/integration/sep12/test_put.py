"""PUT /customer: what is taken, what is refused, what is left behind."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections
from PIL import Image

from callbacks.models import Callback
from sep12 import services
from sep12.models import Customer, CustomerField, CustomerFile
from sep12.status import FieldState
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.documents import photo, picture
from tests.integration.sep12.conftest import Api, Transactions

NAMES = {"first_name": "María", "last_name": "Quispe"}


def contents(customer_id: str) -> dict[str, str]:
    owner = uuid.UUID(customer_id)
    return services.reveal_fields({owner})[owner]


def test_a_customer_is_registered_and_found_again_by_id_and_by_memo(api: Api) -> None:
    customer_id = api.register(memo="7", type="sender", **NAMES)
    assert contents(customer_id) == NAMES
    assert api.get(id=customer_id, type="sender").json()["id"] == customer_id
    assert api.get(memo="7", memo_type="id", type="sender").json()["id"] == customer_id


def test_the_same_put_twice_changes_nothing_and_gives_the_same_id(api: Api) -> None:
    first = api.register(memo="7", **NAMES)
    written = CustomerField.objects.values_list("name", "updated_at").order_by("name")
    before = list(written)
    assert api.register(memo="7", **NAMES) == first
    assert list(written.all()) == before


def test_memos_tell_customers_of_one_account_apart(api: Api) -> None:
    hash_memo = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="
    ids = {
        api.register(),
        api.register(memo="7"),
        api.register(memo="7", memo_type="text"),
        api.register(memo=hash_memo, memo_type="hash"),
        api.register(memo="21bf91a4-7db1-401d-8108-fab7660a45d6"),
    }
    assert len(ids) == 5


def test_an_id_memo_has_one_customer_however_it_is_spelled(api: Api) -> None:
    first = api.register(memo="7", memo_type="id")
    assert api.register(memo="007") == first
    assert api.register(memo=7) == first


def test_fields_are_added_and_replaced_one_put_at_a_time(api: Api) -> None:
    customer_id = api.register(memo="7", first_name="Maria")
    api.register(id=customer_id, last_name="Quispe")
    api.register(id=customer_id, first_name="María")
    assert contents(customer_id) == NAMES


def test_the_other_names_of_first_and_last_name_mean_the_same_fields(api: Api) -> None:
    customer_id = api.register(type="sender", given_name="María", family_name="Quispe")
    assert contents(customer_id) == NAMES
    assert api.status(id=customer_id, type="sender") == "ACCEPTED"
    refused = api.put(given_name="María", first_name="Ana")
    assert refused.status_code == 400
    assert "first_name" in refused.json()["error"]


def test_names_that_sep_9_does_not_know_are_ignored(api: Api) -> None:
    customer_id = api.register(shoe_size="42", **NAMES)
    assert contents(customer_id) == NAMES


def test_empty_values_count_as_not_sent(api: Api) -> None:
    customer_id = api.register(first_name="María", last_name="", city=None, tax_id="  ")
    assert contents(customer_id) == {"first_name": "María"}


def test_urlencoded_and_multipart_forms_are_taken_as_json_is(
    api: Api, anchor: RegisteredAnchor
) -> None:
    urlencoded = api.client.put(
        "/sep12/customer",
        "memo=7&first_name=Mar%C3%ADa",
        "application/x-www-form-urlencoded",
        headers=anchor.headers(),
    )
    multipart = api.form(memo="7", last_name="Quispe")
    assert urlencoded.status_code == multipart.status_code == 202
    assert urlencoded.json() == multipart.json()
    assert contents(urlencoded.json()["id"]) == NAMES


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"birth_date": "1976-13-01"}, "birth_date"),
        ({"address_country_code": "mexico"}, "address_country_code"),
        ({"email_address": "maria"}, "email_address"),
        ({"mobile_number": "5512345678"}, "mobile_number"),
        ({"first_name": ["María"]}, "first_name"),
        ({"first_name": {"a": 1}}, "first_name"),
        ({"first_name": 7}, "first_name"),
        ({"first_name": "x" * 300}, "first_name"),
        ({"first_name": "a\nb"}, "first_name"),
        ({"id_type": "library card", "type": "sender"}, "id_type"),
        ({"id_type": "library card"}, "id_type"),
        ({"photo_id_front": "not a file"}, "photo_id_front"),
        ({"photo_id_front_file_id": "file_abc"}, "photo_id_front_file_id"),
        ({"mobile_number_verification": "1234"}, "mobile_number_verification"),
        ({"type": "emperor"}, "type"),
        ({"type": ["sender"]}, "type"),
        ({"memo": "x", "memo_type": "id"}, "memo"),
        ({"memo": "x", "memo_type": "hash"}, "memo"),
        ({"memo": "x", "memo_type": "return"}, "memo_type"),
        ({"memo": True}, "memo"),
        ({"transaction_id": "t"}, "type"),
    ],
)
def test_a_bad_value_is_a_400_that_names_it_and_writes_nothing(
    api: Api, body: dict[str, Any], named: str
) -> None:
    response = api.put(**{"last_name": "Quispe", **body})
    assert response.status_code == 400
    assert named in response.json()["error"]
    assert not Customer.objects.exists()


def test_an_error_never_repeats_the_value(api: Api) -> None:
    secret = "maria-quispe-1976"
    for name in ("birth_date", "email_address", "mobile_number", "clabe_number", "card.number"):
        response = api.put(**{name: secret})
        assert response.status_code == 400
        assert secret not in response.content.decode()


def test_one_value_given_twice_in_a_form_is_refused(api: Api, anchor: RegisteredAnchor) -> None:
    response = api.client.put(
        "/sep12/customer",
        "first_name=a&first_name=b",
        "application/x-www-form-urlencoded",
        headers=anchor.headers(),
    )
    assert response.status_code == 400
    assert "first_name" in response.json()["error"]


def test_a_file_is_stored_sealed_and_counts_as_its_field(api: Api) -> None:
    response = api.form(type="checked", first_name="María", photo_id_front=photo())
    assert response.status_code == 202
    [file] = CustomerFile.objects.all()
    assert Image.open(BytesIO(file.content)).tobytes() == Image.open(BytesIO(picture())).tobytes()
    assert (file.content_type, str(file.customer_id)) == ("image/png", response.json()["id"])
    body = api.get(id=response.json()["id"], type="checked").json()
    assert body["status"] == "ACCEPTED"
    assert body["provided_fields"]["photo_id_front"]["type"] == "binary"


def test_a_file_over_the_limit_is_a_413(api: Api, settings: Any) -> None:
    size = settings.MAX_FILE_BYTES = len(picture())
    assert api.form(memo="7", photo_id_front=photo()).status_code == 202
    settings.MAX_FILE_BYTES = size - 1
    response = api.form(memo="8", photo_id_front=photo())
    assert response.status_code == 413
    assert str(size - 1) in response.json()["error"]
    assert Customer.objects.count() == 1


def test_large_files_never_touch_the_disk(api: Api, settings: Any, tmp_path: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "not there")
    assert api.form(photo_id_front=photo(side=1000)).status_code == 202


@pytest.mark.parametrize(("name", "content"), [("first_name", b"x"), ("photo_id_front", b"")])
def test_a_file_where_text_belongs_and_an_empty_file_are_refused(
    api: Api, name: str, content: bytes
) -> None:
    parts: dict[str, Any] = {name: SimpleUploadedFile("f", content, "image/png")}
    response = api.form(**parts)
    assert response.status_code == 400
    assert name in response.json()["error"]


def test_a_body_over_the_limit_is_a_413(api: Api, anchor: RegisteredAnchor) -> None:
    response = api.client.put(
        "/sep12/customer",
        "first_name=" + "x" * 300_000,
        "application/x-www-form-urlencoded",
        headers=anchor.headers(),
    )
    assert response.status_code == 413
    assert response.json()["error"]


def test_an_unknown_content_type_is_a_415(api: Api, anchor: RegisteredAnchor) -> None:
    response = api.client.put(
        "/sep12/customer", "<a/>", "application/xml", headers=anchor.headers()
    )
    assert response.status_code == 415
    assert response.json()["error"]


def test_a_refused_value_is_not_taken_again_but_another_is(api: Api) -> None:
    customer_id = api.register(type="receiver", bank_account_number="111", **NAMES)
    services.reject_fields(uuid.UUID(customer_id), {"bank_account_number": "No such account"})
    assert api.status(id=customer_id) == "NEEDS_INFO"

    again = api.put(id=customer_id, bank_account_number="111", first_name="Ana")
    assert again.status_code == 400
    assert "bank_account_number" in again.json()["error"]
    assert "before" in again.json()["error"]
    assert "111" not in again.json()["error"]
    assert contents(customer_id)["first_name"] == "María"

    api.register(id=customer_id, bank_account_number="222")
    assert api.status(id=customer_id) == "ACCEPTED"
    # The retry of a PUT whose answer was lost is no error.
    api.register(id=customer_id, bank_account_number="222")


def test_a_refused_file_is_not_taken_again_but_another_is(api: Api) -> None:
    response = api.form(type="checked", first_name="Ana", photo_id_front=photo(1))
    customer_id = response.json()["id"]
    services.reject_fields(uuid.UUID(customer_id), {"photo_id_front": "Too dark"})
    again = api.form(id=customer_id, photo_id_front=photo(1))
    assert again.status_code == 400
    assert "photo_id_front" in again.json()["error"]
    assert api.form(id=customer_id, photo_id_front=photo(2)).status_code == 202
    assert api.status(id=customer_id) == "ACCEPTED"


def test_the_code_of_a_card_is_checked_and_never_kept(api: Api) -> None:
    """PCI DSS 3.3.1: not even encrypted."""
    assert api.put(**{"card.cvc": "12x"}).status_code == 400
    customer_id = api.register(**{"card.cvc": "123", "card.number": "4242424242424242"})
    assert contents(customer_id) == {"card.number": "4242424242424242"}
    assert "card.cvc" not in api.get(id=customer_id).json()["provided_fields"]


def test_fields_that_contradict_each_other_are_refused_by_name(api: Api) -> None:
    response = api.put(id_issue_date="2024-05-01", id_expiration_date="2023-05-01")
    assert response.status_code == 400
    assert "id_expiration_date" in response.json()["error"]


def test_no_value_stands_in_the_tables_in_the_clear(api: Api) -> None:
    values = {"first_name": "Maximiliana", "last_name": "Quispelliyoc", "tax_id": "ZXCV-987654"}
    assert api.form(type="sender", photo_id_front=photo(), **values).status_code == 202
    dump = []
    with connection.cursor() as cursor:
        for table in ("sep12_customer", "sep12_customerfield", "sep12_customerfile"):
            cursor.execute(f"SELECT * FROM {table}")
            for row in cursor.fetchall():
                dump += [bytes(v) if isinstance(v, memoryview) else str(v).encode() for v in row]
    raw = b"|".join(dump)
    assert b"first_name" in raw
    for clear in [*(value.encode() for value in values.values()), picture()[100:140]]:
        assert clear not in raw
    for row in CustomerField.objects.all():
        assert not any(clear in repr(row) + str(row) for clear in values.values())


@pytest.mark.parametrize("fields", [1, 20])
def test_a_put_costs_as_many_queries_however_many_fields(
    api: Api, django_assert_num_queries: Any, fields: int
) -> None:
    names = ["first_name", "last_name", "city", "address", "birth_place", "employer_name"]
    names += ["state_or_province", "referral_id", "additional_name", "tax_id_name", "bank_name"]
    names += ["card.city", "card.token", "card.holder_name", "external_transfer_memo"]
    names += ["organization.name", "organization.city", "organization.director_name"]
    names += ["organization.registered_address", "organization.shareholder_name"]
    body = dict.fromkeys(names[:fields], "passport")
    with django_assert_num_queries(1):  # for all, the token too
        api.register(memo="7", type="sender", **body)
    # Of these, one is for the token, and two are the test's own savepoint.
    with django_assert_num_queries(10):  # insert, lock, read 2, write 2, cases, who waits
        api.register(memo="7", type="sender", **dict.fromkeys(body, "identity"))
    with django_assert_num_queries(7):  # insert, lock, read 2
        api.register(memo="7", type="sender", **dict.fromkeys(body, "identity"))


class TestWithATransaction:
    @pytest.fixture(autouse=True)
    def transaction(self, anchor: RegisteredAnchor) -> None:
        Transactions.owners["t1"] = anchor.account

    def test_the_customer_becomes_the_transactions_for_that_type(self, api: Api) -> None:
        customer_id = api.register(memo="7", transaction_id="t1", type="sender", **NAMES)
        assert Transactions.customers == {("t1", "sender"): uuid.UUID(customer_id)}
        assert api.get(transaction_id="t1", type="sender").json()["id"] == customer_id

    def test_without_id_or_memo_each_type_of_a_transaction_has_its_own_customer(
        self, api: Api
    ) -> None:
        api.register(first_name="The account's own")
        sender = api.register(transaction_id="t1", type="sender", first_name="Ana")
        receiver = api.register(transaction_id="t1", type="receiver", first_name="María")
        assert contents(sender) == {"first_name": "Ana"}
        assert contents(receiver) == {"first_name": "María"}
        assert api.register(transaction_id="t1", type="sender", last_name="Paz") == sender
        assert Customer.objects.count() == 3

    def test_the_parameters_may_stand_in_the_query_as_in_sep_31(
        self, api: Api, anchor: RegisteredAnchor
    ) -> None:
        response = api.client.put(
            "/sep12/customer?transaction_id=t1&type=sender",
            NAMES,
            "application/json",
            headers=anchor.headers(),
        )
        assert response.status_code == 202
        assert api.status(transaction_id="t1", type="sender") == "ACCEPTED"

    def test_parameters_that_contradict_each_other_are_refused(
        self, api: Api, anchor: RegisteredAnchor
    ) -> None:
        response = api.client.put(
            "/sep12/customer?type=receiver",
            {"type": "sender"},
            "application/json",
            headers=anchor.headers(),
        )
        assert response.status_code == 400
        assert "type" in response.json()["error"]

    def test_an_unknown_transaction_leaves_no_customer_behind(self, api: Api) -> None:
        response = api.put(memo="7", transaction_id="t2", type="sender", **NAMES)
        assert response.status_code == 404
        assert not Customer.objects.exists()

    def test_a_bad_put_attaches_nobody(self, api: Api) -> None:
        assert api.put(transaction_id="t1", type="sender", birth_date="?").status_code == 400
        assert Transactions.customers == {}

    def test_an_erased_customer_of_a_transaction_is_registered_anew(
        self, api: Api, anchor: RegisteredAnchor
    ) -> None:
        first = api.register(memo="7", transaction_id="t1", type="sender", **NAMES)
        assert api.delete(anchor.account, memo="7").status_code == 200
        assert "id" not in api.get(transaction_id="t1", type="sender").json()
        second = api.register(transaction_id="t1", type="sender", **NAMES)
        assert second != first
        assert api.get(transaction_id="t1", type="sender").json()["id"] == second


def at_once(count: int, work: Any) -> list[Any]:
    """Run `work(i)` in `count` threads that start together."""
    barrier = threading.Barrier(count)

    def run(i: int) -> Any:
        barrier.wait()
        try:
            return work(i)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.django_db(transaction=True)
def test_fifty_puts_of_one_customer_at_once_leave_one_consistent_customer() -> None:
    registered = make_sending_anchor()
    headers = registered.headers()

    def put(i: int) -> Any:
        return Api(headers).put(
            memo="7", type="sender", first_name=f"name {i}", last_name=f"name {i}"
        )

    answers = at_once(50, put)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Customer.objects.count() == 1
    held = contents(answers[0].json()["id"])
    assert held["first_name"] == held["last_name"]


@pytest.mark.django_db(transaction=True)
def test_puts_and_erasures_at_once_leave_no_personal_data_with_the_erased() -> None:
    registered = make_sending_anchor()
    headers = registered.headers()

    def work(i: int) -> int:
        if i % 3:
            return int(Api(headers).put(memo="7", type="sender", **NAMES).status_code)
        return int(Api(headers).delete(registered.account, memo="7").status_code)

    assert set(at_once(18, work)) <= {200, 202, 404, 409}
    assert Customer.objects.present().count() <= 1
    assert not CustomerField.objects.filter(customer__erased_at__isnull=False).exists()


def test_a_field_state_says_nothing_of_the_value() -> None:
    assert set(FieldState.__dataclass_fields__) == {"status", "error", "provided"}


@pytest.mark.django_db(transaction=True)
def test_a_status_that_many_puts_bring_about_at_once_is_told_once() -> None:
    registered = make_sending_anchor()
    api = Api(registered.headers())
    customer_id = api.register(memo="7", type="sender", first_name="María")
    api.put("/callback", id=customer_id, url="https://callback.example.com/kyc")

    def put(i: int) -> int:
        return int(Api(api.headers).put(id=customer_id, last_name=f"Quispe {i}").status_code)

    assert set(at_once(20, put)) == {202}
    assert [json.loads(row.body)["status"] for row in Callback.objects.all()] == ["ACCEPTED"]
