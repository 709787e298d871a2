"""The watcher: records every payment to an account of ours, page by page from a durable cursor.

Pages are the truth; the stream only says when it is worth asking for one. Any number of watchers
may run at once and any of them may die at any moment: a page's payments and the cursor that moves
past them are one database transaction, and whoever finds the cursor moved throws its page away.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from kernel.announce import announce
from stellar.clock import find_passed_ledger, passed_time
from stellar.models import Cursor, ReceivedPayment, UnreadRecord
from stellar.records import IncomingPayment, Unreadable, ledger_of_token
from stellar.signals import payments_recorded
from stellar.sources import (
    NODE_LAG_LEDGERS,
    Ledger,
    LedgerSource,
    NetworkState,
    PaymentsPage,
    SourceUnavailable,
)
from stellar.sources import UnreadRecord as UnreadSource

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
MAX_PAUSE_SECONDS = 5.0


class WatcherStopped(Exception):
    """Going on could miss payments; an operator must look. The message says what to do."""


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What one page brought. `cursor` is the paging token that is now recorded up to.

    `discarded`: another watcher recorded the page first.
    """

    cursor: int
    payments: int = 0
    unread: int = 0
    is_full: bool = False
    discarded: bool = False


def ingest_page(account: str, source: LedgerSource) -> PageOutcome:
    """Record the next page of payments to `account` and move its cursor, in one commit.

    Raises `SourceUnavailable`, and `WatcherStopped` if the network was reset.
    """
    seen, _ = Cursor.objects.get_or_create(account=account)
    after = int(seen.paging_token)
    page = source.fetch_payments(account, after, settings.WATCH_PAGE_SIZE)
    passed = _find_passed(source, page, seen)
    _check_not_reset(seen, passed)
    with transaction.atomic():
        # The lock makes two watchers with the same page take turns; the second then discards it.
        cursor = Cursor.objects.lock_account(account)
        if cursor.paging_token != seen.paging_token:
            return PageOutcome(cursor=int(cursor.paging_token), discarded=True)
        _record_page(account, page)
        cursor.paging_token = str(max(after, page.last_token or 0))
        if passed is not None and passed.sequence > cursor.passed_ledger:
            cursor.passed_ledger = passed.sequence
            cursor.passed_at = passed_time(passed)
        cursor.polled_at = timezone.now()
        cursor.save()
        if page.payments:
            announce(payments_recorded)
    for unread in page.unread:
        logger.critical(
            "a payment record of %s could not be read (operation %s): %s; see the unread records",
            account,
            unread.token,
            unread.reason,
        )
    return PageOutcome(
        cursor=int(cursor.paging_token),
        payments=len(page.payments),
        unread=len(page.unread),
        is_full=page.is_full,
    )


def _find_passed(source: LedgerSource, page: PaymentsPage, seen: Cursor) -> Ledger | None:
    passed = find_passed_ledger(page, seen.passed_ledger)
    if page.is_full or page.account is None:
        return passed
    # Something other than a payment touched the account last, so nothing is proven beyond doubt;
    # what the account's node had before the page, the page's node has too within the usual lag.
    settled = page.account.as_of.sequence - NODE_LAG_LEDGERS
    if settled <= max(seen.passed_ledger, passed.sequence if passed else 0):
        return passed
    try:
        return source.fetch_ledger(settled)
    except SourceUnavailable:
        return passed


def _check_not_reset(cursor: Cursor, ledger: Ledger | None) -> None:
    # A node that lags shows an older ledger with an older close time. A lower number that closed
    # later belongs to another history.
    if (
        ledger is not None
        and cursor.passed_at is not None
        and ledger.sequence < cursor.passed_ledger
        and passed_time(ledger) > cursor.passed_at
    ):
        raise WatcherStopped(
            f"The network was reset: ledger {ledger.sequence} closed after ledger "
            f"{cursor.passed_ledger}, which we had passed. Point HORIZON_URL at the right network, "
            "or accept the new one with: manage.py start_watching --cursor 0 --move"
        )


def _record_page(account: str, page: PaymentsPage) -> None:
    # Operation ids are unique on the ledger: one that is there already is the same payment.
    ReceivedPayment.objects.bulk_create(
        [_to_row(payment) for payment in page.payments], ignore_conflicts=True
    )
    UnreadRecord.objects.bulk_create(
        [_to_unread_row(account, unread) for unread in page.unread], ignore_conflicts=True
    )


def _to_row(payment: IncomingPayment) -> ReceivedPayment:
    values = {field.name: getattr(payment, field.name) for field in fields(payment)}
    values["asset"] = str(payment.asset)
    values["source_asset"] = str(payment.source_asset or "")
    return ReceivedPayment(**values)


