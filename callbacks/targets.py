"""Which callback URLs we accept. Pure: what the name resolves to is checked at each delivery."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit, urlunsplit

from callbacks.signature import host_of
from kernel.errors import BadRequest

MAX_URL_LENGTH = 2000
# Printable ASCII without space, backslash and the like: two parsers never read it differently.
_PLAIN = re.compile(r"[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~\[\]]+", re.ASCII)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
# A last label that starts with a letter: "127.1" and "0x7f.1" are addresses to some resolvers.
_NAME = re.compile(rf"(?:{_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?", re.ASCII)


def check_url(url: object, *, allowed_hosts: list[str], insecure: bool) -> str:
    """The URL in the form that we store (host in lower case), or `BadRequest`.

    `allowed_hosts`: host names that it may name; empty means any public host. `insecure` permits
    http and private hosts, for development.
    """
    if not isinstance(url, str) or not url:
        raise BadRequest("url must be text, for example https://sendinganchor.com/callback")
    if len(url) > MAX_URL_LENGTH:
        raise BadRequest(f"url must be at most {MAX_URL_LENGTH} characters long")
    if not _PLAIN.fullmatch(url):
        raise BadRequest("url must hold only the ASCII characters of a URL, and no fragment")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadRequest("url must be a valid URL") from error
    if parts.scheme != "https" and not (insecure and parts.scheme == "http"):
        raise BadRequest("url must start with https://")
    if "@" in parts.netloc:
        raise BadRequest("url must not hold a user name or password")
    if not host or port == 0:
        raise BadRequest("url must name a host")
    if not insecure and not _is_public(host):
        raise BadRequest("url must name a public host")
    if allowed_hosts and host not in {allowed.strip().lower() for allowed in allowed_hosts}:
        raise BadRequest("url must name one of the hosts agreed with you for callbacks")
    return urlunsplit(
        SplitResult(parts.scheme, host_of(url), parts.path or "/", parts.query, fragment="")
    )


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return len(host) <= 253 and _NAME.fullmatch(host) is not None
