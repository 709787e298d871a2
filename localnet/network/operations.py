"""Operations on accounts and trust: what each may do, and what it changes.

Each rule gets a ``Context`` over a draft of its own and either changes it or raises
``OperationFailed``; the caller commits or drops the draft. Payments and offers live in
``payments`` and ``offers``; ``apply`` has the table of all.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from stellar_sdk import xdr

from . import assets
from .assets import NATIVE, account_of, amount_text, asset_fields, asset_of, issuer_of, unmux
from .auth import signer_address
from .genesis import BASE_RESERVE, MAX_INT64
from .orderbook import drop_offers, may_trade
from .results import Op, OperationFailed, failure_code
from .state import (
    AUTH_CLAWBACK,
    AUTH_IMMUTABLE,
    AUTH_REQUIRED,
    AUTH_REVOCABLE,
    AUTHORIZED,
    CLAWBACK,
    MAINTAIN,
    Account,
    Draft,
    Line,
    can_receive,
    can_send,
    move,
)

Fields = dict[str, Any]

EFFECTS = {
    "account_created": 0,
    "account_removed": 1,
    "account_credited": 2,
    "account_debited": 3,
    "account_thresholds_updated": 4,
    "account_home_domain_updated": 5,
    "account_flags_updated": 6,
    "signer_created": 10,
    "signer_removed": 11,
    "signer_updated": 12,
    "trustline_created": 20,
    "trustline_removed": 21,
    "trustline_updated": 22,
    "trustline_flags_updated": 26,
    "trade": 33,
    "data_created": 40,
    "data_removed": 41,
    "data_updated": 42,
    "sequence_bumped": 43,
}
ACCOUNT_FLAGS = {
    AUTH_REQUIRED: "auth_required",
    AUTH_REVOCABLE: "auth_revocable",
    AUTH_IMMUTABLE: "auth_immutable",
    AUTH_CLAWBACK: "auth_clawback_enabled",
}
LINE_FLAGS = {
    AUTHORIZED: "authorized",
    MAINTAIN: "authorized_to_maintain_liabilites",  # Horizon's own spelling
    CLAWBACK: "clawback_enabled",
}
MAX_SUBENTRIES = 1000
MAX_SIGNERS = 20


@dataclass
class Context:
    """Where one operation acts: a draft, its source, the ledger it is applied in."""

    draft: Draft
    kind: Op
    source: str
    ledger: int
    effects: list[Fields] = field(default_factory=list)
    facts: Fields = field(default_factory=dict)
    result: Fields = field(default_factory=dict)

    def fail(self, name: str, **fields: object) -> NoReturn:
        """Refuse the operation with one of its own codes."""
        raise OperationFailed(failure_code(self.kind, name), **fields)

    def need(self, condition: bool, name: str) -> None:
        """Refuse the operation unless ``condition`` holds."""
        if not condition:
            self.fail(name)

    def effect(self, kind: str, account: str, **fields: object) -> None:
        """Note what happened to an account."""
        self.effects.append({"account": account, "type": kind, "type_i": EFFECTS[kind], **fields})

    def owner(self) -> Account:
        """Return the source account for writing."""
        return self.draft.change(self.source)

    def room_for_entry(self, account: Account) -> None:
        """Refuse if one more subentry would break the limit or the reserve."""
        if account.subentries >= MAX_SUBENTRIES:
            raise OperationFailed(xdr.OperationResultCode.opTOO_MANY_SUBENTRIES)
        self.need(account.spendable >= BASE_RESERVE, "LOW_RESERVE")


def credit(ctx: Context, account: str, asset: str, stroops: int) -> None:
    """Pay into an account, with the destination's failures, and note the effect."""
    holder = ctx.draft.account(account)
    assert holder is not None
    if asset != NATIVE and issuer_of(asset) != account:
        line = holder.lines.get(asset)
        if line is None:
            ctx.fail("NO_TRUST")
        ctx.need(bool(line.flags & AUTHORIZED), "NOT_AUTHORIZED")
    ctx.need(can_receive(ctx.draft, account, asset) >= stroops, "LINE_FULL")
    move(ctx.draft, account, asset, stroops)
    ctx.effect("account_credited", account, **asset_fields(asset), amount=amount_text(stroops))


