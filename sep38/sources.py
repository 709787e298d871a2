"""Where rates come from: the `[rate_sources]` of the anchor's configuration.

A source is asked in the background, and what it says is written to the `Rate` table
(`sep38.feeds`). So it may take its time, and fail: rates that nobody renews stop quotes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from kernel.http import OutboundFailed, OutboundRefused, parse_outbound_url, partner_get
from sep38.pairs import OPERATORS, Pair
from sep38.sheets import Sheet, read_ecb_xml, read_json_sheet

ECB_DAILY = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
MAX_SHEET_BYTES = 256 * 1024

_KEYS = frozenset({"class", "every_seconds", "max_jump_percent"})


class SourceFailed(Exception):
    """The source has no rates for us now. The message is for operators; it holds no key or URL."""


@dataclass(frozen=True)
class Fetched:
    """Units of the pair's buy asset for one of its sell asset, as it was at `as_of`."""

    rate: Decimal
    as_of: datetime


class RateSource(Protocol):
    """Implement this to take rates from elsewhere; `[rate_sources.NAME]` names the class, and its
    other keys are the arguments of `__init__`, which raises `ValueError` for wrong ones. It is
    built once in a process.
    """

    def fetch_rates(self, pairs: Sequence[Pair]) -> Mapping[Pair, Fetched]:
        """The rates that the source has now. A pair that it doesn't know is left out.

        Called with no lock and no open transaction. Raises `SourceFailed`.
        """


class OperatorTable:
    """The rates that operators enter, in the admin or with `manage.py set_rate`: they are in the
    table already."""

    def fetch_rates(self, pairs: Sequence[Pair]) -> Mapping[Pair, Fetched]:
        return {}


class EcbDaily:
    """The ECB's daily reference rates, or a file or URL in their format.

    Published on working days at about 16:00 in Frankfurt. Through the euro they make any pair of
    currencies.
    """

    def __init__(self, url: str = "", file: str = "", timeout_seconds: float = 10.0) -> None:
        if url and file:
            raise ValueError("it takes a url or a file, not both")
        self._file = Path(file) if file else None
        self._url = _checked_url(url or ECB_DAILY)
        self._timeout = float(timeout_seconds)

    def fetch_rates(self, pairs: Sequence[Pair]) -> Mapping[Pair, Fetched]:
        if self._file is not None:
            raw = _read_file(self._file)
        else:
            raw = _get(self._url, {}, self._timeout)
        try:
            return cross_rates(read_ecb_xml(raw), pairs)
        except ValueError as error:
            raise SourceFailed(f"its answer can't be read: {error}") from error


class HttpRates:
    """A provider that answers GET with a JSON sheet, see `sep38.sheets.read_json_sheet`.

    Its key goes into the headers, for example `{Authorization = "Token ${RATES_KEY}"}`, or into
    the URL where the provider wants it there.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, timeout_seconds: float = 10.0
    ) -> None:
        self._url = _checked_url(url)
        self._headers = {str(name): str(value) for name, value in (headers or {}).items()}
        self._timeout = float(timeout_seconds)

    def fetch_rates(self, pairs: Sequence[Pair]) -> Mapping[Pair, Fetched]:
        raw = _get(self._url, {"Accept": "application/json", **self._headers}, self._timeout)
        try:
            return cross_rates(read_json_sheet(raw), pairs)
        except ValueError as error:
            raise SourceFailed(f"its answer can't be read: {error}") from error


def cross_rates(sheet: Sheet, pairs: Sequence[Pair]) -> dict[Pair, Fetched]:
    """The rate of each pair whose two currencies the sheet knows."""
    rates = {pair: sheet.rate(pair.sell_currency, pair.buy_currency) for pair in pairs}
    return {pair: Fetched(rate, sheet.as_of) for pair, rate in rates.items() if rate is not None}


def _checked_url(url: str) -> str:
    try:
        parse_outbound_url(url, trusted=True)
    except OutboundRefused as refusal:
        raise ValueError(f"its url can't be called: {refusal}") from refusal
    return url


def _get(url: str, headers: Mapping[str, str], timeout: float) -> bytes:
    try:
        answer = partner_get(url, headers=headers, max_bytes=MAX_SHEET_BYTES, timeout=timeout)
    except (OutboundFailed, OutboundRefused) as error:
        raise SourceFailed(str(error)) from error
    if answer.status != 200:
        raise SourceFailed(f"it answered with status {answer.status}")
    return answer.body


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SHEET_BYTES + 1)
    except OSError as error:
        raise SourceFailed(f"its file can't be read: {type(error).__name__}") from error
    if len(raw) > MAX_SHEET_BYTES:
        raise SourceFailed(f"its file is larger than {MAX_SHEET_BYTES} bytes")
    return raw


@dataclass(frozen=True)
class ConfiguredSource:
    """A source and how we deal with it: `max_jump` is the share that a rate may move at once."""

    name: str
    source: RateSource
    every: timedelta
    max_jump: Decimal


@lru_cache(maxsize=1)
def all_sources() -> dict[str, ConfiguredSource]:
    """The sources by name. Raises `ValueError` in plain words for one that can't be."""
    entries = settings.ANCHOR.get("rate_sources", {})
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ValueError("rate_sources: tables of sources are expected")
    if OPERATORS in entries:
        raise ValueError(f"the source {OPERATORS} is there by itself")
    return {
        OPERATORS: ConfiguredSource(OPERATORS, OperatorTable(), timedelta(days=1), Decimal(1)),
        **{name: _read_source(name, entry) for name, entry in entries.items()},
    }


def _read_source(name: str, entry: dict[str, Any]) -> ConfiguredSource:
    every = int(entry.get("every_seconds", 3600))
    jump = Decimal(str(entry.get("max_jump_percent", "10")))
    if not 0 < len(name) <= 60:
        raise ValueError(f"rate source {name!r}: its name must be of 1 to 60 characters")
    if every < 10:
        raise ValueError(f"rate source {name}: every_seconds must be at least 10")
    if not 0 < jump <= 100:
        raise ValueError(f"rate source {name}: max_jump_percent must be above 0, at most 100")
    options = {key: value for key, value in entry.items() if key not in _KEYS}
    try:
        source = import_string(entry["class"])(**options)
    except Exception as error:  # whatever a class of the company's own raises
        words = error if isinstance(error, ValueError | TypeError) else type(error).__name__
        raise ValueError(f"rate source {name} can't be used: {words}") from error
    return ConfiguredSource(name, source, timedelta(seconds=every), jump / 100)
