"""A pair that takes its fee in what is bought: the transaction's amounts, its refund, the books."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from math import ceil, floor
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep1.assets import received_assets
from sep31 import services
from sep31.models import Transaction
from sep31.reconcile import Balance, balance_books
from sep38.models import Rate
from sep38.pairs import all_pairs
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.transactions import make_transaction, post_transaction, register_both, usdc
from tests.integration.sep31.test_api import make_quote
from tests.integration.sep31.test_flow import network_confirms, pay, rail_says

pytestmark = pytest.mark.django_db
MXN = "iso4217:MXN"
Configure = Callable[..., None]

# 100 USDC at 17.5, less the spread of 1 percent, are 1732.50 MXN. The fee is 200 and 0.5 percent
# of that, 208.6625, rounded up.
FEE, OUT = Decimal("208.67"), Decimal("1523.83")


@pytest.fixture
def configure(settings: Any) -> Iterator[Configure]:
    """Changes the pair USDC -> MXN."""
    usual = settings.ANCHOR

    def change(**pair: str) -> None:
        entries = [{**entry, **pair} if entry["buy"] == MXN else entry for entry in usual["pairs"]]
        settings.ANCHOR = {**usual, "pairs": entries}
        all_pairs.cache_clear()

    yield change
    all_pairs.cache_clear()


@pytest.fixture
def fee_in_pesos(configure: Configure, rate: Rate) -> None:
    configure(fee_asset="buy", fee_fixed="200")


def create(anchor: RegisteredAnchor, *, with_quote: bool, amount: str = "100") -> Transaction:
    """A transaction that is delivered in MXN, at a quote or at the rate when the money arrives."""
    quote = make_quote(anchor, sell_amount=amount) if with_quote else None
    return make_transaction(
        anchor, amount=amount, destination_asset=MXN, quote_id=quote["id"] if quote else None
    )


def show(anchor: RegisteredAnchor, row: Transaction) -> dict[str, Any]:
    answer = Client().get(f"/sep31/transactions/{row.pk}", headers=anchor.headers())
    shown: dict[str, Any] = answer.json()["transaction"]
    return shown


def books() -> Balance:
    [balance] = balance_books()
    assert balance.difference == 0, balance
    return balance


# -- Amounts --------------------------------------------------------------------------------------
@pytest.mark.usefixtures("fee_in_pesos")
@pytest.mark.parametrize("with_quote", [True, False])
def test_the_fee_is_in_pesos_from_the_beginning_to_the_end(
    anchor: RegisteredAnchor, with_quote: bool
) -> None:
    row = create(anchor, with_quote=with_quote)
    waiting = show(anchor, row)
    assert (waiting["amount_in"], waiting["amount_in_asset"]) == ("100", usdc())
    assert (waiting["amount_fee_asset"], waiting["amount_out_asset"]) == (MXN, MXN)
    assert ("amount_fee" in waiting) == with_quote
    pay(row)
    assert row.payout is not None
    assert (row.payout.asset, row.payout.amount) == (MXN, OUT)
    rail_says(row, "delivered")
    done = show(anchor, row)
    assert done["status"] == "completed"
    assert (done["amount_out"], done["amount_out_asset"]) == (str(OUT), MXN)
    assert (done["amount_fee"], done["amount_fee_asset"]) == (str(FEE), MXN)
    assert done["fee_details"]["total"] == str(FEE)
    assert done["fee_details"]["asset"] == MXN
    assert done["amount_in"] == "100"


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stroops=st.integers(2 * 10**7, 2999 * 10**7),  # above, more must be known of customers
    rate=st.decimals("0.01", 2000, places=6),
    spread=st.decimals(0, 20, places=2),
    fixed=st.decimals(0, 400, places=2),
    percent=st.decimals(0, 30, places=3),
    with_quote=st.booleans(),
)
def test_the_formulas_hold_at_any_terms(
    anchor: RegisteredAnchor,
    configure: Configure,
    stroops: int,
    rate: Decimal,
    spread: Decimal,
    fixed: Decimal,
    percent: Decimal,
    with_quote: bool,
) -> None:
    """SEP-38, Price Formulas; SEP-31, Amount Formulas, in units of what is bought."""
    terms = {"fee_fixed": str(fixed), "fee_percent": str(percent), "spread_percent": str(spread)}
    configure(fee_asset="buy", **terms)
    Rate.objects.create(sell_asset=usdc(), buy_asset=MXN, rate=rate, source="test")
    amount = Fraction(stroops, 10**7)
    cents = floor(amount * Fraction(rate) * (1 - Fraction(spread) / 100) * 100)
    kept = ceil(cents * Fraction(percent) / 100) + int(fixed * 100)
    assume(cents > kept)
    text = format(Decimal(stroops).scaleb(-7), "f")

    before = books() if Transaction.objects.exists() else Balance(usdc())
    row = create(anchor, with_quote=with_quote, amount=text)
    pay(row)
    rail_says(row, "delivered")
    shown = show(anchor, row)

    amount_in, amount_out = Fraction(shown["amount_in"]), Fraction(shown["amount_out"])
    amount_fee = Fraction(shown["amount_fee"])
    assert amount_in == amount
    assert (amount_fee, amount_out) == (Fraction(kept, 100), Fraction(cents - kept, 100))
    parts = [Fraction(part["amount"]) for part in shown["fee_details"]["details"]]
    assert sum(parts) == Fraction(shown["fee_details"]["total"]) == amount_fee
    assert shown["fee_details"]["asset"] == shown["amount_fee_asset"] == MXN
    if row.quote is not None:
        assert shown["fee_details"] == row.quote.fee
        price = Fraction(row.quote.price)
        assert round(price * (amount_out + amount_fee) * 10**7) == stroops

    after = books()
    assert Fraction(after.received - before.received) == amount
    assert Fraction(after.paid_out - before.paid_out) == amount
    assert after.fees == 0
    told = [one.fees_after_conversion.get(MXN, Decimal(0)) for one in (before, after)]
    assert Fraction(told[1] - told[0]) == amount_fee


@pytest.mark.usefixtures("fee_in_pesos")
def test_without_a_quote_the_terms_of_the_moment_of_payment_count(
    anchor: RegisteredAnchor, configure: Configure
) -> None:
    row = create(anchor, with_quote=False)
    quoted = create(anchor, with_quote=True)
    configure(fee_asset="sell", fee_fixed="1")
    pay(row)
    pay(quoted)
    shown = show(anchor, row)
    assert (shown["amount_fee"], shown["amount_fee_asset"]) == ("1.5", usdc())
    assert shown["fee_details"]["asset"] == usdc()
    assert show(anchor, quoted)["amount_fee_asset"] == MXN


@pytest.mark.usefixtures("fee_in_pesos")
def test_what_the_fee_would_eat_up_is_refused(anchor: RegisteredAnchor) -> None:
    customers = register_both(anchor)
    answer = post_transaction(anchor, amount="11", destination_asset=MXN, **customers)
    assert answer.status_code == 400
    assert "after the fee of 200.96 MXN nothing would be left" in answer.json()["error"]


@pytest.mark.usefixtures("fee_in_pesos")
def test_payments_in_the_counterpart_keep_their_fee_in_what_comes_in(
    anchor: RegisteredAnchor,
) -> None:
    shown = show(anchor, make_transaction(anchor))
    assert (shown["amount_fee"], shown["amount_fee_asset"]) == ("1.5", usdc())


# -- Refunds --------------------------------------------------------------------------------------
@pytest.fixture
def refund_fee(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decimal]:
    [entry, *_] = settings.ANCHOR["assets"]
    monkeypatch.setitem(entry, "policy", {**entry.get("policy", {}), "refund_fee": "2"})
    received_assets.cache_clear()
    yield Decimal(2)
    monkeypatch.undo()
    received_assets.cache_clear()


def send_back(row: Transaction) -> None:
    pay(row)
    rail_says(row, "failed")
    network_confirms(row.refunds.get())
    row.refresh_from_db()
    assert row.status == "refunded"


@pytest.mark.usefixtures("fee_in_pesos")
@pytest.mark.parametrize("with_quote", [True, False])
def test_a_refund_names_no_fee_but_its_own(
    anchor: RegisteredAnchor, with_quote: bool, refund_fee: Decimal
) -> None:
    row = create(anchor, with_quote=with_quote)
    send_back(row)
    shown = show(anchor, row)
    assert (shown["amount_in"], shown["amount_in_asset"]) == ("100", usdc())
    assert (shown["amount_out"], shown["amount_out_asset"]) == ("0", MXN)
    assert (shown["amount_fee"], shown["amount_fee_asset"]) == ("0", MXN)
    assert shown["fee_details"] == {"total": "0", "asset": MXN}
    refunds = shown["refunds"]
    assert Decimal(refunds["amount_refunded"]) == 100 - refund_fee
    assert Decimal(refunds["amount_fee"]) == refund_fee
    after = books()
    assert (after.refunded, after.fees, after.paid_out) == (98, 2, 0)
    assert after.fees_after_conversion == {}


def test_what_was_never_priced_goes_back_whole(
    anchor: RegisteredAnchor, fee_in_pesos: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = create(anchor, with_quote=False)

    def no_such_pair(*_: object, **__: object) -> None:
        raise BadRequest("no longer offered")

    monkeypatch.setattr(services, "price_now", no_such_pair)
    pay(row)
    network_confirms(row.refunds.get())
    shown = show(anchor, row)
    assert (shown["amount_fee"], shown["amount_fee_asset"]) == ("0", MXN)
    assert books().refunded == 100


# -- The books ------------------------------------------------------------------------------------
def make_books(anchor: RegisteredAnchor) -> None:
    """Fees in what came in and in what went out, and what was sent back or is still held."""
    for row in (
        make_transaction(anchor),
        create(anchor, with_quote=True),
        create(anchor, with_quote=False),
    ):
        pay(row)
        rail_says(row, "delivered")
    send_back(create(anchor, with_quote=True))
    pay(create(anchor, with_quote=True))


@pytest.mark.usefixtures("fee_in_pesos", "refund_fee")
def test_the_books_keep_each_fee_in_its_own_asset(anchor: RegisteredAnchor) -> None:
    make_books(anchor)
    assert books() == Balance(
        asset=usdc(),
        received=Decimal(500),
        paid_out=Decimal("298.5"),
        fees=Decimal("3.5"),
        refunded=Decimal(98),
        held=Decimal(100),
        fees_after_conversion={MXN: 2 * FEE},
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("fee_in_pesos", "refund_fee")
def test_reconcile_tells_the_fees_of_both_kinds(anchor: RegisteredAnchor) -> None:
    out = StringIO()
    make_transaction(anchor)
    pay(Transaction.objects.get())
    call_command("reconcile", "--offline", stdout=out)
    assert "fees_after_conversion: none" in out.getvalue()
    make_books(anchor)
    call_command("reconcile", "--offline", stdout=out)
    assert "fees_after_conversion: 417.34 iso4217:MXN" in out.getvalue()
    out = StringIO()
    call_command("reconcile", "--offline", "--json", stdout=out)
    [row] = json.loads(out.getvalue())
    assert row["balanced"] is True
    assert (row["fees"], row["fees_after_conversion"]) == ("3.5", {MXN: "417.34"})


# -- The admin ------------------------------------------------------------------------------------
@pytest.mark.usefixtures("fee_in_pesos")
def test_operators_see_the_fee_in_its_asset(anchor: RegisteredAnchor, admin_client: Client) -> None:
    row = create(anchor, with_quote=True)
    page = admin_client.get(reverse("admin:sep31_transaction_change", args=[row.pk]))
    assert "208.67 MXN" in page.content.decode()


# -- The table ------------------------------------------------------------------------------------
@pytest.mark.usefixtures("fee_in_pesos")
@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"amount_fee_asset": "iso4217:EUR", "amount_fee": 1}, "transaction_amount_fee_asset"),
        ({"amount_fee_asset": F("amount_in_asset")}, "transaction_amount_fee"),  # 208.67 of 100
        ({"amount_fee": Decimal("-0.01")}, "transaction_amount_fee"),
    ],
)
def test_the_table_refuses_a_fee_that_cant_be(
    anchor: RegisteredAnchor, changes: dict[str, Any], constraint: str
) -> None:
    create(anchor, with_quote=True)
    with pytest.raises(IntegrityError, match=f'"{constraint}"'), transaction.atomic():
        Transaction.objects.update(**changes)


@pytest.mark.django_db(transaction=True)
def test_the_migration_fills_what_was_there_and_what_comes_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In batches, and again from the beginning if it was stopped."""
    filling = importlib.import_module("sep31.migrations.0005_fill_fee_asset")
    monkeypatch.setattr(filling, "BATCH", 2)
    anchor = make_sending_anchor()
    rows = [make_transaction(anchor) for _ in range(5)]

    def migrate(name: str) -> None:
        MigrationExecutor(connection).migrate([("sep31", name)])

    def filled() -> list[str | None]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT amount_fee_asset FROM sep31_transaction")
            return [row[0] for row in cursor.fetchall()]

    try:
        migrate("0003_extensions")
        migrate("0004_fee_asset")
        assert filled() == [None] * 5
        with connection.schema_editor(atomic=False) as editor:
            filling.fill(None, editor)
        assert filled() == [usdc()] * 5
        with connection.cursor() as cursor:  # of a process of the version before
            cursor.execute(
                "UPDATE sep31_transaction SET amount_fee_asset = NULL WHERE id = %s", [rows[3].pk]
            )
        migrate("0005_fill_fee_asset")
        assert filled() == [usdc()] * 5
    finally:
        migrate("0005_fill_fee_asset")
    with pytest.raises(IntegrityError, match="not-null"):
        Transaction.objects.update(amount_fee_asset=None)