def debit(ctx: Context, account: str, asset: str, stroops: int) -> None:
    """Pay out of an account, with the source's failures, and note the effect."""
    holder = ctx.draft.account(account)
    assert holder is not None
    if asset != NATIVE and issuer_of(asset) != account:
        line = holder.lines.get(asset)
        if line is None:
            ctx.fail("SRC_NO_TRUST")
        ctx.need(bool(line.flags & AUTHORIZED), "SRC_NOT_AUTHORIZED")
    ctx.need(can_send(ctx.draft, account, asset) >= stroops, "UNDERFUNDED")
    move(ctx.draft, account, asset, -stroops)
    ctx.effect("account_debited", account, **asset_fields(asset), amount=amount_text(stroops))


def check_create_account(ctx: Context, op: xdr.CreateAccountOp) -> None:
    """Refuse a negative balance and an account that creates itself."""
    ctx.need(op.starting_balance.int64 >= 0, "MALFORMED")
    ctx.need(account_of(op.destination) != ctx.source, "MALFORMED")


def create_account(ctx: Context, op: xdr.CreateAccountOp) -> None:
    """Open an account with lumens of the source."""
    new, stroops = account_of(op.destination), op.starting_balance.int64
    ctx.need(ctx.draft.account(new) is None, "ALREADY_EXIST")
    ctx.need(stroops >= 2 * BASE_RESERVE, "LOW_RESERVE")
    ctx.need(can_send(ctx.draft, ctx.source, NATIVE) >= stroops, "UNDERFUNDED")
    move(ctx.draft, ctx.source, NATIVE, -stroops)
    # A new account starts at its ledger's number, so that no old transaction can be replayed.
    ctx.draft.put_account(new, Account(new, stroops, ctx.ledger << 32))
    amount = amount_text(stroops)
    ctx.effect("account_created", new, starting_balance=amount)
    ctx.effect("account_debited", ctx.source, asset_type=NATIVE, amount=amount)
    ctx.effect("signer_created", new, weight=1, public_key=new, key="")


def check_account_merge(ctx: Context, op: xdr.MuxedAccount) -> None:
    """Refuse a merge into itself."""
    ctx.need(unmux(op) != ctx.source, "MALFORMED")


def account_merge(ctx: Context, op: xdr.MuxedAccount) -> None:
    """Give all lumens to another account and close this one."""
    target, owner = unmux(op), ctx.owner()
    ctx.need(ctx.draft.account(target) is not None, "NO_ACCOUNT")
    ctx.need(not owner.flags & AUTH_IMMUTABLE, "IMMUTABLE_SET")
    ctx.need(owner.subentries == len(owner.signers), "HAS_SUB_ENTRIES")
    # A later account of the same name starts at its ledger's number: it must not fall behind.
    ctx.need(owner.sequence < ctx.ledger << 32, "SEQNUM_TOO_FAR")
    ctx.need(can_receive(ctx.draft, target, NATIVE) >= owner.balance, "DEST_FULL")
    stroops = owner.balance
    move(ctx.draft, target, NATIVE, stroops)
    ctx.draft.put_account(ctx.source, None)
    amount = amount_text(stroops)
    ctx.effect("account_debited", ctx.source, asset_type=NATIVE, amount=amount)
    ctx.effect("account_credited", target, asset_type=NATIVE, amount=amount)
    ctx.effect("account_removed", ctx.source)
    ctx.result["source_account_balance"] = xdr.Int64(stroops)


def check_change_trust(ctx: Context, op: xdr.ChangeTrustOp) -> None:
    """Refuse a bad limit, the native asset, pool shares (not supported) and bad codes."""
    if op.line.type == xdr.AssetType.ASSET_TYPE_POOL_SHARE:
        raise OperationFailed(xdr.OperationResultCode.opNOT_SUPPORTED)
    asset = asset_of(op.line)
    ctx.need(op.limit.int64 >= 0 and asset != NATIVE and assets.is_valid(asset), "MALFORMED")
    ctx.need(issuer_of(asset) != ctx.source, "MALFORMED")


