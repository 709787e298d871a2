"""A rail's words are kept only as text, short, and without the receiving client in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.wording import HIDDEN, MAX_MESSAGE, clean_message
from payouts.wording import clean_reference

DETAILS = {
    "first_name": "Ana María",
    "last_name": "Luna",
    "bank_account_number": "0123456789",
    "bank_number": "777",
}


@pytest.mark.parametrize(
    "said",
    [
        "no account 0123456789",
        "no account 0123-456 789",
        "held by LUNA, not by the name given",
        "held by María of branch 777",
        "account of Ana María Luna",
    ],
)
def test_values_of_the_receiving_client_are_hidden_in_what_the_rail_says(said):
    kept = clean_message(said, DETAILS)
    assert HIDDEN in kept
    for secret in ("0123", "456", "luna", "maría", "777"):
        assert secret not in kept.lower()


def test_somebody_elses_account_number_is_hidden_too():
    assert clean_message("did you mean 99887 76655?", DETAILS) == f"did you mean {HIDDEN}?"


def test_plain_words_stay_as_they_are():
    assert clean_message("The account is closed (code 41)", DETAILS) == (
        "The account is closed (code 41)"
    )


def test_a_short_name_does_not_hide_the_inside_of_other_words():
    assert clean_message("also an error", {"first_name": "An"}) == f"also {HIDDEN} error"


def test_nothing_is_hidden_for_the_sake_of_an_empty_value():
    assert clean_message("as it was", {"first_name": "", "last_name": " "}) == "as it was"


@given(st.text(max_size=5000) | st.text("<\x00\ud800\u202e\n ", max_size=400))
def test_what_is_kept_can_be_stored_and_shown_whatever_was_said(said):
    kept = clean_message(said, DETAILS)
    assert len(kept) <= MAX_MESSAGE
    assert kept == kept.strip()
    assert not set("\x00\n\r\t\u202e") & set(kept)
    kept.encode()  # no lone surrogate


@pytest.mark.parametrize("reference", ["x" * 101, "two words", "a\x00b", "caf\u00e9", "\ud800", ""])
def test_a_reference_that_is_not_plain_and_short_is_not_kept(reference):
    assert clean_reference(reference) == ""


def test_an_ordinary_reference_is_kept():
    assert clean_reference("bank-0a1b2c/7") == "bank-0a1b2c/7"
