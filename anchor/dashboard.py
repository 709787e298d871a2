"""The admin's first page: what is stuck, for how long, and where to go about it.

Every query runs on a partial index, or over a handful of rows, and counts up to `MANY` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from callbacks.models import Callback
from kernel.admin import age, at, label, link_to_list
from payouts.models import Attempt, Payout
from sep12.models import Case, Customer
from sep12.screening.lists import find_problems
from sep31.admin import MEANINGS, STATUS_KINDS
from sep31.machine import OPEN, Status
from sep31.messages import STATUS_MESSAGES
from sep31.models import Receipt, Transaction
from sep38.models import HeldRate, Rate, RateFeed
from sep38.pairs import all_pairs
from sep38.rates import age_of
from stellar.models import Cursor, OutgoingPayment, ReceivedPayment, UnreadRecord

MANY = 1000
# A watcher reads each ledger within seconds; so does the matching after it.
LATE = timedelta(minutes=2)
SCREENING_LATE = timedelta(minutes=10)


@dataclass(frozen=True)
class Trouble:
    """Something that waits for a person."""

    title: str
    advice: str
    count: str
    oldest: str
    url: str
    kind: str = "danger"

    @property
    def label(self) -> str:
        return label(self.count, self.kind)


def fill_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by unfold (DASHBOARD_CALLBACK). Shows what the user may see."""
    can = request.user.has_perm
    troubles: list[Trouble] = []
    if can("sep31.view_transaction"):
        troubles += _stopped_transactions()
        context["work"] = {
            "headers": ["Status", "Meaning", "Why", "How many", "The oldest for"],
            "rows": list(_open_transactions()),
        }
    if can("sep31.view_receipt"):
        troubles += _inbox()
    if can("sep12.view_case"):
        troubles += _cases()
    if can("sep12.view_sanctionslist"):
        troubles += _sanctions_lists()
    if can("payouts.view_payout"):
        troubles += _payouts()
    if can("stellar.view_outgoingpayment"):
        troubles += _refunds()
    if can("callbacks.view_callback"):
        troubles += _callbacks()
    if can("stellar.view_receivedpayment"):
        troubles += _unread_records()
        troubles += _unmatched_payments()
        troubles += _watchers()
    if can("sep38.view_rate"):
        troubles += _rates()
    if can("sep38.view_heldrate"):
        troubles += _rate_sources()
    context["troubles"] = troubles
    context["now"] = at(timezone.now())
    return context


def _list_url(model: str, **filters: object) -> str:
    return reverse(f"admin:{model.replace('.', '_')}_changelist", query=filters)


def _count(queryset: QuerySet[Any], moment: str) -> tuple[int, datetime | None]:
    """How many there are, up to `MANY`, and since when the oldest of those is there.

    In no order: one by the primary key would tempt PostgreSQL to walk through all of history.
    """
    found = queryset.order_by()[:MANY].aggregate(count=Count("pk"), oldest=Min(moment))
    return found["count"], found["oldest"]


def _trouble(
    queryset: QuerySet[Any], moment: str, title: str, advice: str, url: str, kind: str = "danger"
) -> Iterator[Trouble]:
    count, oldest = _count(queryset, moment)
    if count:
        written = f"{MANY} or more" if count == MANY else str(count)
        yield Trouble(title, advice, written, age(oldest), url, kind)


def _open_transactions() -> Iterator[list[Any]]:
    groups = (
        Transaction.objects.filter(status__in=OPEN)
        .order_by("status", "reason")
        .values_list("status", "reason")
        .annotate(Count("pk"), Min("updated_at"))
    )
    for status, reason, count, oldest in groups:
        yield [
            label(status, STATUS_KINDS[status]),
            MEANINGS[Status(status)],
            STATUS_MESSAGES[reason],
            link_to_list("sep31.transaction", count, status__exact=status, reason__exact=reason),
            age(oldest),
        ]


