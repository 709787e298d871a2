"""Which customer a request means: its parameters held against the token. Pure.

SEP-12, "Shared, Omnibus, or Pooled Accounts" and the parameters of each endpoint.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stellar_sdk import MuxedAccount, StrKey

from kernel.api import require_text
from kernel.errors import BadRequest, Forbidden
from sep10.authentication import Caller

MAX_MEMO_ID = 2**64 - 1
MAX_TEXT_MEMO = 64  # SEP-12's own example of a text memo is a UUID, longer than Stellar's 28 bytes
PARAMETERS = ("id", "account", "memo", "memo_type", "type", "transaction_id")


@dataclass(frozen=True)
class Identity:
    """(account, memo) in one spelling: `memo` is decimal for "id", base64 for "hash"."""

    account: str
    memo_type: str = ""
    memo: str = ""


@dataclass(frozen=True)
class CustomerParams:
    """What a request says about whom it means; everything checked, nothing looked up."""

    id: str | None
    identity: Identity
    names_memo: bool  # the request or the token carries a memo
    type: str | None
    transaction_id: str | None


def token_memo(caller: Caller) -> str | None:
    """The memo of the caller's token, also where it is the id inside an M... account."""
    if caller.muxed is not None:
        return str(MuxedAccount.from_account(caller.muxed).account_muxed_id)
    return None if caller.memo is None else str(int(caller.memo))


def parse_memo(memo: str, memo_type: str | None) -> tuple[str, str]:
    """(memo_type, memo) in one spelling. Raises `BadRequest`.

    Without a type it is an "id" if it can be one ("memos should always be of type `id`"), else
    text, as in the SEP's examples.
    """
    is_id = memo.isascii() and memo.isdigit() and len(memo) <= 20 and int(memo) <= MAX_MEMO_ID
    if memo_type == "id" or (memo_type is None and is_id):
        if not is_id:
            raise BadRequest(f"memo must be a number from 0 to {MAX_MEMO_ID} if memo_type is id")
        return "id", str(int(memo))
    if memo_type == "hash":
        try:
            raw = base64.b64decode(memo, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 32:
            raise BadRequest("memo must be 32 bytes encoded as base64 if memo_type is hash")
        return "hash", base64.b64encode(raw).decode()
    if memo_type in (None, "text"):
        if len(memo) > MAX_TEXT_MEMO:
            raise BadRequest(f"memo must be at most {MAX_TEXT_MEMO} characters long")
        return "text", memo
    raise BadRequest("memo_type must be one of id, text, hash")


def _muxed_id(account: str, base: str) -> str | None:
    """The id inside `account` if it is an M... of the account `base`."""
    if not StrKey.is_valid_med25519_public_key(account):
        return None
    muxed = MuxedAccount.from_account(account)
    return str(muxed.account_muxed_id) if muxed.account_id == base else None


def read_identity(
    caller: Caller, *, account: str | None, memo: str | None, memo_type: str | None
) -> Identity:
    """Whom (account, memo) mean for this caller.

    Raises `BadRequest` for a memo that can't be one, and `Forbidden` where the token speaks for
    another account or memo than the request names.
    """
    own_memo = token_memo(caller)
    account_memo = None
    if account is not None and account not in (caller.account, caller.muxed):
        account_memo = _muxed_id(account, caller.account)
        if account_memo is None or own_memo not in (None, account_memo):
            raise Forbidden("account must be the account of your token")
    expected = own_memo or account_memo
    if memo is None:
        return Identity(caller.account, "id", expected) if expected else Identity(caller.account)
    if expected is None:
        return Identity(caller.account, *parse_memo(memo, memo_type))
    # The SEP lets us ignore memo_type here: the memo of a token is always an id.
    if parse_memo(memo, None) != ("id", expected):
        raise Forbidden("memo must be the memo of your token or account")
    return Identity(caller.account, "id", expected)


def read_params(caller: Caller, data: Mapping[str, Any]) -> CustomerParams:
    """Read the parameters that all endpoints share. Raises `BadRequest` or `Forbidden`."""
    source = dict(data)
    if isinstance(source.get("memo"), int) and not isinstance(source["memo"], bool):
        source["memo"] = str(source["memo"])  # an id memo that a client wrote as a JSON number
    memo = require_text(source, "memo", max_length=100, required=False)
    identity = read_identity(
        caller,
        account=require_text(source, "account", max_length=100, required=False),
        memo=memo,
        memo_type=require_text(source, "memo_type", max_length=10, required=False),
    )
    params = CustomerParams(
        id=require_text(source, "id", max_length=100, required=False),
        identity=identity,
        names_memo=identity.memo_type != "",
        type=require_text(source, "type", max_length=60, required=False),
        transaction_id=require_text(source, "transaction_id", max_length=64, required=False),
    )
    if params.transaction_id is not None and params.type is None:
        raise BadRequest("type is required if transaction_id is given")
    return params
