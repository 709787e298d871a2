"""Payouts and their attempts. What the rail was told of a person stays sealed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from kernel.admin import (
    DateFilter,
    Panel,
    RecordAdmin,
    ago,
    asset_filter,
    at,
    label,
    link_to,
    link_to_subject,
    money,
)
from payouts.models import Attempt, Payout

PAYOUT_KINDS = {
    "due": "info",
    "in_flight": "info",
    "accepted": "info",
    "claimed": "info",
    "delivered": "success",
    "held": "warning",
    "refused": "warning",
    "failed": "danger",
    "cancelled": "",
}


def describe_payout(row: Payout) -> Panel:
    """What operators ask about a payout first."""
    return Panel(
        "Payout",
        [
            ["Payout", link_to("payouts.payout", row.pk)],
            ["Status", label(row.status, PAYOUT_KINDS[row.status])],
            ["That is", Payout.Status(row.status).label],
            ["Amount", money(row.amount, row.asset)],
            ["By", f"{row.method}, {row.rail.rsplit('.', 1)[-1]}"],
            ["The rail said", row.message or "nothing"],
            ["The rail's reference", row.rail_reference or "none"],
            ["Refused fields", _refused(row) or "none"],
            ["Tries", row.tries],
            ["Next try", ago(row.next_try_at)],
        ],
    )


def _refused(row: Payout) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(row.refused_fields.items()))


def describe_attempts(row: Payout) -> Panel:
    attempts = row.attempts.defer("details").order_by("-number")[:50]
    return Panel(
        "Attempts",
        [
            [
                attempt.number,
                link_to("payouts.attempt", attempt.pk),
                label(attempt.status, PAYOUT_KINDS[attempt.status]),
                attempt.message or "-",
                attempt.rail_reference or "-",
                attempt.calls,
                at(attempt.created_at),
            ]
            for attempt in attempts
        ],
        ["No.", "Key at the rail", "Status", "The rail said", "Reference", "Calls", "Begun"],
    )


class TriesFilter(admin.SimpleListFilter):
    title = "how often it was tried"
    parameter_name = "tries"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("again", "twice or more")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(tries__gte=2) if self.value() == "again" else queryset


class UnknownFilter(admin.SimpleListFilter):
    """In flight, asked for more than once, and still no answer."""

    title = "whether its outcome is known"
    parameter_name = "unknown"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "not known after two calls")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() != "yes":
            return queryset
        return queryset.filter(
            status=Payout.Status.IN_FLIGHT,
            attempts__status=Attempt.Status.CLAIMED,
            attempts__calls__gte=2,
        )


@admin.register(Payout)
class PayoutAdmin(RecordAdmin):
    list_display = ("payout", "state", "paid", "method", "tries", "message", "since", "next_try")
    list_filter = (
        "status",
        UnknownFilter,
        TriesFilter,
        asset_filter("asset"),
        ("created_at", DateFilter),
    )
    ordering = ("-created_at",)
    search_by = {"id": ("pk", "reference", "attempts__pk")}
    search_help_text = "The id of a payout, of its transaction, or of an attempt (the rail's key)"

    def panels(self, request: HttpRequest, row: Payout) -> list[Panel]:
        facts = describe_payout(row)
        facts.rows.insert(1, ["For", link_to_subject("payout", row.reference)])
        return [facts, describe_attempts(row)]

    @display(description="Payout")
    def payout(self, row: Payout) -> str:
        return str(row.pk)

    @display(description="Status", ordering="status", label=PAYOUT_KINDS)
    def state(self, row: Payout) -> str:
        return row.status

    @display(description="Amount")
    def paid(self, row: Payout) -> str:
        return money(row.amount, row.asset)

    @display(description="Made", ordering="created_at")
    def since(self, row: Payout) -> str:
        return ago(row.created_at)

    @display(description="Next try")
    def next_try(self, row: Payout) -> str:
        return ago(row.next_try_at)


@admin.register(Attempt)
class AttemptAdmin(RecordAdmin):
    list_display = ("attempt", "number", "state", "message", "calls", "of", "created_at")
    list_filter = ("status",)
    ordering = ("payout_id", "number")
    search_by = {"id": ("pk", "payout", "payout__reference")}
    search_help_text = "The id of an attempt (the rail's key), its payout, or its transaction"

    @display(description="Key at the rail")
    def attempt(self, row: Attempt) -> str:
        return str(row.pk)

    @display(description="Status", ordering="status", label=PAYOUT_KINDS)
    def state(self, row: Attempt) -> str:
        return row.status

    @display(description="Payout")
    def of(self, row: Attempt) -> str:
        return link_to("payouts.payout", row.payout_id)
