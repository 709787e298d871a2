"""Nothing is made or lost: random operations keep every total, and the disk keeps the state."""

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import (
    Account,
    Asset,
    AuthorizationFlag,
    ChangeTrust,
    CreateAccount,
    Keypair,
    ManageBuyOffer,
    ManageSellOffer,
    PathPaymentStrictReceive,
    PathPaymentStrictSend,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    TransactionBuilder,
    TrustLineFlags,
)
from stellar_sdk.operation import AccountMerge, CreatePassiveSellOffer
from stellar_sdk.operation import Operation as SdkOperation

from localnet.network.apply import Refused
from localnet.network.assets import NATIVE, issuer_of
from localnet.network.envelope import read_envelope
from localnet.network.genesis import TOTAL_STROOPS, root_keypair
from localnet.network.ledger import Ledger
from localnet.network.orderbook import exchange, liabilities
from localnet.network.state import Offer, World
from localnet.network.store import Scope, Store

PASSPHRASE = "Conservation"
KEYS = [Keypair.from_raw_ed25519_seed(bytes([n]) * 32) for n in range(1, 7)]
ISSUERS = KEYS[:2]
ASSETS = [
    Asset.native(),
    Asset("USD", ISSUERS[0].public_key),
    Asset("EUR", ISSUERS[0].public_key),
    Asset("LONGCODE", ISSUERS[1].public_key),
]


def random_operation(draw: random.Random) -> SdkOperation:
    """Return an operation that may well fail; each kind is as likely."""
    target = draw.choice(KEYS).public_key
    one, two = draw.sample(ASSETS, 2)
    path = draw.sample(ASSETS, draw.randint(0, 2))
    amount = f"{draw.randint(1, 3000) / 10 ** draw.randint(0, 4):.7f}"
    low, price = "0.0000001", f"{draw.randint(1, 40) / draw.randint(1, 40):.4f}"
    offer = draw.choice([0, 0, 0, draw.randint(1, 9)])
    price = price if float(price) else "1"
    kinds = [
        lambda: Payment(target, one, amount),
        lambda: ManageSellOffer(one, two, draw.choice([amount, amount, "0"]), price, offer),
        lambda: ManageBuyOffer(one, two, amount, price, offer),
        lambda: CreatePassiveSellOffer(one, two, amount, price),
        lambda: PathPaymentStrictSend(target, one, amount, two, low, path),
        lambda: PathPaymentStrictReceive(target, one, "99999", two, amount, path),
        lambda: ChangeTrust(ASSETS[draw.randint(1, 3)], draw.choice(["0", "500", None])),
        lambda: SetTrustLineFlags(target, ASSETS[1], clear_flags=TrustLineFlags.AUTHORIZED_FLAG),
        lambda: SetTrustLineFlags(target, ASSETS[1], set_flags=TrustLineFlags.AUTHORIZED_FLAG),
        lambda: AccountMerge(target) if draw.random() < 0.2 else Payment(target, one, amount),
        lambda: CreateAccount(target, amount),
    ]
    return draw.choice(kinds)()


def submit(ledger: Ledger, keypair: Keypair, operations: list[SdkOperation]) -> None:
    """Put a transaction in the queue; one that is refused changes nothing."""
    found = ledger.world.account(keypair.public_key)
    if found is None:
        return
    builder = TransactionBuilder(Account(keypair.public_key, found.sequence), PASSPHRASE, 100)
    for operation in operations:
        builder.append_operation(operation)
    built = builder.add_time_bounds(0, 0).build()
    built.sign(keypair)
    try:
        ledger.submit(read_envelope(built.to_xdr(), ledger.network))
    except Refused:
        return


def set_up(ledger: Ledger) -> None:
    """Create the accounts with lumens, trust in every asset and some of each."""
    opening = [CreateAccount(key.public_key, "3000") for key in KEYS]
    submit(ledger, root_keypair(PASSPHRASE), list(opening))
    ledger.close_ledger()
    for key in KEYS:
        mine = [ChangeTrust(a) for a in ASSETS[1:] if a.issuer != key.public_key]
        submit(ledger, key, list(mine))
    ledger.close_ledger()
    submit(ledger, ISSUERS[0], [SetOptions(set_flags=AuthorizationFlag.AUTHORIZATION_REVOCABLE)])
    ledger.close_ledger()
    for issuer in ISSUERS:
        own = [a for a in ASSETS if a.issuer == issuer.public_key]
        paid = [Payment(k.public_key, a, "1000") for a in own for k in KEYS if k != issuer]
        submit(ledger, issuer, list(paid))
    ledger.close_ledger()


