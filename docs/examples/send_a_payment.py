"""Send one payment through a Landfall anchor, which pays it out in Mexican pesos.

With ANCHOR (https://...), HORIZON, the SECRET of your account, which must be registered with the
anchor, and what it pays with in SEND_ASSET (CODE:ISSUER) in the environment:

    pip install requests stellar-sdk
    python send_a_payment.py

Prints each status, and at the end the transaction as JSON. docs/sending-anchors.md explains each
step, and how to try it on the demo.
"""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests
from stellar_sdk import Asset, HashMemo, IdMemo, Keypair, Server, TextMemo, TransactionBuilder
from stellar_sdk.sep.stellar_toml import fetch_stellar_toml
from stellar_sdk.sep.stellar_web_authentication import read_challenge_transaction

AMOUNT = "100"
SELL = "USDC"
BUY = "iso4217:MXN"
METHOD = "bank_account"
SENDER = {"type": "sep31-sender", "first_name": "Amara", "last_name": "Okafor"}
RECEIVER = {
    "type": "sep31-receiver",
    "first_name": "Lucía",
    "last_name": "Hernández",
    "bank_account_number": "5500010001",
    "bank_number": "012",
}
TRIES = 5


def call(method: str, url: str, token: str = "", **arguments: Any) -> dict[str, Any]:
    """Ask the anchor, and ask again while it can't answer; its JSON. Ends the program otherwise."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= arguments.pop("headers", {})
    for left in reversed(range(TRIES)):
        try:
            response = requests.request(method, url, headers=headers, timeout=30, **arguments)
        except (requests.ConnectionError, requests.Timeout):
            if not left:
                raise
            time.sleep(1)
            continue
        if response.status_code not in (429, 503) or not left:
            break
        time.sleep(int(response.headers.get("Retry-After", "5")))
    if not response.ok:
        raise SystemExit(f"{method} {url} answered {response.status_code}: {response.text}")
    answer: dict[str, Any] = response.json()
    return answer


def log_in(toml: dict[str, Any], home_domain: str, keypair: Keypair) -> str:
    """Sign a challenge (SEP-10); a token."""
    endpoint = toml["WEB_AUTH_ENDPOINT"]
    asked = {"account": keypair.public_key, "home_domain": home_domain}
    challenge = read_challenge_transaction(
        call("GET", endpoint, params=asked)["transaction"],
        server_account_id=toml["SIGNING_KEY"],
        home_domains=home_domain,
        web_auth_domain=urlsplit(endpoint).netloc,
        network_passphrase=toml["NETWORK_PASSPHRASE"],
    )
    challenge.transaction.sign(keypair)
    signed = {"transaction": challenge.transaction.to_xdr()}
    return str(call("POST", endpoint, json=signed)["token"])


def pay(
    server: Server,
    keypair: Keypair,
    passphrase: str,
    transaction: dict[str, Any],
    send_asset: Asset,
    asset: Asset,
) -> str:
    """Deliver exactly `amount_in` of `asset`, whatever that is in `send_asset`; the hash."""
    amount = transaction["amount_in"]
    found = server.strict_receive_paths([send_asset], asset, amount).call()["_embedded"]["records"]
    if not found:
        raise SystemExit(f"Nobody sells {amount} {asset.code} for {send_asset.code}")
    best = min(found, key=lambda path: Decimal(path["source_amount"]))
    # The market may move before the ledger closes; one per cent is what we put up with.
    send_max = (Decimal(best["source_amount"]) * Decimal("1.01")).quantize(Decimal("1e-7"))
    envelope = (
        TransactionBuilder(server.load_account(keypair.public_key), passphrase, base_fee=10_000)
        .append_path_payment_strict_receive_op(
            destination=transaction["stellar_account_id"],
            send_asset=send_asset,
            send_max=send_max,
            dest_asset=asset,
            dest_amount=amount,
            path=[read_asset(step) for step in best["path"]],
        )
        .add_memo(make_memo(transaction["stellar_memo_type"], transaction["stellar_memo"]))
        .set_timeout(120)
        .build()
    )
    envelope.sign(keypair)
    # Should its answer get lost, submit this same envelope again: a new one would pay twice.
    return str(server.submit_transaction(envelope)["hash"])


def read_asset(step: dict[str, str]) -> Asset:
    """A step of a path as Horizon writes it."""
    if step["asset_type"] == "native":
        return Asset.native()
    return Asset(step["asset_code"], step["asset_issuer"])


def make_memo(kind: str, memo: str) -> IdMemo | TextMemo | HashMemo:
    """The memo that `stellar_memo_type` and `stellar_memo` describe."""
    if kind == "id":
        return IdMemo(int(memo))
    return TextMemo(memo) if kind == "text" else HashMemo(base64.b64decode(memo))


def main() -> None:
    anchor, keypair = os.environ["ANCHOR"], Keypair.from_secret(os.environ["SECRET"])
    home_domain = urlsplit(anchor).netloc

    # 1. Where things are
    toml: dict[str, Any] = dict(
        fetch_stellar_toml(home_domain, use_http=anchor.startswith("http://"))
    )
    payments, customers = toml["DIRECT_PAYMENT_SERVER"], f"{toml['KYC_SERVER']}/customer"
    [issuer] = (one["issuer"] for one in toml["CURRENCIES"] if one["code"] == SELL)

    # 2. Log in
    token = log_in(toml, home_domain, keypair)

    # 3. A firm quote
    wish = {
        "context": "sep31",
        "sell_asset": f"stellar:{SELL}:{issuer}",
        "buy_asset": BUY,
        "sell_amount": AMOUNT,
        "buy_delivery_method": METHOD,
    }
    quote = call("POST", f"{toml['ANCHOR_QUOTE_SERVER']}/quote", token, json=wish)

    # 4. Who sends and who receives; the memos are your own numbers for your clients
    sender = {**SENDER, "memo": "1001", "memo_type": "id"}
    receiver = {**RECEIVER, "memo": "1002", "memo_type": "id"}
    sender_id = call("PUT", customers, token, json=sender)["id"]
    receiver_id = call("PUT", customers, token, json=receiver)["id"]

    # 5. Start the transaction
    order = {
        "amount": quote["sell_amount"],
        "asset_code": SELL,
        "asset_issuer": issuer,
        "destination_asset": BUY,
        "quote_id": quote["id"],
        "sender_id": sender_id,
        "receiver_id": receiver_id,
        "funding_method": METHOD,
    }
    # In earnest, store the key with your payment before you send it.
    key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    started = call("POST", f"{payments}/transactions", token, json=order, headers=key)

    def wait_while(*statuses: str) -> dict[str, Any]:
        while True:
            answer = call("GET", f"{payments}/transactions/{started['id']}", token)
            transaction: dict[str, Any] = answer["transaction"]
            print(transaction["status"])
            if transaction["status"] not in statuses:
                return transaction
            time.sleep(1)

    transaction = wait_while("pending_receiver")
    if transaction["status"] != "pending_sender":
        raise SystemExit(f"It can't be paid: {transaction['status_message']}")

    # 6. Pay on Stellar
    with Server(os.environ["HORIZON"]) as server:
        send_asset = Asset(*os.environ["SEND_ASSET"].split(":"))
        passphrase = toml["NETWORK_PASSPHRASE"]
        pay(server, keypair, passphrase, transaction, send_asset, Asset(SELL, issuer))

    # 7. Follow it
    transaction = wait_while("pending_sender", "pending_receiver", "pending_external")
    print(json.dumps(transaction, indent=2))


if __name__ == "__main__":
    main()
