"""Challenges: what a client may ask for, and how one is built.

Pure: no database, no network, no settings. stellar-sdk's own function would make and pack the
transaction four times over, and take a memo of 0 for none.
Source: SEP-10 v3.4.1, "Challenge".
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache

from stellar_sdk import Keypair, MuxedAccount, Network, xdr
from xdrlib3 import Packer

from kernel.errors import BadRequest

MAX_MEMO = 2**64 - 1
_FEE = 100  # stroops an operation, which nobody will ever pay
_MEMO = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
# What the name and the value of a data entry hold each, and so a domain at most.
MAX_DATA_BYTES = 64
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


# A sending anchor has one account, and to decode it anew takes as long as to sign a challenge.
@lru_cache(maxsize=1024)
def parse_account(text: str) -> MuxedAccount:
    """Read `account`: G... or M.... Raises `BadRequest`."""
    try:
        return MuxedAccount.from_account(text)
    except ValueError as error:
        raise BadRequest(
            "account must be a Stellar account (G...) or a muxed account (M...)"
        ) from error


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


def is_domain(text: str) -> bool:
    """Whether `text` is a bare host name, perhaps with a port, that a data entry can hold."""
    return _DOMAIN.fullmatch(text) is not None


def parse_client_domain(text: str | None) -> str | None:
    """Read `client_domain`: a bare host name. Raises `BadRequest`."""
    if text is None:
        return None
    if not is_domain(text.lower()):
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
    server = web_auth.server.xdr_muxed_account()
    nonce = base64.b64encode(secrets.token_bytes(48))
    operations = [
        _manage_data(_source(account.universal_account_id), f"{home_domain} auth", nonce),
        _manage_data(server, "web_auth_domain", web_auth.web_auth_domain.encode()),
    ]
    if client_domain is not None:
        source = _source(client_domain.signing_key)
        operations.append(_manage_data(source, "client_domain", client_domain.name.encode()))
    now = int(time.time())
    transaction = xdr.Transaction(
        source_account=server,
        fee=xdr.Uint32(_FEE * len(operations)),
        seq_num=xdr.SequenceNumber(xdr.Int64(0)),
        cond=xdr.Preconditions(
            xdr.PreconditionType.PRECOND_TIME,
            time_bounds=xdr.TimeBounds(
                min_time=_time_point(now),  # SDF's tests want it not backdated
                max_time=_time_point(now + web_auth.challenge_seconds),
            ),
        ),
        memo=_memo(memo),
        operations=operations,
        ext=xdr.TransactionExt(0),
    )
    packer = Packer()
    xdr.EnvelopeType.ENVELOPE_TYPE_TX.pack(packer)
    transaction.pack(packer)
    signed = web_auth.server.sign_decorated(hash_tagged(packer.get_buffer(), web_auth))
    packer.pack_uint(1)  # signatures follow
    signed.to_xdr_object().pack(packer)
    return base64.b64encode(packer.get_buffer()).decode()


def hash_tagged(tagged: bytes, web_auth: WebAuth) -> bytes:
    """What is signed of a transaction: the hash of its XDR after its type's, on this network."""
    network = Network(web_auth.network_passphrase).network_id()
    return hashlib.sha256(network + tagged).digest()


@lru_cache(maxsize=1024)
def _source(account: str) -> xdr.MuxedAccount:
    return MuxedAccount.from_account(account).to_xdr_object()


def _manage_data(source: xdr.MuxedAccount, name: str, value: bytes) -> xdr.Operation:
    return xdr.Operation(
        source_account=source,
        body=xdr.OperationBody(
            type=xdr.OperationType.MANAGE_DATA,
            manage_data_op=xdr.ManageDataOp(
                data_name=xdr.String64(name.encode()), data_value=xdr.DataValue(value)
            ),
        ),
    )


def _time_point(seconds: int) -> xdr.TimePoint:
    return xdr.TimePoint(xdr.Uint64(seconds))


def _memo(memo: int | None) -> xdr.Memo:
    if memo is None:
        return xdr.Memo(xdr.MemoType.MEMO_NONE)
    return xdr.Memo(xdr.MemoType.MEMO_ID, id=xdr.Uint64(memo))
