"""Rules that span several of SEP-9's fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadRequest
from sep12.sep9 import FIELDS, parse_text
from sep12.together import check_together

IBAN = "DE89370400440532013000"
US, MX = {"address_country_code": "USA"}, {"address_country_code": "MEX"}
GERMAN = {"organization.address_country_code": "DEU"}
GREEK = {"organization.address_country_code": "GRC"}


def tax(country: str, name: str, number: str) -> dict[str, str]:
    return {"address_country_code": country, "tax_id_name": name, "tax_id": number}


RIGHT: list[dict[str, str]] = [
    {},
    # One date of a pair says nothing.
    {"id_issue_date": "2020-01-01"},
    {"birth_date": "1990-01-01", "id_issue_date": "1990-01-01", "id_expiration_date": "2031-01-01"},
    # An American routing number has a check digit; other countries' nine digits have not.
    {**US, "bank_number": "021000021"},
    {**MX, "bank_number": "123456789"},
    {"bank_number": "123456789"},
    {**US, "bank_number": "012"},
    {**US, "bank_number": "123456789", "bank_phone_number": "+525512345678"},
    {"bank_number": "123456789", "bank_phone_number": "+18005550123"},
    {"bank_number": "021000021", "bank_phone_number": "+12125550123"},
    {**US, "organization.bank_number": "123456789"},
    # Beside an IBAN, and alone.
    {"bank_account_number": IBAN, "bank_number": "COBADEFFXXX"},
    {"bank_account_number": IBAN, "bank_number": "37040044"},
    {"bank_account_number": "123", "bank_number": "BANAMEXX"},
    {"bank_number": "SCOTIABK"},
    {**US, "bank_account_number": IBAN, "bank_number": "123456789"},
    # Tax numbers
    tax("USA", "SSN", "536-90-4399"),
    tax("USA", "ssn", "536904399"),
    tax("USA", "S.S.N.", "536 90 4399"),
    tax("USA", "ITIN", "912-50-3456"),
    tax("USA", "EIN", "1"),
    tax("FRA", "SSN", "1 85 05 78 006 084 91"),
    tax("BRA", "CPF", "390.533.447-05"),
    tax("BRA", "CNPJ", "16.727.230/0001-97"),
    tax("BRA", "CNPJ", "12.ABC.345/01DE-35"),
    tax("ARG", "CUIL", "20-05536168-2"),
    tax("ARG", "CUIT", "25-05536168-4"),
    tax("MEX", "CURP", "BOXW310820HNERXN09"),
    tax("MEX", "RFC", "anything"),
    tax("POL", "PESEL", "44051401359"),
    {"tax_id": "123", "tax_id_name": "SSN"},
    {"tax_id": "123", **US},
    {"tax_id_name": "SSN", **US},
    # VAT numbers
    {**GERMAN, "organization.VAT_number": "DE136695976"},
    {**GERMAN, "organization.VAT_number": "DE 136 695 976"},
    {**GERMAN, "organization.VAT_number": "136695978"},
    {**GREEK, "organization.VAT_number": "EL094259216"},
    {"organization.VAT_number": "DE136695978"},
    {"organization.address_country_code": "MEX", "organization.VAT_number": "ESO850101AB1"},
]
WRONG: list[tuple[str, dict[str, str]]] = [
    ("id_issue_date", {"birth_date": "1990-01-02", "id_issue_date": "1990-01-01"}),
    ("id_expiration_date", {"birth_date": "1990-01-02", "id_expiration_date": "1990-01-01"}),
    ("id_expiration_date", {"id_issue_date": "2020-01-02", "id_expiration_date": "2020-01-01"}),
    ("bank_number", {**US, "bank_number": "021000022"}),
    ("bank_number", {"bank_number": "021000022", "bank_phone_number": "+12125550123"}),
    ("bank_number", {"bank_account_number": IBAN, "bank_number": "COBAXXFF"}),
    ("bank_number", {"bank_account_number": IBAN, "bank_number": "COBADDFFXXX"}),
    (
        "organization.bank_number",
        {"organization.address_country_code": "USA", "organization.bank_number": "021000022"},
    ),
    (
        "organization.bank_number",
        {"organization.bank_account_number": IBAN, "organization.bank_number": "COBAXXFF"},
    ),
    ("tax_id", tax("USA", "SSN", "000-12-3456")),
    ("tax_id", tax("USA", "SSN", "53690439")),
    ("tax_id", tax("USA", "ITIN", "536-90-4399")),
    ("tax_id", tax("BRA", "CPF", "390.533.447-06")),
    ("tax_id", tax("BRA", "CNPJ", "16.727.230/0001-98")),
    ("tax_id", tax("ARG", "CUIL", "20-05536168-3")),
    ("tax_id", tax("ARG", "CUIT", "200553616")),
    ("tax_id", tax("MEX", "CURP", "BOXW310820HNERXN08")),
    ("tax_id", tax("MEX", "CURP", "BOXW310821")),
    ("tax_id", tax("POL", "PESEL", "44051401358")),
    ("tax_id", tax("POL", "PESEL", "٤٤٠٥١٤٠١٣٥٩")),
    ("organization.VAT_number", {**GERMAN, "organization.VAT_number": "DE136695978"}),
    ("organization.VAT_number", {**GREEK, "organization.VAT_number": "EL094259217"}),
]


@pytest.mark.parametrize("values", RIGHT)
def test_what_may_be_right_in_some_country_is_taken(values: dict[str, str]) -> None:
    check_together(values)


@pytest.mark.parametrize(("name", "values"), WRONG)
def test_what_is_wrong_for_certain_is_refused_by_name_with_a_right_example(
    name: str, values: dict[str, str]
) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_together(values)
    message = refusal.value.message
    assert message.startswith(f"{name} must be ")
    assert values[name] not in message
    example = message.partition(", for example ")[2]
    check_together({**values, name: example})


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *["address_country_code", "tax_id", "tax_id_name", "bank_number"],
                *["bank_account_number", "bank_phone_number", "organization.VAT_number"],
                *["organization.address_country_code", "id_issue_date", "birth_date"],
            ]
        ),
        st.one_of(
            st.text(max_size=30),
            st.sampled_from(
                [
                    *["USA", "BRA", "ARG", "MEX", "POL", "DEU", "ESP", "GRC", "NLD", "IRL", "FRA"],
                    *["SSN", "ITIN", "CPF", "CNPJ", "CUIL", "CURP", "PESEL", "1990-01-01", IBAN],
                    *["+12125550123", "021000021", "COBAXXFF", "ES", "EL", "FR1", "NL0B", "IE1"],
                ]
            ),
            st.from_regex(r"(DE|ES|EL|NL|IE|FR|IT)[0-9A-Z -]{1,14}", fullmatch=True),
        ),
    )
)
def test_any_values_are_taken_or_refused_by_name(values: dict[str, str]) -> None:
    parsed = {}
    for name, value in values.items():
        try:
            parsed[name] = parse_text(name, value, FIELDS[name].kind)
        except BadRequest:
            continue
    try:
        check_together(parsed)
    except BadRequest as error:
        assert error.message.partition(" ")[0] in parsed
