"""Choosing TCP ports on this machine."""

from __future__ import annotations

import random
import socket

# Below the range that systems give to outgoing connections: a client that tries again and again
# while its server restarts could otherwise be handed the server's own port.
_LOWEST, _HIGHEST = 20_000, 32_000


class PortBusy(Exception):
    """Something else listens on a port that we were told to use."""


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_free_port(taken: set[int]) -> int:
    """A free port outside `taken`."""
    for _ in range(1000):
        port = random.randrange(_LOWEST, _HIGHEST)
        if port not in taken and is_free(port):
            return port
    raise PortBusy("No free TCP port was found on 127.0.0.1")
