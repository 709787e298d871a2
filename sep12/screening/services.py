"""Holding customers against the lists, and what operators decide on likenesses."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from kernel.errors import NotFound
from sep12.cases import close_case
from sep12.changes import changing
from sep12.models import Case, Customer, CustomerField, SanctionsName, ScreeningHit
from sep12.screening import NAME_FIELDS, screening_enabled
from sep12.screening.evidence import MOST_GAINED, Facts, weigh_evidence
from sep12.screening.index import NameIndex
from sep12.screening.lists import ListsMissing, current_versions, listed_names
from sep12.screening.subjects import Subject, read_subjects

logger = logging.getLogger(__name__)

BATCH = 100
MAX_DETAILS = 500
# Who closes what nobody needs to decide any more.
DELISTED = "the list, which no longer has it"

_State = Customer.Screening
_Open = ScreeningHit.Status.OPEN


@dataclass(frozen=True)
class LoadedIndex:
    """The index of all required lists. `version` is the newest of theirs, and so that of all."""

    versions: dict[str, int]
    names: NameIndex

    @property
    def version(self) -> int:
        return max(self.versions.values())


class _Held:
    """This process's index; built when first needed, and again when a list was loaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: LoadedIndex | None = None

    def get(self) -> LoadedIndex:
        # The versions first: names that are newer than they say only mean another screening.
        versions = current_versions()
        with self._lock:
            if self._index is None or self._index.versions != versions:
                self._index = None  # never two in memory
                names = NameIndex(listed_names(list(versions)))
                self._index = LoadedIndex(versions, names)
            return self._index


_held = _Held()


# -- Screening --------------------------------------------------------------------------------
def screen_customer(customer_id: uuid.UUID) -> None:
    """Hold one customer against the lists, if that is due. Does nothing while screening is off."""
    if not screening_enabled() or not Customer.objects.is_due(customer_id):
        return
    try:
        _screen(customer_id, _held.get())
    except ListsMissing as error:
        logger.error("nobody can be screened: %s", error)


def screen_due_customers() -> None:
    """The sweep: customers with a new name first, then those not yet held against the newest lists.

    It stops after one interval of the sweep, so that other work gets its turn; the next one goes
    on.
    """
    if not screening_enabled():
        return
    stop_at = time.monotonic() + settings.SWEEP_SECONDS
    try:
        index = _held.get()
    except ListsMissing as error:
        logger.error("nobody can be screened: %s", error)
        return
    for customer_id in _due(index.version):
        try:
            _screen(customer_id, index)
        except Exception as error:
            # The class alone: the text of an error may quote what we keep sealed.
            logger.error(
                "customer %s could not be screened (%s)", customer_id, type(error).__name__
            )
        if time.monotonic() > stop_at:
            return


def _due(version: int) -> Iterator[uuid.UUID]:
    """Customers to screen, read in batches; each at most once, so that none holds up the rest."""
    present = Customer.objects.present()
    after = None
    while batch := list(
        present.filter(screening=_State.DUE, **({"pk__gt": after} if after else {}))
        .order_by("pk")
        .values_list("pk", flat=True)[:BATCH]
    ):
        yield from batch
        after = batch[-1]
    behind = present.filter(screened_with__lt=version).exclude(screening=_State.DUE)
    further = Q()
    while rows := list(
        behind.filter(further)
        .order_by("screened_with", "pk")
        .values_list("screened_with", "pk")[:BATCH]
    ):
        yield from (pk for _, pk in rows)
        last_version, last = rows[-1]
        further = Q(screened_with__gt=last_version) | Q(screened_with=last_version, pk__gt=last)


@dataclass(frozen=True)
class _Found:
    """A likeness that is to be decided on."""

    listed: SanctionsName
    score: float
    details: str
    digests: tuple[str, ...]  # by each sealing key, newest first


