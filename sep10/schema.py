"""SEP-10 in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from kernel.schema import (
    FORM,
    JSON,
    RETRY_AFTER,
    Operation,
    Schema,
    answer,
    body,
    operation,
    query,
    record,
    refusal,
    text,
)
from sep10.signed_challenge import MAX_CHALLENGE_LENGTH
from sep10.tokens import issuer
from sep10.views import AuthView

SECURITY = {
    "SEP-10": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The token that `POST /auth` gives for a signed challenge.",
    },
    "ClientSignature": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT (EdDSA) with the parameters of the request as claims, "
        f'`"web_auth_endpoint": "{issuer()}"`, `iat` and `exp`. The key of the account signs it, '
        "or the `SIGNING_KEY` of the client domain if one is named.",
    },
}

# Nobody's; the muxed one has the id 1001.
ACCOUNT = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
MUXED = "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJUAAAAAAAAAAD5HDXC"
_CHALLENGE = "AAAAAgAAAADIiRu2BrqqeOcP28PWCkD4D5Rjjsqh71HwvqFX+F4VXAAAAGQAAAAAAAAAAAAAAAEAAA=="
_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJHQTdRWU5GIn0.c2lnbmF0dXJl"  # noqa: S105


def account(words: str) -> Schema:
    return text(words, pattern="^(G[A-Z2-7]{55}|M[A-Z2-7]{68})$", example=ACCOUNT)


def operations() -> dict[type[Any], dict[str, Operation]]:
    return {AuthView: {"get": _challenge(), "post": _token()}}


def _challenge() -> Operation:
    home = settings.HOME_DOMAINS[0]
    required = settings.CHALLENGE_AUTHORIZATION == "required"
    answers = {
        200: answer(
            "The challenge.",
            record(
                {
                    "transaction": text("The transaction envelope, as base64 XDR."),
                    "network_passphrase": text("Of the network that we are on."),
                },
                required=("transaction", "network_passphrase"),
            ),
            {
                "challenge": {
                    "transaction": _CHALLENGE,
                    "network_passphrase": settings.NETWORK_PASSPHRASE,
                }
            },
        ),
        400: refusal(
            "A parameter or the JWT is wrong, or the client domain has no key.",
            {
                "no_account": "account is required",
                "no_such_account": "account must be a Stellar account (G...) or a muxed account "
                "(M...)",
                "memo_and_muxed": "memo must not be given with a muxed account (M...), which "
                "holds an id",
                "other_home_domain": "home_domain must be one of: "
                + ", ".join(settings.HOME_DOMAINS),
                "other_header": "The Authorization header must be Bearer <JWT>",
            },
        ),
        403: refusal(
            "With a JWT: the account may not use this service.",
            {"unknown": _UNKNOWN, "disabled": _DISABLED},
        ),
        429: _too_many(),
        503: refusal(
            "Too many client domains are being looked up.",
            {"busy": "Too many client domains are being looked up; try again in a moment"},
            headers=RETRY_AFTER,
        ),
    }
    if required:
        answers[401] = refusal(
            "No JWT.",
            {
                "none": "Missing authorization header: Authorization: Bearer <JWT> signed by the "
                "account, or by the SIGNING_KEY of client_domain"
            },
        )
    found = operation(
        "get_challenge",
        "A challenge to sign",
        "A transaction that can never be submitted. Check it, sign it with the account's key (and "
        "the client domain's, if you named one), and send it back. It is good for "
        f"{settings.CHALLENGE_SECONDS} seconds and one token.",
        sep=(10, "Challenge"),
        parameters=(
            query("account", "Who wants a token.", account(""), required=True),
            query(
                "memo",
                "One of the users who share the account: an id memo. Not with `M...`.",
                text(pattern="^(0|[1-9][0-9]{0,19})$", example="1001"),
            ),
            query(
                "home_domain",
                f"Which of our domains you come by; {home} if you name none.",
                text(enum=list(settings.HOME_DOMAINS), example=home),
            ),
            query(
                "client_domain",
                "The domain of your application, whose stellar.toml has the key that signs for it.",
                text(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$", maxLength=64),
            ),
        ),
        answers=answers,
    )
    return {**found, "security": [{"ClientSignature": []}, *([] if required else [{}])]}


_UNKNOWN = "This account is not registered as a sending anchor; ask us for an agreement"
_DISABLED = "This sending anchor is disabled; ask us why"


def _too_many() -> Schema:
    return refusal(
        "Too many requests from your address or for the account.",
        {"too_many": "Too many requests; try again in 60 seconds"},
        headers=RETRY_AFTER,
    )


def _token() -> Operation:
    return operation(
        "post_challenge",
        "A token for a signed challenge",
        f"The token says who you are for {settings.JWT_SECONDS} seconds. Send it with all further "
        "requests as `Authorization: Bearer <token>`.",
        sep=(10, "Token"),
        request=body(
            record(
                {
                    "transaction": text(
                        "The challenge, signed, as base64 XDR.", maxLength=MAX_CHALLENGE_LENGTH
                    )
                },
                required=("transaction",),
            ),
            {"signed_challenge": {"transaction": _CHALLENGE}},
            JSON,
            FORM,
        ),
        answers={
            200: answer(
                "The token.",
                record({"token": text("A JWT.")}, required=("token",)),
                {"token": {"token": _TOKEN}},
            ),
            400: refusal(
                "No challenge of ours, or not signed as it has to be, or over, or used before.",
                {
                    "no_transaction": "transaction is required",
                    "no_challenge": "transaction must be the base64 XDR of a challenge that this "
                    "server gave",
                    "used": "transaction was used before; ask for a new challenge",
                },
            ),
            403: refusal(
                "The account may not use this service.",
                {"unknown": _UNKNOWN, "disabled": _DISABLED},
            ),
            429: _too_many(),
            503: refusal(
                "Something that we depend on does not answer.",
                {
                    "no_ledger": "The account's signers can't be looked up right now; try again "
                    "later"
                },
                headers=RETRY_AFTER,
            ),
        },
    )
