"""Horizon's JSON resources.

A record is written once, when its ledger closes, as a JSON text whose links start with ``BASE``.
A request then costs no more than one ``str.replace``. That is safe because everything outside
``_links`` is pure ASCII, so no memo or home domain can contain the placeholder.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from stellar_sdk import xdr

from .apply import Applied, operation_source
from .assets import (
    account_of,
    amount_text,
    asset_fields,
    asset_of,
    muxed_fields,
    name_asset,
    type_of,
    unmux,
)
from .assets import code_of as asset_code_of
from .auth import signer_address, signer_type
from .envelope import Envelope
from .genesis import BASE_FEE, BASE_RESERVE, ONE, PROTOCOL_VERSION, TOTAL_STROOPS
from .operations import ACCOUNT_FLAGS, LINE_FLAGS
from .results import Op, operation_name
from .state import AUTHORIZED, CLAWBACK, MAINTAIN, Account, Line, Offer

BASE = "\N{SECTION SIGN}base"
Record = dict[str, Any]

PAYMENTS = {
    Op.CREATE_ACCOUNT,
    Op.PAYMENT,
    Op.PATH_PAYMENT_STRICT_RECEIVE,
    Op.PATH_PAYMENT_STRICT_SEND,
    Op.ACCOUNT_MERGE,
}
# TransactionMeta of version 0 with no operations, and no LedgerEntryChanges: valid and empty.
EMPTY_META = "AAAAAAAAAAA="
EMPTY_CHANGES = "AAAAAA=="


def clock(seconds: int) -> str:
    """Return a close time as Horizon writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def links(**paths: str) -> Record:
    """Return HAL links; a path with ``{`` is a template."""
    made: Record = {}
    for name, path in paths.items():
        made[name] = {"href": BASE + path}
        if "{" in path:
            made[name]["templated"] = True
    return made


def dump(record: Record) -> str:
    """Return a record as JSON text, its links first and the rest in ASCII."""
    body = dict(record)
    head = json.dumps(body.pop("_links"), ensure_ascii=False, separators=(",", ":"))
    rest = json.dumps(body, separators=(",", ":"))
    return f'{{"_links":{head},{rest[1:]}'


def transaction_id(ledger: int, order: int) -> int:
    """Return the SEP-35 id of the ``order``-th (from 1) transaction of a ledger."""
    return ledger << 32 | order << 12


def transaction_record(
    envelope: Envelope, applied: Applied, ledger: int, time: int, number: int
) -> Record:
    """Return the transaction resource under its own (outer) hash."""
    tx, token = envelope.tx, str(number)
    digest = envelope.hash.hex()
    return {
        "_links": _transaction_links(digest, envelope.source, ledger, token),
        "id": digest,
        "paging_token": token,
        "successful": applied.outcome.successful,
        "hash": digest,
        "ledger": ledger,
        "created_at": clock(time),
        **_renamed(muxed_fields(tx.source_account, "source_account")),
        "source_account_sequence": str(envelope.sequence),
        **_fee_account(envelope),
        "fee_charged": str(applied.outcome.fee),
        "max_fee": str(envelope.max_fee),
        "operation_count": len(tx.operations),
        "envelope_xdr": envelope.raw,
        "result_xdr": applied.outcome.result_xdr(envelope),
        "result_meta_xdr": EMPTY_META,
        "fee_meta_xdr": EMPTY_CHANGES,
        **_memo(tx.memo),
        "signatures": _signatures(
            envelope.bump.signatures if envelope.bump else envelope.signatures
        ),
        **_validity(envelope),
        **_bump(envelope),
    }


def inner_record(record: Record) -> Record:
    """Return a fee-bumped transaction as it shows under its inner hash."""
    inner = record["inner_transaction"]
    digest, token = inner["hash"], record["paging_token"]
    return {
        **record,
        "_links": _transaction_links(digest, record["source_account"], record["ledger"], token),
        "id": digest,
        "hash": digest,
        "signatures": inner["signatures"],
    }