def _screen(customer_id: uuid.UUID, index: LoadedIndex) -> None:
    """Read, compare, and record what was found. Comparing takes long enough to hold up a PUT, so
    it comes without the lock; what changed meanwhile is seen by the revision."""
    seen = Customer.objects.present().filter(pk=customer_id).only("revision").first()
    if seen is None:
        return
    fields = CustomerField.objects.filter(
        customer_id=customer_id, name__in=NAME_FIELDS, value__isnull=False
    )
    subjects = read_subjects({field.name: str(field.value) for field in fields})
    found = [found for subject in subjects for found in _compare(subject, index)]
    _record(customer_id, seen.revision, index, found, has_name=bool(subjects))


def _compare(subject: Subject, index: LoadedIndex) -> Iterator[_Found]:
    """The likenesses of one name that reach the threshold: the best of each entry."""
    threshold = settings.SCREENING_THRESHOLD
    alike = index.names.search(subject.name, threshold - MOST_GAINED)
    if not alike:
        return
    rows = SanctionsName.objects.select_related("list").in_bulk([one.pk for one in alike])
    best: dict[tuple[int, str], _Found] = {}
    for one in alike:
        row = rows.get(one.pk)
        if row is None:  # a newer list took its place, against which everybody is screened anew
            continue
        listed = Facts(_split(row.birth_dates), _split(row.countries))
        score, said = weigh_evidence(one.score, subject.facts, listed)
        known = best.get((row.list_id, row.entry))
        if score >= threshold and (known is None or score > known.score):
            digests = tuple(_digests(subject, listed))
            best[row.list_id, row.entry] = _Found(row, score, _describe(row, said), digests)
    yield from best.values()


def _split(values: str) -> frozenset[str]:
    return frozenset(filter(None, values.split(";")))


def _describe(row: SanctionsName, said: Sequence[str]) -> str:
    """What the list says of an entry, and what it had to do with the score."""
    parts = [
        row.kind,
        row.birth_dates and f"born {row.birth_dates.replace(';', ' or ')}",
        row.countries.replace(";", ", "),
        row.programs and f"listed under {row.programs.replace(';', ', ')}",
        *said,
    ]
    return "; ".join(filter(None, parts))[:MAX_DETAILS]


def _digests(subject: Subject, listed: Facts) -> Iterator[str]:
    compared = json.dumps(
        [
            sorted(subject.name.words),
            subject.name.kind,
            sorted(subject.facts.birth_dates),
            sorted(listed.birth_dates),
        ]
    ).encode()
    for key in settings.SEALING_KEYS:
        # A key of its own, made from the sealing key: one key must not serve two purposes.
        own = hmac.digest(key.encode(), b"landfall screening", hashlib.sha256)
        yield hmac.new(own, compared, hashlib.sha256).hexdigest()


def _record(
    customer_id: uuid.UUID,
    revision: int,
    index: LoadedIndex,
    found: Iterable[_Found],
    *,
    has_name: bool,
) -> None:
    with transaction.atomic():
        customer = Customer.objects.lock_present(pk=customer_id)
        if customer is None or customer.revision != revision:
            return  # other values came meanwhile: it is still due, or due again
        if customer.screening == _State.BLOCKED:
            # Only an operator lifts that, so what else it is like does not matter now.
            Customer.objects.filter(pk=customer_id).update(screened_with=index.version)
            return
        hits = list(customer.hits.all())
        new = _new_hits(customer, hits, found)
        _close_delisted(hits, index)
        state = _state_after([*hits, *new]) if has_name else _State.NEVER
        if state == customer.screening and not new:
            Customer.objects.filter(pk=customer_id).update(screened_with=index.version)
            return
        with changing(customer_id) as changed:
            assert changed is not None  # we hold its lock
            ScreeningHit.objects.bulk_create(new)
            changed.screening = state
            changed.screened_with = index.version
            _settle_case(changed)


