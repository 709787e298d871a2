"""How values of SEP-9's fields are written: one parser for each format. Pure.

A parser takes text without control characters or outer spaces and gives the text to store, in the
form that the format's own standard calls canonical; None if it is not that format. Parsing what a
parser gave gives the same again.

How strict each is follows from what a mistake costs. A wrong value that is taken is refused later
by the bank, and the sending anchor is asked for another; a right value that is refused here is a
payment that can't be made at all. So nothing is asked for that not every real value has.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from email_validator import EmailNotValidError, validate_email
from stdnum import bic, bitcoin, iban, luhn, numdb
from stdnum.ar import cbu
from stdnum.us import rtn
from stellar_sdk.strkey import StrKey

from sep12 import codes

Parser = Callable[[str], str | None]


def anything(text: str) -> str | None:
    return text


def matching(pattern: str) -> Parser:
    """Text of that shape, as it is; digits and letters are ASCII's."""
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: text if compiled.fullmatch(text) else None


def _compact(text: str) -> str:
    """Without the spaces and hyphens that people put between groups, in capitals."""
    compact = re.sub(r"[\s-]", "", text)
    return compact.upper() if compact.isascii() else compact  # a long s would become an S


def _digits(text: str, fewest: int, most: int) -> bool:
    return text.isascii() and text.isdigit() and fewest <= len(text) <= most


# -- Dates: ISO 8601, date only (SEP-9, "Encodings") --------------------------------------------
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NOBODY_ALIVE_IS_OLDER = date(1900, 1, 1)


def _read_date(text: str) -> date | None:
    if not _DATE.fullmatch(text):
        return None  # fromisoformat also reads other forms of ISO 8601, such as weeks
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _today() -> date:
    """The date where the day begins first, UTC+14: nobody anywhere is ahead of it."""
    return (datetime.now(UTC) + timedelta(hours=14)).date()


def parse_date(text: str) -> str | None:
    """Any day: an expired document is for the customer's decision to judge, not for a parser."""
    return text if _read_date(text) else None


def parse_past_date(text: str) -> str | None:
    """A day of somebody's life: not before 1900, not in the future."""
    day = _read_date(text)
    return text if day and _NOBODY_ALIVE_IS_OLDER <= day <= _today() else None


def parse_registration_date(text: str) -> str | None:
    """SEP-9 makes it a string, and registers know companies by the year, or from 1602. Only what
    is written as an ISO date is held to be one."""
    if not _DATE.fullmatch(text):
        return text
    day = _read_date(text)
    return text if day and day <= _today() else None


# -- Codes (SEP-9, "Encodings") -----------------------------------------------------------------
def parse_country(text: str) -> str | None:
    return text if text in codes.alpha3_countries() else None


def parse_country_alpha2(text: str) -> str | None:
    return text if text in codes.countries() else None


def parse_subdivision(text: str) -> str | None:
    return text if text in codes.subdivisions() else None


def parse_language(text: str) -> str | None:
    return text if text in codes.languages() else None


def parse_occupation(text: str) -> str | None:
    return text if text in codes.OCCUPATIONS else None


def parse_count(text: str) -> str | None:
    return str(int(text)) if _digits(text, 1, 10) else None


# -- Ways to reach somebody ---------------------------------------------------------------------
# ITU-T E.164: at most 15 digits with the country code. The shortest in use (Niue) has 7.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_OLD_MEXICAN_MOBILE = re.compile(r"\+521[0-9]{10}", re.ASCII)


def parse_phone(text: str) -> str | None:
    """A number that exists in its country's numbering plan, in E.164.

    A trunk prefix (+44 0...) goes, as E.164 has none. So does the 1 that Mexican mobile numbers
    had until 2019: many address books still have it.
    """
    if not _E164.fullmatch(text):
        return None
    found = _read_phone(text)
    if found is None and _OLD_MEXICAN_MOBILE.fullmatch(text):
        found = _read_phone(f"+52{text[4:]}")
    return found


def _read_phone(text: str) -> str | None:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_us_landline_or_mobile(phone: str) -> bool:
    """Whether a phone number is of the United States themselves, and not toll-free: Canada's
    banks have 1-800 numbers too."""
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return False
    return (
        phonenumbers.region_code_for_number(number) == "US"
        and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
    )


