"""SEP-9 v1.18.0 as PUT /customer takes it and GET /customer tells it.

What each field takes and refuses in detail is in tests/unit/sep12/test_sep9.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from sep12.services import reveal_fields
from tests.fixtures import uploads
from tests.fixtures.kyc import Api, assert_error
from tests.unit.sep12.test_sep9 import RIGHT, SEP_9

NEVER_KEPT = "card.cvc"
KEPT = sorted(SEP_9.keys() - {NEVER_KEPT})
BINARY = sorted(name for name, type_ in SEP_9.items() if type_ == "binary")
TEXT = sorted(SEP_9.keys() - set(BINARY))
LANGUAGES = ["language_code"]
COUNTRIES = [
    "address_country_code",
    "birth_country_code",
    "id_country_code",
    "organization.address_country_code",
]
DATES = ["birth_date", "id_issue_date", "id_expiration_date"]
PHONES = [
    "mobile_number",
    "mobile_money_number",
    "bank_phone_number",
    "organization.phone",
    "organization.mobile_money_number",
    "organization.bank_phone_number",
]
ADDRESSES = ["address", "employer_address", "organization.registered_address", "card.address"]


def refused(api: Api, name: str, value: Any) -> str:
    error = assert_error(api.put(**{name: value}), 400)
    assert error.startswith(f"{name} must be ")
    return error


def provided(api: Api, **values: Any) -> dict[str, dict[str, Any]]:
    customer_id = api.register(**values)
    return dict(api.get(id=customer_id).json()["provided_fields"])


def kept(api: Api, **values: Any) -> dict[str, str]:
    """What is there for a payout after a PUT."""
    customer_id = uuid.UUID(api.register(**values))
    return reveal_fields([customer_id])[customer_id]


# -- Simple Summary -----------------------------------------------------------------------------
def test_no_particular_field_is_expected(api: Api) -> None:
    """Simple Summary: "no expectation that any particular fields be used"."""
    for name in ("referral_id", "organization.city", "card.network"):
        assert provided(api, memo=name, **{name: "x"}).keys() == {name}


def test_a_field_that_we_do_not_know_yet_does_no_harm(api: Api) -> None:
    """Simple Summary: "This is an evolving list"."""
    assert provided(api, first_name="Ana", shoe_size="38").keys() == {"first_name"}


# -- Encodings ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LANGUAGES)
def test_a_language_is_iso_639_1(api: Api, name: str) -> None:
    """Encodings: language, 2 characters."""
    assert kept(api, **{name: "es"}) == {name: "es"}
    for value in ("spa", "xx", "es-MX", "Spanish"):
        assert "ISO 639-1" in refused(api, name, value)


@pytest.mark.parametrize("name", COUNTRIES)
def test_a_country_is_iso_3166_1_alpha_3(api: Api, name: str) -> None:
    """Encodings: country, 3 characters."""
    assert kept(api, **{name: "MEX"}) == {name: "MEX"}
    for value in ("MX", "XXX", "Mexico", "484"):
        assert "ISO 3166-1 alpha-3" in refused(api, name, value)


@pytest.mark.parametrize("name", DATES)
def test_a_date_is_iso_8601_date_only(api: Api, name: str) -> None:
    """Encodings: date, 10 characters; `birth_date`: "e.g. `1976-07-04`"."""
    assert kept(api, **{name: "1976-07-04"}) == {name: "1976-07-04"}
    for value in ("04.07.1976", "1976-7-4", "1976-07-04T00:00:00Z", "1976-13-01", "1976-02-30"):
        assert "YYYY-MM-DD" in refused(api, name, value)


@pytest.mark.parametrize("name", PHONES)
def test_a_phone_number_is_e_164(api: Api, name: str) -> None:
    """Encodings: phone number."""
    assert kept(api, **{name: "+525512345678"}) == {name: "+525512345678"}
    for value in ("5512345678", "+52 55 1234 5678", "+999123", "phone"):
        assert "E.164" in refused(api, name, value)


def test_an_occupation_is_isco_08(api: Api) -> None:
    """Encodings: occupation, 3 characters; its type is number, which JSON can write as one."""
    assert kept(api, occupation="251") == kept(api, occupation=251) == {"occupation": "251"}
    assert kept(api, occupation=11) == {"occupation": "011"}
    for value in ("2512", "999", "engineer"):
        assert "ISCO-08" in refused(api, "occupation", value)


# -- Dot Notation -------------------------------------------------------------------------------
def test_names_with_dots_are_strings(api: Api) -> None:
    """Dot Notation: "Field names should always be used as strings", in forms as in JSON."""
    assert kept(api, **{"organization.name": "Luna"}) == {"organization.name": "Luna"}
    form = api.form(memo="7", memo_type="id", **{"organization.name": "Luna"})
    assert "organization.name" in api.get(id=form.json()["id"]).json()["provided_fields"]


def test_a_dot_is_not_a_nested_object(api: Api) -> None:
    """Dot Notation: "_not_ an indication that the fields [...] should be contained in a nested
    object"; Card fields' "object defined below" is its table of such names."""
    customer_id = api.register(
        first_name="Ana", organization={"name": "Luna"}, card={"network": "Visa"}
    )
    assert api.get(id=customer_id).json()["provided_fields"].keys() == {"first_name"}


