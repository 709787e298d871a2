from __future__ import annotations

import tomllib

import pytest
import requests
from django.test import Client
from stellar_sdk.sep.stellar_toml import fetch_stellar_toml

from sep1 import stellar_toml

PATH = "/.well-known/stellar.toml"


def test_the_file_is_plain_text_that_any_site_may_read(client: Client) -> None:
    response = client.get(PATH)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Access-Control-Allow-Origin"] == "*"
    assert int(response["Content-Length"]) == len(response.content)
    assert tomllib.loads(response.content.decode())["VERSION"]


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', 'W/"other" ,W/{}', "*"])
def test_a_client_that_has_the_file_is_told_that_it_is_the_same(client: Client, known: str) -> None:
    first = client.get(PATH)
    assert "max-age" in first["Cache-Control"]
    for method in (client.get, client.head):
        again = method(PATH, headers={"If-None-Match": known.format(first["ETag"])})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
        assert again["Cache-Control"] == first["Cache-Control"]
        assert again["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("known", ['"other"', "", "no tag at all", '"', "é", "W/*"])
def test_a_client_that_has_another_file_gets_ours(client: Client, known: str) -> None:
    assert client.get(PATH, headers={"If-None-Match": known}).status_code == 200


def test_who_wants_one_version_and_no_other_is_told_that_there_is_another(client: Client) -> None:
    response = client.get(PATH, headers={"If-Match": '"other"'})
    assert response.status_code == 412
    assert list(response.json()) == ["error"]
    current = client.get(PATH)["ETag"]
    assert client.get(PATH, headers={"If-Match": current}).status_code == 200


def test_head_says_what_get_would_without_the_body(client: Client) -> None:
    response = client.head(PATH)
    assert (response.status_code, response.content) == (200, b"")
    got = client.get(PATH)
    for header in ("ETag", "Content-Length", "Content-Type", "Cache-Control"):
        assert response[header] == got[header]


def test_a_browser_that_asks_first_may_read_it(client: Client) -> None:
    response = client.options(
        PATH, headers={"Origin": "https://wallet.example", "Access-Control-Request-Method": "GET"}
    )
    assert response.status_code == 204
    assert response["Access-Control-Allow-Origin"] == "*"
    assert "GET" in response["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nobody_writes_to_it(client: Client, method: str) -> None:
    response = getattr(client, method)(PATH)
    assert response.status_code == 405
    assert list(response.json()) == ["error"]


def test_what_the_client_would_rather_have_changes_nothing(client: Client) -> None:
    response = client.get(f"{PATH}?x=1", headers={"Accept": "text/html", "Range": "bytes=0-5"})
    assert (response.status_code, response.content) == (200, client.get(PATH).content)


def test_the_file_is_built_once_and_without_the_database(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without pytest's mark for the database, any query fails the test.
    client.get(PATH)
    monkeypatch.setattr(stellar_toml, "build_document", lambda: pytest.fail("it was built again"))
    assert client.get(PATH).status_code == 200


def test_the_sdk_of_sending_anchors_reads_it_from_a_running_server(live_server) -> None:
    domain = live_server.url.removeprefix("http://")
    document = fetch_stellar_toml(domain, use_http=True)
    assert document["DIRECT_PAYMENT_SERVER"].endswith("/sep31")
    assert document == tomllib.loads(requests.get(live_server.url + PATH, timeout=10).text)
