"""The root document, and requests that mean no good."""

import pytest
from stellar_sdk import Keypair

from .conftest import PASSPHRASE, Network


def test_root_says_what_it_is(network: Network) -> None:
    answer = network.http.get(network.url + "/")
    body = answer.json()
    assert body["network_passphrase"] == PASSPHRASE
    assert "toy" in body["notice"]
    assert "toy" in answer.headers["X-Landfall-Localnet"]
    assert int(answer.headers["Latest-Ledger"]) >= body["history_latest_ledger"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert network.server.fetch_base_fee() == 100
    preflight = network.http.options(network.url + "/transactions")
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("tx", ["", "!", "AAAA", "AAAAAg==", "A" * 4000, "/////w==", "\u00e9"])
def test_malformed_envelope(network: Network, tx: str) -> None:
    answer = network.http.post(network.url + "/transactions", data={"tx": tx})
    assert answer.status_code == 400
    body = answer.json()
    assert body["type"].endswith("/transaction_malformed")
    assert body["extras"]["envelope_xdr"] == tx


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/accounts/GABC", 400),
        ("/accounts/" + Keypair.random().public_key, 404),
        ("/accounts/GABC/payments", 400),
        ("/accounts/" + Keypair.random().public_key + "/payments", 404),
        ("/transactions/" + "0" * 64, 404),
        ("/transactions/" + "0" * 64 + "/operations", 404),
        ("/transactions/xyz", 400),
        ("/operations/1", 404),
        ("/operations/x", 400),
        ("/operations/" + "9" * 19, 400),
        ("/ledgers/x", 400),
        ("/ledgers/0", 404),
        ("/offers/7777777", 404),
        ("/offers?seller=x", 400),
        ("/offers?selling=x", 400),
        ("/assets?asset_issuer=x", 400),
        ("/friendbot", 400),
        ("/friendbot?addr=M", 400),
        ("/paths/strict-send", 400),
        ("/paths/strict-send?source_asset_type=native&source_amount=1", 400),
        (
            "/paths/strict-send?source_asset_type=native&source_amount=0&destination_assets=native",
            400,
        ),
        (
            "/paths/strict-send?source_asset_type=native&source_amount=1e3&destination_assets=native",
            400,
        ),
        (
            "/paths/strict-receive?source_assets=:&destination_asset_type=native&destination_amount=1",
            400,
        ),
        ("/order_book?selling_asset_type=gold", 400),
        ("/payments?include_failed=perhaps", 400),
        ("/effects?cursor=1-x", 400),
        ("/effects?cursor=-", 400),
        ("/payments?cursor=%00", 400),
        ("/payments?limit=%D9%A1", 400),
    ],
)
def test_bad_addresses_get_a_problem(network: Network, path: str, status: int) -> None:
    answer = network.http.get(network.url + path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    body = answer.json()
    assert body["status"] == status and body["title"] and body["detail"]


def test_bad_posts_get_a_problem(network: Network) -> None:
    address = network.url + "/transactions"
    assert network.http.post(address, json={"tx": "x"}).status_code == 415
    assert network.http.post(address, data={"tx": "A" * 600_000}).status_code == 413
    assert network.http.post(network.url + "/payments").status_code == 405
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert network.http.post(address, content=b"\xff\xfe", headers=form).status_code == 400
    assert (
        network.http.post(address, content=b"&".join([b"a=1"] * 99), headers=form).status_code
        == 400
    )
