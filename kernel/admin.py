"""What the rooms' admin pages share: records that nobody edits, searches that stay on indexes, and
actions that say what they will do and wait for a POST.

The rules, for every page: a GET changes nothing; no list opens a sealed value; the number of
queries does not grow with the rows; no count runs over a whole table.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from stellar_sdk.strkey import StrKey
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str
from unfold.views import ChangeList

from kernel.errors import ApiError
from kernel.money import format_amount
from kernel.sealed import SealedBytesField

MAX_COUNTED = 10_000
MAX_FOUND = 200

_HASH = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


# -- Ways to write things -----------------------------------------------------------------------
def label(text: object, kind: str = "") -> SafeString:
    """A coloured label. `kind` is "success", "info", "warning", "danger" or ""."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": kind})


def age(moment: datetime | None) -> str:
    """How long ago, in words: "3 hours, 12 minutes"."""
    if moment is None:
        return "never"
    now = timezone.now()
    if abs(now - moment) < timedelta(minutes=1):
        return f"{int(abs(now - moment).total_seconds())} seconds"
    return timesince(min(moment, now), max(moment, now))


def ago(moment: datetime | None) -> SafeString | str:
    """How long ago, with the exact time where the pointer rests."""
    if moment is None:
        return "-"
    return format_html(
        '<span title="{}" class="whitespace-nowrap">{}</span>',
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        f"{age(moment)} ago" if moment <= timezone.now() else f"in {age(moment)}",
    )


def at(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "-"


def money(amount: Decimal | None, asset: str) -> SafeString | str:
    """An amount with the asset's code; its full name where the pointer rests."""
    if amount is None:
        return "-"
    code = asset.split(":")[1] if ":" in asset else asset
    return format_html(
        '<span title="{}" class="whitespace-nowrap">{} {}</span>',
        asset,
        format_amount(amount),
        "XLM" if asset == "stellar:native" else code,
    )


def shorten(text: str) -> SafeString | str:
    """The ends of an account, hash or id; all of it where the pointer rests."""
    if len(text) <= 16:
        return text
    return format_html(
        '<span title="{}" class="whitespace-nowrap">{}…{}</span>', text, text[:6], text[-6:]
    )


def link_to(model: str, pk: object, text: object = None) -> SafeString:
    """A link to a record's page. `model` is "app.model"."""
    url = reverse(f"admin:{model.replace('.', '_')}_change", args=[pk])
    return format_html(
        '<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>',
        url,
        shorten(str(pk)) if text is None else text,
    )


def link_to_list(model: str, text: object, **filters: object) -> SafeString:
    url = reverse(f"admin:{model.replace('.', '_')}_changelist", query=filters)
    return format_html(
        '<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>', url, text
    )


def link_to_subject(kind: str, pk: str) -> SafeString | str:
    """A link to what a lower room serves without knowing it (`settings.ADMIN_SUBJECTS`)."""
    model = settings.ADMIN_SUBJECTS.get(kind)
    try:
        return link_to(model, pk, f"{model.split('.')[1]} {pk[:8]}") if model else f"{kind} {pk}"
    except NoReverseMatch:
        return f"{kind} {pk}"


def link_to_subjects(kind: str, text: object, **filters: object) -> SafeString | str:
    """A link to a list of what a lower room serves without knowing it."""
    model = settings.ADMIN_SUBJECTS.get(kind)
    try:
        return link_to_list(model, text, **filters) if model else format_html("{}", text)
    except NoReverseMatch:
        return format_html("{}", text)


# -- Lists --------------------------------------------------------------------------------------
class BoundedPaginator(Paginator):
    """Counts up to `MAX_COUNTED` rows only: a count of ten million rows takes seconds."""

    template_name = "admin/pagination_bounded.html"
    max_counted = MAX_COUNTED

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.max_counted].count())


def known_assets() -> list[str]:
    """SEP-38 names of all assets that the configuration mentions."""
    names = ["stellar:native"]
    for asset in settings.ANCHOR.get("assets", []):
        names += [f"stellar:{asset['code']}:{asset['issuer']}", asset["counterpart"]]
    for pair in settings.ANCHOR.get("pairs", []):
        names += [pair["sell"], pair["buy"]]
    return list(dict.fromkeys(names))


