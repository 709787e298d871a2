"""Sanctions lists: which we must have, loading them from files, and whether they are fresh."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from sep12.models import SanctionsList, SanctionsName
from sep12.screening.formats import FORMATS, ListedName, ListError, read_list

logger = logging.getLogger(__name__)

BATCH = 2000
# A list that lost more than half of its entries is rather half a file.
SMALLEST_SHARE = 0.5
MAX_JOINED = 300
# Held while a list is loaded, so that versions follow each other. Any number that only we use.
_LOADING = 0x5A4C_4953


@dataclass(frozen=True)
class RequiredList:
    """A list of settings.SANCTIONS_LISTS; without paths it is loaded by hand only."""

    name: str
    format: str
    paths: tuple[Path, ...]


def required_lists() -> list[RequiredList]:
    """The lists that customers are held against. Raises `ImproperlyConfigured`."""
    lists = [_read_setting(entry) for entry in settings.SANCTIONS_LISTS]
    if len({one.name for one in lists}) < len(lists):
        raise ImproperlyConfigured("SANCTIONS_LISTS names a list twice")
    return lists


def _read_setting(entry: str) -> RequiredList:
    name, _, rest = entry.partition(":")
    list_format, _, paths = rest.partition(":")
    if not name.strip() or len(name) > 100 or list_format not in FORMATS:
        raise ImproperlyConfigured(
            f"SANCTIONS_LISTS has {entry!r}; an entry is NAME:FORMAT or NAME:FORMAT:FILE;FILE with "
            f"a format of {', '.join(FORMATS)}"
        )
    files = tuple(Path(path.strip()) for path in paths.split(";") if path.strip())
    return RequiredList(name.strip(), list_format, files)


class ListsMissing(Exception):
    """A required list was never loaded, so nobody can be found clear."""


def current_versions() -> dict[str, int]:
    """The version of each required list. Raises `ListsMissing`."""
    wanted = [one.name for one in required_lists()]
    rows = SanctionsList.objects.filter(name__in=wanted).values_list("name", "version")
    versions = dict(rows)
    if missing := sorted(set(wanted) - versions.keys()):
        raise ListsMissing(f"sanctions lists that were never loaded: {', '.join(missing)}")
    return versions


def listed_names(names: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """(pk, kind, name) of every name on the lists of these names, from the server in batches."""
    rows = SanctionsName.objects.filter(list__name__in=names)
    return rows.values_list("pk", "kind", "name").iterator(chunk_size=BATCH)


def find_problems() -> list[str]:
    """What is wrong with the required lists, in words for operators; [] where all is well."""
    loaded = dict(SanctionsList.objects.values_list("name", "as_of"))
    oldest = timezone.now() - timedelta(hours=settings.SANCTIONS_LIST_MAX_AGE_HOURS)
    problems = []
    for one in required_lists():
        if one.name not in loaded:
            problems.append(
                f"The sanctions list {one.name} was never loaded: no customer is accepted."
            )
        elif loaded[one.name] < oldest:
            problems.append(
                f"The files of the sanctions list {one.name} are of "
                f"{loaded[one.name]:%Y-%m-%d %H:%M} UTC: nothing newer comes."
            )
    return problems


# -- Loading ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Loaded:
    """What loading a list did. `changed` is False where its files were loaded before."""

    name: str
    changed: bool
    entries: int
    names: int
    entries_before: int


def load_list(name: str, list_format: str, paths: Sequence[Path], *, force: bool = False) -> Loaded:
    """Put what these files say in the place of the list `name`, in one database transaction.

    Does nothing if the same files were loaded before. `force` loads them all the same, and also
    loads a list that shrank suspiciously. All customers are then screened anew. Raises `ListError`
    in words for an operator, `OSError` for a file that can't be read.
    """
    if not paths:
        raise ListError("no file is given")
    digest, as_of = _digest(list_format, paths), _oldest(paths)
    with transaction.atomic():
        _let_others_wait()
        before = SanctionsList.objects.filter(name=name).first()
        if before is not None and before.digest == digest and not force:
            SanctionsList.objects.filter(pk=before.pk).update(as_of=as_of)
            count = before.names.count()
            return Loaded(name, False, before.entries, count, before.entries)
        newest = SanctionsList.objects.aggregate(newest=Max("version"))["newest"] or 0
        entries_before = before.entries if before else 0
        row = before or SanctionsList(name=name)
        row.version, row.digest, row.as_of, row.entries = newest + 1, digest, as_of, 0
        row.save()
        row.names.all().delete()
        names = _insert(row, read_list(list_format, paths))
        _check_size(row, entries_before, force)
        if _digest(list_format, paths) != digest:
            raise ListError("the files changed while they were read; try again")
        row.save(update_fields=["entries"])
    return Loaded(name, True, row.entries, names, entries_before)


def reload_changed_lists() -> None:
    """Load what changed of the lists whose files the settings name, and log what is wrong. Of a
    list that can't be loaded stays what was loaded before."""
    for one in required_lists():
        if not one.paths:
            continue
        try:
            loaded = load_list(one.name, one.format, one.paths)
        except (ListError, OSError) as error:
            logger.error("the sanctions list %s was not loaded: %s", one.name, error)
            continue
        if loaded.changed:
            logger.info("sanctions list %s: %d entries loaded", one.name, loaded.entries)
    for problem in find_problems():
        logger.error(problem)


def _let_others_wait() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOADING])


def _digest(list_format: str, paths: Sequence[Path]) -> str:
    """SHA-256 of the format and of each file's SHA-256, in any order of the files."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256(" ".join([list_format, *sorted(digests)]).encode()).hexdigest()


def _oldest(paths: Sequence[Path]) -> datetime:
    return datetime.fromtimestamp(min(path.stat().st_mtime for path in paths), tz=UTC)


def _insert(row: SanctionsList, names: Iterator[ListedName]) -> int:
    """Insert in batches; counts the entries on `row` and returns the number of names."""
    count, entry = 0, None
    while batch := list(islice(names, BATCH)):
        for name in batch:
            row.entries += name.entry != entry
            entry = name.entry
        SanctionsName.objects.bulk_create([_to_row(row, name) for name in batch])
        count += len(batch)
    return count


def _to_row(row: SanctionsList, name: ListedName) -> SanctionsName:
    return SanctionsName(
        list=row,
        entry=name.entry,
        kind=name.kind,
        name=name.name,
        birth_dates=_join(name.birth_dates),
        countries=_join(name.countries),
        programs=_join(name.programs),
    )


def _join(values: Sequence[str]) -> str:
    """As many values as a column has room for; none is cut."""
    joined = ""
    for value in values:
        longer = f"{joined};{value}" if joined else value
        if len(longer) <= MAX_JOINED:
            joined = longer
    return joined


def _check_size(row: SanctionsList, entries_before: int, force: bool) -> None:
    if row.entries == 0:
        raise ListError("the files hold no person and no organization")
    if row.entries < entries_before * SMALLEST_SHARE and not force:
        raise ListError(
            f"the files hold {row.entries} entries, and {entries_before} were loaded before; "
            "use --force if that is right"
        )
