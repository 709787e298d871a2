"""Transactions and all that happened to them, and the inbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from callbacks.admin import describe_callbacks
from kernel.admin import (
    ConfirmedAction,
    DateFilter,
    Done,
    Panel,
    RecordAdmin,
    age,
    ago,
    asset_filter,
    at,
    label,
    link_to,
    link_to_list,
    money,
    shorten,
)
from payouts.admin import describe_attempts, describe_payout
from sep10.models import SendingAnchorAccount
from sep12.admin import STATUS_KINDS as CUSTOMER_KINDS
from sep12.services import assess_customers
from sep31.facts import customers_of
from sep31.inbox import keep_inbox_receipt, refund_inbox_receipt
from sep31.machine import FINAL, Status, Wish
from sep31.messages import STATUS_MESSAGES
from sep31.models import (
    MEMO_TYPES,
    Event,
    Feed,
    IdempotentRequest,
    Receipt,
    Refund,
    StatusTime,
    Transaction,
)
from sep31.refunds import refund_fee
from sep31.services import operators_choices, request_by_operator
from stellar.admin import OUTGOING_KINDS
from stellar.services import ledger_clock

STATUS_KINDS = {
    Status.PENDING_SENDER.value: "info",
    Status.PENDING_RECEIVER.value: "info",
    Status.PENDING_EXTERNAL.value: "info",
    Status.PENDING_CUSTOMER_INFO_UPDATE.value: "warning",
    Status.PENDING_TRANSACTION_INFO_UPDATE.value: "warning",
    Status.COMPLETED.value: "success",
    Status.REFUNDED.value: "",
    Status.EXPIRED.value: "",
    Status.ERROR.value: "danger",
}

# What each status means for the one who looks after it.
MEANINGS = {
    Status.PENDING_SENDER: "We wait for the sending anchor's payment on Stellar.",
    Status.PENDING_RECEIVER: "It is our turn: customers are being checked, or a payout is due.",
    Status.PENDING_EXTERNAL: "The rail has the payout; we wait for its answer.",
    Status.PENDING_CUSTOMER_INFO_UPDATE: (
        "We hold the money and wait until the sending anchor corrects a customer's information."
    ),
    Status.PENDING_TRANSACTION_INFO_UPDATE: (
        "We hold the money and wait until the sending anchor corrects fields of the transaction."
    ),
    Status.COMPLETED: "The receiving client was paid. Nothing is left to do.",
    Status.REFUNDED: "The money went back on Stellar. Nothing is left to do.",
    Status.EXPIRED: "No payment came in time. Nothing is left to do.",
    Status.ERROR: "It stopped and waits for an operator.",
}

REST_KINDS = {"none": "", "refund": "info", "inbox": "warning", "kept": ""}
RECEIPT_KINDS: dict[str, str] = {
    "agreed": "success",
    "overpaid": "warning",
    **dict.fromkeys(sorted(set(Receipt.Outcome.values) - {"agreed", "overpaid"}), "danger"),
}


class _Request(ConfirmedAction):
    """An operator's wish: the state machine says whether it can be granted, now and under lock."""

    wish: ClassVar[Wish]

    def refusal(self, row: Transaction) -> str:
        return operators_choices(row)[self.wish]

    def perform(self, request: HttpRequest, row: Transaction, data: Mapping[str, Any]) -> Done:
        request_by_operator(row.pk, self.wish, request.user.get_username())
        return Done(self.done)

    done: ClassVar[str]


class RetryTransaction(_Request):
    name = "retry"
    label = "Try again"
    permission = "sep31.retry_transaction"
    icon = "replay"
    wish = Wish.RETRY
    done = "It is being tried again."

    def explain(self, row: Transaction) -> list[tuple[str, Any]]:
        refund = _credited_refund(row)
        if refund is not None:
            what = "The refund is signed and submitted again, after a look at the ledger."
            amount, whom = money(refund.amount, refund.outgoing.asset), refund.outgoing.destination
        else:
            what = (
                "The payout goes to the rail again, with what we know of the receiving client now."
            )
            amount = money(row.amount_out, row.amount_out_asset)
            whom = f"customer {row.receiver_id}" if row.receiver_id else "no customer"
        return [
            ("Transaction", str(row.pk)),
            ("It is", f"{row.status}: {STATUS_MESSAGES[row.reason]}"),
            ("What happens", what),
            ("Amount", amount),
            ("To", whom),
        ]


