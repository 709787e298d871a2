"""What a stellar.toml must be for its readers to take it (SEP-1). Pure: a document in, problems
out; nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from stellar_sdk import Network
from stellar_sdk.strkey import StrKey

from sep1.assets import ASSET_KEYS, CURRENCY_FIELDS

MAX_BYTES = 100_000  # "Specification": 100KB

KNOWN_PASSPHRASES = (
    Network.PUBLIC_NETWORK_PASSPHRASE,
    Network.TESTNET_NETWORK_PASSPHRASE,
    Network.FUTURENET_NETWORK_PASSPHRASE,
)
# What an organization that deals with real money should say of itself.
EXPECTED_OF_ORGANIZATIONS = (
    *("ORG_NAME", "ORG_URL", "ORG_DESCRIPTION", "ORG_PHYSICAL_ADDRESS", "ORG_OFFICIAL_EMAIL"),
)
ISSUANCE_POLICIES = ("fixed_number", "max_number", "is_unlimited")


@dataclass(frozen=True)
class Problem:
    """`where` is SEP-1's name of the place, `says` and `mend` are sentences. Readers refuse the
    file (or may) if `is_fatal`; else it is only worth a second look."""

    where: str
    says: str
    mend: str
    is_fatal: bool = True


@dataclass(frozen=True)
class Surroundings:
    """Where the file is published."""

    home_domains: Sequence[str]  # each a host, or host:port
    is_public: bool  # the public network
    today: date
    allows_http: bool = False  # for every host; this machine's own may, off the public network


@dataclass(frozen=True)
class Rule:
    """How a field's value is written: `fits` decides, "must be `words`" says so."""

    words: str
    fits: Callable[[Any, Surroundings], bool]


# -- Values ---------------------------------------------------------------------------------------
def _split_url(value: object) -> SplitResult | None:
    """A URL with a host and nothing odd, else None."""
    if not isinstance(value, str) or not value.isascii() or not re.fullmatch(r"[!-~]+", value):
        return None
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        return None
    has_credentials = url.username is not None or url.password is not None
    return url if url.hostname and not has_credentials and "\\" not in value else None


