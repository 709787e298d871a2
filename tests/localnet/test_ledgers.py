"""Idle ledgers: time goes on, the disk does not fill, and old ones are still told."""

from pathlib import Path

from localnet.network.ledger import Ledger
from localnet.network.store import KEEP_EVERY, RECENT_LEDGERS, Store

PASSPHRASE = "Idle ledgers"


def test_idle_ledgers_are_thinned_out_and_still_answered(tmp_path: Path) -> None:
    clock = [1_800_000_000.0]
    store = Store(tmp_path, PASSPHRASE)
    ledger = Ledger(store, PASSPHRASE, now=lambda: clock[0])
    closed: dict[int, int] = {}
    idle = 500
    for _ in range(RECENT_LEDGERS + idle):
        clock[0] += 1
        ledger.close_ledger()
        closed[ledger.last.sequence] = ledger.last.closed_at
    kept = store._db.execute("SELECT count(*) FROM ledgers").fetchone()[0]
    assert kept <= RECENT_LEDGERS + idle // KEEP_EVERY + 2
    for sequence, time in closed.items():
        row = store.ledger(sequence)
        assert row is not None and row.closed_at == time
    store.close()


def test_a_clock_that_goes_back_does_not_take_the_ledgers_with_it(tmp_path: Path) -> None:
    store = Store(tmp_path, PASSPHRASE)
    ledger = Ledger(store, PASSPHRASE, now=lambda: 2000.0)
    ledger.close_ledger()
    store.close()
    store = Store(tmp_path, PASSPHRASE)
    restarted = Ledger(store, PASSPHRASE, now=lambda: 1000.0)
    restarted.close_ledger()
    assert restarted.last.sequence == ledger.last.sequence + 1
    assert restarted.last.closed_at >= ledger.last.closed_at
    store.close()
