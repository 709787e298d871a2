"""SEP-9's fields: which there are, and what each takes and refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep12 import codes
from sep12.sep9 import ALIASES, FIELDS, Kind, find_field, parse_text

# The tables of SEP-9 v1.18.0, section by section: name and type.
NATURAL_PERSON = """last_name string, first_name string, additional_name string,
    address_country_code string, state_or_province string, city string, postal_code string,
    address string, mobile_number string, mobile_number_format string, email_address string,
    birth_date date, birth_place string, birth_country_code string, tax_id string,
    tax_id_name string, occupation number, employer_name string, employer_address string,
    language_code string, id_type string, id_country_code string, id_issue_date date,
    id_expiration_date date, id_number string, photo_id_front binary, photo_id_back binary,
    notary_approval_of_photo_id binary, ip_address string, photo_proof_residence binary,
    sex string, proof_of_income binary, proof_of_liveness binary, referral_id string"""
FINANCIAL_ACCOUNT = """bank_name string, bank_account_type string, bank_account_number string,
    bank_number string, bank_phone_number string, bank_branch_number string,
    external_transfer_memo string, clabe_number string, cbu_number string, cbu_alias string,
    mobile_money_number string, mobile_money_provider string, crypto_address string,
    crypto_memo string"""
ORGANIZATION = """name string, VAT_number string, registration_number string,
    registration_date string, registered_address string, number_of_shareholders number,
    shareholder_name string, photo_incorporation_doc binary, photo_proof_address binary,
    address_country_code string, state_or_province string, city string, postal_code string,
    director_name string, website string, email string, phone string"""
CARD = """number string, expiration_date date, cvc string, holder_name string, network string,
    postal_code string, country_code string, state_or_province string, city string,
    address string, token string"""


def table(text: str, prefix: str = "") -> dict[str, str]:
    rows = (row.split() for row in text.split(","))
    return {prefix + name: type_ for name, type_ in rows}


SEP_9 = {
    **table(NATURAL_PERSON),
    **table(FINANCIAL_ACCOUNT),
    **table(ORGANIZATION, "organization."),
    # "The `organization.` prefix should be used when [...] related to an organization."
    **table(FINANCIAL_ACCOUNT, "organization."),
    **table(CARD, "card."),
}


def test_every_field_of_sep_9_is_known_with_its_type_and_no_other_is() -> None:
    assert {name: field.type for name, field in FIELDS.items()} == SEP_9
    assert all(field.name == name and field.description for name, field in FIELDS.items())


def test_both_spellings_of_a_name_are_one_field() -> None:
    assert find_field("given_name") is find_field("first_name") is FIELDS["first_name"]
    assert find_field("family_name") is FIELDS["last_name"]
    assert find_field("shoe_size") is None


def test_only_a_cards_security_code_is_never_stored() -> None:
    assert [name for name, field in FIELDS.items() if not field.stored] == ["card.cvc"]


# -- What each field takes ----------------------------------------------------------------------
IN_TWO_DAYS = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
TODAY = datetime.now(UTC).strftime("%Y-%m-%d")
STELLAR = "GDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCZA57"

NAMES = ["Ana", "María José", "O'Neil", "山田", "N", "Jr. 3", "x" * 255, "عبد الله", "-"]
ONE_LINE = ["x", "Calle 5 #12-3", "São Paulo"]
LINES = ["Calle 1\nCol. Centro\r\nMéxico", "1\tA", "Tel Aviv"]
PHONES = ["+525512345678", "+6834000", "+2348021234567", "+12025550123", "+390236618300"]
COUNTRIES = ["MEX", "USA", "GBR", "XKX", "SSD"]
PAST_DATES = ["1976-07-04", "2000-02-29", "1900-01-01", TODAY]
ANY_CODE = ["012", "HDFC0001234", "12-34-56", "０１２", "DEUTDEFF", "BANCOMER"]
ACCOUNT_NUMBERS = [
    "5500010001",
    "1",
    "00-1234567-8",
    "GB33BUKB20201555555555",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
    "XK051212012345678906",
    "BR1800360305000010009795493C1",
    "SA123456",  # as short as no IBAN of Saudi Arabia
    "GB33BUKB2020155555555",  # a digit less than an IBAN of the United Kingdom
    "US12345678901234567890",  # has no IBANs
    "ZZ99999999999999",
    "032180000118359719",
]

FINANCIAL_RIGHT: dict[str, list[object]] = {
    "bank_name": ["BBVA", "Банк"],
    "bank_account_type": ["checking", "savings", "cuenta corriente"],
    "bank_account_number": [*ACCOUNT_NUMBERS],
    "bank_number": [*ANY_CODE],
    "bank_phone_number": [*PHONES],
    "bank_branch_number": [*ANY_CODE],
    "external_transfer_memo": ["INV 7", "7", "*"],
    "clabe_number": ["032180000118359719", "002010077777777771", "646180110400000007"],
    "cbu_number": ["2850590940090418135201", "0000003100062244154712"],  # CBU, CVU
    "cbu_alias": ["casa.pera.luna", "ANA-2026", "abcdef", "a" * 20],
    "mobile_money_number": [*PHONES],
    "mobile_money_provider": ["M-Pesa", "MTN"],
    "crypto_address": [
        STELLAR,
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "ana.eth",
        "ana*example.com",
    ],
    "crypto_memo": ["7", "ñ"],
}
RIGHT: dict[str, list[object]] = {
    "last_name": [*NAMES],
    "first_name": [*NAMES],
    "additional_name": [*NAMES],
    "address_country_code": [*COUNTRIES],
    "state_or_province": [*ONE_LINE],
    "city": [*ONE_LINE],
    "postal_code": ["06050", "SW1A 1AA", "D02 AF30", "-"],
    "address": [*LINES],
    "mobile_number": [*PHONES],
    "mobile_number_format": ["E.164", "hash"],
    "email_address": ["a@b.co", "ana+mx@sub.example.com", "用户@例子.公司", "o'x@example.org"],
    "birth_date": [*PAST_DATES],
    "birth_place": [*ONE_LINE],
    "birth_country_code": [*COUNTRIES],
    "tax_id": ["123-45-6789", "GODE561231GR8", "7"],
    "tax_id_name": ["SSN", "C.P.F."],
    "occupation": ["251", "011", "962", 251, 11],
    "employer_name": [*NAMES],
    "employer_address": [*LINES],
    "language_code": ["es", "en", "zh", "gn", "sw"],
    "id_type": ["passport", "drivers_license", "INE"],
    "id_country_code": [*COUNTRIES],
    "id_issue_date": [*PAST_DATES],
    "id_expiration_date": ["2031-12-31", "1999-01-01", "9999-12-31"],
    "id_number": ["G12345678", "1", "А-1"],
    "ip_address": ["203.0.113.7", "2001:db8::1", "10.0.0.1", "::1"],
    "sex": ["male", "female", "other"],
    "referral_id": ["app-7", "🙂"],
    **FINANCIAL_RIGHT,
    "organization.name": [*NAMES],
    "organization.VAT_number": ["DE136695976", "7", "CHE-107.787.577 IVA", "ESO850101AB1"],
    "organization.registration_number": ["HRB 12345", "07496944"],
    "organization.registration_date": ["2014-03-21", "1602-03-20", "1998", "March 2014", TODAY],
    "organization.registered_address": [*LINES],
    "organization.number_of_shareholders": ["0", "3", 3, 9_999_999_999],
    "organization.shareholder_name": [*NAMES],
    "organization.address_country_code": [*COUNTRIES],
    "organization.state_or_province": [*ONE_LINE],
    "organization.city": [*ONE_LINE],
    "organization.postal_code": ["06050"],
    "organization.director_name": [*NAMES],
    "organization.website": [
        "https://example.com",
        "http://example.com/a?b=c#d",
        "www.example.com",
        "example.com/es",
        "https://bücher.example",
    ],
    "organization.email": ["info@example.com"],
    "organization.phone": [*PHONES],
    **{f"organization.{name}": values for name, values in FINANCIAL_RIGHT.items()},
    "card.number": [
        "4242424242424242",
        "378282246310005",
        "5555555555554444",
        "6200000000000003",  # UnionPay, without a check digit
        "501800000009",
        "6759649826438453",
    ],
    "card.expiration_date": ["29-11", "30-01", "20-12"],
    "card.cvc": ["123", "0123"],
    "card.holder_name": ["ANA LUNA"],
    "card.network": ["Visa", "AmEx"],
    "card.postal_code": ["94103"],
    "card.country_code": ["US", "MX", "XK"],
    "card.state_or_province": ["US-CA", "MX-JAL", "FR-75C", "GB-ENG", "JP-13"],
    "card.city": [*ONE_LINE],
    "card.address": [*LINES],
    "card.token": ["tok_1Mq5"],
}

# -- and what it refuses ------------------------------------------------------------------------
NOT_TEXT: list[object] = ["", " ", "a\x00b", "a\x7fb", "\ud800", True, None, [], {}, 2.5, 10**5000]
NOT_A_LINE: list[object] = [*NOT_TEXT, "x" * 256, "a\nb", "a\tb", "a\u2028b", 7]
NOT_LINES: list[object] = [*NOT_TEXT, "x" * 1001, "a\x0bb", 7]
NOT_A_PHONE: list[object] = [
    "5512345678",
    "+0123456789",
    "+52 55 1234 5678",
    "+1234567890123456",
    "+12345",
    "++5212345",
    "+٥٢٥٥١٢٣٤٥٦٧٨",
    525512345678,
    "+5255123456",  # too short for Mexico
    "+15551234567",  # no such area
    "+999123456789",  # no such country
    "tel:+525512345678",
    "+525512345678;ext=1",
]
NOT_A_COUNTRY: list[object] = ["MX", "mex", "Mexico", "484", "ＭＥＸ", "ZZZ", "YUG", "XXX", "EUR"]
NOT_A_DATE: list[object] = [
    "1976-7-4",
    "04/07/1976",
    "1976-02-30",
    "2001-02-29",
    "0000-01-01",
    "19760704",
    "1976-W27-7",
    "1976-07-04T00:00",
    "١٩٧٦-٠٧-٠٤",
    19760704,
    "tomorrow",
]
NOT_PAST: list[object] = [*NOT_A_DATE, IN_TWO_DAYS, "2999-01-01", "1899-12-31", "0976-07-04"]
NO_CODE: list[object] = [*NOT_A_LINE, "-", "...", "?"]
NOT_AN_EMAIL: list[object] = [
    "ana",
    "ana@",
    "@b.co",
    "a@b",
    "a b@c.de",
    "a@b..co",
    "a@@b.co",
    "a@b.co\nx",
    "a..b@example.com",
    "Ana <ana@example.com>",
    "ana@localhost",
    "ana@example.test",
    "ana@[127.0.0.1]",
    f"a@{'b' * 250}.com",
]

FINANCIAL_WRONG: dict[str, list[object]] = {
    "bank_name": NOT_A_LINE,
    "bank_account_type": NOT_A_LINE,
    "bank_account_number": [
        *NO_CODE,
        "GB34BUKB20201555555555",
        "GB33BUKB20201555555556",
        "gb34 bukb 2020 1555 5555 55",
        "DE89370400440532013001",
        "DE8937040044O532013000",
        "NO9386011117948",
    ],
    "bank_number": NO_CODE,
    "bank_phone_number": NOT_A_PHONE,
    "bank_branch_number": NO_CODE,
    "external_transfer_memo": NOT_A_LINE,
    "clabe_number": [
        "03218000011835971",
        "032180000118359710",
        "032180000118359791",
        "03218000011835971x",
        "٠٣٢١٨٠٠٠٠١١٨٣٥٩٧١٩",
        32180000118359719,
    ],
    "cbu_number": [
        "123",
        "2850590940090418135202",
        "2850590840090418135201",
        "0000003100062244154713",
        "285059094009041813520",
    ],
    "cbu_alias": ["abcde", "a" * 21, "casa pera", "pera_luna", "señal.luz"],
    "mobile_money_number": NOT_A_PHONE,
    "mobile_money_provider": NOT_A_LINE,
    "crypto_address": [
        *NOT_A_LINE,
        "G 1",
        STELLAR[:-1] + "A",
        "M" + "A" * 68,
        # A secret key, which nobody should ever have sent.
        "SADQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQP54X",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdp",
    ],
    "crypto_memo": NOT_A_LINE,
}
WRONG: dict[str, list[object]] = {
    "last_name": NOT_A_LINE,
    "first_name": NOT_A_LINE,
    "additional_name": NOT_A_LINE,
    "address_country_code": NOT_A_COUNTRY,
    "state_or_province": NOT_A_LINE,
    "city": NOT_A_LINE,
    "postal_code": NOT_A_LINE,
    "address": NOT_LINES,
    "mobile_number": NOT_A_PHONE,
    "mobile_number_format": NOT_A_LINE,
    "email_address": NOT_AN_EMAIL,
    "birth_date": NOT_PAST,
    "birth_place": NOT_A_LINE,
    "birth_country_code": NOT_A_COUNTRY,
    "tax_id": NO_CODE,
    "tax_id_name": NOT_A_LINE,
    "occupation": ["25", "2512", "250", "999", "abc", 1000, -1, True, 2.5, 10**5000, "٢٥١"],
    "employer_name": NOT_A_LINE,
    "employer_address": NOT_LINES,
    "language_code": ["spa", "ES", "xx", "es-MX", "Español"],
    "id_type": NOT_A_LINE,
    "id_country_code": NOT_A_COUNTRY,
    "id_issue_date": NOT_PAST,
    "id_expiration_date": NOT_A_DATE,
    "id_number": NO_CODE,
    "ip_address": ["203.0.113", "example.com", "fe80::1%eth0", "999.1.1.1", "010.0.0.1", "::g"],
    "sex": ["unknown", "Male", "M", "", 1],
    "referral_id": NOT_A_LINE,
    **FINANCIAL_WRONG,
    "organization.name": NOT_A_LINE,
    "organization.VAT_number": NO_CODE,
    "organization.registration_number": NO_CODE,
    "organization.registration_date": [*NOT_A_LINE, "2014-13-21", "2014-02-30", IN_TWO_DAYS],
    "organization.registered_address": NOT_LINES,
    "organization.number_of_shareholders": [
        "-1",
        "1.5",
        -1,
        "٣",
        "1e3",
        10**10,
        True,
        "12345678901",
    ],
    "organization.shareholder_name": NOT_A_LINE,
    "organization.address_country_code": NOT_A_COUNTRY,
    "organization.state_or_province": NOT_A_LINE,
    "organization.city": NOT_A_LINE,
    "organization.postal_code": NOT_A_LINE,
    "organization.director_name": NOT_A_LINE,
    "organization.website": [
        *NOT_A_LINE,
        "our site",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://",
        "https://exa mple.com",
        "example",
    ],
    "organization.email": NOT_AN_EMAIL,
    "organization.phone": NOT_A_PHONE,
    **{f"organization.{name}": values for name, values in FINANCIAL_WRONG.items()},
    "card.number": ["4242424242424241", "1", "42424242424", "4" * 20, "4242x4242424242", "４" * 16],
    "card.expiration_date": ["29-13", "29-00", "11/29", "2029-11", "29-1"],
    "card.cvc": ["12", "12345", "abc", "١٢٣", 123],
    "card.holder_name": NOT_A_LINE,
    "card.network": NOT_A_LINE,
    "card.postal_code": NOT_A_LINE,
    "card.country_code": ["USA", "us", "ZZ", "UK", 840],
    "card.state_or_province": ["CA", "us-ca", "US-ZZ", "California", "US"],
    "card.city": NOT_A_LINE,
    "card.address": NOT_LINES,
    "card.token": NOT_A_LINE,
}


def parse(name: str, value: object) -> str:
    return parse_text(name, value, FIELDS[name].kind, choices=FIELDS[name].choices)


TEXT_FIELDS = sorted(name for name, field in FIELDS.items() if not field.is_binary)


def test_the_tables_above_and_below_have_every_field() -> None:
    assert sorted(RIGHT) == sorted(WRONG) == TEXT_FIELDS
    assert all(RIGHT.values())
    assert all(WRONG.values())


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_right_values_are_taken_as_they_are(name: str) -> None:
    for value in RIGHT[name]:
        text = value if isinstance(value, str) else f"{value:03d}" if value == 11 else str(value)
        assert parse(name, value) == text


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_wrong_values_are_refused_by_name_with_an_example(name: str) -> None:
    messages = set()
    for value in WRONG[name]:
        with pytest.raises(BadRequest) as refusal:
            parse(name, value)
            pytest.fail(f"{name} took {value!r}")
        messages.add(refusal.value.message)
    for message in messages:
        assert message.startswith(f"{name} must be ")
        assert "for example" in message or "one of" in message
    # Not text, too long, control characters, wrong: nothing of the value is in any of them.
    assert len(messages) <= 4 < len(WRONG[name])


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_the_example_of_a_message_is_right_itself(name: str) -> None:
    if FIELDS[name].choices:
        return  # the message lists them instead
    with pytest.raises(BadRequest) as refusal:
        parse(name, "\x00")
    example = refusal.value.message.partition(", for example ")[2]
    assert parse(name, example) == example


# -- One value, one spelling --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "written", "stored"),
    [
        ("first_name", "  Ana ", "Ana"),
        ("first_name", "Jose\u0301", "José"),  # as a Mac writes it
        ("bank_account_number", "gb33 BUKB 2020 1555 5555 55", "GB33BUKB20201555555555"),
        ("bank_account_number", "GB33\u00a0BUKB-2020-1555-5555-55", "GB33BUKB20201555555555"),
        ("bank_account_number", "00-12 34", "00-12 34"),  # whoever reads it may need the hyphen
        ("clabe_number", "032 180 00011835971 9", "032180000118359719"),
        ("cbu_number", "28505909-40090418135201", "2850590940090418135201"),
        ("card.number", "4242 4242 4242 4242", "4242424242424242"),
        ("mobile_number", "+4407911123456", "+447911123456"),
        ("mobile_money_number", "+5215512345678", "+525512345678"),  # Mexico, until 2019
        ("email_address", "Ana@EXAMPLE.com", "Ana@example.com"),
        ("email_address", "ana@xn--bcher-kva.example", "ana@bücher.example"),
        ("ip_address", "2001:0DB8:0:0::1", "2001:db8::1"),
        ("occupation", 11, "011"),
        ("organization.number_of_shareholders", "007", "7"),
    ],
)
def test_spellings_of_one_value_are_stored_as_one(name: str, written: object, stored: str) -> None:
    assert parse(name, written) == stored


def test_a_hashed_mobile_number_is_text_of_any_form() -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    assert parse_text("mobile_number", digest, Kind.TEXT) == digest


def test_only_the_choices_are_taken_and_the_error_lists_them() -> None:
    with pytest.raises(BadRequest, match=r"^id_type must be one of: passport, id_card$"):
        parse_text("id_type", "visa", Kind.TEXT, choices=("passport", "id_card"))


hostile = st.one_of(
    st.text(),
    st.text(alphabet="0123456789"),
    st.text(alphabet="GMSABC234567 -.@+:/%\u0661\uff11\u0301\u200f\u202e"),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
    st.binary(),
)


@given(st.sampled_from(TEXT_FIELDS), hostile)
def test_any_value_is_either_stored_in_one_form_or_a_bad_request(name: str, value: object) -> None:
    try:
        text = parse(name, value)
    except BadRequest as error:
        assert error.message.startswith(f"{name} must be ")
    else:
        assert text == text.strip() != ""
        assert "\x00" not in text
        text.encode()
        assert parse(name, text) == text


@given(st.data(), st.sampled_from(TEXT_FIELDS))
def test_a_right_value_with_anything_put_in_breaks_nothing(data: st.DataObject, name: str) -> None:
    value = str(data.draw(st.sampled_from(RIGHT[name])))
    at = data.draw(st.integers(0, len(value)))
    changed = value[:at] + data.draw(st.text(max_size=3)) + value[at + 1 :]
    try:
        text = parse(name, changed)
    except BadRequest:
        return
    assert parse(name, text) == text


def test_the_lists_of_codes_are_whole() -> None:
    assert len(codes.countries()) == len(codes.alpha3_countries()) == 250  # 249, and Kosovo
    assert len(codes.languages()) >= 183
    assert len(codes.subdivisions()) > 5000
    assert len(codes.OCCUPATIONS) == 130  # ILO, ISCO-08: 10, 43, 130 and 436 groups


def test_the_other_names_of_fields_lead_to_fields() -> None:
    assert set(ALIASES.values()) <= set(FIELDS)
