"""`manage.py reseal_personal_data` after a rotation of SEALING_KEYS."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction

from kernel import resealing
from kernel.resealing import count_by_key, reseal_column, sealed_fields
from kernel.sealed import key_ids, seal
from sep12.models import Customer, CustomerField, CustomerFile
from tests.fixtures.callers import make_sending_anchor

OLD, NEW, LOST = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
VALUE: Any = CustomerField._meta.get_field("value")
CONTENT: Any = CustomerFile._meta.get_field("content")


@pytest.fixture
def customer(transactional_db: None, settings: Any) -> Customer:
    """Of a time when OLD was the only key."""
    settings.SEALING_KEYS = [OLD]
    anchor = make_sending_anchor()
    return Customer.objects.create(sending_anchor=anchor.sending_anchor, account=anchor.account)


@pytest.fixture
def rotate(settings: Any) -> Any:
    def rotate() -> None:
        settings.SEALING_KEYS = [NEW, OLD]

    return rotate


def add_values(customer: Customer, count: int, first: int = 0) -> list[CustomerField]:
    return [
        CustomerField.objects.create(customer=customer, name=f"field_{n}", value=f"Zoë {n}")
        for n in range(first, first + count)
    ]


def values(customer: Customer) -> list[str | None]:
    return list(customer.fields.order_by("pk").values_list("value", flat=True))


def stored(row: CustomerField) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM sep12_customerfield WHERE id = %s", [row.pk])
        return bytes(cursor.fetchone()[0])


def store(row: CustomerField, sealed: bytes) -> None:
    raw = models.Value(sealed, output_field=models.BinaryField())
    CustomerField.objects.filter(pk=row.pk).update(value=raw)


def run(*arguments: str) -> str:
    """What the command says; raises CommandError where its exit code is not 0."""
    output = io.StringIO()
    call_command("reseal_personal_data", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def test_every_sealed_column_of_every_table_is_known() -> None:
    known = {f"{field.model._meta.label_lower}.{field.name}" for field in sealed_fields()}
    assert known >= {
        "sep12.customerfield.value",
        "sep12.customerfile.content",
        "sep12.verification.code",
        "payouts.payout.details",
        "payouts.attempt.details",
        "sep31.transaction.fields",
    }


def test_afterwards_the_newest_key_alone_opens_everything(
    customer: Customer, settings: Any, rotate: Any
) -> None:
    add_values(customer, 5)
    refused = CustomerField.objects.create(customer=customer, name="refused", status="REJECTED")
    file = CustomerFile.objects.create(
        sending_anchor=customer.sending_anchor,
        account=customer.account,
        customer=customer,
        content=b"\x89PNG",
        size=4,
    )
    before = list(customer.fields.order_by("pk").values_list("updated_at", flat=True))
    rotate()
    said = run("--batch-size", "2")
    assert "Every value is under the newest key" in said
    assert "Zoë" not in said
    settings.SEALING_KEYS = [NEW]
    assert values(customer) == [f"Zoë {n}" for n in range(5)] + [None]
    file.refresh_from_db()
    assert file.content == b"\x89PNG"
    refused.refresh_from_db()
    assert refused.value is None
    # A value under another key is the same value: nothing looks as if a client had changed it.
    assert list(customer.fields.order_by("pk").values_list("updated_at", flat=True)) == before


def test_what_is_under_the_newest_key_is_left_alone(customer: Customer, rotate: Any) -> None:
    [early] = add_values(customer, 1)
    rotate()
    [late] = add_values(customer, 1, first=1)
    bytes_before = stored(late)
    run()
    assert stored(late) == bytes_before
    early_bytes = stored(early)
    run()
    assert stored(early) == early_bytes


def test_check_only_counts_and_fails_while_an_older_key_is_needed(
    customer: Customer, rotate: Any
) -> None:
    rows = add_values(customer, 3)
    rotate()
    new_id, old_id = key_ids()
    with pytest.raises(CommandError, match="3 values"):
        run("--check")
    assert count_by_key(VALUE) == {old_id: 3}
    rows[0].save()
    assert count_by_key(VALUE) == {old_id: 2, new_id: 1}
    run()
    said = run("--check")
    assert f"sep12.customerfield.value: 3 under key {new_id.hex()} (newest)" in said


def test_a_run_that_stopped_half_way_is_simply_run_again(customer: Customer, rotate: Any) -> None:
    add_values(customer, 6)
    rotate()
    new_id, old_id = key_ids()
    batches: Any = reseal_column(VALUE, batch_size=2)
    assert next(batches).resealed == 2
    batches.close()
    assert count_by_key(VALUE) == {old_id: 4, new_id: 2}
    assert "sep12.customerfield.value: 4 resealed" in run()
    assert values(customer) == [f"Zoë {n}" for n in range(6)]


def test_a_killed_run_leaves_whole_values_and_the_next_one_ends_it(
    customer: Customer, rotate: Any
) -> None:
    add_values(customer, 300)
    rotate()
    database = connection.settings_dict
    where = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    environment = {
        **os.environ,
        "SEALING_KEYS": f"{NEW},{OLD}",
        "DATABASE_URL": f"postgres://{database['USER']}:{database['PASSWORD']}@{where}",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "reseal_personal_data", "--batch-size", "1"],
        cwd=Path(__file__).resolve().parents[3],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "resealed" in process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert values(customer) == [f"Zoë {n}" for n in range(300)]
    run()
    assert count_by_key(VALUE) == {key_ids()[0]: 300}
    assert values(customer) == [f"Zoë {n}" for n in range(300)]


def in_thread(work: Any) -> tuple[threading.Thread, list[Any]]:
    """Start `work` on a connection of its own; its result, or what it raised, comes in the list."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=target)
    thread.start()
    return thread, outcome


