"""System checks: who decides on customers, and who sends confirmation codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.utils.module_loading import import_string
from stellar_sdk import Network

from kernel.http import OutboundRefused, parse_outbound_url
from sep12.decisions import AcceptAtOnce, CustomerDecisions
from sep12.models import Case
from sep12.senders import HttpSender
from sep12.sep9 import FIELDS

PUBLIC = Network.PUBLIC_NETWORK_PASSPHRASE
MIN_SECRET = 32
MAX_TRIES = 10  # of a million codes


@register(Tags.security)
def check_decisions(**kwargs: Any) -> list[CheckMessage]:
    """Customers are decided on by something that is there, and not by nobody on the public
    network."""
    try:
        decisions: CustomerDecisions = import_string(settings.CUSTOMER_DECISIONS)()
        kind = decisions.case_kind
        decide = decisions.decide
    except Exception as error:  # whatever a module of the company's own raises
        return [
            Error(
                f"CUSTOMER_DECISIONS can't be used: {type(error).__name__}.",
                hint="Name a class with case_kind and decide, such as "
                "sep12.decisions.OperatorReview; docs/kyc.md says more.",
                id="landfall.E021",
            )
        ]
    assert callable(decide)
    if isinstance(decisions, AcceptAtOnce) and settings.NETWORK_PASSPHRASE == PUBLIC:
        return [
            Error(
                "CUSTOMER_DECISIONS accepts everybody at once, on the public network.",
                hint="Set it to sep12.decisions.OperatorReview or sep12.decisions.HttpProvider, "
                "or to a class of your own that knows on what it relies.",
                id="landfall.E022",
            )
        ]
    return list(_check_provider()) if kind == Case.Kind.PROVIDER else []


def _check_provider() -> Iterator[CheckMessage]:
    yield from _check_url("KYC_PROVIDER_URL")
    secrets = settings.KYC_PROVIDER_SECRETS
    if not secrets or any(len(secret) < MIN_SECRET for secret in secrets):
        yield Error(
            f"KYC_PROVIDER_SECRETS must have secrets of at least {MIN_SECRET} characters.",
            hint='For example KYC_PROVIDER_SECRETS="$(openssl rand -hex 32)", newest first.',
            id="landfall.E023",
        )


def _check_url(name: str) -> Iterator[CheckMessage]:
    url = getattr(settings, name)
    try:
        scheme = parse_outbound_url(url, trusted=True).scheme
    except OutboundRefused as refusal:
        yield Error(
            f"{name} can't be called: {refusal}.",
            hint="Set it to the address that your provider gave you, https://...",
            id="landfall.E024",
        )
        return
    if scheme != "https" and settings.NETWORK_PASSPHRASE == PUBLIC:
        yield Error(
            f"{name} is not https, on the public network.",
            hint="Personal data goes there: set it to https://...",
            id="landfall.E025",
        )


@register()
def check_verification(**kwargs: Any) -> list[CheckMessage]:
    """The fields of [verification] exist, and each has a sender of codes."""
    configured = settings.ANCHOR.get("verification", {})
    found: list[CheckMessage] = []
    senders = set()
    for name, path in configured.items():
        if name not in FIELDS or FIELDS[name].is_binary:
            found.append(
                Error(
                    f"[verification] of {settings.ANCHOR_CONFIG} names {name}, which is no text "
                    "field of SEP-9.",
                    hint="For example mobile_number or email_address.",
                    id="landfall.E026",
                )
            )
        try:
            sender = import_string(path)()
            assert callable(sender.send)
            senders.add(type(sender))
        except Exception as error:  # whatever a module of the company's own raises
            found.append(
                Error(
                    f"The sender of [verification] for {name} can't be used: "
                    f"{type(error).__name__}.",
                    hint="Name a class with send, such as sep12.senders.HttpSender; "
                    "docs/kyc.md says more.",
                    id="landfall.E027",
                )
            )
    if HttpSender in senders:
        found += _check_gateway()
    if configured and not 1 <= settings.VERIFICATION_MAX_TRIES <= MAX_TRIES:
        found.append(
            Error(
                f"VERIFICATION_MAX_TRIES must be from 1 to {MAX_TRIES}.",
                hint="More tries make a code of six digits one that can be guessed.",
                id="landfall.E029",
            )
        )
    return found


def _check_gateway() -> Iterator[CheckMessage]:
    yield from _check_url("VERIFICATION_GATEWAY_URL")
    if not settings.VERIFICATION_GATEWAY_KEY:
        yield Error(
            "VERIFICATION_GATEWAY_KEY is not set.",
            hint="Set it to the key that your gateway for SMS and email knows you by.",
            id="landfall.E028",
        )
