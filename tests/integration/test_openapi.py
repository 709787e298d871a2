"""The OpenAPI document says what the running code does: every route, every example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.views import APIView
from stellar_sdk import Keypair, TransactionEnvelope

from anchor.openapi import VERSION
from sep10.models import SendingAnchor
from sep10.schema import MUXED
from sep10.tokens import issuer
from sep12 import sep9
from sep12.schema import CUSTOMER, TRANSACTION, describe_field, example_of
from sep31.machine import Status
from sep31.models import Transaction
from sep38.models import Rate
from tests.fixtures.documented import (
    JSON,
    MULTIPART,
    PROVIDER_SECRET,
    QUERIES,
    Documented,
    World,
    document,
    operations,
    rate_now,
)
from tests.fixtures.documents import photo

OPERATIONS = operations()


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.KYC_PROVIDER_SECRETS = [PROVIDER_SECRET]
    rate_now()
    return World()


# -- The document -----------------------------------------------------------------------------
def test_drf_spectacular_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    where = str(tmp_path / "openapi.json")
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", where, verbosity=0)


def test_an_anchor_with_one_asset_and_no_more_has_one_too(tmp_path: Path) -> None:
    config = tmp_path / "anchor.toml"
    config.write_text(
        '[[assets]]\ncode = "EURC"\nissuer = "${ASSET_ISSUER}"\n'
        'counterpart = "iso4217:EUR"\nfunding_methods = ["sepa"]\n'
    )
    command = ["manage.py", "spectacular", "--skip-checks", "--validate", "--fail-on-warn"]
    made = subprocess.run(
        [sys.executable, *command, "--file", "/dev/null"],
        env={**os.environ, "ANCHOR_CONFIG": str(config)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr


def test_it_has_every_route_of_the_api_with_every_method() -> None:
    unlisted = {"/openapi.json", "/docs"}
    routes = {
        (path, method)
        for path, view in _views(get_resolver().url_patterns)
        for method in view().allowed_methods
        if method != "OPTIONS" and path not in unlisted
    }
    listed = {(one.path, one.method) for one in OPERATIONS.values()}
    assert routes - {(path, "HEAD") for path, _ in routes} == listed


def _views(
    patterns: list[URLPattern | URLResolver], prefix: str = "/"
) -> Iterator[tuple[str, type[APIView]]]:
    for one in patterns:
        here = prefix + str(one.pattern)
        if here.startswith(("/admin/", "/static/")):
            continue
        if isinstance(one, URLResolver):
            yield from _views(one.url_patterns, here)
        else:
            # A view that is no APIView would be none that drf-spectacular sees.
            yield re.sub(r"<\w+:(\w+)>", r"{\1}", here), cast(Any, one.callback).cls


def test_its_version_is_that_of_the_project() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert document()["info"]["version"] == VERSION == project["version"]


def test_every_operation_is_told_of_in_words_and_names_its_sep() -> None:
    for one in OPERATIONS.values():
        assert one.about["summary"]
        assert one.about["description"]
        [tag] = one.about["tags"]
        if tag.startswith("SEP-"):
            assert one.about["externalDocs"]["url"]


def test_every_answer_has_an_example() -> None:
    for one in OPERATIONS.values():
        for status, answer in one.about["responses"].items():
            if status not in ("204", "304"):
                [content] = answer["content"].values()
                assert content["examples"], (one.id, status)


@pytest.mark.parametrize("field", sep9.FIELDS.values(), ids=lambda field: field.name)
def test_every_field_of_sep9_is_in_it_with_a_right_value(field: sep9.Sep9Field) -> None:
    if field.is_binary:
        known = document()["components"]["schemas"]["Sep9Files"]["properties"]
        assert known[field.name]["format"] == "binary"
        return
    known = document()["components"]["schemas"]["Sep9Fields"]["properties"]
    assert known[field.name] == describe_field(field)
    example = example_of(field)
    _assert_valid(example, known[field.name])
    assert sep9.parse_text(field.name, example, field.kind, choices=field.choices) == example


# -- Over HTTP --------------------------------------------------------------------------------
def test_it_is_sent_once_and_then_only_if_it_changed(client: Client) -> None:
    answer = client.get("/openapi.json")
    assert answer.json() == document()
    assert answer["Access-Control-Allow-Origin"] == "*"
    again = client.get("/openapi.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_needs_nothing_from_elsewhere_and_no_script_of_its_own(client: Client) -> None:
    page = client.get("/docs")
    html = page.content.decode()
    policy = dict(
        part.split(" ", 1) for part in page["Content-Security-Policy"].split("; ") if " " in part
    )
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == "'none'"
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
    links = re.findall(r'(?:src|href|data-document)="([^"]*)"', html)
    assert len(links) >= 5
    for link in links:
        assert re.match(r"/\w", link), link
        assert client.get(link).status_code == 200, link


# -- Examples ---------------------------------------------------------------------------------
def _json_schema(schema: Any, *, strict: bool) -> Any:
    """What OpenAPI 3.0 calls a schema as JSON Schema; `strict`: what is not documented is wrong."""
    if isinstance(schema, list):
        return [_json_schema(one, strict=strict) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _json_schema(one, strict=strict) for key, one in schema.items()}
    if found.pop("nullable", False):
        found["type"] = [found["type"], "null"]
    if strict and isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


def _assert_valid(value: Any, schema: dict[str, Any], *, strict: bool = False) -> None:
    whole = {**schema, "components": {"schemas": document()["components"]["schemas"]}}
    checker = Draft202012Validator(
        _json_schema(whole, strict=strict), format_checker=FormatChecker()
    )
    checker.validate(value)


ANSWERS = [
    pytest.param(schema, example, id=f"{one.id}-{status}-{key}")
    for one in OPERATIONS.values()
    for status, key, schema, example in one.answers()
]


@pytest.mark.parametrize(("schema", "example"), ANSWERS)
def test_each_example_of_an_answer_is_as_documented(schema: Any, example: Any) -> None:
    _assert_valid(example, schema)


def _assert_answered(one: Documented, answer: Any) -> None:
    """A success as documented, and nothing in it that is not."""
    assert answer.status_code == one.success, answer.content
    content = one.about["responses"][str(one.success)].get("content", {})
    if JSON in content:
        _assert_valid(answer.json(), content[JSON]["schema"], strict=True)
    assert answer.headers.get("Content-Type", "").split(";")[0] in ({*content} or {""})


# A signed challenge can't be written down beforehand; the file is no JSON.
BODIES = [
    pytest.param(one, media_type, example, id=f"{one.id}-{media_type}-{key}")
    for one in OPERATIONS.values()
    for media_type, key, example in one.bodies()
    if one.id != "post_challenge"
]


@pytest.mark.parametrize(("one", "media_type", "example"), BODIES)
def test_each_example_of_a_request_is_as_documented_and_does_what_it_says(
    one: Documented, media_type: str, example: Any, world: World
) -> None:
    _assert_valid(example, one.about["requestBody"]["content"][media_type]["schema"])
    world.prepare(one)
    _assert_answered(one, world.send(one, example, media_type))


WITHOUT_BODY = [one for one in OPERATIONS.values() if "requestBody" not in one.about]


@pytest.mark.parametrize("one", WITHOUT_BODY, ids=lambda one: one.id)
def test_each_request_without_a_body_does_what_it_says(one: Documented, world: World) -> None:
    world.prepare(one)
    _assert_answered(one, world.send(one))


def test_a_file_is_answered_as_documented(world: World) -> None:
    one = OPERATIONS["post_customer_file"]
    _assert_answered(one, world.send(one, {"file": photo(2)}, MULTIPART))


# -- Refusals: each example is what the code says ---------------------------------------------
@dataclass
class Stage:
    """The operation that is to refuse something, and all that can be turned against it."""

    world: World
    one: Documented
    settings: Any
    monkeypatch: pytest.MonkeyPatch

    def send(self, body: Any = None, *args: Any, **how: Any) -> Any:
        if body is None and "requestBody" in self.one.about:
            body = next((example for _, _, example in self.one.bodies()), {})
        return self.world.send(self.one, body, *args, **how)

    def send_only(self, **parameters: Any) -> Any:
        """These and no other parameters: in the query, or in the body if there is one."""
        if "requestBody" in self.one.about:
            return self.send(parameters)
        return self.send(query=parameters)

    def send_also(self, **parameters: Any) -> Any:
        """The operation's first example with these parameters changed or added."""
        if "requestBody" in self.one.about:
            return self.send({**next(self.one.bodies())[2], **parameters})
        return self.send(query={**self.one.parameters(*QUERIES[self.one.id]), **parameters})

    def send_while_broken(self, place: str, error: Exception) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise error

        with self.monkeypatch.context() as patched:
            patched.setattr(place, fail)
            return self.send()


