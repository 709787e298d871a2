"""The files of sanctions lists, read row by row into listed names. Pure but for reading the files.

`ofac-sdn`: OFAC's delimited lists, "Data Specification" of ofac.treasury.gov: sdn.csv (or
cons_prim.csv), with alt.csv, add.csv and sdn_comments.csv beside it. No headers, `-0-` for nothing,
linked by the entry's number; each file is known by its number of columns.

`opensanctions`: targets.simple.csv of opensanctions.org ("Using the bulk data"): one row an entry,
with headers, several values in a column parted by semicolons.

Vessels and aircraft are left out: no customer is one. So are OFAC's "weak" aliases, which stand in
the remarks of an entry only and which OFAC itself does not expect anybody to screen for.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

import pycountry

from sep12 import codes

MAX_NAME = 500
MAX_VALUE = 1_000_000  # characters; OpenSanctions has entries with hundreds of names
MAX_YEARS = 15  # of "1950 to 1960"
_CONTROLS = dict.fromkeys([*range(9), *range(14, 32), 127])


class ListError(Exception):
    """The file is not what its format says, in words for an operator."""


@dataclass(frozen=True)
class ListedName:
    """One name of one entry. `kind` is "person", "organization" or "" for either. Birth dates are
    "1950", "1950-06" or "1950-06-30"; countries ISO 3166-1 alpha-3."""

    entry: str
    kind: str
    name: str
    birth_dates: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def read_list(list_format: str, paths: Iterable[Path]) -> Iterator[ListedName]:
    """All names of a list, one at a time. Raises `ListError`; `OSError` for a missing file."""
    try:
        return FORMATS[list_format](list(paths))
    except KeyError as error:
        raise ListError(f"{list_format!r} is no format; use {' or '.join(FORMATS)}") from error


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV file that hold anything.

    UTF-8 with or without a byte order mark, or Latin-1, which OFAC used once.
    """
    csv.field_size_limit(MAX_VALUE)  # of the whole process, which reads no other CSV files
    try:
        with path.open(encoding=_find_encoding(path), newline="") as file:
            yield _clean_rows(csv.reader(file, strict=True))
    except csv.Error as error:
        raise ListError(f"{path.name} is not a CSV file: {error}") from error


def _clean_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    for row in rows:
        # PostgreSQL takes no NUL; OFAC's files end with the mark 1A of old systems.
        values = [value.translate(_CONTROLS).strip() for value in row]
        if any(values):
            yield values


