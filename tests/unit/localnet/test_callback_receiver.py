"""A sending anchor accepts only callbacks that the anchor signed, for it, just now."""

from __future__ import annotations

import base64
import json
import time

import pytest
import requests
from stellar_sdk import Keypair

from localnet.callback_receiver import CallbackReceiver, find_problem

KEY = Keypair.random()
HOST = "127.0.0.1:8123"
BODY = b'{"transaction": {"id": "1", "status": "completed"}}'
NOW = 1_800_000_000


def sign(key: Keypair = KEY, *, host: str = HOST, body: bytes = BODY, at: int = NOW) -> str:
    signature = key.sign(f"{at}.{host}.".encode() + body)
    return f"t={at}, s={base64.b64encode(signature).decode()}"


def problem_of(header: str | None, body: bytes = BODY) -> str:
    return find_problem(KEY, header, host=HOST, body=body, now=NOW)


def test_a_callback_signed_by_the_anchor_for_us_is_right() -> None:
    assert problem_of(sign()) == ""


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (None, "missing or malformed"),
        ("", "missing or malformed"),
        ("t=1, s=", "missing or malformed"),
        (sign().replace("t=", "t=-"), "missing or malformed"),
        (sign(at=NOW - 600), "too old"),
        (sign(at=NOW + 600), "too old"),
        (sign(Keypair.random()), "not the anchor's"),
        (sign(host="elsewhere.example"), "not the anchor's"),
        (sign(body=b"{}"), "not the anchor's"),
        (sign().replace(str(NOW), str(NOW + 1)), "not the anchor's"),
    ],
)
def test_any_other_callback_is_not(header: str | None, problem: str) -> None:
    assert problem in problem_of(header)


def test_the_receiver_takes_what_is_signed_and_answers_400_to_the_rest() -> None:
    with CallbackReceiver(KEY.public_key) as receiver:
        body = json.dumps({"transaction": {"id": "7", "status": "refunded"}}).encode()
        good = sign(host=receiver.host, body=body, at=int(time.time()))
        forged = sign(Keypair.random(), host=receiver.host, body=body, at=int(time.time()))
        assert requests.post(receiver.url, body, headers={"Signature": good}).status_code == 204
        assert requests.post(receiver.url, body, headers={"Signature": forged}).status_code == 400
        assert [one.problem == "" for one in receiver.of_transaction("7")] == [True, False]
        assert len(receiver.problems()) == 1