# -- All tables ---------------------------------------------------------------------------------
def test_every_field_may_be_asked_for_with_its_type(
    api: Api, configure: Callable[..., None]
) -> None:
    """Natural Person, Financial Account, Organization and Card fields: Name and Type."""
    configure(customer_types={"everything": {"required": KEPT}})
    fields = api.get(type="everything").json()["fields"]
    assert {name: field["type"] for name, field in fields.items()} == {
        name: SEP_9[name] for name in KEPT
    }
    assert all(field["description"] for field in fields.values())


@pytest.mark.parametrize("name", TEXT)
def test_every_text_field_is_taken(api: Api, name: str) -> None:
    """The same tables: Name. Each with a value of its description."""
    customer_id = api.register(**{name: RIGHT[name][0]})
    told = api.get(id=customer_id).json().get("provided_fields", {})
    assert told.keys() == ({name} - {NEVER_KEPT})


@pytest.mark.parametrize("name", BINARY)
def test_every_binary_field_is_taken(api: Api, name: str) -> None:
    """The same tables: type binary, "Image of"."""
    image = SimpleUploadedFile("image.jpg", uploads.jpeg(), "image/jpeg")
    parts: dict[str, Any] = {name: image}
    customer_id = api.form(**parts).json()["id"]
    assert api.get(id=customer_id).json()["provided_fields"][name]["type"] == "binary"


# -- Natural Person Fields ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("alias", "name"), [("family_name", "last_name"), ("given_name", "first_name")]
)
def test_two_names_are_one_field(api: Api, alias: str, name: str) -> None:
    """Natural Person Fields: "`family_name` or `last_name`", "`given_name` or `first_name`"."""
    assert kept(api, **{alias: "Luna"}) == {name: "Luna"}
    assert kept(api, **{alias: "Luna", name: "Luna"}) == {name: "Luna"}
    assert name in assert_error(api.put(**{alias: "Luna", name: "Sol"}), 400)


def test_a_customer_registered_by_the_other_names_lacks_nothing(api: Api) -> None:
    """The same: what is asked for by one name may be sent by the other."""
    api.register(type="sep31-sender", given_name="Ana", family_name="Paz")
    assert api.status(type="sep31-sender") == "ACCEPTED"


def test_another_format_of_the_mobile_number_lets_it_be_a_hash(api: Api) -> None:
    """`mobile_number`: "could be hashed in case `mobile_number_format` is defined as `hash`"."""
    hashed = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    refused(api, "mobile_number", hashed)
    values = {"mobile_number": hashed, "mobile_number_format": "hash"}
    assert kept(api, **values) == values


def test_a_mobile_number_is_e_164_unless_its_format_is_said(api: Api) -> None:
    """`mobile_number_format`: if not specified, "assume it's in `E.164` format"."""
    values = {"mobile_number": "+525512345678", "mobile_number_format": "E.164"}
    assert kept(api, **values) == values
    assert_error(api.put(mobile_number="5512345678", mobile_number_format="E.164"), 400)


def test_sex_is_one_of_three(api: Api, configure: Callable[..., None]) -> None:
    """`sex`: `male`, `female`, or `other`."""
    configure(customer_types={"person": {"required": ["sex"]}})
    assert api.get().json()["fields"]["sex"]["choices"] == ["male", "female", "other"]
    assert "male, female, other" in refused(api, "sex", "M")


@pytest.mark.parametrize("id_type", ["passport", "drivers_license", "id_card", "INE"])
def test_the_types_of_documents_are_open(api: Api, id_type: str) -> None:
    """`id_type`: `passport`, `drivers_license`, `id_card`, "etc..."."""
    assert kept(api, id_type=id_type) == {"id_type": id_type}