def _send_old_token(stage: Stage) -> Any:
    stage.settings.JWT_SECONDS = -60
    return stage.send()


def _send_too_much(stage: Stage) -> Any:
    stage.settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    return stage.send(b'{"a": "0123456789"}')


EVERYWHERE: dict[str, Callable[[Stage], Any]] = {
    "none": lambda it: it.send(headers={}),
    "invalid": lambda it: it.send(headers={"Authorization": "Bearer no-token"}),
    "expired": _send_old_token,
    "not_json": lambda it: it.send(b"{"),
    "other_type": lambda it: it.send(b"hello", "text/plain"),
    "body": _send_too_much,
    "defect": lambda it: it.send_while_broken(
        "kernel.api.ApiView.initialize_request", RuntimeError()
    ),
    "down": lambda it: it.send_while_broken(
        "django.db.backends.utils.CursorWrapper.execute", OperationalError()
    ),
    "lang": lambda it: it.send(query={"lang": ["en", "es"]}),
    # SEP-12's parameters
    "unknown_type": lambda it: it.send_only(type="aristocrat"),
    "type_is_missing": lambda it: it.send_only(transaction_id=TRANSACTION),
    "bad_memo": lambda it: it.send_also(memo="x", memo_type="id"),
    "bad_memo_type": lambda it: it.send_also(memo="x", memo_type="word"),
    "other_account": lambda it: it.send_also(account=Keypair.random().public_key),
    "unknown_id": lambda it: it.send_also(id=str(uuid.uuid4())),
    "unknown_transaction": lambda it: it.send_only(
        transaction_id=str(uuid.uuid4()), type="sep31-sender"
    ),
    # Callbacks
    "no_url": lambda it: it.send_also(url=""),
    "not_https": lambda it: it.send_also(url="http://sendinganchor.example.com"),
    "not_public": lambda it: it.send_also(url="https://10.0.0.1"),
}


