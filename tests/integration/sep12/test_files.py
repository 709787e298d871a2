"""SEP-12, "Customer Files": sent on their own, found by their owner alone, used by one customer."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections, transaction
from django.test.client import BOUNDARY, encode_multipart
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep12 import stored_files
from sep12.models import Customer, CustomerField, CustomerFile
from tests.fixtures import uploads
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor
from tests.integration.sep12.conftest import Api

FILES = "/sep12/customer/files"
UNKNOWN = str(uuid.uuid4())


def send(api: Api, raw: bytes | None = None, claim: str = "image/png") -> Any:
    upload = SimpleUploadedFile("maria.png", uploads.png() if raw is None else raw, claim)
    return api.client.post(FILES, {"file": upload}, headers=api.headers)


def sent(api: Api, raw: bytes | None = None, claim: str = "") -> str:
    response = send(api, raw, claim)
    assert response.status_code == 200, response.content
    return str(response.json()["file_id"])


def listed(api: Api, **query: str) -> list[dict[str, Any]]:
    response = api.client.get(FILES, query, headers=api.headers)
    assert response.status_code == 200, response.content
    assert response.json().keys() == {"files"}
    return list(response.json()["files"])


def expire(file_id: str) -> None:
    CustomerFile.objects.filter(pk=file_id).update(expires_at=timezone.now())


# -- POST and GET -----------------------------------------------------------------------------
def test_a_file_is_sent_and_found_again(api: Api, settings: Any) -> None:
    settings.UNUSED_FILE_SECONDS = 3600
    before = timezone.now()
    body = send(api).json()
    assert body.keys() == {"file_id", "content_type", "size", "customer_id", "expires_at"}
    assert (body["content_type"], body["customer_id"]) == ("image/png", None)
    assert body["expires_at"].endswith("Z")
    expires_at = datetime.fromisoformat(body["expires_at"])
    assert before <= expires_at - timedelta(hours=1) <= timezone.now()
    assert listed(api, file_id=body["file_id"]) == [body]
    assert body["size"] == len(CustomerFile.objects.get().content)


def test_what_is_kept_is_clean_and_sealed(api: Api) -> None:
    raw = uploads.jpeg(exif=uploads.phone_exif())
    file_id = sent(api, raw)
    file = CustomerFile.objects.get(pk=file_id)
    assert (file.content_type, file.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    assert b"PhoneMaker" not in file.content
    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM sep12_customerfile")
        assert bytes(cursor.fetchone()[0]).find(b"JFIF") == -1


def test_a_used_file_says_whose_it_is_and_no_longer_expires(api: Api) -> None:
    first, second = sent(api), sent(api, uploads.pdf())
    customer_id = api.register(first_name="Ana", photo_id_front_file_id=first)
    api.register(id=customer_id, photo_id_back_file_id=second)
    files = listed(api, customer_id=customer_id)
    assert [(f["file_id"], f["customer_id"]) for f in files] == [
        (first, customer_id),
        (second, customer_id),
    ]
    assert all("expires_at" not in file for file in files)
    assert listed(api, file_id=first, customer_id=customer_id) == files[:1]


def test_files_of_a_multipart_put_are_listed_too(api: Api) -> None:
    photo = SimpleUploadedFile("f.png", uploads.png(), "image/png")
    customer_id = api.form(first_name="Ana", photo_id_front=photo).json()["id"]
    (file,) = listed(api, customer_id=customer_id)
    assert file["content_type"] == "image/png"


@pytest.mark.parametrize("value", [UNKNOWN, "file_abc", "\u0661", "x" * 100])
def test_what_is_not_there_is_an_empty_list(api: Api, value: str) -> None:
    assert listed(api, file_id=value) == []
    assert listed(api, customer_id=value) == []


@pytest.mark.parametrize("query", ["", "file_id=", "file_id=%00", "customer_id=" + "x" * 101])
def test_a_get_must_name_a_file_or_a_customer(api: Api, query: str) -> None:
    response = api.client.get(f"{FILES}?{query}", headers=api.headers)
    assert response.status_code == 400
    assert "file_id" in response.json()["error"] or "customer_id" in response.json()["error"]


def test_an_expired_file_is_gone_before_it_is_purged(api: Api) -> None:
    file_id = sent(api)
    expire(file_id)
    assert listed(api, file_id=file_id) == []


# -- What is refused --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"file": "abc"}, "application/json"),
        ({}, "application/json"),
        ("file=abc", "application/x-www-form-urlencoded"),
        (encode_multipart(BOUNDARY, {"file": "abc"}), f"multipart/form-data; boundary={BOUNDARY}"),
        (encode_multipart(BOUNDARY, {}), f"multipart/form-data; boundary={BOUNDARY}"),
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
    ],
)
def test_without_a_file_it_is_a_400_that_says_how_to_send_one(
    api: Api, body: Any, content_type: str
) -> None:
    response = api.client.post(FILES, body, content_type, headers=api.headers)
    assert response.status_code == 400
    assert response.json()["error"] == "file must be a file, sent as multipart/form-data"


def test_two_files_at_once_are_refused(api: Api) -> None:
    two = [SimpleUploadedFile("a.png", uploads.png()), SimpleUploadedFile("b.png", uploads.png())]
    response = api.client.post(FILES, {"file": two}, headers=api.headers)
    assert response.status_code == 400
    assert "once" in response.json()["error"]


@pytest.mark.parametrize(
    ("raw", "claim"),
    [
        (b"<svg onload=alert(1)>", "image/png"),
        (uploads.png(), "image/jpeg"),
        (uploads.png()[:40], "image/png"),
        (b"", "image/png"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_a_400_and_leaves_nothing(
    api: Api, raw: bytes, claim: str
) -> None:
    response = send(api, raw, claim)
    assert response.status_code == 400
    assert response.json()["error"].startswith("file ")
    assert "maria" not in response.content.decode()
    assert not CustomerFile.objects.exists()


def test_a_file_over_the_limit_is_a_413(api: Api, settings: Any) -> None:
    photo = uploads.png()
    settings.MAX_FILE_BYTES = len(photo)
    assert send(api, photo).status_code == 200
    response = send(api, photo + b"\0")
    assert response.status_code == 413
    assert str(len(photo)) in response.json()["error"]


def test_so_is_a_body_over_the_limit_before_any_of_it_is_read(api: Api, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    response = api.client.generic(
        "POST",
        FILES,
        b"--b",
        "multipart/form-data; boundary=b",
        headers=api.headers,
        CONTENT_LENGTH="1001",
    )
    assert response.status_code == 413
    assert "1000" in response.json()["error"]


def test_files_in_one_put_count_together(api: Api, settings: Any) -> None:
    photo = uploads.png() + bytes(2000)
    settings.MAX_UPLOAD_BYTES = 2 * len(photo)
    names = ("photo_id_front", "photo_id_back")
    parts: dict[str, Any] = {name: SimpleUploadedFile("f", photo, "image/png") for name in names}
    assert api.form(**parts).status_code == 413
    assert not Customer.objects.exists()


HOSTILE = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@HOSTILE
@given(name=st.binary(max_size=20), claim=st.binary(max_size=30), raw=st.binary(max_size=60))
def test_any_part_is_a_4xx_with_an_error(api: Api, name: bytes, claim: bytes, raw: bytes) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n'
        b"Content-Type: %b\r\n\r\n%b\r\n--b--\r\n" % (name, claim, raw)
    )
    response = api.client.generic(
        "POST", FILES, body, "multipart/form-data; boundary=b", headers=api.headers
    )
    assert 400 <= response.status_code < 500
    assert response.json()["error"]


# -- <field>_file_id --------------------------------------------------------------------------
def test_a_field_takes_a_file_by_its_id(api: Api) -> None:
    file_id = sent(api)
    customer_id = api.register(type="checked", first_name="Ana", photo_id_front_file_id=file_id)
    body = api.get(id=customer_id, type="checked").json()
    assert body["status"] == "ACCEPTED"
    assert body["provided_fields"]["photo_id_front"]["status"] == "ACCEPTED"
    assert str(CustomerField.objects.get(name="photo_id_front").file_id) == file_id


def test_the_same_put_again_is_fine_and_a_file_may_stand_in_two_fields(api: Api) -> None:
    file_id = sent(api)
    body = {"memo": "7", "photo_id_front_file_id": file_id}
    first = api.register(**body)
    assert api.register(**body) == first
    assert api.register(**body, photo_id_back_file_id=file_id) == first
    assert CustomerField.objects.filter(file__pk=file_id).count() == 2


def test_a_video_is_taken_as_a_proof_of_liveness_only(api: Api) -> None:
    file_id = sent(api, uploads.mp4())
    refused = api.put(photo_id_front_file_id=file_id)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("photo_id_front_file_id must name a JPEG")
    api.register(proof_of_liveness_file_id=file_id)


@pytest.mark.parametrize("value", [UNKNOWN, "file_abc", "", 7, ["x"], {"a": 1}, None])
def test_an_id_that_names_no_file_is_a_400_that_names_the_field(api: Api, value: Any) -> None:
    response = api.put(first_name="Ana", photo_id_front_file_id=value)
    if value in ("", None):  # counts as not sent
        assert response.status_code == 202
        return
    assert response.status_code == 400
    assert "photo_id_front_file_id" in response.json()["error"]
    assert not Customer.objects.exists()


def test_an_expired_file_is_not_taken(api: Api) -> None:
    file_id = sent(api)
    expire(file_id)
    response = api.put(photo_id_front_file_id=file_id)
    assert response.status_code == 400
    assert "photo_id_front_file_id" in response.json()["error"]


def test_a_file_is_one_customers(api: Api) -> None:
    file_id = sent(api)
    first = api.register(memo="1", photo_id_front_file_id=file_id)
    assert api.put(memo="2", photo_id_front_file_id=file_id).status_code == 400
    assert listed(api, file_id=file_id)[0]["customer_id"] == first
    assert not Customer.objects.filter(memo="2").exists()


def test_a_put_that_is_refused_takes_no_file(api: Api) -> None:
    file_id = sent(api)
    assert api.put(photo_id_front_file_id=file_id, birth_date="x").status_code == 400
    assert api.put(photo_id_front_file_id=file_id, photo_id_back_file_id=UNKNOWN).status_code == 400
    assert listed(api, file_id=file_id)[0]["customer_id"] is None


# -- Ownership --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("owner", "other"),
    [
        ({}, None),
        ({"memo": "7"}, None),
        ({"memo": "7"}, {"memo": "8"}),
        ({"memo": "7"}, {"muxed_id": 8}),
        ({}, {"memo": "7"}),
    ],
    ids=["anchor", "anchor of a user", "user", "muxed user", "account to its user"],
)
def test_for_others_there_is_no_such_file_used_or_not(
    anchor: RegisteredAnchor, owner: dict[str, Any], other: dict[str, Any] | None
) -> None:
    """`other` is a token of the same account, None one of another sending anchor."""
    mine = Api({"Authorization": bearer_for(anchor.account, **owner)})
    stranger = Api(
        make_sending_anchor().headers()
        if other is None
        else {"Authorization": bearer_for(anchor.account, **other)}
    )
    unused, used = sent(mine), sent(mine)
    customer_id = mine.register(first_name="Ana", photo_id_front_file_id=used)
    assert listed(stranger, file_id=unused) == listed(stranger, file_id=used) == []
    assert listed(stranger, customer_id=customer_id) == []
    none = stranger.put(photo_id_front_file_id=UNKNOWN)
    for file_id in (unused, used):
        response = stranger.put(first_name="Eve", photo_id_front_file_id=file_id)
        assert (response.status_code, response.content) == (400, none.content)
    assert [file["file_id"] for file in listed(mine, customer_id=customer_id)] == [used]
    assert listed(mine, file_id=unused)[0]["customer_id"] is None


def test_an_account_reaches_the_files_of_its_users_and_they_those_of_their_customer(
    anchor: RegisteredAnchor,
) -> None:
    account, user = Api(anchor.headers()), Api(anchor.headers("7"))
    muxed = Api({"Authorization": bearer_for(anchor.account, muxed_id=7)})
    of_user = sent(user)
    assert listed(account, file_id=of_user) == listed(muxed, file_id=of_user) != []
    of_account = sent(account)
    account.register(memo="7", photo_id_front_file_id=of_account)
    assert listed(user, file_id=of_account) == listed(muxed, file_id=of_account) != []


# -- How long, and how many -------------------------------------------------------------------
def test_a_replaced_file_is_deleted_and_one_that_a_field_still_has_is_not(api: Api) -> None:
    first, second = sent(api), sent(api)
    customer_id = api.register(photo_id_front_file_id=first, photo_id_back_file_id=first)
    api.register(id=customer_id, photo_id_front_file_id=second)
    assert len(listed(api, customer_id=customer_id)) == 2
    photo = SimpleUploadedFile("f.jpg", uploads.jpeg(), "image/jpeg")
    api.form(id=customer_id, photo_id_back=photo)
    assert {file["file_id"] for file in listed(api, customer_id=customer_id)}.isdisjoint({first})
    assert CustomerFile.objects.count() == 2


def test_erasure_deletes_the_files(api: Api, anchor: RegisteredAnchor) -> None:
    api.register(photo_id_front_file_id=sent(api))
    assert api.delete(anchor.account).status_code == 200
    assert not CustomerFile.objects.exists()


def test_unused_files_are_purged_when_they_expire_in_batches(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_files, "PURGE_BATCH", 2)
    old = [sent(api) for _ in range(3)]
    fresh, used = sent(api), sent(api)
    api.register(photo_id_front_file_id=used)
    for file_id in old:
        expire(file_id)
    assert stored_files.purge_unused_files() == 3
    assert stored_files.purge_unused_files() == 0
    assert {str(pk) for pk in CustomerFile.objects.values_list("pk", flat=True)} == {fresh, used}


def test_a_sending_anchor_has_so_many_unused_files_and_no_more(api: Api, settings: Any) -> None:
    settings.MAX_UNUSED_FILES = 2
    first, _ = sent(api), sent(api)
    refused = send(api)
    assert refused.status_code == 429
    assert "at most 2 files" in refused.json()["error"]
    expire(first)  # and the purge has not come by yet
    sent(api)
    waiting = CustomerFile.objects.filter(expires_at__gt=timezone.now())
    first = str(waiting.earliest("expires_at").pk)
    refused = send(api)
    # When the first of them expires.
    expires_at = CustomerFile.objects.get(pk=first).expires_at
    assert expires_at is not None
    left = (expires_at - timezone.now()).total_seconds()
    assert left <= int(refused.headers["Retry-After"]) <= left + 60
    sent(Api(make_sending_anchor().headers()))
    api.register(photo_id_front_file_id=first)
    sent(api)


def test_nor_so_many_bytes(api: Api, settings: Any) -> None:
    size = send(api).json()["size"]
    settings.MAX_UNUSED_FILE_BYTES = 2 * size
    sent(api)
    assert send(api).status_code == 429
    settings.MAX_UNUSED_FILE_BYTES = size - 1
    assert send(api).status_code == 413  # no waiting would help
    photo = SimpleUploadedFile("f.png", uploads.png(), "image/png")
    assert api.form(photo_id_front=photo).status_code == 202


# -- Queries ----------------------------------------------------------------------------------
def test_queries_of_each_request(api: Api, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):  # the token, what waits already, the insert
        first = sent(api)
    second = sent(api)
    customer_id = api.register(photo_id_front_file_id=first, photo_id_back_file_id=second)
    with django_assert_num_queries(2) as asked:
        assert len(listed(api, customer_id=customer_id)) == 2
    assert not any('"content",' in query["sql"] for query in asked.captured_queries)


def test_queries_of_a_claim_a_drop_and_a_purge(
    api: Api, anchor: RegisteredAnchor, django_assert_num_queries: Any
) -> None:
    customer, caller = Customer.objects.get(pk=api.register()), anchor.caller()
    ids = {"photo_id_front": sent(api), "photo_id_back": sent(api)}
    with transaction.atomic(), django_assert_num_queries(2) as asked:
        stored_files.claim_files(caller, customer, ids)
    assert not any('"content",' in query["sql"] for query in asked.captured_queries)
    with django_assert_num_queries(1):
        stored_files.drop_unused(customer)
    assert not CustomerFile.objects.exists()
    expire(sent(api))
    with django_assert_num_queries(4):  # with the transaction's begin and end
        stored_files.purge_unused_files()


# -- At the same moment -----------------------------------------------------------------------
def in_thread(work: Any) -> Any:
    """Run `work` in a thread with a connection of its own; its future."""

    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


@pytest.mark.django_db(transaction=True)
def test_a_purge_leaves_a_file_alone_that_is_being_taken(
    api: Api, anchor: RegisteredAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id, customer = sent(api), Customer.objects.get(pk=api.register())
    taken, purged = threading.Event(), threading.Event()

    def take() -> None:
        with transaction.atomic():
            stored_files.claim_files(anchor.caller(), customer, {"photo_id_front": file_id})
            taken.set()
            assert purged.wait(30)

    taking = in_thread(take)
    assert taken.wait(30)
    # Meanwhile the file would have expired.
    tomorrow = timezone.now() + timedelta(days=2)
    monkeypatch.setattr(timezone, "now", lambda: tomorrow)
    assert stored_files.purge_unused_files() == 0
    purged.set()
    taking.result(30)
    assert stored_files.purge_unused_files() == 0
    assert CustomerFile.objects.get().customer == customer


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_being_purged_is_not_taken(api: Api, anchor: RegisteredAnchor) -> None:
    file_id, customer = sent(api), Customer.objects.get(pk=api.register())
    caller = anchor.caller()

    def take() -> None:
        with transaction.atomic():
            stored_files.claim_files(caller, customer, {"photo_id_front": file_id})

    with transaction.atomic():
        later = timezone.now() + timedelta(days=2)
        locked = CustomerFile.objects.lock_expired(later, limit=10)
        taking = in_thread(take)
        CustomerFile.objects.filter(pk__in=locked).delete_unread()
    with pytest.raises(BadRequest, match="photo_id_front_file_id"):
        taking.result(30)


@pytest.mark.django_db(transaction=True)
def test_of_many_customers_that_take_one_file_at_once_one_gets_it(api: Api) -> None:
    file_id = sent(api)
    start = threading.Barrier(8)

    def take(memo: int) -> int:
        try:
            start.wait()
            own = Api(api.headers)
            return int(own.put(memo=str(memo), photo_id_front_file_id=file_id).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(take, range(8)))
    assert statuses == [202] + [400] * 7
    assert Customer.objects.count() == CustomerField.objects.filter(file__pk=file_id).count() == 1
