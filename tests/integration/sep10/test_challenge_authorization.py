"""GET /auth with SEP-10's Authorization header, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stellar_sdk import Keypair, MuxedAccount

from kernel.http import HttpAnswer
from localnet.sending_anchor import make_authorization
from sep10.models import SendingAnchor, SendingAnchorAccount
from tests.fixtures.callers import RegisteredAnchor

WALLET = Keypair.random()


@pytest.fixture
def wallet(monkeypatch: pytest.MonkeyPatch) -> Keypair:
    body = f'SIGNING_KEY = "{WALLET.public_key}"'.encode()
    monkeypatch.setattr(
        "sep10.client_domain.safe_get", lambda url, **limits: HttpAnswer(200, {}, body)
    )
    return WALLET


def ask(keypair: Keypair | None, settings: Any, **parameters: str) -> Any:
    """GET /auth, authorized by `keypair` for exactly these parameters."""
    headers = {}
    if keypair is not None:
        proof = make_authorization(keypair, f"{settings.BASE_URL}/auth", parameters)
        headers["Authorization"] = f"Bearer {proof}"
    return Client().get("/auth", parameters, headers=headers)


def error_of(response: Any, status: int) -> str:
    assert response.status_code == status, response.content
    assert list(response.json()) == ["error"]
    assert response["Access-Control-Allow-Origin"] == "*"
    return str(response.json()["error"])


def test_an_authorized_request_gets_its_challenge(settings: Any, partner: RegisteredAnchor) -> None:
    settings.CHALLENGE_AUTHORIZATION = "required"
    for parameters in ({}, {"memo": "7"}, {"home_domain": settings.HOME_DOMAINS[0]}):
        response = ask(partner.keypair, settings, account=partner.account, **parameters)
        assert set(response.json()) == {"transaction", "network_passphrase"}


def test_a_muxed_accounts_request_is_signed_by_the_key_of_its_account(
    settings: Any, partner: RegisteredAnchor
) -> None:
    muxed = MuxedAccount(partner.account, 7).account_muxed or ""
    assert ask(partner.keypair, settings, account=muxed).status_code == 200


def test_without_the_header_a_challenge_is_given_unless_it_is_required(
    settings: Any, partner: RegisteredAnchor
) -> None:
    assert ask(None, settings, account=partner.account).status_code == 200
    settings.CHALLENGE_AUTHORIZATION = "required"
    response = ask(None, settings, account=partner.account)
    assert "Missing authorization header" in error_of(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"
    error_of(Client().get("/auth", headers={"Authorization": ""}), 401)


def test_a_header_that_is_not_right_is_refused_even_where_it_is_optional(
    settings: Any, partner: RegisteredAnchor
) -> None:
    stranger = Keypair.random()
    assert "signed by" in error_of(ask(stranger, settings, account=partner.account), 400)
    session = Client().get("/auth", {"account": partner.account}, headers=partner.headers())
    assert "EdDSA" in error_of(session, 400)


def test_with_a_client_domain_its_key_signs_the_request(
    settings: Any, partner: RegisteredAnchor, wallet: Keypair
) -> None:
    parameters = {"account": partner.account, "client_domain": "wallet.example"}
    assert ask(wallet, settings, **parameters).status_code == 200
    assert WALLET.public_key in error_of(ask(partner.keypair, settings, **parameters), 400)


def test_who_may_not_have_a_token_is_told_with_the_challenge(
    db: None, settings: Any, partner: RegisteredAnchor, wallet: Keypair
) -> None:
    stranger = Keypair.random()
    refused = ask(stranger, settings, account=stranger.public_key)
    assert "not registered" in error_of(refused, 403)
    settings.ALLOW_UNKNOWN_SENDING_ANCHORS = True
    assert ask(stranger, settings, account=stranger.public_key).status_code == 200
    assert not SendingAnchorAccount.objects.filter(account=stranger.public_key).exists()
    SendingAnchor.objects.update(client_domains=["other.example"])
    parameters = {"account": partner.account, "client_domain": "wallet.example"}
    assert "wallet.example" in error_of(ask(wallet, settings, **parameters), 403)
    assert "client_domain" in error_of(ask(partner.keypair, settings, account=partner.account), 403)
    SendingAnchor.objects.update(enabled=False)
    assert "disabled" in error_of(ask(partner.keypair, settings, account=partner.account), 403)


def test_an_authorized_challenge_costs_one_query_and_another_none(
    settings: Any, partner: RegisteredAnchor, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert ask(partner.keypair, settings, account=partner.account).status_code == 200
    with django_assert_num_queries(0):
        assert ask(None, settings, account=partner.account).status_code == 200


texts = st.text(max_size=80)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["account", "memo", "home_domain", "client_domain", "transaction", "x"]),
        texts | st.sampled_from([WALLET.public_key, "7", "localhost:8000", "127.0.0.1", "\x00"]),
    ),
    st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200),
)
def test_any_request_for_a_challenge_gets_one_or_an_error_in_words(
    db: None, parameters: dict[str, str], header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = Client(raise_request_exception=False).get("/auth", parameters, headers=headers)
    assert response.status_code in (200, 400, 403)
    assert set(response.json()) in ({"error"}, {"transaction", "network_passphrase"})


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.binary(max_size=300) | json_values.map(lambda value: {"transaction": value}),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded"]),
    st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=50),
)
def test_any_request_for_a_token_gets_an_error_in_words(
    db: None, body: Any, content_type: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    if isinstance(body, dict) and content_type != "application/json":
        body = str(body).encode()
    response = Client(raise_request_exception=False).post(
        "/auth", body, content_type=content_type, headers=headers
    )
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
