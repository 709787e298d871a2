"""Rules that span several of SEP-9's fields. Pure.

SEP-9 has fields that mean something else in each country, and says the country only in others. A
rule is applied where the values that were sent together leave no doubt about which it is; where a
country is not told or not known here, any value is taken (see `sep12.formats` for why).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date

from stdnum.ar import cuit
from stdnum.br import cnpj, cpf
from stdnum.eu import vat
from stdnum.mx import curp
from stdnum.pl import pesel
from stdnum.us import rtn, ssn

from kernel.errors import BadRequest
from sep12 import codes, formats

ORGANIZATION = "organization."


def check_together(values: Mapping[str, str]) -> None:
    """Check values, each as `sep9.parse_text` gave it, by canonical field name, against each other.

    Raises `BadRequest` naming the field, what is allowed and an example; never the value.
    """
    _check_dates(values)
    _check_tax_id(values)
    _check_vat_number(values)
    for prefix in ("", ORGANIZATION):
        _check_bank_number(prefix, values)


def _check_dates(values: Mapping[str, str]) -> None:
    _check_order("birth_date", "id_issue_date", values)
    _check_order("birth_date", "id_expiration_date", values)
    _check_order("id_issue_date", "id_expiration_date", values)


def _check_order(earlier: str, later: str, values: Mapping[str, str]) -> None:
    if earlier not in values or later not in values:
        return
    if date.fromisoformat(values[later]) < date.fromisoformat(values[earlier]):
        raise BadRequest(
            f"{later} must be a date as YYYY-MM-DD that is not before {earlier}, for example "
            "2031-12-31"
        )


# -- Tax numbers --------------------------------------------------------------------------------
def _is_itin(number: str) -> bool:
    # Not stdnum's, which does not know the groups that the IRS has used since 2011.
    return re.fullmatch(r"9[0-9]{2}-?[0-9]{2}-?[0-9]{4}", number, re.ASCII) is not None


def _is_cuit(number: str) -> bool:
    # Not the whole of stdnum's, which does not know the prefixes 25 and 26.
    digits = cuit.compact(number)
    return (
        re.fullmatch(r"[0-9]{11}", digits, re.ASCII) is not None
        and cuit.calc_check_digit(digits[:-1]) == digits[-1]
    )


def _is_curp(number: str) -> bool:
    # Not the whole of stdnum's, which has lists of states and of words that nobody is to be called.
    letters = curp.compact(number)
    return (
        re.fullmatch(r"[A-Z]{4}[0-9]{6}[A-Z]{6}[0-9A-Z][0-9]", letters, re.ASCII) is not None
        and curp.calc_check_digit(letters) == letters[-1]
    )


# By country of residence and `tax_id_name`. Few: those of which each that was ever issued passes.
_TAX_NUMBERS: dict[tuple[str, str], tuple[Callable[[str], bool], str]] = {
    ("USA", "SSN"): (ssn.is_valid, "536-90-4399"),
    ("USA", "ITIN"): (_is_itin, "912-90-3456"),
    ("ARG", "CUIL"): (_is_cuit, "20-05536168-2"),
    ("ARG", "CUIT"): (_is_cuit, "20-05536168-2"),
    ("BRA", "CPF"): (cpf.is_valid, "390.533.447-05"),
    ("BRA", "CNPJ"): (cnpj.is_valid, "16.727.230/0001-97"),
    ("MEX", "CURP"): (_is_curp, "BOXW310820HNERXN09"),
    ("POL", "PESEL"): (pesel.is_valid, "44051401359"),
}


def _check_tax_id(values: Mapping[str, str]) -> None:
    number = values.get("tax_id")
    if number is None:
        return
    name = re.sub(r"[\s.]", "", values.get("tax_id_name", "")).upper()
    rule = _TAX_NUMBERS.get((values.get("address_country_code", ""), name))
    if rule is None:
        return
    is_valid, example = rule
    if not (number.isascii() and is_valid(number.replace(" ", ""))):
        raise BadRequest(f"tax_id must be a {name} as it is issued, for example {example}")


def _check_vat_number(values: Mapping[str, str]) -> None:
    """A member of the EU's number that has its country before it, as an invoice does. Without
    that, or elsewhere, it may be any number: a Mexican RFC can begin with ES, too."""
    number = values.get("organization.VAT_number")
    if number is None:
        return
    country = codes.alpha3_countries().get(values.get("organization.address_country_code", ""), "")
    if country.lower() not in vat.MEMBER_STATES:
        return
    compact = re.sub(r"[\s.-]", "", number).upper()
    if not compact.startswith("EL" if country == "GR" else country):
        return
    if not (number.isascii() and vat.is_valid(compact)):
        raise BadRequest(
            "organization.VAT_number must be a VAT number with right check digits for its country, "
            "for example DE136695976"
        )


# -- Banks --------------------------------------------------------------------------------------
_LIKE_BIC = re.compile(r"[A-Za-z]{6}[0-9A-Za-z]{2}([0-9A-Za-z]{3})?", re.ASCII)
_NINE_DIGITS = re.compile(r"[0-9]{9}", re.ASCII)


def _check_bank_number(prefix: str, values: Mapping[str, str]) -> None:
    """Beside an IBAN, what looks like a BIC is one: no country with IBANs has other bank numbers
    of eight letters. At a bank in the United States nine digits are a routing number."""
    number = values.get(f"{prefix}bank_number")
    if number is None:
        return
    if formats.parse_iban(values.get(f"{prefix}bank_account_number", "")):
        if _LIKE_BIC.fullmatch(number) and not formats.parse_bic(number):
            raise BadRequest(
                f"{prefix}bank_number must be a BIC that names its country, for example BUKBGB22"
            )
        return
    is_american = _NINE_DIGITS.fullmatch(number) and _is_in_the_us(prefix, values)
    if is_american and not rtn.is_valid(number):
        raise BadRequest(
            f"{prefix}bank_number must be an ABA routing number with a right check digit, for "
            "example 021000021"
        )


def _is_in_the_us(prefix: str, values: Mapping[str, str]) -> bool:
    """By the bank's own phone number, else by where the customer lives."""
    phone = values.get(f"{prefix}bank_phone_number")
    if phone is not None:
        return formats.is_us_landline_or_mobile(phone)
    return values.get(f"{prefix}address_country_code") == "USA"
