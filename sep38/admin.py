"""Rates, which operators or sources add and nobody changes, and the quotes made from them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from kernel.admin import (
    ConfirmedAction,
    DateFilter,
    Done,
    Panel,
    RecordAdmin,
    ago,
    asset_filter,
    at,
    label,
    link_to,
    money,
)
from kernel.assets import AssetName
from kernel.money import format_amount
from sep38.feeds import accept_held_rate, refuse_held_rate
from sep38.models import HeldRate, Quote, Rate, RateFeed
from sep38.pairs import all_pairs
from sep38.services import parse_rate, set_rate

# A slip of one digit moves a rate by more than this; a market hardly ever does in one step.
SUSPICIOUS_MOVE = Decimal("0.10")


def _written(asset: AssetName) -> str:
    issuer = asset.issuer
    return f"{asset.code} of {issuer[:6]}…{issuer[-6:]}" if issuer else asset.code


class RateForm(forms.ModelForm):
    """A new rate of a configured pair. One that moves far must be meant."""

    pair = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    new_rate = forms.CharField(
        label="Rate",
        max_length=25,
        widget=UnfoldAdminTextInputWidget,
        help_text="Units of the bought asset for one unit of the sold one, before our spread, "
        "for example 17.05. In force as soon as it is saved.",
    )
    is_meant = forms.BooleanField(
        label="Yes, it moves that far",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=f"Needed if it is more than {SUSPICIOUS_MOVE:.0%} away from the rate in force.",
    )

    class Meta:
        model = Rate
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            (str(number), f"{_written(pair.sell)} for {_written(pair.buy)}")
            for number, pair in enumerate(all_pairs())
        ]
        self.fields["pair"] = forms.ChoiceField(
            choices=choices, widget=UnfoldAdminSelectWidget(choices=choices)
        )

    def clean_new_rate(self) -> Decimal:
        try:
            return parse_rate(self.cleaned_data["new_rate"].strip())
        except ValueError as error:
            raise forms.ValidationError(f"The rate {error}.") from error

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if "pair" not in data or "new_rate" not in data:
            return data
        pair = all_pairs()[int(data["pair"])]
        names = (str(pair.sell), str(pair.buy))
        newest = Rate.objects.newest_of([names]).get(names)
        if newest is None or data.get("is_meant"):
            return data
        move = abs(data["new_rate"] - newest.rate) / newest.rate
        if move > SUSPICIOUS_MOVE:
            self.add_error(
                "new_rate",
                f"The rate in force is {format_amount(newest.rate)}; this is {move:.0%} away. "
                "Correct it, or say below that you mean it.",
            )
        return data


@admin.register(Rate)
class RateAdmin(RecordAdmin):
    form = RateForm
    list_display = ("sold", "bought", "written_rate", "source", "since")
    list_filter = (
        asset_filter("sell_asset"),
        asset_filter("buy_asset"),
        ("created_at", DateFilter),
    )
    ordering = ("-pk",)
    show_add_link = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sep38.add_rate")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["pair", "new_rate", "is_meant"]})]
        return super().get_fieldsets(request, obj)

    def save_model(self, request: HttpRequest, obj: Rate, form: Any, change: bool) -> None:
        pair = all_pairs()[int(form.cleaned_data["pair"])]
        saved = set_rate(
            pair.sell,
            pair.buy,
            format(form.cleaned_data["new_rate"], "f"),
            source=request.user.get_username()[:100],
        )
        # The row that the admin goes on with is the one that the service wrote.
        obj.__dict__.update(saved.__dict__)

    @display(description="One of", ordering="sell_asset")
    def sold(self, row: Rate) -> str:
        return row.sell_asset.split(":")[1]

    @display(description="In", ordering="buy_asset")
    def bought(self, row: Rate) -> str:
        return row.buy_asset.split(":")[1]

    @display(description="Rate")
    def written_rate(self, row: Rate) -> str:
        return format_amount(row.rate)

    @display(description="Since")
    def since(self, row: Rate) -> str:
        return ago(row.since)


class _HeldRateAction(ConfirmedAction):
    permission = "sep38.add_rate"
    effect: ClassVar[str]

    def refusal(self, row: HeldRate) -> str:
        if row.outcome == HeldRate.Outcome.OPEN:
            return ""
        by = f" by {row.decided_by}" if row.decided_by else ""
        return f"It does not wait any more: {row.get_outcome_display()}{by}."

    def explain(self, row: HeldRate) -> list[tuple[str, Any]]:
        names = (row.sell_asset, row.buy_asset)
        newest = Rate.objects.newest_of([names]).get(names)
        in_force = newest or row.before
        return [
            ("One of", row.sell_asset),
            ("In", row.buy_asset),
            ("Held rate", f"{format_amount(row.rate)}, as of {at(row.as_of)}, from {row.source}"),
            ("In force", f"{format_amount(in_force.rate)}, since {at(in_force.since)}"),
            ("Difference", f"{(row.rate - in_force.rate) / in_force.rate:+.1%}"),
            ("Effect", self.effect),
        ]


class AcceptHeldRate(_HeldRateAction):
    name = "accept"
    label = "Put it in force"
    icon = "check"
    is_dangerous = True
    effect = "Quotes are made from it at once."

    def perform(self, request: HttpRequest, row: HeldRate, data: Mapping[str, Any]) -> Done:
        rate = accept_held_rate(row.pk, request.user.get_username())
        return Done(f"It is in force (rate #{rate.pk}).")


class RefuseHeldRate(_HeldRateAction):
    name = "refuse"
    label = "Don't use it"
    icon = "block"
    effect = (
        "The rate in force stays, until it is too old. The source's next one is looked at anew."
    )

    def perform(self, request: HttpRequest, row: HeldRate, data: Mapping[str, Any]) -> Done:
        refuse_held_rate(row.pk, request.user.get_username())
        return Done("It is not used.")


@admin.register(HeldRate)
class HeldRateAdmin(RecordAdmin):
    """Fetched rates that are too far from the last one."""

    list_display = ("sold", "bought", "written_rate", "rate_before", "source", "state", "since")
    list_filter = ("outcome", asset_filter("sell_asset"), asset_filter("buy_asset"))
    list_select_related = ("before",)
    ordering = ("-pk",)
    confirmed_actions = (AcceptHeldRate(), RefuseHeldRate())

    @display(description="One of")
    def sold(self, row: HeldRate) -> str:
        return row.sell_asset.split(":")[1]

    @display(description="In")
    def bought(self, row: HeldRate) -> str:
        return row.buy_asset.split(":")[1]

    @display(description="Rate")
    def written_rate(self, row: HeldRate) -> str:
        return format_amount(row.rate)

    @display(description="The one before")
    def rate_before(self, row: HeldRate) -> str:
        return format_amount(row.before.rate)

    @display(description="State")
    def state(self, row: HeldRate) -> str:
        kind = "danger" if row.outcome == HeldRate.Outcome.OPEN else ""
        return label(row.get_outcome_display(), kind)

    @display(description="As of")
    def since(self, row: HeldRate) -> str:
        return ago(row.as_of)


@admin.register(RateFeed)
class RateFeedAdmin(RecordAdmin):
    """How the sources of rates do."""

    list_display = ("name", "state", "answered", "due", "error")
    ordering = ("name",)

    @display(description="State")
    def state(self, row: RateFeed) -> str:
        failing = f"failed {row.failures} times"
        return label(failing, "danger") if row.failures else label("answers", "success")

    @display(description="Answered last")
    def answered(self, row: RateFeed) -> str:
        return ago(row.answered_at)

    @display(description="Asked next")
    def due(self, row: RateFeed) -> str:
        return ago(row.due_at)


@admin.register(Quote)
class QuoteAdmin(RecordAdmin):
    list_display = (
        "quote",
        "sold",
        "bought",
        "total_price",
        "fee",
        "sending_anchor",
        "made",
        "until",
    )
    list_filter = (
        "sending_anchor",
        asset_filter("sell_asset"),
        asset_filter("buy_asset"),
        ("created_at", DateFilter),
    )
    list_select_related = ("sending_anchor",)
    ordering = ("-created_at",)
    search_by = {"id": ("pk",)}
    search_help_text = "A quote's id"

    def panels(self, request: HttpRequest, row: Quote) -> list[Panel]:
        return [
            Panel(
                "Quote",
                [
                    ["Sold to us", money(row.sell_amount, row.sell_asset)],
                    ["Bought from us", money(row.buy_amount, row.buy_asset)],
                    ["Price", f"{row.price}; with the fee {row.total_price}"],
                    ["Fee", money(row.fee_total, row.fee_asset)],
                    ["Made from the rate", link_to("sep38.rate", row.rate_id, f"#{row.rate_id}")],
                    ["Stands until", at(row.expires_at)],
                ],
            )
        ]

    @display(description="Quote")
    def quote(self, row: Quote) -> str:
        return str(row.pk)

    @display(description="Sold to us")
    def sold(self, row: Quote) -> str:
        return money(row.sell_amount, row.sell_asset)

    @display(description="Bought from us")
    def bought(self, row: Quote) -> str:
        return money(row.buy_amount, row.buy_asset)

    @display(description="Fee")
    def fee(self, row: Quote) -> str:
        return money(row.fee_total, row.fee_asset)

    @display(description="Made", ordering="created_at")
    def made(self, row: Quote) -> str:
        return ago(row.created_at)

    @display(description="Stands until")
    def until(self, row: Quote) -> str:
        return ago(row.expires_at)
