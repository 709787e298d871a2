"""SEP-1 v2.7.0, clause by clause, for an anchor that receives: what it must, should and may say.

The clauses on what the served file holds are tried on the shipped configuration (anchor.toml).
Those on what must not be published are tried on the check that runs at every start, which then
refuses: a receiving anchor that is up never serves such a file.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import toml
from django.core.checks import run_checks
from django.test import Client
from stellar_sdk import Keypair, Network
from stellar_sdk.strkey import StrKey

from kernel.keys import signing_keypair
from sep1.assets import received_assets
from sep1.stellar_toml import published_file

PATH = "/.well-known/stellar.toml"
G = Keypair.random().public_key
Publish = Callable[..., dict[str, Any]]


@pytest.fixture
def response(client: Client) -> Any:
    return client.get(PATH)


@pytest.fixture
def document(response: Any) -> dict[str, Any]:
    return tomllib.loads(response.content.decode())


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    published_file.cache_clear()
    received_assets.cache_clear()


@pytest.fixture
def publish(client: Client, settings: Any) -> Publish:
    """`publish(organization={...}, asset={...}, ...)` starts with that configuration added: the
    file that is then served. Fails with the check's words if there is no start."""

    def publish(*, asset: dict[str, Any] | None = None, **tables: Any) -> dict[str, Any]:
        configuration = copy.deepcopy(settings.ANCHOR)
        configuration["assets"][0] |= asset or {}
        for name, table in tables.items():
            configuration[name] = (
                {**configuration.get(name, {}), **table} if isinstance(table, dict) else table
            )
        settings.ANCHOR = configuration
        published_file.cache_clear()
        received_assets.cache_clear()
        wrong = [message.msg for message in run_checks() if message.id == "landfall.E020"]
        if wrong:
            raise ValueError("; ".join(wrong))
        return tomllib.loads(client.get(PATH).content.decode())

    return publish


# -- Specification ---------------------------------------------------------------------------------
def test_specification_location(response: Any) -> None:
    """Specification: "searched for at https://DOMAIN/.well-known/stellar.toml"."""
    assert response.status_code == 200


def test_specification_cors(client: Client, response: Any) -> None:
    """Specification: "You must enable CORS"; "must be set": Access-Control-Allow-Origin: *."""
    assert response["Access-Control-Allow-Origin"] == "*"
    assert client.head(PATH)["Access-Control-Allow-Origin"] == "*"
    assert client.options(PATH)["Access-Control-Allow-Origin"] == "*"


def test_specification_content_type(response: Any) -> None:
    """Specification: "recommended to set a text/plain content type"."""
    assert response["Content-Type"].split(";")[0] == "text/plain"


def test_specification_size(response: Any, publish: Publish) -> None:
    """Specification: "a maximum file size of 100KB"."""
    assert len(response.content) <= 100_000
    with pytest.raises(ValueError, match="100KB"):
        publish(organization={"ORG_DESCRIPTION": "x" * 100_000})


def test_specification_format(response: Any) -> None:
    """Specification: "is in TOML file format"; two independent parsers agree."""
    text = response.content.decode("utf-8")
    assert tomllib.loads(text) == toml.loads(text)


def test_specification_completeness(settings: Any, publish: Publish) -> None:
    """Specification: "You should complete as much of this as you can"; the start says what most
    readers miss, once it is about real money."""
    settings.NETWORK_PASSPHRASE = Network.PUBLIC_NETWORK_PASSPHRASE
    messages = [message.msg for message in run_checks() if message.id == "landfall.W010"]
    assert any("ORG_PHYSICAL_ADDRESS" in message for message in messages)


# -- General Information ---------------------------------------------------------------------------
def test_general_version(document: dict[str, Any]) -> None:
    """General Information, VERSION: "The version of SEP-1 your stellar.toml adheres to"."""
    assert document["VERSION"] == "2.7.0"


def test_general_network_passphrase(document: dict[str, Any], settings: Any) -> None:
    """General Information, NETWORK_PASSPHRASE: of "the specific Stellar network"."""
    assert document["NETWORK_PASSPHRASE"] == settings.NETWORK_PASSPHRASE


def test_general_signing_key(document: dict[str, Any]) -> None:
    """General Information, SIGNING_KEY: a public key, "used for SEP-10"."""
    assert document["SIGNING_KEY"] == signing_keypair().public_key
    assert StrKey.is_valid_ed25519_public_key(document["SIGNING_KEY"])


def test_general_accounts(document: dict[str, Any], settings: Any, publish: Publish) -> None:
    """General Information, ACCOUNTS: a "list of G... strings", "controlled by this domain"."""
    assert document["ACCOUNTS"] == [settings.DISTRIBUTION_ACCOUNT]
    assert publish(general={"ACCOUNTS": [G]})["ACCOUNTS"] == [settings.DISTRIBUTION_ACCOUNT, G]
    with pytest.raises(ValueError, match="ACCOUNTS"):
        publish(general={"ACCOUNTS": ["MAB"]})


