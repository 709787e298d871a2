"""Views over history: transactions, operations, payments, effects and ledgers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from stellar_sdk import StrKey

from . import problems
from .ledger import Ledger
from .pages import HAL, Item, Paging, answer_list, base_url
from .records import BASE, clock, dump, effect_record, ledger_record
from .store import LedgerRow, Scope

_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9]{1,19}")


def ledger_of(request: Request) -> Ledger:
    """Return the network behind this request."""
    ledger: Ledger = request.app.state.ledger
    return ledger


def parse_form(body: bytes) -> dict[str, str]:
    """Read an urlencoded form; the last of a repeated field counts."""
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=20))
    except ValueError as error:
        raise problems.bad_request("The form could not be read.") from error


def account_id(request: Request) -> str:
    """Return the account in the path; 400 if it is not an address."""
    text: str = request.path_params["account_id"]
    if not StrKey.is_valid_ed25519_public_key(text):
        raise problems.invalid_field("account_id", "Account ID must start with `G` and be valid")
    return text


def transaction_hash(request: Request) -> str:
    """Return the hash in the path; 400 if it is not 64 lower-case hexadecimal digits."""
    text: str = request.path_params["hash"]
    if not _HASH.fullmatch(text):
        raise problems.invalid_field("tx_id", "invalid hash format")
    return text


def number(request: Request, name: str) -> int:
    """Return a number in the path; 400 if it is none."""
    text: str = request.path_params[name]
    if not _ID.fullmatch(text) or int(text) >= 2**63:
        raise problems.invalid_field(name, "unparseable value")
    return int(text)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0", ""):
        raise problems.invalid_field(name, "it must be true or false")
    return text in ("true", "1")


def _joins(request: Request) -> bool:
    text = request.query_params.get("join", "")
    if text not in ("", "transactions"):
        raise problems.invalid_field("join", "Accepted values: transactions")
    return text == "transactions"


def read_scope(request: Request, payments: bool = False) -> Scope:
    """Read from the path and the query which part of history is asked for."""
    ledger = ledger_of(request)
    failed = _flag(request, "include_failed")
    if "account_id" in request.path_params:
        account = account_id(request)
        # An account that was merged away keeps its history, so only never-seen ones are missing.
        if ledger.world.account(account) is None and not ledger.store.has_seen(account):
            raise problems.not_found()
        return Scope(account=account, payments=payments, failed=failed)
    if "hash" in request.path_params:
        row = ledger.store.transaction(transaction_hash(request))
        if row is None:
            raise problems.not_found()
        # Whoever names one transaction wants it whether it failed or not.
        return Scope(transaction=row["id"], payments=payments, failed=True)
    if "sequence" in request.path_params:
        sequence = number(request, "sequence")
        if not 1 <= sequence <= ledger.last.sequence:
            raise problems.not_found()
        return Scope(ledger=sequence, payments=payments, failed=failed)
    if "id" in request.path_params:
        return Scope(operation=number(request, "id"), failed=True)
    return Scope(payments=payments, failed=failed)


def _tokens(rows: list[tuple[int, str]]) -> Sequence[Item]:
    return [(str(key), text) for key, text in rows]


async def transactions(request: Request) -> Response:
    """List transactions."""
    ledger, scope = ledger_of(request), read_scope(request)

    def fetch(paging: Paging) -> Sequence[Item]:
        return _tokens(ledger.store.transactions(scope, paging.window()))

    return answer_list(request, ledger, fetch)


async def operations(request: Request) -> Response:
    """List operations."""
    return _list_operations(request, payments=False)


async def payments(request: Request) -> Response:
    """List the operations that move money: payments, new and merged accounts."""
    return _list_operations(request, payments=True)


def _list_operations(request: Request, payments: bool) -> Response:
    ledger, scope, join = ledger_of(request), read_scope(request, payments), _joins(request)

    def fetch(paging: Paging) -> Sequence[Item]:
        return _tokens(ledger.store.operations(scope, paging.window(), join))

    return answer_list(request, ledger, fetch)


async def operation(request: Request) -> Response:
    """Show one operation."""
    text = ledger_of(request).store.operation(number(request, "id"), _joins(request))
    if text is None:
        raise problems.not_found()
    return Response(text.replace(BASE, base_url(request)), media_type=HAL)


async def effects(request: Request) -> Response:
    """List what operations did to accounts."""
    ledger, scope = ledger_of(request), read_scope(request)

    def fetch(paging: Paging) -> Sequence[Item]:
        found = ledger.store.effects(scope, paging.pair(), paging.ascending, paging.limit)
        return [_effect_item(ledger, effect) for effect in found]

    return answer_list(request, ledger, fetch)


def _effect_item(ledger: Ledger, effect: dict[str, object]) -> Item:
    key, order = effect.pop("number"), effect.pop("order")
    assert isinstance(key, int) and isinstance(order, int)
    row = ledger.store.ledger(key >> 32)
    made = effect_record(effect, key, order, clock(row.closed_at if row else 0))
    return made["paging_token"], dump(made)


async def ledger(request: Request) -> Response:
    """Show one ledger."""
    network = ledger_of(request)
    row = network.store.ledger(number(request, "sequence"))
    if row is None:
        raise problems.not_found()
    return Response(_ledger_text(network, row).replace(BASE, base_url(request)), media_type=HAL)


def _ledger_text(network: Ledger, row: LedgerRow) -> str:
    fields = {
        "sequence": row.sequence,
        "closed_at": row.closed_at,
        "succeeded": row.succeeded,
        "failed": row.failed,
        "operations": row.operations,
        "fee_pool": row.fee_pool,
        "capacity": network.capacity,
    }
    sequence = row.sequence
    return dump(ledger_record(fields, network.hash_of(sequence), network.hash_of(sequence - 1)))


async def ledgers(request: Request) -> Response:
    """List ledgers."""
    network = ledger_of(request)

    def fetch(paging: Paging) -> Sequence[Item]:
        cursor, last = paging.number(), network.last.sequence
        if paging.ascending:
            first = 1 if cursor is None else (cursor >> 32) + 1
            wanted = range(first, min(first + paging.limit, last + 1))
        else:
            # A cursor within a ledger (such as `now`) leaves that ledger before it.
            first = last if cursor is None else min((cursor - 1) >> 32, last)
            wanted = range(first, max(first - paging.limit, 0), -1)
        rows = (network.store.ledger(sequence) for sequence in wanted)
        return [(str(row.sequence << 32), _ledger_text(network, row)) for row in rows if row]

    return answer_list(request, network, fetch)
