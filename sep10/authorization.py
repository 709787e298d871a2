"""The JWT by which a client may show that a request for a challenge is its own.

Source: SEP-10, "Challenge", Request Header and Verifying request header.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from stellar_sdk import Keypair

from kernel.errors import BadRequest, Unauthenticated

MAX_LENGTH = 4096
# Whatever `exp` says: who finds an old one in some log can't use it. The SEP's examples have it.
MAX_AGE_SECONDS = 900
LEEWAY_SECONDS = 60  # clocks differ
PARAMETERS = ("account", "memo", "home_domain", "client_domain")


def read_authorization(header: str | None, *, required: bool) -> str | None:
    """The JWT in the header `Authorization: Bearer <JWT>`; None without one.

    Raises `Unauthenticated` if there is none but must be, `BadRequest` for another header.
    """
    if not header or not header.strip():
        if required:
            raise Unauthenticated(
                "Missing authorization header: Authorization: Bearer <JWT> signed by the account, "
                "or by the SIGNING_KEY of client_domain"
            )
        return None
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_LENGTH:
        raise BadRequest("The Authorization header must be Bearer <JWT>")
    return token


def verify_authorization(
    token: str, *, signer: str, endpoint: str, parameters: Mapping[str, str | None]
) -> None:
    """Check that `signer` (G...) signed `token` for this request, a short while ago.

    `parameters` are those of the request, as the client wrote them. The same JWT may come again
    while it is fresh: all that it brings is a challenge for the same account. Raises `BadRequest`.
    """
    key = Ed25519PublicKey.from_public_bytes(Keypair.from_public_key(signer).raw_public_key())
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            leeway=LEEWAY_SECONDS,
            options={"require": ["iat", "exp", "web_auth_endpoint"], "verify_aud": False},
        )
        age = time.time() - float(claims["iat"])
    except jwt.ExpiredSignatureError as error:
        raise _invalid("has expired") from error
    except jwt.ImmatureSignatureError as error:
        raise _invalid("is not valid yet") from error
    except jwt.MissingRequiredClaimError as error:
        raise _invalid(f"must have the claim {error.claim}") from error
    except jwt.InvalidSignatureError as error:
        raise _invalid(f"must be signed by {signer}") from error
    except jwt.InvalidAlgorithmError as error:
        raise _invalid('must have the header {"alg": "EdDSA"}') from error
    except Exception as error:
        # Bytes from strangers: the decoder raises whatever it trips over.
        raise _invalid("could not be read") from error
    if age > MAX_AGE_SECONDS + LEEWAY_SECONDS:
        raise _invalid(f"is too old: iat must be at most {MAX_AGE_SECONDS} seconds ago")
    if claims["web_auth_endpoint"] != endpoint:
        raise _invalid(f"must have the claim web_auth_endpoint with the value {endpoint}")
    for name in PARAMETERS:
        claim = claims.get(name)
        # A memo may come as a number.
        if ("" if claim is None else str(claim)) != (parameters.get(name) or ""):
            raise _invalid(f"must have the claim {name} with the value of the request's {name}")


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"The authorization JWT {why}")