def is_local(host: str) -> bool:
    """Whether `host` is this machine whoever looks."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_secure_url(value: Any, around: Surroundings) -> bool:
    url = _split_url(value)
    if url is None or url.hostname is None:
        return False
    may_be_http = not around.is_public and (around.allows_http or is_local(url.hostname))
    return url.scheme == "https" or (url.scheme == "http" and may_be_http)


def _is_service_url(value: Any, around: Surroundings) -> bool:
    # Clients put "/info" and the like behind it.
    return _is_secure_url(value, around) and not re.search(r"[?#]|/$", value)


def _is_png_url(value: Any, around: Surroundings) -> bool:
    if not _is_secure_url(value, around):
        return False
    # A URL needs no suffix at all; one that names another kind of image is a mistake.
    suffix = PurePosixPath(urlsplit(value).path).suffix.lower()
    return suffix not in {".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".bmp", ".pdf"}


def _is_text(value: Any, around: Surroundings) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_email(value: Any, around: Surroundings) -> bool:
    try:
        validate_email(value)
    except (ValidationError, TypeError):
        return False
    return isinstance(value, str)


def _is_account(value: Any, around: Surroundings) -> bool:
    return isinstance(value, str) and StrKey.is_valid_ed25519_public_key(value)


def _is_contract(value: Any, around: Surroundings) -> bool:
    return isinstance(value, str) and StrKey.is_valid_contract(value)


def _is_host_and_port(value: Any, around: Surroundings) -> bool:
    url = _split_url(f"tcp://{value}") if isinstance(value, str) else None
    return url is not None and url.port is not None and url.netloc == value


def _is_uri(value: Any, around: Surroundings) -> bool:
    url = _split_url(value)
    return url is not None and url.scheme != ""


def _is_whole(value: Any, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest  # True is an int to isinstance


def _is_list_of(fits: Callable[[Any, Surroundings], bool]) -> Callable[[Any, Surroundings], bool]:
    def fits_all(value: Any, around: Surroundings) -> bool:
        return isinstance(value, list) and all(fits(item, around) for item in value)

    return fits_all


def _matches(pattern: str) -> Callable[[Any, Surroundings], bool]:
    compiled = re.compile(pattern, re.ASCII)

    def fits(value: Any, around: Surroundings) -> bool:
        return isinstance(value, str) and compiled.fullmatch(value) is not None

    return fits


def _one_of(*values: str) -> Rule:
    named = ", ".join(f'"{value}"' for value in values)
    return Rule(f"one of {named}", lambda value, around: value in values)


def _text_up_to(length: int) -> Rule:
    return Rule(
        f"text of at most {length} characters",
        lambda value, around: _is_text(value, around) and len(value) <= length,
    )


TEXT = Rule("text that is not blank", _is_text)
FLAG = Rule("true or false", lambda value, around: isinstance(value, bool))
COUNT = Rule("a whole number greater than 0", lambda value, around: _is_whole(value, 1, 2**63 - 1))
SECURE_URL = Rule("a URL that starts with https://", _is_secure_url)
SERVICE_URL = Rule(
    "a URL that starts with https:// and has no slash at its end, no ? and no #", _is_service_url
)
PNG_URL = Rule("a URL of a PNG image that starts with https://", _is_png_url)
EMAIL = Rule("an email address", _is_email)
ACCOUNT = Rule("a Stellar account (G...)", _is_account)
ACCOUNTS = Rule("a list of Stellar accounts (G...)", _is_list_of(_is_account))
TEXTS = Rule("a list of texts", _is_list_of(_is_text))
HANDLE = Rule(
    "an account's bare name, without @ and not a URL", _matches(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
)
PHOTO_HASH = Rule("a SHA-256 hash in 64 hexadecimal digits", _matches(r"[0-9a-fA-F]{64}"))

# -- Fields ---------------------------------------------------------------------------------------
# What an anchor may add in [general] to what Landfall says itself.
GENERAL = {
    "ACCOUNTS": ACCOUNTS,
    "FEDERATION_SERVER": SECURE_URL,
    "TRANSFER_SERVER": SERVICE_URL,
    "TRANSFER_SERVER_SEP0024": SERVICE_URL,
    "WEB_AUTH_FOR_CONTRACTS_ENDPOINT": SERVICE_URL,
    "WEB_AUTH_CONTRACT_ID": Rule("a contract (C...)", _is_contract),
    "HORIZON_URL": SECURE_URL,
    "URI_REQUEST_SIGNING_KEY": ACCOUNT,
}
OWN = {
    "VERSION": TEXT,
    "NETWORK_PASSPHRASE": TEXT,
    "SIGNING_KEY": ACCOUNT,
    "WEB_AUTH_ENDPOINT": SERVICE_URL,
    "KYC_SERVER": SERVICE_URL,
    "DIRECT_PAYMENT_SERVER": SERVICE_URL,
    "ANCHOR_QUOTE_SERVER": SERVICE_URL,
}
ORGANIZATION = {
    "ORG_NAME": TEXT,
    "ORG_DBA": TEXT,
    "ORG_URL": SECURE_URL,
    "ORG_LOGO": PNG_URL,
    "ORG_DESCRIPTION": TEXT,
    "ORG_PHYSICAL_ADDRESS": TEXT,
    "ORG_PHYSICAL_ADDRESS_ATTESTATION": SECURE_URL,
    "ORG_PHONE_NUMBER": Rule(
        "a phone number in E.164 form, for example +14155552671", _matches(r"\+[1-9][0-9]{6,14}")
    ),
    "ORG_PHONE_NUMBER_ATTESTATION": SECURE_URL,
    "ORG_KEYBASE": HANDLE,
    "ORG_TWITTER": HANDLE,
    "ORG_GITHUB": HANDLE,
    "ORG_OFFICIAL_EMAIL": EMAIL,
    "ORG_SUPPORT_EMAIL": EMAIL,
    "ORG_LICENSING_AUTHORITY": TEXT,
    "ORG_LICENSE_TYPE": TEXT,
    "ORG_LICENSE_NUMBER": TEXT,
}
PRINCIPAL = {
    "name": TEXT,
    "email": EMAIL,
    "keybase": HANDLE,
    "telegram": HANDLE,
    "twitter": HANDLE,
    "github": HANDLE,
    "id_photo_hash": PHOTO_HASH,
    "verification_photo_hash": PHOTO_HASH,
}
CURRENCY = {
    "code": Rule("1 to 12 letters and digits", _matches(r"[A-Za-z0-9]{1,12}")),
    "issuer": ACCOUNT,
    "status": _one_of("live", "dead", "test", "private"),
    "display_decimals": Rule(
        "a whole number from 0 to 7", lambda value, around: _is_whole(value, 0, 7)
    ),
    "name": _text_up_to(20),
    "desc": TEXT,
    "conditions": TEXT,
    "image": PNG_URL,
    "fixed_number": COUNT,
    "max_number": COUNT,
    "is_unlimited": FLAG,
    "is_asset_anchored": FLAG,
    "anchor_asset_type": _one_of(
        *("fiat", "crypto", "nft", "stock", "bond", "commodity", "realestate", "other")
    ),
    "anchor_asset": TEXT,
    "attestation_of_reserve": SECURE_URL,
    "redemption_instructions": TEXT,
    "collateral_addresses": TEXTS,
    "collateral_address_messages": TEXTS,
    "collateral_address_signatures": TEXTS,
    "regulated": FLAG,
    "approval_server": SECURE_URL,
    "approval_criteria": TEXT,
}
VALIDATOR = {
    "ALIAS": Rule(
        "2 to 16 lower-case letters, digits and hyphens (^[a-z0-9-]{2,16}$)",
        _matches(r"[a-z0-9-]{2,16}"),
    ),
    "DISPLAY_NAME": TEXT,
    "PUBLIC_KEY": ACCOUNT,
    "HOST": Rule("host:port, for example core.example.com:11625", _is_host_and_port),
    "HISTORY": Rule("a URL", _is_uri),
}


# -- The document ---------------------------------------------------------------------------------
def find_problems(document: Mapping[str, Any], around: Surroundings) -> Iterator[Problem]:
    """All that is wrong with a document's fields, each on its own and together."""
    tables = {"DOCUMENTATION": ORGANIZATION}
    lists = {"PRINCIPALS": PRINCIPAL, "CURRENCIES": CURRENCY, "VALIDATORS": VALIDATOR}
    general = {key: value for key, value in document.items() if key not in {*tables, *lists}}
    yield from _find_wrong_fields("", general, {**GENERAL, **OWN}, around)
    yield from _check_passphrase(document.get("NETWORK_PASSPHRASE"))
    yield from _check_home_domains(around)
    for name, rules in tables.items():
        yield from _find_wrong_fields(name, document.get(name, {}), rules, around)
    for name, rules in lists.items():
        entries = document.get(name, [])
        if not isinstance(entries, list):
            yield Problem(name, "It is not a list of tables.", "Write it in double brackets.")
            continue
        for number, entry in enumerate(entries, start=1):
            yield from _find_wrong_fields(f"{name} {number}", entry, rules, around)
    if isinstance(organization := document.get("DOCUMENTATION", {}), dict):
        yield from _check_organization(organization, around)
    for number, currency in enumerate(_tables(document, "CURRENCIES"), start=1):
        yield from _check_currency(f"CURRENCIES {number}", currency, document, around)


