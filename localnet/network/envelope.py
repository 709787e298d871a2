"""A submitted transaction, read once: hashes, signatures, source, fee, conditions, operations."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property

from stellar_sdk import xdr

from .assets import unmux

_ENVELOPE_TX = (2).to_bytes(4, "big")
_ENVELOPE_FEE_BUMP = (5).to_bytes(4, "big")
_KEY_ED25519 = (0).to_bytes(4, "big")


class Malformed(Exception):
    """The text is not the base64 of a transaction envelope."""


@dataclass(frozen=True)
class Conditions:
    """Preconditions of a transaction; an absent bound is None or zero."""

    times: tuple[int, int] | None = None
    ledgers: tuple[int, int] | None = None
    min_sequence: int | None = None
    min_age: int = 0
    min_gap: int = 0
    extra_signers: tuple[xdr.SignerKey, ...] = ()


@dataclass(frozen=True)
class FeeBump:
    """The outer half of a fee bump."""

    hash: bytes
    source: xdr.MuxedAccount
    fee: int
    signatures: list[xdr.DecoratedSignature]


@dataclass(frozen=True)
class Envelope:
    """One transaction, with its fee bump if it has one."""

    raw: str
    inner_hash: bytes
    tx: xdr.Transaction
    signatures: list[xdr.DecoratedSignature]
    bump: FeeBump | None

    @property
    def hash(self) -> bytes:
        """The hash the envelope is known by: the outer one of a fee bump."""
        return self.bump.hash if self.bump else self.inner_hash

    @cached_property
    def source(self) -> str:
        """The account whose sequence number is used."""
        return unmux(self.tx.source_account)

    @cached_property
    def fee_source(self) -> str:
        """The account that pays the fee."""
        return unmux(self.bump.source) if self.bump else self.source

    @property
    def sequence(self) -> int:
        """The sequence number the transaction uses."""
        return self.tx.seq_num.sequence_number.int64

    @property
    def inner_fee(self) -> int:
        """The most the transaction itself offers, in stroops."""
        return self.tx.fee.uint32

    @property
    def max_fee(self) -> int:
        """The most the fee source offers, in stroops."""
        return self.bump.fee if self.bump else self.inner_fee

    @cached_property
    def conditions(self) -> Conditions:
        """The preconditions in one shape, whatever form they came in."""
        return _conditions(self.tx.cond)


def _conditions(cond: xdr.Preconditions) -> Conditions:
    if cond.time_bounds is not None:
        return Conditions(times=_times(cond.time_bounds))
    if cond.v2 is None:
        return Conditions()
    v2 = cond.v2
    ledgers = v2.ledger_bounds
    return Conditions(
        times=_times(v2.time_bounds) if v2.time_bounds else None,
        ledgers=(ledgers.min_ledger.uint32, ledgers.max_ledger.uint32) if ledgers else None,
        min_sequence=v2.min_seq_num.sequence_number.int64 if v2.min_seq_num else None,
        min_age=v2.min_seq_age.duration.uint64,
        min_gap=v2.min_seq_ledger_gap.uint32,
        extra_signers=tuple(v2.extra_signers),
    )


def _times(bounds: xdr.TimeBounds) -> tuple[int, int]:
    return bounds.min_time.time_point.uint64, bounds.max_time.time_point.uint64


def read_envelope(text: str, network: bytes) -> Envelope:
    """Read base64 XDR into an envelope of the network with this id; raises ``Malformed``."""
    try:
        raw = base64.b64decode(text, validate=True)
        parsed = xdr.TransactionEnvelope.from_xdr_bytes(raw)
    except Exception as error:  # hostile bytes raise whatever the XDR reader meets
        raise Malformed from error
    text = base64.b64encode(raw).decode()
    if parsed.fee_bump is not None:
        return _read_bump(text, network, parsed.fee_bump)
    if parsed.v1 is not None:
        body = _body(raw, parsed.v1.signatures)
        return _plain(text, network, body, parsed.v1.tx, parsed.v1.signatures)
    if parsed.v0 is not None:
        # The old form differs only in that the source has no key type in front.
        body = _KEY_ED25519 + _body(raw, parsed.v0.signatures)
        tx = xdr.Transaction.from_xdr_bytes(body)
        return _plain(text, network, body, tx, parsed.v0.signatures)
    raise Malformed


def _body(raw: bytes, signatures: list[xdr.DecoratedSignature]) -> bytes:
    """Cut the envelope's type and its signatures away, which leaves what was signed."""
    tail = 4 + sum(8 + -(-len(each.signature.signature) // 4) * 4 for each in signatures)
    return raw[4 : len(raw) - tail]


def _plain(
    text: str,
    network: bytes,
    body: bytes,
    tx: xdr.Transaction,
    signatures: list[xdr.DecoratedSignature],
) -> Envelope:
    digest = hashlib.sha256(network + _ENVELOPE_TX + body).digest()
    return Envelope(text, digest, tx, signatures, None)


def _read_bump(text: str, network: bytes, outer: xdr.FeeBumpTransactionEnvelope) -> Envelope:
    inner = outer.tx.inner_tx.v1
    if inner is None:
        raise Malformed
    outer_body = outer.tx.to_xdr_bytes()
    bump = FeeBump(
        hash=hashlib.sha256(network + _ENVELOPE_FEE_BUMP + outer_body).digest(),
        source=outer.tx.fee_source,
        fee=outer.tx.fee.int64,
        signatures=outer.signatures,
    )
    digest = hashlib.sha256(network + _ENVELOPE_TX + inner.tx.to_xdr_bytes()).digest()
    return Envelope(text, digest, inner.tx, inner.signatures, bump)
