"""Challenges that come back: whether they are ours, and what proves that the client signed.

Pure: no database, no network, no settings. stellar-sdk's own functions would read the same XDR five
times and verify the server's signature three times. Here each is done once; the tests hold the
verdicts to those of the SDK. Source: SEP-10 v3.4.1, "Token" and "Verification".
"""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stellar_sdk import Keypair, MuxedAccount, TransactionEnvelope, xdr
from stellar_sdk.exceptions import BadSignatureError
from xdrlib3 import Packer

from kernel.errors import BadRequest
from sep10.challenge import ClientDomain, WebAuth, hash_tagged

# Three operations and the most signatures that a transaction can have come to about 3,200.
MAX_CHALLENGE_LENGTH = 8192
# Our servers' clocks differ.
GRACE_SECONDS = 300
_NONCE_BYTES = 48


@dataclass(frozen=True)
class AccountSigners:
    """Who may sign for an account that exists: weight by public key (G...), as the ledger says,
    and the weight that those who signed must come to."""

    threshold: int
    weights: Mapping[str, int]


@dataclass(frozen=True)
class SignedChallenge:
    """A challenge of ours that came back, its time not over.

    `account` is the client's G... address; `subject` the token's `sub`; `hash` the transaction's,
    the same whoever signs; `signatures` those beside the server's, verified by nobody yet;
    `expires_at` in Unix seconds.
    """

    hash: bytes
    signatures: tuple[xdr.DecoratedSignature, ...]
    account: str
    subject: str
    home_domain: str
    client_domain: ClientDomain | None
    expires_at: int


class _Refused(Exception):
    """The message says which of SEP-10's checks failed."""


# -- Is it ours? ------------------------------------------------------------------------------


def read_challenge(web_auth: WebAuth, text: str) -> SignedChallenge:
    """Check that `text` is a challenge of ours as base64 XDR, unchanged and in time.

    Whether the client signed it is for `verify_signatures`. Raises `BadRequest`.
    """
    try:
        transaction, signatures = _decode(text)
    except Exception as error:
        # Bytes from strangers: the XDR decoder raises whatever it trips over.
        raise BadRequest(
            "transaction must be the base64 XDR of a challenge that this server gave"
        ) from error
    try:
        return _check(web_auth, transaction, signatures)
    except _Refused as error:
        raise BadRequest(f"transaction is not a valid challenge: {error}") from error


def _decode(text: str) -> tuple[xdr.Transaction, Sequence[xdr.DecoratedSignature]]:
    envelope = xdr.TransactionEnvelope.from_xdr(text)
    if envelope.v0 is not None:
        # What is signed is the same, however a client wrote it down again.
        old = TransactionEnvelope.from_xdr_object(envelope, "")
        envelope = old.to_transaction_envelope_v1().to_xdr_object()
    if envelope.v1 is None:
        raise ValueError("a fee bump is no challenge")
    return envelope.v1.tx, envelope.v1.signatures


def _check(
    web_auth: WebAuth, transaction: xdr.Transaction, signatures: Sequence[xdr.DecoratedSignature]
) -> SignedChallenge:
    server = web_auth.server.xdr_muxed_account()
    if transaction.source_account != server:
        raise _Refused("its source account is not the server's")
    if transaction.seq_num.sequence_number.int64 != 0:
        raise _Refused("its sequence number is not 0")
    expires_at = _check_time(transaction.cond.time_bounds)
    if not transaction.operations:
        raise _Refused("it has no operation")
    client, home_domain = _check_first(web_auth, transaction.operations[0])
    domain = _check_others(web_auth, transaction.operations[1:])
    subject = client.account_muxed or client.account_id
    if transaction.memo.type == xdr.MemoType.MEMO_ID and client.account_muxed is None:
        assert transaction.memo.id is not None
        subject = f"{subject}:{transaction.memo.id.uint64}"
    elif transaction.memo.type != xdr.MemoType.MEMO_NONE:
        raise _Refused("its memo is not of type id, or stands beside a muxed account")
    digest = _hash(web_auth, transaction)
    return SignedChallenge(
        hash=digest,
        signatures=_without_the_servers(web_auth, digest, signatures),
        account=client.account_id,
        subject=subject,
        home_domain=home_domain,
        client_domain=domain,
        expires_at=expires_at,
    )


def _check_time(bounds: xdr.TimeBounds | None) -> int:
    """When its time is over, in Unix seconds."""
    if bounds is None:
        raise _Refused("it has no time bounds")
    start, end = bounds.min_time.time_point.uint64, bounds.max_time.time_point.uint64
    if not start - GRACE_SECONDS <= time.time() <= end:
        raise _Refused("its time is over; ask for a new one")
    return end