def test_a_proof_of_liveness_may_be_a_video_or_an_image(api: Api) -> None:
    """`proof_of_liveness`: "video or image file"; all other files are images, or documents."""
    video = {"file": SimpleUploadedFile("me.mp4", uploads.mp4(), "video/mp4")}
    posted = api.client.post("/sep12/customer/files", video, headers=api.headers).json()
    assert posted["content_type"] == "video/mp4"
    assert provided(api, proof_of_liveness_file_id=posted["file_id"]).keys() == {
        "proof_of_liveness"
    }
    film = SimpleUploadedFile("me.mp4", uploads.mp4(), "video/mp4")
    assert "proof_of_income" in assert_error(api.form(proof_of_income=film), 400)


# -- Financial Account Fields -------------------------------------------------------------------
def test_accounts_of_organizations_have_the_same_fields_with_the_prefix(api: Api) -> None:
    """Financial Account Fields: "The `organization.` prefix should be used"; the two are two."""
    values = {"bank_name": "BBVA", "organization.bank_name": "Santander"}
    assert kept(api, **values) == values


@pytest.mark.parametrize("prefix", ["", "organization."])
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("clabe_number", "032180000118359719", "032180000118359710"),
        ("cbu_number", "2850590940090418135201", "2850590940090418135202"),  # a CBU
        ("cbu_number", "0000003100062244154712", "0000003100062244154713"),  # a CVU
        ("cbu_alias", "casa.pera.luna", "casa pera"),
        ("mobile_money_number", "+254712345678", "0712345678"),
    ],
)
def test_accounts_of_one_country_are_checked_as_it_writes_them(
    api: Api, prefix: str, name: str, right: str, wrong: str
) -> None:
    """Financial Account Fields: "Clave Bancaria Uniforme (CBU) or Clave Virtual Uniforme (CVU)",
    "Bank account number for Mexico", "in `E.164` format"."""
    assert kept(api, **{prefix + name: right}) == {prefix + name: right}
    refused(api, prefix + name, wrong)


def test_generic_fields_take_any_countrys_numbers(api: Api) -> None:
    """Financial Account Fields: "some of these fields are generic, such as `bank_number`"."""
    for number in ("012", "021000021", "HDFC0001234", "DEUTDEFF", "12-34-56"):
        assert kept(api, bank_number=number) == {"bank_number": number}


def test_the_deprecated_crypto_memo_is_still_taken(api: Api) -> None:
    """`crypto_memo`: "deprecated, use `external_transfer_memo` instead"."""
    values = {"crypto_memo": "7", "external_transfer_memo": "8"}
    assert kept(api, **values) == values


# -- Addresses ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_has_lines(api: Api, name: str) -> None:
    """Addresses: "encoded as a single multi-line string"; in each content type."""
    address = "Av. Juárez 1\nCentro\n06050 Ciudad de México"
    assert kept(api, **{name: address}) == {name: address}
    form = api.form(memo="7", memo_type="id", **{name: address})
    customer_id = uuid.UUID(form.json()["id"])
    assert reveal_fields([customer_id])[customer_id] == {name: address}


# -- Card fields --------------------------------------------------------------------------------
def test_a_card_is_given_by_a_token_or_by_its_details(
    api: Api, configure: Callable[..., None]
) -> None:
    """Card fields: "either `token`, or set of: `number`, `expiration_date`, `cvc` and
    `holder_name`". A type of customers asks for one or the other, in names that we keep."""
    details = {
        "card.number": "4242424242424242",
        "card.expiration_date": "29-11",
        "card.holder_name": "ANA PAZ",
    }
    token = {"card.token": "tok_1Mq5"}
    configure(customer_types={"details": {"required": [*details]}, "token": {"required": [*token]}})
    for type_, values in (("details", {**details, "card.cvc": "123"}), ("token", token)):
        api.register(memo=type_, type=type_, **values)
        assert api.status(memo=type_) == "ACCEPTED"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("card.expiration_date", "29-11", "11/29"),  # "in YY-MM format (e.g. `29-11`"
        ("card.country_code", "US", "USA"),  # "ISO 3166-1 alpha-2 code (e.g. US)"
        ("card.state_or_province", "US-CA", "California"),  # "ISO 3166-2 format"
    ],
)
def test_card_fields_have_encodings_of_their_own(
    api: Api, name: str, right: str, wrong: str
) -> None:
    """Card fields, which differ here from "Encodings"."""
    assert kept(api, **{name: right}) == {name: right}
    refused(api, name, wrong)


def test_the_code_of_a_card_is_taken_and_never_kept(api: Api) -> None:
    """`card.cvc`: PCI DSS 3.3.1 forbids to store it, encrypted or not."""
    values = {"card.number": "4242424242424242", "card.cvc": "123"}
    assert kept(api, **values) == {"card.number": "4242424242424242"}
    refused(api, "card.cvc", "12345")
