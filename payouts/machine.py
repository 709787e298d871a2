"""What a rail's answer makes of a payout and its attempt: a pure table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from payouts.models import Attempt, Payout
from payouts.rails.base import Answer, Outcome

MAX_RETRY = timedelta(hours=1)
MAX_POLL = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Decision:
    """The next state. `next_try_at` is None where nothing more happens by itself."""

    payout: Payout.Status
    attempt: Attempt.Status
    next_try_at: datetime | None


def decide_after(
    answer: Answer,
    *,
    attempt: Attempt.Status,
    tries: int,
    max_tries: int,
    calls: int,
    now: datetime,
    first_delay: timedelta,
    spread: float,
) -> Decision:
    """What an answer makes of a payout whose unsettled attempt stands at `attempt`.

    `tries` counts the attempts of this round, this one included; `calls` the calls for this
    attempt. `spread`, a random number in [0, 1), keeps payouts from coming back all at once.
    Raises `ValueError` for an attempt that is settled: no later answer may change it.
    """
    if attempt not in Attempt.UNSETTLED:
        raise ValueError(f"an attempt that is {attempt} is final")
    poll_at = now + _delay(calls, first_delay, MAX_POLL, spread)
    match answer.outcome:
        case Outcome.DELIVERED:
            return Decision(Payout.Status.DELIVERED, Attempt.Status.DELIVERED, None)
        case Outcome.ACCEPTED:
            return Decision(Payout.Status.ACCEPTED, Attempt.Status.ACCEPTED, poll_at)
        case Outcome.REFUSED:
            return Decision(Payout.Status.REFUSED, Attempt.Status.REFUSED, None)
        case Outcome.FAILED if answer.retryable and tries < max_tries:
            retry_at = now + _delay(tries, first_delay, MAX_RETRY, spread)
            return Decision(Payout.Status.DUE, Attempt.Status.FAILED, retry_at)
        case Outcome.FAILED:
            return Decision(Payout.Status.FAILED, Attempt.Status.FAILED, None)
        case Outcome.UNKNOWN if attempt == Attempt.Status.ACCEPTED:
            return Decision(Payout.Status.ACCEPTED, Attempt.Status.ACCEPTED, poll_at)
        case Outcome.UNKNOWN:
            # It may have been paid: the attempt stays the only one, to be looked up by its key.
            return Decision(Payout.Status.IN_FLIGHT, Attempt.Status.CLAIMED, poll_at)


def _delay(times: int, first: timedelta, longest: timedelta, spread: float) -> timedelta:
    """Doubles each time up to `longest`; of that, between a half and the whole."""
    doubled = first * 2 ** min(max(times, 1) - 1, 30)
    return min(doubled, longest) * (0.5 + spread / 2)
