"""The signature of a callback: SEP-31 "Callback POST" and SEP-12 "Callback POST Request".

The payload is `<timestamp>.<host>.<body>`, signed with the key behind stellar.toml's SIGNING_KEY.
The SEPs speak of the "host to send the callback request to" and leave the port open. We sign what
stands in the request's `Host` header: the lower-case host name, with `:port` only where it is not
the scheme's own. For the usual https://host/path that is the plain host name.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import urlsplit

from stellar_sdk import Keypair
from stellar_sdk.exceptions import BadSignatureError

_DEFAULT_PORTS = {"https": 443, "http": 80}
_HEADER = re.compile(r"t=([0-9]{1,12}),\s*s=([A-Za-z0-9+/]{86}==)", re.ASCII)


class BadSignature(Exception):
    """The callback isn't from the anchor, is meant for another host, or is too old."""


def host_of(url: str) -> str:
    """The host that is signed, as the `Host` header of a request to `url` names it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _payload(timestamp: int, host: str, body: bytes) -> bytes:
    return f"{timestamp}.{host}.".encode() + body


def sign(key: Keypair, *, timestamp: int, url: str, body: bytes) -> dict[str, str]:
    """The headers that prove a callback ours (SEP-31, COMPUTE signature).

    `timestamp` is in Unix seconds. Both names go out until `X-Stellar-Signature` leaves the SEP.
    """
    signature = base64.b64encode(key.sign(_payload(timestamp, host_of(url), body))).decode()
    value = f"t={timestamp}, s={signature}"
    return {"Signature": value, "X-Stellar-Signature": value}


def verify(
    key: Keypair, header: str, *, now: int, host: str, body: bytes, max_age_seconds: int = 120
) -> None:
    """Check a received callback (SEP-31, VERIFY signature). Raises `BadSignature`.

    `host` is the receiver's own, never one read from the request.
    """
    match = _HEADER.fullmatch(header)
    if match is None:
        raise BadSignature("the header must read t=<timestamp>, s=<base64 signature>")
    timestamp = int(match[1])
    if abs(now - timestamp) > max_age_seconds:
        raise BadSignature("the timestamp is too far from now")
    try:
        key.verify(_payload(timestamp, host, body), base64.b64decode(match[2], validate=True))
    except (BadSignatureError, binascii.Error) as error:
        raise BadSignature("the signature does not match") from error
