"""PUT /customer/callback, and what the URL then hears."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from callbacks.models import Callback
from sep12 import services
from sep12.models import Customer
from sep12.status import Verdict
from tests.fixtures.callers import RegisteredAnchor
from tests.integration.sep12.conftest import Api

URL = "https://callback.example.com/kyc"
NAMES = {"first_name": "María", "last_name": "Quispe"}


def bodies() -> list[dict[str, Any]]:
    return [json.loads(callback.body) for callback in Callback.objects.order_by("id")]


def watched(api: Api, **body: Any) -> str:
    customer_id = api.register(memo="7", **body)
    assert api.put("/callback", id=customer_id, url=URL).status_code == 200
    return customer_id


def test_a_new_status_is_told_with_the_body_of_get(api: Api) -> None:
    customer_id = watched(api, type="sender", first_name="María")
    api.register(id=customer_id, last_name="Quispe")
    callback = Callback.objects.get()
    assert (callback.url, callback.stream) == (URL, f"sep12:{customer_id}")
    assert json.loads(callback.body) == api.get(id=customer_id).json()
    assert json.loads(callback.body)["status"] == "ACCEPTED"
    assert "Quispe" not in callback.body


def test_a_change_that_leaves_the_status_is_not_told(api: Api) -> None:
    customer_id = watched(api, type="receiver")
    api.register(id=customer_id, **NAMES)
    assert bodies() == []


@pytest.mark.parametrize("final", ["ACCEPTED", "REJECTED"])
def test_after_a_final_status_nothing_more_is_told_until_the_url_is_set_again(
    api: Api, final: str
) -> None:
    customer_id = watched(api, type="sender", first_name="María")
    owner = uuid.UUID(customer_id)
    if final == "ACCEPTED":
        api.register(id=customer_id, last_name="Quispe")
    else:
        services.record_decision(owner, "sender", Verdict(final, "No"), decided_by="test")
    assert [body["status"] for body in bodies()] == [final]

    services.record_decision(owner, "sender", Verdict("PROCESSING"), decided_by="test")
    assert len(bodies()) == 1
    api.put("/callback", id=customer_id, url=URL)
    services.record_decision(owner, "sender", Verdict("REJECTED", "No"), decided_by="test")
    assert [body["status"] for body in bodies()] == [final, "REJECTED"]
    assert bodies()[-1]["message"] == "No"


def test_a_status_that_is_not_final_leaves_the_url_in_place(api: Api) -> None:
    customer_id = api.register(type="sender", **NAMES)
    api.put("/callback", id=customer_id, url=URL)
    services.reject_fields(uuid.UUID(customer_id), {"last_name": "Not as in the passport"})
    api.register(id=customer_id, last_name="Quispe Paz")
    assert [body["status"] for body in bodies()] == ["NEEDS_INFO", "ACCEPTED"]
    assert bodies()[0]["provided_fields"]["last_name"]["error"] == "Not as in the passport"


def test_a_refused_put_tells_nobody(api: Api) -> None:
    customer_id = watched(api, type="sender", first_name="María")
    assert api.put(id=customer_id, last_name="Quispe", birth_date="?").status_code == 400
    assert bodies() == []


def test_a_later_url_takes_the_place_of_the_first(api: Api) -> None:
    customer_id = watched(api, type="sender", first_name="María")
    assert api.put("/callback", memo="7", url=URL + "/2").status_code == 200
    api.register(id=customer_id, last_name="Quispe")
    assert Callback.objects.get().url == URL + "/2"


@pytest.mark.parametrize(
    "url", [None, "", 7, ["x"], "http://callback.example.com", "https://10.0.0.1/", "ftp://x"]
)
def test_a_url_that_we_do_not_call_is_refused_by_name(api: Api, url: Any) -> None:
    customer_id = api.register(memo="7")
    response = api.put("/callback", id=customer_id, url=url)
    assert response.status_code == 400
    assert "url" in response.json()["error"]
    assert Customer.objects.get().callback_url == ""


def test_only_hosts_agreed_with_the_sending_anchor_are_taken(
    api: Api, anchor: RegisteredAnchor
) -> None:
    anchor.sending_anchor.allowed_callback_hosts = ["agreed.example.com"]
    anchor.sending_anchor.save()
    api.register()
    assert api.put("/callback", url=URL).status_code == 400
    assert api.put("/callback", url="https://agreed.example.com/kyc").status_code == 200


def test_for_who_is_not_registered_there_is_no_callback(api: Api) -> None:
    for whom in ({"memo": "7"}, {"id": str(uuid.uuid4())}):
        response = api.put("/callback", url=URL, **whom)
        assert response.status_code == 404
        assert response.json()["error"]


def test_what_waits_for_an_old_url_goes_to_the_new_one(api: Api) -> None:
    """SEP-12, "Customer callback PUT": it "will replace (and supercede)" the URL before."""
    customer_id = watched(api, type="sender", first_name="María")
    api.register(id=customer_id, last_name="Quispe")
    api.put("/callback", id=customer_id, url="https://other.example.com/kyc")
    callback = Callback.objects.get()
    assert (callback.url, callback.host) == ("https://other.example.com/kyc", "other.example.com")
