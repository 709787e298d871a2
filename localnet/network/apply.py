"""Transactions: whether one may enter a ledger, and what it does there.

``refusal`` answers what stellar-core would when it turns a transaction away: nothing is recorded
and nothing is paid. ``apply_transaction`` takes the fee and the sequence number in any case, then
does all operations or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from stellar_sdk import StrKey, xdr

from . import offers, operations, payments
from .assets import unmux
from .auth import HIGH, LOW, MEDIUM, Signatures, signer_address
from .envelope import Envelope
from .genesis import BASE_FEE
from .operations import Context
from .results import (
    Op,
    OpCode,
    OperationFailed,
    Outcome,
    TxCode,
    operation_result,
    success_code,
)
from .state import Account, Books, Draft, World


@dataclass(frozen=True)
class Rule:
    """One kind of operation: where its body is, its threshold, its checks and its effect."""

    arm: str
    level: int
    check: Callable[[Context, Any], None]
    apply: Callable[[Context, Any], None]
    read: Callable[[Any], Any] = lambda body: body


RULES: dict[Op, Rule] = {
    Op.CREATE_ACCOUNT: Rule(
        "create_account_op",
        MEDIUM,
        operations.check_create_account,
        operations.create_account,
    ),
    Op.PAYMENT: Rule("payment_op", MEDIUM, payments.check_payment, payments.payment),
    Op.PATH_PAYMENT_STRICT_RECEIVE: Rule(
        "path_payment_strict_receive_op",
        MEDIUM,
        payments.check_strict_receive,
        payments.strict_receive,
    ),
    Op.PATH_PAYMENT_STRICT_SEND: Rule(
        "path_payment_strict_send_op",
        MEDIUM,
        payments.check_strict_send,
        payments.strict_send,
    ),
    Op.MANAGE_SELL_OFFER: Rule(
        "manage_sell_offer_op",
        MEDIUM,
        offers.check_offer,
        offers.manage_offer,
        offers.wanted_sell,
    ),
    Op.CREATE_PASSIVE_SELL_OFFER: Rule(
        "create_passive_sell_offer_op",
        MEDIUM,
        offers.check_offer,
        offers.manage_offer,
        offers.wanted_passive,
    ),
    Op.MANAGE_BUY_OFFER: Rule(
        "manage_buy_offer_op",
        MEDIUM,
        offers.check_offer,
        offers.manage_offer,
        offers.wanted_buy,
    ),
    Op.SET_OPTIONS: Rule(
        "set_options_op", MEDIUM, operations.check_set_options, operations.set_options
    ),
    Op.CHANGE_TRUST: Rule(
        "change_trust_op", MEDIUM, operations.check_change_trust, operations.change_trust
    ),
    Op.ALLOW_TRUST: Rule(
        "allow_trust_op", LOW, operations.check_allow_trust, operations.allow_trust
    ),
    Op.ACCOUNT_MERGE: Rule(
        "destination", HIGH, operations.check_account_merge, operations.account_merge
    ),
    Op.MANAGE_DATA: Rule(
        "manage_data_op", MEDIUM, operations.check_manage_data, operations.manage_data
    ),
    Op.BUMP_SEQUENCE: Rule(
        "bump_sequence_op", LOW, operations.check_bump_sequence, operations.bump_sequence
    ),
    Op.SET_TRUST_LINE_FLAGS: Rule(
        "set_trust_line_flags_op",
        LOW,
        operations.check_set_trust_line_flags,
        operations.set_trust_line_flags,
    ),
    Op.CLAWBACK: Rule("clawback_op", MEDIUM, operations.check_clawback, operations.clawback),
}


@dataclass(frozen=True)
class Moment:
    """The ledger a transaction would enter: its number and close time."""

    ledger: int
    time: int


@dataclass(frozen=True)
class Applied:
    """What a transaction did: its outcome, and each operation's effects and facts."""

    outcome: Outcome
    effects: list[list[dict[str, Any]]]
    facts: list[dict[str, Any]]