def change_trust(ctx: Context, op: xdr.ChangeTrustOp) -> None:
    """Open, change or (limit 0) close a trust line."""
    asset, limit, owner = asset_of(op.line), op.limit.int64, ctx.owner()
    old = owner.lines.get(asset)
    fields = {**asset_fields(asset), "limit": amount_text(limit)}
    if old is None:
        ctx.need(limit > 0, "INVALID_LIMIT")
        issuer = ctx.draft.account(issuer_of(asset))
        if issuer is None:
            ctx.fail("NO_ISSUER")
        ctx.room_for_entry(owner)
        flags = 0 if issuer.flags & AUTH_REQUIRED else AUTHORIZED
        flags |= CLAWBACK if issuer.flags & AUTH_CLAWBACK else 0
        owner.lines[asset] = Line(limit, flags, modified=ctx.ledger)
        ctx.effect("trustline_created", ctx.source, **fields)
        return
    ctx.need(limit >= old.balance + old.buying, "INVALID_LIMIT")
    if limit == 0:
        ctx.need(not old.selling, "CANNOT_DELETE")
        del owner.lines[asset]
        ctx.effect("trustline_removed", ctx.source, **fields)
        return
    ctx.need(ctx.draft.account(issuer_of(asset)) is not None, "NO_ISSUER")
    owner.lines[asset] = replace(old, limit=limit, modified=ctx.ledger)
    ctx.effect("trustline_updated", ctx.source, **fields)


def check_set_options(ctx: Context, op: xdr.SetOptionsOp) -> None:
    """Refuse weights and thresholds over 255, unknown flags, and the master key as signer."""
    known = sum(ACCOUNT_FLAGS)
    on = op.set_flags.uint32 if op.set_flags else 0
    off = op.clear_flags.uint32 if op.clear_flags else 0
    ctx.need((on | off) <= known, "UNKNOWN_FLAG")
    ctx.need(not on & off, "BAD_FLAGS")
    numbers = (op.master_weight, op.low_threshold, op.med_threshold, op.high_threshold)
    ctx.need(all(n is None or n.uint32 <= 255 for n in numbers), "THRESHOLD_OUT_OF_RANGE")
    if op.signer is not None:
        ctx.need(signer_address(op.signer.key) != ctx.source, "BAD_SIGNER")
        ctx.need(op.signer.weight.uint32 <= 255, "BAD_SIGNER")
    if op.home_domain is not None:
        text = op.home_domain.string32
        ctx.need(text.isascii() and b"\0" not in text, "INVALID_HOME_DOMAIN")


def set_options(ctx: Context, op: xdr.SetOptionsOp) -> None:
    """Change an account's flags, thresholds, home domain and signers."""
    owner = ctx.owner()
    if op.inflation_dest is not None:
        target = account_of(op.inflation_dest)
        ctx.need(ctx.draft.account(target) is not None, "INVALID_INFLATION")
        owner.inflation = target
    _set_flags(ctx, owner, op)
    _set_thresholds(ctx, owner, op)
    if op.home_domain is not None:
        owner.home_domain = op.home_domain.string32.decode("ascii")
        ctx.effect("account_home_domain_updated", ctx.source, home_domain=owner.home_domain)
    if op.signer is not None:
        _set_signer(ctx, owner, signer_address(op.signer.key), op.signer.weight.uint32)


def _set_flags(ctx: Context, owner: Account, op: xdr.SetOptionsOp) -> None:
    on = op.set_flags.uint32 if op.set_flags else 0
    off = op.clear_flags.uint32 if op.clear_flags else 0
    if not on and not off:
        return
    ctx.need(not owner.flags & AUTH_IMMUTABLE, "CANT_CHANGE")
    flags = (owner.flags & ~off) | on
    ctx.need(not flags & AUTH_CLAWBACK or bool(flags & AUTH_REVOCABLE), "AUTH_REVOCABLE_REQUIRED")
    owner.flags = flags
    changed = {f"{ACCOUNT_FLAGS[bit]}_flag": bool(on & bit) for bit in _bits(on | off)}
    ctx.effect("account_flags_updated", ctx.source, **changed)


