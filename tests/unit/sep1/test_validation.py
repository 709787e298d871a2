from __future__ import annotations

import copy
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Keypair, Network
from stellar_sdk.strkey import StrKey

from sep1.assets import CURRENCY_FIELDS
from sep1.validation import (
    CURRENCY,
    GENERAL,
    MAX_BYTES,
    ORGANIZATION,
    PRINCIPAL,
    VALIDATOR,
    Problem,
    Surroundings,
    find_configuration_problems,
    find_problems,
    find_size_problems,
)

ACCOUNT, ISSUER = Keypair.random().public_key, Keypair.random().public_key
RESERVED = (
    f"The assets in the account 2C1m are reserved to back BTC issued by {ISSUER} on Stellar. "
    "Valid from 2026-01-01 to 2026-12-31."
)
COMPLETE: dict[str, Any] = {
    "VERSION": "2.7.0",
    "NETWORK_PASSPHRASE": Network.PUBLIC_NETWORK_PASSPHRASE,
    "ACCOUNTS": [ACCOUNT],
    "SIGNING_KEY": Keypair.random().public_key,
    "WEB_AUTH_ENDPOINT": "https://anchor.example.com/auth",
    "KYC_SERVER": "https://anchor.example.com/sep12",
    "DIRECT_PAYMENT_SERVER": "https://anchor.example.com/sep31",
    "ANCHOR_QUOTE_SERVER": "https://anchor.example.com/sep38",
    "FEDERATION_SERVER": "https://anchor.example.com/federation",
    "TRANSFER_SERVER": "https://anchor.example.com/sep6",
    "TRANSFER_SERVER_SEP0024": "https://anchor.example.com/sep24",
    "WEB_AUTH_FOR_CONTRACTS_ENDPOINT": "https://anchor.example.com/auth/contracts",
    "WEB_AUTH_CONTRACT_ID": StrKey.encode_contract(bytes(32)),
    "HORIZON_URL": "https://horizon.example.com/",
    "URI_REQUEST_SIGNING_KEY": ACCOUNT,
    "DOCUMENTATION": {
        "ORG_NAME": "Example Payouts",
        "ORG_DBA": "Example",
        "ORG_URL": "https://www.example.com",
        "ORG_LOGO": "https://cdn.example.net/logo.png",
        "ORG_DESCRIPTION": "Pays out.",
        "ORG_PHYSICAL_ADDRESS": "1 Calle Mayor, Ciudad de México",
        "ORG_PHYSICAL_ADDRESS_ATTESTATION": "https://example.com/address.pdf",
        "ORG_PHONE_NUMBER": "+525512345678",
        "ORG_PHONE_NUMBER_ATTESTATION": "https://www.example.com/phone.pdf",
        "ORG_KEYBASE": "example",
        "ORG_TWITTER": "example",
        "ORG_GITHUB": "example-payouts",
        "ORG_OFFICIAL_EMAIL": "partners@example.com",
        "ORG_SUPPORT_EMAIL": "help@example.org",
        "ORG_LICENSING_AUTHORITY": "CNBV",
        "ORG_LICENSE_TYPE": "Money transmitter",
        "ORG_LICENSE_NUMBER": "4711",
    },
    "PRINCIPALS": [
        {
            "name": "Jane Johnson",
            "email": "jane@example.com",
            "keybase": "jane",
            "telegram": "jane_j",
            "twitter": "jane_j",
            "github": "jane-j",
            "id_photo_hash": "0a" * 32,
            "verification_photo_hash": "0B" * 32,
        }
    ],
    "CURRENCIES": [
        {
            "code": "BTC",
            "issuer": ISSUER,
            "status": "live",
            "display_decimals": 7,
            "name": "Bitcoin",
            "desc": "Bitcoin on Stellar.",
            "conditions": "None.",
            "image": "https://cdn.example.net/btc",
            "fixed_number": 21_000_000,
            "is_asset_anchored": True,
            "anchor_asset_type": "crypto",
            "anchor_asset": "BTC",
            "attestation_of_reserve": "https://example.com/audit.pdf",
            "redemption_instructions": "Write to us.",
            "collateral_addresses": ["2C1m"],
            "collateral_address_messages": [RESERVED],
            "collateral_address_signatures": ["c2lnbmVk"],
        },
        {
            "code": "REG",
            "issuer": ISSUER,
            "max_number": 5,
            "regulated": True,
            "approval_server": "https://example.com/approve",
            "approval_criteria": "Customers only.",
        },
        {"code": "FREE", "issuer": ISSUER, "is_unlimited": True},
    ],
    "VALIDATORS": [
        {
            "ALIAS": "example-mx",
            "DISPLAY_NAME": "Example México",
            "PUBLIC_KEY": ACCOUNT,
            "HOST": "core.example.com:11625",
            "HISTORY": "http://history.example.com/core_live_001/",
        }
    ],
}
TODAY = date(2026, 6, 1)
ON_PUBLIC = Surroundings(home_domains=["anchor.example.com"], is_public=True, today=TODAY)
ON_TESTNET = Surroundings(home_domains=["anchor.example.com"], is_public=False, today=TODAY)
AT_HOME = Surroundings(home_domains=["localhost:8000"], is_public=False, today=TODAY)


