"""Whatever is sent, the answer is a plain error or a right one: never a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sep12.identity import PARAMETERS
from sep12.sep9 import FIELDS
from tests.integration.sep12.conftest import Api

names = st.one_of(
    st.sampled_from(
        [*PARAMETERS, *FIELDS, "given_name", "mobile_number_verification", "lang", "url"]
    ),
    st.text(max_size=20),
)
texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["7", "id", "hash", "text", "sender", "\x00", "t1", "é" * 70, "NaN", "1e5"]),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda children: st.one_of(
        st.lists(children, max_size=3), st.dictionaries(texts, children, max_size=3)
    ),
    max_leaves=6,
)
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PATHS = ["", "/verification", "/callback"]


def assert_plain(response: Any) -> None:
    assert response.status_code < 500
    body = response.json()
    if response.status_code >= 400:
        assert isinstance(body["error"], str)
        assert body["error"]


def put(api: Api, path: str, body: Any, content_type: str) -> Any:
    return api.client.put(f"/sep12/customer{path}", body, content_type, headers=api.headers)


@FUZZ
@given(st.sampled_from(PATHS), st.dictionaries(names, json_values, max_size=6))
def test_any_json_object(api: Api, path: str, body: dict[str, Any]) -> None:
    assert_plain(put(api, path, json.dumps(body), "application/json"))


@FUZZ
@given(st.sampled_from(PATHS), st.lists(st.tuples(names, texts), max_size=6))
def test_any_form(api: Api, path: str, pairs: list[tuple[str, str]]) -> None:
    assert_plain(put(api, path, urlencode(pairs), "application/x-www-form-urlencoded"))


@FUZZ
@given(st.lists(st.tuples(names, texts), max_size=6))
def test_any_query(api: Api, pairs: list[tuple[str, str]]) -> None:
    assert_plain(api.client.get(f"/sep12/customer?{urlencode(pairs)}", headers=api.headers))


@FUZZ
@given(
    st.sampled_from(PATHS),
    st.binary(max_size=60),
    st.sampled_from(
        [
            "application/json",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=unicode_escape",
            "multipart/form-data; boundary=b",
            "multipart/form-data; boundary=b; charset=unicode_escape",
            "multipart/form-data",
            "text/plain",
            "",
        ]
    ),
)
def test_any_bytes(api: Api, path: str, raw: bytes, content_type: str) -> None:
    assert_plain(put(api, path, raw, content_type))


@FUZZ
@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=30))
def test_any_part_of_a_multipart_form(
    api: Api, name: bytes, filename: bytes, content: bytes
) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n--b--\r\n'
    raw = part % (name, filename, content)
    assert_plain(put(api, "", raw, "multipart/form-data; boundary=b"))


@pytest.mark.parametrize(
    "query",
    [
        "memo=%00",
        "memo=%ED%A0%80&memo_type=text",
        "id=%00",
        "type=%00",
        "account=%00",
        "memo=1&memo=2",
    ],
)
def test_queries_that_postgresql_could_not_hold(api: Api, query: str) -> None:
    assert_plain(api.client.get(f"/sep12/customer?{query}", headers=api.headers))


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-16", "utf-7", "no-such"])
def test_the_charset_of_a_request_decides_nothing(api: Api, charset: str) -> None:
    response = api.client.generic(
        "PUT",
        "/sep12/customer?memo=%5Cud800&memo_type=text",
        b"{}",
        f"application/json; charset={charset}",
        headers=api.headers,
    )
    assert_plain(response)


@pytest.mark.parametrize("account", ["%00", "é", "x" * 3000, "..", "G%0AA", "customer"])
def test_any_account_in_the_path(api: Api, account: str) -> None:
    response = api.delete(account)
    assert response.status_code in {404, 400}
    assert_plain(response)