def _transaction_links(digest: str, account: str, ledger: int, token: str) -> Record:
    own, paged = f"/transactions/{digest}", "{?cursor,limit,order}"
    return links(
        self=own,
        account=f"/accounts/{account}",
        ledger=f"/ledgers/{ledger}",
        operations=f"{own}/operations{paged}",
        effects=f"{own}/effects{paged}",
        precedes=f"/transactions?order=asc&cursor={token}",
        succeeds=f"/transactions?order=desc&cursor={token}",
        transaction=own,
    )


def _renamed(fields: dict[str, str]) -> dict[str, str]:
    """Horizon calls a transaction's muxed source ``account_muxed``, without ``source_``."""
    return {
        key.replace("source_account_muxed", "account_muxed"): value for key, value in fields.items()
    }


def _fee_account(envelope: Envelope) -> dict[str, str]:
    payer = envelope.bump.source if envelope.bump else envelope.tx.source_account
    return muxed_fields(payer, "fee_account")


def _memo(memo: xdr.Memo) -> Record:
    if memo.text is not None:
        raw = memo.text
        return {
            "memo_type": "text",
            "memo": raw.decode("utf-8", "replace").replace("\0", ""),
            "memo_bytes": base64.b64encode(raw).decode(),
        }
    if memo.id is not None:
        return {"memo_type": "id", "memo": str(memo.id.uint64)}
    if memo.hash is not None:
        return {"memo_type": "hash", "memo": base64.b64encode(memo.hash.hash).decode()}
    if memo.ret_hash is not None:
        return {"memo_type": "return", "memo": base64.b64encode(memo.ret_hash.hash).decode()}
    return {"memo_type": "none"}


def _signatures(signatures: list[xdr.DecoratedSignature]) -> list[str]:
    return [base64.b64encode(each.signature.signature).decode() for each in signatures]


_LAST_SECOND = 253402300799  # 9999-12-31, the last that the calendar can write


def _validity(envelope: Envelope) -> Record:
    conditions = envelope.conditions
    made: Record = {}
    shown: Record = {}
    if conditions.times is not None:
        earliest, latest = conditions.times
        shown["timebounds"] = {"min_time": str(earliest)}
        if latest:
            shown["timebounds"]["max_time"] = str(latest)
            made["valid_before"] = clock(min(latest, _LAST_SECOND))
        made["valid_after"] = clock(min(earliest, _LAST_SECOND))
    if conditions.ledgers is not None:
        lowest, highest = conditions.ledgers
        shown["ledgerbounds"] = {"min_ledger": lowest}
        if highest:
            shown["ledgerbounds"]["max_ledger"] = highest
    if conditions.min_sequence is not None:
        shown["min_account_sequence"] = str(conditions.min_sequence)
    if conditions.min_age:
        shown["min_account_sequence_age"] = str(conditions.min_age)
    if conditions.min_gap:
        shown["min_account_sequence_ledger_gap"] = conditions.min_gap
    if conditions.extra_signers:
        shown["extra_signers"] = [signer_address(key) for key in conditions.extra_signers]
    if shown:
        made["preconditions"] = shown
    return made


def _bump(envelope: Envelope) -> Record:
    if envelope.bump is None:
        return {}
    return {
        "fee_bump_transaction": {
            "hash": envelope.bump.hash.hex(),
            "signatures": _signatures(envelope.bump.signatures),
        },
        "inner_transaction": {
            "hash": envelope.inner_hash.hex(),
            "signatures": _signatures(envelope.signatures),
            "max_fee": str(envelope.inner_fee),
        },
    }