class RefundTransaction(_Request):
    name = "refund"
    label = "Send the money back"
    permission = "sep31.refund_transaction"
    icon = "undo"
    is_dangerous = True
    wish = Wish.REFUND
    done = "The money is being sent back."

    def explain(self, row: Transaction) -> list[tuple[str, Any]]:
        receipt = row.receipts.filter(credited__gt=0).select_related("payment").first()
        facts: list[tuple[str, Any]] = [
            ("Transaction", str(row.pk)),
            ("It is", f"{row.status}: {STATUS_MESSAGES[row.reason]}"),
        ]
        if receipt is None:
            return [*facts, ("Amount", "nothing was credited")]
        return [
            *facts,
            *_where_back(receipt, receipt.credited),
            ("The payout", "is given up for good. It is not sent back if a payout may still pay."),
        ]


def _where_back(receipt: Receipt, whole: Any) -> list[tuple[str, Any]]:
    payment = receipt.payment
    fee = refund_fee(whole, payment.asset)
    facts = [
        ("Sent back on Stellar", money(whole - fee, payment.asset)),
        ("Kept as our fee", money(fee, payment.asset)),
        ("To", payment.from_muxed or payment.from_account),
    ]
    if payment.operation_type == "account_merge":
        facts.append(("Mind", "That account was merged into ours: it may not exist any more."))
    return facts


def _credited_refund(row: Transaction) -> Refund | None:
    part = row.refunds.filter(part=Refund.Part.CREDITED)
    return part.select_related("outgoing").first()


def _transactions_by_memo(term: str) -> Q:
    return Q(stellar_account=settings.DISTRIBUTION_ACCOUNT, memo_type__in=MEMO_TYPES, memo=term)


def _transactions_of_account(term: str) -> Q:
    # The index is by sending anchor; the account alone has none.
    owner = SendingAnchorAccount.objects.filter(account=term).values("sending_anchor")
    return Q(sending_anchor__in=owner, account=term)


