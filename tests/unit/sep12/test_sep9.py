"""SEP-9's fields: which there are, and what each takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep12.sep9 import FIELDS, Kind, find_field, parse_text

# The tables of SEP-9 v1.18.0, section by section.
NATURAL_PERSON = """last_name first_name additional_name address_country_code state_or_province
    city postal_code address mobile_number mobile_number_format email_address birth_date
    birth_place birth_country_code tax_id tax_id_name occupation employer_name employer_address
    language_code id_type id_country_code id_issue_date id_expiration_date id_number
    photo_id_front photo_id_back notary_approval_of_photo_id ip_address photo_proof_residence sex
    proof_of_income proof_of_liveness referral_id"""
FINANCIAL = """bank_name bank_account_type bank_account_number bank_number bank_phone_number
    bank_branch_number external_transfer_memo clabe_number cbu_number cbu_alias
    mobile_money_number mobile_money_provider crypto_address crypto_memo"""
ORGANIZATION = """name VAT_number registration_number registration_date registered_address
    number_of_shareholders shareholder_name photo_incorporation_doc photo_proof_address
    address_country_code state_or_province city postal_code director_name website email phone"""
CARD = """number expiration_date cvc holder_name network postal_code country_code
    state_or_province city address token"""


def test_every_field_of_sep_9_is_known_and_no_other() -> None:
    expected = {*NATURAL_PERSON.split(), *FINANCIAL.split()}
    expected |= {f"organization.{name}" for name in f"{ORGANIZATION} {FINANCIAL}".split()}
    expected |= {f"card.{name}" for name in CARD.split()}
    assert set(FIELDS) == expected


def test_every_field_has_a_description_and_a_type_of_sep_12() -> None:
    for field in FIELDS.values():
        assert field.description
        assert field.type in {"string", "binary", "number", "date"}


def test_binary_fields_are_those_that_sep_9_calls_binary() -> None:
    assert {name for name, field in FIELDS.items() if field.is_binary} == {
        "photo_id_front",
        "photo_id_back",
        "notary_approval_of_photo_id",
        "photo_proof_residence",
        "proof_of_income",
        "proof_of_liveness",
        "organization.photo_incorporation_doc",
        "organization.photo_proof_address",
    }


def test_both_spellings_of_a_name_are_one_field() -> None:
    assert find_field("given_name") is find_field("first_name") is FIELDS["first_name"]
    assert find_field("family_name") is FIELDS["last_name"]
    assert find_field("shoe_size") is None


GOOD: dict[str, list[object]] = {
    "first_name": ["Ana", "María José", "O'Neil", "山田", "x" * 255],
    "address": ["Calle 1\nCol. Centro\r\nMéxico"],
    "birth_date": ["1976-07-04", "2000-02-29"],
    "birth_country_code": ["MEX", "USA"],
    "card.country_code": ["US"],
    "card.expiration_date": ["29-11", "30-01"],
    "email_address": ["a@b.co", "ana+mx@sub.example.com", "用户@例子.公司", "o'x@example.org"],
    "mobile_number": ["+525512345678", "+6834000"],
    "language_code": ["es"],
    "occupation": ["251", "011", 251, 11],
    "organization.number_of_shareholders": ["0", "3", 3],
    "ip_address": ["203.0.113.7", "2001:db8::1"],
    "sex": ["male", "female", "other"],
    "clabe_number": ["032180000118359719"],
    "cbu_number": ["2850590940090418135201"],
    "card.number": ["4242424242424242"],
    "card.cvc": ["123", "1234"],
}
BAD: dict[str, list[object]] = {
    "first_name": ["", " ", "x" * 256, "a\nb", "a\x00b", "a\x7fb", "\ud800", 7, True, None, [], {}],
    "address": ["x" * 1001, "a\x00b", "a\x0bb"],
    "birth_date": [
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
    ],
    "birth_country_code": ["MX", "mex", "Mexico", "484", "ＭＥＸ"],
    "card.country_code": ["USA", "us"],
    "card.expiration_date": ["29-13", "29-00", "11/29", "2029-11"],
    "email_address": ["ana", "ana@", "@b.co", "a@b", "a b@c.de", "a@b..co", "a@@b.co", "a@b.co\nx"],
    "mobile_number": [
        "5512345678",
        "+0123456789",
        "+52 55 1234 5678",
        "+1234567890123456",
        "+12345",
        "++5212345",
        "+٥٢٥٥١٢٣٤٥٦٧٨",
        525512345678,
    ],
    "language_code": ["spa", "ES"],
    "occupation": ["25", "abc", 1000, -1, True, 2.5],
    "organization.number_of_shareholders": ["-1", "1.5", -1, "٣", "1e3"],
    "ip_address": ["203.0.113", "example.com", "fe80::1%eth0", "999.1.1.1"],
    "clabe_number": ["0321800001183597", "03218000011835971x"],
    "cbu_number": ["123"],
    "card.number": ["4242424242424243", "1"],
    "card.cvc": ["12", "12345"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in GOOD.items() for v in values])
def test_well_formed_values_are_taken(name: str, value: object) -> None:
    field = FIELDS[name]
    assert parse_text(name, value, field.kind, choices=field.choices)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_malformed_values_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_text(name, value, FIELDS[name].kind)
    assert refusal.value.message.startswith(name)


def test_only_the_choices_are_taken_and_the_error_lists_them() -> None:
    with pytest.raises(BadRequest, match="sex must be one of: male, female, other"):
        parse_text("sex", "unknown", Kind.TEXT, choices=FIELDS["sex"].choices)


def test_spaces_around_a_value_are_dropped_and_a_number_becomes_its_digits() -> None:
    assert parse_text("first_name", "  Ana ", Kind.TEXT) == "Ana"
    assert parse_text("occupation", 11, Kind.OCCUPATION) == "011"


@given(
    st.sampled_from(sorted(FIELDS)),
    st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text())),
)
def test_any_value_is_either_text_that_can_be_stored_or_a_bad_request(
    name: str, value: object
) -> None:
    try:
        text = parse_text(name, value, FIELDS[name].kind)
    except BadRequest as error:
        assert name in error.message
    else:
        assert text == text.strip() != ""
        assert "\x00" not in text
        text.encode()
