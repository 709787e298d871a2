"""Test account numbers: each brings about one outcome, like the test cards of card processors.

Any other well-formed number is paid at once.
"""

from __future__ import annotations

TEST_ACCOUNTS: dict[str, str] = {
    "paid": "5500010001",
    "paid_later": "5500010002",
    "refused_account": "5500010003",
    "refused_name": "5500010004",
    "fails_twice": "5500010005",
    "timeout_paid": "5500010006",
    "timeout_unpaid": "5500010007",
    "undeliverable": "5500010008",
    "later_refused": "5500010009",
    "timeout_once": "5500010010",
    "later_undeliverable": "5500010011",
    "always_fails": "5500010012",
}

DESCRIPTIONS: dict[str, str] = {
    "paid": "Paid at once.",
    "paid_later": "Accepted, and paid a little later.",
    "refused_account": "Refused: there is no such account (names the account number's field).",
    "refused_name": "Refused: the holder's name differs (names first_name and last_name).",
    "fails_twice": "Fails in passing for the first two attempts of a reference, then is paid.",
    "timeout_paid": "Pays, but answers too late: the outcome is unknown, and it is paid.",
    "timeout_unpaid": "Never pays nor remembers, and hangs: unknown, and not paid.",
    "undeliverable": "Can't be delivered: the account is closed. No field would mend it.",
    "later_refused": "Accepted, then sent back: the account number is wrong.",
    "timeout_once": "Hangs and remembers nothing at first; the same key sent again is paid.",
    "later_undeliverable": "Accepted, then sent back: the account was closed.",
    "always_fails": "Fails in passing, each time.",
}

_OUTCOMES = {number: outcome for outcome, number in TEST_ACCOUNTS.items()}


def find_outcome(account_number: str) -> str:
    """The outcome that a well-formed account number stands for.

    A mobile number stands for the test number in its last ten digits, so that "+52" and the like
    may come before it.
    """
    number = account_number[-10:] if account_number.startswith("+") else account_number
    return _OUTCOMES.get(number, "paid")
