"""Celery's way in. Beat sends both tasks every few seconds; losing any message loses nothing."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import connection

from stellar import submission, watcher
from stellar.signing import SecretKeySigner
from stellar.sources import HorizonSource

logger = logging.getLogger(__name__)

# Any number would do; it only has to be ours alone in this database.
WATCHER_LOCK = 0x1A9DFA11
# Messages for a watcher that runs anyway are worth nothing a moment later.
WATCH_EXPIRES_SECONDS = 5
# How long the holder of the watcher's lock may leave PostgreSQL without a word, in timeouts of
# Horizon: it asks Horizon several times for one page, and each may take that long.
SILENCE_IN_TIMEOUTS = 8

# Celery tells only the parent process that the worker shuts down; this byte is shared with the
# pool's processes. A plain byte, since a lock could be left held by a child that was killed.
_stopping = multiprocessing.RawValue("b", 0)


@worker_shutting_down.connect
def _stop_watching(**_: object) -> None:
    _stopping.value = 1


def _should_stop() -> bool:
    return bool(_stopping.value)


@contextmanager
def _try_lock(account: str) -> Iterator[bool]:
    """PostgreSQL's session lock, so that idle duplicates of a watcher go away. Nothing relies on
    it: two watchers at once are right, only twice the work.

    A watcher that froze, or whose machine is gone, must not keep it: PostgreSQL ends the session
    of a holder that says nothing for long. One that watches speaks every few seconds.
    """
    key = (WATCHER_LOCK, account)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", key)
        is_held = bool(cursor.fetchone()[0])
        if is_held:
            silence = f"{SILENCE_IN_TIMEOUTS * settings.HORIZON_TIMEOUT_SECONDS:.0f}s"
            cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [silence])
    try:
        yield is_held
    finally:
        # With the session, the lock is gone.
        if is_held and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", key)
                cursor.execute("RESET idle_session_timeout")


@shared_task
def watch_accounts() -> None:
    """The sweep: sends a watcher to each of our accounts. Those that have one send it home."""
    watch_account.apply_async((settings.DISTRIBUTION_ACCOUNT,), expires=WATCH_EXPIRES_SECONDS)


# Acknowledged at once: a worker that loses Redis while it holds a message dies of it in kombu, and
# this task would hold one all the time. Beat sends another anyway.
@shared_task(acks_late=False)
def watch_account(account: str) -> None:
    """Record payments to `account` for `WATCH_SECONDS`, then hand over to the next watcher."""
    with _try_lock(account) as is_held:
        if not is_held:
            return
        try:
            with HorizonSource() as source:
                watcher.watch(
                    account,
                    source,
                    seconds=settings.WATCH_SECONDS,
                    should_stop=_should_stop,
                )
        except watcher.WatcherStopped as error:
            # No handing over: beat tries again, and says so again, until somebody looks.
            logger.critical("the watcher stopped: %s", error)
            return
    if not _should_stop():
        watch_account.apply_async((account,), expires=WATCH_EXPIRES_SECONDS)


@shared_task
def submit_outgoing_payments() -> None:
    """The sweep, and the answer to an announcement: sign, submit and settle what is due."""
    with HorizonSource() as source:
        submission.submit_due_payments(source, SecretKeySigner())
