"""The review queue, and the page on which an operator decides on a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from kernel.admin import (
    ConfirmedAction,
    Done,
    Panel,
    age,
    ago,
    at,
    label,
    link_to,
    link_to_subjects,
    money,
)
from kernel.errors import ApiError
from sep12.admin.forms import ACCEPT, HOLD, REFUSE, REJECT, ReviewForm, ScreeningForm
from sep12.admin.history import OfCustomerAdmin
from sep12.admin.panels import (
    describe_cases,
    describe_decisions,
    describe_fields,
    describe_screening,
    describe_standing,
    what_is_shown,
)
from sep12.admin.personal import looked_at, no_store, open_personal_data, told_in
from sep12.admin.wording import (
    CASE_KINDS,
    FIELD_REASONS,
    HOLD_REASONS,
    REJECTION_REASONS,
)
from sep12.models import Case, Customer, CustomerField, ScreeningHit
from sep12.reviews import NotAsSeen, deciding, digest_of
from sep12.screening.services import decide_hit
from sep12.sep9 import FIELDS
from sep12.services import record_decision, reject_fields
from sep12.status import ACCEPTED, PROCESSING, REJECTED, Verdict
from sep12.transactions import Waiting, customer_transactions
from sep12.types import default_customer_type

CaseForm = ReviewForm | ScreeningForm
REVEAL = "sep12.reveal_customer"
MAX_HITS_AT_ONCE = 50
AGES = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


def decides(case: Case) -> str:
    """The permission that it takes to decide on the case."""
    is_screening = case.kind == Case.Kind.SCREENING
    return "sep12.decide_screening" if is_screening else "sep12.decide_customer"


def type_of(case: Case) -> str:
    """For which type a decision on the case is."""
    return case.type or default_customer_type(case.customer.type).name


def _moneys(waiting: Iterable[Waiting]) -> str:
    return format_html_join(", ", "{}", ((money(one.amount, one.asset),) for one in waiting))


class Review(ConfirmedAction):
    name = "review"
    label = "Review"
    permission = REVEAL
    icon = "fact_check"

    def subject(self, row: Case) -> Customer:
        return row.customer

    def refusal(self, row: Case) -> str:
        return f"The case is closed: {row.outcome or 'it is not needed'}." if row.closed_at else ""

    def explain(self, row: Case) -> list[tuple[str, Any]]:
        return [
            ("Case", f"{row.get_kind_display()}, open since {at(row.opened_at)}"),
            ("Customer", f"{row.customer_id} as {row.type or 'any type'}"),
            ("Of", str(row.customer.sending_anchor)),
            *what_is_shown(row.customer),
        ]

    def perform(self, request: HttpRequest, row: Case, data: Mapping[str, Any]) -> Done:
        return review_page(request, row)


def review_form(case: Case, data: Any = None) -> CaseForm:
    if case.kind == Case.Kind.SCREENING:
        open_hits = case.customer.hits.filter(status=ScreeningHit.Status.OPEN)
        return ScreeningForm(open_hits.order_by("-score", "pk")[:MAX_HITS_AT_ONCE], data)
    held = list(case.customer.fields.order_by("name").values_list("name", flat=True))
    no_use = {*held, *default_customer_type(type_of(case)).of_others}
    return ReviewForm(held, [name for name in FIELDS if name not in no_use], data)


def _is_right(form: CaseForm, case: Case) -> bool:
    """Whether it is filled in, and none of its reasons says who the customer is."""
    if form.is_valid() and isinstance(form, ReviewForm):
        for field, text in list(form.reasons()):
            told = told_in(text, case.customer)
            if told:
                form.add_error(field, f"It holds the customer's {told}: no personal data, please.")
    return form.is_valid()


def review_page(request: HttpRequest, case: Case, form: CaseForm | None = None) -> Done:
    """The customer's values and documents beside what may be decided; and what to record of it."""
    customer = case.customer
    personal = open_personal_data(request, customer)
    form = form or review_form(case)
    context = {
        **admin.site.each_context(request),
        "title": case.get_kind_display(),
        "opts": Case._meta,
        "case": case,
        "situation": describe_situation(case),
        "standing": describe_standing(customer),
        "personal": personal,
        "form": form,
        "refusals": {name: form.refusal_of(name) for name in form.names}
        if isinstance(form, ReviewForm)
        else {},
        "is_screening": case.kind == Case.Kind.SCREENING,
        "may_decide": request.user.has_perm(decides(case)),
        "seen": digest_of(case, customer),
        "decide_url": reverse("admin:sep12_case_decide", args=[case.pk]),
        "back_url": reverse("admin:sep12_case_change", args=[case.pk]),
        "wordings": {
            "wordings-of-fields": FIELD_REASONS,
            "wordings-of-decisions": (*REJECTION_REASONS, *HOLD_REASONS),
        },
    }
    page = TemplateResponse(request, "admin/review.html", context)
    no_store(page)
    return Done(looked_at(personal), page)


