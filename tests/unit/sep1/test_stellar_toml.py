from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import toml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.keys import signing_keypair
from sep1.assets import received_assets
from sep1.stellar_toml import build_document, write_toml


@pytest.fixture(autouse=True)
def own_configuration(settings: Any) -> Iterator[None]:
    settings.ANCHOR = copy.deepcopy(settings.ANCHOR)
    received_assets.cache_clear()
    yield
    received_assets.cache_clear()


def published() -> dict[str, Any]:
    received_assets.cache_clear()
    return tomllib.loads(write_toml(build_document()))


def test_the_file_says_where_each_service_is_and_whose_keys_they_use(settings: Any) -> None:
    settings.BASE_URL = "https://anchor.example"
    document = published()
    assert {
        key: document[key] for key in document if key.isupper() and key.endswith(("R", "T"))
    } == {
        "WEB_AUTH_ENDPOINT": "https://anchor.example/auth",
        "KYC_SERVER": "https://anchor.example/sep12",
        "DIRECT_PAYMENT_SERVER": "https://anchor.example/sep31",
        "ANCHOR_QUOTE_SERVER": "https://anchor.example/sep38",
    }
    assert document["VERSION"] == "2.7.0"
    assert document["NETWORK_PASSPHRASE"] == settings.NETWORK_PASSPHRASE
    assert document["ACCOUNTS"] == [settings.DISTRIBUTION_ACCOUNT]
    assert document["SIGNING_KEY"] == signing_keypair().public_key
    assert settings.SIGNING_SECRET not in write_toml(build_document())


def test_every_asset_that_we_receive_is_a_currency_in_sep_1s_words(settings: Any) -> None:
    settings.ANCHOR["assets"][0] |= {"description": "A dollar.", "status": "live"}
    currencies = published()["CURRENCIES"]
    said = [(one["code"], one["issuer"]) for one in currencies]
    assert said == [(name.code, name.issuer) for name in received_assets()]
    currency = currencies[0]
    assert currency["desc"] == "A dollar."
    assert currency["status"] == "live"
    assert "description" not in currency
    assert "fee_fixed" not in currency


def test_the_organization_and_its_principals_are_published_as_configured(settings: Any) -> None:
    settings.ANCHOR["organization"] = {"ORG_NAME": "A"}
    settings.ANCHOR["principals"] = [
        {"name": "Jane", "email": "jane@anchor.example"},
        {"name": "J"},
    ]
    settings.ANCHOR["validators"] = [{"ALIAS": "one", "HOST": "core.anchor.example:11625"}]
    document = published()
    assert document["VALIDATORS"] == settings.ANCHOR["validators"]
    assert document["DOCUMENTATION"] == {"ORG_NAME": "A"}
    assert document["PRINCIPALS"] == settings.ANCHOR["principals"]


def test_other_accounts_and_services_of_ours_are_named_beside_landfalls_own(settings: Any) -> None:
    issuer = received_assets().popitem()[0].issuer
    settings.ANCHOR["general"] = {
        "ACCOUNTS": [issuer, settings.DISTRIBUTION_ACCOUNT],
        "HORIZON_URL": "https://horizon.anchor.example",
        "KYC_SERVER": "https://elsewhere.example",
    }
    document = published()
    assert document["ACCOUNTS"] == [settings.DISTRIBUTION_ACCOUNT, issuer]
    assert document["HORIZON_URL"] == "https://horizon.anchor.example"
    assert document["KYC_SERVER"] == f"{settings.BASE_URL}/sep12"


def test_every_reader_of_toml_reads_the_same(settings: Any) -> None:
    settings.ANCHOR["assets"][0] |= {"display_decimals": 2, "collateral_addresses": ["a", "b"]}
    received_assets.cache_clear()
    text = write_toml(build_document())
    assert tomllib.loads(text) == toml.loads(text) == build_document()


def test_what_is_not_configured_is_left_out(settings: Any) -> None:
    del settings.ANCHOR["organization"]
    settings.ANCHOR.pop("principals", None)
    assert {"DOCUMENTATION", "PRINCIPALS", "VALIDATORS"}.isdisjoint(published())


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_of_the_configuration_stays_valid_toml(settings: Any, text: str) -> None:
    settings.ANCHOR["organization"] = {"ORG_DESCRIPTION": text or "x"}
    assert published()["DOCUMENTATION"]["ORG_DESCRIPTION"] == (text or "x")
