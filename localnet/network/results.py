"""Result codes: their XDR, and the words Horizon has for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from stellar_sdk import xdr

from .envelope import Envelope

Op = xdr.OperationType
TxCode = xdr.TransactionResultCode
OpCode = xdr.OperationResultCode

# operation type -> (arm of OperationResultTr, result class, result code enum)
_ARMS: dict[Op, tuple[str, Any, Any]] = {
    Op.CREATE_ACCOUNT: ("create_account", xdr.CreateAccountResult, xdr.CreateAccountResultCode),
    Op.PAYMENT: ("payment", xdr.PaymentResult, xdr.PaymentResultCode),
    Op.PATH_PAYMENT_STRICT_RECEIVE: (
        "path_payment_strict_receive",
        xdr.PathPaymentStrictReceiveResult,
        xdr.PathPaymentStrictReceiveResultCode,
    ),
    Op.PATH_PAYMENT_STRICT_SEND: (
        "path_payment_strict_send",
        xdr.PathPaymentStrictSendResult,
        xdr.PathPaymentStrictSendResultCode,
    ),
    Op.MANAGE_SELL_OFFER: (
        "manage_sell_offer",
        xdr.ManageSellOfferResult,
        xdr.ManageSellOfferResultCode,
    ),
    Op.CREATE_PASSIVE_SELL_OFFER: (
        "create_passive_sell_offer",
        xdr.ManageSellOfferResult,
        xdr.ManageSellOfferResultCode,
    ),
    Op.MANAGE_BUY_OFFER: (
        "manage_buy_offer",
        xdr.ManageBuyOfferResult,
        xdr.ManageBuyOfferResultCode,
    ),
    Op.SET_OPTIONS: ("set_options", xdr.SetOptionsResult, xdr.SetOptionsResultCode),
    Op.CHANGE_TRUST: ("change_trust", xdr.ChangeTrustResult, xdr.ChangeTrustResultCode),
    Op.ALLOW_TRUST: ("allow_trust", xdr.AllowTrustResult, xdr.AllowTrustResultCode),
    Op.ACCOUNT_MERGE: ("account_merge", xdr.AccountMergeResult, xdr.AccountMergeResultCode),
    Op.MANAGE_DATA: ("manage_data", xdr.ManageDataResult, xdr.ManageDataResultCode),
    Op.BUMP_SEQUENCE: ("bump_seq", xdr.BumpSequenceResult, xdr.BumpSequenceResultCode),
    Op.SET_TRUST_LINE_FLAGS: (
        "set_trust_line_flags",
        xdr.SetTrustLineFlagsResult,
        xdr.SetTrustLineFlagsResultCode,
    ),
    Op.CLAWBACK: ("clawback", xdr.ClawbackResult, xdr.ClawbackResultCode),
}

# Horizon's words that do not follow from the name of the XDR code.
_ODD_WORDS = {
    "CREATE_ACCOUNT_ALREADY_EXIST": "op_already_exists",
    "PATH_PAYMENT_STRICT_RECEIVE_OVER_SENDMAX": "op_over_source_max",
    "PATH_PAYMENT_STRICT_SEND_UNDER_DESTMIN": "op_under_dest_min",
    "PATH_PAYMENT_STRICT_RECEIVE_OFFER_CROSS_SELF": "op_cross_self",
    "PATH_PAYMENT_STRICT_SEND_OFFER_CROSS_SELF": "op_cross_self",
    "MANAGE_SELL_OFFER_NOT_FOUND": "op_offer_not_found",
    "MANAGE_BUY_OFFER_NOT_FOUND": "op_offer_not_found",
    "MANAGE_SELL_OFFER_SELL_NOT_AUTHORIZED": "sell_not_authorized",
    "MANAGE_SELL_OFFER_BUY_NOT_AUTHORIZED": "buy_not_authorized",
    "MANAGE_BUY_OFFER_SELL_NOT_AUTHORIZED": "sell_not_authorized",
    "MANAGE_BUY_OFFER_BUY_NOT_AUTHORIZED": "buy_not_authorized",
    "MANAGE_SELL_OFFER_BUY_NO_ISSUER": "buy_no_issuer",
    "MANAGE_BUY_OFFER_BUY_NO_ISSUER": "buy_no_issuer",
    "ALLOW_TRUST_NO_TRUST_LINE": "op_no_trust",
    "ALLOW_TRUST_TRUST_NOT_REQUIRED": "op_not_required",
    "SET_TRUST_LINE_FLAGS_NO_TRUST_LINE": "op_no_trust",
    "ACCOUNT_MERGE_SEQNUM_TOO_FAR": "op_seq_num_too_far",
    "MANAGE_DATA_NAME_NOT_FOUND": "op_data_name_not_found",
    "MANAGE_DATA_INVALID_NAME": "op_data_invalid_name",
    "CHANGE_TRUST_NOT_AUTH_MAINTAIN_LIABILITIES": "op_not_aut_maintain_liabilities",
    "opNO_ACCOUNT": "op_no_source_account",
    "txNO_ACCOUNT": "tx_no_source_account",
    "txBAD_MIN_SEQ_AGE_OR_GAP": "tx_bad_minseq_age_or_gap",
}
_PREFIX = {
    code: name
    for name, code in [
        ("CREATE_ACCOUNT_", xdr.CreateAccountResultCode),
        ("PAYMENT_", xdr.PaymentResultCode),
        ("PATH_PAYMENT_STRICT_RECEIVE_", xdr.PathPaymentStrictReceiveResultCode),
        ("PATH_PAYMENT_STRICT_SEND_", xdr.PathPaymentStrictSendResultCode),
        ("MANAGE_SELL_OFFER_", xdr.ManageSellOfferResultCode),
        ("MANAGE_BUY_OFFER_", xdr.ManageBuyOfferResultCode),
        ("SET_OPTIONS_", xdr.SetOptionsResultCode),
        ("CHANGE_TRUST_", xdr.ChangeTrustResultCode),
        ("ALLOW_TRUST_", xdr.AllowTrustResultCode),
        ("ACCOUNT_MERGE_", xdr.AccountMergeResultCode),
        ("MANAGE_DATA_", xdr.ManageDataResultCode),
        ("BUMP_SEQUENCE_", xdr.BumpSequenceResultCode),
        ("SET_TRUST_LINE_FLAGS_", xdr.SetTrustLineFlagsResultCode),
        ("CLAWBACK_", xdr.ClawbackResultCode),
        ("op", OpCode),
        ("tx", TxCode),
    ]
}


class OperationFailed(Exception):
    """An operation may not be done; ``code`` is one of its type, or an ``OperationResultCode``."""

    def __init__(self, code: IntEnum, **fields: object) -> None:
        super().__init__(code.name)
        self.code = code
        self.fields = fields


def word(code: IntEnum) -> str:
    """Return Horizon's word for an XDR result code, such as ``op_no_trust`` or ``tx_bad_seq``."""
    if code.name in _ODD_WORDS:
        return _ODD_WORDS[code.name]
    prefix = _PREFIX[type(code)]
    rest = code.name.removeprefix(prefix).lower()
    return f"tx_{rest}" if prefix == "tx" else f"op_{rest}"


