"""What the network said of a transaction, in plain words. Pure."""

from __future__ import annotations

from stellar_sdk import xdr

_WORDS = {
    "no_destination": "the destination account does not exist",
    "no_trust": "the destination has no trustline for the asset",
    "line_full": "the destination's trustline can't hold that much more of the asset",
    "underfunded": "our account does not hold enough of the asset",
    "not_authorized": "the issuer has not authorized the destination to hold the asset",
    "src_no_trust": "our account has no trustline for the asset",
    "src_not_authorized": "the issuer has not authorized our account to send the asset",
    "no_issuer": "the asset's issuer does not exist",
    "malformed": "the payment is malformed",
    "bad_auth": "the signature is not one that our account accepts",
    "bad_auth_extra": "the transaction carries a signature too many",
    "insufficient_balance": "our account does not hold enough XLM for the fee and its reserve",
    "no_account": "our account does not exist on this network",
    "no_source_account": "our account does not exist on this network",
    "bad_seq": "its sequence number is not the next one",
    "too_late": "it came after its time bounds",
    "too_early": "it came before its time bounds",
    "insufficient_fee": "its fee is too low for the network right now",
}
# Refusals that time may mend: signing anew with another fee, sequence number or time is enough.
_PASSING = frozenset({"bad_seq", "too_late", "too_early", "insufficient_fee", "internal_error"})


def name_code(code: str) -> str:
    """One name for both spellings: Horizon's "op_no_trust" and XDR's "PAYMENT_NO_TRUST"."""
    name = code.removeprefix("PAYMENT_").lower()
    for prefix in ("tx_", "tx", "op_", "op"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def decode_result(result_xdr: str) -> tuple[str, ...]:
    """The codes of a transaction's result, the transaction's own first; () if it can't be read."""
    try:
        result = xdr.TransactionResult.from_xdr(result_xdr).result
        codes = [result.code.name]
        for operation in result.results or []:
            if operation.tr is None:
                codes.append(operation.code.name)
            elif operation.tr.payment_result is not None:
                codes.append(operation.tr.payment_result.code.name)
    except (ValueError, EOFError, AttributeError, TypeError):
        return ()
    return tuple(name_code(code) for code in codes)


def explain_codes(codes: tuple[str, ...]) -> str:
    """Result codes for an operator: plain words first, the codes themselves behind."""
    telling = [code for code in codes if code not in ("failed", "success")]
    words = [_WORDS[code] for code in telling if code in _WORDS]
    shown = ", ".join(codes) or "no result code"
    return f"{'; '.join(words) or 'the network refused it'} ({shown})"[:300]


def is_passing(codes: tuple[str, ...]) -> bool:
    """Whether the transaction was refused for a reason that building it anew mends."""
    return not codes or codes[0] in _PASSING