def describe_situation(case: Case) -> Panel:
    customer = case.customer
    waiting = customer_transactions().waiting([customer.pk]).get(customer.pk, [])
    count = sum(one.count for one in waiting)
    facts = [
        ["Waits for", CASE_WORDS[case.kind]],
        ["Open for", f"{age(case.opened_at)}, since {at(case.opened_at)}"]
        if not case.closed_at
        else ["Closed", f"{at(case.closed_at)} by {case.closed_by or 'itself'}"],
        ["Customer", link_to("sep12.customer", customer.pk, str(customer.pk))],
        ["As", case.type or "any type"],
        [
            "Sending anchor",
            link_to("sep10.sendinganchor", customer.sending_anchor_id, customer.sending_anchor),
        ],
        [
            "Money that waits",
            link_to_subjects(
                "waits for customer",
                format_html(
                    "{}, {} open {}",
                    *(_moneys(waiting), count, "transaction" if count == 1 else "transactions"),
                ),
                q=customer.pk,
                open="yes",
            )
            if waiting
            else "none",
        ],
    ]
    if case.outcome:
        facts.append(["Outcome", case.outcome])
    if case.last_error:
        facts.append(["Last error", f"{case.last_error} ({case.tries} tries)"])
    return Panel("Case", facts)


CASE_WORDS = {
    Case.Kind.REVIEW.value: "an operator, who looks at what the customer sent and decides.",
    Case.Kind.PROVIDER.value: "the KYC provider. You may decide in its place.",
    Case.Kind.SCREENING.value: "an operator, who says whether it is the one on a sanctions list.",
}


