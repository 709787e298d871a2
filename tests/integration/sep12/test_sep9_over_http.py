"""SEP-9's formats as a sending anchor meets them: PUT /customer in each of its content types."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep12.sep9 import FIELDS
from sep12.together import check_together
from tests.integration.sep12.conftest import Api
from tests.unit.sep12.test_sep9 import RIGHT, WRONG, parse

JSON, FORM, MULTIPART = "json", "form", "multipart"
# Fields whose values say how others are read, or that the types of these tests narrow.
LONERS = {"mobile_number_format", "id_type"}
FUZZ = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def put(api: Api, content_type: str, body: dict[str, Any]) -> Any:
    path = "/sep12/customer"
    if content_type == JSON:
        return api.client.put(path, json.dumps(body), "application/json", headers=api.headers)
    if content_type == FORM:
        form = "application/x-www-form-urlencoded"
        return api.client.put(path, urlencode(body), form, headers=api.headers)
    multipart = encode_multipart(BOUNDARY, body)
    return api.client.put(path, multipart, MULTIPART_CONTENT, headers=api.headers)


def can_be_sent(content_type: str, value: object) -> bool:
    """Whether a value does not count as not sent, and its form on the wire is not refused whole."""
    if isinstance(value, str):
        whole = not {"\x00", "\ud800"} & set(value) if content_type == JSON else value.isprintable()
        return whole and bool(value.strip())
    return content_type == JSON and value is not None and value != 10**5000


@st.composite
def submissions(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A content type, and right values of some fields, which do not contradict each other."""
    content_type = draw(st.sampled_from([JSON, FORM, MULTIPART]))
    names = draw(st.sets(st.sampled_from(sorted(set(RIGHT) - LONERS)), min_size=1, max_size=12))
    body = {}
    for name in sorted(names):
        values = [value for value in RIGHT[name] if can_be_sent(content_type, value)]
        body[name] = draw(st.sampled_from(values))
    try:
        check_together({name: parse(name, value) for name, value in body.items()})
    except BadRequest:
        assume(False)
    return content_type, body


@FUZZ
@given(submissions(), st.integers(1, 2**64 - 1))
def test_right_values_are_taken_and_shown_as_provided(
    api: Api, submission: tuple[str, dict[str, Any]], memo: int
) -> None:
    content_type, body = submission
    memo_of_its_own = {"memo": str(memo), "memo_type": "id"}
    response = put(api, content_type, {**memo_of_its_own, **body})
    assert response.status_code == 202, response.content
    shown = api.get(id=response.json()["id"]).json().get("provided_fields", {})
    assert set(shown) >= {name for name in body if FIELDS[name].stored}


@FUZZ
@given(submissions(), st.data())
def test_one_wrong_value_among_right_ones_is_refused_by_its_name(
    api: Api, submission: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    content_type, body = submission
    name = data.draw(st.sampled_from(sorted(set(WRONG) - LONERS)))
    wrong = [value for value in WRONG[name] if can_be_sent(content_type, value)]
    response = put(api, content_type, {**body, name: data.draw(st.sampled_from(wrong))})
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{name} must be ")
    assert "for example" in response.json()["error"] or FIELDS[name].choices


@FUZZ
@given(
    st.sampled_from([JSON, FORM, MULTIPART]),
    st.dictionaries(
        st.sampled_from(sorted(FIELDS)),
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30),
        max_size=8,
    ),
)
def test_any_text_in_any_field_is_taken_or_refused_in_plain_words(
    api: Api, content_type: str, body: dict[str, str]
) -> None:
    assume(content_type == JSON or all(value.isprintable() for value in body.values()))
    response = put(api, content_type, body)
    assert response.status_code in {202, 400}
    if response.status_code == 400:
        assert response.json()["error"].partition(" ")[0] in FIELDS


@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART])
def test_another_spelling_of_a_value_is_the_same_value(api: Api, content_type: str) -> None:
    first = put(api, content_type, {"bank_account_number": "GB33 BUKB 2020 1555 5555 55"})
    again = put(api, content_type, {"bank_account_number": "GB33BUKB20201555555555"})
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