class Refused(Exception):
    """A transaction may not enter the ledger; carries the outcome to answer."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code.name)
        self.outcome = outcome


def operation_source(envelope: Envelope, operation: xdr.Operation) -> xdr.MuxedAccount:
    """Return the operation's own source, or the transaction's."""
    return operation.source_account or envelope.tx.source_account


def fee_of(envelope: Envelope) -> int:
    """Return the stroops a ledger takes: the base fee an operation, one more for a fee bump."""
    return BASE_FEE * (len(envelope.tx.operations) + (1 if envelope.bump else 0))


def check_transaction(
    envelope: Envelope, books: Books, moment: Moment, sequence: int | None = None
) -> None:
    """Raise ``Refused`` unless the transaction may enter the ledger of this moment.

    ``sequence`` is the source's number after what is already queued, if anything is.
    """
    if envelope.bump is not None:
        _check_bump(envelope, books)
    signatures = Signatures(envelope.inner_hash, envelope.signatures)
    source = _check_source(envelope, books, moment, sequence)
    signed = signatures.meets(source, LOW)
    for signer in envelope.conditions.extra_signers:
        signed = signatures.meets_signer(signer_address(signer)) and signed
    _require(signed, envelope, TxCode.txBAD_AUTH)
    if envelope.bump is None:
        _require(source.spendable >= envelope.max_fee, envelope, TxCode.txINSUFFICIENT_BALANCE)
    _check_operations(envelope, books, moment, signatures)
    _require(signatures.all_used(), envelope, TxCode.txBAD_AUTH_EXTRA)


def _require(condition: bool, envelope: Envelope, code: TxCode, outer: bool = False) -> None:
    if not condition:
        fee = fee_of(envelope)
        raise Refused(Outcome(code, (), fee, outer=code if outer else None))


def _check_bump(envelope: Envelope, books: Books) -> None:
    """Check the outer half: fee, fee source, its signatures and its balance."""
    bump = envelope.bump
    assert bump is not None
    count = max(len(envelope.tx.operations), 1)
    # The outer fee rate must not be below the inner one (compared without dividing).
    dear_enough = bump.fee * count >= envelope.inner_fee * (count + 1)
    _require(
        dear_enough and bump.fee >= BASE_FEE * (count + 1),
        envelope,
        TxCode.txINSUFFICIENT_FEE,
        outer=True,
    )
    payer = books.account(envelope.fee_source)
    if payer is None:
        raise Refused(Outcome(TxCode.txNO_ACCOUNT, (), fee_of(envelope), outer=TxCode.txNO_ACCOUNT))
    signatures = Signatures(bump.hash, bump.signatures)
    _require(signatures.meets(payer, LOW), envelope, TxCode.txBAD_AUTH, outer=True)
    _require(payer.spendable >= bump.fee, envelope, TxCode.txINSUFFICIENT_BALANCE, outer=True)
    _require(signatures.all_used(), envelope, TxCode.txBAD_AUTH_EXTRA, outer=True)


def _check_source(
    envelope: Envelope, books: Books, moment: Moment, sequence: int | None
) -> Account:
    """Check everything up to the source's sequence number, in stellar-core's order."""
    count = len(envelope.tx.operations)
    _require(count > 0, envelope, TxCode.txMISSING_OPERATION)
    _check_bounds(envelope, moment)
    if envelope.bump is None:
        _require(envelope.inner_fee >= BASE_FEE * count, envelope, TxCode.txINSUFFICIENT_FEE)
    source = books.account(envelope.source)
    if source is None:
        raise Refused(Outcome(TxCode.txNO_ACCOUNT, (), fee_of(envelope)))
    current = source.sequence if sequence is None else sequence
    conditions = envelope.conditions
    if conditions.min_sequence is None:
        good = envelope.sequence == current + 1
    else:
        good = conditions.min_sequence <= current < envelope.sequence
    # The first number of a ledger is kept for accounts that are created in it.
    _require(good and envelope.sequence != moment.ledger << 32, envelope, TxCode.txBAD_SEQ)
    ripe = (
        moment.time - source.sequence_time >= conditions.min_age
        and moment.ledger - source.sequence_ledger >= conditions.min_gap
    )
    _require(ripe, envelope, TxCode.txBAD_MIN_SEQ_AGE_OR_GAP)
    return source


def _check_bounds(envelope: Envelope, moment: Moment) -> None:
    conditions = envelope.conditions
    if conditions.times is not None:
        earliest, latest = conditions.times
        _require(moment.time >= earliest, envelope, TxCode.txTOO_EARLY)
        _require(not latest or moment.time <= latest, envelope, TxCode.txTOO_LATE)
    if conditions.ledgers is not None:
        lowest, highest = conditions.ledgers
        _require(moment.ledger >= lowest, envelope, TxCode.txTOO_EARLY)
        _require(not highest or moment.ledger < highest, envelope, TxCode.txTOO_LATE)


def _check_operations(
    envelope: Envelope, books: Books, moment: Moment, signatures: Signatures
) -> None:
    """Check each operation's signatures and form; one bad operation refuses them all."""
    codes: list[tuple[IntEnum, xdr.OperationResult]] = []
    failed = False
    draft = Draft(books)
    for operation in envelope.tx.operations:
        kind = operation.body.type
        code: IntEnum = OpCode.opINNER
        try:
            _check_operation(envelope, operation, draft, moment, signatures)
        except OperationFailed as error:
            code = error.code
            failed = True
        if code == OpCode.opINNER and isinstance(code, OpCode):
            code = success_code(kind)
            codes.append((code, _nominal(kind)))
        else:
            codes.append((code, operation_result(kind, code)))
    if failed:
        raise Refused(Outcome(TxCode.txFAILED, tuple(codes), fee_of(envelope)))


