"""Customers: what we hold on them and what was decided, without saying who they are.

Values come to the screen by one way only: a POST that says so, and that the history records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

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
    shorten,
)
from kernel.errors import NotFound
from sep10.models import SendingAnchorAccount
from sep12.models import Customer, CustomerField, Decision
from sep12.services import assess_customers, record_decision, reveal_fields
from sep12.status import ACCEPTED, PROCESSING, REJECTED, Verdict
from sep12.types import customer_types, default_customer_type

STATUS_KINDS = {
    "ACCEPTED": "success",
    "PROCESSING": "info",
    "NEEDS_INFO": "warning",
    "VERIFICATION_REQUIRED": "warning",
    "REJECTED": "danger",
    "erased": "",
    "present": "success",
}


def _erased(row: Customer) -> str:
    return "The customer was erased; nothing is left of it." if row.erased_at else ""


def _who(row: Customer) -> list[tuple[str, Any]]:
    return [("Customer", str(row.pk)), ("Of", str(row.sending_anchor))]


class RevealValues(ConfirmedAction):
    name = "reveal"
    label = "Show personal data"
    permission = "sep12.reveal_customer"
    icon = "visibility"

    def refusal(self, row: Customer) -> str:
        return _erased(row)

    def explain(self, row: Customer) -> list[tuple[str, Any]]:
        names = row.fields.filter(value__isnull=False).order_by("name")
        return [
            *_who(row),
            ("You will see", ", ".join(names.values_list("name", flat=True)) or "nothing"),
            ("Recorded", "That you looked, when, and at which fields; never the values."),
        ]

    def perform(self, request: HttpRequest, row: Customer, data: Mapping[str, Any]) -> Done:
        values = sorted(reveal_fields([row.pk])[row.pk].items())
        context = {
            **admin.site.each_context(request),
            "title": "Personal data",
            "opts": Customer._meta,
            "panel": Panel(
                f"Customer {row.pk}",
                [[name, value] for name, value in values],
                note="That you looked was recorded. Close this page when you are done.",
            ),
            "back_url": reverse("admin:sep12_customer_change", args=[row.pk]),
        }
        page = TemplateResponse(request, "admin/revealed.html", context)
        page.headers["Cache-Control"] = "no-store, private"
        names = ", ".join(name for name, _ in values) or "nothing"
        return Done(f"Looked at personal data: {names}.", page)


class FileForm(forms.Form):
    """Which file; its choices are the customer's, checked where it is opened."""

    name = forms.CharField(
        label="Field", max_length=80, widget=UnfoldAdminTextInputWidget, help_text="Its SEP-9 name"
    )


class DownloadFile(ConfirmedAction):
    name = "download"
    label = "Download a file"
    permission = "sep12.reveal_customer"
    icon = "download"
    form_class = FileForm

    def _names(self, row: Customer) -> list[str]:
        files = row.fields.filter(file__isnull=False).order_by("name")
        return list(files.values_list("name", flat=True))

    def refusal(self, row: Customer) -> str:
        return _erased(row) or ("" if self._names(row) else "We hold no files of this customer.")

    def explain(self, row: Customer) -> list[tuple[str, Any]]:
        return [
            *_who(row),
            ("Files", ", ".join(self._names(row))),
            ("Recorded", "That you took it, and when."),
        ]

    def perform(self, request: HttpRequest, row: Customer, data: Mapping[str, Any]) -> Done:
        field = row.fields.filter(name=data["name"], file__isnull=False).defer("value").first()
        if field is None:
            raise NotFound("There is no file of that name; it must be one of those listed.")
        # Never as what it says it is: a customer's file must not run in our origin.
        answer = HttpResponse(field.file, content_type="application/octet-stream")
        answer.headers["Content-Disposition"] = f'attachment; filename="{field.name}"'
        answer.headers["Cache-Control"] = "no-store, private"
        return Done(f"Downloaded the file {field.name}.", answer)


class DecisionForm(forms.Form):
    type = forms.ChoiceField(label="As", widget=UnfoldAdminSelectWidget)
    status = forms.ChoiceField(
        label="Decision",
        choices=[
            (ACCEPTED, "Accept"),
            (REJECTED, "Reject for good"),
            (PROCESSING, "Hold: still being checked"),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    message = forms.CharField(
        max_length=300,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The sending anchor reads it; a rejection needs one. No personal data.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, name) for name in customer_types()]
        self.fields["type"] = forms.ChoiceField(
            label="As", choices=names, widget=UnfoldAdminSelectWidget(choices=names)
        )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("status") == REJECTED and not data.get("message"):
            self.add_error("message", "A rejection needs a message for the sending anchor.")
        return data


class Decide(ConfirmedAction):
    name = "decide"
    label = "Decide on the customer"
    permission = "sep12.decide_customer"
    icon = "gavel"
    form_class = DecisionForm

    def refusal(self, row: Customer) -> str:
        return _erased(row)

    def explain(self, row: Customer) -> list[tuple[str, Any]]:
        recorded = "; ".join(str(decision) for decision in row.decisions.order_by("type"))
        return [
            *_who(row),
            ("On record now", recorded or "no decision"),
            ("Effect", "Transactions that wait for this customer move on, or stop, at once."),
        ]

    def perform(self, request: HttpRequest, row: Customer, data: Mapping[str, Any]) -> Done:
        record_decision(
            row.pk,
            data["type"],
            Verdict(data["status"], data["message"]),
            decided_by=request.user.get_username()[:100],
        )
        # Not the message: free text might name somebody, and the history keeps it for ever.
        return Done(f"Decided: {data['status']} as {data['type']}.")


class ErasedFilter(admin.SimpleListFilter):
    title = "whether it was erased"
    parameter_name = "erased"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "present"), ("yes", "erased")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in ("yes", "no"):
            return queryset.filter(erased_at__isnull=self.value() == "no")
        return queryset