@pytest.mark.parametrize(
    "name", ["WEB_AUTH_ENDPOINT", "KYC_SERVER", "DIRECT_PAYMENT_SERVER", "ANCHOR_QUOTE_SERVER"]
)
def test_general_services(
    document: dict[str, Any], settings: Any, publish: Publish, client: Client, name: str
) -> None:
    """General Information: SEP-10, 12, 31 and 38 are served over https://; DIRECT_PAYMENT_SERVER
    "requires SEP-12 and hence a KYC_SERVER". Plain http is for this machine only."""
    assert document[name].startswith(settings.BASE_URL)
    assert not document[name].endswith("/")
    settings.BASE_URL = "https://localhost"
    assert publish()[name].startswith("https://")
    settings.BASE_URL = "http://anchor.example.com"
    with pytest.raises(ValueError, match=name):
        publish()


def test_general_other_services(document: dict[str, Any], publish: Publish) -> None:
    """General Information: what this domain offers besides may be named, and what it does not offer
    (SEP-2, 3, 6, 7, 24, 45) is not."""
    assert not {key for key in document if key.startswith(("TRANSFER", "FEDERATION", "AUTH_"))}
    others = {
        "HORIZON_URL": "https://horizon.example.com",
        "TRANSFER_SERVER_SEP0024": "https://example.com/sep24",
        "URI_REQUEST_SIGNING_KEY": G,
    }
    assert publish(general=others).items() >= others.items()


# -- Organization Documentation --------------------------------------------------------------------
def test_organization(document: dict[str, Any], publish: Publish) -> None:
    """Organization Documentation: every field may be published, as it is configured."""
    assert document["DOCUMENTATION"]["ORG_NAME"]
    said = {
        "ORG_NAME": "Example Payouts SA de CV",
        "ORG_DBA": "Example",
        "ORG_URL": "https://www.example.com",
        "ORG_LOGO": "https://www.example.com/logo.png",
        "ORG_DESCRIPTION": "Pays out.",
        "ORG_PHYSICAL_ADDRESS": "1 Calle Mayor, Ciudad de México",
        "ORG_PHYSICAL_ADDRESS_ATTESTATION": "https://www.example.com/address.pdf",
        "ORG_PHONE_NUMBER": "+525512345678",
        "ORG_PHONE_NUMBER_ATTESTATION": "https://www.example.com/phone.pdf",
        "ORG_KEYBASE": "example",
        "ORG_TWITTER": "example",
        "ORG_GITHUB": "example",
        "ORG_OFFICIAL_EMAIL": "partners@example.com",
        "ORG_SUPPORT_EMAIL": "help@example.com",
        "ORG_LICENSING_AUTHORITY": "CNBV",
        "ORG_LICENSE_TYPE": "Money transmitter",
        "ORG_LICENSE_NUMBER": "4711",
    }
    assert publish(organization=said)["DOCUMENTATION"] == said


@pytest.mark.parametrize(
    ("field", "refused"),
    [
        ("ORG_URL", "http://example.com"),
        ("ORG_LOGO", "https://example.com/logo.jpg"),
        ("ORG_PHONE_NUMBER", "0155 1234"),
        ("ORG_OFFICIAL_EMAIL", "partners"),
        ("ORG_KEYBASE", "https://keybase.io/example"),
        ("ORG_NAME", 4711),
    ],
)
def test_organization_requirements(publish: Publish, field: str, refused: Any) -> None:
    """Organization Documentation, column "Requirements": https:// URLs, a PNG, E.164, strings."""
    with pytest.raises(ValueError, match=field):
        publish(organization={field: refused})


@pytest.mark.parametrize(
    ("field", "elsewhere"),
    [
        ("ORG_URL", "https://example.org"),  # "Your stellar.toml must be hosted on the same domain"
        ("ORG_PHYSICAL_ADDRESS_ATTESTATION", "https://example.org/a.pdf"),  # "on the same domain"
        ("ORG_PHONE_NUMBER_ATTESTATION", "https://example.org/a.pdf"),
        ("ORG_OFFICIAL_EMAIL", "partners@example.org"),  # "Must be hosted at your ORG_URL domain"
    ],
)
def test_organization_own_domain(
    publish: Publish, settings: Any, field: str, elsewhere: str
) -> None:
    """Organization Documentation: what must be on the organization's own domain is."""
    settings.NETWORK_PASSPHRASE = Network.PUBLIC_NETWORK_PASSPHRASE
    settings.BASE_URL, settings.HOME_DOMAINS = "https://anchor.example.com", ["anchor.example.com"]
    publish()
    with pytest.raises(ValueError, match=field):
        publish(organization={field: elsewhere})


