from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from stellar_sdk import Keypair

from sep10.models import SendingAnchor, SendingAnchorAccount

pytestmark = pytest.mark.django_db
FIRST, SECOND = Keypair.random().public_key, Keypair.random().public_key


def register(*arguments: str) -> str:
    out = StringIO()
    call_command("register_sending_anchor", *arguments, stdout=out)
    return out.getvalue()


def accounts_of(name: str) -> set[str]:
    return set(
        SendingAnchorAccount.objects.filter(sending_anchor__name=name).values_list(
            "account", flat=True
        )
    )


def test_a_sending_anchor_is_put_on_the_list_with_its_accounts_and_hosts() -> None:
    out = register("Partner", FIRST, SECOND, "--callback-host", "Partner.example")
    assert "2 account" in out
    assert accounts_of("Partner") == {FIRST, SECOND}
    assert SendingAnchor.objects.get().allowed_callback_hosts == ["partner.example"]


def test_the_command_may_run_again_and_only_ever_adds() -> None:
    register("Partner", FIRST, "--callback-host", "a.example")
    register("Partner", FIRST, "--callback-host", "a.example")
    register("Partner", SECOND, "--callback-host", "b.example")
    register("Partner", FIRST)
    assert accounts_of("Partner") == {FIRST, SECOND}
    assert SendingAnchor.objects.get().allowed_callback_hosts == ["a.example", "b.example"]


def test_client_domains_are_added_in_lower_case() -> None:
    register("Partner", FIRST, "--client-domain", "Wallet.example")
    register("Partner", FIRST, "--client-domain", "app.example")
    assert SendingAnchor.objects.get().client_domains == ["wallet.example", "app.example"]


def test_an_account_has_one_sending_anchor_only() -> None:
    register("Partner", FIRST)
    with pytest.raises(CommandError, match="belongs to the sending anchor Partner"):
        register("Other", SECOND, FIRST)
    assert not SendingAnchor.objects.filter(name="Other").exists()


@pytest.mark.parametrize(
    "arguments",
    [["Partner", "GABC"], ["", FIRST], ["x" * 101, FIRST], ["Partner"],
     ["Partner", FIRST, "--callback-host", "x" * 254],
     ["Partner", FIRST, "--client-domain", "https://wallet.example"]],
)  # fmt: skip
def test_what_can_not_be_registered_is_said_and_not_done(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        register(*arguments)
    assert not SendingAnchor.objects.exists()