def _stopped_transactions() -> Iterator[Trouble]:
    yield from _trouble(
        Transaction.objects.filter(status=Status.ERROR),
        "updated_at",
        "Transactions stopped with an error",
        "Open one: it says why it stopped, and whether to try again or to send the money back.",
        _list_url("sep31.transaction", status__exact=Status.ERROR),
    )


def _inbox() -> Iterator[Trouble]:
    yield from _trouble(
        Receipt.objects.filter(rest=Receipt.Rest.INBOX),
        "created_at",
        "Payments in the inbox",
        "Nobody announced them, or the policy leaves them to you: send them back or keep them.",
        _list_url("sep31.receipt", rest__exact=Receipt.Rest.INBOX),
        "warning",
    )


def _cases() -> Iterator[Trouble]:
    open_cases = Case.objects.filter(closed_at=None)
    yield from _trouble(
        open_cases.filter(kind=Case.Kind.SCREENING),
        "opened_at",
        "Customers who look like somebody on a sanctions list",
        "Say of each likeness whether it is the same person. Their payments wait.",
        _list_url("sep12.case", kind__exact=Case.Kind.SCREENING),
    )
    yield from _trouble(
        open_cases.filter(kind=Case.Kind.REVIEW),
        "opened_at",
        "Customers waiting for KYC review",
        "Look at what they sent and decide, the oldest first. Their payments wait.",
        _list_url("sep12.case", kind__exact=Case.Kind.REVIEW),
        "warning",
    )
    yield from _trouble(
        open_cases.filter(kind=Case.Kind.PROVIDER, due_at__isnull=False).exclude(last_error=""),
        "opened_at",
        "Customers whom the KYC provider does not answer about",
        "It is asked again by itself. Look at the last error; you may decide in its place.",
        _list_url("sep12.case", kind__exact=Case.Kind.PROVIDER),
        "warning",
    )
    # While a list is being loaded anew, many are due for a while: that is not this.
    yield from _trouble(
        Customer.objects.present().filter(
            screening=Customer.Screening.DUE, updated_at__lt=timezone.now() - SCREENING_LATE
        ),
        "updated_at",
        "Customers whose names were not looked for yet",
        "The workers are behind or stopped, or no list is loaded: look at their logs.",
        _list_url("sep12.customer", screening__exact=Customer.Screening.DUE),
    )


def _sanctions_lists() -> Iterator[Trouble]:
    for problem in find_problems():
        yield Trouble(
            problem,
            "Fetch the list's files and run `manage.py load_sanctions_list`.",
            "stale",
            "",
            _list_url("sep12.sanctionslist"),
        )


def _payouts() -> Iterator[Trouble]:
    failed = Payout.objects.filter(status=Payout.Status.FAILED)
    yield from _trouble(
        failed,
        "updated_at",
        "Payouts that the rail can't deliver",
        "Their transactions are refunded by policy or wait for you: open the transaction.",
        _list_url("payouts.payout", status__exact=Payout.Status.FAILED),
    )
    yield from _trouble(
        Payout.objects.filter(status=Payout.Status.DUE, tries__gte=2),
        "created_at",
        "Payouts that keep failing",
        "They are tried again by themselves. If it is one rail, look at that rail.",
        _list_url("payouts.payout", status__exact=Payout.Status.DUE, tries="again"),
        "warning",
    )
    yield from _trouble(
        Payout.objects.filter(
            status=Payout.Status.IN_FLIGHT,
            attempts__status=Attempt.Status.CLAIMED,
            attempts__calls__gte=2,
        ),
        "updated_at",
        "Payouts whose outcome is not known",
        "They are looked up until the rail answers, and never sent twice. Ask the rail.",
        _list_url("payouts.payout", unknown="yes"),
    )