def changed(*path: Any, to: Any) -> dict[str, Any]:
    document: Any = copy.deepcopy(COMPLETE)
    table = document
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = to
    return dict(document)


def fatal(document: dict[str, Any], around: Surroundings = ON_PUBLIC) -> list[Problem]:
    return [problem for problem in find_problems(document, around) if problem.is_fatal]


def warned(document: dict[str, Any], around: Surroundings = ON_PUBLIC) -> list[Problem]:
    return [problem for problem in find_problems(document, around) if not problem.is_fatal]


def test_a_file_with_every_field_of_sep_1_that_applies_is_fine() -> None:
    assert fatal(COMPLETE) == []
    used = {key for currency in COMPLETE["CURRENCIES"] for key in currency}
    assert set(CURRENCY) == set(CURRENCY_FIELDS.values()) | {"code", "issuer"} == used
    assert set(GENERAL) <= set(COMPLETE)
    assert set(ORGANIZATION) == set(COMPLETE["DOCUMENTATION"])
    assert set(PRINCIPAL) == set(COMPLETE["PRINCIPALS"][0])
    assert set(VALIDATOR) == set(COMPLETE["VALIDATORS"][0])


CURRENCY_0 = ("CURRENCIES", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("KYC_SERVER",), "http://anchor.example.com/sep12"),
        (("KYC_SERVER",), "https://anchor.example.com/sep12/"),
        (("KYC_SERVER",), "https://anchor.example.com/sep12?x=1"),
        (("KYC_SERVER",), "https://me:secret@anchor.example.com"),
        (("KYC_SERVER",), "https://anchor.example.com:99999"),
        (("KYC_SERVER",), "https:///sep12"),
        (("KYC_SERVER",), "https://anchor.example.com/sep 12"),
        (("KYC_SERVER",), "anchor.example.com/sep12"),
        (("KYC_SERVER",), ["https://anchor.example.com"]),
        (("DIRECT_PAYMENT_SERVER",), "http://localhost:8000"),
        (("TRANSFER_SERVER",), "https://anchor.example.com/"),
        (("FEDERATION_SERVER",), "http://anchor.example.com"),
        (("WEB_AUTH_CONTRACT_ID",), ACCOUNT),
        (("SIGNING_KEY",), Keypair.random().secret),
        (("SIGNING_KEY",), ACCOUNT[:-1] + ("A" if ACCOUNT[-1] != "A" else "B")),
        (("ACCOUNTS",), ACCOUNT),
        (("ACCOUNTS",), [ACCOUNT, "GABC"]),
        (("NETWORK_PASSPHRASE",), ""),
        (("NETWORK_PASSPHRASE",), "Public Global Stellar Network; September 2015"),
        (("NETWORK_PASSPHRASE",), "Test SDF Network ; September 2015 "),
        (("DOCUMENTATION",), "us"),
        (("DOCUMENTATION", "ORG_NAME"), "  "),
        (("DOCUMENTATION", "ORG_NAME"), 5),
        (("DOCUMENTATION", "ORG_URL"), "http://example.com"),
        (("DOCUMENTATION", "ORG_URL"), "https://example.org"),
        (("DOCUMENTATION", "ORG_LOGO"), "https://example.com/logo.SVG"),
        (("DOCUMENTATION", "ORG_PHYSICAL_ADDRESS_ATTESTATION"), "https://elsewhere.com/a.pdf"),
        (("DOCUMENTATION", "ORG_PHONE_NUMBER"), "55 1234 5678"),
        (("DOCUMENTATION", "ORG_PHONE_NUMBER"), "+0123456789"),
        (("DOCUMENTATION", "ORG_TWITTER"), "@example"),
        (("DOCUMENTATION", "ORG_GITHUB"), "https://github.com/example"),
        (("DOCUMENTATION", "ORG_OFFICIAL_EMAIL"), "partners"),
        (("DOCUMENTATION", "ORG_OFFICIAL_EMAIL"), "partners@notexample.com"),
        (("PRINCIPALS",), {"name": "Jane"}),
        (("PRINCIPALS", 0), "Jane"),
        (("PRINCIPALS", 0, "email"), "jane"),
        (("PRINCIPALS", 0, "id_photo_hash"), "0a" * 31),
        ((*CURRENCY_0, "code"), "MUCHTOOLONGCODE"),
        ((*CURRENCY_0, "code"), "B-TC"),
        ((*CURRENCY_0, "code"), ""),
        ((*CURRENCY_0, "issuer"), StrKey.encode_contract(bytes(32))),
        ((*CURRENCY_0, "status"), "alive"),
        ((*CURRENCY_0, "status"), ["live"]),
        ((*CURRENCY_0, "display_decimals"), 8),
        ((*CURRENCY_0, "display_decimals"), -1),
        ((*CURRENCY_0, "display_decimals"), "2"),
        ((*CURRENCY_0, "display_decimals"), True),
        ((*CURRENCY_0, "name"), "x" * 21),
        ((*CURRENCY_0, "image"), "https://example.com/btc.jpg"),
        ((*CURRENCY_0, "fixed_number"), 0),
        ((*CURRENCY_0, "fixed_number"), 1.5),
        ((*CURRENCY_0, "max_number"), 21_000_000),
        ((*CURRENCY_0, "is_unlimited"), False),
        ((*CURRENCY_0, "is_asset_anchored"), "yes"),
        ((*CURRENCY_0, "is_asset_anchored"), False),
        ((*CURRENCY_0, "anchor_asset_type"), "money"),
        ((*CURRENCY_0, "attestation_of_reserve"), "ask us"),
        ((*CURRENCY_0, "collateral_addresses"), ["2C1m", "other"]),
        ((*CURRENCY_0, "collateral_addresses"), ["other"]),
        ((*CURRENCY_0, "collateral_addresses"), "2C1m"),
        ((*CURRENCY_0, "collateral_address_messages"), []),
        ((*CURRENCY_0, "collateral_address_messages"), ["It is there."]),
        ((*CURRENCY_0, "collateral_address_messages"), [RESERVED.replace("to 2026", "to 2028")]),
        ((*CURRENCY_0, "collateral_address_messages"), [RESERVED.replace("12-31", "12-32")]),
        ((*CURRENCY_0, "collateral_address_signatures"), ["not base64!"]),
        ((*CURRENCY_0, "approval_server"), "https://example.com/approve"),
        (("CURRENCIES", 1, "approval_server"), "approve"),
        (("CURRENCIES", 1, "regulated"), False),
        (("VALIDATORS", 0, "ALIAS"), "Example MX"),
        (("VALIDATORS", 0, "PUBLIC_KEY"), "GABC"),
        (("VALIDATORS", 0, "HOST"), "core.example.com"),
        (("VALIDATORS", 0, "HOST"), "https://core.example.com:11625"),
        (("VALIDATORS", 0, "HISTORY"), "core_live_001"),
    ],
)
def test_what_readers_would_refuse_is_named_with_a_way_to_mend_it(
    path: tuple[Any, ...], value: Any
) -> None:
    found = fatal(changed(*path, to=value))
    assert found
    for problem in found:
        assert problem.says.endswith(".")
        assert problem.mend.endswith((".", "?", '."'))
    named = " ".join(f"{problem.where} {problem.says}" for problem in found)
    assert next(step for step in reversed(path) if isinstance(step, str)) in named


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (("KYC_SERVR",), "KYC_SERVER"),
        (("DOCUMENTATION", "ORG_ULR"), "ORG_URL"),
        (("PRINCIPALS", 0, "mail"), "email"),
        ((*CURRENCY_0, "display_decimal"), "display_decimals"),
        (("VALIDATORS", 0, "DISPLAYNAME"), "DISPLAY_NAME"),
    ],
)
def test_a_misspelt_field_is_found_and_the_right_one_suggested(
    path: tuple[Any, ...], meant: str
) -> None:
    [problem] = fatal(changed(*path, to="x"))
    assert path[-1] in problem.where
    assert problem.mend == f"Did you mean {meant}?"


