"""Callbacks reach sending anchors: signed, in order, once as far as one can, until given up."""

from __future__ import annotations

import json
import socket
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from callbacks import services, signature
from callbacks.models import DUE_HEADS, Callback
from callbacks.services import (
    deliver_callback,
    deliver_due_callbacks,
    queue_callback,
    redirect_callbacks,
    resend_callback,
)
from callbacks.signals import callback_queued
from kernel.errors import BadRequest, NotFound
from kernel.keys import signing_keypair
from tests.integration.callbacks.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _local_hosts(settings):
    settings.ALLOW_INSECURE_URLS = True
    settings.CALLBACK_FIRST_RETRY_SECONDS = 1000


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def dead_url():
    """A port that takes connections and never answers: the slowest way to be dead."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/callback"


def queue(receiver: Receiver, number: int = 1, stream: str = "sep31:a") -> Callback:
    return queue_callback(stream=stream, url=receiver.url, body={"number": number})


def numbers(receiver: Receiver) -> list[int]:
    return [json.loads(body)["number"] for body in receiver.bodies]


def make_due() -> None:
    Callback.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def test_a_callback_arrives_as_signed_json(receiver):
    callback = queue_callback(
        stream="sep31:a", url=receiver.url, body={"transaction": {"message": "señal"}}
    )
    deliver_callback(callback.pk)

    [received] = receiver.received
    assert json.loads(received.body) == {"transaction": {"message": "señal"}}
    assert received.headers["Content-Type"] == "application/json"
    for name in ("Signature", "X-Stellar-Signature"):
        signature.verify(
            signing_keypair(),
            received.headers[name],
            now=int(time.time()),
            host=received.headers["Host"],
            body=received.body,
        )
    callback.refresh_from_db()
    assert callback.status == Callback.Status.DELIVERED
    assert callback.last_status == 204
    assert callback.delivered_at is not None


def test_the_sweep_delivers_what_no_message_announced(receiver):
    queue(receiver)
    assert deliver_due_callbacks() == 1
    assert numbers(receiver) == [1]
    assert deliver_due_callbacks() == 0


@pytest.mark.parametrize(
    "deliver", [lambda pk: deliver_callback(pk), lambda pk: deliver_due_callbacks()]
)
def test_callbacks_of_a_stream_arrive_in_order_one_right_after_the_other(receiver, deliver):
    first, *_ = [queue(receiver, number) for number in (1, 2, 3)]
    deliver(first.pk)
    assert numbers(receiver) == [1, 2, 3]


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_only_2xx_counts_and_later_ones_wait_for_the_retry(receiver, status):
    receiver.answer = lambda number: status if number == 0 else 200
    first, second = queue(receiver, 1), queue(receiver, 2)
    deliver_due_callbacks()
    deliver_callback(second.pk)
    assert numbers(receiver) == [1]
    first.refresh_from_db()
    assert (first.status, first.last_status) == (Callback.Status.PENDING, status)
    assert first.next_try_at > timezone.now()

    make_due()
    deliver_due_callbacks()
    assert numbers(receiver) == [1, 1, 2]


def test_streams_do_not_wait_for_each_other(receiver):
    receiver.answer = lambda number: 500 if number == 0 else 204
    deliver_callback(queue(receiver, 1, "sep31:a").pk)
    deliver_callback(queue(receiver, 2, "sep31:b").pk)
    assert numbers(receiver) == [1, 2]
    assert Callback.objects.get(stream="sep31:b").status == Callback.Status.DELIVERED


def test_retries_come_further_and_further_apart_up_to_an_hour(settings):
    settings.CALLBACK_FIRST_RETRY_SECONDS = 2.0
    for tries, longest in [(1, 2), (2, 4), (5, 32), (20, 3600), (100_000, 3600)]:
        delays = {services._delay(tries).total_seconds() for _ in range(50)}
        assert longest / 2 <= min(delays)
        assert max(delays) <= longest
        assert len(delays) > 1, "jitter"


def test_after_the_time_allowed_a_callback_is_given_up_and_the_next_one_goes_on(receiver, settings):
    settings.CALLBACK_GIVE_UP_HOURS = 0
    receiver.answer = lambda number: 500 if number == 0 else 204
    first, second = queue(receiver, 1), queue(receiver, 2)
    deliver_due_callbacks()
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.status == Callback.Status.GIVEN_UP
    assert second.status == Callback.Status.DELIVERED
    assert numbers(receiver) == [1, 2]


def test_one_that_waited_its_turn_for_days_still_gets_its_full_time(receiver):
    receiver.answer = lambda number: 500
    callback = queue(receiver)
    Callback.objects.update(created_at=timezone.now() - timedelta(days=30))
    deliver_due_callbacks()
    callback.refresh_from_db()
    assert callback.status == Callback.Status.PENDING


def test_an_operator_may_resend_what_was_given_up_or_delivered(receiver, settings):
    settings.CALLBACK_GIVE_UP_HOURS = 0
    receiver.answer = lambda number: 500 if number == 0 else 204
    callback = queue(receiver)
    deliver_due_callbacks()

    for _ in range(2):
        assert resend_callback(callback.pk).status == Callback.Status.PENDING
        with pytest.raises(BadRequest):
            resend_callback(callback.pk)
        deliver_due_callbacks()
        callback.refresh_from_db()
        assert callback.status == Callback.Status.DELIVERED
    assert numbers(receiver) == [1, 1, 1]
    with pytest.raises(NotFound):
        resend_callback(10**12)


def test_a_new_url_takes_over_what_was_not_delivered_to_the_old_one(receiver):
    receiver.answer = lambda number: 500
    queue(receiver, 1)
    queue(receiver, 2)
    deliver_due_callbacks()
    new = Receiver()
    try:
        with transaction.atomic():
            assert redirect_callbacks(stream="sep31:a", url=new.url) == 2
        deliver_due_callbacks()
        assert numbers(new) == [1, 2]
        assert numbers(receiver) == [1]
        signature.verify(
            signing_keypair(),
            new.received[0].headers["Signature"],
            now=int(time.time()),
            host=new.host,
            body=new.bodies[0],
        )
    finally:
        new.stop()


def test_nothing_is_queued_or_announced_by_a_transaction_that_fails(receiver):
    heard = []
    listener = lambda **facts: heard.append(facts["callback_id"])  # noqa: E731
    callback_queued.connect(listener)
    try:
        with pytest.raises(RuntimeError), transaction.atomic():
            queue(receiver)
            raise RuntimeError
        assert heard == []
        assert Callback.objects.count() == 0
        with transaction.atomic():
            callback = queue(receiver)
            assert heard == []
        assert heard == [callback.pk]
    finally:
        callback_queued.disconnect(listener)


def test_no_database_transaction_is_open_while_we_wait_for_the_host(receiver, monkeypatch):
    seen = []
    post = services.safe_post

    def watched(*args, **kwargs):
        seen.append(connection.in_atomic_block)
        return post(*args, **kwargs)

    monkeypatch.setattr(services, "safe_post", watched)
    deliver_callback(queue(receiver).pk)
    assert seen == [False]


def test_two_workers_at_once_deliver_each_callback_once_and_in_order(receiver):
    for stream in range(5):
        for number in range(4):
            queue(receiver, number * 10 + stream, f"sep31:{stream}")
    barrier = threading.Barrier(4)

    def work() -> None:
        try:
            barrier.wait()
            deliver_due_callbacks()
            for callback in Callback.objects.all():
                deliver_callback(callback.pk)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    deliver_due_callbacks()

    arrived = numbers(receiver)
    assert sorted(arrived) == sorted(n * 10 + s for n in range(4) for s in range(5))
    for stream in range(5):
        assert [n for n in arrived if n % 10 == stream] == [n * 10 + stream for n in range(4)]
    assert set(Callback.objects.values_list("status", "tries")) == {("delivered", 1)}


def test_a_crash_between_claim_and_record_only_delays(receiver, monkeypatch):
    callback = queue(receiver)

    def crash(claim):
        raise SystemExit("kill -9 right before the POST")

    with monkeypatch.context() as patch:
        patch.setattr(services, "_post", crash)
        with pytest.raises(SystemExit):
            deliver_callback(callback.pk)

    deliver_due_callbacks()
    assert receiver.received == [], "the claim still stands"
    make_due()  # as once the claim lapsed
    deliver_due_callbacks()
    assert numbers(receiver) == [1]


def test_the_answer_to_a_lapsed_claim_does_not_overwrite_a_later_one(receiver):
    callback = queue(receiver)
    lapsed = services._claim_head(callback.stream)
    make_due()
    current = services._claim_head(callback.stream)
    assert lapsed is not None
    assert current is not None
    assert services._record(lapsed, services.Answer(500)) is False
    callback.refresh_from_db()
    assert callback.last_status is None, "the current claim decides"
    assert services._record(current, services.Answer(204)) is True
    assert services._record(lapsed, services.Answer(500)) is False
    callback.refresh_from_db()
    assert (callback.status, callback.last_status) == (Callback.Status.DELIVERED, 204)


def test_those_behind_a_failed_one_stay_out_of_the_sweep_until_its_next_try(receiver):
    receiver.answer = lambda number: 500
    first, second = queue(receiver, 1), queue(receiver, 2)
    deliver_due_callbacks()
    first.refresh_from_db()
    second.refresh_from_db()
    assert second.next_try_at == first.next_try_at > timezone.now()


def test_a_dead_host_does_not_hold_up_the_others(receiver):
    dead, revived = Receiver(), threading.Event()
    dead.answer = lambda number: 500 if revived.wait(20) else 0
    for number in range(100):
        queue_callback(stream=f"sep31:dead{number}", url=dead.url, body={})
    for number in range(20):
        queue(receiver, number, f"sep31:{number}")

    def sweep() -> None:
        try:
            deliver_due_callbacks()
        finally:
            connection.close()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        give_up = time.monotonic() + 9
        while len(receiver.received) < 20 and time.monotonic() < give_up:
            time.sleep(0.01)
        # The others have all theirs while the dead host still has answered nothing.
        assert sorted(numbers(receiver)) == list(range(20))
        assert len(dead.received) <= services.AT_ONCE_PER_HOST
    finally:
        revived.set()
        sweeper.join()
        dead.stop()


def test_the_next_due_callback_is_found_by_index_however_many_wait_for_a_dead_host():
    later = timezone.now() + timedelta(hours=1)
    Callback.objects.bulk_create(
        Callback(
            stream=f"sep31:{number}",
            url="https://dead.com/",
            host="dead.com",
            body="{}",
            next_try_at=timezone.now() if number % 2 else later,
        )
        for number in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE callbacks_callback")
        cursor.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + DUE_HEADS,
            {"now": timezone.now(), "limit": 16, "per_host": 4, "busy_hosts": []},
        )
        plan = cursor.fetchone()[0]

    def rows_read(node) -> int:
        own = node["Actual Rows"] * node["Actual Loops"] if "Relation Name" in node else 0
        return own + sum(rows_read(child) for child in node.get("Plans", []))

    assert rows_read(plan[0]["Plan"]) < 100


def test_new_callbacks_to_a_dead_host_are_left_to_the_sweep(dead_url, monkeypatch):
    monkeypatch.setattr(services, "POST_SECONDS", 0.05)
    first = queue_callback(stream="sep31:a", url=dead_url, body={})
    second = queue_callback(stream="sep31:b", url=dead_url, body={})
    deliver_callback(first.pk)
    deliver_callback(second.pk)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.tries, first.unanswered) == (1, 1)
    assert first.last_error
    assert second.tries == 0
    deliver_due_callbacks()
    second.refresh_from_db()
    assert second.tries == 1


def test_an_address_inside_our_network_is_never_called(receiver, settings):
    settings.ALLOW_INSECURE_URLS = False
    callback = queue_callback(stream="sep31:a", url="https://127.0.0.1/admin", body={})
    deliver_due_callbacks()
    callback.refresh_from_db()
    assert callback.status == Callback.Status.PENDING
    assert "public" in callback.last_error


def test_one_impossible_callback_does_not_end_the_sweep(receiver):
    Callback.objects.create(
        stream="sep31:bad", url="https://[", host="", body="{}", next_try_at=timezone.now()
    )
    queue(receiver)
    deliver_due_callbacks()
    assert numbers(receiver) == [1]


def test_a_try_costs_a_bounded_number_of_queries(receiver, django_assert_max_num_queries):
    for number in range(5):
        queue(receiver, number)
    receiver.answer = lambda number: 500
    with django_assert_max_num_queries(14):
        # Claim: 2 and a commit; record: 3 and a commit; and one look that finds nothing more.
        deliver_due_callbacks()


def test_the_secrets_of_a_url_stay_out_of_the_log(receiver, caplog):
    receiver.answer = lambda number: 500
    queue_callback(stream="sep31:a", url=receiver.url + "?token=hush", body={})
    deliver_due_callbacks()
    assert "HTTP 500" in caplog.text
    assert "hush" not in caplog.text
