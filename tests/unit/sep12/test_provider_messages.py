"""What the KYC provider and we say to each other (docs/kyc.md)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep12.content import CleanFile
from sep12.provider_messages import MAX_AGE_SECONDS, is_signed, read_answer, sign, write_request
from sep12.types import CustomerType

NOW = 1_790_000_000
TYPE = CustomerType(
    "sender", required=("first_name",), of_others=frozenset({"bank_account_number"})
)


def test_a_signature_is_what_the_documentation_says() -> None:
    expected = hmac.new(b"secret", b"1790000000.{}", hashlib.sha256).hexdigest()
    assert sign("secret", timestamp=NOW, body=b"{}") == f"t=1790000000, s={expected}"


def test_the_example_of_the_documentation_is_right() -> None:
    text = (Path(__file__).parents[3] / "docs/kyc.md").read_text()
    example = sign("example-secret-of-32-characters!", timestamp=NOW, body=b'{"case":"1"}')
    assert f"Landfall-Signature: {example}\n" in text
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1]
    documented: dict[str, Any] = {}
    exec(code, documented)
    documented["secret"] = b"new"
    now = int(time.time())
    assert documented["signature"](now, b"{}") == sign("new", timestamp=now, body=b"{}")
    assert documented["is_from_landfall"](sign("new", timestamp=now, body=b"{}"), b"{}")
    assert not documented["is_from_landfall"](sign("new", timestamp=now, body=b"{}"), b"[]")


def signed(header: str | None, body: bytes = b"{}", **changes: Any) -> bool:
    return is_signed(header, body, **{"secrets": ["new", "old"], "now": NOW + 0.5, **changes})


@pytest.mark.parametrize("secret", ["new", "old"])
def test_any_of_our_secrets_is_good(secret: str) -> None:
    assert signed(sign(secret, timestamp=NOW, body=b"{}"))


@pytest.mark.parametrize(
    "timestamp", [NOW - MAX_AGE_SECONDS - 1, NOW + MAX_AGE_SECONDS + 1, 0, 999_999_999_999]
)
def test_an_old_signature_or_one_of_the_future_is_not(timestamp: int) -> None:
    assert not signed(sign("new", timestamp=timestamp, body=b"{}"))


def test_nor_one_of_another_body_or_another_time_or_another_secret() -> None:
    good = sign("new", timestamp=NOW, body=b"{}")
    assert not signed(good, b"{ }")
    assert not signed(good.replace(f"t={NOW}", f"t={NOW + 1}"))
    assert not signed(sign("other", timestamp=NOW, body=b"{}"))


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_nothing_is_signed(secrets: list[str]) -> None:
    assert not signed(sign("", timestamp=NOW, body=b"{}"), secrets=secrets)


@given(st.text() | st.from_regex(r"t=[0-9]{1,12}, s=[0-9a-f]{64}", fullmatch=True))
def test_no_other_header_is_a_signature(header: str) -> None:
    assert not signed(header)
    assert not signed(None)


def test_the_request_holds_texts_as_they_are_and_files_in_base64() -> None:
    raw = write_request(
        case="c1",
        customer="u1",
        customer_type="sender",
        answer_url="https://anchor.example/webhooks/kyc",
        texts={"first_name": "Lucía"},
        files={"photo_id_front": CleanFile(b"\xff\xd8\x00", "image/jpeg")},
    )
    content = base64.b64encode(b"\xff\xd8\x00").decode()
    assert json.loads(raw) == {
        "case": "c1",
        "customer": "u1",
        "type": "sender",
        "answer_url": "https://anchor.example/webhooks/kyc",
        "fields": {"first_name": "Lucía"},
        "files": {"photo_id_front": {"content_type": "image/jpeg", "content": content}},
    }


@pytest.mark.parametrize(
    ("document", "status", "fields"),
    [
        ({"status": "accepted"}, "accepted", {}),
        ({"status": "accepted", "message": None, "fields": None}, "accepted", {}),
        ({"status": "processing", "message": "Two days"}, "processing", {}),
        ({"status": "rejected", "message": "No"}, "rejected", {}),
        (
            {"status": "needs_info", "fields": {"given_name": "Blurred", "id_number": "Wrong"}},
            "needs_info",
            {"first_name": "Blurred", "id_number": "Wrong"},
        ),
    ],
)
def test_an_answer_is_a_status_and_for_needs_info_the_refused_fields(
    document: Any, status: str, fields: dict[str, str]
) -> None:
    answer = read_answer(document, TYPE)
    assert (answer.status, answer.fields) == (status, fields)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "JSON object"),
        (None, "JSON object"),
        ({}, "status"),
        ({"status": 1}, "status"),
        ({"status": ["accepted"]}, "status"),
        ({"status": "ACCEPTED"}, "status"),
        ({"status": "accepted", "message": 1}, "message"),
        ({"status": "accepted", "message": "x" * 2001}, "message"),
        ({"status": "accepted", "fields": {"first_name": "Wrong"}}, "fields"),
        ({"status": "rejected"}, "message"),
        ({"status": "rejected", "message": " "}, "message"),
        ({"status": "needs_info"}, "fields"),
        ({"status": "needs_info", "fields": {}}, "fields"),
        ({"status": "needs_info", "fields": ["first_name"]}, "fields"),
        ({"status": "needs_info", "fields": {"shoe_size": "Wrong"}}, "fields"),
        ({"status": "needs_info", "fields": {"first_name": 1}}, "first_name"),
        ({"status": "needs_info", "fields": {"first_name": ""}}, "first_name"),
        ({"status": "needs_info", "fields": {"first_name": "x" * 2001}}, "first_name"),
        # To refuse it would change nothing, and the same case would come again and again.
        ({"status": "needs_info", "fields": {"bank_account_number": "No"}}, "bank_account_number"),
    ],
)
def test_what_is_wrong_with_an_answer_is_named(document: Any, named: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_answer(document, TYPE)
    assert named in refusal.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    JSON | st.fixed_dictionaries({"status": st.just("needs_info"), "message": JSON, "fields": JSON})
)
def test_no_answer_can_do_more_than_be_refused(document: Any) -> None:
    try:
        answer = read_answer(document, TYPE)
    except BadRequest:
        return
    assert answer.status in {"accepted", "rejected", "needs_info", "processing"}
