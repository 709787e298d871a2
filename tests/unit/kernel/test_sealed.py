from __future__ import annotations

import base64
from typing import Any

import pytest
from django.db import connection, models
from hypothesis import given
from hypothesis import strategies as st

from kernel.sealed import (
    CannotUnseal,
    SealedBytesField,
    SealedJSONField,
    SealedTextField,
    seal,
    unseal,
)

OLD = base64.b64encode(b"o" * 32).decode()
NEW = base64.b64encode(b"n" * 32).decode()


class Person(models.Model):
    """Has no table; only the fields' way to the database and back is of interest."""

    raw = SealedBytesField()
    name = SealedTextField(null=True)
    facts = SealedJSONField()

    class Meta:
        app_label = "tests"
        managed = False

    def __str__(self) -> str:
        return "a person"


def field_of(name: str) -> Any:
    return Person._meta.get_field(name)


def stored(field_name: str, value: Any) -> bytes:
    adapted = field_of(field_name).get_db_prep_value(value, connection)
    return bytes(adapted.adapted)


def loaded(field_name: str, sealed: bytes) -> Any:
    return field_of(field_name).from_db_value(sealed, None, connection)


@given(st.binary(), st.text(max_size=20))
def test_what_is_sealed_opens_again_in_its_own_column(plain: bytes, context: str) -> None:
    assert unseal(seal(plain, context=context), context=context) == plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("raw", b"\x00\xff"),
        ("name", "Zoë 😀"),
        ("name", ""),
        ("facts", {"a": [1, None, "ü"]}),
    ],
)
def test_a_field_gives_back_what_it_stored_and_stores_no_plain_text(
    field: str, value: object
) -> None:
    sealed = stored(field, value)
    assert loaded(field, sealed) == value
    assert b"Zo" not in sealed


def test_null_stays_null() -> None:
    assert field_of("name").get_db_prep_value(None, connection) is None
    assert loaded("name", None) is None  # type: ignore[arg-type]


def test_the_same_value_never_looks_the_same_twice() -> None:
    assert seal(b"Ann", context="c") != seal(b"Ann", context="c")


def test_a_value_moved_to_another_column_does_not_open() -> None:
    with pytest.raises(CannotUnseal):
        loaded("facts", stored("name", "Ann"))


@given(st.data())
def test_a_changed_value_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(seal(b"Ann", context="c"))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotUnseal):
        unseal(bytes(sealed), context="c")


@pytest.mark.parametrize("length", [0, 3, 4, 10, 16, 20])
def test_a_value_cut_short_does_not_open(length: int) -> None:
    with pytest.raises(CannotUnseal):
        unseal(seal(b"Ann", context="c")[:length], context="c")


def test_after_a_rotation_old_values_open_and_new_ones_need_the_new_key(settings: Any) -> None:
    settings.SEALING_KEYS = [OLD]
    before = seal(b"Ann", context="c")
    settings.SEALING_KEYS = [NEW, OLD]
    assert unseal(before, context="c") == b"Ann"
    after = seal(b"Ann", context="c")
    settings.SEALING_KEYS = [NEW]
    assert unseal(after, context="c") == b"Ann"
    with pytest.raises(CannotUnseal):
        unseal(before, context="c")
