"""SEP-9 v1.18: every standard KYC field, and what a value of it may look like. Pure.

What is checked here is how a value is written (SEP-9, "Encodings" and the tables of fields), by
`sep12.formats`; whether an account exists is for others to say. Error messages name the field, say
what is allowed with an example, and never repeat the value.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from enum import Enum

from kernel.errors import BadRequest
from sep12 import formats
from sep12.formats import Parser


@dataclass(frozen=True)
class Rule:
    """How values of one kind are written: `parse` decides, `words` and `example` say so."""

    wire_type: str  # SEP-12, "Fields": string, binary, number or date
    parse: Parser
    words: str
    example: str = ""  # "" where it depends on the field
    max_length: int = 255


class Kind(Enum):
    """The ways in which fields are written. Each member's value is its rule, which says why it is
    as strict as it is where its parser does not."""

    # Names, places, what things are called: nobody can list them, and people have names of one
    # letter or with digits.
    TEXT = Rule("string", formats.anything, "text on one line")
    LINES = Rule("string", formats.anything, "text", "Av. Juárez 1, 06050 Ciudad de México", 1000)
    BINARY = Rule("binary", formats.anything, "a file")
    DATE = Rule("date", formats.parse_date, "a date as YYYY-MM-DD", "2031-12-31")
    PAST_DATE = Rule(
        "date",
        formats.parse_past_date,
        "a date as YYYY-MM-DD, from 1900 on and not in the future",
        "1976-07-04",
    )
    REGISTRATION_DATE = Rule(
        "string",
        formats.parse_registration_date,
        "a date, best as YYYY-MM-DD, and not in the future",
        "2014-03-21",
    )
    # Any month: whether an expired card can still be paid to is for its network to say.
    YEAR_MONTH = Rule(
        "date", formats.matching(r"[0-9]{2}-(0[1-9]|1[0-2])"), "a month as YY-MM", "29-11"
    )
    COUNT = Rule("number", formats.parse_count, "a whole number of at most 10 digits", "3")
    OCCUPATION = Rule(
        "number", formats.parse_occupation, "an ISCO-08 code of a minor group, 3 digits", "251"
    )
    COUNTRY = Rule(
        "string",
        formats.parse_country,
        "an ISO 3166-1 alpha-3 country code of 3 capital letters",
        "MEX",
    )
    COUNTRY_ALPHA2 = Rule(
        "string",
        formats.parse_country_alpha2,
        "an ISO 3166-1 alpha-2 country code of 2 capital letters",
        "US",
    )
    SUBDIVISION = Rule(
        "string", formats.parse_subdivision, "an ISO 3166-2 code in capital letters", "US-CA"
    )
    LANGUAGE = Rule("string", formats.parse_language, "an ISO 639-1 code of 2 small letters", "es")
    EMAIL = Rule("string", formats.parse_email, "an email address", "maria@example.com", 254)
    # The lists of numbers come with each release of phonenumberslite, about twice a month.
    PHONE = Rule(
        "string",
        formats.parse_phone,
        "a phone number that exists, in E.164 form with + and no spaces",
        "+525512345678",
    )
    WEBSITE = Rule("string", formats.parse_website, "a web address", "https://example.com")
    IP_ADDRESS = Rule("string", formats.parse_ip_address, "an IPv4 or IPv6 address", "203.0.113.7")
    ACCOUNT_NUMBER = Rule(
        "string",
        formats.parse_account_number,
        "an account number, with right check digits if it is an IBAN",
        "GB33BUKB20201555555555",
    )
    CODE = Rule("string", formats.parse_code, "a number or code on one line")
    CLABE = Rule(
        "string",
        formats.parse_clabe,
        "a CLABE of 18 digits, the last of them its check digit",
        "032180000118359719",
    )
    CBU = Rule(
        "string",
        formats.parse_cbu,
        "a CBU or CVU of 22 digits with right check digits",
        "2850590940090418135201",
    )
    # Banco Central de la República Argentina: 6 to 20 of these, without ñ.
    CBU_ALIAS = Rule(
        "string",
        formats.matching(r"[0-9A-Za-z.-]{6,20}"),
        "6 to 20 letters, digits, dots and hyphens",
        "casa.pera.luna",
    )
    CRYPTO_ADDRESS = Rule(
        "string",
        formats.parse_crypto_address,
        "the public address of an account, without spaces and with right check digits",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    )
    CARD_NUMBER = Rule(
        "string",
        formats.parse_card_number,
        "12 to 19 digits, the last of them the check digit",
        "4242424242424242",
    )
    # 3 on most cards, 4 on American Express.
    CVC = Rule("string", formats.matching(r"[0-9]{3,4}"), "3 or 4 digits", "123")


@dataclass(frozen=True)
class Sep9Field:
    """One standard field: its name, kind, what it is in plain words, fixed choices if any, and an
    example of a right value where its kind has none."""

    name: str
    kind: Kind
    description: str
    choices: tuple[str, ...] = ()
    example: str = ""
    stored: bool = True  # False: checked, and then forgotten

    @property
    def type(self) -> str:
        """As SEP-12 names it: string, binary, number or date."""
        return self.kind.value.wire_type

    @property
    def is_binary(self) -> bool:
        return self.kind is Kind.BINARY


_NATURAL_PERSON = [
    Sep9Field("last_name", Kind.TEXT, "Family name", example="Hernández"),
    Sep9Field("first_name", Kind.TEXT, "Given name", example="Lucía"),
    Sep9Field("additional_name", Kind.TEXT, "Middle name or another further name", example="María"),
    Sep9Field("address_country_code", Kind.COUNTRY, "Country of residence, ISO 3166-1 alpha-3"),
    Sep9Field(
        "state_or_province", Kind.TEXT, "State, province or region of residence", example="Jalisco"
    ),
    Sep9Field("city", Kind.TEXT, "City or town of residence", example="Guadalajara"),
    Sep9Field("postal_code", Kind.TEXT, "Postal code of residence", example="44100"),
    Sep9Field("address", Kind.LINES, "The whole postal address, on as many lines as it needs"),
    Sep9Field("mobile_number", Kind.PHONE, "Mobile phone number with country code, E.164"),
    Sep9Field(
        "mobile_number_format",
        Kind.TEXT,
        "How mobile_number is written, if not E.164",
        example="E.164",
    ),
    Sep9Field("email_address", Kind.EMAIL, "Email address"),
    Sep9Field("birth_date", Kind.PAST_DATE, "Date of birth, YYYY-MM-DD"),
    Sep9Field(
        "birth_place",
        Kind.TEXT,
        "Place of birth, as the passport has it",
        example="Guadalajara, Jalisco, Mexico",
    ),
    Sep9Field("birth_country_code", Kind.COUNTRY, "Country of birth, ISO 3166-1 alpha-3"),
    Sep9Field("tax_id", Kind.CODE, "Tax number in the customer's country", example="536-90-4399"),
    Sep9Field(
        "tax_id_name", Kind.TEXT, "What the tax number is called, such as SSN or RFC", example="SSN"
    ),
    Sep9Field("occupation", Kind.OCCUPATION, "Occupation, as a 3-digit ISCO-08 code"),
    Sep9Field("employer_name", Kind.TEXT, "Name of the employer", example="Panadería Luna"),
    Sep9Field("employer_address", Kind.LINES, "Address of the employer"),
    Sep9Field("language_code", Kind.LANGUAGE, "First language, ISO 639-1"),
    Sep9Field(
        "id_type", Kind.TEXT, "Kind of identity document, such as passport", example="passport"
    ),
    Sep9Field("id_country_code", Kind.COUNTRY, "Country that issued the identity document"),
    Sep9Field("id_issue_date", Kind.PAST_DATE, "Date the identity document was issued, YYYY-MM-DD"),
    Sep9Field("id_expiration_date", Kind.DATE, "Date the identity document expires, YYYY-MM-DD"),
    Sep9Field("id_number", Kind.CODE, "Number of the identity document", example="G12345678"),
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
    Sep9Field(
        "referral_id",
        Kind.TEXT,
        "Where the customer came from, or a referral code",
        example="partner-app-7",
    ),
]

_FINANCIAL_ACCOUNT = [
    Sep9Field("bank_name", Kind.TEXT, "Name of the bank", example="BBVA México"),
    Sep9Field(
        "bank_account_type",
        Kind.TEXT,
        "Kind of bank account: checking or savings",
        example="savings",
    ),
    Sep9Field("bank_account_number", Kind.ACCOUNT_NUMBER, "Number of the bank account"),
    Sep9Field(
        "bank_number",
        Kind.CODE,
        "The bank's number in its country (US: routing number)",
        example="012",
    ),
    Sep9Field("bank_phone_number", Kind.PHONE, "The bank's phone number, E.164"),
    Sep9Field("bank_branch_number", Kind.CODE, "Number of the bank's branch", example="0042"),
    Sep9Field(
        "external_transfer_memo",
        Kind.TEXT,
        "Reference that a transfer to the account must carry",
        example="INV-1001",
    ),
    Sep9Field("clabe_number", Kind.CLABE, "Mexican bank account number (CLABE), 18 digits"),
    Sep9Field("cbu_number", Kind.CBU, "Argentine account number (CBU or CVU), 22 digits"),
    Sep9Field("cbu_alias", Kind.CBU_ALIAS, "Alias of an Argentine CBU or CVU"),
    Sep9Field("mobile_money_number", Kind.PHONE, "Phone number of the mobile money account, E.164"),
    Sep9Field(
        "mobile_money_provider", Kind.TEXT, "Name of the mobile money provider", example="M-Pesa"
    ),
    Sep9Field("crypto_address", Kind.CRYPTO_ADDRESS, "Address of a cryptocurrency account"),
    Sep9Field(
        "crypto_memo", Kind.TEXT, "Tag of a cryptocurrency account (deprecated)", example="1001"
    ),
]

_ORGANIZATION = [
    Sep9Field(
        "organization.name",
        Kind.TEXT,
        "Full registered name of the organization",
        example="Luna Textiles, S.A. de C.V.",
    ),
    Sep9Field("organization.VAT_number", Kind.CODE, "VAT number", example="DE136695976"),
    Sep9Field(
        "organization.registration_number",
        Kind.CODE,
        "Number in the company register",
        example="HRB 12345",
    ),
    Sep9Field("organization.registration_date", Kind.REGISTRATION_DATE, "Date of registration"),
    Sep9Field("organization.registered_address", Kind.LINES, "Registered address"),
    Sep9Field("organization.number_of_shareholders", Kind.COUNT, "Number of shareholders"),
    Sep9Field(
        "organization.shareholder_name",
        Kind.TEXT,
        "Name of a shareholder, person or organization",
        example="Lucía Hernández",
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
    Sep9Field(
        "organization.state_or_province", Kind.TEXT, "State, province or region", example="Jalisco"
    ),
    Sep9Field("organization.city", Kind.TEXT, "City or town", example="Guadalajara"),
    Sep9Field("organization.postal_code", Kind.TEXT, "Postal code", example="44100"),
    Sep9Field(
        "organization.director_name",
        Kind.TEXT,
        "Name of the managing director",
        example="Lucía Hernández",
    ),
    Sep9Field("organization.website", Kind.WEBSITE, "Website"),
    Sep9Field("organization.email", Kind.EMAIL, "Email address of the organization"),
    Sep9Field("organization.phone", Kind.PHONE, "Phone number of the organization, E.164"),
]

_CARD = [
    Sep9Field("card.number", Kind.CARD_NUMBER, "Number of the card"),
    Sep9Field("card.expiration_date", Kind.YEAR_MONTH, "Month the card expires, YY-MM"),
    # PCI DSS 4.0, requirement 3.3.1: the code is not stored, not even encrypted.
    Sep9Field("card.cvc", Kind.CVC, "Security code of the card", stored=False),
    Sep9Field("card.holder_name", Kind.TEXT, "Name on the card", example="LUCIA HERNANDEZ"),
    Sep9Field("card.network", Kind.TEXT, "Brand of the card, such as Visa", example="Visa"),
    Sep9Field("card.postal_code", Kind.TEXT, "Postal code of the billing address", example="94103"),
    Sep9Field(
        "card.country_code",
        Kind.COUNTRY_ALPHA2,
        "Country of the billing address, ISO 3166-1 alpha-2",
    ),
    Sep9Field("card.state_or_province", Kind.SUBDIVISION, "Billing state or province, ISO 3166-2"),
    Sep9Field(
        "card.city", Kind.TEXT, "City or town of the billing address", example="San Francisco"
    ),
    Sep9Field("card.address", Kind.LINES, "The whole billing address"),
    Sep9Field("card.token", Kind.TEXT, "The card's token in a payment system", example="tok_1Mq5"),
]

# SEP-9, "Financial Account Fields": an organization's account has the same fields, prefixed.
_ORGANIZATION_ACCOUNT = [
    replace(
        field,
        name=f"organization.{field.name}",
        description=f"{field.description} (organization)",
    )
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


# What no text holds: control characters (NUL is more than PostgreSQL can store) and halves of
# surrogate pairs; and where it has one line, what would begin another.
_NEVER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NEW_LINE = re.compile("[\t\n\r\u2028\u2029]")


def parse_text(name: str, value: object, kind: Kind, *, choices: tuple[str, ...] = ()) -> str:
    """Check a value that a client sent for the text field `name`; the text to store.

    Spaces around it are dropped, Unicode is put in its composed form (NFC), and the kind's own
    canonical form is taken; a JSON number is read where SEP-9 says number. Raises `BadRequest`
    naming the field, what is allowed and an example.
    """
    rule = kind.value
    if rule.wire_type == "number" and type(value) is int and 0 <= value < 10**10:
        value = format(value, "03d" if kind is Kind.OCCUPATION else "d")
    if not isinstance(value, str):
        raise _refusal(name, rule, choices, "as text")
    text = value.strip()
    # Before it is normalized, which takes long for much text.
    if len(text) > rule.max_length:
        raise _refusal(name, rule, choices, f"of at most {rule.max_length} characters")
    if _NEVER.search(text) or (kind is not Kind.LINES and _NEW_LINE.search(text)):
        raise _refusal(name, rule, choices, "without control characters")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    parsed = rule.parse(text) if text else None
    if parsed is None or (choices and parsed not in choices):
        raise _refusal(name, rule, choices)
    if len(parsed) > rule.max_length:
        raise _refusal(name, rule, choices, f"of at most {rule.max_length} characters")
    return parsed


def _refusal(name: str, rule: Rule, choices: tuple[str, ...], further: str = "") -> BadRequest:
    if choices:
        return BadRequest(f"{name} must be one of: {', '.join(choices)}")
    known = find_field(name)
    example = rule.example or (known.example if known else "")
    words = f"{rule.words}, {further}" if further else rule.words
    return BadRequest(f"{name} must be {words}{example and f', for example {example}'}")