def find_size_problems(text: str) -> Iterator[Problem]:
    """Whether the file as it is served is within SEP-1's limit."""
    size = len(text.encode())
    if size > MAX_BYTES:
        yield Problem(
            "The file",
            f"It is {size} bytes long; SEP-1 allows 100KB.",
            f"Shorten its texts to {MAX_BYTES} bytes in all.",
        )


def find_configuration_problems(configuration: Mapping[str, Any]) -> Iterator[Problem]:
    """What of the anchor's configuration would never reach the file, or only in part."""
    general = configuration.get("general", {})
    if not isinstance(general, dict):
        yield Problem("general", "It is not a table.", "Write [general] above its fields.")
    else:
        for key in OWN.keys() & general.keys():
            yield Problem(
                key, "It is set in [general].", "Remove it there: it follows the settings."
            )
        if not isinstance(general.get("ACCOUNTS", []), list):
            yield Problem("ACCOUNTS", f"It must be {ACCOUNTS.words}.", "Write it in brackets.")
    named: Counter[tuple[Any, Any]] = Counter()
    for number, entry in enumerate(_tables(configuration, "assets"), start=1):
        named[str(entry.get("code")), str(entry.get("issuer"))] += 1
        yield from _find_unknown(f"[[assets]] {number}", entry, ASSET_KEYS)
    for (code, _), count in named.items():
        if count > 1:
            yield Problem(
                f"[[assets]] {code}",
                "The same code and issuer stand there more than once.",
                "Keep one of the entries.",
            )


