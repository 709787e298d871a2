"""A customer's status, over the whole space of what we may hold."""

from __future__ import annotations

import itertools

import pytest

from sep12.status import Assessment, FieldState, Verdict, assess, needed_fields
from sep12.types import CustomerType

TYPE = CustomerType(
    "receiver",
    required=("first_name", "bank_number"),
    optional=("email_address",),
    of_others=frozenset({"tax_id"}),
)
STATES = {
    "absent": None,
    "asked for": FieldState("REJECTED", "We need it", provided=False),
    "accepted": FieldState("ACCEPTED"),
    "processing": FieldState("PROCESSING"),
    "rejected": FieldState("REJECTED", "No such account"),
    "unverified": FieldState("VERIFICATION_REQUIRED"),
}
VERDICTS = ["ACCEPTED", "PROCESSING", "REJECTED"]


def held(**states: str) -> dict[str, FieldState]:
    found = {name: STATES[state] for name, state in states.items()}
    return {name: state for name, state in found.items() if state is not None}


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize(("first", "bank", "email"), list(itertools.product(STATES, repeat=3)))
def test_the_status_follows_the_rules_of_sep_12_in_every_case(
    first: str, bank: str, email: str, verdict: str
) -> None:
    fields = held(first_name=first, bank_number=bank, email_address=email)
    found = assess(TYPE, fields, Verdict(verdict, "sanctions list"))

    # "This customer's KYC has failed and will never succeed", whatever else is sent.
    if verdict == "REJECTED":
        assert found == Assessment("REJECTED", (), "sanctions list")
        return
    refused = {"asked for", "rejected"}
    unmet = {
        name: state
        for name, state in [("first_name", first), ("bank_number", bank), ("email_address", email)]
        if state in refused or (name != "email_address" and state in {"absent", "unverified"})
    }
    if unmet:
        assert found.status == "NEEDS_INFO"
        assert set(found.missing) == {
            f"{name}_verification" if state == "unverified" else name
            for name, state in unmet.items()
        }
        assert all(name in found.message for name in unmet)
    elif "processing" in (first, bank) or verdict == "PROCESSING":
        assert found.status == "PROCESSING"
        assert found.missing == ()
        assert found.message
    else:
        # "All required KYC fields have been accepted."
        assert (first, bank) == ("accepted", "accepted")
        assert found == Assessment("ACCEPTED", (), "sanctions list")


def test_a_rejection_always_says_something() -> None:
    assert assess(TYPE, {}, Verdict("REJECTED")).message


def test_a_refused_field_that_only_other_types_list_says_nothing_about_this_one() -> None:
    fields = held(first_name="accepted", bank_number="accepted", tax_id="rejected")
    assert assess(TYPE, fields, Verdict("ACCEPTED")).status == "ACCEPTED"
    assert needed_fields(TYPE, fields) == []


def test_a_refused_field_that_no_type_lists_concerns_every_type() -> None:
    fields = held(first_name="accepted", bank_number="accepted", clabe_number="rejected")
    assert assess(TYPE, fields, Verdict("ACCEPTED")).missing == ("clabe_number",)


def test_nothing_required_is_accepted_at_once() -> None:
    assert assess(CustomerType("easy"), {}, Verdict("ACCEPTED")).status == "ACCEPTED"


def test_the_message_tells_what_is_new_from_what_is_to_be_sent_again() -> None:
    fields = held(bank_number="rejected", email_address="asked for")
    message = assess(TYPE, fields, Verdict("ACCEPTED")).message
    assert message == "Still needed: first_name, email_address. Needed anew: bank_number."
