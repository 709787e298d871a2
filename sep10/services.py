"""Giving challenges, and tokens for challenges that come back signed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from kernel.errors import BadRequest, Forbidden
from kernel.keys import signing_keypair
from sep10.challenge import (
    Challenge,
    WebAuth,
    build_challenge,
    parse_account,
    parse_client_domain,
    parse_home_domain,
    parse_memo,
    read_challenge,
    verify_signatures,
)
from sep10.client_domain import find_client_domain
from sep10.models import SendingAnchor, SendingAnchorAccount, UsedChallenge
from sep10.signers import load_signers
from sep10.tokens import issue_token

PURGE_BATCH = 5000
# Our servers' clocks differ; a challenge must not outlive the memory of its use on any of them.
PURGE_MARGIN = timedelta(hours=1)


def web_auth() -> WebAuth:
    """This server's side of a challenge, from the settings."""
    return WebAuth(
        server=signing_keypair(),
        web_auth_domain=urlsplit(settings.BASE_URL).netloc,
        home_domains=tuple(settings.HOME_DOMAINS),
        network_passphrase=settings.NETWORK_PASSPHRASE,
        challenge_seconds=settings.CHALLENGE_SECONDS,
    )


def create_challenge(
    *, account: str, memo: str | None, home_domain: str | None, client_domain: str | None
) -> str:
    """A new challenge as base64 XDR, from the raw parameters of SEP-10's GET.

    Raises `BadRequest`, also if the client domain's key can't be had.
    """
    terms = web_auth()
    client = parse_account(account)
    memo_id = parse_memo(memo, client)
    home = parse_home_domain(home_domain, terms)
    domain_name = parse_client_domain(client_domain)
    domain = find_client_domain(domain_name) if domain_name else None
    if domain and domain.signing_key in (client.account_id, terms.server.public_key):
        # One key can't give two of the signatures that the challenge asks for.
        raise BadRequest(
            "client_domain's SIGNING_KEY must be another key than the account's and ours"
        )
    return build_challenge(
        terms, account=client, memo=memo_id, home_domain=home, client_domain=domain
    )


def redeem_challenge(xdr: str) -> str:
    """The one token that a signed challenge buys (SEP-10, "Token").

    Raises `BadRequest` for a challenge that is not ours, not signed as required, over or used;
    `Forbidden` for an account that may not use this service; `Unavailable` without Horizon.
    """
    terms = web_auth()
    challenge = read_challenge(terms, xdr)
    verify_signatures(terms, challenge, load_signers(challenge.account))
    with transaction.atomic():
        admit_account(challenge.account)
        _use_up(challenge)
    return issue_token(
        subject=challenge.subject,
        challenge_hash=challenge.hash,
        home_domain=challenge.home_domain,
        client_domain=challenge.client_domain,
    )


def _use_up(challenge: Challenge) -> None:
    # The primary key is the referee between requests that bring the same challenge at once.
    _, is_first = UsedChallenge.objects.get_or_create(
        hash=challenge.hash,
        defaults={"expires_at": datetime.fromtimestamp(challenge.expires_at, UTC)},
    )
    if not is_first:
        raise BadRequest("transaction was used before; ask for a new challenge")


def admit_account(account: str) -> SendingAnchor:
    """The sending anchor behind `account` (G...). Raises `Forbidden`.

    With ALLOW_UNKNOWN_SENDING_ANCHORS an account that is not on the list becomes a sending anchor
    of its own, named after it; requests that do so at once meet at the unique constraints.
    """
    row = (
        SendingAnchorAccount.objects.select_related("sending_anchor")
        .filter(account=account)
        .first()
    )
    if row is None:
        if not settings.ALLOW_UNKNOWN_SENDING_ANCHORS:
            raise Forbidden(
                "This account is not registered as a sending anchor; ask us for an agreement"
            )
        sending_anchor, _ = SendingAnchor.objects.get_or_create(name=account)
        row, _ = SendingAnchorAccount.objects.select_related("sending_anchor").get_or_create(
            account=account, defaults={"sending_anchor": sending_anchor}
        )
    if not row.sending_anchor.enabled:
        raise Forbidden("This sending anchor is disabled; ask us why")
    return row.sending_anchor


def register_sending_anchor(
    name: str, accounts: Iterable[str], *, callback_hosts: Iterable[str] = ()
) -> SendingAnchor:
    """Put a sending anchor on the list, or add accounts and callback hosts to it. Idempotent.

    Raises `ValueError` for an account that belongs to another sending anchor.
    """
    with transaction.atomic():
        sending_anchor, _ = SendingAnchor.objects.get_or_create(name=name)
        for account in sorted(set(accounts)):
            row, _ = SendingAnchorAccount.objects.select_related("sending_anchor").get_or_create(
                account=account, defaults={"sending_anchor": sending_anchor}
            )
            if row.sending_anchor_id != sending_anchor.pk:
                raise ValueError(f"{account} belongs to the sending anchor {row.sending_anchor}")
        hosts = dict.fromkeys([*sending_anchor.allowed_callback_hosts, *callback_hosts])
        if list(hosts) != sending_anchor.allowed_callback_hosts:
            sending_anchor.allowed_callback_hosts = list(hosts)
            sending_anchor.save(update_fields=["allowed_callback_hosts", "updated_at"])
    return sending_anchor


def purge_used_challenges() -> int:
    """Forget challenges that time alone would refuse by now. Returns how many."""
    over = UsedChallenge.objects.filter(expires_at__lt=timezone.now() - PURGE_MARGIN)
    total = 0
    while True:
        deleted, _ = UsedChallenge.objects.filter(
            pk__in=over.order_by("expires_at").values("pk")[:PURGE_BATCH]
        ).delete()
        total += deleted
        if deleted < PURGE_BATCH:
            return total
