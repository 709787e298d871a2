"""Celery's messages are hints: whatever happens to them, the sweeps do the work."""

from __future__ import annotations

from contextlib import closing

import pytest
import redis

from localnet.service import RunningService
from tests.faults.payments import Payments

pytestmark = pytest.mark.faults


def test_emptying_redis_in_the_middle_loses_nothing(
    service: RunningService, payments: Payments
) -> None:
    with payments.flowing():
        for _ in range(3):
            payments.wait_for_steps(10)
            with closing(redis.Redis.from_url(service.redis.url)) as client:
                client.flushall()
    payments.check()


def test_what_arrived_while_celery_and_its_broker_were_down_is_caught_up(
    service: RunningService, payments: Payments
) -> None:
    away = ("beat", "worker", "watcher", "redis")
    for name in away:
        service.stop_process(name)
    started = payments.start("paid", "refused_account", "timeout_paid", "undeliverable")
    for payment in started:
        payments.wait_until_paid(payment)
    assert {payment.status for payment in started} == {"pending_sender"}
    for name in reversed(away):
        service.start_process(name)
    payments.check()
