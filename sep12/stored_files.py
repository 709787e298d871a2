"""Customers' files: kept sealed, found by their owner alone, used once, deleted when of no use.

A file that no field of a customer has taken yet belongs to whoever sent it, and expires. One that
was taken belongs to that customer, and goes with the last field that has it.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, Q, Sum
from django.utils import timezone

from kernel.errors import BadRequest, TooLarge, TooManyRequests
from sep10.authentication import Caller
from sep12.content import ANY_FIELD, CleanFile, check_type
from sep12.finding import owned
from sep12.identity import token_memo
from sep12.models import Customer, CustomerFile

PURGE_BATCH = 500


def new_file(caller: Caller, customer: Customer | None, clean: CleanFile) -> CustomerFile:
    """Keep a file, for `customer` or ahead of one.

    Raises `TooManyRequests` if the sending anchor has too many that no customer uses.
    """
    if customer is None:
        _check_room(caller, len(clean.content))
    lifetime = timedelta(seconds=settings.UNUSED_FILE_SECONDS)
    file = CustomerFile(
        sending_anchor=caller.sending_anchor,
        account=caller.account,
        memo=token_memo(caller) or "",
        customer=customer,
        content=clean.content,
        content_type=clean.content_type,
        size=len(clean.content),
        expires_at=timezone.now() + lifetime if customer is None else None,
    )
    file.save(force_insert=True)
    return file


def _check_room(caller: Caller, size: int) -> None:
    # Without a lock: requests at the same moment may pass the limit by their own number, and what
    # the limit guards is a disk.
    most, most_bytes = settings.MAX_UNUSED_FILES, settings.MAX_UNUSED_FILE_BYTES
    if size > most_bytes:
        raise TooLarge(f"{ANY_FIELD} must have at most {most_bytes} bytes, once it is written anew")
    now = timezone.now()
    unused = CustomerFile.objects.filter(
        sending_anchor=caller.sending_anchor, expires_at__gt=now
    ).aggregate(count=Count("pk"), bytes=Sum("size", default=0), until=Min("expires_at"))
    if unused["count"] >= most or unused["bytes"] + size > most_bytes:
        wait = (unused["until"] or now) - now  # or: none is allowed at all
        raise TooManyRequests(
            f"Too many files wait for their customer: at most {most} files or {most_bytes} bytes "
            "may. Name them in PUT /customer, or try again when some have expired",
            retry_after=max(math.ceil(wait.total_seconds()), 1),
        )


def find_files(
    caller: Caller, *, file_id: str | None = None, customer_id: str | None = None
) -> list[CustomerFile]:
    """The caller's files of that id, or of that customer, without their content; oldest first.

    Another's are no different from those that never were: an empty list (SEP-12, "Customer
    Files", "GET Response").
    """
    which = {"pk": file_id, "customer_id": customer_id}
    try:
        wanted = {name: uuid.UUID(text) for name, text in which.items() if text is not None}
    except ValueError:
        return []
    found = CustomerFile.objects.filter(_of_caller(caller), **wanted)
    return list(found.defer("content").order_by("created_at", "pk"))


def _of_caller(caller: Caller) -> Q:
    """A token with a memo speaks for one user of a shared account only, as with customers."""
    memo = token_memo(caller)
    unused = Q(customer__isnull=True, account=caller.account, expires_at__gt=timezone.now())
    if memo is not None:
        unused &= Q(memo=memo)
    return unused | Q(**{f"customer__{name}": value for name, value in owned(caller).items()})


def claim_files(
    caller: Caller, customer: Customer, ids: Mapping[str, str]
) -> dict[str, CustomerFile]:
    """The files that the fields of a locked customer name (SEP-12: `<field>_file_id`), the
    customer's own from now on. For PUT's transaction; 1 or 2 queries.

    `ids` are file ids by SEP-9 field. Raises `BadRequest` naming the field for a file that is not
    the caller's, has expired, is another customer's, or is none that this field may have.
    """
    wanted = {name: _parse_id(name, text) for name, text in ids.items()}
    usable = {
        file.pk: file
        for file in CustomerFile.objects.lock_all(_of_caller(caller), pk__in=wanted.values())
        if file.customer_id in (None, customer.pk)
    }
    for name, pk in wanted.items():
        if pk not in usable:
            raise _no_such_file(name)
        check_type(f"{name}_file_id", name, usable[pk].content_type)
    unclaimed = [file for file in usable.values() if file.customer_id is None]
    for file in unclaimed:
        file.customer, file.expires_at = customer, None
    if unclaimed:
        CustomerFile.objects.filter(pk__in=[file.pk for file in unclaimed]).update(
            customer=customer, expires_at=None
        )
    return {name: usable[pk] for name, pk in wanted.items()}


def _parse_id(name: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise _no_such_file(name) from error


def _no_such_file(name: str) -> BadRequest:
    return BadRequest(
        f"{name}_file_id must name a file that you sent to POST /customer/files, that has not "
        "expired and is no other customer's"
    )


def drop_unused(customer: Customer) -> None:
    """Delete the files of a locked customer that no field has any more."""
    CustomerFile.objects.filter(customer=customer).without_field().delete_unread()


def purge_unused_files() -> int:
    """Delete the files that expired before any customer used them; how many.

    A file that a PUT takes at this moment is locked, and left alone.
    """
    purged = 0
    while True:
        with transaction.atomic():
            batch = CustomerFile.objects.lock_expired(timezone.now(), limit=PURGE_BATCH)
            CustomerFile.objects.filter(pk__in=batch).delete_unread()
        purged += len(batch)
        if len(batch) < PURGE_BATCH:
            return purged
