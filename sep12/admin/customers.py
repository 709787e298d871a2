"""Customers: what we hold on them and what was decided, without saying who they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from callbacks.admin import describe_callbacks
from kernel.admin import (
    ConfirmedAction,
    DateFilter,
    Done,
    Panel,
    RecordAdmin,
    ago,
    link_to,
    shorten,
)
from sep10.models import SendingAnchorAccount
from sep12.admin.panels import (
    describe_cases,
    describe_decisions,
    describe_fields,
    describe_screening,
    describe_standing,
    what_is_shown,
)
from sep12.admin.personal import (
    check_link,
    looked_at,
    no_store,
    open_personal_data,
    serve_document,
    told_in,
)
from sep12.admin.wording import SCREENING_KINDS, STATUS_KINDS, size
from sep12.models import (
    Customer,
    CustomerField,
    CustomerFile,
    Decision,
    ScreeningHit,
    SentCode,
    Verification,
)
from sep12.screening.services import decide_hit
from sep12.services import record_decision
from sep12.status import ACCEPTED, PROCESSING, REJECTED, Verdict
from sep12.types import customer_types


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
        return [*_who(row), *what_is_shown(row)]

    def perform(self, request: HttpRequest, row: Customer, data: Mapping[str, Any]) -> Done:
        personal = open_personal_data(request, row)
        context = {
            **admin.site.each_context(request),
            "title": "Personal data",
            "opts": Customer._meta,
            "row": row,
            "personal": personal,
            "back_url": reverse("admin:sep12_customer_change", args=[row.pk]),
        }
        page = TemplateResponse(request, "admin/revealed.html", context)
        no_store(page)
        return Done(looked_at(personal), page)


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
            ("Judged", f"What the customer told so far (revision {row.revision})."),
            ("Effect", "Transactions that wait for this customer move on, or stop, at once."),
        ]

    def perform(self, request: HttpRequest, row: Customer, data: Mapping[str, Any]) -> Done:
        told = told_in(data["message"], row)
        if told:
            raise ValueError(f"The message holds the customer's {told}: no personal data, please.")
        record_decision(
            row.pk,
            data["type"],
            Verdict(data["status"], data["message"]),
            decided_by=request.user.get_username()[:100],
            revision=row.revision,
        )
        # Not the message: free text might name somebody, and the history keeps it for ever.
        return Done(f"Decided: {data['status']} as {data['type']}.")


class LiftBlock(ConfirmedAction):
    name = "lift"
    label = "Lift the block"
    permission = "sep12.decide_screening"
    icon = "lock_open"

    def refusal(self, row: Customer) -> str:
        blocked = row.screening == Customer.Screening.BLOCKED
        return _erased(row) or ("" if blocked else "No operator found it on a sanctions list.")

    def explain(self, row: Customer) -> list[tuple[str, Any]]:
        hits = _confirmed(row)
        return [
            *_who(row),
            *(
                (f"{hit.list} {hit.entry}", f"{hit.listed_name}, said {hit.decided_by}")
                for hit in hits
            ),
            ("Effect", "It is recorded as somebody else than these, and no longer blocked."),
        ]

    def perform(self, request: HttpRequest, row: Customer, data: Mapping[str, Any]) -> Done:
        by = request.user.get_username()[:100]
        lifted = list(_confirmed(row))
        for hit in lifted:
            decide_hit(hit.pk, confirmed=False, decided_by=by)
        entries = ", ".join(f"{hit.list} {hit.entry}" for hit in lifted)
        return Done(f"Lifted the block: dismissed {entries}.")


def _confirmed(row: Customer) -> QuerySet[ScreeningHit]:
    return row.hits.filter(status=ScreeningHit.Status.CONFIRMED).order_by("pk")


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
        "screened",
        "type",
        "sending_anchor",
        "short_account",
        "named",
        "since",
    )
    list_filter = (
        ErasedFilter,
        "screening",
        TypeFilter,
        "sending_anchor",
        ("created_at", DateFilter),
    )
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
    confirmed_actions = (RevealValues(), Decide(), LiftBlock())

    def panels(self, request: HttpRequest, row: Customer) -> list[Panel]:
        return [
            describe_standing(row),
            describe_fields(row),
            describe_decisions(row),
            describe_screening(row),
            describe_cases(row),
            describe_callbacks(f"sep12:{row.pk}"),
        ]

    @display(description="Customer")
    def customer(self, row: Customer) -> str:
        return str(row.pk)

    @display(description="State", label=STATUS_KINDS)
    def state(self, row: Customer) -> str:
        return "erased" if row.erased_at else "present"

    @display(description="Screening", label=SCREENING_KINDS)
    def screened(self, row: Customer) -> str:
        return row.screening

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


@admin.register(CustomerFile)
class CustomerFileAdmin(RecordAdmin):
    """Documents, by what they are; their content is on the page of personal data only."""

    list_display = ("file", "content_type", "size_in_words", "of", "sending_anchor", "since")
    list_filter = ("sending_anchor",)
    list_select_related = ("sending_anchor",)
    ordering = ("-pk",)
    search_by = {"id": ("pk", "customer")}
    search_help_text = "A file's id, or a customer's"

    def get_urls(self) -> list[URLPattern]:
        shown = path(
            "<path:object_id>/content/",
            self.admin_site.admin_view(self.content_view),
            name="sep12_customerfile_content",
        )
        return [shown, *super().get_urls()]

    def content_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One document, by a link of a page of personal data (`sep12.admin.personal`)."""
        if not request.user.has_perm("sep12.reveal_customer"):
            raise PermissionDenied
        check_link(request, object_id)
        file = CustomerFile.objects.filter(pk=object_id, customer__isnull=False).first()
        if file is None:
            raise Http404("no such file")
        return serve_document(file, file.fields.values_list("name", flat=True).first() or "file")

    @display(description="File")
    def file(self, row: CustomerFile) -> str:
        return str(row.pk)

    @display(description="Size", ordering="size")
    def size_in_words(self, row: CustomerFile) -> str:
        return size(row.size)

    @display(description="Customer")
    def of(self, row: CustomerFile) -> str:
        return link_to("sep12.customer", row.customer_id) if row.customer_id else "not used yet"

    @display(description="Came")
    def since(self, row: CustomerFile) -> str:
        return ago(row.created_at)


