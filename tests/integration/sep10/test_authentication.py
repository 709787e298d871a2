"""Tokens at the door of another protocol's endpoints."""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import jwt
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from stellar_sdk import Keypair, MuxedAccount

from kernel.errors import Forbidden
from sep10.models import SendingAnchor, SendingAnchorAccount
from sep10.views import AuthenticatedView, OptionallyAuthenticatedView
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor

pytestmark = pytest.mark.django_db
SECRET = "s" * 32
NO_TOKENS = ["Bearer", "Bearer  ", "Basic x", "Bearer a b", "Bearer a.b.c", "bearer ..",
             "Bearer \x00", "Bearer " + "a" * 5000]  # fmt: skip


class Door(AuthenticatedView):
    def get(self, request: Request) -> Response:
        caller: Any = request.user
        return Response([caller.account, caller.memo, caller.muxed, caller.sending_anchor.name])

    def post(self, request: Request) -> Response:
        return Response(request.data)


class ForbiddingDoor(Door):
    refusal = Forbidden


class OpenDoor(OptionallyAuthenticatedView):
    def get(self, request: Request) -> Response:
        caller: Any = request.user
        return Response(caller and caller.account)


@pytest.fixture
def partner() -> RegisteredAnchor:
    return make_sending_anchor("Partner")


@pytest.fixture(autouse=True)
def keys(settings: Any) -> None:
    settings.JWT_KEYS = [f"new:{SECRET}", f"old:{'o' * 32}"]


def knock(view: Any, authorization: str | None) -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return view.as_view()(APIRequestFactory().get("/", headers=headers))


def claims(account: str, settings: Any, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {
        "iss": f"{settings.BASE_URL}/auth",
        "sub": account,
        "iat": now,
        "exp": now + 60,
        "jti": "a" * 64,
        "home_domain": "localhost",
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def token(
    claims: dict[str, Any], secret: str = SECRET, kid: Any = "new", alg: str = "HS256"
) -> str:
    headers = {} if kid is None else {"kid": kid}
    return "Bearer " + jwt.encode(claims, secret, algorithm=alg, headers=headers)


def test_the_bearer_of_a_token_is_known_by_account_memo_and_sending_anchor(
    partner: RegisteredAnchor,
) -> None:
    account = partner.account
    muxed = MuxedAccount(account, 9).account_muxed
    assert knock(Door, bearer_for(account)).data == [account, None, None, "Partner"]
    assert knock(Door, bearer_for(account, "0")).data == [account, "0", None, "Partner"]
    assert knock(Door, bearer_for(account, muxed_id=9)).data == [account, None, muxed, "Partner"]


def test_knowing_the_caller_costs_one_query(
    partner: RegisteredAnchor, django_assert_num_queries: Any
) -> None:
    authorization = bearer_for(partner.account)
    with django_assert_num_queries(1):
        assert knock(Door, authorization).status_code == 200


def test_a_handmade_token_like_ours_is_the_measure_of_the_tests_below(
    partner: RegisteredAnchor, settings: Any
) -> None:
    assert knock(Door, token(claims(partner.account, settings))).status_code == 200


def test_a_token_of_the_older_key_is_good_until_that_key_is_dropped(
    partner: RegisteredAnchor, settings: Any
) -> None:
    authorization = token(claims(partner.account, settings), "o" * 32, "old")
    assert knock(Door, authorization).status_code == 200
    settings.JWT_KEYS = [f"new:{SECRET}"]
    assert knock(Door, authorization).status_code == 401


def test_the_newest_key_signs(partner: RegisteredAnchor) -> None:
    text = bearer_for(partner.account).removeprefix("Bearer ")
    assert jwt.get_unverified_header(text) == {"alg": "HS256", "kid": "new", "typ": "JWT"}


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1}, {"exp": None}, {"iss": None}, {"iss": "https://evil.example/auth"},
        {"sub": None}, {"iat": None}, {"jti": None}, {"nbf": 2**40}, {"exp": "soon"},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_with_other_claims_is_refused(
    partner: RegisteredAnchor, settings: Any, changes: dict[str, Any]
) -> None:
    assert knock(Door, token(claims(partner.account, settings, **changes))).status_code == 401


@pytest.mark.parametrize(
    ("secret", "kid"),
    [("x" * 32, "new"), (SECRET, "old"), (SECRET, "unknown"), (SECRET, None), (SECRET, "")],
)
def test_a_token_under_another_key_is_refused(
    partner: RegisteredAnchor, settings: Any, secret: str, kid: str | None
) -> None:
    assert knock(Door, token(claims(partner.account, settings), secret, kid)).status_code == 401


def test_only_the_one_algorithm_counts(partner: RegisteredAnchor, settings: Any) -> None:
    good = claims(partner.account, settings)
    assert knock(Door, token(good, "", alg="none")).status_code == 401
    assert knock(Door, token(good, SECRET * 2, alg="HS512")).status_code == 401
    assert knock(Door, token(good, SECRET, alg="HS384")).status_code == 401


def test_a_token_that_was_tampered_with_is_refused(
    partner: RegisteredAnchor, settings: Any
) -> None:
    header, body, signature = bearer_for(partner.account).split(".")
    _, other, _ = bearer_for(Keypair.random().public_key).split(".")
    assert knock(Door, f"{header}.{other}.{signature}").status_code == 401
    assert knock(Door, f"{header}.{body}.").status_code == 401
    assert knock(Door, f"{header}.{body}").status_code == 401


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(st.characters(max_codepoint=255)) | st.sampled_from(NO_TOKENS))
def test_any_other_authorization_is_refused(authorization: str) -> None:
    response = knock(Door, authorization)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert list(response.data) == ["error"]


