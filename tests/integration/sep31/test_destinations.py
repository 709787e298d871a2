"""Where a sending anchor is told to pay, and that a payment there is matched: memos of each kind,
and a muxed address for those who ask for one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from stellar_sdk import HashMemo, IdMemo, MuxedAccount, TextMemo

from kernel.assets import parse_asset_name
from sep1.assets import received_assets
from sep31 import services
from sep31.models import Transaction
from sep31.receipts import match_payments
from stellar.models import ReceivedPayment
from stellar.records import read_payment
from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.transactions import post_transaction, register_both

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["id", "text", "hash"])
def memo_type(request: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[str]:
    """What the asset's memos are, by the anchor's configuration."""
    [entry, *_] = settings.ANCHOR["assets"]
    monkeypatch.setitem(entry, "memo_type", request.param)
    received_assets.cache_clear()
    yield request.param
    monkeypatch.undo()
    received_assets.cache_clear()


def horizon_record(row: Transaction, where: dict[str, str], **changes: Any) -> dict[str, Any]:
    """The payment as Horizon would report it, made from nothing but what we answered."""
    asset = parse_asset_name(row.amount_in_asset)
    destination = where["stellar_account_id"]
    to = MuxedAccount.from_account(destination)
    kind, memo = where.get("stellar_memo_type", "none"), where.get("stellar_memo")
    sent: dict[str, Any] = {"memo_type": kind}
    if kind == "id":
        sent["memo"] = str(IdMemo(int(memo or "")).memo_id)
    elif kind == "text":
        raw = TextMemo(memo or "").memo_text
        sent |= {"memo": memo, "memo_bytes": base64.b64encode(raw).decode()}
    elif kind == "hash":
        raw = HashMemo(base64.b64decode(memo or "")).memo_hash
        sent["memo"] = base64.b64encode(raw).decode()
    muxed = (
        {"to_muxed": to.account_muxed, "to_muxed_id": str(to.account_muxed_id)}
        if to.account_muxed
        else {}
    )
    return {
        "id": "4294967296001",
        "paging_token": "4294967296001",
        "transaction_successful": True,
        "type": "payment",
        "to": to.account_id,
        "from": row.account,
        "asset_type": "credit_alphanum4",
        "asset_code": asset.code,
        "asset_issuer": asset.issuer,
        "amount": format(row.amount_in, "f"),
        "transaction_hash": "ab" * 32,
        "created_at": row.started_at.isoformat(),
        "transaction": sent,
        **muxed,
        **changes,
    }


def receive(row: Transaction, record: dict[str, Any]) -> ReceivedPayment:
    payment = read_payment(record, row.stellar_account)
    assert payment is not None
    values = {name: getattr(payment, name) for name in payment.__slots__}
    recorded = ReceivedPayment.objects.create(
        **{**values, "asset": str(payment.asset), "source_asset": ""}
    )
    match_payments()
    services.advance([row.pk])
    row.refresh_from_db()
    return recorded


def test_a_payment_with_the_memo_that_we_gave_is_matched(
    anchor: RegisteredAnchor, memo_type: str
) -> None:
    where = post_transaction(anchor, **register_both(anchor)).json()
    assert where["stellar_memo_type"] == memo_type
    row = Transaction.objects.get()
    receive(row, horizon_record(row, where))
    assert row.status == "pending_receiver"


def test_who_asks_for_it_gets_a_muxed_address_and_no_memo(
    anchor: RegisteredAnchor, memo_type: str, settings: Any
) -> None:
    where = post_transaction(anchor, stellar_account_type="muxed", **register_both(anchor)).json()
    assert set(where) == {"id", "stellar_account_id"}
    address = MuxedAccount.from_account(where["stellar_account_id"])
    assert address.account_muxed == where["stellar_account_id"]
    assert address.account_id == settings.DISTRIBUTION_ACCOUNT
    assert 0 < (address.account_muxed_id or 0) < 2**63
    path = f"/sep31/transactions/{where['id']}"
    shown = Client().get(path, headers=anchor.headers()).json()["transaction"]
    assert shown["stellar_account_id"] == where["stellar_account_id"]
    assert not {"stellar_memo", "stellar_memo_type"} & set(shown)
    row = Transaction.objects.get()
    receive(row, horizon_record(row, where))
    assert row.status == "pending_receiver"


def test_what_is_not_as_agreed_goes_back_from_a_muxed_address_too(
    anchor: RegisteredAnchor,
) -> None:
    where = post_transaction(anchor, stellar_account_type="muxed", **register_both(anchor)).json()
    row = Transaction.objects.get()
    payment = receive(row, horizon_record(row, where, amount="99"))
    assert row.status == "pending_sender"
    refund = payment.receipt.refunds.get()
    assert (refund.amount, refund.outgoing.memo_type) == (Decimal(99), "none")


def test_a_muxed_address_is_kept_back_until_the_customers_are_accepted(
    anchor: RegisteredAnchor,
) -> None:
    assert set(post_transaction(anchor, stellar_account_type="muxed").json()) == {"id"}


@pytest.mark.parametrize("value", ["Muxed", "M", 5, ["muxed"], {}, "muxed\x00"])
def test_other_types_are_a_400(anchor: RegisteredAnchor, value: object) -> None:
    answer = post_transaction(anchor, stellar_account_type=value)
    assert answer.status_code == 400
    assert not Transaction.objects.exists()
