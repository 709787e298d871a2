"""Who calls: the bearer of a SEP-10 token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from kernel.errors import ApiError
from kernel.rows import Given
from sep10.models import ADMITTED, SendingAnchor
from sep10.tokens import InvalidToken, read_token


@dataclass
class Caller:
    """The account behind a request. SEP-10, "Memos": one account with two memos is two callers.

    `account` is always the G... address; `memo` the id memo as decimal text; `muxed` the M...
    address. At most one of `memo` and `muxed` is set. `issued_at` is the token's, in Unix seconds.
    """

    account: str
    memo: str | None
    muxed: str | None
    client_domain: str | None
    home_domain: str
    issued_at: int
    _sending_anchor: SendingAnchor | None = field(default=None, repr=False)
    _was_admitted_at_once: bool = field(default=False, repr=False)

    @property
    def sending_anchor(self) -> SendingAnchor:
        """The one that the account belongs to, admitted: see `ensure_admitted`."""
        return self.ensure_admitted()

    @property
    def is_admitted(self) -> bool:
        return self._was_admitted_at_once or self._sending_anchor is not None

    def ensure_admitted(self) -> SendingAnchor:
        """One query, unless it was admitted before. Raises `InvalidToken`."""
        return self._sending_anchor or self.admit(SendingAnchor.of_account(self.account))

    def admit(self, found: SendingAnchor | None) -> SendingAnchor:
        """Let the account's sending anchor in, as it was read just now; None if there is none.

        Raises `InvalidToken` if it may not use this service (any more), or not with this token.
        """
        if found is None or not found.enabled:
            raise InvalidToken("This account may not use this service")
        if not found.allows_client_domain(self.client_domain):
            raise InvalidToken("This sending anchor must authenticate with its client_domain")
        valid_from = found.tokens_valid_from
        # iat has whole seconds: within the second of the revocation a new token is refused as well.
        if valid_from is not None and self.issued_at < valid_from.timestamp():
            raise InvalidToken("The token was revoked; authenticate again")
        self._sending_anchor = found
        return found

    def admission_to(self, insert: Callable[[Given], bool]) -> bool:
        """Admit it by the statement that does what it asks for: `insert` does nothing unless what
        it is given holds. Whether it did; if not, nothing new is known of the caller."""
        params = [self.account, self.client_domain, self.issued_at]
        inserted = insert(Given("sending_anchor_id", ADMITTED, params))
        self._was_admitted_at_once = self._was_admitted_at_once or inserted
        return inserted


class BearerAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer <token>` into a `Caller`, with one database query.

    Raises `refusal` (the protocol's own 401 or 403) for a token that is bad, expired or revoked,
    and, if `required`, for none at all. With `admits_late` it verifies the token and asks the
    database nothing, unless a form comes with it: the caller is not admitted yet.
    """

    def __init__(
        self, refusal: type[ApiError], *, required: bool, admits_late: bool = False
    ) -> None:
        self.refusal = refusal
        self.required = required
        self.admits_late = admits_late

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        words = request.META.get("HTTP_AUTHORIZATION", "").split()
        if not words and not self.required:
            return None
        if len(words) != 2 or words[0].lower() != "bearer":
            raise self.refusal(
                "This needs a SEP-10 token in the header Authorization: Bearer <token>"
            )
        # Of nobody else are files taken in, let alone opened.
        reads_little = request._request.content_type in ("", "application/json")
        find = read_caller if self.admits_late and reads_little else find_caller
        try:
            return find(words[1]), None
        except InvalidToken as error:
            raise self.refusal(str(error)) from error


def read_caller(token: str) -> Caller:
    """The caller that `token` names, who is not admitted yet. Raises `InvalidToken`."""
    claims = read_token(token)
    return Caller(
        account=claims.account,
        memo=claims.memo,
        muxed=claims.muxed,
        client_domain=claims.client_domain,
        home_domain=claims.home_domain,
        issued_at=claims.issued_at,
    )


def find_caller(token: str) -> Caller:
    """The caller that `token` stands for. Raises `InvalidToken`."""
    caller = read_caller(token)
    caller.ensure_admitted()
    return caller