def issued(store: Store) -> dict[str, int]:
    """Return, for each asset, what its issuer has minted less what it has burned."""
    totals: dict[str, int] = {}

    def add(effect: dict[str, str], prefix: str, amount: str, sign: int) -> None:
        if effect.get(f"{prefix}asset_issuer") == effect["account"]:
            asset = f"{effect[f'{prefix}asset_code']}:{effect['account']}"
            stroops = int(effect[amount].replace(".", ""))
            totals[asset] = totals.get(asset, 0) + sign * stroops

    for effect in store.effects(Scope(), None, True, 10**6):
        if effect["type"] == "account_debited":
            add(effect, "", "amount", 1)
        elif effect["type"] == "account_credited":
            add(effect, "", "amount", -1)
        elif effect["type"] == "trade" and not pays_by_path(store, effect):
            add(effect, "sold_", "sold_amount", 1)
            add(effect, "bought_", "bought_amount", -1)
    return totals


def pays_by_path(store: Store, effect: dict[str, Any]) -> bool:
    """Say whether a trade is a path payment's own: its debit and credit are told beside it."""
    operation = json.loads(store.operation(effect["number"], join=False) or "")
    by_path = operation["type"].startswith("path_payment")
    return by_path and operation["source_account"] == effect["account"]


def held(world: World) -> dict[str, int]:
    totals: dict[str, int] = {}
    for account in world.accounts.values():
        for asset, line in account.lines.items():
            totals[asset] = totals.get(asset, 0) + line.balance
    return totals


def check_promises(world: World) -> None:
    """Every account keeps what its offers promise, its reserve and its limits."""
    bound: dict[tuple[str, str], list[int]] = {}
    for offer in world.offers.values():
        selling, buying = liabilities(offer)
        bound.setdefault((offer.seller, offer.selling), [0, 0])[0] += selling
        bound.setdefault((offer.seller, offer.buying), [0, 0])[1] += buying
    for account in world.accounts.values():
        own = sum(offer.seller == account.id for offer in world.offers.values())
        assert account.offers == own
        assert [account.selling, account.buying] == bound.pop((account.id, NATIVE), [0, 0])
        assert account.balance - account.selling >= account.reserve
        for asset, line in account.lines.items():
            assert [line.selling, line.buying] == bound.pop((account.id, asset), [0, 0])
            assert line.selling <= line.balance <= line.limit - line.buying
    # What is left over are offers of issuers in their own asset, which bind nothing.
    assert all(issuer_of(asset) == seller for seller, asset in bound)


async def play(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    store = Store(folder, PASSPHRASE)
    ledger = Ledger(store, PASSPHRASE)
    set_up(ledger)
    for _ in range(25):
        for key in KEYS:
            submit(ledger, key, [random_operation(draw) for _ in range(draw.randint(1, 2))])
        ledger.close_ledger()
        world = ledger.world
        lumens = sum(account.balance for account in world.accounts.values())
        assert lumens + world.fee_pool == TOTAL_STROOPS
        check_promises(world)
    minted = {asset: total for asset, total in issued(store).items() if total}
    assert minted == {asset: total for asset, total in held(ledger.world).items() if total}
    loaded = store.load_world()
    assert loaded.accounts == ledger.world.accounts
    assert loaded.offers == ledger.world.offers
    assert loaded.fee_pool == ledger.world.fee_pool
    store.close()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_random_operations_conserve_every_asset(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), seed))


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(1, 2**31 - 1),
    d=st.integers(1, 2**31 - 1),
    wheat=st.integers(1, 2**40),
    room=st.integers(1, 2**40),
    send=st.integers(1, 2**63 - 1),
    receive=st.integers(1, 2**63 - 1),
    mode=st.integers(0, 2),
)
def test_a_crossing_keeps_within_every_bound(
    n: int, d: int, wheat: int, room: int, send: int, receive: int, mode: int
) -> None:
    offer = Offer(1, "seller", "wheat", "sheep", wheat, n, d)
    sold, bought, stays = exchange(offer, wheat, room, send, receive, mode)
    assert 0 <= sold <= min(wheat, receive)
    assert 0 <= bought <= min(room, send)
    if stays:
        assert bought * d >= sold * n, "an offer that stays never sells below its price"
