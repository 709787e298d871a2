"""Rates that operators edit and quotes that we stand by."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db import models
from django.db.models import F, Q

from sep10.models import SendingAnchor


class RateQuerySet(models.QuerySet["Rate"]):
    """Rates."""

    def newest_of(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Rate]:
        """The newest row of each (sell, buy): one query, one index look-up a pair."""
        newest = [
            self.filter(sell_asset=sell, buy_asset=buy).order_by("-pk")[:1] for sell, buy in names
        ]
        rows = newest[0].union(*newest[1:], all=True) if newest else ()
        return {(row.sell_asset, row.buy_asset): row for row in rows}


class Rate(models.Model):
    """How much of `buy_asset` one unit of `sell_asset` is worth, before our spread.

    Append-only: the newest row of a pair is in force, and a quote names the row it was made from.
    """

    sell_asset = models.CharField(max_length=80)
    buy_asset = models.CharField(max_length=80)
    rate = models.DecimalField(
        max_digits=30,
        decimal_places=12,
        help_text="Units of the buy asset for one unit of the sell asset, before our spread.",
    )
    source = models.CharField(max_length=100, default="operator")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RateQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["sell_asset", "buy_asset", "-id"], name="rate_newest")]
        constraints = [models.CheckConstraint(condition=Q(rate__gt=0), name="rate_positive")]

    def __str__(self) -> str:
        return f"1 {self.sell_asset} = {self.rate} {self.buy_asset}"


class Quote(models.Model):
    """A firm quote (SEP-38, POST /quote). Never changed; redeemed by at most one transaction,
    which the unique foreign key of that transaction enforces.

    `fee` is `{"total", "asset", "details": [{"name", "description", "amount"}]}` with string
    amounts, as it goes out. Prices are `sell per buy`; SEP-38's formulas hold exactly.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.PROTECT)
    account = models.CharField(max_length=56, help_text="Who asked (G...); only it may redeem.")
    sell_asset = models.CharField(max_length=80)
    sell_amount = models.DecimalField(max_digits=19, decimal_places=7)
    buy_asset = models.CharField(max_length=80)
    buy_amount = models.DecimalField(max_digits=19, decimal_places=7)
    price = models.CharField(max_length=60)
    total_price = models.CharField(max_length=60)
    fee = models.JSONField()
    fee_total = models.DecimalField(max_digits=19, decimal_places=7)
    fee_asset = models.CharField(max_length=80)
    context = models.CharField(max_length=10)
    buy_delivery_method = models.CharField(max_length=40, blank=True)
    country_code = models.CharField(max_length=6, blank=True)
    rate = models.ForeignKey(Rate, on_delete=models.PROTECT)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["-created_at"], name="quote_newest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(sell_amount__gt=0) & Q(buy_amount__gt=0), name="quote_amounts_positive"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="quote_expires_later"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
