"""The session tokens that SEP-10 hands out: JWTs, HS256, with rotating keys.

`settings.JWT_KEYS` holds "kid:secret" pairs, newest first: the first signs, all verify. To rotate,
put a new pair in front; drop the old one once its last token has expired (JWT_SECONDS).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import jwt
from django.conf import settings
from stellar_sdk import MuxedAccount

from kernel.api import absolute_url

_ALGORITHM = "HS256"
MAX_TOKEN_LENGTH = 4096


class InvalidToken(Exception):
    """The message says why in plain words that the client may read."""


@dataclass(frozen=True)
class TokenClaims:
    """What a token says (SEP-10, "Token", Response). `issued_at` is in Unix seconds."""

    account: str
    memo: str | None
    muxed: str | None
    client_domain: str | None
    home_domain: str
    issued_at: int


@lru_cache(maxsize=4)
def _keyring(pairs: tuple[str, ...]) -> dict[str, str]:
    keyring: dict[str, str] = {}
    for pair in pairs:
        kid, _, secret = pair.partition(":")
        keyring[kid] = secret
    return keyring


def issuer() -> str:
    """The `iss` of our tokens: the URL of the endpoint that issued them."""
    return absolute_url("/auth")


def issue_token(
    *, subject: str, challenge_hash: str, home_domain: str, client_domain: str | None
) -> str:
    """Sign a token for `subject`: G..., G...:memo or M...."""
    keyring = _keyring(tuple(settings.JWT_KEYS))
    kid, secret = next(iter(keyring.items()))
    now = int(time.time())
    claims = {
        "iss": issuer(),
        "sub": subject,
        "iat": now,
        "exp": now + settings.JWT_SECONDS,
        "jti": challenge_hash,
        "home_domain": home_domain,
    }
    if client_domain is not None:
        claims["client_domain"] = client_domain
    return jwt.encode(claims, secret, algorithm=_ALGORITHM, headers={"kid": kid})


def read_token(token: str) -> TokenClaims:
    """Verify a token that `issue_token` made. Raises `InvalidToken`."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken("The token is not valid")
    claims, expires_at = _verify(token, tuple(settings.JWT_KEYS), issuer())
    if expires_at <= time.time():
        raise InvalidToken("The token has expired; authenticate again")
    return claims


# A client sends one token many times. Whether its signature is good never changes while the keys
# are the same, which are part of what is remembered; a refusal is not remembered.
@lru_cache(maxsize=2048)
def _verify(token: str, keys: tuple[str, ...], issuer: str) -> tuple[TokenClaims, int]:
    """What a token of ours says, and its `exp`."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        secret = _keyring(keys).get(str(kid))
        if secret is None:
            raise InvalidToken("The token is not valid")
        claims = jwt.decode(
            token,
            secret,
            algorithms=[_ALGORITHM],
            issuer=issuer,
            # Our servers' clocks differ by moments; a token must work on all of them at once.
            options={"require": ["iss", "sub", "iat", "exp", "jti"], "verify_iat": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise InvalidToken("The token has expired; authenticate again") from error
    except jwt.PyJWTError as error:
        raise InvalidToken("The token is not valid") from error
    address, _, memo = str(claims["sub"]).partition(":")
    muxed = address if address.startswith("M") else None
    found = TokenClaims(
        account=MuxedAccount.from_account(address).account_id,
        memo=memo or None,
        muxed=muxed,
        client_domain=claims.get("client_domain"),
        home_domain=claims["home_domain"],
        issued_at=int(claims["iat"]),
    )
    return found, int(claims["exp"])