class TypeFilter(admin.SimpleListFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in customer_types()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(Customer)
class CustomerAdmin(RecordAdmin):
    list_display = (
        "customer",
        "state",
        "type",
        "sending_anchor",
        "short_account",
        "named",
        "since",
    )
    list_filter = (ErasedFilter, TypeFilter, "sending_anchor", ("created_at", DateFilter))
    list_select_related = ("sending_anchor",)
    ordering = ("-created_at",)
    search_by = {
        "id": ("pk",),
        "account": ("account",),
        "number": (lambda term: _by_memo(term),),
        "hash": (lambda term: _by_memo(term),),
        "text": (lambda term: _by_memo(term),),
    }
    search_help_text = "A customer's id or memo, or a sending anchor's account (G…)"
    confirmed_actions = (RevealValues(), DownloadFile(), Decide())

    def panels(self, request: HttpRequest, row: Customer) -> list[Panel]:
        types = dict.fromkeys([default_customer_type(row.type).name, *customer_types()])
        standing = assess_customers((row.pk, name) for name in types)
        # Not `value`, not `file`: looking at the page opens nothing.
        fields = row.fields.order_by("name").values_list(
            "name", "status", "error", "content_type", "updated_at"
        )
        return [
            Panel(
                "Standing",
                [
                    [
                        name,
                        label(found.status, STATUS_KINDS[found.status]),
                        found.message or "-",
                        "last registered as" if name == row.type else "",
                    ]
                    for name in types
                    for found in [standing[row.pk, name]]
                ],
                ["As", "Status", "Why", ""],
            ),
            Panel(
                "What we hold",
                [
                    [
                        name,
                        label(status, STATUS_KINDS[status]),
                        error or "-",
                        content_type or "text",
                        ago(changed),
                    ]
                    for name, status, error, content_type, changed in fields
                ],
                ["Field", "Status", "Why", "Kind", "Changed"],
                note="Values are sealed and are not shown here.",
            ),
            Panel(
                "Decisions",
                [
                    [
                        decision.type,
                        label(decision.status, STATUS_KINDS[decision.status]),
                        decision.message or "-",
                        decision.decided_by,
                        at(decision.updated_at),
                    ]
                    for decision in row.decisions.order_by("type")
                ],
                ["As", "Decision", "Message", "By", "When"],
            ),
        ]

    @display(description="Customer")
    def customer(self, row: Customer) -> str:
        return str(row.pk)

    @display(description="State", label=STATUS_KINDS)
    def state(self, row: Customer) -> str:
        return "erased" if row.erased_at else "present"

    @display(description="Account")
    def short_account(self, row: Customer) -> str:
        return shorten(row.account)

    @display(description="Memo")
    def named(self, row: Customer) -> str:
        return f"{shorten(row.memo)} ({row.memo_type})" if row.memo else "-"

    @display(description="Registered", ordering="created_at")
    def since(self, row: Customer) -> str:
        return ago(row.created_at)


def _by_memo(term: str) -> Q:
    """By the unique index (account, memo_type, memo), of which the accounts are few."""
    accounts = SendingAnchorAccount.objects.values("account")
    return Q(account__in=accounts, memo_type__in=Customer.MemoType.values, memo=term) & Q(
        erased_at__isnull=True
    )


@admin.register(CustomerField)
class CustomerFieldAdmin(RecordAdmin):
    list_display = ("name", "state", "error", "of", "updated_at")
    list_filter = ("status",)
    ordering = ("-pk",)
    search_by = {"id": ("customer",)}
    search_help_text = "A customer's id"

    @display(description="Status", ordering="status", label=STATUS_KINDS)
    def state(self, row: CustomerField) -> str:
        return row.status

    @display(description="Customer")
    def of(self, row: CustomerField) -> str:
        return link_to("sep12.customer", row.customer_id)


@admin.register(Decision)
class DecisionAdmin(RecordAdmin):
    list_display = ("type", "state", "message", "decided_by", "of", "updated_at")
    list_filter = ("status", TypeFilter)
    ordering = ("-pk",)
    search_by = {"id": ("customer",)}
    search_help_text = "A customer's id"

    @display(description="Status", ordering="status", label=STATUS_KINDS)
    def state(self, row: Decision) -> str:
        return row.status

    @display(description="Customer")
    def of(self, row: Decision) -> str:
        return link_to("sep12.customer", row.customer_id)
