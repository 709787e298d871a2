"""Challenges: what a client may ask for, how one is built, and what proves it signed.

Pure: no database, no network, no settings. stellar-sdk builds and verifies the transaction.
Source: SEP-10 v3.4.1, "Challenge" and "Token".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stellar_sdk import IdMemo, Keypair, ManageData, MuxedAccount, TransactionEnvelope
from stellar_sdk.sep.ed25519_public_key_signer import Ed25519PublicKeySigner
from stellar_sdk.sep.exceptions import InvalidSep10ChallengeError
from stellar_sdk.sep.stellar_web_authentication import (
    build_challenge_transaction,
    read_challenge_transaction,
    verify_challenge_transaction_signed_by_client_master_key,
    verify_challenge_transaction_threshold,
)
from stellar_sdk.strkey import StrKey

from kernel.errors import BadRequest

# Three operations and the most signatures that an account can have come to about 3,200.
MAX_CHALLENGE_LENGTH = 8192
MAX_MEMO = 2**64 - 1
_MEMO = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
# A data entry's value holds 64 bytes, so a client domain has at most as many.
_DOMAIN = re.compile(r"(?=.{1,64}\Z)[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True)
class WebAuth:
    """The server's side of every challenge. The first of `home_domains` is the default."""

    server: Keypair
    web_auth_domain: str
    home_domains: tuple[str, ...]
    network_passphrase: str
    challenge_seconds: int


@dataclass(frozen=True)
class ClientDomain:
    """A domain that vouches for the client, and the SIGNING_KEY (G...) of its stellar.toml."""

    name: str
    signing_key: str


@dataclass(frozen=True)
class AccountSigners:
    """Who may sign for an account that exists: weight by public key (G...), as the ledger says."""

    medium_threshold: int
    weights: Mapping[str, int]


@dataclass(frozen=True)
class Challenge:
    """A challenge of ours that came back, its time not over.

    `account` is the client's G... address; `subject` the token's `sub`; `hash` the transaction's
    (hex), the same whoever signs; `expires_at` in Unix seconds.
    """

    xdr: str
    hash: str
    account: str
    subject: str
    home_domain: str
    client_domain: str | None
    expires_at: int


def parse_account(text: str) -> MuxedAccount:
    """Read `account`: G... or M.... Raises `BadRequest`."""
    if StrKey.is_valid_ed25519_public_key(text) or StrKey.is_valid_med25519_public_key(text):
        return MuxedAccount.from_account(text)
    raise BadRequest("account must be a Stellar account (G...) or a muxed account (M...)")


def parse_memo(text: str | None, account: MuxedAccount) -> int | None:
    """Read `memo`: an id, and only beside a G... account. Raises `BadRequest`."""
    if text is None:
        return None
    if account.account_muxed_id is not None:
        raise BadRequest("memo must not be given with a muxed account (M...), which holds an id")
    if not _MEMO.fullmatch(text) or int(text) > MAX_MEMO:
        raise BadRequest(f"memo must be of type id: a whole number from 0 to {MAX_MEMO}")
    return int(text)


def parse_home_domain(text: str | None, web_auth: WebAuth) -> str:
    """Read `home_domain`, which must be one that we serve. Raises `BadRequest`."""
    if text is None:
        return web_auth.home_domains[0]
    if text not in web_auth.home_domains:
        raise BadRequest(f"home_domain must be one of: {', '.join(web_auth.home_domains)}")
    return text


def parse_client_domain(text: str | None) -> str | None:
    """Read `client_domain`: a bare host name. Raises `BadRequest`."""
    if text is None:
        return None
    if not _DOMAIN.fullmatch(text.lower()):
        raise BadRequest(
            "client_domain must be a domain of at most 64 characters, for example wallet.com"
        )
    return text.lower()


