"""What pages of customers and cases tell of a customer without opening anything."""

from __future__ import annotations

from typing import Any

from kernel.admin import Panel, ago, at, label, link_to, shorten
from sep12.admin.wording import (
    CASE_KINDS,
    HIT_KINDS,
    SCREENING_MEANINGS,
    STATUS_KINDS,
    size,
    states_of,
)
from sep12.models import Customer
from sep12.services import assess_customers
from sep12.types import customer_types, default_customer_type

MANY = 50


def what_is_shown(customer: Customer) -> list[tuple[str, Any]]:
    """For the page that comes before personal data."""
    rows = list(states_of(customer))
    texts = ", ".join(row.name for row in rows if row.file is None)
    documents = ", ".join(row.name for row in rows if row.file is not None)
    return [
        ("You will see", texts or "nothing"),
        ("Documents", documents or "none"),
        ("Recorded", "That you looked, when, and at which fields; never the values."),
    ]


def describe_standing(customer: Customer) -> Panel:
    types = dict.fromkeys([default_customer_type(customer.type).name, *customer_types()])
    standing = assess_customers((customer.pk, name) for name in types)
    return Panel(
        "Standing",
        [
            [
                name,
                label(found.status, STATUS_KINDS[found.status]),
                found.message or "-",
                "last registered as" if name == customer.type else "",
            ]
            for name in types
            for found in [standing[customer.pk, name]]
        ],
        ["As", "Status", "Why", ""],
    )


def describe_fields(customer: Customer) -> Panel:
    """Fields and documents, with the codes that they wait for."""
    waiting = {row.name: row for row in customer.verifications.defer("code")}

    def verification(name: str) -> str:
        row = waiting.get(name)
        if row is None:
            return "-"
        if row.expires_at is None:
            return "the code was not sent yet" if row.due_at else "the code could not be sent"
        return f"code sent, {row.wrong_tries} wrong tries, valid until {at(row.expires_at)}"

    return Panel(
        "What we hold",
        [
            [
                row.name,
                label(row.status, STATUS_KINDS[row.status]),
                row.error or "-",
                f"{row.file.content_type}, {size(row.file.size)}" if row.file else "text",
                verification(row.name),
                ago(row.updated_at),
            ]
            for row in states_of(customer)
        ],
        ["Field", "Status", "Why", "Kind", "Verification", "Changed"],
        note="Values are sealed and are not shown here.",
    )


def describe_decisions(customer: Customer) -> Panel:
    def judged(revision: int) -> str:
        return "as it is now" if revision == customer.revision else f"revision {revision}"

    return Panel(
        "Decisions",
        [
            [
                decision.type,
                label(decision.status, STATUS_KINDS[decision.status]),
                decision.message or "-",
                judged(decision.revision),
                decision.decided_by,
                at(decision.updated_at),
            ]
            for decision in customer.decisions.order_by("type")
        ],
        ["As", "Decision", "Message", "Judged", "By", "When"],
        note=f"The customer is at revision {customer.revision}: so often its values were sent.",
    )


def describe_cases(customer: Customer) -> Panel:
    cases = customer.cases.order_by("-opened_at")[:MANY]
    return Panel(
        "Cases",
        [
            [
                link_to("sep12.case", case.pk),
                label(case.get_kind_display(), CASE_KINDS[case.kind]),
                case.type or "any",
                at(case.opened_at),
                at(case.closed_at) if case.closed_at else label("open", "warning"),
                case.outcome or "-",
                case.closed_by or "-",
            ]
            for case in cases
        ],
        ["Case", "Kind", "As", "Opened", "Closed", "Outcome", "By"],
    )


def describe_screening(customer: Customer) -> Panel:
    state = Customer.Screening(customer.screening)
    hits = customer.hits.order_by("-score", "pk")[:MANY]
    return Panel(
        "Screening",
        [
            [
                link_to("sep12.screeninghit", hit.pk, hit.listed_name),
                hit.listed_details or "-",
                hit.score,
                hit.list,
                shorten(hit.entry),
                label(hit.status, HIT_KINDS[hit.status]),
                f"{hit.decided_by}, {at(hit.decided_at)}" if hit.decided_at else "-",
            ]
            for hit in hits
        ],
        ["Listed name", "Details", "Score", "List", "Entry", "Status", "Decided"],
        note=f"{state.label}: {SCREENING_MEANINGS[state]}",
    )