def _to_unread_row(account: str, unread: UnreadSource) -> UnreadRecord:
    text = json.dumps(unread.record, sort_keys=True, default=str)
    return UnreadRecord(
        account=account,
        operation_id=unread.token,
        reason=unread.reason[:200],
        record=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def check_network(account: str, source: LedgerSource) -> None:
    """Make sure that `account`'s cursor belongs to the network that `source` shows.

    Raises `WatcherStopped` for another network, a reset one, or one whose node no longer keeps
    the ledgers that we have yet to read; `SourceUnavailable`.
    """
    network = source.fetch_network()
    _check_passphrase(network)
    cursor = Cursor.objects.filter(account=account).first()
    if cursor is None:
        return
    _check_not_reset(cursor, network.latest)
    begun = int(cursor.paging_token) > 0 or cursor.passed_ledger > 0
    position = max(ledger_of_token(int(cursor.paging_token)), cursor.passed_ledger)
    # Horizon answers a cursor before its history with the oldest that it has, without a word.
    if begun and position + 1 < network.elder_ledger:
        raise WatcherStopped(
            f"HORIZON_URL keeps ledgers from {network.elder_ledger} on, but we have read only up "
            f"to {position}: payments in between would be missed. Use a Horizon with a longer "
            "history until the watcher has caught up"
        )


def _check_passphrase(network: NetworkState) -> None:
    if network.passphrase and network.passphrase != settings.NETWORK_PASSPHRASE:
        raise WatcherStopped(
            f'HORIZON_URL serves the network "{network.passphrase}", but NETWORK_PASSPHRASE is '
            f'"{settings.NETWORK_PASSPHRASE}"; make them agree'
        )


def watch(
    account: str, source: LedgerSource, *, seconds: float, should_stop: Callable[[], bool]
) -> None:
    """Record payments to `account` as they come, for `seconds` or until `should_stop()`.

    Raises `WatcherStopped`. Outages of the source are waited out.
    """
    end = time.monotonic() + seconds
    failures = false_alarms = 0
    checked = False

    def is_over() -> bool:
        return should_stop() or time.monotonic() >= end

    while not is_over():
        try:
            if not checked:
                check_network(account, source)
                checked = True
            outcome = ingest_page(account, source)
        except SourceUnavailable as error:
            failures += 1
            logger.warning("can't read the payments of %s: %s", account, error)
            _pause(_backoff(failures), is_over)
            continue
        failures = 0
        if outcome.is_full or outcome.discarded:
            continue
        if outcome.payments:
            false_alarms = 0
        started = time.monotonic()
        left = min(POLL_SECONDS, end - started)
        if source.wait_for_payment(account, outcome.cursor, left):
            # The stream's node may be ahead of the page's, and would wake us again and again.
            if not outcome.payments:
                false_alarms += 1
            _pause(_backoff(false_alarms - 1) if false_alarms > 1 else 0, is_over)
        else:
            # A dead stream fails at once; don't turn that into a busy loop.
            _pause(left - (time.monotonic() - started), is_over)


def _backoff(count: int) -> float:
    return min(MAX_PAUSE_SECONDS, 0.2 * 2 ** min(count, 6)) * random.uniform(0.5, 1.0)  # noqa: S311


def _pause(seconds: float, is_over: Callable[[], bool]) -> None:
    """Sleep, but notice within a tenth of a second that it is time to go."""
    end = time.monotonic() + seconds
    while not is_over() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))


def start_cursor(account: str, token: int, passed: Ledger | None, *, move: bool) -> Cursor:
    """Set where watching `account` begins: after paging token `token`.

    `passed` is the ledger up to which nothing is to be read, if one is known. Raises `ValueError`
    if there is a cursor already, unless `move`: moving it forward skips payments.
    """
    with transaction.atomic():
        _, created = Cursor.objects.get_or_create(account=account)
        cursor = Cursor.objects.lock_account(account)
        if not created and not move:
            raise ValueError(f"{account} is being watched already, from {cursor.paging_token} on")
        cursor.paging_token = str(token)
        cursor.passed_ledger = passed.sequence if passed else 0
        cursor.passed_at = passed_time(passed) if passed else None
        cursor.save()
    return cursor


def reread_records(source: LedgerSource) -> tuple[int, int]:
    """Try the unread records again, from the ledger: (how many were read now, how many remain).

    Raises `SourceUnavailable`.
    """
    read = remain = 0
    for unread in UnreadRecord.objects.filter(resolved_at=None).order_by("id").iterator():
        try:
            if unread.operation_id is None:
                raise Unreadable("it has no operation id")
            payment = source.fetch_payment(unread.account, unread.operation_id)
        except Unreadable:
            remain += 1
            continue
        with transaction.atomic():
            if payment is not None:
                ReceivedPayment.objects.bulk_create([_to_row(payment)], ignore_conflicts=True)
                announce(payments_recorded)
            UnreadRecord.objects.filter(pk=unread.pk).update(resolved_at=timezone.now())
        read += 1
    return read, remain
