"""Giving challenges, and tokens for challenges that come back signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from kernel.errors import BadRequest, Forbidden
from kernel.keys import signing_keypair
from kernel.rows import delete_in_batches
from kernel.throttling import Limit, count_request
from sep10.authorization import verify_authorization
from sep10.challenge import (
    WebAuth,
    build_challenge,
    parse_account,
    parse_client_domain,
    parse_home_domain,
    parse_memo,
)
from sep10.client_domain import find_client_domain
from sep10.models import SendingAnchor, SendingAnchorAccount, UsedChallenge
from sep10.signed_challenge import SignedChallenge, read_challenge, verify_signatures
from sep10.signers import load_signers
from sep10.tokens import issue_token, issuer

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
    *,
    account: str,
    memo: str | None = None,
    home_domain: str | None = None,
    client_domain: str | None = None,
    authorization: str | None = None,
    address: str = "",
) -> str:
    """A new challenge as base64 XDR, from the raw parameters of SEP-10's GET.

    `authorization` is the JWT that came with it, `address` whose request it counts as. Raises
    `BadRequest`, also if the client domain's key can't be had or the JWT is not right;
    `Forbidden` if it is right, but of nobody who may use this service; `TooManyRequests`.
    """
    terms = web_auth()
    with _counting_refusals(address):
        client = parse_account(account)
        memo_id = parse_memo(memo, client)
        home = parse_home_domain(home_domain, terms)
        domain_name = parse_client_domain(client_domain)
    _count_request(address, client.account_id)
    domain = find_client_domain(domain_name) if domain_name else None
    if domain and domain.signing_key in (client.account_id, terms.server.public_key):
        # One key can't give two of the signatures that the challenge asks for.
        raise BadRequest(
            "client_domain's SIGNING_KEY must be another key than the account's and ours"
        )
    if authorization is not None:
        verify_authorization(
            authorization,
            signer=domain.signing_key if domain else client.account_id,
            endpoint=issuer(),
            parameters={
                "account": account,
                "memo": memo,
                "home_domain": home_domain,
                "client_domain": client_domain,
            },
        )
        require_admission(client.account_id, domain_name)
    return build_challenge(
        terms, account=client, memo=memo_id, home_domain=home, client_domain=domain
    )


def redeem_challenge(xdr: str, *, address: str = "") -> str:
    """The one token that a signed challenge buys (SEP-10, "Token").

    Raises `BadRequest` for a challenge that is not ours, not signed as required, over or used;
    `Forbidden` for an account that may not use this service; `Unavailable` without Horizon;
    `TooManyRequests`.
    """
    terms = web_auth()
    with _counting_refusals(address):
        challenge = read_challenge(terms, xdr)
    _count_request(address, challenge.account)
    verify_signatures(terms, challenge, load_signers(challenge.account))
    _use_up(challenge)
    return issue_token(
        subject=challenge.subject,
        challenge_hash=challenge.hash.hex(),
        home_domain=challenge.home_domain,
        client_domain=challenge.client_domain.name if challenge.client_domain else None,
    )


# -- How often anybody may ask ----------------------------------------------------------------


def _address_limit(address: str) -> Limit:
    return Limit("auth-address", address, settings.AUTH_ADDRESS_LIMIT)


def _count_request(address: str, account: str) -> None:
    # By account (G...): whoever adds memos or muxed ids to it is still the same.
    count_request(
        _address_limit(address), Limit("auth-account", account, settings.AUTH_ACCOUNT_LIMIT)
    )


@contextmanager
def _counting_refusals(address: str) -> Iterator[None]:
    """What can't even be read names no account, but counts as well."""
    try:
        yield
    except BadRequest:
        count_request(_address_limit(address))
        raise


# -- Who may have a token ---------------------------------------------------------------------


def _use_up(challenge: SignedChallenge) -> None:
    """Use the challenge up for a sending anchor that may have a token. Raises `Forbidden`, or
    `BadRequest` if it was used before."""
    name = challenge.client_domain.name if challenge.client_domain else None
    use_up = partial(
        UsedChallenge.objects.use_up,
        hash=challenge.hash.hex(),
        expires_at=datetime.fromtimestamp(challenge.expires_at, UTC),
        account=challenge.account,
        client_domain=name,
    )
    if use_up():
        return
    if not require_admission(challenge.account, name):
        admit_stranger(challenge.account)
    # Again also for who is on the list: another request may have let them in since the first look.
    if use_up():
        return
    raise BadRequest("transaction was used before; ask for a new challenge")


def require_admission(account: str, client_domain: str | None) -> bool:
    """Refuse whoever may not have a token with SEP-10's 403.

    Whether `account` (G...) is on the list; with ALLOW_UNKNOWN_SENDING_ANCHORS it need not be.
    Raises `Forbidden`.
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
        return False
    if not row.sending_anchor.enabled:
        raise Forbidden("This sending anchor is disabled; ask us why")
    if not row.sending_anchor.allows_client_domain(client_domain):
        if client_domain is None:
            raise Forbidden("This sending anchor must authenticate with its client_domain")
        raise Forbidden(
            f"This sending anchor may not authenticate with the client_domain {client_domain}"
        )
    return True


def admit_stranger(account: str) -> None:
    """Make `account` (G...) a sending anchor of its own, named after it.

    Requests that do so at once meet at the unique constraints.
    """
    with transaction.atomic():
        sending_anchor, _ = SendingAnchor.objects.get_or_create(name=account)
        SendingAnchorAccount.objects.get_or_create(
            account=account, defaults={"sending_anchor": sending_anchor}
        )


# -- The list of sending anchors --------------------------------------------------------------


def register_sending_anchor(
    name: str,
    accounts: Iterable[str],
    *,
    callback_hosts: Iterable[str] = (),
    client_domains: Iterable[str] = (),
) -> SendingAnchor:
    """Put a sending anchor on the list, or add accounts, callback hosts and client domains to it.
    Idempotent.

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
        changed = []
        for field, added in (
            ("allowed_callback_hosts", callback_hosts),
            ("client_domains", client_domains),
        ):
            present = getattr(sending_anchor, field)
            together = list(dict.fromkeys([*present, *added]))
            if together != present:
                setattr(sending_anchor, field, together)
                changed.append(field)
        if changed:
            sending_anchor.save(update_fields=[*changed, "updated_at"])
    return sending_anchor


def revoke_tokens(sending_anchor_id: int) -> None:
    """End all tokens that a sending anchor has, at once; it may authenticate again."""
    now = timezone.now()
    SendingAnchor.objects.filter(pk=sending_anchor_id).update(tokens_valid_from=now, updated_at=now)


def purge_used_challenges() -> int:
    """Forget challenges that time alone would refuse by now. Returns how many."""
    over = UsedChallenge.objects.filter(expires_at__lt=timezone.now() - PURGE_MARGIN)
    return delete_in_batches(over, oldest="expires_at", batch=PURGE_BATCH)
