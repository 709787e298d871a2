"""Who has a good token, but may not use the service (any more): refused everywhere, whatever they
ask, and nothing is told or done.

Some endpoints read the caller's sending anchor along with what they are asked for, so that each is
tried with a good request, a bad one and one that was answered before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from sep10.models import SendingAnchor, SendingAnchorAccount
from tests.fixtures.documented import JSON, MULTIPART, Documented, World, operations, rate_now
from tests.fixtures.documents import photo
from tests.fixtures.transactions import order, register_both

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"

OPERATIONS = {name: one for name, one in operations().items() if one.takes_token}


def _revoke() -> None:
    SendingAnchor.objects.update(tokens_valid_from=timezone.now() + timedelta(seconds=1))


REASONS: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown": (
        SendingAnchorAccount.objects.all().delete,
        "This account may not use this service",
    ),
    "disabled": (
        lambda: SendingAnchor.objects.update(enabled=False),
        "This account may not use this service",
    ),
    "without its client domain": (
        lambda: SendingAnchor.objects.update(client_domains=["wallet.example.com"]),
        "This sending anchor must authenticate with its client_domain",
    ),
    "revoked": (_revoke, "The token was revoked; authenticate again"),
}


def all_rows() -> dict[str, list[Any]]:
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model not in (SendingAnchor, SendingAnchorAccount)
    }


def refusal(one: Documented) -> int:
    return 401 if one.path.startswith("/sep12/") else 403


@pytest.fixture
def world() -> World:
    rate_now()
    return World()


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_whom_we_do_not_admit_is_told_so_and_nothing_else(
    name: str, reason: str, world: World
) -> None:
    one, (shut_out, message) = OPERATIONS[name], REASONS[reason]
    world.prepare(one)
    media_type, body = next(((kind, body) for kind, _, body in one.bodies()), (JSON, None))
    world.make_all_of(one)
    shut_out()
    before = all_rows()
    bad_id = re.sub(r"\{.*?\}", "x", one.path)
    for answer in (
        world.send(one, body, media_type),
        world.send(one, b'{"a": 1, "a": 2}'),
        world.send(one, b"x", "text/plain"),
        world.send(one, body, media_type, query={"lang": ["en", "es"]}),
        world.send(one, body, media_type, path=bad_id),
        world.send(one, b'{"a": "' + b"x" * 300_000 + b'"}'),
        world.send(one, "&".join(f"a{n}=1" for n in range(2000)).encode(), FORM),
    ):
        assert (answer.status_code, answer.json()) == (refusal(one), {"error": message})
    assert all_rows() == before


@pytest.mark.parametrize("reason", REASONS)
def test_a_repeated_key_is_no_way_in(reason: str, world: World) -> None:
    one, (shut_out, message) = OPERATIONS["post_transaction"], REASONS[reason]
    body = order(**register_both(world.anchor))
    headers = {**world.anchor.headers(), "Idempotency-Key": "one"}
    assert world.send(one, body, headers=headers).status_code == 201
    shut_out()
    answer = world.send(one, body, headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"error": message})


@pytest.mark.parametrize("reason", REASONS)
def test_nobody_opens_the_files_of_whom_we_do_not_admit(
    reason: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("sep12.serializers.check_content", fail)
    monkeypatch.setattr("sep12.file_views.check_content", fail)
    REASONS[reason][0]()
    for name, field in (("put_customer", "photo_id_front"), ("post_customer_file", "file")):
        answer = world.send(OPERATIONS[name], {field: photo()}, MULTIPART)
        assert answer.status_code == 401


@pytest.mark.parametrize("reason", REASONS)
def test_nobody_looks_up_rates_for_whom_we_do_not_admit(
    reason: str, world: World, django_assert_num_queries: Any
) -> None:
    body = order(**register_both(world.anchor), destination_asset="iso4217:MXN")
    REASONS[reason][0]()
    with django_assert_num_queries(1):  # who they are
        answer = world.send(OPERATIONS["post_transaction"], body)
    assert answer.status_code == 403