# -- Point of Contact Documentation ----------------------------------------------------------------
def test_principals(publish: Publish) -> None:
    """Point of Contact Documentation: every field of every principal; hashes are SHA-256."""
    jane = {
        "name": "Jane Jedidiah Johnson",
        "email": "jane@example.com",
        "keybase": "jane",
        "telegram": "jane_j",
        "twitter": "jane_j",
        "github": "jane-j",
        "id_photo_hash": "0a" * 32,
        "verification_photo_hash": "0b" * 32,
    }
    both = [jane, {"name": "John Johnson"}]
    assert publish(principals=both)["PRINCIPALS"] == both
    with pytest.raises(ValueError, match="id_photo_hash"):
        publish(principals=[{**jane, "id_photo_hash": "0a" * 20}])


# -- Currency Documentation ------------------------------------------------------------------------
def test_currency_one_set_for_each(document: dict[str, Any]) -> None:
    """Currency Documentation: "one set of fields for each currency supported"; code is required,
    issuer is "required for tokens that are Stellar Assets", which all that we receive are."""
    published = {(currency["code"], currency["issuer"]) for currency in document["CURRENCIES"]}
    assert published == {(name.code, name.issuer) for name in received_assets()}
    for currency in document["CURRENCIES"]:
        assert 1 <= len(currency["code"]) <= 12
        assert StrKey.is_valid_ed25519_public_key(currency["issuer"])
        assert not {"contract", "code_template", "toml"} & set(currency)


def test_currency_fields(publish: Publish, settings: Any) -> None:
    """Currency Documentation: "Complete all applicable fields"; every one may be published."""
    issuer = settings.ANCHOR["assets"][0]["issuer"]
    said = {
        "status": "live",
        "display_decimals": 2,
        "name": "x" * 20,
        "conditions": "None.",
        "image": "https://example.com/usdc.png",
        "is_unlimited": True,
        "is_asset_anchored": True,
        "anchor_asset_type": "crypto",
        "anchor_asset": "BTC",
        "attestation_of_reserve": "https://example.com/audit.pdf",
        "redemption_instructions": "Write to us.",
        "collateral_addresses": ["2C1mCx3ukix1KfegAY5zgQJV7sanAciZpv"],
        "collateral_address_messages": [
            "The assets in the account 2C1mCx3ukix1KfegAY5zgQJV7sanAciZpv are reserved to back "
            f"USDC issued by {issuer} on Stellar. Valid from 2026-01-01 to 2026-06-30."
        ],
        "collateral_address_signatures": ["MEUCIQ=="],
        "regulated": True,
        "approval_server": "https://example.com/approve",
        "approval_criteria": "Customers only.",
    }
    currency, *_ = publish(asset={**said, "description": "A dollar."})["CURRENCIES"]
    assert currency == {"code": "USDC", "issuer": issuer, "desc": "A dollar.", **said}


@pytest.mark.parametrize(
    "refused",
    [
        {"status": "listed"},  # "One of live, dead, test, or private"
        {"display_decimals": 8},  # "int (0 to 7)"
        {"name": "x" * 21},  # "string (<= 20 char)"
        {"image": "https://example.com/usdc.svg"},  # "URL to a PNG image"
        {"is_asset_anchored": "true"},  # "boolean"
        {"anchor_asset_type": "money"},
        {"fixed_number": "many"},  # "int"
        {"collateral_addresses": "2C1m"},  # a list
        {"collateral_addresses": ["2C1m"]},  # "for each address ... sign"
        {"regulated": True},  # without a server that could approve
    ],
)
def test_currency_requirements(publish: Publish, refused: dict[str, Any]) -> None:
    """Currency Documentation, column "Requirements"."""
    with pytest.raises(ValueError, match=next(iter(refused))[:18]):
        publish(asset=refused)


@pytest.mark.parametrize(
    "both", [{"fixed_number": 5, "max_number": 5}, {"max_number": 5, "is_unlimited": True}]
)
def test_currency_issuance_policies(publish: Publish, both: dict[str, Any]) -> None:
    """Currency Documentation, note: the three "are mutually exclusive issuance policies"."""
    with pytest.raises(ValueError, match="exclude one another"):
        publish(asset=both)


# -- Validator Information -------------------------------------------------------------------------
def test_validators(publish: Publish) -> None:
    """Validator Information: "one set of fields for each node"; ALIAS matches ^[a-z0-9-]{2,16}$."""
    node = {
        "ALIAS": "example-mx",
        "DISPLAY_NAME": "Example México",
        "PUBLIC_KEY": G,
        "HOST": "core.example.com:11625",
        "HISTORY": "http://history.example.com/core_live_001/",
    }
    assert publish(validators=[node])["VALIDATORS"] == [node]
    for field, refused in {"ALIAS": "Example", "PUBLIC_KEY": "G", "HOST": "core"}.items():
        with pytest.raises(ValueError, match=field):
            publish(validators=[{**node, field: refused}])


# -- Testing, Manual -------------------------------------------------------------------------------
@pytest.mark.django_db
def test_manual_cors_is_not_everywhere(client: Client) -> None:
    """Testing, Manual 3: "a page that should not have it", here the operators' admin."""
    assert "Access-Control-Allow-Origin" not in client.get("/admin/login/").headers
