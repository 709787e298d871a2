"""Puts everybody on the stage of the local network: issuers, a market, two sending anchors.

Looks at what is there and adds what is missing, so it can run at every start.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import requests
from stellar_sdk import Asset, Keypair, Price, Server, TransactionBuilder
from stellar_sdk.exceptions import NotFoundError

from localnet.keys import Keys

SOURCE_CODE = "EURC"
ASSET_CODE = "USDC"
SENDING_ANCHORS = ("Meridian Remit", "Harbor Transfer")
# Units of each asset that a sending anchor has at each start, and below which it gets more.
_PURSE, _LOW = Decimal(100_000), Decimal(20_000)
_MARKET_DEPTH, _MARKET_LOW = Decimal(10_000_000), Decimal(1_000_000)
_EUR_FOR_USDC = Price(23, 25)  # the market's price: 0.92 EURC for one USDC
_LUMENS = "500"
_FEE = 10_000  # stroops that we bid per operation
# What one unit of what is sold buys; `operator` rates of the demo.
RATES = (
    (ASSET_CODE, "iso4217:MXN", "17.25"),
    (ASSET_CODE, "iso4217:USD", "1"),
    (SOURCE_CODE, "iso4217:EUR", "1"),
)


class Service(Protocol):
    """What runs: on this machine (localnet.service) or as containers (localnet.composed)."""

    keys: Keys
    env: dict[str, str]
    network_passphrase: str

    @property
    def base_url(self) -> str: ...
    @property
    def horizon_url(self) -> str: ...
    @property
    def friendbot_url(self) -> str: ...

    def manage(self, *arguments: str) -> str: ...
    def prepare_database(self, commands: list[list[str]]) -> None: ...


@dataclass(frozen=True)
class SendingAnchor:
    """A sending anchor of the stage."""

    name: str
    keypair: Keypair


@dataclass(frozen=True)
class Stage:
    """Who and what is there."""

    asset: Asset
    source_asset: Asset
    sending_anchors: tuple[SendingAnchor, ...]


def describe_stage(service: Service) -> Stage:
    """The stage that belongs to a service's keys."""
    keys = service.keys
    return Stage(
        asset=Asset(ASSET_CODE, keys.keypair("ASSET_ISSUER").public_key),
        source_asset=Asset(SOURCE_CODE, keys.keypair("SOURCE_ASSET_ISSUER").public_key),
        sending_anchors=tuple(
            SendingAnchor(name, keys.keypair(f"SENDING_ANCHOR_{number}"))
            for number, name in enumerate(SENDING_ANCHORS, start=1)
        ),
    )


def set_stage(service: Service) -> None:
    """Make accounts, trust lines, purses and a market; tell the anchor of senders and rates."""
    stage = describe_stage(service)
    commands = [
        ["set_rate", f"stellar:{code}:{stage.asset.issuer}", buy, rate] for code, buy, rate in RATES
    ]
    commands += [
        ["register_sending_anchor", sender.name, sender.keypair.public_key]
        for sender in stage.sending_anchors
    ]
    with Server(service.horizon_url) as server, ThreadPoolExecutor() as pool:
        _create_accounts(service, server)
        purses = pool.submit(_fill_purses, service, server, stage)
        account = _load(server, service.env["DISTRIBUTION_ACCOUNT"])
        received = (stage.asset, Asset(SOURCE_CODE, stage.asset.issuer))
        if not all(_trusts(account, asset) for asset in received):
            commands.append(["add_trustlines"])
        service.prepare_database(commands)
        purses.result()


def _load(server: Server, account: str) -> dict[str, Any] | None:
    try:
        return server.accounts().account_id(account).call()
    except NotFoundError:
        return None


def _balance(account: dict[str, Any] | None, asset: Asset) -> Decimal | None:
    """What an account holds of an asset, None without a trust line."""
    for line in account["balances"] if account else []:
        if (line.get("asset_code"), line.get("asset_issuer")) == (asset.code, asset.issuer):
            return Decimal(line["balance"])
    return None


def _trusts(account: dict[str, Any] | None, asset: Asset) -> bool:
    return _balance(account, asset) is not None


def _submit(server: Server, builder: TransactionBuilder, *signers: Keypair) -> None:
    transaction = builder.set_timeout(300).build()
    for signer in signers:
        transaction.sign(signer)
    server.submit_transaction(transaction)


def _builder(service: Service, server: Server, source: Keypair) -> TransactionBuilder:
    return TransactionBuilder(
        server.load_account(source.public_key), service.network_passphrase, base_fee=_FEE
    )


def _create_accounts(service: Service, server: Server) -> None:
    """Friendbot pays for the market maker, which pays for everybody else in one transaction."""
    maker = service.keys.keypair("MARKET_MAKER")
    if _load(server, maker.public_key) is None:
        requests.get(
            service.friendbot_url, params={"addr": maker.public_key}, timeout=30
        ).raise_for_status()
    names = ("ASSET_ISSUER", "SOURCE_ASSET_ISSUER", "SENDING_ANCHOR_1", "SENDING_ANCHOR_2")
    accounts = [service.keys.keypair(name).public_key for name in (*names, "DISTRIBUTION")]
    missing = [account for account in accounts if _load(server, account) is None]
    if missing:
        builder = _builder(service, server, maker)
        for account in missing:
            builder.append_create_account_op(account, _LUMENS)
        _submit(server, builder, maker)


def _fill_purses(service: Service, server: Server, stage: Stage) -> None:
    """Trust lines and money for the market maker and the sending anchors, and the market's offer.

    All in one transaction, which each account that takes part signs.
    """
    maker = service.keys.keypair("MARKET_MAKER")
    issuers = {
        stage.asset: service.keys.keypair("ASSET_ISSUER"),
        stage.source_asset: service.keys.keypair("SOURCE_ASSET_ISSUER"),
    }
    builder = _builder(service, server, maker)
    signers = {maker.public_key: maker}
    purses = [(maker, _MARKET_DEPTH, _MARKET_LOW)]
    purses += [(sender.keypair, _PURSE, _LOW) for sender in stage.sending_anchors]
    for owner, full, low in purses:
        account = _load(server, owner.public_key)
        for asset, issuer in issuers.items():
            balance = _balance(account, asset)
            if balance is None:
                builder.append_change_trust_op(asset, source=owner.public_key)
                signers[owner.public_key] = owner
            if balance is None or balance < low:
                amount = full - (balance or 0)
                builder.append_payment_op(owner.public_key, asset, amount, source=issuer.public_key)
                signers[issuer.public_key] = issuer
    offers = server.offers().for_account(maker.public_key).call()["_embedded"]["records"]
    if sum(Decimal(offer["amount"]) for offer in offers) < _MARKET_LOW:
        builder.append_manage_sell_offer_op(
            stage.asset,
            stage.source_asset,
            _MARKET_DEPTH / 2,
            _EUR_FOR_USDC,
            offer_id=int(offers[0]["id"]) if offers else 0,
            source=maker.public_key,
        )
    if builder.operations:
        _submit(server, builder, *signers.values())