def operation_result(kind: Op, code: IntEnum, **fields: object) -> xdr.OperationResult:
    """Return the XDR result of one operation."""
    if isinstance(code, OpCode):
        return xdr.OperationResult(code)
    arm, result, _ = _ARMS[kind]
    tr = xdr.OperationResultTr(kind, **{f"{arm}_result": result(code, **fields)})
    return xdr.OperationResult(OpCode.opINNER, tr)


def success_code(kind: Op) -> IntEnum:
    """Return the code that says an operation of this kind was done."""
    if kind not in _ARMS:
        return OpCode.opNOT_SUPPORTED
    code: IntEnum = _ARMS[kind][2](0)
    return code


def failure_code(kind: Op, name: str) -> IntEnum:
    """Return the code called ``name`` among those of this kind, e.g. ``NO_TRUST``."""
    enum = _ARMS[kind][2]
    code: IntEnum = enum[_PREFIX[enum] + name]
    return code


@dataclass(frozen=True)
class Outcome:
    """How a transaction ended: its code, each operation's code and XDR, and the fee taken."""

    code: TxCode
    operations: tuple[tuple[IntEnum, xdr.OperationResult], ...] = ()
    fee: int = 0
    outer: TxCode | None = None

    @property
    def successful(self) -> bool:
        """Whether every operation was done."""
        return self.code == TxCode.txSUCCESS

    def words(self, bumped: bool) -> dict[str, Any]:
        """Return Horizon's ``result_codes``."""
        words: dict[str, Any] = {}
        if self.outer is not None:
            words["transaction"] = word(self.outer)
        elif bumped:
            words["transaction"] = word(_bump_code(self.successful))
            words["inner_transaction"] = word(self.code)
        else:
            words["transaction"] = word(self.code)
        if self.operations:
            words["operations"] = [word(code) for code, _ in self.operations]
        return words

    def result_xdr(self, envelope: Envelope) -> str:
        """Return the base64 ``TransactionResult``."""
        results = [result for _, result in self.operations]
        fee = xdr.Int64(self.fee)
        listed = self.code in (TxCode.txSUCCESS, TxCode.txFAILED)
        if self.outer is not None or envelope.bump is None:
            body = xdr.TransactionResultResult(
                self.outer or self.code, results=results if listed else None
            )
        else:
            inner = xdr.InnerTransactionResult(
                xdr.Int64(0),
                xdr.InnerTransactionResultResult(self.code, results=results if listed else None),
                xdr.InnerTransactionResultExt(0),
            )
            pair = xdr.InnerTransactionResultPair(xdr.Hash(envelope.inner_hash), inner)
            body = xdr.TransactionResultResult(_bump_code(self.successful), inner_result_pair=pair)
        return xdr.TransactionResult(fee, body, xdr.TransactionResultExt(0)).to_xdr()


def _bump_code(successful: bool) -> TxCode:
    if successful:
        return TxCode.txFEE_BUMP_INNER_SUCCESS
    return TxCode.txFEE_BUMP_INNER_FAILED


def operation_name(kind: Op) -> str:
    """Return Horizon's name of an operation type."""
    return re.sub(r"[^a-z_]", "", kind.name.lower())
