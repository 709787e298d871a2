"""Brings sealed values under the newest key after a rotation of `SEALING_KEYS`.

It looks at the id of the key that each value begins with, so it opens only what is under an older
key, and a run that was cut off is simply run again. It works beside everything else: each row is
locked for the moment between reading and writing it, and a row that is in use is done last.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from django.apps import apps
from django.db import models, transaction
from django.db.models import BinaryField, Count, F, IntegerField, Value
from django.db.models.functions import Cast, Substr

from kernel.sealed import KEY_ID_BYTES, CannotUnseal, SealedBytesField, key_ids

# Of sealed values that are in memory at once, unless a single one is larger.
MAX_BATCH_BYTES = 8 * 1024 * 1024

Key = int | uuid.UUID | str


@dataclass(frozen=True)
class Batch:
    """What was done in one transaction: how many values were resealed, and the primary keys of
    rows whose value does not open."""

    resealed: int
    unopened: list[Key]
    last: Key


def sealed_fields() -> list[SealedBytesField]:
    """Every sealed column of every table."""
    return [
        field
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        for field in model._meta.local_concrete_fields
        if isinstance(field, SealedBytesField)
    ]


def count_by_key(field: SealedBytesField) -> dict[bytes, int]:
    """How many values of a column are under each key, by the key's id. Reads the whole table."""
    counted = _values(field).values("_sealed_key").annotate(_count=Count("*"))
    return {bytes(key_id): count for key_id, count in counted.values_list("_sealed_key", "_count")}


def reseal_column(field: SealedBytesField, *, batch_size: int) -> Iterator[Batch]:
    """Reseal what is under an older key, in primary-key order, a batch and commit at a time.

    At the end rows that others held are done too, one at a time: who holds one row and waits for
    no second can be part of no deadlock.
    """
    for size, skip_locked in ((batch_size, True), (1, False)):
        last: Key | None = None
        while batch := _reseal_batch(field, last, size, skip_locked):
            yield batch
            last = batch.last


def _reseal_batch(
    field: SealedBytesField, after: Key | None, batch_size: int, skip_locked: bool
) -> Batch | None:
    older = _values(field).filter(_sealed_key__in=key_ids()[1:]).order_by("pk")
    if after is not None:
        older = older.filter(pk__gt=after)
    with transaction.atomic():
        # Locked, so that what somebody writes meanwhile is neither read too early nor written over.
        rows = older.select_for_update(no_key=True, skip_locked=skip_locked)
        sizes = list(rows.values_list("pk", "_sealed_size")[:batch_size])
        if not sizes:
            return None
        fitting = sum(total <= MAX_BATCH_BYTES for total in accumulate(size for _, size in sizes))
        chosen = [pk for pk, _ in sizes[: max(fitting, 1)]]
        resealed, unopened = [], []
        stored = _values(field).filter(pk__in=chosen).values_list("pk", "_sealed")
        for pk, sealed in stored.order_by("pk"):
            try:
                value = Value(field.reseal(bytes(sealed)), output_field=BinaryField())
            except CannotUnseal:
                unopened.append(pk)
            else:
                row = field.model(pk=pk)
                setattr(row, field.attname, value)
                resealed.append(row)
        field.model._base_manager.bulk_update(resealed, [field.name])
    return Batch(len(resealed), unopened, chosen[-1])


def _values(field: SealedBytesField) -> models.QuerySet[Any]:
    """The rows that have a value, with its key's id, its size and, where selected, its bytes as
    they are in the database: the field itself would open them."""
    column = F(field.name)
    return field.model._base_manager.filter(**{f"{field.name}__isnull": False}).annotate(
        _sealed_key=Substr(column, 1, KEY_ID_BYTES, output_field=BinaryField()),
        _sealed_size=models.Func(column, function="octet_length", output_field=IntegerField()),
        _sealed=Cast(column, BinaryField()),
    )
