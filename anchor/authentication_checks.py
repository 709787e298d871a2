"""System checks: what SEP-10 needs of the settings, and how often anybody may ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from sep10.challenge import MAX_DATA_BYTES, is_domain

MIN_SECONDS, MAX_CHALLENGE_SECONDS, LONG_TOKEN_SECONDS = 60, 3600, 86400


@register(Tags.security)
def check_authentication(**kwargs: Any) -> list[CheckMessage]:
    """Challenges can be built and answered in time, and limits and choices are what they can be."""
    return [*_check_domains(), *_check_seconds(), *_check_choices(), *_check_kids()]


def _check_domains() -> Iterator[CheckMessage]:
    """SEP-10, "Challenge", Response: `<home domain> auth` and the web auth domain fit a data
    entry's name and value."""
    domains = settings.HOME_DOMAINS
    for domain in domains:
        if not is_domain(domain) or len(f"{domain} auth") > MAX_DATA_BYTES:
            yield Error(
                f"HOME_DOMAINS holds {domain!r}, which no challenge can name.",
                hint="Give each as a bare host name in lower case of at most 59 characters, for "
                "example anchor.example.com, without https:// and path.",
                id="landfall.E030",
            )
    if not domains or len(set(domains)) != len(domains):
        yield Error(
            "HOME_DOMAINS is empty, or names a domain twice.",
            hint="Name each domain that serves our stellar.toml once, the usual one first.",
            id="landfall.E030",
        )
    if not is_domain(urlsplit(settings.BASE_URL).netloc):
        yield Error(
            "The host of BASE_URL can't be the web auth domain of a challenge.",
            hint=f"It must be a host name in lower case of at most {MAX_DATA_BYTES} characters.",
            id="landfall.E031",
        )


def _check_seconds() -> Iterator[CheckMessage]:
    if not MIN_SECONDS <= settings.CHALLENGE_SECONDS <= MAX_CHALLENGE_SECONDS:
        yield Error(
            f"CHALLENGE_SECONDS must be from {MIN_SECONDS} to {MAX_CHALLENGE_SECONDS}.",
            hint="SEP-10 recommends 900: time enough to sign with a hardware wallet.",
            id="landfall.E032",
        )
    if settings.JWT_SECONDS < MIN_SECONDS:
        yield Error(
            f"JWT_SECONDS must be at least {MIN_SECONDS}.",
            hint="An hour (3600) lets sending anchors work, and a lost key does not open us long.",
            id="landfall.E033",
        )
    elif settings.JWT_SECONDS > LONG_TOKEN_SECONDS:
        yield Warning(
            "JWT_SECONDS is more than a day: for so long a token works after its account lost "
            "its signers.",
            hint="Set it to a day (86400) or less.",
            id="landfall.W005",
        )


def _check_choices() -> Iterator[CheckMessage]:
    for name, allowed in (
        ("CHALLENGE_AUTHORIZATION", ("optional", "required")),
        ("AUTH_THRESHOLD", ("low", "medium", "high")),
    ):
        if getattr(settings, name) not in allowed:
            yield Error(
                f"{name} must be one of: {', '.join(allowed)}.",
                hint=f"Unset it for {'medium' if 'medium' in allowed else allowed[0]}.",
                id="landfall.E034",
            )
    for name in ("AUTH_ADDRESS_LIMIT", "AUTH_ACCOUNT_LIMIT", "TRUSTED_PROXIES"):
        if getattr(settings, name) < 0:
            yield Error(
                f"{name} must not be negative.",
                hint="0 is no limit, or no proxy.",
                id="landfall.E035",
            )


def _check_kids() -> Iterator[CheckMessage]:
    kids = [pair.partition(":")[0] for pair in settings.JWT_KEYS]
    if len(set(kids)) != len(kids):
        yield Error(
            "JWT_KEYS names a kid twice: tokens of one of the two keys would be refused.",
            hint="Give each key a kid of its own, for example the month in which it was made.",
            id="landfall.E036",
        )
