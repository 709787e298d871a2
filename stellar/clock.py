"""The ledger clock: how far a page of payments lets us say that nothing was missed. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from stellar.sources import Ledger, PaymentsPage

# A network that closes ledgers faster than once a second gives several the same close time; the
# moment just before it is the last of which one of them lets us speak.
JUST_BEFORE = timedelta(microseconds=1)


def passed_time(ledger: Ledger) -> datetime:
    """The time up to which nothing is missing once `ledger` has been read to its end."""
    return ledger.closed_at - JUST_BEFORE


def find_passed_ledger(page: PaymentsPage, passed_ledger: int) -> Ledger | None:
    """The newest ledger up to which every payment is recorded, `page` included; None if unknown.

    `passed_ledger` is what was known before. Nodes behind a load balancer lag behind one another,
    so an empty page alone proves nothing; only these do:

    - a record: its node had all of its ledger, since nodes take in whole ledgers. On a full page
      the last record's ledger may go on behind the page, so the one before counts.
    - the ledger that the node named with the very page.
    - the account itself, seen at one ledger and untouched since one that is known to be read.
    """
    if page.is_full:
        return page.ledgers[-2] if len(page.ledgers) > 1 else None
    newest = page.ledgers[-1] if page.ledgers else None
    candidates = [newest, page.node_ledger]
    known = max(passed_ledger, newest.sequence if newest else 0)
    if page.account is not None and page.account.touched_ledger <= known:
        candidates.append(page.account.as_of)
    found = [ledger for ledger in candidates if ledger is not None]
    return max(found, key=lambda ledger: ledger.sequence, default=None)
