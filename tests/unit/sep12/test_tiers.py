"""Which type of customer a payment asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.money import STROOP, format_amount
from sep1.assets import ReceivedAsset, received_assets
from sep12.tiers import choose_type, steps_of, types_for
from sep12.types import KINDS, customer_types

METHODS = ("bank_account", "mobile_money", "cash")
SMALLEST, LARGEST = Decimal("0.5"), Decimal(10000)

amounts = st.decimals(SMALLEST, LARGEST, places=7)
tiers = st.lists(amounts, unique=True, max_size=4).map(sorted)


@pytest.fixture(autouse=True)
def restored(settings: Any) -> Iterator[None]:
    before = settings.ANCHOR
    yield
    settings.ANCHOR = before
    customer_types.cache_clear()


def the_asset() -> ReceivedAsset:
    asset, *_ = received_assets().values()
    return replace(asset, funding_methods=METHODS, min_amount=SMALLEST, max_amount=LARGEST)


def configure(settings: Any, **types: Any) -> None:
    settings.ANCHOR = {**settings.ANCHOR, "customer_types": types}
    customer_types.cache_clear()


def names(*args: Any) -> list[str]:
    return [one.name for one in types_for(*args)]


@pytest.fixture
def persons_and_organizations(settings: Any) -> None:
    configure(
        settings,
        **{
            "person": {"role": "sender"},
            "person-3000": {"role": "sender", "from_amount": "3000"},
            "person-9000-cash": {
                "role": "sender",
                "from_amount": "9000",
                "funding_methods": ["cash"],
            },
            "company": {"role": "sender", "kind": "organization"},
            "company-3000": {"role": "sender", "kind": "organization", "from_amount": "3000"},
            "receiver": {"role": "receiver", "funding_methods": ["cash"]},
            "receiving-company": {"role": "receiver", "kind": "organization"},
        },
    )


@pytest.mark.usefixtures("persons_and_organizations")
@pytest.mark.parametrize(
    ("role", "method", "amount", "expected"),
    [
        ("sender", "cash", "2999.9999999", ["person", "company"]),
        ("sender", "cash", "3000", ["person-3000", "company-3000"]),
        ("sender", "cash", "9000", ["person-9000-cash", "company-3000"]),
        ("sender", "bank_account", "9000", ["person-3000", "company-3000"]),
        ("receiver", "cash", "9000", ["receiver", "receiving-company"]),
        ("receiver", "bank_account", "1", ["receiving-company"]),
    ],
)
def test_the_largest_tier_that_is_reached_counts(
    role: str, method: str, amount: str, expected: list[str]
) -> None:
    assert names(role, the_asset(), method, Decimal(amount)) == expected


@pytest.mark.usefixtures("persons_and_organizations")
@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        ("person", "person-3000"),
        ("company", "company-3000"),
        ("company-3000", "company-3000"),
        ("receiving-company", "company-3000"),
        ("", "person-3000"),
        ("gone", "person-3000"),
    ],
)
def test_who_was_registered_as_an_organization_is_asked_as_one(
    registered: str, expected: str
) -> None:
    types = types_for("sender", the_asset(), "cash", Decimal(3000))
    chosen = choose_type(types, registered)
    assert chosen is not None
    assert chosen.name == expected


@pytest.mark.usefixtures("persons_and_organizations")
def test_a_person_is_asked_as_an_organization_where_only_those_are_served() -> None:
    types = types_for("receiver", the_asset(), "bank_account", Decimal(1))
    chosen = choose_type(types, "person")
    assert chosen is not None
    assert chosen.name == "receiving-company"


def test_nothing_is_asked_in_a_role_that_no_type_has(settings: Any) -> None:
    configure(settings, only={"role": "receiver"})
    assert types_for("sender", the_asset(), "cash", Decimal(1)) == ()
    assert choose_type((), "only") is None
    assert list(steps_of("sender", the_asset())) == []


def test_below_the_lowest_tier_more_is_asked_rather_than_nothing(settings: Any) -> None:
    configure(settings, large={"role": "sender", "from_amount": "3000"})
    assert names("sender", the_asset(), "cash", Decimal(1)) == ["large"]


def test_types_of_another_asset_are_not_asked(settings: Any) -> None:
    configure(
        settings,
        all={"role": "sender"},
        ours={"role": "sender", "assets": ["USDC"], "from_amount": "10"},
        theirs={"role": "sender", "assets": ["EURC"], "from_amount": "20"},
    )
    assert names("sender", the_asset(), "cash", Decimal(30)) == ["ours"]


@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ladders=st.fixed_dictionaries(
        {(role, kind): tiers for role in ("sender", "receiver") for kind in KINDS}
    ),
    lower=amounts,
    higher=amounts,
)
def test_any_amount_asks_one_type_of_each_kind_and_a_larger_one_never_a_lower_tier(
    settings: Any,
    ladders: dict[tuple[str, str], list[Decimal]],
    lower: Decimal,
    higher: Decimal,
) -> None:
    lower, higher = sorted((lower, higher))
    types: dict[str, dict[str, Any]] = {}
    for (role, kind), froms in ladders.items():
        types[f"{role}-{kind}"] = {"role": role, "kind": kind}
        for number, from_amount in enumerate(reversed(froms)):
            types[f"{role}-{kind}-{number}"] = {
                "role": role,
                "kind": kind,
                "from_amount": format_amount(from_amount),
            }
    configure(settings, **types)
    asset = the_asset()
    for role in ("sender", "receiver"):
        steps = list(steps_of(role, asset))
        for method in METHODS:
            small, large = (types_for(role, asset, method, one) for one in (lower, higher))
            for amount, chosen in ((lower, small), (higher, large)):
                assert [one.kind for one in chosen] == list(KINDS)
                # What info tells (steps_of) is what is asked: exactly one step holds the amount.
                for one in chosen:
                    assert one.from_amount <= amount
                    holding = [
                        step
                        for step in steps
                        if step.funding_method == method
                        and step.customer_type.kind == one.kind
                        and (step.lowest is None or step.lowest <= amount)
                        and (step.below is None or amount < step.below)
                    ]
                    assert [step.customer_type for step in holding] == [one]
            for one, other in zip(small, large, strict=True):
                assert one.from_amount <= other.from_amount


def test_a_step_that_no_allowed_amount_reaches_is_not_told(settings: Any) -> None:
    configure(
        settings,
        low={"role": "sender"},
        middle={"role": "sender", "from_amount": format_amount(SMALLEST)},
        high={"role": "sender", "from_amount": format_amount(LARGEST + STROOP)},
    )
    told = [step for step in steps_of("sender", the_asset()) if step.funding_method == "cash"]
    assert [(step.customer_type.name, step.below) for step in told] == [
        ("middle", LARGEST + STROOP)
    ]