def build_challenge(
    web_auth: WebAuth,
    *,
    account: MuxedAccount,
    memo: int | None,
    home_domain: str,
    client_domain: ClientDomain | None,
) -> str:
    """A new challenge, signed by the server, as base64 XDR (SEP-10, "Challenge", Response)."""
    xdr = build_challenge_transaction(
        server_secret=web_auth.server.secret,
        client_account_id=account.universal_account_id,
        home_domain=home_domain,
        web_auth_domain=web_auth.web_auth_domain,
        network_passphrase=web_auth.network_passphrase,
        timeout=web_auth.challenge_seconds,
        client_domain=client_domain.name if client_domain else None,
        client_signing_key=client_domain.signing_key if client_domain else None,
        memo=memo,
    )
    if memo != 0:
        return xdr
    # stellar-sdk takes memo 0 for no memo, and would authenticate another user than was asked.
    envelope = TransactionEnvelope.from_xdr(xdr, web_auth.network_passphrase)
    envelope.transaction.memo = IdMemo(0)
    envelope.signatures.clear()
    envelope.sign(web_auth.server)
    return envelope.to_xdr()


def read_challenge(web_auth: WebAuth, xdr: str) -> Challenge:
    """Check that `xdr` is a challenge of ours, unchanged and in time. Raises `BadRequest`.

    Whether the client signed it is for `verify_signatures`.
    """
    try:
        parsed = read_challenge_transaction(
            xdr,
            web_auth.server.public_key,
            web_auth.home_domains,
            web_auth.web_auth_domain,
            web_auth.network_passphrase,
        )
    except InvalidSep10ChallengeError as error:
        raise BadRequest(f"transaction is not a valid challenge: {error}") from error
    except Exception as error:
        # Bytes from strangers: the XDR decoder raises whatever it trips over.
        raise BadRequest(
            "transaction must be the base64 XDR of a challenge that this server gave"
        ) from error
    transaction = parsed.transaction.transaction
    assert transaction.preconditions is not None
    assert transaction.preconditions.time_bounds is not None
    subject = parsed.client_account_id
    if parsed.memo is not None:
        subject = f"{subject}:{parsed.memo}"
    return Challenge(
        xdr=xdr,
        hash=parsed.transaction.hash_hex(),
        account=MuxedAccount.from_account(parsed.client_account_id).account_id,
        subject=subject,
        home_domain=parsed.matched_home_domain,
        client_domain=_client_domain_of(parsed.transaction),
        expires_at=transaction.preconditions.time_bounds.max_time,
    )


def _client_domain_of(envelope: TransactionEnvelope) -> str | None:
    for operation in envelope.transaction.operations:
        if (
            isinstance(operation, ManageData)
            and operation.data_name == "client_domain"
            and operation.data_value is not None
        ):
            return operation.data_value.decode()
    return None


def verify_signatures(
    web_auth: WebAuth, challenge: Challenge, signers: AccountSigners | None
) -> None:
    """Check that the client signed, and nobody else. Raises `BadRequest`.

    The medium threshold, since a token lets its bearer say where money goes (SEP-10, "Verifying
    Authority to Move Funds"). The server's key never counts. `signers` is None for an account
    that does not exist: the signature of its master key alone decides. The client domain's
    signature is required if the challenge names one.
    """
    terms = (
        challenge.xdr,
        web_auth.server.public_key,
        web_auth.home_domains,
        web_auth.web_auth_domain,
        web_auth.network_passphrase,
    )
    try:
        if signers is None:
            verify_challenge_transaction_signed_by_client_master_key(*terms)
            return
        # A weight of 0 is a signer that was switched off.
        weighed = [
            Ed25519PublicKeySigner(key, weight)
            for key, weight in signers.weights.items()
            if weight > 0 and key != web_auth.server.public_key
        ]
        verify_challenge_transaction_threshold(*terms, signers.medium_threshold, weighed)
    except InvalidSep10ChallengeError as error:
        raise BadRequest(f"transaction is not signed as required: {error}") from error
