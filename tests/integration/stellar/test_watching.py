"""The watcher against a Horizon that misbehaves (`stellar.watcher`)."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from stellar import watcher
from stellar.models import Cursor, ReceivedPayment, UnreadRecord
from stellar.services import ledger_clock
from stellar.signals import payments_recorded
from stellar.sources import HorizonSource, SourceUnavailable
from stellar.watcher import WatcherStopped, check_network, ingest_page, reread_records, watch
from tests.fixtures.horizon import OURS, FakeHorizon, close_time, payment_record, token_of

pytestmark = pytest.mark.django_db


def recorded() -> list[int]:
    return list(ReceivedPayment.objects.order_by("pk").values_list("ledger", flat=True))


def passed_ledger() -> int:
    return Cursor.objects.get(account=OURS).passed_ledger


def test_a_page_is_recorded_and_the_cursor_moves_behind_it(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(5), payment_record(7, memo_fields={"memo": "8"})]
    outcome = ingest_page(OURS, source)
    assert (outcome.payments, outcome.is_full) == (2, False)
    assert recorded() == [5, 7]
    assert Cursor.objects.get(account=OURS).paging_token == str(token_of(7))
    row = ReceivedPayment.objects.get(ledger=7)
    assert (row.asset[:12], str(row.amount), row.memo) == ("stellar:USDC", "100.0000000", "8")
    assert not row.claimed


def test_payments_that_no_memo_or_asset_explains_are_recorded_too(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [
        payment_record(5, memo_fields={"memo_type": "none"}),
        payment_record(6, asset_code="SCAM"),
        payment_record(7, amount="0.0000001"),
    ]
    ingest_page(OURS, source)
    assert recorded() == [5, 6, 7]


def test_the_same_page_delivered_twice_credits_once(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(5), payment_record(6)]
    ingest_page(OURS, source)
    Cursor.objects.update(paging_token="0")
    ingest_page(OURS, source)
    assert recorded() == [5, 6]


def test_a_record_that_stands_twice_on_a_page_credits_once(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(5), payment_record(5), payment_record(6)]
    ingest_page(OURS, source)
    assert recorded() == [5, 6]


def test_a_short_page_out_of_order_is_recorded_whole(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(7), payment_record(5)]
    ingest_page(OURS, source)
    assert recorded() == [5, 7]
    assert Cursor.objects.get(account=OURS).paging_token == str(token_of(7))


def test_a_full_page_out_of_order_is_not_trusted_with_the_cursor(
    horizon: FakeHorizon, source: HorizonSource, settings: Settings
) -> None:
    settings.WATCH_PAGE_SIZE = 2
    horizon.records = [payment_record(7), payment_record(5), payment_record(6)]
    with pytest.raises(SourceUnavailable, match="out of order"):
        ingest_page(OURS, source)
    assert Cursor.objects.get(account=OURS).paging_token == "0"


def test_pages_follow_one_another_until_all_is_read(
    horizon: FakeHorizon, source: HorizonSource, settings: Settings
) -> None:
    settings.WATCH_PAGE_SIZE = 2
    horizon.records = [payment_record(n) for n in range(3, 8)]
    assert [ingest_page(OURS, source).is_full for _ in range(3)] == [True, True, False]
    assert recorded() == [3, 4, 5, 6, 7]


def test_a_crash_before_the_commit_loses_nothing(
    horizon: FakeHorizon, source: HorizonSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_page(OURS, source)
    horizon.latest, horizon.records = 30, [payment_record(25)]

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Cursor, "save", crash)
        ingest_page(OURS, source)
    assert recorded() == [] and passed_ledger() == 20
    ingest_page(OURS, source)
    assert recorded() == [25] and passed_ledger() == 30


def test_the_network_is_never_called_within_a_transaction(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    depth = len(connection.savepoint_ids)
    seen = []
    horizon.before_page = lambda: seen.append(len(connection.savepoint_ids))
    ingest_page(OURS, source)
    assert seen == [depth]


@pytest.mark.django_db(transaction=True)
def test_two_watchers_at_once_credit_each_payment_once(
    horizon: FakeHorizon, settings: Settings
) -> None:
    settings.WATCH_PAGE_SIZE = 3
    horizon.records = [payment_record(n) for n in range(3, 20)]
    meet = threading.Barrier(2, timeout=5)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with HorizonSource() as source:
                meet.wait()
                for _ in range(12):
                    ingest_page(OURS, source)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert recorded() == list(range(3, 20))


def test_a_page_that_another_watcher_recorded_meanwhile_is_thrown_away(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(5)]
    ingest_page(OURS, source)
    horizon.records.append(payment_record(6))
    horizon.before_page = lambda: None

    class Overtaken(HorizonSource):
        def fetch_payments(self, account: str, after: int, limit: int) -> Any:
            page = super().fetch_payments(account, after, limit)
            Cursor.objects.update(paging_token=str(token_of(9)))
            return page

    with Overtaken() as late:
        outcome = ingest_page(OURS, late)
    assert outcome.discarded and outcome.cursor == token_of(9)
    assert recorded() == [5]


def test_recording_a_page_takes_the_same_few_queries_however_long_it_is(
    horizon: FakeHorizon,
    source: HorizonSource,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    ingest_page(OURS, source)
    horizon.records = [payment_record(n) for n in range(3, 18)]
    with django_assert_num_queries(6):  # cursor, savepoint, lock, insert, cursor, release
        ingest_page(OURS, source)


def test_new_payments_are_announced_after_commit_and_nothing_else_is(
    horizon: FakeHorizon,
    source: HorizonSource,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    heard: list[str] = []

    def listen(**_: object) -> None:
        heard.append("payments")

    payments_recorded.connect(listen)
    try:
        horizon.records = [payment_record(5)]
        with django_capture_on_commit_callbacks(execute=True):
            ingest_page(OURS, source)
        assert heard == ["payments"]
        with django_capture_on_commit_callbacks(execute=True):
            ingest_page(OURS, source)
        assert heard == ["payments"]
    finally:
        payments_recorded.disconnect(listen)


# -- The ledger clock -------------------------------------------------------------------------


def test_there_is_no_clock_before_anything_was_read() -> None:
    assert ledger_clock(OURS) is None


def test_the_clock_goes_to_the_ledger_that_the_pages_node_had(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    ingest_page(OURS, source)
    clock = ledger_clock(OURS)
    assert clock is not None
    assert close_time(19) < clock <= close_time(20)


def test_a_lagging_node_holds_the_clock_back_before_the_payment_that_it_hides(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(18)]
    horizon.page_node_latest = 15
    ingest_page(OURS, source)
    clock = ledger_clock(OURS)
    assert clock is not None and clock < close_time(18)
    horizon.page_node_latest = None
    ingest_page(OURS, source)
    clock = ledger_clock(OURS)
    assert recorded() == [18] and clock is not None and clock > close_time(18)


def test_the_clock_never_goes_back(horizon: FakeHorizon, source: HorizonSource) -> None:
    ingest_page(OURS, source)
    horizon.page_node_latest = 12
    ingest_page(OURS, source)
    assert passed_ledger() == 20


def test_a_full_page_moves_the_clock_only_before_its_last_ledger(
    horizon: FakeHorizon, source: HorizonSource, settings: Settings
) -> None:
    settings.WATCH_PAGE_SIZE = 3
    horizon.records = [
        payment_record(5),
        payment_record(7),
        payment_record(9),
        payment_record(9, 2),
    ]
    ingest_page(OURS, source)
    assert passed_ledger() == 7
    ingest_page(OURS, source)
    assert passed_ledger() == 20


class TestAHorizonWhosePagesDoNotTellTheirLedger:
    """As Horizon itself: Latest-Ledger stands on answers from its state, not from its history."""

    @pytest.fixture(autouse=True)
    def _silent(self, horizon: FakeHorizon) -> None:
        horizon.pages_tell_ledger = False

    def test_the_clock_goes_by_the_account_if_nothing_touched_it(
        self, horizon: FakeHorizon, source: HorizonSource
    ) -> None:
        horizon.records = [payment_record(5)]
        horizon.touched_ledger = 5
        ingest_page(OURS, source)
        assert passed_ledger() == 5
        ingest_page(OURS, source)
        assert passed_ledger() == 20

    def test_a_lagging_node_holds_the_clock_back(
        self, horizon: FakeHorizon, source: HorizonSource
    ) -> None:
        horizon.records = [payment_record(5), payment_record(18)]
        horizon.touched_ledger = 18
        horizon.page_node_latest = 15
        for _ in range(3):
            ingest_page(OURS, source)
        clock = ledger_clock(OURS)
        assert clock is not None and close_time(4) < clock < close_time(18)

    def test_the_clock_goes_on_behind_the_usual_lag_if_something_else_touched_the_account(
        self, horizon: FakeHorizon, source: HorizonSource
    ) -> None:
        horizon.touched_ledger = 19  # a trustline, say
        horizon.latest = 40
        ingest_page(OURS, source)
        ingest_page(OURS, source)
        assert 20 <= passed_ledger() < 40

    def test_without_any_header_the_clock_stays_behind_the_usual_lag(
        self, horizon: FakeHorizon, source: HorizonSource
    ) -> None:
        horizon.states_tell_ledger = False
        horizon.latest = 40
        ingest_page(OURS, source)
        ingest_page(OURS, source)
        assert 0 < passed_ledger() < 40 - 10


# -- Records that can't be read ---------------------------------------------------------------


def test_an_unreadable_record_is_kept_and_stops_neither_the_others_nor_the_cursor(
    horizon: FakeHorizon, source: HorizonSource, caplog: pytest.LogCaptureFixture
) -> None:
    horizon.records = [payment_record(5), payment_record(6, amount="lots"), payment_record(7)]
    outcome = ingest_page(OURS, source)
    assert (outcome.payments, outcome.unread) == (2, 1)
    assert recorded() == [5, 7]
    unread = UnreadRecord.objects.get()
    assert unread.operation_id == token_of(6)
    assert "amount" in unread.reason and '"lots"' in unread.record
    assert Cursor.objects.get(account=OURS).paging_token == str(token_of(7))
    assert "could not be read" in caplog.text


@pytest.mark.parametrize("oddity", [{}, None, "text", {"paging_token": "x"}, {"id": "\x00"}])
def test_a_record_without_a_place_is_kept_and_the_others_are_read(
    horizon: FakeHorizon, source: HorizonSource, oddity: Any
) -> None:
    horizon.records = [oddity, payment_record(5)]
    ingest_page(OURS, source)
    ingest_page(OURS, source)
    assert recorded() == [5]
    assert UnreadRecord.objects.count() == 1


def test_an_unread_record_is_credited_once_it_can_be_read(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(6, amount="lots")]
    ingest_page(OURS, source)
    assert reread_records(source) == (0, 1)
    horizon.records = [payment_record(6)]
    assert reread_records(source) == (1, 0)
    assert recorded() == [6]
    assert reread_records(source) == (0, 0)


def test_a_merge_is_credited_with_the_amount_in_its_effects(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    record = payment_record(6, type="account_merge", account=payment_record()["from"], into=OURS)
    horizon.records = [record]
    credited = {"type": "account_credited", "account": OURS, "amount": "33.0000000"}
    horizon.effects[record["id"]] = [credited]
    ingest_page(OURS, source)
    assert str(ReceivedPayment.objects.get().amount) == "33.0000000"


def test_an_answer_that_is_not_horizons_changes_nothing(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.broken = True
    with pytest.raises(SourceUnavailable):
        ingest_page(OURS, source)
    assert Cursor.objects.get(account=OURS).paging_token == "0"


# -- Another network than ours ----------------------------------------------------------------


def test_a_network_that_was_reset_stops_the_watcher_and_says_what_to_do(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    ingest_page(OURS, source)
    horizon.latest = 3
    horizon.closes_at = lambda n: close_time(1000 + n)
    with pytest.raises(WatcherStopped, match=r"reset.*start_watching"):
        ingest_page(OURS, source)
    with pytest.raises(WatcherStopped, match="reset"):
        check_network(OURS, source)


def test_a_node_that_merely_lags_does_not_stop_the_watcher(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    ingest_page(OURS, source)
    horizon.latest = 3
    check_network(OURS, source)
    ingest_page(OURS, source)


def test_a_horizon_that_forgot_ledgers_we_have_not_read_stops_the_watcher(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    ingest_page(OURS, source)
    horizon.latest, horizon.elder = 500, 400
    with pytest.raises(WatcherStopped, match="keeps ledgers from 400"):
        check_network(OURS, source)


def test_a_horizon_of_another_network_stops_the_watcher(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.passphrase = "Some Other Network"
    with pytest.raises(WatcherStopped, match="NETWORK_PASSPHRASE"):
        check_network(OURS, source)


# -- Watching ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_watching_ends_within_a_moment_of_being_told_to(
    horizon: FakeHorizon, source: HorizonSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "POLL_SECONDS", 0.2)
    stop_at = time.monotonic() + 0.3
    watch(OURS, source, seconds=60, should_stop=lambda: time.monotonic() > stop_at)
    assert time.monotonic() < stop_at + 5


@pytest.mark.django_db(transaction=True)
def test_a_stream_that_cries_wolf_does_not_make_a_busy_loop(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.stream_events = 10_000
    watch(OURS, source, seconds=1.5, should_stop=lambda: False)
    pages = sum(path.endswith("/payments") for path in horizon.requests)
    assert pages < 12


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_the_stream_never_told_of_is_found_by_polling(
    horizon: FakeHorizon, source: HorizonSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "POLL_SECONDS", 0.1)

    def pay_late() -> None:
        if len(horizon.requests) > 4:
            horizon.records = [payment_record(5)]

    horizon.before_page = pay_late
    watch(OURS, source, seconds=20, should_stop=lambda: recorded() == [5])
    assert recorded() == [5]


@pytest.mark.django_db(transaction=True)
def test_an_outage_is_waited_out(horizon: FakeHorizon, source: HorizonSource) -> None:
    horizon.records = [payment_record(5)]
    horizon.broken = True
    threading.Timer(0.5, lambda: setattr(horizon, "broken", False)).start()
    watch(OURS, source, seconds=30, should_stop=lambda: recorded() == [5])
    assert recorded() == [5]


def test_the_cursor_and_the_payments_are_one_commit(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    horizon.records = [payment_record(5)]
    with transaction.atomic():
        ingest_page(OURS, source)
        transaction.set_rollback(True)
    assert recorded() == [] and not Cursor.objects.exists()


def test_the_clock_says_when_the_network_last_answered(
    horizon: FakeHorizon, source: HorizonSource
) -> None:
    ingest_page(OURS, source)
    before = Cursor.objects.get(account=OURS).polled_at
    ingest_page(OURS, source)
    after = Cursor.objects.get(account=OURS).polled_at
    assert before is not None and after is not None
    assert timedelta(0) < after - before