def parse_email(text: str) -> str | None:
    """RFC 5321 with RFC 6531's Unicode. Whether the mailbox exists only a message can show: no
    DNS look-up, which would also tell a third party whose customer is whose."""
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


_WEB = URLValidator(schemes=["http", "https"])


def parse_website(text: str) -> str | None:
    """An http(s) address, or a bare host name as people write it."""
    try:
        _WEB(text if "://" in text else f"https://{text}")
    except ValidationError:
        return None
    return text


def parse_ip_address(text: str) -> str | None:
    """IPv4, or IPv6 in RFC 5952's form. A scope (%eth0) means something only on its own machine."""
    try:
        return None if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return None


# -- Accounts -----------------------------------------------------------------------------------
def parse_iban(text: str) -> str | None:
    """ISO 13616, electronic form. Length, structure and check digits; not the checks that some
    banks' own numbers have inside it."""
    compact = _compact(text)
    return compact if _is_iban(compact) else None


def _is_iban(compact: str) -> bool:
    return compact.isascii() and iban.is_valid(compact, check_country=False)


@lru_cache(maxsize=256)
def _iban_length(country: str) -> int | None:
    """How long IBANs of that country are, by SWIFT's register; None where it has none."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    return 4 + sum(map(int, re.findall(r"(\d+)!", structure))) if structure else None


_LIKE_IBAN = re.compile(r"([A-Z]{2})[0-9]{2}[0-9A-Z]+", re.ASCII)


def parse_account_number(text: str) -> str | None:
    """Any country's account number. What begins as an IBAN of some country and is as long as one
    must be one: no other account number looks like that. All else is taken as it is written."""
    compact = _compact(text)
    claim = _LIKE_IBAN.fullmatch(compact)
    if claim and len(compact) == _iban_length(claim[1]):
        return compact if _is_iban(compact) else None
    return parse_code(text)


def parse_code(text: str) -> str | None:
    """A bank's, a branch's or a register's number: each country has its own, so only what holds
    neither digit nor letter is refused."""
    return text if any(c.isalnum() for c in text) else None


def parse_bic(text: str) -> str | None:
    """ISO 9362, electronic form."""
    compact = _compact(text)
    return compact if compact.isascii() and bic.is_valid(compact) else None


def parse_routing_number(text: str) -> str | None:
    """American Bankers Association, with its check digit."""
    return text if _digits(text, 9, 9) and rtn.is_valid(text) else None


def parse_clabe(text: str) -> str | None:
    """Banco de México's CLABE, with its check digit: weights 3, 7, 1 of the other 17 digits."""
    compact = _compact(text)
    if not _digits(compact, 18, 18):
        return None
    weighed = sum(int(digit) * (3, 7, 1)[i % 3] % 10 for i, digit in enumerate(compact[:17]))
    return compact if int(compact[17]) == -weighed % 10 else None


def parse_cbu(text: str) -> str | None:
    """Banco Central de la República Argentina's CBU, and CVU, which has the same two check
    digits."""
    compact = _compact(text)
    return compact if _digits(compact, 22, 22) and cbu.is_valid(compact) else None


def parse_crypto_address(text: str) -> str | None:
    """Of any chain, so only what is certain is asked for: no space inside, right check digits in
    what can be but a Stellar address or a Bitcoin one of Segwit 0, and not a secret key."""
    if any(c.isspace() for c in text) or StrKey.is_valid_ed25519_secret_seed(text):
        return None
    if re.fullmatch(r"G[A-Z2-7]{55}", text, re.ASCII):
        return text if StrKey.is_valid_ed25519_public_key(text) else None
    if re.fullmatch(r"M[A-Z2-7]{68}", text, re.ASCII):
        return text if StrKey.is_valid_med25519_public_key(text) else None
    if text.isascii() and text.lower().startswith("bc1q"):
        return text if bitcoin.is_valid(text) else None
    return text


# -- Cards --------------------------------------------------------------------------------------
def parse_card_number(text: str) -> str | None:
    """ISO/IEC 7812-1, with its check digit, which some of UnionPay's cards (62, 81) lack."""
    compact = _compact(text)
    if not _digits(compact, 12, 19):
        return None
    return compact if compact.startswith(("62", "81")) or luhn.is_valid(compact) else None