def test_a_currency_without_code_or_issuer_is_none() -> None:
    wheres = [problem.where for problem in fatal(changed("CURRENCIES", to=[{"name": "Bitcoin"}]))]
    assert wheres == ["CURRENCIES 1 code", "CURRENCIES 1 issuer"]


def test_a_currency_of_several_wrong_fields_is_told_all_at_once() -> None:
    currency = {"code": "X", "issuer": ISSUER, "status": "x", "name": "x" * 30}
    assert len(fatal(changed("CURRENCIES", to=[currency]))) == 2


def test_plain_http_is_for_this_machine_or_where_insecure_urls_are_allowed() -> None:
    local = changed("KYC_SERVER", to="http://localhost:8000/sep12")
    remote = changed("KYC_SERVER", to="http://anchor.example.com/sep12")
    loopback = changed("KYC_SERVER", to="http://127.0.0.1:8000/sep12")
    assert not fatal(local, ON_TESTNET)
    assert not fatal(loopback, ON_TESTNET)
    assert fatal(remote, ON_TESTNET)
    insecure = Surroundings(["anchor.example.com"], is_public=False, today=TODAY, allows_http=True)
    assert not fatal(remote, insecure)
    insecure_on_public = Surroundings(["example.com"], True, TODAY, allows_http=True)
    assert fatal(remote, insecure_on_public)
    assert fatal(local, insecure_on_public)


