"""Callbacks: what we told sending anchors, and what we could not tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from unfold.decorators import display

from callbacks.models import Callback
from callbacks.services import resend_callback
from kernel.admin import (
    ConfirmedAction,
    DateFilter,
    Done,
    Panel,
    RecordAdmin,
    ago,
    at,
    label,
    link_to,
    link_to_subject,
)

CALLBACK_KINDS = {"pending": "info", "delivered": "success", "given_up": "danger"}


class Resend(ConfirmedAction):
    name = "resend"
    label = "Send again"
    permission = "callbacks.resend_callback"
    icon = "send"

    def refusal(self, row: Callback) -> str:
        pending = row.status == Callback.Status.PENDING
        return "It is still being delivered, by itself." if pending else ""

    def explain(self, row: Callback) -> list[tuple[str, Any]]:
        return [
            ("About", link_to_subject(*row.stream.split(":", 1))),
            ("Sent to", row.host),
            ("Written", at(row.created_at)),
            ("So far", Callback.Status(row.status).label),
            (
                "Mind",
                "The body is the one that was written then. Whoever gets it may hear of an older "
                "status after a newer one.",
            ),
        ]

    def perform(self, request: HttpRequest, row: Callback, data: Mapping[str, Any]) -> Done:
        resend_callback(row.pk)
        return Done("The callback will be sent again.")


def describe_callbacks(stream: str) -> Panel:
    """The newest callbacks of one stream."""
    callbacks = Callback.objects.filter(stream=stream).order_by("-pk").defer("body", "url")
    return Panel(
        "Callbacks",
        [
            [
                link_to("callbacks.callback", row.pk, f"#{row.pk}"),
                label(row.status, CALLBACK_KINDS[row.status]),
                row.host,
                row.tries,
                row.last_error or (row.last_status or "-"),
                at(row.created_at),
                at(row.delivered_at),
            ]
            for row in callbacks[:50]
        ],
        ["No.", "Status", "To", "Tries", "Last answer", "Written", "Delivered"],
    )


class UnansweredFilter(admin.SimpleListFilter):
    title = "whether the host answers"
    parameter_name = "unreachable"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "the host does not answer")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() != "yes":
            return queryset
        return queryset.filter(status=Callback.Status.PENDING, unanswered__gt=0)


@admin.register(Callback)
class CallbackAdmin(RecordAdmin):
    list_display = (
        "callback",
        "state",
        "about",
        "host",
        "tries",
        "last_error",
        "since",
        "next_try",
    )
    list_filter = ("status", UnansweredFilter, ("created_at", DateFilter))
    ordering = ("-pk",)
    search_by = {
        "id": (
            lambda term: Q(stream__in=[f"{kind}:{term.lower()}" for kind in ("sep31", "sep12")]),
        ),
        "number": ("pk",),
        "text": (lambda term: Q(status=Callback.Status.PENDING, host=term.lower()),),
    }
    search_help_text = "The id of a transaction or customer, a callback's number, or a host"
    confirmed_actions = (Resend(),)

    def panels(self, request: HttpRequest, row: Callback) -> list[Panel]:
        return [
            Panel(
                "Callback",
                [
                    ["About", link_to_subject(*row.stream.split(":", 1))],
                    ["Status", label(row.status, CALLBACK_KINDS[row.status])],
                    ["That is", Callback.Status(row.status).label],
                    ["To", row.host],
                    ["Tries", row.tries],
                    ["Last answer", row.last_error or (row.last_status or "none")],
                    ["Next try", ago(row.next_try_at) if row.status == "pending" else "-"],
                    ["Given up after", at(row.give_up_at)],
                ],
            )
        ]

    @display(description="No.", ordering="pk")
    def callback(self, row: Callback) -> str:
        return f"#{row.pk}"

    @display(description="Status", ordering="status", label=CALLBACK_KINDS)
    def state(self, row: Callback) -> str:
        return row.status

    @display(description="About")
    def about(self, row: Callback) -> str:
        return link_to_subject(*row.stream.split(":", 1))

    @display(description="Written", ordering="pk")
    def since(self, row: Callback) -> str:
        return ago(row.created_at)

    @display(description="Next try")
    def next_try(self, row: Callback) -> str:
        return ago(row.next_try_at) if row.status == Callback.Status.PENDING else "-"