def _set_thresholds(ctx: Context, owner: Account, op: xdr.SetOptionsOp) -> None:
    wanted = (op.master_weight, op.low_threshold, op.med_threshold, op.high_threshold)
    old = owner.thresholds
    master, low, med, high = (
        old[place] if new is None else new.uint32 for place, new in enumerate(wanted)
    )
    owner.thresholds = (master, low, med, high)
    if any(new is not None for new in wanted[1:]):
        ctx.effect(
            "account_thresholds_updated",
            ctx.source,
            low_threshold=low,
            med_threshold=med,
            high_threshold=high,
        )
    if op.master_weight is not None:
        kind = "signer_updated" if master else "signer_removed"
        ctx.effect(kind, ctx.source, weight=master, public_key=ctx.source, key="")


def _set_signer(ctx: Context, owner: Account, signer: str, weight: int) -> None:
    known = signer in owner.signers
    if weight == 0:
        if not known:
            ctx.fail("BAD_SIGNER")
        del owner.signers[signer]
        ctx.effect("signer_removed", ctx.source, weight=0, public_key=signer, key="")
        return
    if not known:
        ctx.need(len(owner.signers) < MAX_SIGNERS, "TOO_MANY_SIGNERS")
        ctx.room_for_entry(owner)
    owner.signers[signer] = weight
    kind = "signer_updated" if known else "signer_created"
    ctx.effect(kind, ctx.source, weight=weight, public_key=signer, key="")


def _bits(flags: int) -> list[int]:
    return [1 << place for place in range(32) if flags >> place & 1]


def check_manage_data(ctx: Context, op: xdr.ManageDataOp) -> None:
    """Refuse an empty name and one that is not plain text."""
    name = op.data_name.string64
    ctx.need(bool(name) and name.isascii() and b"\0" not in name, "INVALID_NAME")


def manage_data(ctx: Context, op: xdr.ManageDataOp) -> None:
    """Set or (no value) remove a named value."""
    owner, name = ctx.owner(), op.data_name.string64.decode("ascii")
    if op.data_value is None:
        ctx.need(name in owner.data, "NAME_NOT_FOUND")
        del owner.data[name]
        ctx.effect("data_removed", ctx.source, name=name)
        return
    kind = "data_updated" if name in owner.data else "data_created"
    if kind == "data_created":
        ctx.room_for_entry(owner)
    owner.data[name] = base64.b64encode(op.data_value.data_value).decode()
    ctx.effect(kind, ctx.source, name=name, value=owner.data[name])


def check_bump_sequence(ctx: Context, op: xdr.BumpSequenceOp) -> None:
    """Refuse a negative number."""
    ctx.need(op.bump_to.sequence_number.int64 >= 0, "BAD_SEQ")


def bump_sequence(ctx: Context, op: xdr.BumpSequenceOp) -> None:
    """Raise the sequence number; a lower number changes nothing."""
    owner, target = ctx.owner(), op.bump_to.sequence_number.int64
    if target > owner.sequence:
        owner.sequence = target
        ctx.effect("sequence_bumped", ctx.source, new_seq=str(target))


def check_allow_trust(ctx: Context, op: xdr.AllowTrustOp) -> None:
    """Refuse unknown flags, bad codes and oneself."""
    ctx.need(op.authorize.uint32 in (0, AUTHORIZED, MAINTAIN), "MALFORMED")
    ctx.need(assets.is_valid(f"{assets.code_of(op.asset)}:"), "MALFORMED")
    ctx.need(account_of(op.trustor) != ctx.source, "MALFORMED")


