"""The signature of callbacks: SEP-31 and SEP-12, "COMPUTE signature" and "VERIFY signature"."""

from __future__ import annotations

import base64

import pytest
from stellar_sdk import Keypair

from callbacks.signature import BadSignature, host_of, sign, verify

KEY = Keypair.random()
URL = "https://sendinganchor.com/statusCallback"
BODY = '{"transaction":{"id":"1","status":"completed","message":"señal"}}'.encode()


def signed(timestamp: int = 1_600_000_000, url: str = URL) -> str:
    return sign(KEY, timestamp=timestamp, url=url, body=BODY)["Signature"]


def test_the_payload_is_timestamp_dot_host_dot_body():
    prefix, _, encoded = signed().partition(", s=")
    assert prefix == "t=1600000000"
    # Written out by hand, not by the code under test.
    KEY.verify(b"1600000000.sendinganchor.com." + BODY, base64.b64decode(encoded))


def test_both_header_names_carry_the_same_value():
    headers = sign(KEY, timestamp=1, url=URL, body=BODY)
    assert headers["Signature"] == headers["X-Stellar-Signature"]


def test_the_receiver_accepts_what_we_signed():
    verify(KEY, signed(), now=1_600_000_030, host="sendinganchor.com", body=BODY)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"host": "other.com"}, "relayed to another host"),
        ({"body": BODY + b" "}, "another body"),
        ({"now": 1_600_000_121}, "replayed two minutes later"),
        ({"now": 1_599_999_879}, "dated in the future"),
        ({"key": Keypair.random()}, "another key"),
    ],
)
def test_the_receiver_refuses_anything_else(change, why):
    expected = {"key": KEY, "now": 1_600_000_000, "host": "sendinganchor.com", "body": BODY}
    arguments = expected | change
    key = arguments.pop("key")
    with pytest.raises(BadSignature):
        verify(key, signed(), **arguments)


def test_the_timestamp_itself_is_signed():
    header = signed().replace("t=1600000000", "t=1600000001")
    with pytest.raises(BadSignature):
        verify(KEY, header, now=1_600_000_001, host="sendinganchor.com", body=BODY)


@pytest.mark.parametrize(
    "header", ["", "t=1", "t=1, s=", "t=x, s=AAAA", "s=AAAA, t=1", "t=١, s=" + "A" * 86 + "=="]
)
def test_a_malformed_header_is_refused_in_words(header):
    with pytest.raises(BadSignature):
        verify(KEY, header, now=1, host="sendinganchor.com", body=BODY)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://SendingAnchor.com/x", "sendinganchor.com"),
        ("https://sendinganchor.com:443/x", "sendinganchor.com"),
        ("https://sendinganchor.com:8443/x", "sendinganchor.com:8443"),
        ("http://127.0.0.1:8000/x?y", "127.0.0.1:8000"),
        ("http://localhost:80", "localhost"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
    ],
)
def test_the_signed_host_is_the_one_of_the_host_header(url, host):
    assert host_of(url) == host