def _new_hits(
    customer: Customer, hits: Iterable[ScreeningHit], found: Iterable[_Found]
) -> list[ScreeningHit]:
    """Those that nobody was asked about yet."""
    known = {(hit.list, hit.entry, hit.listed_name, hit.name_digest): hit for hit in hits}
    new = []
    for one in found:
        names = (one.listed.list.name, one.listed.entry, one.listed.name)
        newest = one.digests[0]
        asked = [known[*names, digest] for digest in one.digests if (*names, digest) in known]
        if asked:
            if asked[0].name_digest != newest:
                # Under the newest key, so that the older ones can go.
                asked[0].name_digest = newest
                asked[0].save(update_fields=["name_digest"])
            continue
        new.append(
            ScreeningHit(
                customer=customer,
                list=names[0],
                entry=names[1],
                listed_name=names[2],
                listed_details=one.details,
                score=Decimal(f"{one.score:.2f}"),
                name_digest=newest,
            )
        )
        known[*names, newest] = new[-1]
    return new


def _close_delisted(hits: Iterable[ScreeningHit], index: LoadedIndex) -> None:
    """Take from the operators what the lists themselves took back, or a wrong file brought.

    A hit is not taken from them because the customer now has another name: that is for them to
    judge.
    """
    waiting = [hit for hit in hits if hit.status == _Open]
    if not waiting:
        return
    listed = set(
        SanctionsName.objects.filter(
            list__name__in=index.versions, entry__in={hit.entry for hit in waiting}
        ).values_list("list__name", "entry")
    )
    for hit in waiting:
        if (hit.list, hit.entry) not in listed:
            _decide(hit, ScreeningHit.Status.DISMISSED, DELISTED)


def _state_after(hits: Iterable[ScreeningHit]) -> Customer.Screening:
    statuses = {hit.status for hit in hits}
    if ScreeningHit.Status.CONFIRMED in statuses:
        return _State.BLOCKED
    return _State.HIT if _Open in statuses else _State.CLEAR


def _settle_case(customer: Customer, closed_by: str = "") -> None:
    """One case is open while hits wait. To be called with the customer's lock."""
    case = Case.objects.filter(
        customer=customer, kind=Case.Kind.SCREENING, closed_at__isnull=True
    ).first()
    waits = customer.hits.filter(status=_Open).exists()
    if waits and case is None:
        Case.objects.create(customer=customer, kind=Case.Kind.SCREENING, revision=customer.revision)
    elif case is not None and not waits:
        close_case(case, customer.screening, closed_by)


# -- Deciding ---------------------------------------------------------------------------------
def decide_hit(hit_id: int, *, confirmed: bool, decided_by: str) -> None:
    """An operator says whether the customer is whom the list means. May be said anew.

    Confirmed: the customer is BLOCKED, for all types, until an operator dismisses every confirmed
    hit. All dismissed: it is CLEAR; it is screened again first if it was blocked, since its names
    may have changed meanwhile. Raises `NotFound` for a hit that is gone.
    """
    owner = ScreeningHit.objects.filter(pk=hit_id).values_list("customer_id", flat=True).first()
    if owner is None:
        raise NotFound("There is no such hit")
    with changing(owner) as customer:
        hit = ScreeningHit.objects.filter(pk=hit_id).first()
        if customer is None or hit is None:  # erased meanwhile
            raise NotFound("There is no such hit")
        status = ScreeningHit.Status.CONFIRMED if confirmed else ScreeningHit.Status.DISMISSED
        _decide(hit, status, decided_by)
        state = _state_after(customer.hits.all())
        was_blocked = customer.screening == _State.BLOCKED
        if was_blocked and state != _State.BLOCKED:
            state = _State.DUE
        # A name that was not held against the lists yet must be, whatever is said of an older one.
        if customer.screening != _State.DUE or state == _State.BLOCKED:
            customer.screening = state
        _settle_case(customer, decided_by)


def _decide(hit: ScreeningHit, status: ScreeningHit.Status, decided_by: str) -> None:
    hit.status, hit.decided_by, hit.decided_at = status, decided_by, timezone.now()
    hit.save(update_fields=["status", "decided_by", "decided_at"])
