"""How often anybody may ask, counted in Redis for all processes together.

Each limit is a bucket of `per_minute` requests that fills up again evenly. Redis keeps one number
for each, under a keyed hash of whose it is, for as long as the bucket is not full. Redis is no part
of what must work: without it, or with an empty one, requests pass.

A process that is asked often takes a few requests out of a bucket at a time (`_Leases`). What it
does not use is lost to that bucket, never gained.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from kernel.errors import TooManyRequests

logger = logging.getLogger(__name__)

# A request waits for no more than this, and then none for a while.
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 5.0
LEASE_SECONDS = 1.0
MAX_LEASE = 10
MAX_LEASES = 2000
_MINUTE = 60_000_000  # microseconds, which is what the script counts in

# Each key holds the moment at which its bucket is full again. The request takes one step from
# each bucket, or from none if one of them has less. Replies with how long until all have enough.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local wait = 0
local full = {}
for i, key in ipairs(KEYS) do
  full[i] = math.max(tonumber(redis.call('GET', key)) or 0, now) + ARGV[i]
  wait = math.max(wait, full[i] - now - ARGV[#ARGV])
end
if wait > 0 then
  return math.ceil(wait)
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', full[i]),
             'PX', math.ceil((full[i] - now) / 1000))
end
return 0
"""


@dataclass(frozen=True)
class Limit:
    """`subject` may do what `name` says `per_minute` times a minute; 0 is no limit."""

    name: str
    subject: str
    per_minute: int


def count_request(*limits: Limit) -> None:
    """Count one request against each of `limits`, in one call of Redis.

    Raises `TooManyRequests` if one of them is used up; then it counts against none.
    """
    checked = [limit for limit in limits if limit.per_minute > 0 and limit.subject]
    if not checked:
        return
    keys = tuple(_key(limit) for limit in checked)
    if _leases.use(keys):
        return
    steps = [max(_MINUTE // limit.per_minute, 1) for limit in checked]
    counts = _counts(settings.REDIS_URL)
    size = _leases.next_size(keys, min(limit.per_minute for limit in checked) // 60)
    wait = counts.take(keys, [step * size for step in steps])
    if wait > 0 and size > 1:
        size, wait = 1, counts.take(keys, steps)
    if wait > 0:
        seconds = math.ceil(wait / 1_000_000)
        raise TooManyRequests(
            f"Too many requests; try again in {seconds} second{'s' if seconds > 1 else ''}",
            retry_after=seconds,
        )
    _leases.keep(keys, size)


def client_address(request: HttpRequest) -> str:
    """Who sent `request`, for counting: an IPv4 address or an IPv6 network; "" if unknown.

    Each trusted proxy appends whom it talked to; what stands further left is the client's own
    word. Whoever has IPv6 has at least a /64 of it.
    """
    found = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        if len(hops) >= settings.TRUSTED_PROXIES:
            found = hops[-settings.TRUSTED_PROXIES].strip() or found
    try:
        address = ipaddress.ip_address(found.strip("[]"))
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def _key(limit: Limit) -> str:
    # Keyed, since all addresses there are can be tried.
    digest = hashlib.blake2b(
        limit.subject.encode(),
        key=hashlib.sha256(settings.SECRET_KEY.encode()).digest(),
        digest_size=16,
    )
    return f"limit:{limit.name}:{digest.hexdigest()}"


@dataclass
class _Lease:
    left: int
    size: int
    until: float


class _Leases:
    """Requests that Redis has counted already and that this process has yet to get.

    Each is twice the one before as long as they are used up within a second, up to what the
    limit allows in a second: so whoever asks seldom wastes none, and a flood costs little.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, ...], _Lease] = OrderedDict()

    def use(self, keys: tuple[str, ...]) -> bool:
        """Whether a request was counted ahead; it is used by this."""
        with self._lock:
            lease = self._held.get(keys)
            if lease is None or lease.left == 0 or time.monotonic() > lease.until:
                return False
            lease.left -= 1
            return True

    def next_size(self, keys: tuple[str, ...], most: int) -> int:
        """How many requests to take at once now, this one among them."""
        with self._lock:
            lease = self._held.get(keys)
            if lease is None or lease.left > 0 or time.monotonic() > lease.until:
                return 1
            return max(min(2 * lease.size, most, MAX_LEASE), 1)

    def keep(self, keys: tuple[str, ...], size: int) -> None:
        """Note that `size` requests were taken, one of which is being answered."""
        with self._lock:
            self._held[keys] = _Lease(size - 1, size, time.monotonic() + LEASE_SECONDS)
            self._held.move_to_end(keys)
            if len(self._held) > MAX_LEASES:
                self._held.popitem(last=False)


_leases = _Leases()


class _Counts:
    """The script at one Redis."""

    def __init__(self, url: str) -> None:
        self._pool = redis.ConnectionPool.from_url(
            url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._sha = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
        self._is_answering = True
        self._paused_until = 0.0

    def take(self, keys: Sequence[str], steps: Sequence[int]) -> int:
        """Microseconds to wait; 0 if the request was counted, or if Redis does not answer."""
        if time.monotonic() < self._paused_until:
            return 0
        try:
            wait = int(self._run(keys, [*map(str, steps), str(_MINUTE)]))
        except (redis.RedisError, OSError, ValueError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            if self._is_answering:
                logger.warning("Redis does not count requests (%s); all pass", type(error).__name__)
            self._is_answering = False
            return 0
        self._is_answering = True
        return wait

    def _run(self, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        try:
            return self._call("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except NoScriptError:  # the first time, and after Redis was started anew
            return self._call("EVAL", _SCRIPT, len(keys), *keys, *arguments)

    def _call(self, *words: str | int) -> Any:
        # By the connection itself: the client's own retries and metrics, which we don't use, take
        # longer than the script.
        connection = self._pool.get_connection()
        try:
            connection.send_command(*words, check_health=False)
            return connection.read_response()
        except BaseException:
            connection.disconnect()  # what is still to come must not be the next answer
            raise
        finally:
            self._pool.release(connection)


@lru_cache(maxsize=2)
def _counts(url: str) -> _Counts:
    return _Counts(url)