def _tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = document.get(name)
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def _find_wrong_fields(
    where: str, table: Any, rules: Mapping[str, Rule], around: Surroundings
) -> Iterator[Problem]:
    if not isinstance(table, dict):
        yield Problem(where, "It is not a table of fields.", "Write its fields as name = value.")
        return
    yield from _find_unknown(where, table, rules)
    for name, rule in rules.items():
        if name in table and not rule.fits(table[name], around):
            yield Problem(
                f"{where} {name}".strip(),
                f"It must be {rule.words}.",
                f"Write {_configured_as(where, name)} so, or leave it out.",
            )


def _configured_as(where: str, name: str) -> str:
    if not where.startswith("CURRENCIES"):
        return name
    return next((key for key, field in CURRENCY_FIELDS.items() if field == name), name)


def _find_unknown(where: str, table: Mapping[str, Any], known: Any) -> Iterator[Problem]:
    for name in table:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
            yield Problem(f"{where} {name}".strip(), "There is no such field.", meant)


# -- Fields together ------------------------------------------------------------------------------
def _check_passphrase(passphrase: Any) -> Iterator[Problem]:
    """One character off is another network: every signature would be worthless there."""
    if not isinstance(passphrase, str) or passphrase in KNOWN_PASSPHRASES:
        return
    for known in get_close_matches(passphrase, KNOWN_PASSPHRASES, n=1, cutoff=0.9):
        yield Problem(
            "NETWORK_PASSPHRASE",
            f'It is almost, but not quite, "{known}".',
            "Write it exactly so.",
        )


def _check_home_domains(around: Surroundings) -> Iterator[Problem]:
    for domain in around.home_domains:
        url = _split_url(f"https://{domain}")
        if url is None or url.netloc != domain:
            yield Problem(
                "HOME_DOMAINS",
                f"{domain} is not a domain.",
                "Write a host, or host:port, without https:// and without a path.",
            )


def _host_of(value: object) -> str:
    url = _split_url(value)
    return (url.hostname or "") if url else ""


def _same_site(one: str, other: str) -> bool:
    """Whether one host is the other, or below it; "www." counts for nothing."""
    one, other = one.removeprefix("www."), other.removeprefix("www.")
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _check_organization(table: Mapping[str, Any], around: Surroundings) -> Iterator[Problem]:
    """Organization Documentation: what must be on the organization's own domain, and is there."""
    if around.is_public and (
        missing := [name for name in EXPECTED_OF_ORGANIZATIONS if name not in table]
    ):
        yield Problem(
            "DOCUMENTATION",
            f"It does not say {', '.join(missing)}.",
            "Wallets and exchanges judge an anchor by them; fill them in.",
            is_fatal=False,
        )
    if not (own := _host_of(table.get("ORG_URL"))):
        return
    homes = [_host_of(f"https://{domain}") for domain in around.home_domains]
    # A service on this machine has no domain that could be the organization's.
    if not any(is_local(home) or _same_site(home, own) for home in homes):
        yield Problem(
            "DOCUMENTATION ORG_URL",
            "It must be on the domain that serves stellar.toml.",
            f"Name a page on {' or '.join(around.home_domains)}, or correct HOME_DOMAINS.",
            is_fatal=around.is_public,
        )
    for name in ("ORG_PHYSICAL_ADDRESS_ATTESTATION", "ORG_PHONE_NUMBER_ATTESTATION"):
        if (host := _host_of(table.get(name))) and not _same_site(host, own):
            yield Problem(
                f"DOCUMENTATION {name}",
                "It must be on the domain of ORG_URL.",
                f"Put the document on {own}.",
                is_fatal=around.is_public,
            )
    email = table.get("ORG_OFFICIAL_EMAIL")
    if _is_email(email, around) and not _same_site(str(email).rpartition("@")[2].lower(), own):
        yield Problem(
            "DOCUMENTATION ORG_OFFICIAL_EMAIL",
            "It must be at the domain of ORG_URL.",
            f"Use an address at {own.removeprefix('www.')}.",
            is_fatal=around.is_public,
        )


