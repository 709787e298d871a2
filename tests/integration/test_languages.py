"""What people read is in the language that a request asks for, by `lang` or Accept-Language."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from callbacks.models import Callback
from sep1.assets import received_assets
from sep12 import services as sep12
from sep12.models import Customer
from sep12.types import customer_types
from sep31.info import write_info
from sep31.machine import Status
from sep31.models import Transaction
from sep31.services import advance
from sep38.pairs import all_pairs
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor
from tests.fixtures.transactions import (
    deadline_passes,
    make_transaction,
    order,
    register_both,
    register_customer,
)

EN, ES, PT, FR = (
    "Waiting for your payment on Stellar.",
    "Esperamos su pago en Stellar.",
    "Aguardando seu pagamento na Stellar.",
    "Nous attendons votre paiement sur Stellar.",
)
WORDS = {"en": EN, "es": ES, "pt": PT, "fr": FR}
HOSTILE = ["de", "spa", "es" * 1000, "\x00", "../es", "{language}", "ES\r\nX: 1", "ﬁ", "*", "0"]


@pytest.fixture
def anchor(db: None) -> RegisteredAnchor:
    return make_sending_anchor()


@pytest.fixture
def _own_words(settings: Any) -> Iterator[None]:
    """An anchor.toml with descriptions in two languages."""
    both = {"en": "What for", "es": "Para qué"}
    [usdc, *others] = settings.ANCHOR["assets"]
    settings.ANCHOR = {
        **settings.ANCHOR,
        "assets": [{**usdc, "fields": {"purpose": {"description": both}}}, *others],
        "customer_types": {
            "payer": {"role": "sender", "description": {"en": "A payer.", "es": "Quien paga."}},
            "payee": {"role": "receiver", "description": "A payee.", "from_amount": "5000"},
            "small-payee": {"role": "receiver", "description": "Small."},
        },
        "pairs": [
            {
                **pair,
                "buy_delivery_methods": [{**one, "description": both} for one in methods],
            }
            for pair in settings.ANCHOR["pairs"]
            for methods in (pair["buy_delivery_methods"],)
        ],
    }
    forget()
    yield
    forget()


def forget() -> None:
    for cached in (received_assets, customer_types, write_info, all_pairs):
        cached.cache_clear()


def get(anchor: RegisteredAnchor | None, path: str, accept: str = "", **query: str) -> Any:
    headers = {**(anchor.headers() if anchor else {}), "Accept-Language": accept}
    return Client().get(path, query, headers=headers)


# -- SEP-31: GET /info --------------------------------------------------------------------------
@pytest.mark.usefixtures("_own_words")
@pytest.mark.parametrize(
    ("query", "accept", "language"),
    [
        ({}, "", "en"),
        ({"lang": "es"}, "", "es"),
        ({"lang": "es-AR"}, "fr", "es"),
        ({}, "de, es-MX;q=0.9, fr;q=0.8", "es"),
        ({}, "fr;q=0.8, es;q=0.9", "es"),
        ({"lang": "de"}, "es", "en"),
        ({}, "*", "en"),
    ],
)
def test_info_is_in_the_language_that_is_asked_for(
    query: dict[str, str], accept: str, language: str
) -> None:
    answer = get(None, "/sep31/info", accept, **query)
    assert answer.status_code == 200
    assert answer["Content-Language"] == language
    assert "Accept-Language" in answer["Vary"]
    usdc = answer.json()["receive"]["USDC"]
    types = usdc["sep12"]["sender"]["types"] | usdc["sep12"]["receiver"]["types"]
    spanish = language == "es"
    assert types["payer"]["description"] == ("Quien paga." if spanish else "A payer.")
    # Only the company's own words are left as they are where it has no others.
    assert types["payee"]["description"] == (
        "A payee. Para pagos de 5000 USDC o más."
        if spanish
        else "A payee. For payments of 5000 USDC or more."
    )
    purpose = usdc["fields"]["transaction"]["purpose"]["description"]
    assert purpose == ("Para qué" if spanish else "What for")


def test_the_same_document_is_told_in_each_language() -> None:
    """Nothing but descriptions differs."""
    told = [get(None, "/sep31/info", lang=lang).json() for lang in WORDS]
    descriptions = [
        [
            about.pop("description")
            for asset in one["receive"].values()
            for role in asset["sep12"].values()
            for about in role.get("types", {}).values()
        ]
        for one in told
    ]
    assert told == [told[0]] * 4
    # The shipped anchor.toml has all of them.
    assert all(len(set(words)) == 4 for words in zip(*descriptions, strict=True))


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("path", ["/sep31/info", "/sep38/info"])
def test_info_is_in_english_whatever_else_is_asked_for(path: str, value: str) -> None:
    plain = get(None, path)
    by_parameter = get(None, path, lang=value)
    by_header = get(None, path, re.sub(r"[\r\n]", " ", value))
    for answer in (by_parameter, by_header):
        assert answer.status_code == 200
        assert answer["Content-Language"] == "en"
        assert answer.content == plain.content


# -- SEP-38 -------------------------------------------------------------------------------------
@pytest.mark.usefixtures("_own_words")
@pytest.mark.parametrize(("lang", "words"), [("es", "Para qué"), ("en", "What for")])
def test_delivery_methods_are_described_in_the_language(lang: str, words: str) -> None:
    for answer in (get(None, "/sep38/info", lang), get(None, "/sep38/info", lang=lang)):
        assert answer["Content-Language"] == lang
        described = [
            method["description"]
            for asset in answer.json()["assets"]
            for method in asset.get("buy_delivery_methods", [])
        ]
        assert set(described) == {words}


# -- SEP-31: transactions -----------------------------------------------------------------------
def shown(anchor: RegisteredAnchor, row: Transaction, accept: str = "", **query: str) -> Any:
    return get(anchor, f"/sep31/transactions/{row.pk}", accept, **query)


@pytest.mark.parametrize("language", WORDS)
def test_a_status_message_is_in_the_language_of_whoever_asks(
    anchor: RegisteredAnchor, language: str
) -> None:
    row = make_transaction(anchor)
    for answer in (shown(anchor, row, language), shown(anchor, row, lang=language)):
        assert answer.json()["transaction"]["status_message"] == WORDS[language]
        assert answer["Content-Language"] == language
        assert answer["Vary"] == "Accept-Language"


def test_who_asks_for_no_language_gets_that_of_the_transaction(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor, lang="pt-BR")
    assert row.lang == "pt"
    for accept in ("", "*", "de"):
        answer = shown(anchor, row, accept)
        assert answer.json()["transaction"]["status_message"] == PT
        assert answer["Content-Language"] == "pt"
    # `lang` that we don't speak "defaults to en".
    assert shown(anchor, row, lang="de").json()["transaction"]["status_message"] == EN


def test_a_transaction_is_in_the_language_that_the_post_accepts(anchor: RegisteredAnchor) -> None:
    both = register_both(anchor)
    for body, accept, language in [
        ({}, "fr-CA, en;q=0.5", "fr"),
        ({"lang": "es"}, "fr", "es"),
        ({"lang": "xx"}, "fr", "en"),
        ({}, "", "en"),
    ]:
        answer = post_with(anchor, {**both, **body}, accept)
        assert answer.status_code == 201, answer.content
        assert Transaction.objects.get(pk=answer.json()["id"]).lang == language


def post_with(anchor: RegisteredAnchor, changes: dict[str, Any], accept: str = "") -> Any:
    headers = {**anchor.headers(), "Accept-Language": accept}
    return Client().post(
        "/sep31/transactions", order(**changes), "application/json", headers=headers
    )


@pytest.mark.parametrize("path", ["transactions", "events"])
def test_lists_are_in_the_language_asked_for_and_else_each_in_its_own(
    anchor: RegisteredAnchor, path: str
) -> None:
    for lang in ("es", "fr"):
        row = make_transaction(anchor, lang=lang)
        deadline_passes(row)
        advance([row.pk])
    expired = {
        "es": "No llegó ningún pago dentro del plazo.",
        "fr": "Aucun paiement n'est arrivé dans le délai.",
        "pt": "Nenhum pagamento chegou dentro do prazo.",
    }

    def messages(answer: Any) -> set[str]:
        assert answer.status_code == 200, answer.content
        return {one["status_message"] for one in answer.json()[path]}

    own = get(anchor, f"/sep31/{path}")
    assert messages(own) == {expired["es"], expired["fr"]}
    assert "Content-Language" not in own
    for answer in (get(anchor, f"/sep31/{path}", "pt"), get(anchor, f"/sep31/{path}", lang="pt")):
        assert messages(answer) == {expired["pt"]}
        assert answer["Content-Language"] == "pt"


def test_a_callback_is_in_the_language_of_its_transaction(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor, lang="fr")
    Transaction.objects.filter(pk=row.pk).update(callback_url="https://example.com/hook")
    deadline_passes(row)
    advance([row.pk])
    told = json.loads(Callback.objects.get().body)["transaction"]
    assert told["status"] == Status.EXPIRED
    assert told["status_message"] == "Aucun paiement n'est arrivé dans le délai."


def test_a_language_that_was_stored_before_we_knew_languages_is_english(
    anchor: RegisteredAnchor,
) -> None:
    row = make_transaction(anchor)
    Transaction.objects.filter(pk=row.pk).update(lang="x\r\ny")
    answer = shown(anchor, row)
    assert answer.json()["transaction"]["status_message"] == EN
    assert answer["Content-Language"] == "en"


def test_a_language_costs_no_query(
    anchor: RegisteredAnchor, django_assert_max_num_queries: Any
) -> None:
    row = make_transaction(anchor)
    with django_assert_max_num_queries(20) as plain:
        shown(anchor, row)
    with django_assert_max_num_queries(len(plain)):
        shown(anchor, row, "fr;q=0.5, pt", lang="es")


# -- SEP-31: why a payment can't be made ---------------------------------------------------------
def test_a_refusal_of_a_payment_is_in_the_language_indicated_in_the_request(
    anchor: RegisteredAnchor,
) -> None:
    """SEP-31, POST Transactions, "Error (400 Bad Request)"."""
    requests: list[tuple[dict[str, Any], str, str]] = [
        ({"amount": "20000"}, "", "amount must be at most 10000"),
        ({"amount": "20000", "lang": "es"}, "fr", "amount debe ser de 10000 como máximo"),
        ({"amount": "20000"}, "fr", "amount doit être d'au plus 10000"),
        ({"amount": "1e3", "lang": "pt"}, "", "amount deve ser um valor positivo escrito em díg"),
        ({"asset_code": None, "lang": "es"}, "", "Falta asset_code"),
        ({"quote_id": "7", "lang": "fr"}, "", "quote_id doit être l'identifiant d'un devis qui"),
        (
            {"destination_asset": "iso4217:JPY", "lang": "es"},
            "",
            "destination_asset no se puede entregar: No hay cambio de stellar:USDC:",
        ),
        (
            {"destination_asset": "yen", "lang": "pt"},
            "",
            "destination_asset não é válido: um ativo é escrito como stellar:USDC:G...",
        ),
        ({"sender_id": str(uuid.uuid4()), "lang": "xx"}, "es", "sender_id must be the id of a"),
    ]
    for changes, accept, words in requests:
        answer = post_with(anchor, changes, accept)
        assert answer.status_code == 400, answer.content
        assert answer.json()["error"].startswith(words)
        assert answer.headers.get("Content-Language") == (
            None if "must be" in words else changes.get("lang", accept)
        )


def test_a_lang_that_is_given_twice_is_refused_before_anything_is_done(
    anchor: RegisteredAnchor,
) -> None:
    paths = ["/sep31/info", "/sep38/info", "/sep31/transactions", "/sep12/customer"]
    for path in [*paths, f"/sep31/transactions/{make_transaction(anchor).pk}"]:
        answer = Client().get(f"{path}?lang=es&lang=pt", headers=anchor.headers())
        assert (answer.status_code, answer.json()) == (400, {"error": "lang must be given once"})
    row = Transaction.objects.get()
    answer = Client().post(
        f"/sep31/transactions/{row.pk}/cancel?lang=es&lang=pt", headers=anchor.headers()
    )
    assert answer.status_code == 400
    row.refresh_from_db()
    assert row.cancelled_at is None


def test_codes_of_sep31_are_the_same_in_each_language(anchor: RegisteredAnchor) -> None:
    sender = register_customer(anchor, "1", "sep31-sender")
    answer = post_with(anchor, {"sender_id": sender, "lang": "es"})
    assert answer.json() == {"error": "customer_info_needed", "type": "sep31-sender"}


@pytest.mark.usefixtures("_own_words")
def test_fields_that_a_transaction_lacks_are_described_in_the_language(
    anchor: RegisteredAnchor,
) -> None:
    answer = post_with(anchor, {}, "es")
    assert answer.json() == {
        "error": "transaction_info_needed",
        "fields": {"transaction": {"purpose": {"description": "Para qué"}}},
    }


@pytest.mark.parametrize("lang", [["es"], {"es": 1}, 7, True, "e" * 11, "\x00"])
def test_a_lang_that_is_no_language_code_is_refused_like_any_wrong_value(
    anchor: RegisteredAnchor, lang: Any
) -> None:
    answer = post_with(anchor, {"lang": lang})
    assert answer.status_code == 400
    assert "lang" in answer.json()["error"] or "JSON" in answer.json()["error"]


@pytest.mark.parametrize("lang", [None, "", "xx", "{field}"])
def test_a_lang_that_we_do_not_speak_is_english(anchor: RegisteredAnchor, lang: Any) -> None:
    answer = post_with(anchor, {**register_both(anchor), "lang": lang})
    assert answer.status_code == 201
    assert Transaction.objects.get().lang == "en"


def test_other_errors_are_in_english(anchor: RegisteredAnchor) -> None:
    """They are for developers."""
    answer = get(anchor, f"/sep31/transactions/{uuid.uuid4()}", "es", lang="es")
    assert (answer.status_code, answer.json()) == (404, {"error": "There is no such transaction"})
    answer = get(anchor, "/sep12/customer", "es", lang="es", type="nobody")
    assert answer.status_code == 400
    assert "must be one of" in answer.json()["error"]
    assert "Content-Language" not in answer


# -- SEP-12 -------------------------------------------------------------------------------------
def customer(anchor: RegisteredAnchor, accept: str = "", **query: str) -> Any:
    return get(anchor, "/sep12/customer", accept, **{"type": "sep31-receiver", **query})


def test_fields_are_described_in_the_language(anchor: RegisteredAnchor) -> None:
    for language, words in [
        ("en", ("Family name", "Kind of bank account: checking or savings")),
        ("es", ("Apellidos", "Tipo de cuenta bancaria: checking (corriente) o savings (ahorro)")),
        ("pt", ("Sobrenome", "Tipo de conta bancária: checking (corrente) ou savings (poupança)")),
        ("fr", ("Nom de famille", "Type de compte bancaire : checking (courant) ou savings")),
    ]:
        for answer in (customer(anchor, lang=language), customer(anchor, language)):
            fields = answer.json()["fields"]
            assert fields["last_name"]["description"] == words[0]
            assert fields["bank_account_type"]["description"].startswith(words[1])
            assert fields["bank_account_type"]["choices"] == ["checking", "savings"]
            assert answer["Content-Language"] == language
            assert answer["Vary"] == "Accept-Language"


def test_what_a_customer_lacks_is_told_in_the_language(anchor: RegisteredAnchor) -> None:
    pk = register_customer(anchor, "7", "sep31-receiver", first_name="Bob", last_name="Banda")
    body = customer(anchor, id=pk, lang="es").json()
    assert body["message"] == "Aún falta: bank_account_number, bank_number."
    assert body["provided_fields"]["first_name"]["description"] == "Nombre"
    sep12.reject_fields(uuid.UUID(pk), {"last_name": "not as on the passport"})
    body = customer(anchor, "fr", id=pk).json()
    assert body["message"] == (
        "Il manque encore : bank_account_number, bank_number. À renvoyer : last_name."
    )
    # A partner's own words are told as they were written.
    assert body["provided_fields"]["last_name"]["error"] == "not as on the passport"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_customer_is_told_of_in_english_whatever_else_is_asked_for(
    anchor: RegisteredAnchor, value: str
) -> None:
    answer = customer(anchor, lang=value)
    assert answer.status_code == 200
    assert answer.content == customer(anchor).content


def test_callbacks_on_a_customer_are_in_the_language_of_the_request_that_set_them(
    anchor: RegisteredAnchor,
) -> None:
    pk = register_customer(anchor, "7", "sep31-sender", first_name="Ana", last_name="Luna")
    for number, (query, accept, language) in enumerate(
        [("", "pt", "pt"), ("?lang=es", "pt", "es"), ("", "", "en")]
    ):
        answer = Client().put(
            f"/sep12/customer/callback{query}",
            {"id": pk, "url": "https://example.com/hook"},
            "application/json",
            headers={**anchor.headers(), "Accept-Language": accept},
        )
        assert answer.status_code == 200, answer.content
        assert Customer.objects.get(pk=pk).callback_language == language
        sep12.reject_fields(uuid.UUID(pk), {"last_name": "unreadable"})
        told = json.loads(Callback.objects.latest("pk").body)
        assert told == get(anchor, "/sep12/customer", lang=language, id=pk).json()
        register_customer(anchor, "7", "sep31-sender", last_name="Luna" + "a" * (number + 1))
