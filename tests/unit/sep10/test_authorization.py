"""The JWT beside a request for a challenge (SEP-10, "Verifying request header")."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Keypair

from kernel.errors import BadRequest, Unauthenticated
from sep10.authorization import read_authorization, verify_authorization

CLIENT = Keypair.random()
ENDPOINT = "https://anchor.example/auth"


def sign(claims: dict[str, Any], keypair: Keypair = CLIENT, **headers: Any) -> str:
    key = Ed25519PrivateKey.from_private_bytes(keypair.raw_secret_key())
    return jwt.encode(claims, key, algorithm="EdDSA", headers=headers or None)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {
        "iat": now,
        "exp": now + 300,
        "web_auth_endpoint": ENDPOINT,
        "account": CLIENT.public_key,
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def verify(token: str, **parameters: str) -> None:
    verify_authorization(
        token,
        signer=CLIENT.public_key,
        endpoint=ENDPOINT,
        parameters={"account": CLIENT.public_key, **parameters},
    )


def refusal(token: str, **parameters: str) -> str:
    with pytest.raises(BadRequest) as raised:
        verify(token, **parameters)
    return raised.value.message


EXAMPLES = [
    (
        "eyJhbGciOiJFZERTQSJ9.eyJpYXQiOjE3MTE2NDg0ODYsImV4cCI6MTcxMTY0OTM4NiwiYWNjb3VudCI6IkdDNlVD"
        "WFZUQU1ORzVKTE9NWkJTQ05ZWFZTTk5GSEwyM1NKUFlPT0ZKRTJBVllERFMyRkZUNDVDIiwiY2xpZW50X2RvbWFpbi"
        "I6ImV4YW1wbGUtd2FsbGV0LnN0ZWxsYXIub3JnIiwid2ViX2F1dGhfZW5kcG9pbnQiOiJodHRwczovL2V4YW1wbGUu"
        "Y29tL3NlcDEwL2F1dGgifQ.UQt8FpUK-BlnFw35o8Ke4GDOoCrMe9ztEx4_TGQ06XhMgUbn_b7EMPMVLWJ8RRNgSk2"
        "dNhyGUgIbhKzKtWtBBw",
        1711648486,
        "GCADAIACE6CRWGOB3HJRXIOHMQEUKPNLAUIYFIE26F3OK72RSHGAMARK",
        {
            "account": "GC6UCXVTAMNG5JLOMZBSCNYXVSNNFHL23SJPYOOFJE2AVYDDS2FFT45C",
            "client_domain": "example-wallet.stellar.org",
        },
    ),
    (
        "eyJhbGciOiJFZERTQSJ9.eyJpYXQiOjE3MTE2NDg0MjIsImV4cCI6MTcxMTY0OTMyMiwiYWNjb3VudCI6IkdDWFhI"
        "NkFZSlVWVERHSUhUNDJPWk5NRjNMSENWNERPS0NYNkhIREtXRUNVWllYRFpTV1pONkhTIiwibWVtbyI6IjEyMzQ1Nj"
        "ciLCJ3ZWJfYXV0aF9lbmRwb2ludCI6Imh0dHBzOi8vZXhhbXBsZS5jb20vc2VwMTAvYXV0aCJ9.23TJFUWtadeNWW0"
        "N1mjk4gWUZJRTOnrxfs3gahNRuhrKHRbHonrksri6lzJdIvO71a_Ad851necSO6TTXB_IBw",
        1711648422,
        "GCXXH6AYJUVTDGIHT42OZNMF3LHCV4DOKCX6HHDKWECUZYXDZSWZN6HS",
        {
            "account": "GCXXH6AYJUVTDGIHT42OZNMF3LHCV4DOKCX6HHDKWECUZYXDZSWZN6HS",
            "memo": "1234567",
        },
    ),
]


@pytest.mark.parametrize(("token", "issued_at", "signer", "parameters"), EXAMPLES)
def test_the_examples_of_the_sep_are_good_at_their_time(
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    issued_at: int,
    signer: str,
    parameters: dict[str, str | None],
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(issued_at, UTC)

    endpoint = "https://example.com/sep10/auth"
    monkeypatch.setattr("jwt.api_jwt.datetime", Clock)
    monkeypatch.setattr("sep10.authorization.time.time", lambda: float(issued_at))
    verify_authorization(token, signer=signer, endpoint=endpoint, parameters=parameters)
    monkeypatch.undo()
    with pytest.raises(BadRequest, match="expired"):
        verify_authorization(token, signer=signer, endpoint=endpoint, parameters=parameters)


def test_all_parameters_of_the_request_stand_in_the_claims() -> None:
    parameters = {"memo": "0", "home_domain": "anchor.example", "client_domain": "Wallet.example"}
    verify(sign(claims(**parameters)), **parameters)
    verify(sign(claims(memo=0)), memo="0")
    verify(sign(claims(memo="")))


@pytest.mark.parametrize("name", ["memo", "home_domain", "client_domain"])
def test_a_parameter_on_one_side_only_or_another_one_is_refused(name: str) -> None:
    assert name in refusal(sign(claims()), **{name: "1"})
    assert name in refusal(sign(claims(**{name: "1"})))
    assert name in refusal(sign(claims(**{name: "1"})), **{name: "2"})
    assert name in refusal(sign(claims(**{name: ["1"]})), **{name: "1"})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"web_auth_endpoint": "https://evil.example/auth"}, "web_auth_endpoint"),
        ({"web_auth_endpoint": None}, "web_auth_endpoint"),
        ({"account": Keypair.random().public_key}, "account"),
        ({"account": None}, "account"),
        ({"iat": None}, "iat"),
        ({"exp": None}, "exp"),
        ({"iat": "soon"}, "could not be read"),
        ({"exp": "soon"}, "could not be read"),
        ({"exp": 1e400}, "could not be read"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"iat": int(time.time()) + 3600}, "not valid yet"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"iat": int(time.time()) - 7200, "exp": int(time.time()) + 86400}, "too old"),
    ],
)
def test_other_claims_are_refused_in_words_that_name_them(
    changes: dict[str, Any], why: str
) -> None:
    assert why in refusal(sign(claims(**changes)))


def test_only_the_right_key_signs() -> None:
    stranger = Keypair.random()
    assert CLIENT.public_key in refusal(sign(claims(), stranger))
    header, _, signature = sign(claims()).split(".")
    _, other, _ = sign(claims(memo="1")).split(".")
    assert "signed by" in refusal(f"{header}.{other}.{signature}", memo="1")


def test_only_eddsa_counts() -> None:
    assert "EdDSA" in refusal(jwt.encode(claims(), "k" * 32, algorithm="HS256"))
    assert "EdDSA" in refusal(jwt.encode(claims(), "", algorithm="none"))
    # The public key is no secret, so it must not pass for one.
    public = CLIENT.raw_public_key()
    assert "EdDSA" in refusal(jwt.encode(claims(), public, algorithm="HS256"))


def encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    ["x", "..", "a.b.c", "\x00", "ü.ü.ü", f"{encode(b'[' * 2000)}.e30.",
     f"{encode(json.dumps({'alg': 'EdDSA', 'crit': ['b64'], 'b64': False}).encode())}.e30.aaaa"],
)  # fmt: skip
def test_what_is_no_jwt_is_refused(token: str) -> None:
    assert refusal(token)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                    lambda inner: st.lists(inner, max_size=3), max_leaves=5),
       st.sampled_from(["iat", "exp", "nbf", "aud", "iss", "sub", "jti", "account", "memo",
                        "web_auth_endpoint"]))  # fmt: skip
def test_any_value_of_a_claim_is_taken_or_refused_in_words(value: Any, name: str) -> None:
    body = json.dumps({**claims(), name: value}).encode()
    header = encode(b'{"alg":"EdDSA"}')
    signature = CLIENT.sign(f"{header}.{encode(body)}".encode())
    try:
        verify(f"{header}.{encode(body)}.{encode(signature)}")
    except BadRequest as error:
        assert error.message


# -- The header -------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "  "])
def test_a_missing_header_is_refused_only_where_it_is_required(header: str | None) -> None:
    assert read_authorization(header, required=False) is None
    with pytest.raises(Unauthenticated, match="Missing authorization header"):
        read_authorization(header, required=True)


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer " + "x" * 5000, "x"])
def test_another_header_is_a_bad_request(header: str) -> None:
    with pytest.raises(BadRequest, match="Bearer"):
        read_authorization(header, required=False)


def test_the_scheme_is_read_in_any_case() -> None:
    assert read_authorization("bEARER  a.b.c ", required=True) == "a.b.c"
