"""Who calls: the bearer of a SEP-10 token."""

from __future__ import annotations

from dataclasses import dataclass

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from kernel.errors import ApiError
from sep10.models import SendingAnchor
from sep10.tokens import InvalidToken, read_token


@dataclass(frozen=True)
class Caller:
    """The account behind a request. SEP-10, "Memos": one account with two memos is two callers.

    `account` is always the G... address; `memo` the id memo as decimal text; `muxed` the M...
    address. At most one of `memo` and `muxed` is set.
    """

    account: str
    memo: str | None
    muxed: str | None
    client_domain: str | None
    home_domain: str
    sending_anchor: SendingAnchor


class BearerAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer <token>` into a `Caller`, with one database query.

    Raises `refusal` (the protocol's own 401 or 403) for a token that is bad, expired or revoked,
    and, if `required`, for none at all.
    """

    def __init__(self, refusal: type[ApiError], *, required: bool) -> None:
        self.refusal = refusal
        self.required = required

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        words = request.META.get("HTTP_AUTHORIZATION", "").split()
        if not words and not self.required:
            return None
        if len(words) != 2 or words[0].lower() != "bearer":
            raise self.refusal(
                "This needs a SEP-10 token in the header Authorization: Bearer <token>"
            )
        try:
            return find_caller(words[1]), None
        except InvalidToken as error:
            raise self.refusal(str(error)) from error


def find_caller(token: str) -> Caller:
    """The caller that `token` stands for. Raises `InvalidToken`."""
    claims = read_token(token)
    sending_anchor = SendingAnchor.of_account(claims.account)
    if sending_anchor is None or not sending_anchor.enabled:
        raise InvalidToken("This account may not use this service")
    if not sending_anchor.allows_client_domain(claims.client_domain):
        raise InvalidToken("This sending anchor must authenticate with its client_domain")
    valid_from = sending_anchor.tokens_valid_from
    # iat has whole seconds: within the second of the revocation a new token is refused as well.
    if valid_from is not None and claims.issued_at < valid_from.timestamp():
        raise InvalidToken("The token was revoked; authenticate again")
    return Caller(
        account=claims.account,
        memo=claims.memo,
        muxed=claims.muxed,
        client_domain=claims.client_domain,
        home_domain=claims.home_domain,
        sending_anchor=sending_anchor,
    )