# -- SEP-10's
def _sign_in(stage: Stage, keypair: Keypair) -> str:
    """A challenge for `keypair`, signed by it."""
    challenge = stage.world.send(
        OPERATIONS["get_challenge"], query={"account": keypair.public_key}
    ).json()
    envelope = TransactionEnvelope.from_xdr(
        challenge["transaction"], challenge["network_passphrase"]
    )
    envelope.sign(keypair)
    return envelope.to_xdr()


def _ask_with_jwt(stage: Stage, keypair: Keypair) -> Any:
    now = int(time.time())
    claims = {
        "account": keypair.public_key,
        "web_auth_endpoint": issuer(),
        "iat": now,
        "exp": now + 300,
    }
    key = Ed25519PrivateKey.from_private_bytes(keypair.raw_secret_key())
    header = {"Authorization": f"Bearer {jwt.encode(claims, key, 'EdDSA')}"}
    return stage.send(query={"account": keypair.public_key}, headers=header)


def _ask_too_often(stage: Stage) -> Any:
    stage.settings.AUTH_ACCOUNT_LIMIT = 1
    account = Keypair.random().public_key
    stage.send(query={"account": account})
    return stage.send(query={"account": account})


def _ask_while_others_do(stage: Stage) -> Any:
    none_free = threading.BoundedSemaphore(1)
    none_free.acquire()
    stage.monkeypatch.setattr("sep10.client_domain._fetches", none_free)
    return stage.send_also(client_domain="wallet.example.com")


def _redeem(stage: Stage, keypair: Keypair, times: int = 1) -> Any:
    stage.monkeypatch.setattr("sep10.services.load_signers", lambda account: None)
    signed = _sign_in(stage, keypair)
    return [stage.send({"transaction": signed}) for _ in range(times)][-1]


def _redeem_too_often(stage: Stage) -> Any:
    signed = _sign_in(stage, stage.world.anchor.keypair)
    stage.settings.AUTH_ACCOUNT_LIMIT = 1
    stage.monkeypatch.setattr("sep10.services.load_signers", lambda account: None)
    return [stage.send({"transaction": signed}) for _ in range(2)][-1]


def _redeem_without_ledger(stage: Stage) -> Any:
    stage.settings.HORIZON_URL = "http://127.0.0.1:9"
    return stage.send({"transaction": _sign_in(stage, stage.world.anchor.keypair)})


def _disable(stage: Stage) -> Keypair:
    SendingAnchor.objects.update(enabled=False)
    return stage.world.anchor.keypair


# -- The rest's
def _take_a_role_twice(stage: Stage) -> Any:
    other = {"transaction_id": TRANSACTION, "type": "sep31-sender", "memo": "1009"}
    return stage.send({**other, "memo_type": "id", "first_name": "Noor", "last_name": "Haddad"})


