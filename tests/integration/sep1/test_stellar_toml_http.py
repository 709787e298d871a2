from __future__ import annotations

import tomllib

import pytest
from django.test import Client

from sep1 import stellar_toml

PATH = "/.well-known/stellar.toml"


def test_the_file_is_plain_text_that_any_site_may_read(client: Client) -> None:
    response = client.get(PATH)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Access-Control-Allow-Origin"] == "*"
    assert tomllib.loads(response.content.decode())["VERSION"]


def test_a_client_that_has_the_file_is_told_that_it_is_the_same(client: Client) -> None:
    first = client.get(PATH)
    assert "max-age" in first["Cache-Control"]
    again = client.get(PATH, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert again["Access-Control-Allow-Origin"] == "*"
    other = client.get(PATH, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


def test_head_says_what_get_would_without_the_body(client: Client) -> None:
    response = client.head(PATH)
    assert (response.status_code, response.content) == (200, b"")
    assert response["ETag"] == client.get(PATH)["ETag"]


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nobody_writes_to_it(client: Client, method: str) -> None:
    response = getattr(client, method)(PATH)
    assert response.status_code == 405
    assert list(response.json()) == ["error"]


def test_the_file_is_built_once_and_without_the_database(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without pytest's mark for the database, any query fails the test.
    client.get(PATH)
    monkeypatch.setattr(
        stellar_toml, "build_stellar_toml", lambda: pytest.fail("it was built again")
    )
    assert client.get(PATH).status_code == 200
