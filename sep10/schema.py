"""SEP-10 in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from kernel.schema import (
    FORM,
    JSON,
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
from sep10.challenge import MAX_CHALLENGE_LENGTH
from sep10.views import AuthView

SECURITY = {
    "SEP-10": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The token that `POST /auth` gives for a signed challenge.",
    }
}

# Nobody's; the muxed one has the id 1001.
ACCOUNT = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
MUXED = "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJUAAAAAAAAAAD5HDXC"
_CHALLENGE = "AAAAAgAAAADIiRu2BrqqeOcP28PWCkD4D5Rjjsqh71HwvqFX+F4VXAAAAGQAAAAAAAAAAAAAAAEAAA=="
_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJHQTdRWU5GIn0.c2lnbmF0dXJl"  # noqa: S105


def account(words: str, example: str = ACCOUNT) -> Schema:
    return text(words, pattern="^[GM][A-Z2-7]{55,68}$", example=example)


def operations() -> dict[type[Any], dict[str, Operation]]:
    return {AuthView: {"get": _challenge(), "post": _token()}}


def _challenge() -> Operation:
    home = settings.HOME_DOMAINS[0]
    return operation(
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
        answers={
            200: answer(
                "The challenge.",
                record(
                    {
                        "transaction": text("The transaction envelope, as base64 XDR."),
                        "network_passphrase": text(
                            "Of the network that we are on.", example=settings.NETWORK_PASSPHRASE
                        ),
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
                "A parameter is missing or wrong, or the client domain has no key.",
                no_account="account is required",
                no_such_account="account must be a Stellar account (G...) or a muxed account (M...)",
                memo_and_muxed=(
                    "memo must not be given with a muxed account (M...), which holds an id"
                ),
                other_home_domain=f"home_domain must be one of: {', '.join(settings.HOME_DOMAINS)}",
            ),
        },
    )


def _token() -> Operation:
    return operation(
        "post_challenge",
        "A token for a signed challenge",
        "The token says who you are for an hour (see its `exp`). Send it with all further requests "
        "as `Authorization: Bearer <token>`.",
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
            JSON,
            FORM,
            examples={"signed_challenge": {"transaction": _CHALLENGE}},
        ),
        answers={
            200: answer(
                "The token.",
                record({"token": text("A JWT.")}, required=("token",)),
                {"token": {"token": _TOKEN}},
            ),
            400: refusal(
                "No challenge of ours, or not signed as it has to be, or over, or used before.",
                no_transaction="transaction is required",
                no_challenge=(
                    "transaction must be the base64 XDR of a challenge that this server gave"
                ),
                used="transaction was used before; ask for a new challenge",
            ),
            403: refusal(
                "The account may not use this service.",
                unknown=(
                    "This account is not registered as a sending anchor; ask us for an agreement"
                ),
                disabled="This sending anchor is disabled; ask us why",
            ),
            503: refusal(
                "Something that we depend on does not answer.",
                headers={"Retry-After": "In how many seconds to try again."},
                no_ledger="The account's signers can't be looked up right now; try again later",
            ),
        },
    )