class AssetFilter(admin.SimpleListFilter):
    """By asset. The choices come from the configuration: DISTINCT would read the whole table."""

    title = "asset"
    parameter_name = "asset"
    column = "asset"
    OTHER = "other"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.split(":")[1]) for name in known_assets()] + [
            (self.OTHER, "any other asset")
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        if value == self.OTHER:
            return queryset.exclude(**{f"{self.column}__in": known_assets()})
        return queryset.filter(**{self.column: value}) if value in known_assets() else queryset


def asset_filter(column: str) -> type[AssetFilter]:
    return type("AssetFilter", (AssetFilter,), {"column": column, "parameter_name": column})


class DateFilter(RangeDateFilter):
    """From a day to a day, both of them included."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        first = self._day("from")
        last = self._day("to")
        if first:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": first})
        if last:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": last + timedelta(days=1)})
        return queryset

    def _day(self, end: str) -> datetime | None:
        text = self.used_parameters.get(f"{self.parameter_name}_{end}")
        day = parse_date_str(text) if isinstance(text, str) and text else None
        return (
            datetime(day.year, day.month, day.day, tzinfo=timezone.get_current_timezone())
            if (day)
            else None
        )


def shape_of(term: str) -> str:
    """What a search term looks like: "id", "hash", "account", "number" or "text"."""
    if _HASH.fullmatch(term):
        return "hash"
    if _NUMBER.fullmatch(term):
        return "number"
    try:
        uuid.UUID(term)
    except ValueError:
        pass
    else:
        return "id"
    if StrKey.is_valid_ed25519_public_key(term) or StrKey.is_valid_med25519_public_key(term):
        return "account"
    return "text"


# -- Panels and actions on a record's page ------------------------------------------------------
@dataclass
class Panel:
    """A table on a record's page. Without headers it is a list of facts: (name, value) rows."""

    title: str
    rows: list[list[Any]]
    headers: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def table(self) -> dict[str, Any]:
        return {"headers": self.headers, "rows": self.rows}


@dataclass(frozen=True)
class Done:
    """What came of an action: the words for the operator, which are the admin's history too."""

    message: str
    response: HttpResponseBase | None = None


class ConfirmedAction:
    """Something that an operator may do to one record.

    GET shows what will happen; only a POST of that page does it, and only if what it said is
    still so. Needs the Django permission `permission`.
    """

    name: str
    label: str
    permission: str
    icon = "play_arrow"
    is_dangerous = False
    form_class: type[forms.Form] = forms.Form

    def subject(self, row: Any) -> Any:
        """Whose history remembers it."""
        return row

    def refusal(self, row: Any) -> str:
        """Why it can't be done now, in plain words; "" if it can."""
        return ""

    def explain(self, row: Any) -> list[tuple[str, Any]]:
        """(name, value) of all that the operator should know: what, how much, to whom."""
        raise NotImplementedError

    def perform(self, request: HttpRequest, row: Any, data: Mapping[str, Any]) -> Done:
        """Do it. Raises `ApiError` or `ValueError` in plain words if it can't be done."""
        raise NotImplementedError


class FilledList(ChangeList):
    """A list whose rows learn what other tables know of them, in a few queries a page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.model_admin.fill_rows(self.result_list)


def sealed_columns(model: Any) -> list[str]:
    return [f.name for f in model._meta.fields if isinstance(f, SealedBytesField)]


def _fingerprint(facts: Sequence[tuple[str, Any]]) -> str:
    return hashlib.sha256(repr([(name, str(value)) for name, value in facts]).encode()).hexdigest()


class RecordAdmin(ModelAdmin):
    """Records that nobody adds, edits or deletes by hand."""

    actions = None  # Django's own would act on many rows at once
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter
    paginator = BoundedPaginator
    list_per_page = 50
    list_select_related: tuple[str, ...] = ()
    list_max_show_all = 0
    list_filter_submit = True
    list_fullwidth = True
    show_add_link = False
    change_form_outer_before_template = "admin/record_overview.html"

    # shape of a search term -> lookups, each of which an index answers on its own
    search_by: ClassVar[dict[str, tuple[str | Callable[[str], Q], ...]]] = {}
    confirmed_actions: ClassVar[tuple[ConfirmedAction, ...]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Without sealed columns: no page reads them, of the record or of what it points at."""
        sealed = sealed_columns(self.model)
        related = list(self.list_select_related or ())
        for key in self.model._meta.fields:
            columns = sealed_columns(key.related_model) if key.related_model else []
            if columns:
                related.append(key.name)
                sealed += [f"{key.name}__{column}" for column in columns]
        rows = super().get_queryset(request).defer(*sealed)
        return rows.select_related(*related) if related else rows

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sealed = sealed_columns(self.model)
        names = [f.name for f in self.model._meta.fields if f.name not in sealed]
        return [("The whole record", {"fields": names, "classes": ["collapse"]})]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FilledList

    def fill_rows(self, rows: Iterable[Any]) -> None:
        """Add to the rows of one page of the list what their columns show beside their own."""

    # -- Searching
    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return ["pk"] if self.search_by else []  # only makes the search box appear

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Look the term up by each lookup in turn. One query with OR would read whole tables."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found: set[Any] = set()
        if "\x00" not in term:
            for lookup in self.search_by.get(shape_of(term), ()):
                condition = lookup(term) if callable(lookup) else Q(**{lookup: term})
                rows = self.model._default_manager.filter(condition)
                found.update(rows.values_list("pk", flat=True)[:MAX_FOUND])
        return queryset.filter(pk__in=found), False

    # -- A record's page
    def panels(self, request: HttpRequest, row: Any) -> list[Panel]:
        """What the page shows above the record itself."""
        return []

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        context: dict[str, Any] = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            context["panels"] = self.panels(request, row)
            context["choices"] = list(self._choices(request, row))
        return super().change_view(request, object_id, form_url, context)

    def _choices(self, request: HttpRequest, row: Any) -> Iterator[dict[str, Any]]:
        for action in self.confirmed_actions:
            refusal = action.refusal(row)
            if not request.user.has_perm(action.permission):
                refusal = refusal or "You don't have the permission to do this."
            yield {"action": action, "refusal": refusal, "url": self._action_url(action, row)}

    def _action_url(self, action: ConfirmedAction, row: Any) -> str:
        return reverse(f"admin:{self._action_name(action)}", args=[row.pk])

    def _action_name(self, action: ConfirmedAction) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{action.name}"

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<path:object_id>/{action.name}/",
                self.admin_site.admin_view(partial(self.confirm_view, action=action)),
                name=self._action_name(action),
            )
            for action in self.confirmed_actions
        ]
        return own + super().get_urls()

    def confirm_view(
        self, request: HttpRequest, object_id: str, action: ConfirmedAction
    ) -> HttpResponseBase:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"no {self.opts.verbose_name} {object_id}")
        if not (
            self.has_view_permission(request, row) and request.user.has_perm(action.permission)
        ):
            raise PermissionDenied
        facts = action.explain(row)
        is_post = request.method == "POST"
        form = action.form_class(request.POST if is_post else None)
        if is_post:
            if request.POST.get("seen") != _fingerprint(facts):
                messages.warning(request, "It changed since you looked. This is how it is now.")
            elif form.is_valid():
                return self._perform(request, row, action, form.cleaned_data)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.label}?",
            "opts": self.opts,
            "row": row,
            "action": action,
            "facts": Panel(f"{action.label}: what it means", [[*fact] for fact in facts]),
            "refusal": action.refusal(row),
            "form": form,
            "seen": _fingerprint(facts),
            "back_url": self._page_url(row),
        }
        return TemplateResponse(request, "admin/confirm.html", context)

    def _perform(
        self, request: HttpRequest, row: Any, action: ConfirmedAction, data: Mapping[str, Any]
    ) -> HttpResponseBase:
        try:
            # The history is part of the deed: there is never one without the other.
            with transaction.atomic():
                done = action.perform(request, row, data)
                self.log_change(request, action.subject(row), done.message)
        except (ApiError, ValueError) as error:
            messages.error(request, f"Nothing was changed. {error}")
            return HttpResponseRedirect(self._page_url(row))
        if done.response is not None:
            return done.response
        messages.success(request, done.message)
        return HttpResponseRedirect(self._page_url(row))

    def _page_url(self, row: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])
