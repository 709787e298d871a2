"""Watching and paying on a running network: real transactions, real ledgers, a real stream."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings
from stellar_sdk import (
    AccountMerge,
    Asset,
    HashMemo,
    IdMemo,
    Keypair,
    ManageSellOffer,
    MuxedAccount,
    PathPaymentStrictSend,
    Payment,
    TextMemo,
)

from kernel.assets import parse_asset_name, stellar_asset_name
from stellar import tasks
from stellar.models import Cursor, OutgoingPayment, ReceivedPayment
from stellar.services import create_outgoing_payment, ledger_clock
from stellar.signing import SecretKeySigner
from stellar.sources import HorizonSource
from stellar.submission import submit_due_payments
from stellar.watcher import ingest_page, watch
from tests.fixtures.network import RunningNetwork

pytestmark = pytest.mark.django_db

XLM = stellar_asset_name("native")
Status = OutgoingPayment.Status


def ingest(account: str) -> list[ReceivedPayment]:
    """Read all there is now; what was recorded, in the ledger's order."""
    with HorizonSource() as source:
        while ingest_page(account, source).is_full:
            pass
    return list(ReceivedPayment.objects.filter(account=account).order_by("pk"))


def test_what_arrives_is_recorded_with_its_memo(network: RunningNetwork, ours: Keypair) -> None:
    payer = network.funded_account()
    digest = "ab" * 32
    for memo in (None, IdMemo(2**64 - 1), TextMemo("São Tomé"), HashMemo(digest)):
        network.pay(payer, ours.public_key, "1.0000001", memo=memo)
    network.pay(payer, MuxedAccount(ours.public_key, 2**64 - 1).account_muxed or "", "2")
    created, *rows = ingest(ours.public_key)
    assert (created.operation_type, created.amount) == ("create_account", Decimal(10000))
    assert [(row.memo_type, row.memo) for row in rows] == [
        ("none", ""),
        ("id", str(2**64 - 1)),
        ("text", "São Tomé"),
        ("hash", digest),
        ("none", ""),
    ]
    assert [row.muxed_id for row in rows] == [None, None, None, None, Decimal(2**64 - 1)]
    assert {row.amount for row in rows[:4]} == {Decimal("1.0000001")}
    assert {row.from_account for row in rows} == {payer.public_key}


def test_text_memos_that_are_not_utf8_are_recorded_without_loss(
    network: RunningNetwork, ours: Keypair
) -> None:
    payer = network.funded_account()
    for raw in (b"\xff\xfe", b"a\x00b"):
        network.pay(payer, ours.public_key, "1", memo=TextMemo(raw))
    rows = ingest(ours.public_key)[1:]
    assert [(row.memo_type, row.memo) for row in rows] == [("bytes", "fffe"), ("bytes", "610062")]


def test_a_path_payment_is_recorded_as_what_it_delivered(
    network: RunningNetwork, ours: Keypair, issuer: Keypair, usdc: Asset
) -> None:
    network.trust(ours, usdc)
    network.submit(issuer, ManageSellOffer(usdc, Asset.native(), "1000", "2"))
    payer = network.funded_account()
    network.submit(
        payer, PathPaymentStrictSend(ours.public_key, Asset.native(), "10", usdc, "1", [])
    )
    row = ingest(ours.public_key)[-1]
    assert (row.asset, row.amount) == (f"stellar:USDC:{issuer.public_key}", Decimal(5))
    assert (row.source_asset, row.source_amount) == ("stellar:native", Decimal(10))


def test_a_merge_into_our_account_is_recorded_with_its_amount(
    network: RunningNetwork, ours: Keypair
) -> None:
    payer = network.funded_account()
    network.submit(payer, AccountMerge(ours.public_key))
    row = ingest(ours.public_key)[-1]
    assert row.operation_type == "account_merge"
    assert Decimal(9999) < row.amount < Decimal(10000)


def test_what_we_pay_is_not_recorded_as_received(network: RunningNetwork, ours: Keypair) -> None:
    other = network.funded_account()
    network.pay(ours, other.public_key, "1")
    network.pay(ours, ours.public_key, "1")
    assert [row.operation_type for row in ingest(ours.public_key)] == ["create_account"]


def test_each_operation_of_a_transaction_is_a_payment_of_its_own(
    network: RunningNetwork, ours: Keypair
) -> None:
    payer = network.funded_account()
    network.submit(payer, *(Payment(ours.public_key, Asset.native(), str(n)) for n in (1, 2, 3)))
    assert [row.amount for row in ingest(ours.public_key)[1:]] == [1, 2, 3]


def test_the_clock_follows_the_ledger_though_nobody_pays(
    network: RunningNetwork, ours: Keypair
) -> None:
    ingest(ours.public_key)
    before = Cursor.objects.get().passed_ledger
    network.wait_for_ledgers(3)
    ingest(ours.public_key)
    assert Cursor.objects.get().passed_ledger >= before + 3
    assert ledger_clock(ours.public_key) is not None


@pytest.mark.django_db(transaction=True)
def test_a_payment_is_recorded_soon_after_its_ledger_because_the_stream_wakes_the_watcher(
    network: RunningNetwork, ours: Keypair
) -> None:
    """Soon: well within the time between two polls."""
    payer = network.funded_account()
    ingest(ours.public_key)
    done = threading.Event()

    def run() -> None:
        try:
            with HorizonSource() as source:
                watch(ours.public_key, source, seconds=30, should_stop=done.is_set)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        time.sleep(0.2)
        network.pay(payer, ours.public_key, "7")
        paid_at = time.monotonic()
        while ReceivedPayment.objects.count() < 2 and time.monotonic() < paid_at + 20:
            time.sleep(0.02)
        waited = time.monotonic() - paid_at
    finally:
        done.set()
        thread.join()
    assert ReceivedPayment.objects.count() == 2
    assert waited < 4


