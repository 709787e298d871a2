from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import Throttled

from kernel.api import exception_handler, parse_json, require_text
from kernel.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthenticated, Unavailable

SAFE_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | SAFE_TEXT.filter(lambda text: "\\" not in text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SAFE_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(SAFE_TEXT.filter(lambda t: "\\" not in t), JSON, max_size=4))
def test_a_json_document_is_read_as_it_was_written(document: dict[str, object]) -> None:
    assert parse_json(json.dumps(document).encode()) == document


@given(st.binary())
def test_any_bytes_are_json_or_a_bad_request(raw: bytes) -> None:
    try:
        value = parse_json(raw)
    except BadRequest:
        return
    # What got through can be stored and sent on.
    json.dumps(value, ensure_ascii=False, default=str).encode()


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_every_digit(number: Decimal) -> None:
    text = format(number, "f")
    assert Decimal(parse_json(text.encode())) == number


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"{'a': 1}", b"NaN", b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a":1,"a":2}',
        b'{"a": "\\u0000"}', b'{"a": "\x00"}', b'{"\\u0000": 1}', b'{"a": "\\ud800"}', b"\xff\xfe",
        b"[" * 100_000, b"[" * 21 + b"]" * 21, b"1" * 5000, b'{"a": 1}}',
        '{"a": "\\u0000"}'.encode("utf-16"), '{"a": "\\u0000"}'.encode("utf-32"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_or_not_be_stored_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="valid JSON"):
        parse_json(raw)


@pytest.mark.parametrize("value", [1, True, ["a"], {"a": 1}, Decimal(1), "a\x00b", "x" * 256])
def test_a_text_parameter_of_another_shape_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadRequest, match="nickname"):
        require_text({"nickname": value}, "nickname")


@pytest.mark.parametrize("data", [{}, {"nickname": None}, {"nickname": ""}])
def test_an_absent_parameter_is_an_error_only_where_it_is_required(data: dict[str, None]) -> None:
    with pytest.raises(BadRequest, match="nickname is required"):
        require_text(data, "nickname")
    assert require_text(data, "nickname", required=False) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("no"), 400),
        (Unauthenticated("no"), 401),
        (Forbidden("no"), 403),
        (NotFound("no"), 404),
        (Conflict("no"), 409),
        (Unavailable("no"), 503),
        (Http404(), 404),
        (RequestDataTooBig(), 413),
        (Throttled(wait=3), 429),
    ],
)
def test_every_error_answers_with_its_status_and_plain_words(error: Exception, status: int) -> None:
    response = exception_handler(error, {})
    assert response is not None
    assert response.status_code == status
    assert list(response.data) == ["error"]
    assert isinstance(response.data["error"], str)


def test_a_401_says_how_to_authenticate() -> None:
    response = exception_handler(Unauthenticated("no"), {})
    assert response is not None
    assert response["WWW-Authenticate"] == "Bearer"


def test_an_error_carries_the_fields_that_its_protocol_adds() -> None:
    error = BadRequest("more is needed", extra={"type": "customer_info_needed"})
    assert error.body == {"error": "more is needed", "type": "customer_info_needed"}


def test_an_error_that_nobody_foresaw_is_left_to_django() -> None:
    assert exception_handler(RuntimeError("secret"), {}) is None
