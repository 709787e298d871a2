"""Rates, where they come from, and quotes that we stand by."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import models
from django.db.models import F, Q

from kernel.statements import Select
from sep10.models import SendingAnchor, beside_sending_anchor


class RateQuerySet(models.QuerySet["Rate"]):
    """Rates."""

    def newest_of(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Rate]:
        """The newest row of each (sell, buy) that has one, in one query."""
        wanted = list(names)
        if not wanted:
            return {}
        if len(wanted) == 1:
            rows = _NEWEST.fetch(wanted[0])
        else:
            rows = _NEWEST_OF_SEVERAL.fetch([list(side) for side in zip(*wanted, strict=True)])
        return {(rate.sell_asset, rate.buy_asset): rate for (rate,) in rows}


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
    source = models.CharField(
        max_length=100, default="operator", help_text="An operator, or one of [rate_sources]."
    )
    as_of = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it was so, as the source says; empty: when it was entered.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RateQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["sell_asset", "buy_asset", "-id"], name="rate_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(rate__gt=0), name="rate_positive"),
            # What two workers fetched at once is one rate.
            models.UniqueConstraint(
                fields=["sell_asset", "buy_asset", "source", "as_of"], name="rate_once"
            ),
        ]

    def __str__(self) -> str:
        return f"1 {self.sell_asset} = {self.rate} {self.buy_asset}"

    @property
    def since(self) -> datetime:
        """The moment that its age is counted from."""
        return self.as_of or self.created_at


# One index look-up a pair.
_NEWEST = Select(
    """
        SELECT {rate} FROM sep38_rate rate
        WHERE rate.sell_asset = %s AND rate.buy_asset = %s ORDER BY rate.id DESC LIMIT 1
    """,
    {"rate": Rate},
)
_NEWEST_OF_SEVERAL = Select(
    """
        SELECT {rate}
        FROM unnest(%s::text[], %s::text[]) AS wanted (sell_asset, buy_asset)
        CROSS JOIN LATERAL (
            SELECT * FROM sep38_rate
            WHERE sell_asset = wanted.sell_asset AND buy_asset = wanted.buy_asset
            ORDER BY id DESC LIMIT 1
        ) AS rate
    """,
    {"rate": Rate},
)


class HeldRateQuerySet(models.QuerySet["HeldRate"]):
    """Held rates."""

    def open(self) -> HeldRateQuerySet:
        return self.filter(outcome=HeldRate.Outcome.OPEN)

    def lock_open(self, pk: int) -> HeldRate | None:
        """Lock a held rate that nobody decided on yet."""
        return self.open().select_for_update().filter(pk=pk).first()


class HeldRate(models.Model):
    """A fetched rate that is too far from the one before: it waits for an operator, not in force.

    At most one of a pair is open; a later one of the source takes its place.
    """

    class Outcome(models.TextChoices):
        OPEN = "OPEN", "waits for an operator"
        ACCEPTED = "ACCEPTED", "accepted"
        REFUSED = "REFUSED", "refused"
        PASSED = "PASSED", "the source went on to another rate"

    sell_asset = models.CharField(max_length=80)
    buy_asset = models.CharField(max_length=80)
    rate = models.DecimalField(max_digits=30, decimal_places=12)
    source = models.CharField(max_length=100)
    as_of = models.DateTimeField()
    before = models.ForeignKey(
        Rate, on_delete=models.PROTECT, related_name="+", help_text="The rate it is far from."
    )
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OPEN)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    accepted_as = models.OneToOneField(
        Rate, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = HeldRateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sell_asset", "buy_asset", "source", "as_of"], name="held_rate_once"
            ),
            models.UniqueConstraint(
                fields=["sell_asset", "buy_asset"],
                condition=Q(outcome="OPEN"),
                name="held_rate_open_once",
            ),
            models.CheckConstraint(condition=Q(rate__gt=0), name="held_rate_positive"),
            models.CheckConstraint(
                condition=Q(outcome="ACCEPTED", accepted_as__isnull=False)
                | (~Q(outcome="ACCEPTED") & Q(accepted_as__isnull=True)),
                name="held_rate_accepted_as",
            ),
        ]

    def __str__(self) -> str:
        return f"1 {self.sell_asset} = {self.rate} {self.buy_asset}"


class RateFeedQuerySet(models.QuerySet["RateFeed"]):
    """Feeds."""

    def lock(self, name: str) -> RateFeed:
        """Lock a feed while what it brought is recorded: one worker at a time."""
        return self.select_for_update().get(pk=name)


class RateFeed(models.Model):
    """One of `[rate_sources]`: when it is asked next, and how that went last."""

    name = models.CharField(max_length=60, primary_key=True)
    due_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    error = models.CharField(max_length=300, blank=True)

    objects = RateFeedQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class QuoteQuerySet(models.QuerySet["Quote"]):
    """Quotes."""

    def read_owned(self, pk: str, account: str) -> tuple[SendingAnchor | None, Quote | None]:
        """The sending anchor of `account` (G...), if there is one, and the quote that was given to
        that account of it. One query."""
        return next(iter(_OWNED.fetch([pk, account])), (None, None))

    def lock_expired(self, before: datetime, limit: int) -> list[Quote]:
        """Lock up to `limit` quotes that expired before a moment and were not kept."""
        rows = self.filter(kept=False, expires_at__lt=before).order_by("expires_at")
        return list(rows.select_for_update(skip_locked=True).only("pk")[:limit])


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
    kept = models.BooleanField(
        default=False, help_text="Redeemed: the purge looked at it and leaves it for good."
    )

    objects = QuoteQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-created_at"], name="quote_newest"),
            # What the purge has not looked at yet: it never walks through all of history.
            models.Index(fields=["expires_at"], condition=Q(kept=False), name="quote_to_purge"),
        ]
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


_OWNED = beside_sending_anchor(
    {
        "quote": (
            Quote,
            *("sell_asset", "sell_amount", "buy_asset", "buy_amount", "price", "total_price"),
            *("fee", "fee_total", "fee_asset", "context", "buy_delivery_method", "expires_at"),
        )
    },
    """
        LEFT JOIN (SELECT * FROM sep38_quote WHERE id = %s::uuid OFFSET 0) AS quote
            ON quote.account = account.account AND quote.sending_anchor_id = anchor.id
    """,
)
