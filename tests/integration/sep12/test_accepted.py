"""Who is accepted beyond doubt: the database says yes only of whom the rule itself would accept."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.statements import Statement
from sep12.accepted import accepted_beyond_doubt
from sep12.dossiers import Dossier
from sep12.finding import read_owned_dossiers
from sep12.models import Customer, CustomerField, Decision
from sep12.tiers import choose_type
from sep12.types import CustomerType, customer_types
from tests.fixtures.callers import RegisteredAnchor, make_sending_anchor

pytestmark = pytest.mark.django_db

TYPES = {
    "person": {"role": "sender", "required": ["first_name", "last_name"], "optional": ["sex"]},
    "company": {"role": "sender", "kind": "organization", "required": ["organization.name"]},
    "shop": {"role": "receiver", "kind": "organization", "required": ["organization.name"]},
    "payee": {"role": "receiver", "required": ["first_name", "bank_account_number"]},
}
DECISIONS = ["AcceptAtOnce", "OperatorReview", "HttpProvider"]
PLAIN: dict[str, Any] = {
    "type": "person",
    "screening": "CLEAR",
    "fields": {"first_name": "ACCEPTED", "last_name": "ACCEPTED"},
    "decision": ("ACCEPTED", "", 1),
    "erased": False,
    "foreign": False,
}

# Mostly what is good, so that one obstacle among many good things is tried most.
statuses = st.sampled_from(["ACCEPTED"] * 6 + CustomerField.Status.values)
customers = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["person"] * 4 + ["", "payee", "company", "shop", "gone"]),
        "screening": st.sampled_from(["CLEAR"] * 6 + Customer.Screening.values),
        "fields": st.fixed_dictionaries(
            {"first_name": statuses, "last_name": statuses},
            optional={"sex": statuses, "organization.name": statuses},
        )
        | st.dictionaries(st.sampled_from(["first_name", "last_name", "sex"]), statuses),
        "decision": st.sampled_from([PLAIN["decision"]] * 4 + [None])
        | st.tuples(
            st.sampled_from(Decision.Status.values),
            st.sampled_from(["", "words"]),
            st.integers(0, 2),
        ),
        "erased": st.sampled_from([False] * 9 + [True]),
        "foreign": st.sampled_from([False] * 9 + [True]),
    }
)


@pytest.fixture(autouse=True)
def types(own_configuration: None, settings: Any) -> tuple[CustomerType, ...]:
    settings.ANCHOR = {**settings.ANCHOR, "customer_types": TYPES}
    settings.SANCTIONS_LISTS = ["a list"]
    customer_types.cache_clear()
    return customer_types()["person"], customer_types()["company"]


def make_customer(owner: RegisteredAnchor, about: dict[str, Any]) -> uuid.UUID:
    made = Customer.objects.create(
        sending_anchor=owner.sending_anchor,
        account=make_sending_anchor().account if about["foreign"] else owner.account,
        memo=uuid.uuid4().hex,
        memo_type="text",
        type=about["type"],
        revision=1,
        screening=about["screening"],
        erased_at=timezone.now() if about["erased"] else None,
    )
    for name, status in about["fields"].items():
        CustomerField.objects.create(customer=made, name=name, value="x", status=status)
    if about["decision"] is not None:
        status, message, revision = about["decision"]
        Decision.objects.create(
            customer=made, type="person", status=status, message=message, revision=revision
        )
    return made.pk


def told(owner: RegisteredAnchor, pk: uuid.UUID, types: tuple[CustomerType, ...]) -> bool:
    condition = accepted_beyond_doubt(pk, owner.account, types)
    [(answer,)] = Statement(f"SELECT {condition.text}").fetch(condition.params)
    return bool(answer)


def is_plain(dossier: Dossier) -> bool:
    """Whether there is nothing to look at twice."""
    recorded = dossier.verdicts.get("person")
    return all(state.status == "ACCEPTED" for state in dossier.fields.values()) and (
        recorded is None
        or (recorded.status, recorded.message, recorded.is_current) == ("ACCEPTED", "", True)
    )


@pytest.mark.parametrize("decisions", DECISIONS)
def test_whoever_was_accepted_is_told_at_once(
    anchor: RegisteredAnchor, types: tuple[CustomerType, ...], settings: Any, decisions: str
) -> None:
    settings.CUSTOMER_DECISIONS = f"sep12.decisions.{decisions}"
    assert told(anchor, make_customer(anchor, PLAIN), types)


@pytest.mark.parametrize(
    "obstacle",
    [
        {"screening": "HIT"},
        {"screening": "BLOCKED"},
        {"screening": "DUE"},
        {"screening": ""},
        {"fields": {"first_name": "ACCEPTED"}},
        {"fields": {**PLAIN["fields"], "last_name": "REJECTED"}},
        {"fields": {**PLAIN["fields"], "last_name": "PROCESSING"}},
        {"fields": {**PLAIN["fields"], "last_name": "VERIFICATION_REQUIRED"}},
        {"fields": {**PLAIN["fields"], "sex": "REJECTED"}},
        {"decision": None},
        {"decision": ("ACCEPTED", "", 0)},
        {"decision": ("PROCESSING", "", 1)},
        {"decision": ("REJECTED", "", 1)},
        {"type": "company"},
        {"type": "shop"},
        {"erased": True},
        {"foreign": True},
    ],
    ids=str,
)
def test_one_obstacle_is_enough(
    anchor: RegisteredAnchor,
    types: tuple[CustomerType, ...],
    settings: Any,
    obstacle: dict[str, Any],
) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"
    assert not told(anchor, make_customer(anchor, PLAIN | obstacle), types)


def test_an_operators_block_holds_without_screening(
    anchor: RegisteredAnchor, types: tuple[CustomerType, ...], settings: Any
) -> None:
    settings.SANCTIONS_LISTS = []
    assert told(anchor, make_customer(anchor, PLAIN | {"screening": "HIT"}), types)
    assert not told(anchor, make_customer(anchor, PLAIN | {"screening": "BLOCKED"}), types)


def test_an_unknown_id_is_nobody(anchor: RegisteredAnchor, types: tuple[CustomerType, ...]) -> None:
    assert not told(anchor, uuid.uuid4(), types)


@hypothesis_settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(about=customers, decisions=st.sampled_from(DECISIONS), screens=st.booleans())
@example(about=PLAIN, decisions="OperatorReview", screens=True)
def test_the_database_accepts_nobody_whom_the_rule_would_not(
    anchor: RegisteredAnchor,
    types: tuple[CustomerType, ...],
    settings: Any,
    about: dict[str, Any],
    decisions: str,
    screens: bool,
) -> None:
    settings.CUSTOMER_DECISIONS = f"sep12.decisions.{decisions}"
    settings.SANCTIONS_LISTS = ["a list"] if screens else []
    pk = make_customer(anchor, about)
    dossier = read_owned_dossiers(anchor.caller(), [pk]).get(pk)
    accepted = (
        dossier is not None
        and choose_type(types, dossier.customer.type) is types[0]
        and dossier.assess(types[0]).status == "ACCEPTED"
    )
    assert told(anchor, pk, types) == (accepted and dossier is not None and is_plain(dossier))