def _find_encoding(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            while file.read(1 << 20):
                pass
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


# -- OFAC -------------------------------------------------------------------------------------
_SDN_COLUMNS, _ADD_COLUMNS, _ALT_COLUMNS, _COMMENT_COLUMNS = 12, 6, 5, 2
_OFAC_KINDS = {"individual": "person", "": "organization", "entity": "organization"}
_NO_CUSTOMERS = {"vessel", "aircraft"}
_DATE_OF_BIRTH = re.compile(r"\bDOB ((?:circa )?[^;.]{4,40})")
_NATION = re.compile(r"\b(?:nationality|citizen) ([^;.]{2,60})")
_PLACE_OF_BIRTH = re.compile(r"\bPOB ([^;]{2,200}?)(?:;|\.$|$)")


@dataclass
class _OfacExtras:
    """What the other files say of an entry."""

    names: list[str] = field(default_factory=list)
    countries: list[str] = field(default_factory=list)
    remarks: str = ""


def _read_ofac(paths: list[Path]) -> Iterator[ListedName]:
    by_columns = _sort_ofac_files(paths)
    main = by_columns.pop(_SDN_COLUMNS, None)
    if main is None:
        raise ListError("sdn.csv (12 columns) is not among the files")
    extras: defaultdict[str, _OfacExtras] = defaultdict(_OfacExtras)
    for columns, path in by_columns.items():
        for row in _ofac_rows(path, columns):
            if columns == _ALT_COLUMNS:
                extras[row[0]].names.append(row[3])
            elif columns == _ADD_COLUMNS:
                extras[row[0]].countries.append(row[4])
            else:
                extras[row[0]].remarks += f" {' '.join(row[1:])}"
    for row in _ofac_rows(main, _SDN_COLUMNS):
        yield from _ofac_names(row, extras.pop(row[0], _OfacExtras()))
    if extras:
        # Half-downloaded files would otherwise be loaded as a shorter list.
        raise ListError(
            f"{main.name} lacks entry {next(iter(extras))}, which another of the files names"
        )


def _sort_ofac_files(paths: list[Path]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in paths:
        with _rows(path) as rows:
            columns = len(next(rows, []))
        if columns not in (_SDN_COLUMNS, _ADD_COLUMNS, _ALT_COLUMNS, _COMMENT_COLUMNS):
            raise ListError(f"{path.name} has {columns} columns, as none of OFAC's files has")
        if columns in found:
            raise ListError(f"{path.name} and {found[columns].name} are the same kind of file")
        found[columns] = path
    return found


def _ofac_rows(path: Path, columns: int) -> Iterator[list[str]]:
    with _rows(path) as rows:
        for number, row in enumerate(rows, 1):
            # Comments are not always quoted, so that their commas make more columns.
            fits = len(row) == columns or columns == _COMMENT_COLUMNS < len(row)
            if not fits or not re.fullmatch("[0-9]{1,10}", row[0], re.ASCII):
                raise ListError(
                    f"row {number} of {path.name} is not {columns} columns that begin with a number"
                )
            yield ["" if value == "-0-" else value for value in row]


def _ofac_names(row: list[str], extras: _OfacExtras) -> Iterator[ListedName]:
    kind = row[2].casefold()
    if kind in _NO_CUSTOMERS:
        return
    remarks = row[11] + extras.remarks
    birth_place = (place.split(",")[-1] for place in _PLACE_OF_BIRTH.findall(remarks))
    countries = _find_countries([*extras.countries, *_NATION.findall(remarks), *birth_place])
    dates = [date for text in _DATE_OF_BIRTH.findall(remarks) for date in _read_date(text)]
    programs = tuple(part.strip(" []") for part in re.split(r"\]\s*\[|;", row[3]) if part)
    for name in dict.fromkeys([row[1], *extras.names]):
        if name:
            yield ListedName(
                entry=row[0],
                kind=_OFAC_KINDS.get(kind, ""),
                name=name[:MAX_NAME],
                birth_dates=tuple(dict.fromkeys(dates)),
                countries=countries,
                programs=programs,
            )


def _read_date(text: str) -> Iterator[str]:
    """OFAC's dates of birth: "10 Dec 1948", "Dec 1948", "1948", "circa 1948", "1948 to 1950"."""
    text = text.strip()
    years = [int(year) for year in re.findall(r"\b(1[89][0-9]{2}|20[0-9]{2})\b", text)]
    if len(years) == 2 and years[0] <= years[1] < years[0] + MAX_YEARS:
        yield from map(str, range(years[0], years[1] + 1))
        return
    for pattern, form in (("%d %b %Y", "%Y-%m-%d"), ("%b %Y", "%Y-%m")):
        try:
            yield datetime.strptime(text, pattern).strftime(form)  # noqa: DTZ007 (a birth date)
        except ValueError:
            continue
        return
    yield from map(str, years)


# What OFAC calls otherwise than ISO 3166 does.
_OTHER_COUNTRIES = {
    "korea, north": "PRK",
    "korea, south": "KOR",
    "burma": "MMR",
    "west bank": "PSE",
    "gaza": "PSE",
    "palestinian": "PSE",
    "congo, democratic republic of the": "COD",
    "congo, republic of the": "COG",
    "ivory coast": "CIV",
    "cote d'ivoire": "CIV",
    "russia": "RUS",
    "micronesia": "FSM",
    "brunei": "BRN",
    "cape verde": "CPV",
    "swaziland": "SWZ",
    "macau": "MAC",
    "kosovo": "XKX",
    "turkey": "TUR",
    "bahamas, the": "BHS",
    "gambia, the": "GMB",
    "the gambia": "GMB",
    "region: gaza": "PSE",
}


def _find_countries(texts: Iterable[str]) -> tuple[str, ...]:
    """ISO 3166-1 alpha-3 of countries by their English name or alpha-2; others are left out."""
    found = (_find_country(text.strip().casefold()) for text in texts)
    return tuple(dict.fromkeys(code for code in found if code))


def _find_country(text: str) -> str:
    return _country_names().get(text) or codes.countries().get(text.upper(), "")


@cache
def _country_names() -> dict[str, str]:
    names = {
        name.casefold(): country.alpha_3
        for country in pycountry.countries
        for name in (country.name, getattr(country, "common_name", ""))
    }
    return names | _OTHER_COUNTRIES


# -- OpenSanctions ----------------------------------------------------------------------------
_NEEDED_COLUMNS = {"id", "schema", "name", "aliases", "birth_date", "countries"}
_SCHEMAS = {
    "Person": "person",
    "Organization": "organization",
    "Company": "organization",
    "PublicBody": "organization",
    "LegalEntity": "",
}
_OTHER_SCHEMAS = {"Vessel", "Airplane", "Vehicle", "Security", "CryptoWallet", "Address", "Asset"}


def _read_opensanctions(paths: list[Path]) -> Iterator[ListedName]:
    for path in paths:
        with _rows(path) as rows:
            header = next(rows, [])
            if missing := sorted(_NEEDED_COLUMNS - set(header)):
                raise ListError(f"{path.name} has no column {', '.join(missing)} in its first row")
            for number, row in enumerate(rows, 2):
                if len(row) != len(header):
                    raise ListError(f"row {number} of {path.name} has not all columns")
                yield from _opensanctions_names(dict(zip(header, row, strict=True)))


def _opensanctions_names(row: dict[str, str]) -> Iterator[ListedName]:
    if row["schema"] in _OTHER_SCHEMAS or not row["id"]:
        return
    # "ua-cri" is a part of a country, "suhh" a state that is no more.
    countries = _find_countries(code.split("-")[0] for code in _split(row["countries"]))
    dates = [date for date in _split(row["birth_date"]) if re.fullmatch(_DATE, date, re.ASCII)]
    programs = row.get("program_ids") or row.get("dataset", "")
    for name in dict.fromkeys([row["name"], *_split(row["aliases"])]):
        if name:
            yield ListedName(
                entry=row["id"][:100],
                kind=_SCHEMAS.get(row["schema"], ""),
                name=name[:MAX_NAME],
                birth_dates=tuple(dates),
                countries=countries,
                programs=tuple(_split(programs)),
            )


_DATE = r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?"


def _split(values: str) -> list[str]:
    return [value.strip() for value in values.split(";") if value.strip()]


FORMATS: dict[str, Callable[[list[Path]], Iterator[ListedName]]] = {
    "ofac-sdn": _read_ofac,
    "opensanctions": _read_opensanctions,
}