class OpenFilter(admin.SimpleListFilter):
    title = "whether it ended"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "open"), ("no", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "yes":
            return queryset.exclude(status__in=FINAL)
        return queryset.filter(status__in=FINAL) if self.value() == "no" else queryset


@admin.register(Transaction)
class TransactionAdmin(RecordAdmin):
    list_display = (
        "transaction",
        "state",
        "why",
        "for_how_long",
        "amount_agreed",
        "amount_delivered",
        "sending_anchor",
        "memo_text",
        "begun",
    )
    list_filter = (
        "status",
        OpenFilter,
        "reason",
        "sending_anchor",
        asset_filter("amount_in_asset"),
        asset_filter("amount_out_asset"),
        ("started_at", DateFilter),
    )
    list_select_related = ("sending_anchor", "quote")
    ordering = ("-started_at",)
    search_by = {
        "id": ("pk", "quote", "payout", "sender", "receiver"),
        "hash": (
            "receipts__payment__transaction_hash",
            "refunds__outgoing__transaction_hash",
            _transactions_by_memo,
        ),
        "number": (_transactions_by_memo, "receipts__payment"),
        "account": (_transactions_of_account,),
        "text": (_transactions_by_memo,),
    }
    search_help_text = (
        "The id of a transaction, quote, payout or customer; a memo; a Stellar transaction's hash; "
        "a sending anchor's account"
    )
    confirmed_actions = (RetryTransaction(), RefundTransaction())

    def panels(self, request: HttpRequest, row: Transaction) -> list[Panel]:
        panels = [
            self._situation(row),
            self._timeline(row),
            self._receipts(row),
            self._customers(row),
        ]
        if row.payout is not None:
            panels += [describe_payout(row.payout), describe_attempts(row.payout)]
        return [*panels, self._refunds(row), describe_callbacks(f"sep31:{row.pk}")]

    def _situation(self, row: Transaction) -> Panel:
        quote = link_to("sep38.quote", row.quote_id) if row.quote_id else "none"
        wish = f"{row.operator_request}, by {row.operator}" if row.operator_request else ""
        return Panel(
            "Situation",
            [
                ["Status", label(row.status, STATUS_KINDS[row.status])],
                ["That is", MEANINGS[Status(row.status)]],
                ["Why", STATUS_MESSAGES[row.reason]],
                ["For", f"{age(row.updated_at)}, since {at(row.updated_at)}"],
                ["Agreed to receive", money(row.amount_in, row.amount_in_asset)],
                ["Fee", money(row.amount_fee, row.amount_fee_asset)],
                ["To deliver", money(row.amount_out, row.amount_out_asset)],
                ["Delivered by", row.funding_method],
                [
                    "Sending anchor",
                    link_to("sep10.sendinganchor", row.sending_anchor_id, row.sending_anchor.name),
                ],
                ["Its account", row.account],
                ["Memo", f"{row.memo} ({row.memo_type})" + ("" if row.ready_at else ", not shown")],
                ["Quote", quote],
                ["To be paid until", f"{at(row.deadline)} by the ledger's clock"],
                ["Ledger read up to", at(ledger_clock(row.stellar_account))],
                *([["Asked for", wish]] if wish else []),
            ],
        )

    def _timeline(self, row: Transaction) -> Panel:
        events = list(row.events.order_by("-pk")[:200])
        return Panel(
            "Timeline",
            [
                [
                    at(event.at),
                    label(event.to_status, STATUS_KINDS[event.to_status])
                    if event.to_status != event.from_status
                    else "",
                    STATUS_MESSAGES[event.reason],
                    event.actor,
                ]
                for event in reversed(events)
            ],
            ["When", "New status", "Why", "By"],
        )

    def _receipts(self, row: Transaction) -> Panel:
        receipts = row.receipts.select_related("payment").order_by("-pk")[:50]
        return Panel(
            "Payments received",
            [
                [
                    link_to("sep31.receipt", receipt.pk, f"#{receipt.pk}"),
                    money(receipt.payment.amount, receipt.payment.asset),
                    label(receipt.outcome, RECEIPT_KINDS[receipt.outcome]),
                    money(receipt.credited, receipt.payment.asset),
                    money(receipt.uncredited, receipt.payment.asset),
                    label(receipt.rest, REST_KINDS[receipt.rest]) if receipt.uncredited else "-",
                    shorten(receipt.payment.transaction_hash),
                    at(receipt.payment.closed_at),
                ]
                for receipt in receipts
            ],
            [
                "Receipt",
                "Arrived",
                "It was",
                "Credited",
                "Not credited",
                "Which is",
                "Hash",
                "When",
            ],
        )

    def _customers(self, row: Transaction) -> Panel:
        pairs = customers_of(row)
        known = assess_customers((pk, kind) for pk, kind in pairs if pk is not None)
        rows = []
        for pk, kind in pairs:
            if pk is None:
                rows.append([kind, "not registered yet", label("NEEDS_INFO", "warning"), "-"])
                continue
            found = known[pk, kind]
            status = label(found.status, CUSTOMER_KINDS[found.status])
            rows.append([kind, link_to("sep12.customer", pk), status, found.message or "-"])
        return Panel("Customers", rows, ["As", "Customer", "Status", "Why"])

    def _refunds(self, row: Transaction) -> Panel:
        refunds = row.refunds.select_related("outgoing").order_by("-pk")[:50]
        return Panel(
            "Refunds",
            [
                [
                    link_to("sep31.refund", refund.pk, f"#{refund.pk}"),
                    refund.part,
                    money(refund.amount, refund.outgoing.asset),
                    money(refund.fee, refund.outgoing.asset),
                    refund.actor,
                    label(refund.outgoing.status, OUTGOING_KINDS[refund.outgoing.status]),
                    link_to(
                        "stellar.outgoingpayment",
                        refund.outgoing_id,
                        f"payment #{refund.outgoing_id}",
                    ),
                    refund.outgoing.last_error or "-",
                ]
                for refund in refunds
            ],
            ["Refund", "Of the part", "Amount", "Fee", "By", "Status", "Paid as", "Last error"],
        )

    @display(description="Transaction")
    def transaction(self, row: Transaction) -> str:
        return shorten(str(row.pk))

    @display(description="Status", ordering="status", label=STATUS_KINDS)
    def state(self, row: Transaction) -> str:
        return row.status

    @display(description="Why")
    def why(self, row: Transaction) -> str:
        return row.reason.replace("_", " ")

    @display(description="For")
    def for_how_long(self, row: Transaction) -> str:
        return age(row.updated_at)

    @display(description="Agreed")
    def amount_agreed(self, row: Transaction) -> str:
        return money(row.amount_in, row.amount_in_asset)

    @display(description="To deliver")
    def amount_delivered(self, row: Transaction) -> str:
        return money(row.amount_out, row.amount_out_asset)

    @display(description="Memo")
    def memo_text(self, row: Transaction) -> str:
        return shorten(row.memo)

    @display(description="Begun", ordering="started_at")
    def begun(self, row: Transaction) -> str:
        return ago(row.started_at)


@admin.register(Event)
class EventAdmin(RecordAdmin):
    list_display = ("when", "of", "from_status", "to_status", "reason", "actor")
    list_filter = ("reason", ("at", DateFilter))
    ordering = ("-pk",)
    search_by = {"id": ("transaction",)}
    search_help_text = "A transaction's id"

    @display(description="When", ordering="pk")
    def when(self, row: Event) -> str:
        return at(row.at)

    @display(description="Transaction")
    def of(self, row: Event) -> str:
        return link_to("sep31.transaction", row.transaction_id)


class _Inbox(ConfirmedAction):
    permission = "sep31.decide_receipt"

    def refusal(self, row: Receipt) -> str:
        if row.rest == Receipt.Rest.INBOX:
            return ""
        if row.rest == Receipt.Rest.NONE:
            return "All of it was credited."
        return f"{row.decided_by} decided already: {Receipt.Rest(row.rest).label}."


class RefundReceipt(_Inbox):
    name = "refund"
    label = "Send it back"
    icon = "undo"
    is_dangerous = True

    def explain(self, row: Receipt) -> list[tuple[str, Any]]:
        return [
            ("Received payment", f"#{row.pk}: {Receipt.Outcome(row.outcome).label}"),
            *_where_back(row, row.uncredited),
        ]

    def perform(self, request: HttpRequest, row: Receipt, data: Mapping[str, Any]) -> Done:
        refund = refund_inbox_receipt(row.pk, request.user.get_username())
        return Done(f"It is being sent back (refund #{refund.pk}).")


class KeepReceipt(_Inbox):
    name = "keep"
    label = "Keep it"
    icon = "savings"

    def explain(self, row: Receipt) -> list[tuple[str, Any]]:
        return [
            ("Received payment", f"#{row.pk}: {Receipt.Outcome(row.outcome).label}"),
            ("Kept", money(row.uncredited, row.payment.asset)),
            ("It came from", row.payment.from_muxed or row.payment.from_account),
            ("Effect", "No receiving client is paid and nothing goes back. This can't be undone."),
        ]

    def perform(self, request: HttpRequest, row: Receipt, data: Mapping[str, Any]) -> Done:
        keep_inbox_receipt(row.pk, request.user.get_username())
        return Done("It is kept.")


@admin.register(Receipt)
class ReceiptAdmin(RecordAdmin):
    list_display = (
        "receipt",
        "was",
        "arrived",
        "credit",
        "uncredit",
        "fate",
        "of",
        "payer",
        "since",
    )
    list_filter = (
        "rest",
        "outcome",
        asset_filter("payment__asset"),
        ("created_at", DateFilter),
    )
    list_select_related = ("payment",)
    ordering = ("-pk",)
    search_by = {
        "id": ("transaction",),
        "number": (
            "pk",
            lambda term: Q(
                payment__account=settings.DISTRIBUTION_ACCOUNT,
                payment__memo_type="id",
                payment__memo=term,
            ),
        ),
        "hash": ("payment__transaction_hash",),
        "text": (
            lambda term: Q(
                payment__account=settings.DISTRIBUTION_ACCOUNT,
                payment__memo_type="text",
                payment__memo=term,
            ),
        ),
    }
    search_help_text = "A transaction's id, an operation's id, a hash on Stellar, or a memo"
    confirmed_actions = (RefundReceipt(), KeepReceipt())

    def panels(self, request: HttpRequest, row: Receipt) -> list[Panel]:
        payment = row.payment
        refunds = row.refunds.order_by("pk")
        return [
            Panel(
                "Receipt",
                [
                    ["The payment was", label(row.outcome, RECEIPT_KINDS[row.outcome])],
                    ["That is", Receipt.Outcome(row.outcome).label],
                    ["Arrived", money(payment.amount, payment.asset)],
                    ["Credited", money(row.credited, payment.asset)],
                    ["Not credited", money(row.uncredited, payment.asset)],
                    ["Which is", label(row.rest, REST_KINDS[row.rest])],
                    ["Decided by", row.decided_by],
                    ["From", payment.from_muxed or payment.from_account],
                    ["Memo", f"{payment.memo} ({payment.memo_type})" if payment.memo else "none"],
                    ["Ledger closed", at(payment.closed_at)],
                    ["Payment", link_to("stellar.receivedpayment", row.pk, f"#{row.pk}")],
                    [
                        "Transaction",
                        link_to("sep31.transaction", row.transaction_id)
                        if row.transaction_id
                        else "none",
                    ],
                    [
                        "Refunds",
                        link_to_list("sep31.refund", "see them", receipt__payment__exact=row.pk)
                        if refunds.exists()
                        else "none",
                    ],
                ],
            )
        ]

    @display(description="Receipt", ordering="pk")
    def receipt(self, row: Receipt) -> str:
        return f"#{row.pk}"

    @display(description="It was", ordering="outcome", label=RECEIPT_KINDS)
    def was(self, row: Receipt) -> str:
        return row.outcome

    @display(description="Arrived")
    def arrived(self, row: Receipt) -> str:
        return money(row.payment.amount, row.payment.asset)

    @display(description="Credited")
    def credit(self, row: Receipt) -> str:
        return money(row.credited, row.payment.asset)

    @display(description="Not credited")
    def uncredit(self, row: Receipt) -> str:
        return money(row.uncredited, row.payment.asset)

    @display(description="Which is", ordering="rest", label=REST_KINDS)
    def fate(self, row: Receipt) -> str:
        return row.rest

    @display(description="Transaction")
    def of(self, row: Receipt) -> str:
        return link_to("sep31.transaction", row.transaction_id) if row.transaction_id else "-"

    @display(description="From")
    def payer(self, row: Receipt) -> str:
        return shorten(row.payment.from_muxed or row.payment.from_account)

    @display(description="Since", ordering="pk")
    def since(self, row: Receipt) -> str:
        return ago(row.created_at)


@admin.register(Refund)
class RefundAdmin(RecordAdmin):
    list_display = ("refund", "state", "sent", "kept", "part", "of", "paid_as", "actor", "since")
    list_filter = (
        "outgoing__status",
        "part",
        asset_filter("outgoing__asset"),
        ("created_at", DateFilter),
    )
    list_select_related = ("outgoing",)
    ordering = ("-pk",)
    search_by = {
        "id": ("transaction",),
        "hash": ("outgoing__transaction_hash", "receipt__payment__transaction_hash"),
        "number": ("pk", "receipt"),
    }
    search_help_text = "A transaction's id, an operation's id, or a hash on Stellar"

    def panels(self, request: HttpRequest, row: Refund) -> list[Panel]:
        paid = row.outgoing
        return [
            Panel(
                "Refund",
                [
                    ["Status", label(paid.status, OUTGOING_KINDS[paid.status])],
                    ["Sent back", money(row.amount, paid.asset)],
                    ["Kept as our fee", money(row.fee, paid.asset)],
                    ["Of the part", row.part],
                    ["To", paid.destination],
                    ["Ordered by", row.actor],
                    ["Because", row.reason.replace("_", " ")],
                    ["Paid as", link_to("stellar.outgoingpayment", paid.pk, f"payment #{paid.pk}")],
                    ["Last error", paid.last_error or "none"],
                    ["Receipt", link_to("sep31.receipt", row.receipt_id, f"#{row.receipt_id}")],
                    [
                        "Transaction",
                        link_to("sep31.transaction", row.transaction_id)
                        if row.transaction_id
                        else "none",
                    ],
                ],
            )
        ]

    @display(description="Refund", ordering="pk")
    def refund(self, row: Refund) -> str:
        return f"#{row.pk}"

    @display(description="Status", label=OUTGOING_KINDS)
    def state(self, row: Refund) -> str:
        return row.outgoing.status

    @display(description="Sent back")
    def sent(self, row: Refund) -> str:
        return money(row.amount, row.outgoing.asset)

    @display(description="Fee")
    def kept(self, row: Refund) -> str:
        return money(row.fee, row.outgoing.asset)

    @display(description="Transaction")
    def of(self, row: Refund) -> str:
        return link_to("sep31.transaction", row.transaction_id) if row.transaction_id else "-"

    @display(description="Paid as")
    def paid_as(self, row: Refund) -> str:
        return link_to("stellar.outgoingpayment", row.outgoing_id, f"#{row.outgoing_id}")

    @display(description="Ordered", ordering="pk")
    def since(self, row: Refund) -> str:
        return ago(row.created_at)


@admin.register(Feed)
class FeedAdmin(RecordAdmin):
    list_display = ("sending_anchor", "last")
    list_select_related = ("sending_anchor",)
    ordering = ("pk",)
    search_by = {"number": ("pk",)}


@admin.register(StatusTime)
class StatusTimeAdmin(RecordAdmin):
    list_display = ("funding_method", "asset", "status", "seconds", "sample", "measured")
    list_filter = ("status",)
    ordering = ("funding_method", "asset", "status")
    search_by = {"text": ("funding_method",)}

    @display(description="Measured", ordering="measured_at")
    def measured(self, row: StatusTime) -> str:
        return ago(row.measured_at)


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(RecordAdmin):
    list_display = ("digest", "since")
    ordering = ("-created_at",)
    search_by = {"hash": ("pk",)}

    @display(description="When", ordering="created_at")
    def since(self, row: IdempotentRequest) -> str:
        return ago(row.created_at)