def operation_record(
    envelope: Envelope,
    index: int,
    number: int,
    time: int,
    applied: Applied,
) -> Record:
    """Return the resource of the ``index``-th (from 0) operation."""
    operation = envelope.tx.operations[index]
    kind, digest = operation.body.type, envelope.hash.hex()
    source = operation_source(envelope, operation)
    own = f"/operations/{number}"
    return {
        "_links": links(
            self=own,
            transaction=f"/transactions/{digest}",
            effects=f"{own}/effects",
            succeeds=f"/effects?order=desc&cursor={number}",
            precedes=f"/effects?order=asc&cursor={number}",
        ),
        "id": str(number),
        "paging_token": str(number),
        "transaction_successful": applied.outcome.successful,
        **muxed_fields(source, "source_account"),
        "type": operation_name(kind),
        "type_i": int(kind),
        "created_at": clock(time),
        "transaction_hash": digest,
        **_details(source, operation.body, applied.facts[index]),
    }


def _details(source: xdr.MuxedAccount, body: xdr.OperationBody, facts: Record) -> Record:
    """Return the fields that belong to the operation's type."""
    reader = _READERS.get(body.type)
    return reader(source, body, facts) if reader else {}


def _create_account(source: xdr.MuxedAccount, body: xdr.OperationBody, _: Record) -> Record:
    op = body.create_account_op
    assert op is not None
    return {
        "starting_balance": amount_text(op.starting_balance.int64),
        **muxed_fields(source, "funder"),
        "account": account_of(op.destination),
    }


def _payment(source: xdr.MuxedAccount, body: xdr.OperationBody, _: Record) -> Record:
    op = body.payment_op
    assert op is not None
    return {
        **asset_fields(asset_of(op.asset)),
        **muxed_fields(source, "from"),
        **muxed_fields(op.destination, "to"),
        "amount": amount_text(op.amount.int64),
    }


def _path(path: list[xdr.Asset]) -> list[dict[str, str]]:
    return [asset_fields(asset_of(asset)) for asset in path]


def _strict_receive(source: xdr.MuxedAccount, body: xdr.OperationBody, facts: Record) -> Record:
    op = body.path_payment_strict_receive_op
    assert op is not None
    return {
        **asset_fields(asset_of(op.dest_asset)),
        **muxed_fields(source, "from"),
        **muxed_fields(op.destination, "to"),
        "amount": amount_text(op.dest_amount.int64),
        "path": _path(op.path),
        "source_amount": facts.get("source_amount", amount_text(0)),
        "source_max": amount_text(op.send_max.int64),
        **asset_fields(asset_of(op.send_asset), "source_"),
    }


def _strict_send(source: xdr.MuxedAccount, body: xdr.OperationBody, facts: Record) -> Record:
    op = body.path_payment_strict_send_op
    assert op is not None
    return {
        **asset_fields(asset_of(op.dest_asset)),
        **muxed_fields(source, "from"),
        **muxed_fields(op.destination, "to"),
        "amount": facts.get("amount", amount_text(0)),
        "path": _path(op.path),
        "source_amount": amount_text(op.send_amount.int64),
        "destination_min": amount_text(op.dest_min.int64),
        **asset_fields(asset_of(op.send_asset), "source_"),
    }


def _account_merge(source: xdr.MuxedAccount, body: xdr.OperationBody, _: Record) -> Record:
    assert body.destination is not None
    return {**muxed_fields(source, "account"), **muxed_fields(body.destination, "into")}


def _change_trust(source: xdr.MuxedAccount, body: xdr.OperationBody, _: Record) -> Record:
    op = body.change_trust_op
    assert op is not None
    fields = asset_fields(asset_of(op.line))
    return {
        **fields,
        "limit": amount_text(op.limit.int64),
        "trustee": fields.get("asset_issuer", ""),
        **muxed_fields(source, "trustor"),
    }


def _allow_trust(source: xdr.MuxedAccount, body: xdr.OperationBody, _: Record) -> Record:
    op = body.allow_trust_op
    assert op is not None
    authorize = op.authorize.uint32
    return {
        **asset_fields(name_asset(asset_code_of(op.asset), unmux(source))),
        **muxed_fields(source, "trustee"),
        "trustor": account_of(op.trustor),
        "authorize": bool(authorize & AUTHORIZED),
        "authorize_to_maintain_liabilities": bool(authorize),
    }