def _refunds() -> Iterator[Trouble]:
    yield from _trouble(
        OutgoingPayment.objects.filter(status=OutgoingPayment.Status.FAILED),
        "created_at",
        "Refunds that the network refused",
        "The error says why, for example a missing trustline. Once mended, pay again.",
        _list_url("stellar.outgoingpayment", status__exact=OutgoingPayment.Status.FAILED),
    )
    yield from _trouble(
        OutgoingPayment.objects.filter(
            status__in=[OutgoingPayment.Status.PENDING, OutgoingPayment.Status.SIGNED],
            created_at__lt=timezone.now() - timedelta(minutes=10),
        ),
        "created_at",
        "Refunds under way for over ten minutes",
        "They are tried again by themselves. Look at the last error, and at the network.",
        _list_url("stellar.outgoingpayment", status__exact=OutgoingPayment.Status.PENDING),
        "warning",
    )


def _callbacks() -> Iterator[Trouble]:
    yield from _trouble(
        Callback.objects.filter(status=Callback.Status.GIVEN_UP),
        "created_at",
        "Callbacks given up",
        "The sending anchor may not know a transaction's status: tell it, then send again.",
        _list_url("callbacks.callback", status__exact=Callback.Status.GIVEN_UP),
        "warning",
    )
    yield from _trouble(
        Callback.objects.filter(status=Callback.Status.PENDING, unanswered__gt=0),
        "created_at",
        "Callbacks to hosts that don't answer",
        "They are tried again by themselves, for days. Tell the sending anchor.",
        _list_url("callbacks.callback", unreachable="yes"),
        "warning",
    )


def _unread_records() -> Iterator[Trouble]:
    yield from _trouble(
        UnreadRecord.objects.filter(resolved_at=None),
        "recorded_at",
        "Ledger records that can't be read",
        "Upgrade and run `manage.py reread_records`, or look at the record on the ledger.",
        _list_url("stellar.unreadrecord", waiting="yes"),
    )


def _unmatched_payments() -> Iterator[Trouble]:
    yield from _trouble(
        ReceivedPayment.objects.filter(claimed=False, recorded_at__lt=timezone.now() - LATE),
        "recorded_at",
        "Payments that nobody has matched yet",
        "The workers are behind or stopped: look at their logs.",
        _list_url("stellar.receivedpayment", claimed="no"),
    )


def _watchers() -> Iterator[Trouble]:
    for cursor in Cursor.objects.order_by("pk")[:20]:
        last = cursor.polled_at or cursor.passed_at
        if last is None or timezone.now() - last > LATE:
            yield Trouble(
                f"The watcher of {cursor.account[:6]}…{cursor.account[-6:]} is behind",
                "No payment is seen meanwhile, and none is lost. Look at the watcher and Horizon.",
                "behind",
                age(last),
                _list_url("stellar.cursor"),
            )


def _rates() -> Iterator[Trouble]:
    pairs = all_pairs()
    newest = Rate.objects.newest_of(pair.names for pair in pairs)
    now = timezone.now()
    for pair in pairs:
        rate = newest.get(pair.names)
        old = age_of(pair, rate, now) if rate else None
        if old is not None and old <= pair.rate_max_age * 0.8:
            continue
        is_stale = old is None or old > pair.rate_max_age
        yield Trouble(
            f"The rate of {pair.sell.code} for {pair.buy.code} "
            + ("is too old to quote from" if is_stale else "will soon be too old"),
            "Add a rate. Until then this pair is not quoted." if is_stale else "Add a rate.",
            "stale" if is_stale else "soon",
            age(rate.since if rate else None),
            reverse("admin:sep38_rate_add"),
            "danger" if is_stale else "warning",
        )


def _rate_sources() -> Iterator[Trouble]:
    yield from _trouble(
        HeldRate.objects.open(),
        "created_at",
        "Fetched rates that are far from the last",
        "They are not used. Open one: put it in force, or refuse it.",
        _list_url("sep38.heldrate", outcome__exact=HeldRate.Outcome.OPEN),
    )
    for feed in RateFeed.objects.exclude(error="").order_by("pk")[:20]:
        yield Trouble(
            f"The rates of {feed.name} could not all be fetched",
            f"The source says, or we: {feed.error}",
            f"{feed.failures} times" if feed.failures else "in part",
            age(feed.answered_at),
            _list_url("sep38.ratefeed"),
            "warning",
        )