def test_the_scheme_is_read_in_any_case(partner: RegisteredAnchor) -> None:
    authorization = bearer_for(partner.account).replace("Bearer", "bEaReR")
    assert knock(Door, authorization).status_code == 200


def test_without_a_token_each_protocol_refuses_in_its_own_way() -> None:
    assert knock(Door, None).status_code == 401
    assert knock(Door, None)["WWW-Authenticate"] == "Bearer"
    assert knock(ForbiddingDoor, None).status_code == 403
    assert knock(ForbiddingDoor, "Bearer x").status_code == 403


def test_the_refusal_comes_before_the_body_is_read() -> None:
    request = APIRequestFactory().post("/", b"{", content_type="text/plain")
    assert Door.as_view()(request).status_code == 401


def test_a_disabled_sending_anchor_is_refused_at_once(partner: RegisteredAnchor) -> None:
    authorization = bearer_for(partner.account)
    SendingAnchor.objects.update(enabled=False)
    assert knock(Door, authorization).status_code == 401


def test_an_account_taken_off_the_list_is_refused_at_once(partner: RegisteredAnchor) -> None:
    authorization = bearer_for(partner.account)
    SendingAnchorAccount.objects.all().delete()
    assert knock(Door, authorization).status_code == 401


def test_tokens_from_before_a_revocation_are_refused_and_later_ones_are_not(
    partner: RegisteredAnchor,
) -> None:
    authorization = bearer_for(partner.account)
    SendingAnchor.objects.update(tokens_valid_from=timezone.now() + timedelta(seconds=1))
    assert "revoked" in knock(Door, authorization).data["error"]
    SendingAnchor.objects.update(tokens_valid_from=timezone.now() - timedelta(seconds=30))
    assert knock(Door, authorization).status_code == 200


def test_a_token_that_no_client_domain_of_the_agreement_vouched_for_stops_working(
    partner: RegisteredAnchor, settings: Any
) -> None:
    vouched = token(claims(partner.account, settings, client_domain="wallet.example"))
    bare = token(claims(partner.account, settings))
    SendingAnchor.objects.update(client_domains=["wallet.example"])
    assert knock(Door, vouched).status_code == 200
    assert "client_domain" in knock(Door, bare).data["error"]
    SendingAnchor.objects.update(client_domains=["other.example"])
    assert knock(Door, vouched).status_code == 401


def test_revoking_ends_the_tokens_of_one_sending_anchor_at_once(
    partner: RegisteredAnchor, settings: Any
) -> None:
    other = make_sending_anchor("Other")
    old = token(claims(partner.account, settings, iat=int(time.time()) - 5))
    theirs = token(claims(other.account, settings, iat=int(time.time()) - 5))
    call_command("revoke_tokens", "Partner", stdout=StringIO())
    assert "revoked" in knock(Door, old).data["error"]
    assert knock(Door, theirs).status_code == 200
    later = token(claims(partner.account, settings, iat=int(time.time()) + 1))
    assert knock(Door, later).status_code == 200
    with pytest.raises(CommandError, match="no sending anchor Nobody"):
        call_command("revoke_tokens", "Nobody")


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=3000))
def test_any_json_in_a_tokens_header_is_refused(raw: bytes) -> None:
    for head in (raw, b"[" * 2500, b'{"alg":' + b"[" * 2500):
        segment = base64.urlsafe_b64encode(head).rstrip(b"=").decode()
        assert knock(Door, f"Bearer {segment}.e30.x").status_code == 401


def test_where_a_token_is_optional_a_bad_one_is_still_refused(partner: RegisteredAnchor) -> None:
    assert knock(OpenDoor, None).data is None
    assert knock(OpenDoor, bearer_for(partner.account)).data == partner.account
    assert knock(OpenDoor, "Bearer x").status_code == 401
    SendingAnchor.objects.update(enabled=False)
    assert knock(OpenDoor, bearer_for(partner.account)).status_code == 401
