"""Sanctions lists, and likenesses of customers' names to names on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from unfold.decorators import display

from kernel.admin import (
    ConfirmedAction,
    Done,
    Panel,
    RecordAdmin,
    ago,
    at,
    label,
    link_to,
    link_to_list,
    shorten,
)
from sep12.admin.history import OfCustomerAdmin
from sep12.admin.wording import HIT_KINDS
from sep12.models import Customer, SanctionsList, SanctionsName, ScreeningHit
from sep12.screening.services import decide_hit

PERMISSION = "sep12.decide_screening"


class _Found(ConfirmedAction):
    """What an operator found, without a look at the customer: the page of the case shows both."""

    permission = PERMISSION
    confirms: bool
    effect: str

    def subject(self, row: ScreeningHit) -> Customer:
        return row.customer

    def explain(self, row: ScreeningHit) -> list[tuple[str, Any]]:
        return [
            ("Customer", link_to("sep12.customer", row.customer_id, str(row.customer_id))),
            ("Listed name", row.listed_name),
            ("Details", row.listed_details or "none"),
            ("List", f"{row.list}, entry {row.entry}"),
            ("So far", f"{row.status}, by {row.decided_by}" if row.decided_by else row.status),
            ("Effect", self.effect),
        ]

    def perform(self, request: HttpRequest, row: ScreeningHit, data: Mapping[str, Any]) -> Done:
        by = request.user.get_username()[:100]
        decide_hit(row.pk, confirmed=self.confirms, decided_by=by)
        found = "confirmed" if self.confirms else "dismissed"
        return Done(f"Screening: {found} {row.list} {row.entry}.")


class DismissHit(_Found):
    name = "dismiss"
    label = "It is somebody else"
    icon = "person_off"
    confirms = False
    effect = (
        "This name of the customer is not held against this entry again. If it was blocked by "
        "this entry alone, the block is lifted."
    )

    def refusal(self, row: ScreeningHit) -> str:
        dismissed = row.status == ScreeningHit.Status.DISMISSED
        return f"{row.decided_by} dismissed it already." if dismissed else ""


class ConfirmHit(_Found):
    name = "confirm"
    label = "It is the one on the list"
    icon = "block"
    is_dangerous = True
    confirms = True
    effect = (
        "The customer is blocked: it is rejected for all types, and no payment of or to it goes on."
    )

    def refusal(self, row: ScreeningHit) -> str:
        confirmed = row.status == ScreeningHit.Status.CONFIRMED
        return f"{row.decided_by} confirmed it already." if confirmed else ""


@admin.register(ScreeningHit)
class ScreeningHitAdmin(OfCustomerAdmin):
    list_display = ("listed_name", "score", "list", "entry_id", "state", "of", "decided", "since")
    list_filter = ("status",)
    ordering = ("-pk",)
    search_by = {"id": ("customer",)}
    search_help_text = "A customer's id"
    confirmed_actions = (DismissHit(), ConfirmHit())

    def panels(self, request: HttpRequest, row: ScreeningHit) -> list[Panel]:
        case = row.customer.cases.filter(kind="SCREENING", closed_at__isnull=True).first()
        return [
            Panel(
                "Likeness",
                [
                    ["Status", label(row.status, HIT_KINDS[row.status])],
                    ["Listed name", row.listed_name],
                    ["Details", row.listed_details or "none"],
                    ["List", row.list],
                    ["Entry", row.entry],
                    ["Score", f"{row.score} of 100"],
                    ["Customer", link_to("sep12.customer", row.customer_id, str(row.customer_id))],
                    ["Case", link_to("sep12.case", case.pk) if case else "none open"],
                    ["Found", at(row.found_at)],
                    [
                        "Decided",
                        f"by {row.decided_by}, {at(row.decided_at)}" if row.decided_at else "-",
                    ],
                ],
                note="The customer's own name is on the page of the case, under Review.",
            )
        ]

    @display(description="Entry")
    def entry_id(self, row: ScreeningHit) -> str:
        return shorten(row.entry)

    @display(description="Status", ordering="status", label=HIT_KINDS)
    def state(self, row: ScreeningHit) -> str:
        return row.status

    @display(description="Customer")
    def of(self, row: ScreeningHit) -> str:
        return link_to("sep12.customer", row.customer_id)

    @display(description="Decided by")
    def decided(self, row: ScreeningHit) -> str:
        return row.decided_by or "-"

    @display(description="Found", ordering="pk")
    def since(self, row: ScreeningHit) -> str:
        return ago(row.found_at)


@admin.register(SanctionsList)
class SanctionsListAdmin(RecordAdmin):
    list_display = ("name", "version", "entries", "names", "files_of", "short_digest", "loaded")
    ordering = ("name",)

    @display(description="Names")
    def names(self, row: SanctionsList) -> str:
        return link_to_list("sep12.sanctionsname", "see them", list__id__exact=row.pk)

    @display(description="Files of", ordering="as_of")
    def files_of(self, row: SanctionsList) -> str:
        return ago(row.as_of)

    @display(description="SHA-256 of the files")
    def short_digest(self, row: SanctionsList) -> str:
        return shorten(row.digest)

    @display(description="Loaded", ordering="loaded_at")
    def loaded(self, row: SanctionsList) -> str:
        return ago(row.loaded_at)


def _by_entry(term: str) -> Q:
    """By the index (list, entry), of which the lists are few."""
    return Q(list__in=SanctionsList.objects.values("pk"), entry=term)


@admin.register(SanctionsName)
class SanctionsNameAdmin(RecordAdmin):
    list_display = ("name", "kind", "list", "entry", "birth_dates", "countries", "programs")
    list_filter = ("list",)
    list_select_related = ("list",)
    ordering = ("pk",)
    search_by = {"text": (_by_entry,), "number": (_by_entry,), "id": (_by_entry,)}
    search_help_text = "An entry's id on its list"