def _set_trust_line_flags(_: xdr.MuxedAccount, body: xdr.OperationBody, __: Record) -> Record:
    op = body.set_trust_line_flags_op
    assert op is not None
    return {
        **asset_fields(asset_of(op.asset)),
        "trustor": account_of(op.trustor),
        **_flags("set", op.set_flags.uint32, LINE_FLAGS),
        **_flags("clear", op.clear_flags.uint32, LINE_FLAGS),
    }


def _flags(verb: str, flags: int, names: dict[int, str]) -> Record:
    bits = [bit for bit in names if flags & bit]
    if not bits:
        return {}
    return {f"{verb}_flags": bits, f"{verb}_flags_s": [names[bit] for bit in bits]}


def _set_options(_: xdr.MuxedAccount, body: xdr.OperationBody, __: Record) -> Record:
    op = body.set_options_op
    assert op is not None
    made: Record = {}
    if op.home_domain is not None:
        made["home_domain"] = op.home_domain.string32.decode("ascii", "replace")
    if op.inflation_dest is not None:
        made["inflation_dest"] = account_of(op.inflation_dest)
    numbers = {
        "master_key_weight": op.master_weight,
        "low_threshold": op.low_threshold,
        "med_threshold": op.med_threshold,
        "high_threshold": op.high_threshold,
    }
    made.update({name: n.uint32 for name, n in numbers.items() if n is not None})
    if op.signer is not None:
        made["signer_key"] = signer_address(op.signer.key)
        made["signer_weight"] = op.signer.weight.uint32
    made.update(_flags("set", op.set_flags.uint32 if op.set_flags else 0, ACCOUNT_FLAGS))
    made.update(_flags("clear", op.clear_flags.uint32 if op.clear_flags else 0, ACCOUNT_FLAGS))
    return made


def _manage_data(_: xdr.MuxedAccount, body: xdr.OperationBody, __: Record) -> Record:
    op = body.manage_data_op
    assert op is not None
    value = base64.b64encode(op.data_value.data_value).decode() if op.data_value else ""
    return {"name": op.data_name.string64.decode("ascii", "replace"), "value": value}


def _bump_sequence(_: xdr.MuxedAccount, body: xdr.OperationBody, __: Record) -> Record:
    op = body.bump_sequence_op
    assert op is not None
    return {"bump_to": str(op.bump_to.sequence_number.int64)}


def _clawback(_: xdr.MuxedAccount, body: xdr.OperationBody, __: Record) -> Record:
    op = body.clawback_op
    assert op is not None
    return {
        **asset_fields(asset_of(op.asset)),
        **muxed_fields(op.from_, "from"),
        "amount": amount_text(op.amount.int64),
    }


def _offer(_: xdr.MuxedAccount, body: xdr.OperationBody, __: Record) -> Record:
    op: Any = (
        body.manage_sell_offer_op or body.manage_buy_offer_op or body.create_passive_sell_offer_op
    )
    amount = op.buy_amount if body.manage_buy_offer_op else op.amount
    made = {
        "amount": amount_text(amount.int64),
        **_price(op.price.n.int32, op.price.d.int32),
        **asset_fields(asset_of(op.buying), "buying_"),
        **asset_fields(asset_of(op.selling), "selling_"),
    }
    if not body.create_passive_sell_offer_op:
        made["offer_id"] = str(op.offer_id.int64)
    return made


