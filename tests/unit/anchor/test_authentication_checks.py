"""What the system checks say about SEP-10's settings."""

from __future__ import annotations

from typing import Any

import pytest

from anchor.authentication_checks import check_authentication


def ids() -> list[str | None]:
    return [message.id for message in check_authentication()]


def test_the_defaults_are_sound() -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("HOME_DOMAINS", [], "landfall.E030"),
        ("HOME_DOMAINS", ["a.example", "a.example"], "landfall.E030"),
        ("HOME_DOMAINS", ["https://a.example"], "landfall.E030"),
        ("HOME_DOMAINS", ["a.example/x"], "landfall.E030"),
        ("HOME_DOMAINS", ["A.example"], "landfall.E030"),
        ("HOME_DOMAINS", [""], "landfall.E030"),
        ("HOME_DOMAINS", ["a" * 60], "landfall.E030"),
        ("BASE_URL", "https://" + "a" * 65, "landfall.E031"),
        ("BASE_URL", "https://", "landfall.E031"),
        ("CHALLENGE_SECONDS", 59, "landfall.E032"),
        ("CHALLENGE_SECONDS", 3601, "landfall.E032"),
        ("JWT_SECONDS", 0, "landfall.E033"),
        ("JWT_SECONDS", 86401, "landfall.W005"),
        ("CHALLENGE_AUTHORIZATION", "yes", "landfall.E034"),
        ("AUTH_THRESHOLD", "none", "landfall.E034"),
        ("AUTH_ADDRESS_LIMIT", -1, "landfall.E035"),
        ("AUTH_ACCOUNT_LIMIT", -1, "landfall.E035"),
        ("TRUSTED_PROXIES", -1, "landfall.E035"),
        ("JWT_KEYS", ["a:" + "x" * 32, "a:" + "y" * 32], "landfall.E036"),
    ],
)
def test_a_wrong_value_is_said_with_a_way_to_mend_it(
    settings: Any, name: str, value: Any, id: str
) -> None:
    setattr(settings, name, value)
    [message] = check_authentication()
    assert message.id == id
    assert message.hint


def test_a_home_domain_may_be_as_long_as_a_challenge_can_name() -> None:
    from sep10.challenge import is_domain

    domain = "a" * 59
    assert is_domain(domain)
    assert len(f"{domain} auth") == 64
