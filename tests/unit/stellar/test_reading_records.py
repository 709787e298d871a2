"""What a Horizon payment record credited to us (`stellar.records`)."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.assets import stellar_asset_name
from stellar.records import IncomingPayment, Unreadable, needs_effects, read_payment
from tests.fixtures.horizon import ISSUER, OURS, PAYER, close_time, payment_record, token_of

USDC = stellar_asset_name("USDC", ISSUER)
XLM = stellar_asset_name("native")
CONTRACT = "CA" + "A" * 54


def read(record: dict[str, Any], effects: list[dict[str, Any]] | None = None) -> IncomingPayment:
    payment = read_payment(record, OURS, effects or [])
    assert payment is not None
    return payment


def memo_of(**fields: Any) -> tuple[str, str]:
    payment = read(payment_record(memo_fields=fields))
    return payment.memo_type, payment.memo


def test_a_payment_keeps_amount_asset_payer_ledger_and_close_time() -> None:
    payment = read(payment_record(10))
    assert (payment.amount, payment.asset) == (Decimal("100"), USDC)
    assert (payment.from_account, payment.account) == (PAYER, OURS)
    assert (payment.operation_id, payment.ledger) == (token_of(10), 10)
    assert payment.closed_at == close_time(10)


def test_the_issuer_is_part_of_the_asset() -> None:
    other = payment_record(asset_issuer=PAYER)
    assert read(other).asset != read(payment_record()).asset


@pytest.mark.parametrize("kind", ["path_payment_strict_send", "path_payment_strict_receive"])
def test_a_path_payment_counts_what_was_delivered_not_what_was_sent(kind: str) -> None:
    payment = read(
        payment_record(
            type=kind,
            amount="99.5000000",
            source_amount="120.0000000",
            source_asset_type="native",
            destination_min="1.0000000",
            source_max="200.0000000",
        )
    )
    assert (payment.amount, payment.asset) == (Decimal("99.5"), USDC)
    assert (payment.source_amount, payment.source_asset) == (Decimal(120), XLM)


def test_a_payment_that_we_make_credits_nothing() -> None:
    assert read_payment(payment_record(**{"from": OURS, "to": PAYER}), OURS) is None


def test_a_payment_to_ourselves_brings_no_money_in() -> None:
    assert read_payment(payment_record(**{"from": OURS}), OURS) is None


def test_converting_our_own_asset_by_a_path_payment_brings_the_new_one_in() -> None:
    record = payment_record(
        type="path_payment_strict_send",
        source_asset_type="native",
        source_amount="5.0000000",
        **{"from": OURS},
    )
    assert read(record).asset == USDC


def test_a_failed_transaction_never_credits() -> None:
    assert read_payment(payment_record(transaction_successful=False), OURS) is None


def test_creating_our_account_credits_its_starting_balance() -> None:
    record = payment_record(
        type="create_account", funder=PAYER, account=OURS, starting_balance="12.5000000"
    )
    payment = read(record)
    assert (payment.amount, payment.asset, payment.from_account) == (Decimal("12.5"), XLM, PAYER)


def test_an_account_that_we_create_credits_us_nothing() -> None:
    record = payment_record(
        type="create_account", funder=OURS, account=PAYER, starting_balance="12.5000000"
    )
    assert read_payment(record, OURS) is None


def test_a_merge_into_us_credits_what_its_effects_say() -> None:
    record = payment_record(type="account_merge", account=PAYER, into=OURS)
    assert needs_effects(record, OURS)
    effects = [
        {"type": "account_debited", "account": PAYER, "amount": "33.0000000"},
        {"type": "account_credited", "account": OURS, "amount": "33.0000000"},
        {"type": "account_removed", "account": PAYER},
    ]
    assert (read(record, effects).amount, read(record, effects).asset) == (Decimal(33), XLM)


def test_a_merge_without_telling_effects_is_unreadable() -> None:
    record = payment_record(type="account_merge", account=PAYER, into=OURS)
    with pytest.raises(Unreadable, match="effects"):
        read_payment(record, OURS, [])


def test_a_contract_transfer_to_us_credits_its_balance_change() -> None:
    change = {
        "type": "transfer",
        "from": CONTRACT,
        "to": OURS,
        "amount": "4.0000000",
        "asset_type": "credit_alphanum4",
        "asset_code": "USDC",
        "asset_issuer": ISSUER,
        "destination_muxed_id": "99",
    }
    out = {**change, "from": OURS, "to": PAYER}
    payment = read(payment_record(type="invoke_host_function", asset_balance_changes=[out, change]))
    assert (payment.amount, payment.asset) == (Decimal(4), USDC)
    assert (payment.from_account, payment.muxed_id) == (CONTRACT, Decimal(99))


def test_a_contract_call_that_credits_us_twice_is_left_to_a_person() -> None:
    change = {"type": "mint", "to": OURS, "amount": "4.0000000", "asset_type": "native"}
    with pytest.raises(Unreadable, match="more than once"):
        read_payment(
            payment_record(type="invoke_host_function", asset_balance_changes=[change, change]),
            OURS,
        )


def test_muxed_addresses_keep_their_ids_exactly() -> None:
    payment = read(payment_record(to_muxed_id="18446744073709551615", from_muxed="M" + "A" * 68))
    assert payment.muxed_id == Decimal(2**64 - 1)
    assert payment.from_muxed == "M" + "A" * 68


def test_memos_have_one_spelling_each() -> None:
    digest = bytes(range(32))
    encoded = base64.b64encode(digest).decode()
    assert memo_of(memo_type="none") == ("none", "")
    assert memo_of(memo_type="id", memo="18446744073709551615") == ("id", str(2**64 - 1))
    assert memo_of(memo_type="hash", memo=encoded) == ("hash", digest.hex())
    assert memo_of(memo_type="return", memo=encoded) == ("return", digest.hex())
    assert memo_of(memo_type="text", memo="") == ("text", "")


def test_a_text_memo_is_taken_from_its_exact_bytes() -> None:
    raw = base64.b64encode("São Tomé".encode()).decode()
    assert memo_of(memo_type="text", memo="S?o Tom?", memo_bytes=raw) == ("text", "São Tomé")


@given(st.binary(max_size=28))
def test_no_two_text_memos_are_ever_recorded_alike(raw: bytes) -> None:
    encoded = base64.b64encode(raw).decode()
    kind, memo = memo_of(memo_type="text", memo="", memo_bytes=encoded)
    assert "\x00" not in memo and len(memo) <= 64
    assert (memo.encode() if kind == "text" else bytes.fromhex(memo)) == raw
    assert kind == "text" or b"\x00" in raw or raw.decode(errors="replace").encode() != raw


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "abc"},
        {"amount": "-1.0000000"},
        {"amount": "NaN"},
        {"amount": "1e3"},
        {"amount": "1.00000001"},
        {"amount": None},
        {"amount": ["1"]},
        {"amount": "٣.0000000"},
        {"to": None},
        {"from": "nobody"},
        {"asset_code": "US DC"},
        {"asset_issuer": None},
        {"transaction": None},
        {"transaction_successful": None},
        {"transaction_hash": "zz"},
        {"created_at": "yesterday"},
        {"created_at": None},
        {"type": "a_new_kind_of_payment"},
        {"type": None},
        {"id": "x", "paging_token": None},
        {"to_muxed_id": "18446744073709551616"},
        {"to_muxed_id": True},
        {"memo_fields": {"memo_type": "id", "memo": "-1"}},
        {"memo_fields": {"memo_type": "hash", "memo": "####"}},
        {"memo_fields": {"memo_type": "text", "memo": 5}},
        {"memo_fields": {"memo_type": "text", "memo_bytes": "AA="}},
        {"memo_fields": {"memo_type": "other"}},
    ],
)
def test_what_cannot_be_read_is_said_to_be_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_payment(payment_record(**changes), OURS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@given(key=st.sampled_from(sorted(payment_record())), value=JSON)
def test_any_odd_value_is_read_or_said_to_be_unreadable(key: str, value: object) -> None:
    try:
        payment = read_payment(payment_record(**{key: value}), OURS)
    except Unreadable:
        return
    assert payment is None or payment.amount > 0


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_every_amount_on_the_ledger_is_read_to_the_stroop(stroops: int) -> None:
    text = f"{stroops // 10**7}.{stroops % 10**7:07d}"
    assert read(payment_record(amount=text)).amount * 10**7 == stroops
