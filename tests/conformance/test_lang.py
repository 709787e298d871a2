"""`lang`, where the SEPs have it: "(optional) Defaults to `en`. Language code specified using
ISO 639-1"."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.fixtures.callers import RegisteredAnchor
from tests.fixtures.kyc import Api
from tests.fixtures.transactions import post_transaction, register_customer

SENDERS = {
    "en": "A person who sends money.",
    "es": "Una persona que envía dinero.",
    "pt": "Uma pessoa que envia dinheiro.",
    "fr": "Une personne qui envoie de l'argent.",
}


def description(answer: Any) -> str:
    types = answer.json()["receive"]["USDC"]["sep12"]["sender"]["types"]
    return str(types["sep31-sender"]["description"])


@pytest.mark.parametrize("lang", SENDERS)
def test_descriptions_of_sep31s_info_are_in_this_language(lang: str) -> None:
    """SEP-31, GET Info: "`description` fields in the response should be in this language"."""
    assert description(Client().get("/sep31/info", {"lang": lang})).startswith(SENDERS[lang])
    assert description(Client().get("/sep31/info")).startswith(SENDERS["en"])


@pytest.mark.parametrize(
    ("lang", "error"),
    [
        ("es", "amount debe ser de 10000 como máximo"),
        ("pt", "amount deve ser de no máximo 10000"),
        ("fr", "amount doit être d'au plus 10000"),
        (None, "amount must be at most 10000"),
    ],
)
def test_errors_of_a_transaction_are_in_the_language_indicated_in_the_request(
    anchor: RegisteredAnchor, lang: str | None, error: str
) -> None:
    """SEP-31, POST Transactions: "Any human-readable error codes or field descriptions will be
    returned in this language"; Error: "in the language indicated in the request"."""
    answer = post_transaction(anchor, amount="10001", lang=lang)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    ("lang", "described", "message"),
    [
        ("es", "Apellidos", "Aún falta: last_name."),
        ("pt", "Sobrenome", "Ainda falta: last_name."),
        ("fr", "Nom de famille", "Il manque encore : last_name."),
        ("en", "Family name", "Still needed: last_name."),
    ],
)
def test_descriptions_and_messages_on_a_customer_are_in_this_language(
    api: Api, anchor: RegisteredAnchor, lang: str, described: str, message: str
) -> None:
    """SEP-12, Customer GET: "Human readable descriptions, choices, and messages should be in this
    language". Choices are what clients send back, so they are the same in each."""
    pk = register_customer(anchor, "1", "sep31-sender", first_name="Ana")
    told = api.get(id=pk, lang=lang).json()
    assert told["fields"]["last_name"]["description"] == described
    assert told["message"] == message
