"""A sending anchor that uses Landfall as strangers do: over HTTP and Stellar, nothing else.

It imports nothing of the anchor's, so what it does is an example for people who integrate.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stellar_sdk import Asset, HashMemo, IdMemo, Keypair, Memo, Server, TextMemo, TransactionBuilder
from stellar_sdk.exceptions import BaseRequestError
from stellar_sdk.exceptions import ConnectionError as HorizonUnreachable
from stellar_sdk.sep.stellar_toml import fetch_stellar_toml
from stellar_sdk.sep.stellar_web_authentication import read_challenge_transaction
from urllib3.exceptions import NewConnectionError

FINAL_STATUSES = {"completed", "refunded", "expired", "error"}
Answer = TypeVar("Answer")
_TIMEOUT = (3, 30)
_BASE_FEE = 10_000
# What we pay more at most than the path search promised.
_SLIPPAGE = Decimal("1.01")


class Unexpected(Exception):
    """The anchor answered otherwise than its protocol says; the message is for people."""


class AnswerLost(Unexpected):
    """A POST was sent and its answer got lost: whether the anchor did it, nobody here knows."""


@dataclass(frozen=True)
class PaidTransaction:
    """A path payment that we made."""

    hash: str
    send_asset: Asset
    send_max: Decimal


class SendingAnchor:
    """One sending anchor with one Stellar account. Safe to use from several threads."""

    def __init__(
        self, home_domain: str, keypair: Keypair, *, horizon_url: str, patience: float = 60.0
    ) -> None:
        """`home_domain` is all we were told. For `patience` seconds we try an unreachable anchor
        again."""
        self.home_domain = home_domain
        self.keypair = keypair
        self.horizon = Server(horizon_url)
        self._patience = patience
        self._token = ""
        self._account_lock = threading.Lock()  # one sequence number, one payment at a time
        self.toml: dict[str, Any] = {}

    # -- SEP-1 and SEP-10 ---------------------------------------------------------------------

    def discover(self) -> None:
        """Read the anchor's stellar.toml (SEP-1)."""
        self.toml = dict(fetch_stellar_toml(self.home_domain, use_http=True))
        for name in (
            *("SIGNING_KEY", "NETWORK_PASSPHRASE", "WEB_AUTH_ENDPOINT", "KYC_SERVER"),
            *("DIRECT_PAYMENT_SERVER", "ANCHOR_QUOTE_SERVER"),
        ):
            if name not in self.toml:
                raise Unexpected(f"stellar.toml has no {name}")

    def authenticate(self) -> None:
        """Get a token for our account (SEP-10)."""
        endpoint = self.toml["WEB_AUTH_ENDPOINT"]
        passphrase = self.toml["NETWORK_PASSPHRASE"]
        parameters = {"account": self.keypair.public_key, "home_domain": self.home_domain}
        # Not the token of an earlier session, which is of no use here.
        proof = make_authorization(self.keypair, endpoint, parameters)
        answer = self._call("GET", endpoint, params=parameters, bearer=proof)
        challenge = read_challenge_transaction(
            answer["transaction"],
            server_account_id=self.toml["SIGNING_KEY"],
            home_domains=self.home_domain,
            web_auth_domain=urlsplit(endpoint).netloc,
            network_passphrase=passphrase,
        )
        challenge.transaction.sign(self.keypair)
        signed = challenge.transaction.to_xdr()
        self._token = self._call("POST", endpoint, json={"transaction": signed})["token"]

    # -- SEP-31's information, SEP-38's prices, SEP-12's customers ----------------------------

    def info(self) -> dict[str, Any]:
        """What the anchor receives (SEP-31, GET /info): `{code: description}`."""
        receive: dict[str, Any] = self._call("GET", f"{self._payments}/info")["receive"]
        return receive

    def firm_quote(
        self, sell_asset: str, buy_asset: str, sell_amount: str, *, delivery_method: str
    ) -> dict[str, Any]:
        """A firm quote (SEP-38, POST /quote); assets as SEP-38 names them."""
        return self._call(
            "POST",
            f"{self.toml['ANCHOR_QUOTE_SERVER']}/quote",
            json={
                "context": "sep31",
                "sell_asset": sell_asset,
                "buy_asset": buy_asset,
                "sell_amount": sell_amount,
                "buy_delivery_method": delivery_method,
            },
        )

    def put_customer(self, **fields: str) -> str:
        """Register or change a client (SEP-12, PUT /customer); its id."""
        answer = self._call("PUT", f"{self.toml['KYC_SERVER']}/customer", json=fields)
        return str(answer["id"])

    def send_document(self, customer_id: str, field: str, document: bytes, kind: str) -> None:
        """Add a file to a client (SEP-12, PUT /customer as multipart/form-data)."""
        self._call(
            "PUT",
            f"{self.toml['KYC_SERVER']}/customer",
            data={"id": customer_id},
            files={field: (field, document, kind)},
        )

    def get_customer(self, **query: str) -> dict[str, Any]:
        """What the anchor knows and wants to know of a client (SEP-12, GET /customer)."""
        return self._call("GET", f"{self.toml['KYC_SERVER']}/customer", params=query)

    # -- SEP-31's transactions ----------------------------------------------------------------

    def post_transaction(self, **fields: str) -> str:
        """Start a payment (SEP-31, POST /transactions); its id."""
        answer = self._call("POST", f"{self._payments}/transactions", json=fields)
        return str(answer["id"])

    def put_callback(self, transaction_id: str, url: str) -> None:
        """Ask for callbacks (SEP-31, PUT /transactions/:id/callback)."""
        self._call(
            "PUT", f"{self._payments}/transactions/{transaction_id}/callback", json={"url": url}
        )

    def get_transaction(self, transaction_id: str) -> dict[str, Any]:
        """How a payment stands (SEP-31, GET /transactions/:id)."""
        answer = self._call("GET", f"{self._payments}/transactions/{transaction_id}")
        transaction: dict[str, Any] = answer["transaction"]
        return transaction

    # -- Stellar ------------------------------------------------------------------------------

    def pay(
        self, transaction: dict[str, Any], *, send_asset: Asset, dest_asset: Asset
    ) -> PaidTransaction:
        """Pay what a `pending_sender` transaction asks for, by a strict-receive path payment."""
        amount = Decimal(transaction["amount_in"])
        found = self._ask_horizon(
            self.horizon.strict_receive_paths([send_asset], dest_asset, amount).call
        )
        paths = found["_embedded"]["records"]
        if not paths:
            raise Unexpected(f"no path leads from {send_asset.code} to {dest_asset.code}")
        best = min(paths, key=lambda path: Decimal(path["source_amount"]))
        send_max = (Decimal(best["source_amount"]) * _SLIPPAGE).quantize(Decimal("1e-7"))
        with self._account_lock:
            source = self._ask_horizon(lambda: self.horizon.load_account(self.keypair.public_key))
            envelope = (
                TransactionBuilder(source, self.toml["NETWORK_PASSPHRASE"], base_fee=_BASE_FEE)
                .append_path_payment_strict_receive_op(
                    destination=transaction["stellar_account_id"],
                    send_asset=send_asset,
                    send_max=send_max,
                    dest_asset=dest_asset,
                    dest_amount=amount,
                    path=[_read_asset(step) for step in best["path"]],
                )
                .add_memo(make_memo(transaction["stellar_memo_type"], transaction["stellar_memo"]))
                .set_timeout(120)
                .build()
            )
            envelope.sign(self.keypair)
            # A known transaction may be submitted again, so a lost answer does no harm.
            self._ask_horizon(lambda: self.horizon.submit_transaction(envelope))
        return PaidTransaction(envelope.hash_hex(), send_asset, send_max)

    def _ask_horizon(self, call: Callable[[], Answer]) -> Answer:
        """Ask Horizon, and ask again while it does not answer or says that it can't now."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return call()
            except HorizonUnreachable:
                if time.monotonic() > deadline:
                    raise
            except BaseRequestError as error:
                if getattr(error, "status", 0) < 500 or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def ledger_payments(self, transaction_hash: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A transaction and its payment operations, as the ledger has them."""
        transaction = self._ask_horizon(
            self.horizon.transactions().transaction(transaction_hash).call
        )
        found = self._ask_horizon(self.horizon.payments().for_transaction(transaction_hash).call)
        return transaction, found["_embedded"]["records"]

    # -- HTTP ---------------------------------------------------------------------------------

    @property
    def _payments(self) -> str:
        return str(self.toml["DIRECT_PAYMENT_SERVER"])

    def _call(self, method: str, url: str, *, bearer: str = "", **arguments: Any) -> dict[str, Any]:
        """Call the anchor; its JSON, `{}` for 204. Raises `Unexpected`; `AnswerLost` for a POST,
        since all else may simply be sent again."""
        token = bearer or self._token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        deadline = time.monotonic() + self._patience
        while True:
            try:
                response = requests.request(
                    method, url, headers=headers, timeout=_TIMEOUT, **arguments
                )
            except requests.RequestException as error:
                if method == "POST" and not _was_never_sent(error):
                    raise AnswerLost(f"{method} {url}: {error}") from error
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
                continue
            is_broken = response.status_code >= 500
            if not is_broken or method == "POST" or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        path = urlsplit(url).path
        if not response.ok:
            # It may have broken before or after it did what we asked for.
            is_lost = method == "POST" and is_broken
            raise (AnswerLost if is_lost else Unexpected)(
                f"{method} {path} answered {response.status_code}: {response.text[:300]}"
            )
        if response.status_code == 204:
            return {}
        document: dict[str, Any] = response.json()
        return document


def make_authorization(keypair: Keypair, endpoint: str, parameters: dict[str, str]) -> str:
    """The JWT with which a request for a challenge shows that it is ours (SEP-10, "Challenge",
    Request Header)."""
    now = int(time.time())
    claims = {"iat": now, "exp": now + 300, "web_auth_endpoint": endpoint, **parameters}
    key = Ed25519PrivateKey.from_private_bytes(keypair.raw_secret_key())
    return jwt.encode(claims, key, algorithm="EdDSA")


def _was_never_sent(error: requests.RequestException) -> bool:
    """Whether not even a connection came about."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def make_memo(memo_type: str, memo: str) -> Memo:
    """The memo that SEP-31's `stellar_memo_type` and `stellar_memo` describe."""
    if memo_type == "id":
        return IdMemo(int(memo))
    if memo_type == "text":
        return TextMemo(memo)
    if memo_type == "hash":
        return HashMemo(base64.b64decode(memo))
    raise Unexpected(f"unknown stellar_memo_type {memo_type!r}")


def _read_asset(step: dict[str, str]) -> Asset:
    if step["asset_type"] == "native":
        return Asset.native()
    return Asset(step["asset_code"], step["asset_issuer"])
