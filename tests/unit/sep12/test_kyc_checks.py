"""At start, what is wrong with the settings of KYC is said, with how to mend it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from stellar_sdk import Network

SENDER = "sep12.senders.HttpSender"


class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no licence")


class OwnDecisions:
    case_kind = None

    def decide(self, customer_type: str, recorded: Any) -> Any:
        return recorded


class WithoutKind:
    decide = OwnDecisions.decide


class OwnSender:
    def send(self, name: str, value: str, code: str, *, key: str) -> None:
        pass


HERE = "tests.unit.sep12.test_kyc_checks"


def found() -> list[str]:
    ids = [message.id for message in run_checks() if message.id]
    numbers = [one.removeprefix("landfall.") for one in ids if one.startswith("landfall.E02")]
    return [number for number in numbers if number != "E020"]


@pytest.fixture(autouse=True)
def right(settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.HttpProvider"
    settings.KYC_PROVIDER_URL = "https://kyc.example.com/cases"
    settings.KYC_PROVIDER_SECRETS = ["x" * 32]
    settings.VERIFICATION_GATEWAY_URL = "https://sms.example.com/send"
    settings.VERIFICATION_GATEWAY_KEY = "key"
    settings.ANCHOR = {**settings.ANCHOR, "verification": {"mobile_number": SENDER}}


def test_right_settings_are_silent() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"CUSTOMER_DECISIONS": "sep12.decisions.Nobody"}, "E021"),
        ({"CUSTOMER_DECISIONS": "not a path"}, "E021"),
        ({"CUSTOMER_DECISIONS": f"{HERE}.Broken"}, "E021"),
        ({"CUSTOMER_DECISIONS": f"{HERE}.WithoutKind"}, "E021"),
        ({"KYC_PROVIDER_SECRETS": []}, "E023"),
        ({"KYC_PROVIDER_SECRETS": ["x" * 32, "short"]}, "E023"),
        ({"KYC_PROVIDER_URL": ""}, "E024"),
        ({"KYC_PROVIDER_URL": "ftp://kyc.example.com"}, "E024"),
        ({"KYC_PROVIDER_URL": "https://user:password@kyc.example.com"}, "E024"),
        ({"VERIFICATION_GATEWAY_URL": ""}, "E024"),
        ({"VERIFICATION_GATEWAY_KEY": ""}, "E028"),
        ({"VERIFICATION_MAX_TRIES": 0}, "E029"),
        ({"VERIFICATION_MAX_TRIES": 1000}, "E029"),
    ],
)
def test_each_wrong_setting_is_an_error(settings: Any, changes: dict[str, Any], error: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert found() == [error]


@pytest.mark.parametrize(
    ("name", "path", "error"),
    [
        ("shoe_size", SENDER, "E026"),
        ("photo_id_front", SENDER, "E026"),
        ("mobile_number", "sep12.senders.Pigeon", "E027"),
        ("mobile_number", f"{HERE}.Broken", "E027"),
        ("mobile_number", f"{HERE}.OwnDecisions", "E027"),
        ("mobile_number", 7, "E027"),
    ],
)
def test_each_wrong_line_of_verification_is_an_error(
    settings: Any, name: str, path: Any, error: str
) -> None:
    settings.ANCHOR = {**settings.ANCHOR, "verification": {name: path}}
    assert found() == [error]


def test_what_is_not_used_needs_no_settings(settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = f"{HERE}.OwnDecisions"
    settings.KYC_PROVIDER_URL = settings.VERIFICATION_GATEWAY_URL = ""
    settings.KYC_PROVIDER_SECRETS = []
    settings.ANCHOR = {**settings.ANCHOR, "verification": {"mobile_number": f"{HERE}.OwnSender"}}
    assert found() == []


class TestOnThePublicNetwork:
    @pytest.fixture(autouse=True)
    def on_public(self, settings: Any) -> None:
        settings.NETWORK_PASSPHRASE = Network.PUBLIC_NETWORK_PASSPHRASE

    def test_right_settings_are_silent(self) -> None:
        assert found() == []

    def test_nobody_is_accepted_at_once(self, settings: Any) -> None:
        settings.CUSTOMER_DECISIONS = "sep12.decisions.AcceptAtOnce"
        assert found() == ["E022"]

    @pytest.mark.parametrize("name", ["KYC_PROVIDER_URL", "VERIFICATION_GATEWAY_URL"])
    def test_personal_data_goes_by_https_only(self, settings: Any, name: str) -> None:
        setattr(settings, name, "http://10.0.0.7:8080/kyc")
        assert found() == ["E025"]


def test_on_test_networks_everybody_may_be_accepted_at_once(settings: Any) -> None:
    settings.CUSTOMER_DECISIONS = "sep12.decisions.AcceptAtOnce"
    assert found() == []