def _check_first(web_auth: WebAuth, operation: xdr.Operation) -> tuple[MuxedAccount, str]:
    """The client's account and the home domain."""
    name, value = _read_data(operation)
    if operation.source_account is None:
        raise _Refused("its first operation has no source account")
    home_domain = next((d for d in web_auth.home_domains if name == f"{d} auth".encode()), None)
    if home_domain is None:
        raise _Refused("its first operation does not name a home domain of ours")
    try:
        nonce = base64.b64decode(value)
    except ValueError:
        nonce = b""
    if len(nonce) != _NONCE_BYTES:
        raise _Refused("its nonce is not 48 bytes in base64")
    return MuxedAccount.from_xdr_object(operation.source_account), home_domain


def _check_others(web_auth: WebAuth, operations: Sequence[xdr.Operation]) -> ClientDomain | None:
    """The client domain, if the operations after the first name one."""
    server = web_auth.server.xdr_muxed_account()
    found: ClientDomain | None = None
    for operation in operations:
        name, value = _read_data(operation)
        if name == b"client_domain":
            if operation.source_account in (None, server) or found is not None:
                raise _Refused("its client_domain operation is not one that we made")
            assert operation.source_account is not None
            source = MuxedAccount.from_xdr_object(operation.source_account)
            found = ClientDomain(value.decode(), source.account_id)
        elif operation.source_account != server:
            raise _Refused("it has operations that are none of ours")
        elif name == b"web_auth_domain" and value != web_auth.web_auth_domain.encode():
            raise _Refused("its web_auth_domain is not ours")
    return found


def _read_data(operation: xdr.Operation) -> tuple[bytes, bytes]:
    """Name and value that a Manage Data operation sets."""
    data = operation.body.manage_data_op
    if data is None or data.data_value is None:
        raise _Refused("its operations must be Manage Data, each with a value")
    return data.data_name.string64, data.data_value.data_value


def _hash(web_auth: WebAuth, transaction: xdr.Transaction) -> bytes:
    packer = Packer()
    xdr.EnvelopeType.ENVELOPE_TYPE_TX.pack(packer)
    transaction.pack(packer)
    return hash_tagged(packer.get_buffer(), web_auth)


def _without_the_servers(
    web_auth: WebAuth, digest: bytes, signatures: Sequence[xdr.DecoratedSignature]
) -> tuple[xdr.DecoratedSignature, ...]:
    for index, signature in enumerate(signatures):
        if _signed(web_auth.server, digest, signature):
            return (*signatures[:index], *signatures[index + 1 :])
    raise _Refused("it is not signed by server, or was changed after that")


def _signed(keypair: Keypair, digest: bytes, signature: xdr.DecoratedSignature) -> bool:
    if signature.hint.signature_hint != keypair.raw_public_key()[-4:]:
        return False
    try:
        keypair.verify(digest, signature.signature.signature)
    except BadSignatureError:
        return False
    return True


# -- Who signed it? ---------------------------------------------------------------------------


def verify_signatures(
    web_auth: WebAuth, challenge: SignedChallenge, signers: AccountSigners | None
) -> None:
    """Check that the client signed, and nobody else. Raises `BadRequest`.

    `signers` is None for an account that does not exist: the signature of its master key alone
    decides. The server's key never counts for the client. Neither does the client domain's, which
    must have signed if the challenge names one.
    """
    domain = challenge.client_domain
    if signers is None:
        signers = AccountSigners(1, {challenge.account: 1})
    # A weight of 0 is a signer that was switched off.
    may_sign = Counter(key for key, weight in signers.weights.items() if weight > 0)
    may_sign.pop(web_auth.server.public_key, None)
    if domain is not None:
        may_sign[domain.signing_key] += 1
    signed = Counter(_keys_that_signed(challenge, may_sign))
    if domain is not None and domain.signing_key not in signed:
        raise _not_signed("not by the SIGNING_KEY of its client_domain")
    clients = signed.keys() - ({domain.signing_key} if domain else set())
    if not clients:
        raise _not_signed("not by any signer of the account")
    if signed.total() != len(challenge.signatures):
        raise _not_signed("it has unrecognized signatures")
    weight = sum(signers.weights[key] for key in clients)
    if weight < signers.threshold:
        raise _not_signed(
            f"the weight of those who signed is {weight}, below the threshold of "
            f"{signers.threshold}"
        )


def _keys_that_signed(challenge: SignedChallenge, may_sign: Counter[str]) -> Iterator[str]:
    """The key behind each signature, if it is one of `may_sign`, as often as it may."""
    left = Counter(may_sign)
    keypairs = {key: Keypair.from_public_key(key) for key in left}
    for signature in challenge.signatures:
        for key, keypair in keypairs.items():
            if left[key] and _signed(keypair, challenge.hash, signature):
                left[key] -= 1
                yield key
                break


def _not_signed(why: str) -> BadRequest:
    return BadRequest(f"transaction is not signed as required: {why}")