@pytest.mark.django_db(transaction=True)
def test_the_watching_task_goes_home_if_another_one_watches(
    network: RunningNetwork,
    ours: Keypair,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.WATCH_SECONDS = 1
    handed_over: list[object] = []
    monkeypatch.setattr(
        tasks.watch_account, "apply_async", lambda args, **_: handed_over.append(args)
    )
    took: list[float] = []

    def run() -> None:
        started = time.monotonic()
        try:
            tasks.watch_account(ours.public_key)
        finally:
            took.append(time.monotonic() - started)
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(seconds >= 1 for seconds in took) == 1
    assert handed_over == [(ours.public_key,)]
    assert ReceivedPayment.objects.count() == 1


def test_a_refund_reaches_the_ledger_with_its_memo(
    network: RunningNetwork, ours: Keypair, issuer: Keypair, usdc: Asset
) -> None:
    payer = network.funded_account()
    for holder in (ours, payer):
        network.trust(holder, usdc)
    network.pay(issuer, ours.public_key, "50", usdc)
    name = parse_asset_name(f"stellar:USDC:{issuer.public_key}")
    payment = create_outgoing_payment(
        destination=payer.public_key,
        asset=name,
        amount=Decimal("12.3456789"),
        memo_type="id",
        memo="42",
    )
    with HorizonSource() as source:
        submit_due_payments(source, SecretKeySigner())
    payment.refresh_from_db()
    assert payment.status == Status.CONFIRMED
    found = network.server.transactions().transaction(payment.transaction_hash or "").call()
    assert (found["memo_type"], found["memo"]) == ("id", "42")
    assert network.balance(payer.public_key, usdc) == Decimal("12.3456789")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("no account", "the destination account does not exist"),
        ("no trustline", "no trustline"),
        ("too much", "does not hold enough"),
    ],
)
def test_what_the_network_refuses_for_good_fails_with_its_reason(
    network: RunningNetwork,
    ours: Keypair,
    issuer: Keypair,
    usdc: Asset,
    reason: str,
    expected: str,
) -> None:
    network.trust(ours, usdc)
    network.pay(issuer, ours.public_key, "50", usdc)
    other = Keypair.random() if reason == "no account" else network.funded_account()
    payment = create_outgoing_payment(
        destination=issuer.public_key if reason == "too much" else other.public_key,
        asset=parse_asset_name(f"stellar:USDC:{issuer.public_key}"),
        amount=Decimal(51 if reason == "too much" else 5),
    )
    with HorizonSource() as source:
        submit_due_payments(source, SecretKeySigner())
    payment.refresh_from_db()
    assert payment.status == Status.FAILED
    assert expected in payment.last_error


@pytest.mark.django_db(transaction=True)
def test_two_submitters_at_once_put_each_payment_on_the_ledger_once(
    network: RunningNetwork, ours: Keypair
) -> None:
    payee = network.funded_account()
    for _ in range(3):
        create_outgoing_payment(destination=payee.public_key, asset=XLM, amount=Decimal(5))

    def run() -> None:
        end = time.monotonic() + 40
        try:
            with HorizonSource() as source:
                while (
                    OutgoingPayment.objects.exclude(status=Status.CONFIRMED).exists()
                    and time.monotonic() < end
                ):
                    submit_due_payments(source, SecretKeySigner())
                    time.sleep(0.05)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert network.balance(payee.public_key) == Decimal(10015)


# -- Commands ---------------------------------------------------------------------------------


def run_command(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def test_add_trustlines_adds_what_is_missing_and_nothing_twice(
    network: RunningNetwork, ours: Keypair, issuer: Keypair, usdc: Asset, settings: Settings
) -> None:
    settings.ANCHOR = {"assets": [{"code": "USDC", "issuer": issuer.public_key}]}
    assert "now trusts stellar:USDC" in run_command("add_trustlines")
    network.pay(issuer, ours.public_key, "1", usdc)
    assert "has all its trustlines" in run_command("add_trustlines")


def test_add_trustlines_says_that_an_account_must_be_funded_first(
    network: RunningNetwork, settings: Settings
) -> None:
    settings.DISTRIBUTION_ACCOUNT = Keypair.random().public_key
    with pytest.raises(CommandError, match="fund it"):
        run_command("add_trustlines")


def test_watching_may_start_now_without_what_came_before(
    network: RunningNetwork, ours: Keypair
) -> None:
    run_command("start_watching", "--cursor", "now")
    assert ledger_clock(ours.public_key) is not None
    network.pay(network.funded_account(), ours.public_key, "3")
    assert [row.amount for row in ingest(ours.public_key)] == [3]


def test_a_cursor_is_moved_only_on_request(network: RunningNetwork, ours: Keypair) -> None:
    ingest(ours.public_key)
    with pytest.raises(CommandError, match="--move"):
        run_command("start_watching", "--cursor", "0")
    run_command("start_watching", "--cursor", "0", "--move")
    assert Cursor.objects.get().paging_token == "0"
    assert len(ingest(ours.public_key)) == 1


@pytest.mark.parametrize("cursor", ["", "-1", "later", "٣", str(2**63)])
def test_a_cursor_that_is_none_is_refused(
    network: RunningNetwork, ours: Keypair, cursor: str
) -> None:
    with pytest.raises(CommandError, match="must be"):
        run_command("start_watching", f"--cursor={cursor}")