def _nominal(kind: Op) -> xdr.OperationResult:
    """Return a harmless result for an operation that was not to blame.

    A success of some kinds has a body that only applying can fill, so those say not-supported
    in XDR; the words in ``result_codes`` still say ``op_success``.
    """
    try:
        result = operation_result(kind, success_code(kind))
        result.to_xdr_bytes()
    except ValueError:
        return xdr.OperationResult(OpCode.opNOT_SUPPORTED)
    return result


def _check_operation(
    envelope: Envelope,
    operation: xdr.Operation,
    draft: Draft,
    moment: Moment,
    signatures: Signatures,
) -> None:
    source = unmux(operation_source(envelope, operation))
    account = draft.account(source)
    if account is None:
        # An earlier operation may yet create it, so only its own key can speak for it.
        signed = operation.source_account is not None and signatures.meets_key(source)
    else:
        signed = signatures.meets(account, _level(operation))
    if not signed:
        raise OperationFailed(OpCode.opBAD_AUTH)
    rule = RULES.get(operation.body.type)
    if rule is None:
        raise OperationFailed(OpCode.opNOT_SUPPORTED)
    context = Context(draft, operation.body.type, source, moment.ledger)
    rule.check(context, rule.read(getattr(operation.body, rule.arm)))


def _level(operation: xdr.Operation) -> int:
    options = operation.body.set_options_op
    if options is not None:
        sensitive = (
            options.master_weight,
            options.low_threshold,
            options.med_threshold,
            options.high_threshold,
            options.signer,
        )
        return HIGH if any(value is not None for value in sensitive) else MEDIUM
    rule = RULES.get(operation.body.type)
    return rule.level if rule else MEDIUM


def apply_transaction(envelope: Envelope, world: World, moment: Moment) -> Applied:
    """Charge and apply a transaction that ``check_transaction`` has let through."""
    fee = min(envelope.max_fee, fee_of(envelope))
    _charge(envelope, world, moment, fee)
    whole = Draft(world)
    codes: list[tuple[IntEnum, xdr.OperationResult]] = []
    contexts: list[Context] = []
    failed = False
    for operation in envelope.tx.operations:
        source = unmux(operation_source(envelope, operation))
        part = Draft(whole)
        context = Context(part, operation.body.type, source, moment.ledger)
        contexts.append(context)
        code, result = _apply_operation(context, operation)
        codes.append((code, result))
        if result.tr is not None and int(code) == 0:
            _stamp(part, moment)
            part.commit()
        else:
            failed = True
    if not failed:
        whole.commit()
    end = TxCode.txFAILED if failed else TxCode.txSUCCESS
    outcome = Outcome(end, tuple(codes), fee)
    if failed:
        return Applied(outcome, [[] for _ in contexts], [{} for _ in contexts])
    return Applied(outcome, [c.effects for c in contexts], [c.facts for c in contexts])


def _apply_operation(
    context: Context, operation: xdr.Operation
) -> tuple[IntEnum, xdr.OperationResult]:
    """Run one operation on its own draft, and answer its code and XDR."""
    rule = RULES[context.kind]
    try:
        if context.draft.account(context.source) is None:
            raise OperationFailed(OpCode.opNO_ACCOUNT)
        rule.apply(context, rule.read(getattr(operation.body, rule.arm)))
    except OperationFailed as error:
        return error.code, operation_result(context.kind, error.code, **error.fields)
    code = success_code(context.kind)
    return code, operation_result(context.kind, code, **context.result)


def _charge(envelope: Envelope, world: World, moment: Moment, fee: int) -> None:
    """Take the fee and the sequence number, and use up pre-authorised signers."""
    draft = Draft(world)
    payer = draft.change(envelope.fee_source)
    payer.balance -= fee
    draft.fee_pool += fee
    source = draft.change(envelope.source)
    source.sequence = envelope.sequence
    source.sequence_ledger, source.sequence_time = moment.ledger, moment.time
    used = StrKey.encode_pre_auth_tx(envelope.inner_hash)
    for account in {unmux(operation_source(envelope, op)) for op in envelope.tx.operations} | {
        envelope.source
    }:
        found = draft.account(account)
        if found is not None and used in found.signers:
            del draft.change(account).signers[used]
    _stamp(draft, moment)
    draft.commit()


def _stamp(draft: Draft, moment: Moment) -> None:
    for account in draft.accounts.values():
        if account is not None:
            account.modified = moment.ledger
