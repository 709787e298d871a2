"""Whom a request means, held against the token. SEP-12, "Shared, Omnibus, or Pooled Accounts"."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Keypair, MuxedAccount

from kernel.errors import ApiError, BadRequest, Forbidden
from sep10.authentication import Caller
from sep12.identity import Identity, parse_memo, read_identity, read_params, token_memo

G = Keypair.random().public_key
OTHER = Keypair.random().public_key
HASH = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="


def muxed(account: str, number: int) -> str:
    return MuxedAccount(account, number).account_muxed or ""


def caller(memo: str | None = None, muxed: str | None = None) -> Caller:
    return Caller(G, memo, muxed, None, "localhost", 0)


def identity(who: Caller, **params: Any) -> Identity:
    return read_identity(who, **{"account": None, "memo": None, "memo_type": None, **params})


PLAIN, WITH_MEMO, WITH_MUXED = caller(), caller(memo="7"), caller(muxed=muxed(G, 7))


def test_without_parameters_the_token_says_who_is_meant() -> None:
    assert identity(PLAIN) == Identity(G)
    assert identity(WITH_MEMO) == identity(WITH_MUXED) == Identity(G, "id", "7")


def test_a_token_without_memo_may_name_any_memo() -> None:
    assert identity(PLAIN, memo="7") == Identity(G, "id", "7")
    assert identity(PLAIN, memo="x", memo_type="text") == Identity(G, "text", "x")
    assert identity(PLAIN, memo=HASH, memo_type="hash") == Identity(G, "hash", HASH)


def test_a_muxed_account_of_the_tokens_account_is_the_account_with_that_memo() -> None:
    assert identity(PLAIN, account=muxed(G, 9)) == Identity(G, "id", "9")
    assert identity(PLAIN, account=muxed(G, 9), memo="9") == Identity(G, "id", "9")


@pytest.mark.parametrize("who", [WITH_MEMO, WITH_MUXED])
def test_the_memo_of_the_token_may_be_repeated_whatever_its_type_is_called(who: Caller) -> None:
    for memo_type in (None, "id", "text", "hash"):
        assert identity(who, memo="7", memo_type=memo_type) == Identity(G, "id", "7")
    assert identity(who, account=G) == Identity(G, "id", "7")
    assert identity(who, account=muxed(G, 7)) == Identity(G, "id", "7")


@pytest.mark.parametrize(
    ("who", "params"),
    [
        (PLAIN, {"account": OTHER}),
        (PLAIN, {"account": muxed(OTHER, 7)}),
        (PLAIN, {"account": "CA3D5KRYM6CB7OWQ6TWYRR3Z4T7GNZLKERYNZGGA5SOAOPIFY6YQGAXE"}),
        (PLAIN, {"account": "G"}),
        (PLAIN, {"account": muxed(G, 9), "memo": "8"}),
        (WITH_MEMO, {"memo": "8"}),
        (WITH_MEMO, {"memo": "seven"}),
        (WITH_MEMO, {"account": muxed(G, 8)}),
        (WITH_MUXED, {"memo": "8"}),
        (WITH_MUXED, {"account": muxed(G, 8)}),
        (WITH_MUXED, {"account": OTHER}),
    ],
)
def test_a_request_for_another_account_or_memo_than_the_tokens_is_refused(
    who: Caller, params: dict[str, str]
) -> None:
    with pytest.raises(Forbidden):
        identity(who, **params)


@pytest.mark.parametrize(
    ("memo", "memo_type"),
    [
        ("18446744073709551616", "id"),
        ("-1", "id"),
        ("1.0", "id"),
        ("٧", "id"),
        ("x", "hash"),
        ("YWJj", "hash"),
        ("é", "hash"),
        ("x" * 65, "text"),
        ("x" * 65, None),
        ("7", "return"),
        ("7", ""),
    ],
)
def test_memos_that_can_not_be_are_refused(memo: str, memo_type: str | None) -> None:
    with pytest.raises(BadRequest, match="memo"):
        parse_memo(memo, memo_type)


def test_a_memo_without_a_type_is_an_id_if_it_can_be() -> None:
    assert parse_memo("18446744073709551615", None) == ("id", "18446744073709551615")
    assert parse_memo("18446744073709551616", None) == ("text", "18446744073709551616")
    assert parse_memo("007", None) == ("id", "7")


def test_a_transaction_needs_a_type() -> None:
    with pytest.raises(BadRequest, match="type is required"):
        read_params(PLAIN, {"transaction_id": "t"})


@given(st.integers(0, 2**64 - 1))
def test_the_id_inside_a_muxed_token_is_its_memo(number: int) -> None:
    assert token_memo(caller(muxed=muxed(G, number))) == str(number)
    assert token_memo(caller(memo=str(number))) == str(number)


anything = st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text()), st.booleans())


@given(
    st.sampled_from([PLAIN, WITH_MEMO, WITH_MUXED]),
    st.dictionaries(
        st.sampled_from(["id", "account", "memo", "memo_type", "type", "transaction_id"]), anything
    ),
)
def test_no_parameters_let_a_caller_out_of_its_account(who: Caller, params: dict[str, Any]) -> None:
    try:
        read = read_params(who, params)
    except ApiError as error:
        assert error.message
    else:
        assert read.identity.account == G
        if who is not PLAIN:
            assert read.identity == Identity(G, "id", "7")