def _send_one_file_too_many(stage: Stage) -> Any:
    [told] = re.findall(r"at most (\d+) files", str(stage.one.about["responses"]["429"]))
    with stage.monkeypatch.context() as patched:
        patched.setattr("sep12.stored_files.CustomerFile.objects.filter", _as_many(int(told)))
        return stage.send({"file": photo(3)}, MULTIPART)


def _as_many(count: int) -> Callable[..., Any]:
    class Counted:
        def aggregate(self, **what: Any) -> dict[str, Any]:
            return {"count": count, "bytes": 0, "until": timezone.now() + timedelta(minutes=1)}

    return lambda *args, **which: Counted()


def _use_a_quote_twice(stage: Stage) -> Any:
    [_, _, body] = next(one for one in stage.one.bodies() if one[1] == "with_a_quote")
    return [stage.send(body) for _ in range(2)][-1]


def _use_a_key_twice(stage: Stage) -> Any:
    headers = {**stage.world.anchor.headers(), "Idempotency-Key": "one"}
    bodies = [example for _, _, example in stage.one.bodies()]
    return [stage.send(body, headers=headers) for body in (bodies[0], bodies[2])][-1]


def _cancel_what_is_paid(stage: Stage) -> Any:
    Transaction.objects.update(status=Status.REFUNDED)
    return stage.send()


def _let_rates_age(stage: Stage) -> Any:
    Rate.objects.update(created_at=timezone.now() - timedelta(days=1000))
    wanted = (
        stage.one.parameters("buy_asset", "buy_amount") if stage.one.id == "get_prices" else None
    )
    return stage.send(query=wanted)


def _have_no_provider(stage: Stage) -> Any:
    stage.settings.KYC_PROVIDER_SECRETS = []
    return stage.send()


def _no_such_path(stage: Stage) -> Any:
    path = re.sub(r"\{\w+\}", str(uuid.uuid4()), stage.one.path)
    return stage.send(path=path)