@admin.register(Verification)
class VerificationAdmin(RecordAdmin):
    """Codes that customers have to repeat. What the code is, nobody needs to see."""

    list_display = ("name", "of", "sent", "expires", "wrong_tries", "send_tries", "since")
    ordering = ("-pk",)
    search_by = {"id": ("customer",)}
    search_help_text = "A customer's id"

    @display(description="Customer")
    def of(self, row: Verification) -> str:
        return link_to("sep12.customer", row.customer_id)

    @display(description="Sent", boolean=True)
    def sent(self, row: Verification) -> bool:
        return row.expires_at is not None

    @display(description="Expires")
    def expires(self, row: Verification) -> str:
        return ago(row.expires_at)

    @display(description="Begun")
    def since(self, row: Verification) -> str:
        return ago(row.created_at)


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


@admin.register(SentCode)
class SentCodeAdmin(RecordAdmin):
    """That codes were sent: to whom, and how many, for the limits on them."""

    list_display = ("name", "of", "sending_anchor", "sent")
    list_select_related = ("sending_anchor",)
    ordering = ("-pk",)
    search_by = {"id": ("customer",)}
    search_help_text = "A customer's id"

    @display(description="Customer")
    def of(self, row: SentCode) -> str:
        return link_to("sep12.customer", row.customer_id)

    @display(description="Sent", ordering="pk")
    def sent(self, row: SentCode) -> str:
        return ago(row.sent_at)