@pytest.mark.parametrize("home", ["example.com", "www.example.com", "pay.example.com:8443"])
def test_the_organization_is_at_home_where_the_file_is_or_above_or_below_it(home: str) -> None:
    assert not fatal(COMPLETE, Surroundings([home], is_public=True, today=TODAY))


@pytest.mark.parametrize("home", ["example.org", "notexample.com", "com.evil"])
def test_the_file_of_another_organizations_domain_stops_us_on_the_public_network(home: str) -> None:
    around = Surroundings([home], is_public=True, today=TODAY)
    assert [problem.where for problem in fatal(COMPLETE, around)] == ["DOCUMENTATION ORG_URL"]
    on_testnet = Surroundings([home], is_public=False, today=TODAY)
    assert not fatal(COMPLETE, on_testnet)
    assert "DOCUMENTATION ORG_URL" in [problem.where for problem in warned(COMPLETE, on_testnet)]
    assert "DOCUMENTATION ORG_URL" not in [problem.where for problem in warned(COMPLETE, AT_HOME)]


@pytest.mark.parametrize("home", ["https://example.com", "example.com/anchor", "", "a b.com"])
def test_a_home_domain_is_a_bare_host(home: str) -> None:
    around = Surroundings([home], is_public=False, today=TODAY)
    assert "HOME_DOMAINS" in [problem.where for problem in fatal(COMPLETE, around)]


def test_what_is_merely_doubtful_is_a_warning() -> None:
    assert [problem.where for problem in warned(COMPLETE)] == ["CURRENCIES 2 regulated"]
    doubtful = copy.deepcopy(COMPLETE)
    del doubtful["DOCUMENTATION"]["ORG_PHYSICAL_ADDRESS"]
    del doubtful["CURRENCIES"][1]["regulated"]
    doubtful["CURRENCIES"] = [
        {"code": "A", "issuer": ACCOUNT, "status": "test", "is_asset_anchored": True}
    ]
    assert not fatal(doubtful)
    assert [problem.where for problem in warned(doubtful)] == [
        "DOCUMENTATION",
        "CURRENCIES 1",
        "CURRENCIES 1 status",
        "CURRENCIES 1 anchor_asset_type",
        "CURRENCIES 1 anchor_asset",
    ]


def test_a_file_of_more_than_100_kb_is_refused() -> None:
    assert not list(find_size_problems("é" * (MAX_BYTES // 2)))
    assert list(find_size_problems("é" * (MAX_BYTES // 2) + "x"))


def test_what_the_configuration_can_not_say_is_found_before_it_gets_lost() -> None:
    entry = {"code": "USDC", "issuer": ISSUER, "counterpart": "iso4217:USD"}
    assert not list(find_configuration_problems({"assets": [entry], "general": {"ACCOUNTS": []}}))
    wheres = [
        (problem.where, problem.mend)
        for problem in find_configuration_problems(
            {
                "general": {"KYC_SERVER": "https://example.com", "ACCOUNTS": 5},
                "assets": [entry, {**entry, "fee_percnt": "1"}],
            }
        )
    ]
    assert wheres == [
        ("KYC_SERVER", "Remove it there: it follows the settings."),
        ("ACCOUNTS", "Write it in brackets."),
        ("[[assets]] 2 fee_percnt", "Did you mean fee_percent?"),
        ("[[assets]] USDC", "Keep one of the entries."),
    ]
    assert list(find_configuration_problems({"general": ["x"]}))


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_no_value_of_any_kind_breaks_the_checks(data: st.DataObject) -> None:
    document = copy.deepcopy(COMPLETE)
    for table in (document, document["DOCUMENTATION"], *document["CURRENCIES"]):
        name = data.draw(st.sampled_from(sorted(table)))
        table[name] = data.draw(ANY_VALUE)
    list(find_problems(document, ON_PUBLIC))
