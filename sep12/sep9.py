"""SEP-9: every standard KYC field, and what a value of it may look like. Pure.

What is checked here is only the encoding that SEP-9 prescribes (its sections "Encodings" and the
tables of fields); whether a bank account exists is for others to say. Error messages name the
field and show an example, and never repeat the value.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum

from kernel.errors import BadRequest


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        return False  # fromisoformat also reads other forms of ISO 8601, such as weeks
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a scope means something only on the customer's own machine


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _anything(text: str) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """How values of one kind are written: `fits` decides, `words` say so, with an example."""

    wire_type: str  # SEP-12, "Fields": string, binary, number or date
    fits: Callable[[str], bool]
    words: str
    max_length: int = 255


class Kind(Enum):
    """SEP-9's encodings. Each member's value is its rule."""

    TEXT = Rule("string", _anything, "text on one line")
    LINES = Rule("string", _anything, "text", 1000)
    BINARY = Rule("binary", _anything, "a file")
    DATE = Rule("date", _is_date, "a date as YYYY-MM-DD, for example 1976-07-04")
    YEAR_MONTH = Rule(
        "date", _matches(r"[0-9]{2}-(0[1-9]|1[0-2])"), "a month as YY-MM, for example 29-11"
    )
    COUNT = Rule("number", _matches(r"[0-9]{1,10}"), "a whole number, for example 3")
    OCCUPATION = Rule(
        "number", _matches(r"[0-9]{3}"), "an ISCO-08 code of 3 digits, for example 251"
    )
    COUNTRY = Rule(
        "string",
        _matches(r"[A-Z]{3}"),
        "an ISO 3166-1 alpha-3 country code of 3 capital letters, for example MEX",
    )
    COUNTRY_ALPHA2 = Rule(
        "string",
        _matches(r"[A-Z]{2}"),
        "an ISO 3166-1 alpha-2 country code of 2 capital letters, for example US",
    )
    LANGUAGE = Rule(
        "string", _matches(r"[a-z]{2}"), "an ISO 639-1 code of 2 small letters, for example es"
    )
    # Deliberately wide: only a delivered message proves an address, and many valid ones look odd.
    EMAIL = Rule(
        "string",
        lambda text: re.fullmatch(r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+", text) is not None,
        "an email address, for example maria@example.com",
        254,
    )
    # ITU-T E.164: at most 15 digits with the country code. The shortest in use (Niue) has 7.
    PHONE = Rule(
        "string",
        _matches(r"\+[1-9][0-9]{6,14}"),
        "a phone number in E.164 form, with + and no spaces, for example +525512345678",
    )
    IP_ADDRESS = Rule("string", _is_ip_address, "an IPv4 or IPv6 address, for example 203.0.113.7")
    CLABE = Rule(
        "string", _matches(r"[0-9]{18}"), "a CLABE of 18 digits, for example 032180000118359719"
    )
    CBU = Rule(
        "string",
        _matches(r"[0-9]{22}"),
        "a CBU or CVU of 22 digits, for example 2850590940090418135201",
    )
    CARD_NUMBER = Rule(
        "string", _matches(r"[0-9]{12,19}"), "12 to 19 digits, for example 4242424242424242"
    )
    CVC = Rule("string", _matches(r"[0-9]{3,4}"), "3 or 4 digits, for example 123")


@dataclass(frozen=True)
class Sep9Field:
    """One standard field: its name, kind, what it is in plain words, and fixed choices if any."""

    name: str
    kind: Kind
    description: str
    choices: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """As SEP-12 names it: string, binary, number or date."""
        return self.kind.value.wire_type

    @property
    def is_binary(self) -> bool:
        return self.kind is Kind.BINARY


_NATURAL_PERSON = [
    Sep9Field("last_name", Kind.TEXT, "Family name"),
    Sep9Field("first_name", Kind.TEXT, "Given name"),
    Sep9Field("additional_name", Kind.TEXT, "Middle name or another further name"),
    Sep9Field("address_country_code", Kind.COUNTRY, "Country of residence, ISO 3166-1 alpha-3"),
    Sep9Field("state_or_province", Kind.TEXT, "State, province or region of residence"),
    Sep9Field("city", Kind.TEXT, "City or town of residence"),
    Sep9Field("postal_code", Kind.TEXT, "Postal code of residence"),
    Sep9Field("address", Kind.LINES, "The whole postal address, on as many lines as it needs"),
    Sep9Field("mobile_number", Kind.PHONE, "Mobile phone number with country code, E.164"),
    Sep9Field("mobile_number_format", Kind.TEXT, "How mobile_number is written, if not E.164"),
    Sep9Field("email_address", Kind.EMAIL, "Email address"),
    Sep9Field("birth_date", Kind.DATE, "Date of birth, YYYY-MM-DD"),
    Sep9Field("birth_place", Kind.TEXT, "Place of birth, as the passport has it"),
    Sep9Field("birth_country_code", Kind.COUNTRY, "Country of birth, ISO 3166-1 alpha-3"),
    Sep9Field("tax_id", Kind.TEXT, "Tax number in the customer's country"),
    Sep9Field("tax_id_name", Kind.TEXT, "What the tax number is called, such as SSN or RFC"),
    Sep9Field("occupation", Kind.OCCUPATION, "Occupation, as a 3-digit ISCO-08 code"),
    Sep9Field("employer_name", Kind.TEXT, "Name of the employer"),
    Sep9Field("employer_address", Kind.LINES, "Address of the employer"),
    Sep9Field("language_code", Kind.LANGUAGE, "First language, ISO 639-1"),
    Sep9Field("id_type", Kind.TEXT, "Kind of identity document, such as passport"),
    Sep9Field("id_country_code", Kind.COUNTRY, "Country that issued the identity document"),
    Sep9Field("id_issue_date", Kind.DATE, "Date the identity document was issued, YYYY-MM-DD"),
    Sep9Field("id_expiration_date", Kind.DATE, "Date the identity document expires, YYYY-MM-DD"),
    Sep9Field("id_number", Kind.TEXT, "Number of the identity document"),
    Sep9Field("photo_id_front", Kind.BINARY, "Picture of the identity document's front"),
    Sep9Field("photo_id_back", Kind.BINARY, "Picture of the identity document's back"),
    Sep9Field(
        "notary_approval_of_photo_id",
        Kind.BINARY,
        "Picture of a notary's approval of the identity document",
    ),
    Sep9Field("ip_address", Kind.IP_ADDRESS, "IP address of the customer's device"),
    Sep9Field(
        "photo_proof_residence",
        Kind.BINARY,
        "Picture of a bill or bank statement with the customer's name and address",
    ),
    Sep9Field("sex", Kind.TEXT, "Sex", ("male", "female", "other")),
    Sep9Field("proof_of_income", Kind.BINARY, "Picture of a document that proves the income"),
    Sep9Field("proof_of_liveness", Kind.BINARY, "Picture or video of the customer, taken live"),
    Sep9Field("referral_id", Kind.TEXT, "Where the customer came from, or a referral code"),
]

_FINANCIAL_ACCOUNT = [
    Sep9Field("bank_name", Kind.TEXT, "Name of the bank"),
    Sep9Field("bank_account_type", Kind.TEXT, "Kind of bank account: checking or savings"),
    Sep9Field("bank_account_number", Kind.TEXT, "Number of the bank account"),
    Sep9Field("bank_number", Kind.TEXT, "The bank's number in its country (US: routing number)"),
    Sep9Field("bank_phone_number", Kind.PHONE, "The bank's phone number, E.164"),
    Sep9Field("bank_branch_number", Kind.TEXT, "Number of the bank's branch"),
    Sep9Field(
        "external_transfer_memo",
        Kind.TEXT,
        "Reference that a transfer to the account must carry",
    ),
    Sep9Field("clabe_number", Kind.CLABE, "Mexican bank account number (CLABE), 18 digits"),
    Sep9Field("cbu_number", Kind.CBU, "Argentine account number (CBU or CVU), 22 digits"),
    Sep9Field("cbu_alias", Kind.TEXT, "Alias of an Argentine CBU or CVU"),
    Sep9Field("mobile_money_number", Kind.PHONE, "Phone number of the mobile money account, E.164"),
    Sep9Field("mobile_money_provider", Kind.TEXT, "Name of the mobile money provider"),
    Sep9Field("crypto_address", Kind.TEXT, "Address of a cryptocurrency account"),
    Sep9Field("crypto_memo", Kind.TEXT, "Tag of a cryptocurrency account (deprecated)"),
]

_ORGANIZATION = [
    Sep9Field("organization.name", Kind.TEXT, "Full registered name of the organization"),
    Sep9Field("organization.VAT_number", Kind.TEXT, "VAT number"),
    Sep9Field("organization.registration_number", Kind.TEXT, "Number in the company register"),
    Sep9Field("organization.registration_date", Kind.TEXT, "Date of registration"),
    Sep9Field("organization.registered_address", Kind.LINES, "Registered address"),
    Sep9Field("organization.number_of_shareholders", Kind.COUNT, "Number of shareholders"),
    Sep9Field(
        "organization.shareholder_name", Kind.TEXT, "Name of a shareholder, person or organization"
    ),
    Sep9Field(
        "organization.photo_incorporation_doc", Kind.BINARY, "Picture of the incorporation papers"
    ),
    Sep9Field(
        "organization.photo_proof_address",
        Kind.BINARY,
        "Picture of a bill or bank statement with the organization's name and address",
    ),
    Sep9Field(
        "organization.address_country_code",
        Kind.COUNTRY,
        "Country of the organization, ISO 3166-1 alpha-3",
    ),
    Sep9Field("organization.state_or_province", Kind.TEXT, "State, province or region"),
    Sep9Field("organization.city", Kind.TEXT, "City or town"),
    Sep9Field("organization.postal_code", Kind.TEXT, "Postal code"),
    Sep9Field("organization.director_name", Kind.TEXT, "Name of the managing director"),
    Sep9Field("organization.website", Kind.TEXT, "Website"),
    Sep9Field("organization.email", Kind.EMAIL, "Email address of the organization"),
    Sep9Field("organization.phone", Kind.PHONE, "Phone number of the organization, E.164"),
]

_CARD = [
    Sep9Field("card.number", Kind.CARD_NUMBER, "Number of the card"),
    Sep9Field("card.expiration_date", Kind.YEAR_MONTH, "Month the card expires, YY-MM"),
    Sep9Field("card.cvc", Kind.CVC, "Security code of the card"),
    Sep9Field("card.holder_name", Kind.TEXT, "Name on the card"),
    Sep9Field("card.network", Kind.TEXT, "Brand of the card, such as Visa"),
    Sep9Field("card.postal_code", Kind.TEXT, "Postal code of the billing address"),
    Sep9Field(
        "card.country_code",
        Kind.COUNTRY_ALPHA2,
        "Country of the billing address, ISO 3166-1 alpha-2",
    ),
    Sep9Field("card.state_or_province", Kind.TEXT, "Billing state or province, ISO 3166-2"),
    Sep9Field("card.city", Kind.TEXT, "City or town of the billing address"),
    Sep9Field("card.address", Kind.LINES, "The whole billing address"),
    Sep9Field("card.token", Kind.TEXT, "The card's token in a payment system"),
]

# SEP-9, "Financial Account Fields": an organization's account has the same fields, prefixed.
_ORGANIZATION_ACCOUNT = [
    Sep9Field(f"organization.{field.name}", field.kind, f"{field.description} (organization)")
    for field in _FINANCIAL_ACCOUNT
]

FIELDS: dict[str, Sep9Field] = {
    field.name: field
    for field in [
        *_NATURAL_PERSON,
        *_FINANCIAL_ACCOUNT,
        *_ORGANIZATION,
        *_ORGANIZATION_ACCOUNT,
        *_CARD,
    ]
}

# Two names for one thing (SEP-9, "Natural Person Fields"); we keep and show the second.
ALIASES = {"family_name": "last_name", "given_name": "first_name"}


def find_field(name: str) -> Sep9Field | None:
    """The field of that name or alias, None if SEP-9 knows none."""
    return FIELDS.get(ALIASES.get(name, name))


def parse_text(name: str, value: object, kind: Kind, *, choices: tuple[str, ...] = ()) -> str:
    """Check a value that a client sent for the text field `name`; the text to store.

    Spaces around it are dropped; a JSON number is taken where SEP-9 says number. Raises
    `BadRequest` naming the field and what is allowed.
    """
    rule = kind.value
    if rule.wire_type == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = format(value, "03d" if kind is Kind.OCCUPATION else "d")
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be text: {rule.words}")
    text = value.strip()
    if len(text) > rule.max_length:
        raise BadRequest(f"{name} must be at most {rule.max_length} characters long")
    allowed = "\n\r\t" if kind is Kind.LINES else ""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in allowed for c in text):
        raise BadRequest(f"{name} must be {rule.words}, without control characters")
    if not text or not rule.fits(text):
        raise BadRequest(f"{name} must be {rule.words}")
    if choices and text not in choices:
        raise BadRequest(f"{name} must be one of: {', '.join(choices)}")
    return text