def allow_trust(ctx: Context, op: xdr.AllowTrustOp) -> None:
    """Set the authorization of a holder's line (the older form)."""
    asset = assets.name_asset(assets.code_of(op.asset), ctx.source)
    trustor, wanted = account_of(op.trustor), op.authorize.uint32
    line = _line(ctx, trustor, asset)
    flags = (line.flags & ~(AUTHORIZED | MAINTAIN)) | wanted
    _authorize(ctx, trustor, asset, line, flags)


def check_set_trust_line_flags(ctx: Context, op: xdr.SetTrustLineFlagsOp) -> None:
    """Refuse others' assets, overlapping and unknown flags, and setting clawback."""
    asset, on, off = asset_of(op.asset), op.set_flags.uint32, op.clear_flags.uint32
    ctx.need(assets.is_valid(asset) and issuer_of(asset) == ctx.source, "MALFORMED")
    ctx.need(account_of(op.trustor) != ctx.source, "MALFORMED")
    ctx.need(not on & off and (on | off) <= sum(LINE_FLAGS), "MALFORMED")
    ctx.need(not on & CLAWBACK and on != (AUTHORIZED | MAINTAIN), "MALFORMED")


def set_trust_line_flags(ctx: Context, op: xdr.SetTrustLineFlagsOp) -> None:
    """Set and clear flags of a holder's line."""
    asset, trustor = asset_of(op.asset), account_of(op.trustor)
    line = _line(ctx, trustor, asset)
    flags = (line.flags & ~op.clear_flags.uint32) | op.set_flags.uint32
    if flags & AUTHORIZED and flags & MAINTAIN:
        ctx.fail("INVALID_STATE")
    _authorize(ctx, trustor, asset, line, flags)


def _line(ctx: Context, trustor: str, asset: str) -> Line:
    holder = ctx.draft.account(trustor)
    line = holder.lines.get(asset) if holder else None
    if line is None:
        ctx.fail("NO_TRUST_LINE")
    return line


def _authorize(ctx: Context, trustor: str, asset: str, line: Line, flags: int) -> None:
    """Write a line's flags; less authority than before needs a revocable issuer."""
    rank = {0: 0, MAINTAIN: 1, AUTHORIZED: 2}
    mask = AUTHORIZED | MAINTAIN
    if rank[flags & mask] < rank[line.flags & mask]:
        ctx.need(bool(ctx.owner().flags & AUTH_REVOCABLE), "CANT_REVOKE")
        if not may_trade(flags):
            drop_offers(ctx.draft, trustor, asset)
    holder = ctx.draft.change(trustor)
    holder.lines[asset] = replace(holder.lines[asset], flags=flags, modified=ctx.ledger)
    fields: Fields = {f"{LINE_FLAGS[b]}_flag": bool(flags & b) for b in _bits(flags ^ line.flags)}
    ctx.effect(
        "trustline_flags_updated", ctx.source, trustor=trustor, **asset_fields(asset), **fields
    )


def check_clawback(ctx: Context, op: xdr.ClawbackOp) -> None:
    """Refuse others' assets, oneself and amounts that are not positive."""
    asset = asset_of(op.asset)
    ctx.need(0 < op.amount.int64 <= MAX_INT64, "MALFORMED")
    ctx.need(assets.is_valid(asset) and issuer_of(asset) == ctx.source, "MALFORMED")
    ctx.need(unmux(op.from_) != ctx.source, "MALFORMED")


def clawback(ctx: Context, op: xdr.ClawbackOp) -> None:
    """Take an amount of one's own asset back from a holder and burn it."""
    asset, holder, stroops = asset_of(op.asset), unmux(op.from_), op.amount.int64
    account = ctx.draft.account(holder)
    line = account.lines.get(asset) if account else None
    if line is None:
        ctx.fail("NO_TRUST")
    ctx.need(bool(line.flags & CLAWBACK), "NOT_CLAWBACK_ENABLED")
    ctx.need(line.balance - line.selling >= stroops, "UNDERFUNDED")
    move(ctx.draft, holder, asset, -stroops)
    fields = {**asset_fields(asset), "amount": amount_text(stroops)}
    ctx.effect("account_credited", ctx.source, **fields)
    ctx.effect("account_debited", holder, **fields)
