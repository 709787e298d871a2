"""How far one page of payments lets the ledger clock go (`stellar.clock`)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stellar.clock import find_passed_ledger, passed_time
from stellar.sources import AccountState, Ledger, PaymentsPage
from tests.fixtures.horizon import close_time


def ledger(sequence: int) -> Ledger:
    return Ledger(sequence, close_time(sequence))


def page(*ledgers: int, is_full: bool = False, **evidence: Any) -> PaymentsPage:
    return PaymentsPage((), (), None, is_full, tuple(map(ledger, ledgers)), **evidence)


def account(touched: int, as_of: int) -> AccountState:
    return AccountState(1, {}, touched, ledger(as_of))


def test_an_empty_page_alone_proves_nothing() -> None:
    assert find_passed_ledger(page(), 5) is None


def test_a_short_page_proves_its_nodes_newest_ledger() -> None:
    assert find_passed_ledger(page(7, node_ledger=ledger(9)), 5) == ledger(9)


def test_a_full_page_proves_only_the_ledger_before_its_last() -> None:
    assert find_passed_ledger(page(6, 7, 8, is_full=True, node_ledger=ledger(90)), 5) == ledger(7)
    assert find_passed_ledger(page(8, is_full=True, node_ledger=ledger(90)), 5) is None


def test_a_record_proves_its_own_ledger_whatever_the_node_says() -> None:
    assert find_passed_ledger(page(7, node_ledger=ledger(6)), 5) == ledger(7)


def test_an_account_untouched_since_what_was_read_proves_its_snapshot() -> None:
    assert find_passed_ledger(page(account=account(5, as_of=30)), 5) == ledger(30)
    assert find_passed_ledger(page(7, account=account(7, as_of=30)), 5) == ledger(30)


def test_an_account_touched_since_what_was_read_proves_nothing() -> None:
    assert find_passed_ledger(page(account=account(6, as_of=30)), 5) is None


def test_ledgers_that_share_a_close_time_are_not_spoken_for() -> None:
    assert passed_time(ledger(7)) < close_time(7)


@given(
    payments=st.sets(st.integers(1, 40), max_size=12),
    read_up_to=st.integers(0, 40),
    page_node=st.integers(1, 40),
    account_node=st.integers(1, 40),
    limit=st.integers(1, 5),
    tells=st.booleans(),
)
def test_the_clock_never_passes_an_unread_payment(
    payments: set[int], read_up_to: int, page_node: int, account_node: int, limit: int, tells: bool
) -> None:
    """One payment per ledger; pages and account snapshots come from nodes that lag at will."""
    seen = sorted(n for n in payments if read_up_to < n <= page_node)[:limit]
    state = account(max((n for n in payments if n <= account_node), default=0), account_node)
    found = find_passed_ledger(
        page(
            *seen,
            is_full=len(seen) == limit,
            node_ledger=ledger(page_node) if tells else None,
            account=None if tells else state,
        ),
        read_up_to,
    )
    unread = {n for n in payments if n > read_up_to} - set(seen)
    assert found is None or all(found.sequence < n for n in unread)
