"""What the network said of a transaction, in plain words (`stellar.outcomes`)."""

from __future__ import annotations

import pytest
from stellar_sdk import xdr

from stellar.outcomes import decode_result, explain_codes, is_passing, name_code


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("tx_bad_seq", "bad_seq"),
        ("txBAD_SEQ", "bad_seq"),
        ("txFAILED", "failed"),
        ("op_no_trust", "no_trust"),
        ("PAYMENT_NO_TRUST", "no_trust"),
        ("opBAD_AUTH", "bad_auth"),
    ],
)
def test_horizon_and_xdr_spell_codes_differently_and_we_name_them_once(
    spelling: str, name: str
) -> None:
    assert name_code(spelling) == name


def test_the_result_of_a_failed_payment_is_read_from_its_xdr() -> None:
    code = xdr.PaymentResultCode.PAYMENT_NO_TRUST
    inner = xdr.OperationResult(
        xdr.OperationResultCode.opINNER,
        xdr.OperationResultTr(xdr.OperationType.PAYMENT, payment_result=xdr.PaymentResult(code)),
    )
    result = xdr.TransactionResult(
        xdr.Int64(100),
        xdr.TransactionResultResult(xdr.TransactionResultCode.txFAILED, results=[inner]),
        xdr.TransactionResultExt(0),
    )
    assert decode_result(result.to_xdr()) == ("failed", "no_trust")


@pytest.mark.parametrize("text", ["", "not base64", "AAAA", "AAAAAAAAAGQAAAAZ"])
def test_an_unreadable_result_has_no_codes(text: str) -> None:
    assert decode_result(text) == ()


def test_operators_read_words_and_find_the_code_behind_them() -> None:
    assert explain_codes(("failed", "no_trust")) == (
        "the destination has no trustline for the asset (failed, no_trust)"
    )
    assert len(explain_codes(("x" * 500,))) <= 300


def test_only_refusals_that_time_mends_are_worth_signing_again() -> None:
    assert is_passing(("bad_seq",)) and is_passing(("insufficient_fee",))
    assert not is_passing(("failed", "no_destination")) and not is_passing(("bad_auth",))