def test_two_runs_at_once_share_the_work_and_do_nothing_twice(
    customer: Customer, rotate: Any
) -> None:
    add_values(customer, 60)
    rotate()
    together = threading.Barrier(2)

    def work() -> int:
        together.wait()
        return sum(batch.resealed for batch in reseal_column(VALUE, batch_size=3))

    runs = [in_thread(work) for _ in range(2)]
    for thread, _ in runs:
        thread.join()
    assert sum(outcome for _, [outcome] in runs) == 60
    assert values(customer) == [f"Zoë {n}" for n in range(60)]
    assert count_by_key(VALUE) == {key_ids()[0]: 60}


def test_what_somebody_writes_meanwhile_is_not_written_over(
    customer: Customer, rotate: Any
) -> None:
    rows = add_values(customer, 5)
    # Of a process that has not been started again yet, so it is under the old key itself.
    changed = seal(b"Anna", context="sep12.customerfield.value")
    rotate()
    new_id, old_id = key_ids()
    with transaction.atomic():
        store(rows[1], changed)
        thread, outcome = in_thread(run)
        deadline = time.monotonic() + 60
        while count_by_key(VALUE) != {old_id: 1, new_id: 4}:  # all that nobody holds
            assert thread.is_alive(), outcome
            assert time.monotonic() < deadline
            time.sleep(0.02)
    thread.join()
    assert "Every value is under the newest key" in outcome[0]
    assert values(customer) == ["Zoë 0", "Anna", "Zoë 2", "Zoë 3", "Zoë 4"]


def test_a_value_erased_meanwhile_stays_erased(customer: Customer, rotate: Any) -> None:
    rows = add_values(customer, 3)
    rotate()
    with transaction.atomic():
        rows[2].delete()
        thread, outcome = in_thread(run)
        deadline = time.monotonic() + 60
        while count_by_key(VALUE) != {key_ids()[0]: 2}:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    thread.join()
    assert "Every value" in outcome[0]
    assert values(customer) == ["Zoë 0", "Zoë 1"]


def test_a_value_that_does_not_open_is_told_by_its_row_and_the_rest_is_done(
    customer: Customer, rotate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = add_values(customer, 4)
    tampered = bytearray(stored(rows[1]))
    tampered[-1] ^= 1
    store(rows[1], bytes(tampered))
    rotate()
    output = io.StringIO()
    with pytest.raises(CommandError, match="1 values are not under the newest key"):
        call_command("reseal_personal_data", "--batch-size", "2", stdout=output, stderr=output)
    assert "1 values do not open" in output.getvalue()
    assert f"Rows: {rows[1].pk}\n" in output.getvalue()
    assert stored(rows[1]) == bytes(tampered)
    assert count_by_key(VALUE) == {key_ids()[0]: 3, key_ids()[1]: 1}


def test_values_of_a_key_that_is_gone_are_counted_and_left_as_they_are(
    customer: Customer, settings: Any
) -> None:
    settings.SEALING_KEYS = [LOST]
    [row] = add_values(customer, 1)
    before, [lost_id] = stored(row), key_ids()
    settings.SEALING_KEYS = [NEW, OLD]
    output = io.StringIO()
    with pytest.raises(CommandError, match="unknown key need that key back"):
        call_command("reseal_personal_data", stdout=output)
    assert f"1 under key {lost_id.hex()} (unknown)" in output.getvalue()
    assert stored(row) == before


def test_no_more_is_read_at_once_than_the_limit_unless_one_value_is_larger(
    customer: Customer, rotate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (100, 100, 100, 900, 100):
        CustomerFile.objects.create(
            id=uuid.uuid4(),
            sending_anchor=customer.sending_anchor,
            account=customer.account,
            customer=customer,
            content=b"x" * size,
            size=size,
        )
    rotate()
    monkeypatch.setattr(resealing, "MAX_BATCH_BYTES", 300)  # two of 132 bytes each
    batches = [batch.resealed for batch in reseal_column(CONTENT, batch_size=100)]
    assert sum(batches) == 5
    assert max(batches) <= 2
    assert count_by_key(CONTENT) == {key_ids()[0]: 5}


def test_a_batch_costs_the_same_few_queries_whatever_its_size(
    customer: Customer, rotate: Any, django_assert_num_queries: Any
) -> None:
    add_values(customer, 40)
    rotate()
    batches = reseal_column(VALUE, batch_size=20)
    with django_assert_num_queries(5):  # begin, lock, read, write, commit
        assert next(batches).resealed == 20
    with django_assert_num_queries(5):
        assert next(batches).resealed == 20


def test_a_batch_of_nothing_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="--batch-size"):
        run("--batch-size", "0")
