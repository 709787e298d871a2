"""POST /auth."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from stellar_sdk import (
    Account,
    IdMemo,
    Keypair,
    ManageData,
    MuxedAccount,
    TextMemo,
    TransactionBuilder,
    TransactionEnvelope,
)

from kernel.errors import Unavailable
from kernel.http import HttpAnswer
from kernel.keys import signing_keypair
from sep10.models import SendingAnchor, SendingAnchorAccount, UsedChallenge
from sep10.services import PURGE_MARGIN, purge_used_challenges
from sep10.signed_challenge import AccountSigners
from tests.fixtures.callers import RegisteredAnchor
from tests.integration.sep10.conftest import Signers, ask, signed

Post = Callable[[Any], Any]


def claims_of(response: Any, settings: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    assert list(response.json()) == ["token"]
    secret = settings.JWT_KEYS[0].split(":")[1]
    return jwt.decode(
        response.json()["token"], secret, algorithms=["HS256"], options={"verify_aud": False}
    )


def error_of(response: Any, status: int = 400) -> str:
    assert response.status_code == status, response.content
    assert list(response.json()) == ["error"]
    assert response["Access-Control-Allow-Origin"] == "*"
    return str(response.json()["error"])


def forge(
    partner: RegisteredAnchor,
    settings: Any,
    *,
    operations: list[ManageData] | None = None,
    seconds: tuple[int, int | None] | None = (0, 900),
    sequence: int = 0,
    memo: Any = None,
    source: Keypair | None = None,
    signers: list[Keypair] | None = None,
    home_domain: str | None = None,
) -> str:
    """A challenge made by hand, to differ from ours in one thing."""
    server = signing_keypair()
    source = source or server
    now = int(time.time())
    builder = TransactionBuilder(
        Account(source.public_key, sequence - 1), settings.NETWORK_PASSPHRASE, 100
    )
    if seconds is not None:
        start, end = seconds
        builder.add_time_bounds(now + start, 0 if end is None else now + end)
    if memo is not None:
        builder.add_memo(memo)
    home_domain = home_domain or settings.HOME_DOMAINS[0]
    builder.append_operation(ManageData(f"{home_domain} auth", b"A" * 64, partner.account))
    for operation in operations or []:
        builder.append_operation(operation)
    envelope = builder.build()
    for signer in [server, partner.keypair] if signers is None else signers:
        envelope.sign(signer)
    return envelope.to_xdr()


# -- What a token says ------------------------------------------------------------------------


def test_a_signed_challenge_buys_a_token_for_the_account(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = ask(client, partner.account)
    before = int(time.time())
    response = post(signed(xdr, partner.keypair))
    claims = claims_of(response, settings)
    envelope = TransactionEnvelope.from_xdr(xdr, settings.NETWORK_PASSPHRASE)
    assert claims["iss"] == f"{settings.BASE_URL}/auth"
    assert claims["sub"] == partner.account
    assert before <= claims["iat"] <= int(time.time())
    assert claims["exp"] == claims["iat"] + settings.JWT_SECONDS
    assert claims["jti"] == envelope.hash_hex()
    assert claims["home_domain"] == settings.HOME_DOMAINS[0]
    assert "client_domain" not in claims
    assert response["Cache-Control"] == "no-store"


def test_a_form_buys_the_same_token_as_json(
    client: Client, settings: Any, partner: RegisteredAnchor
) -> None:
    response = client.post(
        "/auth",
        data=f"transaction={signed(ask(client, partner.account), partner.keypair)}".replace(
            "+", "%2B"
        ),
        content_type="application/x-www-form-urlencoded",
    )
    assert claims_of(response, settings)["sub"] == partner.account


@pytest.mark.parametrize("memo", ["0", "17509749319012223907"])
def test_the_memo_is_part_of_the_subject(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post, memo: str
) -> None:
    xdr = ask(client, partner.account, memo=memo)
    claims = claims_of(post(signed(xdr, partner.keypair)), settings)
    assert claims["sub"] == f"{partner.account}:{memo}"


@pytest.mark.parametrize("user", [0, 1234])
def test_a_muxed_account_is_the_subject_and_its_underlying_account_signs(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post, user: int
) -> None:
    muxed = MuxedAccount(partner.account, user).account_muxed or ""
    xdr = ask(client, muxed)
    assert claims_of(post(signed(xdr, partner.keypair)), settings)["sub"] == muxed


def test_the_home_domain_that_was_asked_for_is_in_the_token(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    settings.HOME_DOMAINS = ["anchor.example", "other.example"]
    xdr = ask(client, partner.account, home_domain="other.example")
    assert claims_of(post(signed(xdr, partner.keypair)), settings)["home_domain"] == "other.example"


# -- Who must have signed ---------------------------------------------------------------------


def test_an_account_that_does_not_exist_signs_with_its_master_key(
    client: Client, settings: Any, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    ledger.clear()
    xdr = ask(client, partner.account)
    stranger = Keypair.random()
    assert "sign" in error_of(post(signed(xdr, stranger)))
    assert "sign" in error_of(post(signed(xdr, partner.keypair, stranger)))
    assert claims_of(post(signed(xdr, partner.keypair)), settings)["sub"] == partner.account


def test_the_signers_must_reach_the_medium_threshold_together(
    client: Client, settings: Any, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    first, second = Keypair.random(), Keypair.random()
    ledger[partner.account] = AccountSigners(
        3, {partner.account: 0, first.public_key: 1, second.public_key: 2}
    )
    xdr = ask(client, partner.account)
    assert "threshold" in error_of(post(signed(xdr, first)))
    assert "threshold" in error_of(post(signed(xdr, second)))
    claims_of(post(signed(xdr, first, second)), settings)


def test_a_master_key_that_was_switched_off_buys_nothing(
    client: Client, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    ledger[partner.account] = AccountSigners(
        0, {partner.account: 0, Keypair.random().public_key: 1}
    )
    assert "sign" in error_of(post(signed(ask(client, partner.account), partner.keypair)))


def test_an_account_that_nobody_can_sign_for_gets_no_token(
    client: Client, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    ledger[partner.account] = AccountSigners(0, {partner.account: 0})
    assert "sign" in error_of(post(signed(ask(client, partner.account), partner.keypair)))


def test_the_servers_own_key_never_counts_even_where_it_is_a_signer(
    client: Client, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    server = signing_keypair()
    ledger[partner.account] = AccountSigners(2, {partner.account: 1, server.public_key: 255})
    xdr = ask(client, partner.account)
    error_of(post(xdr))
    error_of(post(signed(xdr, partner.keypair)))


def test_the_same_signature_twice_does_not_count_twice(
    client: Client, settings: Any, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    ledger[partner.account] = AccountSigners(2, {partner.account: 1})
    xdr = signed(ask(client, partner.account), partner.keypair)
    envelope = TransactionEnvelope.from_xdr(xdr, settings.NETWORK_PASSPHRASE)
    envelope.signatures.append(envelope.signatures[-1])
    error_of(post(envelope.to_xdr()))


def test_a_signature_of_a_stranger_spoils_the_challenge(
    client: Client, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = ask(client, partner.account)
    assert "unrecognized" in error_of(post(signed(xdr, partner.keypair, Keypair.random())))


def test_a_challenge_that_only_the_server_signed_buys_nothing(
    client: Client, partner: RegisteredAnchor, post: Post
) -> None:
    assert "not signed" in error_of(post(ask(client, partner.account)))


def test_the_client_domain_must_have_signed_as_well_and_is_then_in_the_token(
    client: Client,
    settings: Any,
    partner: RegisteredAnchor,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wallet = Keypair.random()
    toml = f'SIGNING_KEY = "{wallet.public_key}"'.encode()
    monkeypatch.setattr(
        "sep10.client_domain.safe_get", lambda url, **limits: HttpAnswer(200, {}, toml)
    )
    xdr = ask(client, partner.account, client_domain="wallet.example")
    assert "client_domain" in error_of(post(signed(xdr, partner.keypair)))
    error_of(post(signed(xdr, wallet)))
    claims = claims_of(post(signed(xdr, partner.keypair, wallet)), settings)
    assert claims["client_domain"] == "wallet.example"


def test_without_horizon_the_answer_is_503_and_the_challenge_stays_good(
    client: Client,
    settings: Any,
    partner: RegisteredAnchor,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    ledger: Signers,
) -> None:
    xdr = signed(ask(client, partner.account), partner.keypair)

    def down(account: str) -> None:
        raise Unavailable("try again later")

    monkeypatch.setattr("sep10.services.load_signers", down)
    error_of(post(xdr), 503)
    monkeypatch.setattr("sep10.services.load_signers", ledger.get)
    claims_of(post(xdr), settings)


# -- Which challenges count -------------------------------------------------------------------


def test_a_handmade_challenge_like_ours_is_the_measure_of_the_tests_below(
    settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    claims_of(post(forge(partner, settings)), settings)


def test_a_challenge_that_was_changed_is_refused(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = ask(client, partner.account)
    envelope = TransactionEnvelope.from_xdr(xdr, settings.NETWORK_PASSPHRASE)
    envelope.transaction.memo = IdMemo(5)
    envelope.sign(partner.keypair)
    assert "not signed by server" in error_of(post(envelope.to_xdr()))


@pytest.mark.parametrize(
    "difference",
    [
        {"seconds": (-1000, -1)},
        {"seconds": (600, 1200)},
        {"seconds": (0, None)},
        {"seconds": None},
        {"sequence": 1},
        {"memo": TextMemo("7")},
        {"home_domain": "evil.example"},
        {"signers": []},
        {"source": Keypair.random()},
    ],
    ids=[
        "over",
        "not yet",
        "without end",
        "without time bounds",
        "submittable",
        "text memo",
        "home domain",
        "unsigned",
        "source",
    ],
)
def test_a_challenge_that_differs_from_ours_is_refused(
    settings: Any, partner: RegisteredAnchor, post: Post, difference: dict[str, Any]
) -> None:
    error_of(post(forge(partner, settings, **difference)))


def test_a_challenge_without_the_servers_signature_is_refused(
    settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = forge(partner, settings, signers=[partner.keypair])
    assert "not signed by server" in error_of(post(xdr))


def test_an_operation_that_is_none_of_ours_is_refused(
    settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    extra = ManageData("more", b"x", partner.account)
    error_of(post(forge(partner, settings, operations=[extra])))
    elsewhere = ManageData("web_auth_domain", b"evil.example", signing_keypair().public_key)
    error_of(post(forge(partner, settings, operations=[elsewhere])))


def test_a_signature_for_another_network_does_not_count(
    client: Client, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = ask(client, partner.account)
    error_of(post(signed(xdr, partner.keypair, passphrase="Another Network")))


def test_a_fee_bump_is_no_challenge(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    inner = TransactionEnvelope.from_xdr(
        signed(ask(client, partner.account), partner.keypair), settings.NETWORK_PASSPHRASE
    )
    bump = TransactionBuilder.build_fee_bump_transaction(
        partner.keypair, 1000, inner, settings.NETWORK_PASSPHRASE
    )
    bump.sign(partner.keypair)
    error_of(post(bump.to_xdr()))


@pytest.mark.parametrize(
    "transaction",
    ["x", "AAAA", "A" * 8000, "====", "☃", " ", "AAAAAgAAAAA=", "A" * 8193, "A" * 200_000,
     1, 1.5, True, ["a"], {"a": "b"}, None, ""],
)  # fmt: skip
def test_what_is_no_transaction_is_a_bad_request(post: Post, transaction: object) -> None:
    assert "transaction" in error_of(post(transaction))


@pytest.mark.parametrize(
    "body", [b"[]", b'"text"', b"1", b"{", b"", b"\xff", b'{"transaction":"\\ud800"}']
)
def test_a_body_that_is_no_json_object_with_a_transaction_is_a_bad_request(
    client: Client, body: bytes
) -> None:
    error_of(client.post("/auth", data=body, content_type="application/json"))


@pytest.mark.parametrize(
    "body", [b"", b"transaction=", b"transaction=%00", b"other=1", b"%ff=%ff", b"transaction=%ff"]
)
def test_a_form_without_a_transaction_is_a_bad_request(client: Client, body: bytes) -> None:
    error_of(client.post("/auth", data=body, content_type="application/x-www-form-urlencoded"))


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/form-data", "x"]
)
def test_another_content_type_is_415(client: Client, content_type: str) -> None:
    assert "application/json" in error_of(
        client.post("/auth", data=b"transaction=x", content_type=content_type), 415
    )


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_over_the_limit_is_413(client: Client, content_type: str) -> None:
    error_of(client.post("/auth", data=b"a" * 300_000, content_type=content_type), 413)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_another_method_is_405(client: Client, method: str) -> None:
    error_of(getattr(client, method)("/auth"), 405)


# -- One token for each challenge -------------------------------------------------------------


def test_a_challenge_buys_one_token_only(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = signed(ask(client, partner.account), partner.keypair)
    claims_of(post(xdr), settings)
    assert "used before" in error_of(post(xdr))


def test_the_same_challenge_signed_by_others_is_still_the_same(
    client: Client, settings: Any, partner: RegisteredAnchor, ledger: Signers, post: Post
) -> None:
    second = Keypair.random()
    ledger[partner.account] = AccountSigners(1, {partner.account: 1, second.public_key: 1})
    xdr = ask(client, partner.account)
    claims_of(post(signed(xdr, partner.keypair)), settings)
    assert "used before" in error_of(post(signed(xdr, second)))


def test_a_challenge_that_failed_a_check_is_not_used_up(
    client: Client, settings: Any, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = ask(client, partner.account)
    error_of(post(xdr))
    SendingAnchor.objects.update(enabled=False)
    error_of(post(signed(xdr, partner.keypair)), 403)
    assert not UsedChallenge.objects.exists()
    SendingAnchor.objects.update(enabled=True)
    claims_of(post(signed(xdr, partner.keypair)), settings)


def post_at_once(post: Post, transactions: list[str]) -> list[int]:
    def send(xdr: str) -> int:
        try:
            return int(post(xdr).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=25) as threads:
        return list(threads.map(send, transactions))


@pytest.mark.django_db(transaction=True)
def test_the_same_challenge_posted_fifty_times_at_once_buys_one_token(
    client: Client, partner: RegisteredAnchor, post: Post
) -> None:
    xdr = signed(ask(client, partner.account), partner.keypair)
    statuses = post_at_once(post, [xdr] * 50)
    assert sorted(statuses) == [200] + [400] * 49


# -- Who may have one -------------------------------------------------------------------------


def test_an_account_that_is_not_on_the_list_is_forbidden(
    db: None, client: Client, ledger: Signers, post: Post
) -> None:
    stranger = Keypair.random()
    xdr = signed(ask(client, stranger.public_key), stranger)
    assert "not registered" in error_of(post(xdr), 403)
    assert not SendingAnchor.objects.exists()


def test_where_the_door_is_open_a_stranger_becomes_a_sending_anchor_of_its_own(
    db: None, client: Client, settings: Any, ledger: Signers, post: Post
) -> None:
    settings.ALLOW_UNKNOWN_SENDING_ANCHORS = True
    first, second = Keypair.random(), Keypair.random()
    for stranger in (first, second, first):
        claims_of(post(signed(ask(client, stranger.public_key), stranger)), settings)
    owners = dict(SendingAnchorAccount.objects.values_list("account", "sending_anchor_id"))
    assert set(owners) == {first.public_key, second.public_key}
    assert len(set(owners.values())) == 2


@pytest.mark.django_db(transaction=True)
def test_a_stranger_who_knocks_many_times_at_once_is_let_in_as_one(
    client: Client, settings: Any, ledger: Signers, post: Post
) -> None:
    settings.ALLOW_UNKNOWN_SENDING_ANCHORS = True
    stranger = Keypair.random()
    transactions = [signed(ask(client, stranger.public_key), stranger) for _ in range(20)]
    assert post_at_once(post, transactions) == [200] * 20
    assert SendingAnchor.objects.count() == SendingAnchorAccount.objects.count() == 1


def test_a_disabled_sending_anchor_gets_no_token(
    client: Client, partner: RegisteredAnchor, post: Post
) -> None:
    SendingAnchor.objects.update(enabled=False)
    xdr = signed(ask(client, partner.account), partner.keypair)
    assert "disabled" in error_of(post(xdr), 403)


def test_a_client_domain_by_agreement_must_vouch_for_each_token(
    client: Client,
    settings: Any,
    partner: RegisteredAnchor,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wallet = Keypair.random()
    body = f'SIGNING_KEY = "{wallet.public_key}"'.encode()
    monkeypatch.setattr("sep10.client_domain.safe_get", lambda url, **k: HttpAnswer(200, {}, body))
    SendingAnchor.objects.update(client_domains=["app.example", "wallet.example"])
    without = signed(ask(client, partner.account), partner.keypair)
    assert "must authenticate with its client_domain" in error_of(post(without), 403)
    other = ask(client, partner.account, client_domain="evil.example")
    assert "evil.example" in error_of(post(signed(other, partner.keypair, wallet)), 403)
    assert not UsedChallenge.objects.exists()
    right = ask(client, partner.account, client_domain="wallet.example")
    claims = claims_of(post(signed(right, partner.keypair, wallet)), settings)
    assert claims["client_domain"] == "wallet.example"
    assert "used before" in error_of(post(signed(right, partner.keypair, wallet)))
    SendingAnchor.objects.update(client_domains=[])
    claims_of(post(without), settings)


def test_a_token_costs_a_fixed_number_of_queries(
    client: Client,
    partner: RegisteredAnchor,
    post: Post,
    django_assert_num_queries: Any,
) -> None:
    xdr = signed(ask(client, partner.account), partner.keypair)
    with django_assert_num_queries(1):
        assert post(xdr).status_code == 200


# -- Forgetting -------------------------------------------------------------------------------


def test_a_used_challenge_is_remembered_for_as_long_as_its_time_could_let_it_in(db: None) -> None:
    now = timezone.now()
    UsedChallenge.objects.create(hash="live", expires_at=now + timedelta(minutes=5))
    UsedChallenge.objects.create(hash="over", expires_at=now - timedelta(minutes=5))
    UsedChallenge.objects.create(hash="old", expires_at=now - PURGE_MARGIN - timedelta(minutes=5))
    assert purge_used_challenges() == 1
    assert set(UsedChallenge.objects.values_list("hash", flat=True)) == {"live", "over"}
    assert purge_used_challenges() == 0


def test_a_long_backlog_is_forgotten_in_batches(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sep10.services.PURGE_BATCH", 3)
    long_ago = timezone.now() - timedelta(days=2)
    UsedChallenge.objects.bulk_create(
        UsedChallenge(hash=str(number), expires_at=long_ago) for number in range(7)
    )
    assert purge_used_challenges() == 7
