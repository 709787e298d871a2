"""What the ledger told us and what we told the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from kernel.admin import (
    AssetFilter,
    ConfirmedAction,
    DateFilter,
    Done,
    Panel,
    RecordAdmin,
    ago,
    at,
    label,
    link_to_list,
    link_to_subject,
    money,
    shorten,
)
from kernel.errors import Conflict
from stellar.models import Cursor, OutgoingPayment, ReceivedPayment, UnreadRecord
from stellar.services import retry_outgoing_payment

OUTGOING_KINDS = {"pending": "info", "signed": "info", "confirmed": "success", "failed": "danger"}
_MEMO_TYPES = ["none", "id", "text", "hash", "return", "bytes"]


@admin.register(Cursor)
class CursorAdmin(RecordAdmin):
    list_display = ("account", "paging_token", "passed_ledger", "passed", "polled")
    ordering = ("account",)

    @display(description="Read up to")
    def passed(self, row: Cursor) -> str:
        return ago(row.passed_at)

    @display(description="Network last answered")
    def polled(self, row: Cursor) -> str:
        return ago(row.polled_at)


class ClaimedFilter(admin.SimpleListFilter):
    title = "whether it was matched"
    parameter_name = "claimed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "not matched yet"), ("yes", "matched")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in ("yes", "no"):
            return queryset.filter(claimed=self.value() == "yes")
        return queryset


def _received_by_memo(term: str) -> Q:
    return Q(account=settings.DISTRIBUTION_ACCOUNT, memo_type__in=_MEMO_TYPES, memo=term)


@admin.register(ReceivedPayment)
class ReceivedPaymentAdmin(RecordAdmin):
    list_display = ("operation_id", "received", "payer", "memo_text", "is_matched", "closed")
    list_filter = (ClaimedFilter, AssetFilter, ("closed_at", DateFilter))
    ordering = ("-operation_id",)
    search_by = {
        "number": ("pk", _received_by_memo),
        "hash": ("transaction_hash", _received_by_memo),
        "text": (_received_by_memo,),
    }
    search_help_text = "An operation's id, a transaction's hash, or a memo"

    def panels(self, request: HttpRequest, row: ReceivedPayment) -> list[Panel]:
        return [
            Panel(
                "Payment",
                [
                    ["Arrived", money(row.amount, row.asset)],
                    ["From", row.from_muxed or row.from_account],
                    ["Memo", f"{row.memo} ({row.memo_type})" if row.memo else "none"],
                    ["Ledger", f"{row.ledger}, closed {at(row.closed_at)}"],
                    ["Transaction on Stellar", row.transaction_hash],
                    [
                        "What we made of it",
                        link_to_subject("received", str(row.pk)) if row.claimed else "nothing yet",
                    ],
                ],
            )
        ]

    @display(description="Arrived")
    def received(self, row: ReceivedPayment) -> str:
        return money(row.amount, row.asset)

    @display(description="From")
    def payer(self, row: ReceivedPayment) -> str:
        return shorten(row.from_muxed or row.from_account)

    @display(description="Memo")
    def memo_text(self, row: ReceivedPayment) -> str:
        return shorten(row.memo) if row.memo else "-"

    @display(description="Matched", label={"yes": "success", "not yet": "warning"})
    def is_matched(self, row: ReceivedPayment) -> str:
        return "yes" if row.claimed else "not yet"

    @display(description="Ledger closed", ordering="operation_id")
    def closed(self, row: ReceivedPayment) -> str:
        return ago(row.closed_at)


class RetryOutgoing(ConfirmedAction):
    name = "retry"
    label = "Pay again"
    permission = "stellar.retry_outgoingpayment"
    icon = "replay"

    def refusal(self, row: OutgoingPayment) -> str:
        if row.status == OutgoingPayment.Status.FAILED:
            return ""
        return f"Only a failed payment can be tried again; this one is {row.status}."

    def explain(self, row: OutgoingPayment) -> list[tuple[str, Any]]:
        return [
            ("Paid on Stellar", money(row.amount, row.asset)),
            ("To", row.destination),
            ("Memo", f"{row.memo} ({row.memo_type})" if row.memo else "none"),
            ("It failed with", row.last_error or "no reason given"),
            ("How", "The last try is looked up on the ledger first, then it is signed anew."),
        ]

    def perform(self, request: HttpRequest, row: Any, data: Mapping[str, Any]) -> Done:
        retry_outgoing_payment(row.pk)
        return Done("The payment will be tried again.")


@admin.register(OutgoingPayment)
class OutgoingPaymentAdmin(RecordAdmin):
    list_display = ("payment", "state", "sent", "to", "tries", "last_error", "since")
    list_filter = ("status", AssetFilter, ("created_at", DateFilter))
    ordering = ("-pk",)
    search_by = {"hash": ("transaction_hash",), "number": ("pk",)}
    search_help_text = "A transaction's hash, or the payment's number"
    confirmed_actions = (RetryOutgoing(),)

    def panels(self, request: HttpRequest, row: OutgoingPayment) -> list[Panel]:
        meaning = OutgoingPayment.Status(row.status).label
        return [
            Panel(
                "Payment",
                [
                    ["Status", label(row.status, OUTGOING_KINDS[row.status])],
                    ["That is", meaning],
                    ["Amount", money(row.amount, row.asset)],
                    ["To", row.destination],
                    ["Memo", f"{row.memo} ({row.memo_type})" if row.memo else "none"],
                    ["Transaction on Stellar", row.transaction_hash or "not signed yet"],
                    ["Last error", row.last_error or "none"],
                    ["For", self._for(row)],
                ],
            )
        ]

    def _for(self, row: OutgoingPayment) -> str:
        model = settings.ADMIN_SUBJECTS["outgoing"]
        return link_to_list(model, "the refund", outgoing__id__exact=row.pk)

    @display(description="No.", ordering="pk")
    def payment(self, row: OutgoingPayment) -> str:
        return f"#{row.pk}"

    @display(description="Status", ordering="status", label=OUTGOING_KINDS)
    def state(self, row: OutgoingPayment) -> str:
        return row.status

    @display(description="Amount")
    def sent(self, row: OutgoingPayment) -> str:
        return money(row.amount, row.asset)

    @display(description="To")
    def to(self, row: OutgoingPayment) -> str:
        return shorten(row.destination)

    @display(description="Ordered")
    def since(self, row: OutgoingPayment) -> str:
        return ago(row.created_at)


class ResolveRecord(ConfirmedAction):
    name = "resolve"
    label = "Mark as dealt with"
    permission = "stellar.resolve_unreadrecord"
    icon = "done"

    def refusal(self, row: UnreadRecord) -> str:
        return f"That was done at {at(row.resolved_at)}." if row.resolved_at else ""

    def explain(self, row: UnreadRecord) -> list[tuple[str, Any]]:
        return [
            ("Operation", row.operation_id or "unknown"),
            ("Could not be read because", row.reason),
            ("Effect", "It leaves the list of what is stuck. No money is recorded for it."),
        ]

    def perform(self, request: HttpRequest, row: UnreadRecord, data: Mapping[str, Any]) -> Done:
        open_one = UnreadRecord.objects.filter(pk=row.pk, resolved_at=None)
        if not open_one.update(resolved_at=timezone.now()):
            raise Conflict("It was read, or dealt with, in the meantime.")
        return Done("Marked as dealt with.")


class ResolvedFilter(admin.SimpleListFilter):
    title = "whether it waits"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "waiting"), ("no", "read or dealt with")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in ("yes", "no"):
            return queryset.filter(resolved_at__isnull=self.value() == "yes")
        return queryset


@admin.register(UnreadRecord)
class UnreadRecordAdmin(RecordAdmin):
    list_display = ("operation", "reason", "since", "resolved")
    list_filter = (ResolvedFilter, ("recorded_at", DateFilter))
    ordering = ("-pk",)
    confirmed_actions = (ResolveRecord(),)

    @display(description="Operation")
    def operation(self, row: UnreadRecord) -> str:
        return str(row.operation_id or "unknown")

    @display(description="Recorded")
    def since(self, row: UnreadRecord) -> str:
        return ago(row.recorded_at)

    @display(description="Dealt with")
    def resolved(self, row: UnreadRecord) -> str:
        return ago(row.resolved_at)
