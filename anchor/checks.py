"""System checks: what is wrong with the settings, and how to mend it. Run at every start."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from stellar_sdk import Keypair, Network
from stellar_sdk.exceptions import Ed25519SecretSeedInvalidError
from stellar_sdk.strkey import StrKey

from anchor.customer_type_checks import check_rail_fields, check_types_asked, check_types_read
from kernel.errors import BadRequest
from payouts.rails.registry import find_rail_path, load_rail
from sep1.assets import ReceivedAsset, received_assets
from sep1.stellar_toml import build_document, write_toml
from sep1.validation import (
    Problem,
    Surroundings,
    find_configuration_problems,
    find_problems,
    find_size_problems,
)
from sep31.amounts import split_one_to_one
from sep38.pairs import all_pairs

PUBLIC = Network.PUBLIC_NETWORK_PASSPHRASE


@register(Tags.security)
def check_keys(**kwargs: Any) -> list[CheckMessage]:
    """Keys are there, well-formed and strong enough."""
    return [*_check_stellar_keys(), *_check_jwt_keys(), *_check_sealing_keys()]


def _check_stellar_keys() -> Iterator[CheckMessage]:
    try:
        Keypair.from_secret(settings.SIGNING_SECRET)
    except (Ed25519SecretSeedInvalidError, ValueError):
        yield Error(
            "SIGNING_SECRET is not a Stellar secret key.",
            hint="Set it to the S... key whose public key is stellar.toml's SIGNING_KEY.",
            id="landfall.E001",
        )
    if not StrKey.is_valid_ed25519_public_key(settings.DISTRIBUTION_ACCOUNT):
        yield Error(
            "DISTRIBUTION_ACCOUNT is not a Stellar account.",
            hint="Set it to the G... account that receives payments.",
            id="landfall.E002",
        )
    if settings.DISTRIBUTION_SECRET:
        try:
            Keypair.from_secret(settings.DISTRIBUTION_SECRET)
        except (Ed25519SecretSeedInvalidError, ValueError):
            yield Error(
                "DISTRIBUTION_SECRET is not a Stellar secret key.",
                hint="Set it to an S... key that may sign for DISTRIBUTION_ACCOUNT.",
                id="landfall.E003",
            )


def _check_jwt_keys() -> Iterator[CheckMessage]:
    for pair in settings.JWT_KEYS or [""]:
        kid, _, secret = pair.partition(":")
        if not kid or len(secret) < 32:
            yield Error(
                "JWT_KEYS must be kid:secret pairs with secrets of at least 32 characters.",
                hint='For example JWT_KEYS="2026a:$(openssl rand -hex 32)", newest first.',
                id="landfall.E004",
            )
            return


def _check_sealing_keys() -> Iterator[CheckMessage]:
    try:
        lengths = {len(base64.b64decode(key, validate=True)) for key in settings.SEALING_KEYS}
    except binascii.Error:
        lengths = set()
    if lengths != {32}:
        yield Error(
            "SEALING_KEYS must be 32 bytes in base64 each.",
            hint='For example SEALING_KEYS="$(openssl rand -base64 32)", newest first.',
            id="landfall.E005",
        )


@register()
def check_offer(**kwargs: Any) -> list[CheckMessage]:
    """What the configuration file offers can be delivered."""
    try:
        assets = received_assets()
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return [
            Error(
                f"The [[assets]] of {settings.ANCHOR_CONFIG} can't be read: {error!r}.",
                hint="Compare them with the anchor.toml that came with Landfall.",
                id="landfall.E006",
            )
        ]
    try:
        all_pairs()
    except (ImproperlyConfigured, KeyError, TypeError, ValueError, ArithmeticError) as error:
        return [
            Error(
                f"The [[pairs]] of {settings.ANCHOR_CONFIG} can't be read: {error}.",
                hint="Compare them with the anchor.toml that came with Landfall.",
                id="landfall.E013",
            )
        ]
    if unreadable := list(check_types_read()):
        return unreadable
    found = list(check_types_asked(assets.values()))
    for asset in assets.values():
        found += _check_smallest(asset)
        for method in asset.funding_methods:
            found += _check_method(asset, method)
    return found


def _check_smallest(asset: ReceivedAsset) -> Iterator[CheckMessage]:
    """The least that GET /info says we take is more than what we would keep of it."""
    if asset.min_amount is None or asset.quotes_required:
        return
    try:
        split_one_to_one(asset.min_amount, asset)
    except BadRequest:
        yield Warning(
            f"The min_amount of {asset.name.code} is eaten up by its fees: nobody can send it.",
            hint="Raise min_amount above fee_fixed and fee_percent of it, or lower the fees.",
            id="landfall.W011",
        )


def _check_method(asset: ReceivedAsset, method: str) -> Iterator[CheckMessage]:
    """Each method has a rail, and its receiving clients are asked for what the rail needs."""
    if not _has_rail(method):
        yield _missing_rail(method)
        return
    yield from check_rail_fields(asset, method)


def _has_rail(method: str) -> bool:
    try:
        load_rail(find_rail_path(method))
    except Exception:  # whatever a rail's module raises, the method can't be delivered
        return False
    return True


def _missing_rail(method: str) -> Error:
    return Error(
        f"No rail delivers by {method}.",
        hint=f"Name a rail for it in [rails] of {settings.ANCHOR_CONFIG}.",
        id="landfall.E008",
    )


@register(Tags.security)
def check_no_development_switches(**kwargs: Any) -> list[CheckMessage]:
    """Switches for development stay off where real money moves."""
    on_public = settings.NETWORK_PASSPHRASE == PUBLIC
    found: list[CheckMessage] = []
    if on_public and settings.ALLOW_INSECURE_URLS:
        found.append(
            Error(
                "ALLOW_INSECURE_URLS is on, on the public network.",
                hint="Unset it: it lets strangers' URLs reach the inside of your network.",
                id="landfall.E009",
            )
        )
    if on_public and settings.ALLOW_UNKNOWN_SENDING_ANCHORS:
        found.append(
            Error(
                "ALLOW_UNKNOWN_SENDING_ANCHORS is on, on the public network.",
                hint="Unset it and allow-list partners with manage.py register_sending_anchor.",
                id="landfall.E010",
            )
        )
    if on_public and not settings.IS_HTTPS:
        found.append(
            Error(
                "BASE_URL is not https, on the public network.",
                hint="SEP-31 requires https for every endpoint; set BASE_URL to https://...",
                id="landfall.E011",
            )
        )
    if not on_public and not settings.IS_HTTPS:
        found.append(
            Warning(
                "BASE_URL is not https; fine on a test network only.",
                id="landfall.W001",
            )
        )
    return found


@register()
def check_stellar_toml(**kwargs: Any) -> list[CheckMessage]:
    """Clients will take our stellar.toml (SEP-1)."""
    if any(_check_stellar_keys()):
        return []
    try:
        received_assets()
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return []  # check_offer says what is wrong with them
    found = list(find_configuration_problems(settings.ANCHOR))
    if not found:
        document = build_document()
        found += find_problems(
            document,
            Surroundings(
                home_domains=settings.HOME_DOMAINS,
                is_public=settings.NETWORK_PASSPHRASE == PUBLIC,
                today=datetime.now(UTC).date(),
                allows_http=settings.ALLOW_INSECURE_URLS,
            ),
        )
        if not any(problem.is_fatal for problem in found):
            found += find_size_problems(write_toml(document))
    return [_describe_problem(problem) for problem in found]


def _describe_problem(problem: Problem) -> CheckMessage:
    kind, id = (Error, "landfall.E020") if problem.is_fatal else (Warning, "landfall.W010")
    return kind(
        f"stellar.toml, {problem.where}: {problem.says}",
        hint=f"{problem.mend} It comes from {settings.ANCHOR_CONFIG} and the environment.",
        id=id,
    )