PROVOKED: dict[tuple[str, str], Callable[[Stage], Any]] = {
    ("get_stellar_toml", "other_version"): lambda it: it.send(headers={"If-Match": '"x"'}),
    ("get_challenge", "no_account"): lambda it: it.send(query={}),
    ("get_challenge", "no_such_account"): lambda it: it.send_also(account="GNOBODY"),
    ("get_challenge", "memo_and_muxed"): lambda it: it.send_also(account=MUXED, memo="1"),
    ("get_challenge", "other_home_domain"): lambda it: it.send_also(home_domain="example.org"),
    ("get_challenge", "other_header"): lambda it: it.send(headers={"Authorization": "Basic x"}),
    ("get_challenge", "unknown"): lambda it: _ask_with_jwt(it, Keypair.random()),
    ("get_challenge", "disabled"): lambda it: _ask_with_jwt(it, _disable(it)),
    ("get_challenge", "too_many"): _ask_too_often,
    ("get_challenge", "busy"): _ask_while_others_do,
    ("post_challenge", "no_transaction"): lambda it: it.send({}),
    ("post_challenge", "no_challenge"): lambda it: it.send({"transaction": "AAAA"}),
    ("post_challenge", "used"): lambda it: _redeem(it, it.world.anchor.keypair, times=2),
    ("post_challenge", "unknown"): lambda it: _redeem(it, Keypair.random()),
    ("post_challenge", "disabled"): lambda it: _redeem(it, _disable(it)),
    ("post_challenge", "too_many"): _redeem_too_often,
    ("post_challenge", "no_ledger"): _redeem_without_ledger,
    ("put_customer", "wrong_field"): lambda it: it.send_only(birth_date="4 July 1976"),
    ("put_customer", "wrong_choice"): lambda it: it.send_only(sex="x"),
    ("put_customer", "no_file"): lambda it: it.send_only(photo_id_front="x"),
    ("put_customer", "unknown_id"): lambda it: it.send_only(id=str(uuid.uuid4())),
    ("put_customer", "role_is_taken"): _take_a_role_twice,
    ("delete_customer", "bad_memo"): lambda it: it.send_only(memo="x", memo_type="id"),
    ("delete_customer", "bad_memo_type"): lambda it: it.send_only(memo="x", memo_type="word"),
    ("delete_customer", "unknown_memo"): lambda it: it.send_only(memo="9", memo_type="id"),
    ("put_customer_callback", "unknown_memo"): lambda it: it.send_only(
        memo="9", memo_type="id", url="https://sendinganchor.example.com"
    ),
    ("get_customer_files", "none_named"): lambda it: it.send(query={}),
    ("post_customer_file", "no_file"): lambda it: it.send({}),
    ("post_customer_file", "other_kind"): lambda it: it.send(
        {"file": SimpleUploadedFile("id.txt", b"hello", "text/plain")}, MULTIPART
    ),
    ("post_customer_file", "too_many"): _send_one_file_too_many,
    ("put_customer_verification", "no_id"): lambda it: it.send({}),
    ("put_customer_verification", "no_code"): lambda it: it.send({"id": CUSTOMER}),
    ("put_customer_verification", "not_waiting"): lambda it: it.send(),
    ("post_transaction", "other_asset"): lambda it: it.send_also(asset_code="XYZ"),
    ("post_transaction", "bad_amount"): lambda it: it.send_also(amount="1e3"),
    ("post_transaction", "unknown_customer"): lambda it: it.send_also(sender_id=str(uuid.uuid4())),
    ("post_transaction", "customer_info_needed"): lambda it: it.send_also(amount="3000"),
    ("post_transaction", "unknown_quote"): lambda it: it.send_also(quote_id=str(uuid.uuid4())),
    ("post_transaction", "used_quote"): _use_a_quote_twice,
    ("post_transaction", "other_body"): _use_a_key_twice,
    ("list_transactions", "unknown_status"): lambda it: it.send_only(status="lost"),
    ("list_transactions", "bad_moment"): lambda it: it.send_only(started_since="yesterday"),
    ("list_transactions", "two_orders"): lambda it: it.send_only(
        started_since="2026-11-23T12:00:00Z", updated_since="2026-11-23T12:00:00Z"
    ),
    ("list_transactions", "bad_cursor"): lambda it: it.send_only(cursor="x"),
    ("list_transactions", "bad_limit"): lambda it: it.send_only(limit="0"),
    ("list_events", "bad_cursor"): lambda it: it.send_only(after="7"),
    ("list_events", "bad_limit"): lambda it: it.send_only(limit="0"),
    ("cancel_transaction", "unknown"): _no_such_path,
    ("cancel_transaction", "paid"): _cancel_what_is_paid,
    ("get_transaction", "unknown"): _no_such_path,
    ("patch_transaction", "not_asked"): lambda it: it.send(),
    ("patch_transaction", "unknown"): _no_such_path,
    ("put_transaction_callback", "unknown"): _no_such_path,
    ("get_quote", "unknown"): _no_such_path,
    ("get_prices", "no_asset"): lambda it: it.send(query={}),
    ("get_prices", "no_amount"): lambda it: it.send(query=it.one.parameters("sell_asset")),
    ("get_prices", "bad_amount"): lambda it: it.send_also(sell_amount="1e3"),
    ("get_prices", "no_rate"): _let_rates_age,
    **{
        (name, key): provoke
        for name in ("get_price", "post_quote")
        for key, provoke in {
            "both_amounts": lambda it: it.send_also(buy_amount="100"),
            "other_context": lambda it: it.send_also(context="sep6"),
            "bad_asset": lambda it: it.send_also(sell_asset="USDC"),
            "no_rate": _let_rates_age,
        }.items()
    },
    ("receive_provider_answer", "no_case"): lambda it: it.send_only(status="accepted"),
    ("receive_provider_answer", "unknown_status"): lambda it: it.send_also(status="maybe"),
    ("receive_provider_answer", "not_signed"): lambda it: it.send(headers={}),
    ("receive_provider_answer", "unknown_case"): lambda it: it.send_also(case=str(uuid.uuid4())),
    ("receive_provider_answer", "no_provider"): _have_no_provider,
}

REFUSALS = [
    pytest.param(one, int(status), key, example, id=f"{one.id}-{status}-{key}")
    for one in OPERATIONS.values()
    for status, key, _, example in one.answers()
    if int(status) >= 400
]


@pytest.mark.parametrize(("one", "status", "key", "example"), REFUSALS)
def test_each_example_of_a_refusal_is_what_is_answered(
    one: Documented,
    status: int,
    key: str,
    example: Any,
    world: World,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provoke = PROVOKED.get((one.id, key)) or EVERYWHERE[key]
    world.make_all_of(one)
    answer = provoke(Stage(world, one, settings, monkeypatch))
    assert (answer.status_code, answer.json()) == (status, example)
    documented = one.about["responses"][str(status)].get("headers", {})
    assert not {*documented} - {*answer.headers}