_READERS = {
    Op.CREATE_ACCOUNT: _create_account,
    Op.PAYMENT: _payment,
    Op.PATH_PAYMENT_STRICT_RECEIVE: _strict_receive,
    Op.PATH_PAYMENT_STRICT_SEND: _strict_send,
    Op.ACCOUNT_MERGE: _account_merge,
    Op.CHANGE_TRUST: _change_trust,
    Op.ALLOW_TRUST: _allow_trust,
    Op.SET_TRUST_LINE_FLAGS: _set_trust_line_flags,
    Op.SET_OPTIONS: _set_options,
    Op.MANAGE_DATA: _manage_data,
    Op.BUMP_SEQUENCE: _bump_sequence,
    Op.CLAWBACK: _clawback,
    Op.MANAGE_SELL_OFFER: _offer,
    Op.MANAGE_BUY_OFFER: _offer,
    Op.CREATE_PASSIVE_SELL_OFFER: _offer,
}


def participants(envelope: Envelope, index: int) -> set[str]:
    """Return the accounts under which Horizon lists an operation."""
    operation = envelope.tx.operations[index]
    found = {unmux(operation_source(envelope, operation))}
    body = operation.body
    for op in (
        body.payment_op,
        body.path_payment_strict_receive_op,
        body.path_payment_strict_send_op,
    ):
        if op is not None:
            found.add(unmux(op.destination))
    if body.create_account_op is not None:
        found.add(account_of(body.create_account_op.destination))
    if body.destination is not None:
        found.add(unmux(body.destination))
    for trust in (body.allow_trust_op, body.set_trust_line_flags_op):
        if trust is not None:
            found.add(account_of(trust.trustor))
    if body.clawback_op is not None:
        found.add(unmux(body.clawback_op.from_))
    return found


def effect_record(effect: Record, number: int, order: int, created_at: str) -> Record:
    """Return the ``order``-th (from 1) effect of an operation."""
    token = f"{number}-{order}"
    return {
        "_links": links(
            operation=f"/operations/{number}",
            succeeds=f"/effects?order=desc&cursor={token}",
            precedes=f"/effects?order=asc&cursor={token}",
        ),
        "id": f"{number:019d}-{order:010d}",
        "paging_token": token,
        **effect,
        "created_at": created_at,
    }


