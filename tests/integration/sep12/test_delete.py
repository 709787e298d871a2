"""DELETE /customer/<account>: nothing that says who it was stays."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from callbacks.models import Callback
from kernel.errors import NotFound
from sep12 import finding, services
from sep12.models import Customer, CustomerField, Decision
from sep12.signals import customer_changed
from sep12.status import Verdict
from tests.fixtures.callers import RegisteredAnchor, bearer_for
from tests.integration.sep12.conftest import Api

NAMES = {"first_name": "María", "last_name": "Quispe"}


@pytest.fixture
def customer_id(api: Api) -> str:
    customer_id = api.register(memo="7", type="sender", **NAMES)
    owner = uuid.UUID(customer_id)
    services.record_decision(owner, "sender", Verdict("REJECTED", "Known"), decided_by="test")
    api.put("/callback", id=customer_id, url="https://callback.example.com/kyc")
    return customer_id


def test_all_that_says_who_it_was_is_gone_and_only_an_empty_row_stays(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    assert api.delete(anchor.account, memo="7", memo_type="id").status_code == 200
    assert not CustomerField.objects.exists()
    assert not Decision.objects.exists()
    row = Customer.objects.get(pk=customer_id)
    assert (row.memo_type, row.memo, row.callback_url) == ("", "", "")
    assert row.erased_at is not None


def test_what_callbacks_said_of_the_customer_is_gone_and_only_that(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    other = api.register(memo="8", type="sender", **NAMES)
    for each in (customer_id, other):
        api.put("/callback", id=each, url="https://callback.example.com/kyc")
        services.record_decision(
            uuid.UUID(each),
            "sender",
            Verdict("PROCESSING", "Like one on a list"),
            decided_by="test",
        )
    assert Callback.objects.count() == 2
    api.delete(anchor.account, memo="7", memo_type="id")
    assert Callback.objects.get().stream == f"sep12:{other}"


def test_the_id_of_an_erased_customer_is_unknown_everywhere(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    api.delete(anchor.account, memo="7")
    owner = uuid.UUID(customer_id)
    assert api.get(id=customer_id).status_code == 404
    assert api.put(id=customer_id, **NAMES).status_code == 404
    assert api.put("/callback", id=customer_id, url="https://x.example.com").status_code == 404
    assert services.reveal_fields({owner}) == {owner: {}}
    assert services.reject_fields(owner, {"first_name": "No"}) == frozenset()
    assert services.assess_customers([(owner, "sender")])[owner, "sender"].status == "NEEDS_INFO"
    assert finding.read_owned_dossiers(anchor.caller(), [owner]) == {}
    with pytest.raises(NotFound):
        services.record_decision(owner, "sender", Verdict("ACCEPTED"), decided_by="test")
    assert not CustomerField.objects.exists()


def test_the_same_account_and_memo_may_register_anew(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    api.delete(anchor.account, memo="7")
    assert api.get(memo="7").json()["status"] == "NEEDS_INFO"
    assert api.register(memo="7", **NAMES) != customer_id


def test_a_second_deletion_and_one_of_nobody_are_404(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    assert api.delete(anchor.account, memo="7").status_code == 200
    for body in ({"memo": "7"}, {"memo": "8"}, {}):
        response = api.delete(anchor.account, **body)
        assert response.status_code == 404
        assert response.json()["error"]


def test_without_a_memo_only_the_customer_without_memo_is_erased(
    api: Api, anchor: RegisteredAnchor, customer_id: str
) -> None:
    own = api.register(**NAMES)
    assert api.delete(anchor.account).status_code == 200
    assert list(Customer.objects.present().values_list("pk", flat=True)) == [uuid.UUID(customer_id)]
    assert Customer.objects.get(pk=own).erased_at is not None


def test_the_memo_may_come_in_a_form(api: Api, anchor: RegisteredAnchor, customer_id: str) -> None:
    response = api.client.delete(
        f"/sep12/customer/{anchor.account}",
        "memo=7&memo_type=id",
        "application/x-www-form-urlencoded",
        headers=anchor.headers(),
    )
    assert response.status_code == 200


@pytest.mark.parametrize("token", [{"memo": "7"}, {"muxed_id": 7}])
def test_a_token_with_a_memo_needs_no_other(
    anchor: RegisteredAnchor, customer_id: str, token: dict[str, Any]
) -> None:
    own = Api({"Authorization": bearer_for(anchor.account, **token)})
    assert own.delete(anchor.account).status_code == 200
    assert not Customer.objects.present().exists()


def test_other_rooms_hear_of_it_once_it_is_committed(
    api: Api,
    anchor: RegisteredAnchor,
    customer_id: str,
    django_capture_on_commit_callbacks: Any,
) -> None:
    heard = []

    def listen(**facts: Any) -> None:
        heard.append(facts["customer_id"])

    customer_changed.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            api.delete(anchor.account, memo="7")
        assert heard == [uuid.UUID(customer_id)]
        with django_capture_on_commit_callbacks(execute=True):
            second = api.register(memo="7", **NAMES)
            api.register(memo="7", **NAMES)  # changes nothing, so nobody is told
        assert heard[1:] == [uuid.UUID(second)]
    finally:
        customer_changed.disconnect(listen)