class OpenFilter(admin.SimpleListFilter):
    """Open ones unless asked otherwise: the list is a queue."""

    title = "whether it is open"
    parameter_name = "closed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "closed")]

    def choices(self, changelist: Any) -> Any:
        everything, *others = super().choices(changelist)
        return [{**everything, "display": "open"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        return queryset.filter(closed_at__isnull=self.value() != "yes")


class AgeFilter(admin.SimpleListFilter):
    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"over {'an' if name == 'hour' else 'a'} {name}") for name in AGES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        least = AGES.get(self.value() or "")
        return queryset.filter(opened_at__lt=timezone.now() - least) if least else queryset


@admin.register(Case)
class CaseAdmin(OfCustomerAdmin):
    list_display = (
        "kind_label",
        "waits",
        "of",
        "type",
        "sending_anchor",
        "field_count",
        "file_count",
        "money_waiting",
        "trouble",
    )
    list_filter = (OpenFilter, "kind", AgeFilter, "customer__sending_anchor")
    list_select_related = ("customer__sending_anchor",)
    search_by = {"id": ("pk", "customer")}
    search_help_text = "A case's id, or a customer's"
    confirmed_actions = (Review(),)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Who waits longest comes first; of the closed ones, the newest."""
        return ("-opened_at",) if request.GET.get("closed") == "yes" else ("opened_at",)

    def fill_rows(self, rows: Iterable[Any]) -> None:
        customers = {row.customer_id for row in rows}
        counts = {
            customer_id: (fields, files)
            for customer_id, fields, files in CustomerField.objects.filter(
                customer_id__in=customers
            )
            .values_list("customer_id")
            .annotate(fields=Count("pk"), files=Count("file"))
        }
        waiting = customer_transactions().waiting(customers)
        for row in rows:
            fields, row.files = counts.get(row.customer_id, (0, 0))
            row.texts = fields - row.files
            row.waiting = waiting.get(row.customer_id, [])

    def panels(self, request: HttpRequest, row: Case) -> list[Panel]:
        customer = row.customer
        return [
            describe_situation(row),
            describe_standing(customer),
            describe_fields(customer),
            describe_screening(customer),
            describe_decisions(customer),
            describe_cases(customer),
        ]

    def get_urls(self) -> list[URLPattern]:
        decide = path(
            "<path:object_id>/decide/",
            self.admin_site.admin_view(self.decide_view),
            name="sep12_case_decide",
        )
        return [decide, *super().get_urls()]

    def decide_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The decision that an operator took on the page of `Review`."""
        case: Case = self.find_row(request, object_id)
        if not (request.user.has_perm(REVEAL) and request.user.has_perm(decides(case))):
            raise PermissionDenied
        page_url = reverse("admin:sep12_case_change", args=[case.pk])
        if request.method != "POST":
            return HttpResponseRedirect(page_url)
        form = review_form(case, request.POST)
        seen = request.POST.get("seen", "")
        if seen == digest_of(case, case.customer) and not _is_right(form, case):
            return self._show(request, case, form)
        try:
            with deciding(case.pk, seen=seen) as case:
                done = self._perform_deed(request, case, form.cleaned_data)
                self.log_change(request, case.customer, done)
        except NotAsSeen as error:
            messages.warning(request, f"Nothing was recorded. {error}")
            present = self.get_object(request, object_id)
            if present is None:
                return HttpResponseRedirect(reverse("admin:sep12_case_changelist"))
            if present.closed_at:
                return HttpResponseRedirect(page_url)
            return self._show(request, present)
        except (ApiError, ValueError) as error:
            messages.error(request, f"Nothing was recorded. {error}")
            return HttpResponseRedirect(page_url)
        messages.success(request, done)
        return HttpResponseRedirect(page_url)

    def _show(self, request: HttpRequest, case: Case, form: CaseForm | None = None) -> HttpResponse:
        """The page of the case once more. It shows personal data, so this look is recorded too."""
        shown = review_page(request, case, form)
        self.log_change(request, case.customer, shown.message)
        assert isinstance(shown.response, HttpResponse)
        return shown.response

    def _perform_deed(self, request: HttpRequest, case: Case, data: Mapping[str, Any]) -> str:
        """Do what the form says; in words for the history, which take nothing from free text."""
        operator = request.user.get_username()[:100]
        if case.kind == Case.Kind.SCREENING:
            for hit, confirmed in data["decided"].items():
                decide_hit(hit.pk, confirmed=confirmed, decided_by=operator)
            return " ".join(
                f"Screening: {'confirmed' if confirmed else 'dismissed'} {hit.list} {hit.entry}."
                for hit, confirmed in data["decided"].items()
            )
        deed, as_type = data["deed"], type_of(case)
        if deed == REFUSE:
            refused = reject_fields(case.customer_id, data["refusals"])
            return f"Refused fields: {', '.join(sorted(refused))}."
        status = {ACCEPT: ACCEPTED, HOLD: PROCESSING, REJECT: REJECTED}[deed]
        record_decision(
            case.customer_id, as_type, Verdict(status, data["message"]), decided_by=operator
        )
        return f"Decided: {status} as {as_type}."

    @display(description="Kind", ordering="kind")
    def kind_label(self, row: Case) -> str:
        return label(row.get_kind_display(), CASE_KINDS[row.kind])

    @display(description="Opened", ordering="opened_at")
    def waits(self, row: Case) -> str:
        return ago(row.opened_at)

    @display(description="Customer")
    def of(self, row: Case) -> str:
        return link_to("sep12.customer", row.customer_id)

    @display(description="Sending anchor")
    def sending_anchor(self, row: Case) -> str:
        return str(row.customer.sending_anchor)

    @display(description="Fields")
    def field_count(self, row: Any) -> int:
        return int(row.texts)

    @display(description="Documents")
    def file_count(self, row: Any) -> int:
        return int(row.files)

    @display(description="Money that waits")
    def money_waiting(self, row: Any) -> str:
        if not row.waiting:
            return "-"
        return link_to_subjects(
            "waits for customer", _moneys(row.waiting), q=row.customer_id, open="yes"
        )

    @display(description="Last error")
    def trouble(self, row: Case) -> str:
        return row.last_error or "-"
