"""How a lower room wakes a higher one without importing it.

A room declares a `django.dispatch.Signal` of its own and calls `announce`; `anchor` wires who
listens. An announcement is only a hint: it leaves after commit, it may be lost, and the sweep
makes up for it. A listener that fails must never undo or fail the work that it heard of.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

logger = logging.getLogger(__name__)


def announce(signal: Signal, **facts: Any) -> None:
    """Send `signal` with `facts` once the open database transaction commits."""
    transaction.on_commit(partial(_send, signal, facts), robust=True)


def _send(signal: Signal, facts: dict[str, Any]) -> None:
    for receiver, result in signal.send_robust(sender=None, **facts):
        if isinstance(result, Exception):
            logger.error("listener %s failed; the sweep will make up for it", receiver)
