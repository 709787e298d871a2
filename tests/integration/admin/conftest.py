"""An operator who may do everything, and an anchor with one of everything in its tables."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from callbacks.models import Callback
from payouts.models import Attempt, Payout
from sep10.models import SendingAnchor, UsedChallenge
from sep12.models import (
    Case,
    Customer,
    CustomerField,
    CustomerFile,
    Decision,
    SanctionsList,
    SanctionsName,
    ScreeningHit,
    SentCode,
    Verification,
)
from sep31 import services
from sep31.models import Feed, IdempotentRequest, Receipt, Refund, StatusTime, Transaction
from sep31.receipts import match_payments
from sep38.models import HeldRate, Quote, Rate, RateFeed
from stellar.models import OutgoingPayment, UnreadRecord
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.transactions import (
    make_transaction,
    move_ledger_clock,
    record_payment,
    usdc,
)


def log_in(username: str, *permissions: str, superuser: bool = False) -> Client:
    """A client of a member of staff with these permissions ("app.codename")."""
    user = User.objects.create_user(username, is_staff=True, is_superuser=superuser)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def anchor(db) -> RegisteredAnchor:
    return make_sending_anchor("NairaPay")


@pytest.fixture
def operator(db) -> Client:
    return log_in("olga", superuser=True)


class Everything(NamedTuple):
    stuck: Transaction  # its refund failed: an operator may retry
    held: Transaction  # paid, payout due: an operator may refund
    inbox: Receipt
    customer: Customer
    callback: Callback
    failed_payment: OutgoingPayment
    unread: UnreadRecord
    case: Case  # the customer's, for review
    hit: ScreeningHit
    partner: SendingAnchor
    held_rate: HeldRate


def paid(anchor: RegisteredAnchor, **changes: object) -> Transaction:
    row = make_transaction(anchor)
    record_payment(row, **changes)
    match_payments()
    services.advance([row.pk])
    row.refresh_from_db()
    return row


def refund_fails(row: Transaction) -> OutgoingPayment:
    """The rail can't deliver, so the money goes back; the network refuses that."""
    assert row.payout is not None
    Payout.objects.filter(pk=row.payout.pk).update(status="failed", next_try_at=None)
    services.advance([row.pk])
    outgoing = Refund.objects.get(transaction=row).outgoing
    OutgoingPayment.objects.filter(pk=outgoing.pk).update(status="failed", last_error="op_no_trust")
    services.advance([row.pk])
    outgoing.refresh_from_db()
    row.refresh_from_db()
    return outgoing


# A picture of one pixel, and a script that calls itself one.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "78da63f8cfc000000301010018dd8db00000000049454e44ae426082"
)
SCRIPT = b"<script>alert(1)</script>"


def add_document(
    customer: Customer, name: str, content: bytes = PIXEL, content_type: str = "image/png"
) -> CustomerFile:
    """A document as the customer's field `name`, past the checks of the API."""
    file = CustomerFile.objects.create(
        sending_anchor=customer.sending_anchor,
        account=customer.account,
        customer=customer,
        content=content,
        content_type=content_type,
        size=len(content),
    )
    CustomerField.objects.create(customer=customer, name=name, file=file)
    return file


def open_case(customer: Customer, kind: str = "REVIEW", type: str = "sep31-receiver") -> Case:
    return Case.objects.create(customer=customer, kind=kind, type=type, revision=customer.revision)


def list_likeness(
    customer: Customer, name: str = "BANDA, Robert", **changes: object
) -> ScreeningHit:
    values = {
        "list": "OFAC SDN",
        "entry": "4711",
        "listed_details": "born 1961, Zambia",
        "score": Decimal("91.50"),
        "name_digest": "e" * 64,
        **changes,
    }
    return ScreeningHit.objects.create(customer=customer, listed_name=name, **values)


def stray_payment(row: Transaction, **changes: object) -> Receipt:
    """A payment with a memo that nobody was given."""
    payment = record_payment(row, **{"memo": "1", **changes})
    match_payments()
    return Receipt.objects.get(pk=payment.pk)


@pytest.fixture
def everything(anchor) -> Everything:
    rate = Rate.objects.create(sell_asset=usdc(), buy_asset="iso4217:MXN", rate=Decimal("17.5"))
    Quote.objects.create(
        sending_anchor=anchor.sending_anchor,
        account=anchor.account,
        sell_asset=usdc(),
        sell_amount=Decimal(100),
        buy_asset="iso4217:MXN",
        buy_amount=Decimal(1700),
        price="0.058",
        total_price="0.059",
        fee={"total": "1", "asset": usdc()},
        fee_total=Decimal(1),
        fee_asset=usdc(),
        context="sep31",
        rate=rate,
        expires_at=timezone.now() + timedelta(minutes=5),
    )
    RateFeed.objects.create(name="ecb", due_at=timezone.now())
    held_rate = HeldRate.objects.create(
        sell_asset=usdc(),
        buy_asset="iso4217:MXN",
        rate=Decimal(25),
        source="ecb",
        as_of=timezone.now(),
        before=rate,
    )
    held = paid(anchor)
    assert held.payout is not None
    Attempt.objects.create(payout=held.payout, number=1, details={}, status="failed")
    stuck = paid(anchor)
    failed_payment = refund_fails(stuck)
    assert held.receiver is not None
    customer = held.receiver
    Decision.objects.create(
        customer=customer, type="sep31-sender", status="ACCEPTED", decided_by="test"
    )
    add_document(customer, "photo_id_front")
    Verification.objects.create(customer=customer, name="mobile_number", code="493817")
    Feed.objects.get_or_create(sending_anchor=anchor.sending_anchor, defaults={"last": 0})
    IdempotentRequest.objects.create(digest="d" * 64, fingerprint="f" * 64, answer="{}")
    StatusTime.objects.create(
        funding_method="bank_account",
        asset="iso4217:MXN",
        status="pending_external",
        seconds=30,
        sample=20,
        measured_at=timezone.now(),
    )
    SentCode.objects.create(
        sending_anchor=anchor.sending_anchor,
        customer=customer,
        name="mobile_number",
        value_digest="c" * 64,
        sent_at=timezone.now(),
    )
    sanctions = SanctionsList.objects.create(
        name="OFAC SDN",
        digest="b" * 64,
        version=1,
        entries=1,
        as_of=timezone.now(),
    )
    SanctionsName.objects.create(list=sanctions, entry="4711", name="BANDA, Robert")
    UsedChallenge.objects.create(hash="a" * 64, expires_at=timezone.now())
    move_ledger_clock(timezone.now())
    return Everything(
        partner=anchor.sending_anchor,
        stuck=stuck,
        held=held,
        inbox=stray_payment(held),
        customer=customer,
        callback=Callback.objects.create(
            stream=f"sep31:{held.pk}",
            url="https://pay.example.com/secret-path",
            host="pay.example.com",
            body="{}",
            status="given_up",
            next_try_at=timezone.now(),
        ),
        failed_payment=failed_payment,
        unread=UnreadRecord.objects.create(
            account=held.stellar_account, reason="no amount", record="{}", digest="d" * 64
        ),
        case=open_case(customer),
        hit=list_likeness(customer),
        held_rate=held_rate,
    )