def _check_currency(
    where: str, table: Mapping[str, Any], document: Mapping[str, Any], around: Surroundings
) -> Iterator[Problem]:
    """Currency Documentation: fields that need, or exclude, one another."""
    for name in ("code", "issuer"):
        if name not in table:
            yield Problem(f"{where} {name}", "It is required.", f"Add {name} to [[assets]].")
    policies = [name for name in ISSUANCE_POLICIES if name in table]
    if len(policies) > 1:
        yield Problem(
            where,
            f"{' and '.join(policies)} exclude one another.",
            "Keep the one that its issuer holds to.",
        )
    ours = document.get("ACCOUNTS")
    if not policies and isinstance(ours, list) and table.get("issuer") in ours:
        yield Problem(
            where,
            f"We issue it, and it has none of {', '.join(ISSUANCE_POLICIES)}.",
            "Add the one that you hold to.",
            is_fatal=False,
        )
    if table.get("status") == "test" and around.is_public:
        yield Problem(
            f"{where} status",
            'It is "test", on the public network.',
            'Write "live", or "private".',
            is_fatal=False,
        )
    yield from _check_anchoring(where, table)
    yield from _check_approval(where, table)
    yield from _check_collateral(where, table, around)


def _check_anchoring(where: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    described = [
        name
        for name in ("anchor_asset_type", "anchor_asset", "redemption_instructions")
        if name in table
    ]
    if table.get("is_asset_anchored") is False and described:
        yield Problem(
            f"{where} is_asset_anchored",
            f"It is false, but {' and '.join(described)} say what it is anchored to.",
            "Make it true, or remove them.",
        )
    if table.get("is_asset_anchored") is True:
        for name in ("anchor_asset_type", "anchor_asset"):
            if name not in table:
                yield Problem(
                    f"{where} {name}",
                    "It is missing, and is_asset_anchored is true.",
                    "Say what the asset can be redeemed for.",
                    is_fatal=False,
                )


def _check_approval(where: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    if table.get("regulated") is True:
        if "approval_server" not in table:
            yield Problem(
                f"{where} approval_server",
                "It is missing, and regulated is true.",
                "Add the issuer's SEP-8 approval server.",
            )
        yield Problem(
            f"{where} regulated",
            "Its issuer must approve each payment, and Landfall does not ask it for refunds.",
            'Set all of [assets.policy] to "inbox", and send refunds back by hand.',
            is_fatal=False,
        )
    elif named := [name for name in ("approval_server", "approval_criteria") if name in table]:
        yield Problem(
            f"{where} regulated",
            f"It is not true, but {' and '.join(named)} say how payments are approved.",
            "Make it true, or remove them.",
        )


def _check_collateral(
    where: str, table: Mapping[str, Any], around: Surroundings
) -> Iterator[Problem]:
    addresses, messages, signatures = (
        table.get(f"collateral_address{suffix}", [])
        for suffix in ("es", "_messages", "_signatures")
    )
    if not all(TEXTS.fits(texts, around) for texts in (addresses, messages, signatures)):
        return  # that is reported already
    for name, texts in (("messages", messages), ("signatures", signatures)):
        if (addresses or texts) and len(texts) != len(addresses):
            yield Problem(
                f"{where} collateral_address_{name}",
                "It must have one entry for each of collateral_addresses.",
                "Bring the lists to one length, in one order.",
            )
    for address, message in zip(addresses, messages, strict=False):
        if not _is_reserve_message(message, address, table, around.today):
            yield Problem(
                f"{where} collateral_address_messages",
                "One is not SEP-1's sentence on its entry of collateral_addresses, or is valid "
                "for more than a year from now.",
                f'Write "{_RESERVED.format(address=address, **_named(table))} Valid from '
                '2026-01-01 to 2026-12-31."',
            )
    if not all(map(_is_base64, signatures)):
        yield Problem(
            f"{where} collateral_address_signatures",
            "One is not base64.",
            "Sign each message with its address's key, and write the raw signature in base64.",
        )


_RESERVED = (
    "The assets in the account {address} are reserved to back {code} issued by {issuer} on Stellar."
)


def _named(table: Mapping[str, Any]) -> dict[str, Any]:
    return {"code": table.get("code"), "issuer": table.get("issuer")}


def _is_reserve_message(message: str, address: str, table: Mapping[str, Any], today: date) -> bool:
    start = re.escape(_RESERVED.format(address=address, **_named(table)))
    found = re.fullmatch(rf"{start} Valid from (\S+) to (\S+?)\.?", message)
    if found is None:
        return False
    try:
        first, last = (date.fromisoformat(text[:10]) for text in found.groups())
    except ValueError:
        return False
    return first <= last <= today + timedelta(days=366)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