def _price(n: int, d: int) -> Record:
    # Rounded half up in the seventh place, as Horizon shows a fraction; for display only.
    return {
        "price": amount_text((2 * n * ONE + d) // (2 * d)) if d > 0 else "0.0000000",
        "price_r": {"n": n, "d": d},
    }


def offer_record(offer: Offer, time: str) -> Record:
    """Return a resting offer."""
    return {
        "_links": links(self=f"/offers/{offer.id}", offer_maker=f"/accounts/{offer.seller}"),
        "id": str(offer.id),
        "paging_token": str(offer.id),
        "seller": offer.seller,
        "selling": asset_fields(offer.selling),
        "buying": asset_fields(offer.buying),
        "amount": amount_text(offer.amount),
        "price_r": {"n": offer.n, "d": offer.d},
        "price": _price(offer.n, offer.d)["price"],
        "last_modified_ledger": offer.modified,
        "last_modified_time": time,
    }


def account_record(account: Account, time: str) -> Record:
    """Return an account as ``/accounts/:id`` shows it."""
    own, paged = f"/accounts/{account.id}", "{?cursor,limit,order}"
    pages = ("transactions", "operations", "payments", "effects", "offers", "trades")
    master, low, med, high = account.thresholds
    made: Record = {
        "_links": links(
            self=own, **{name: f"{own}/{name}{paged}" for name in pages}, data=f"{own}/data/{{key}}"
        ),
        "id": account.id,
        "account_id": account.id,
        "sequence": str(account.sequence),
        "subentry_count": account.subentries,
        "last_modified_ledger": account.modified,
        "last_modified_time": time,
        "thresholds": {"low_threshold": low, "med_threshold": med, "high_threshold": high},
        "flags": {name: bool(account.flags & bit) for bit, name in ACCOUNT_FLAGS.items()},
        "balances": _balances(account),
        "signers": _signers(account, master),
        "data": dict(account.data),
        "num_sponsoring": 0,
        "num_sponsored": 0,
        "paging_token": account.id,
    }
    if account.home_domain:
        made["home_domain"] = account.home_domain
    if account.inflation:
        made["inflation_destination"] = account.inflation
    if account.sequence_ledger:
        made["sequence_ledger"] = account.sequence_ledger
        made["sequence_time"] = str(account.sequence_time)
    return made


def _balances(account: Account) -> list[Record]:
    lines = [_balance(asset, line) for asset, line in sorted(account.lines.items())]
    native = {
        "balance": amount_text(account.balance),
        "buying_liabilities": amount_text(account.buying),
        "selling_liabilities": amount_text(account.selling),
        "asset_type": "native",
    }
    return [*lines, native]


def _balance(asset: str, line: Line) -> Record:
    made = {
        "balance": amount_text(line.balance),
        "limit": amount_text(line.limit),
        "buying_liabilities": amount_text(line.buying),
        "selling_liabilities": amount_text(line.selling),
        "last_modified_ledger": line.modified,
        "is_authorized": bool(line.flags & AUTHORIZED),
        "is_authorized_to_maintain_liabilities": bool(line.flags & (AUTHORIZED | MAINTAIN)),
        **asset_fields(asset),
    }
    if line.flags & CLAWBACK:
        made["is_clawback_enabled"] = True
    return made


def _signers(account: Account, master: int) -> list[Record]:
    listed = [
        {"weight": weight, "key": key, "type": signer_type(key)}
        for key, weight in sorted(account.signers.items())
    ]
    return [*listed, {"weight": master, "key": account.id, "type": signer_type(account.id)}]


def ledger_record(row: Record, digest: str, previous: str) -> Record:
    """Return a ledger. ``row``: sequence, closed_at, succeeded, failed, operations, fee_pool."""
    sequence = row["sequence"]
    own, paged = f"/ledgers/{sequence}", "{?cursor,limit,order}"
    pages = ("transactions", "operations", "payments", "effects")
    return {
        "_links": links(self=own, **{name: f"{own}/{name}{paged}" for name in pages}),
        "id": digest,
        "paging_token": str(sequence << 32),
        "hash": digest,
        "prev_hash": previous,
        "sequence": sequence,
        "successful_transaction_count": row["succeeded"],
        "failed_transaction_count": row["failed"],
        "operation_count": row["operations"],
        "tx_set_operation_count": row["operations"],
        "closed_at": clock(row["closed_at"]),
        "total_coins": amount_text(TOTAL_STROOPS),
        "fee_pool": amount_text(row["fee_pool"]),
        "base_fee_in_stroops": BASE_FEE,
        "base_reserve_in_stroops": BASE_RESERVE,
        "max_tx_set_size": row["capacity"],
        "protocol_version": PROTOCOL_VERSION,
        "header_xdr": "",
    }


def asset_record(asset: str, issuer: Account | None, held: Record) -> Record:
    """Return the statistics of one asset. ``held``: per authority, accounts and stroops."""
    code, _, account = asset.partition(":")
    home = issuer.home_domain if issuer else ""
    flags = issuer.flags if issuer else 0
    toml = f"https://{home}/.well-known/stellar.toml" if home else ""
    return {
        "_links": {"toml": {"href": toml}},
        "asset_type": type_of(asset),
        "asset_code": code,
        "asset_issuer": account,
        "paging_token": f"{code}_{account}_{type_of(asset)}",
        "num_claimable_balances": 0,
        "num_liquidity_pools": 0,
        "num_contracts": 0,
        "accounts": {name: count for name, (count, _) in held.items()},
        "claimable_balances_amount": amount_text(0),
        "liquidity_pools_amount": amount_text(0),
        "contracts_amount": amount_text(0),
        "balances": {name: amount_text(total) for name, (_, total) in held.items()},
        "flags": {name: bool(flags & bit) for bit, name in ACCOUNT_FLAGS.items()},
    }
