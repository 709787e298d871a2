"""What was answered 200 is there after kill -9, and ledgers go on from where they were."""

import threading
from pathlib import Path

import pytest
from stellar_sdk import Asset, ChangeTrust, ManageSellOffer, Payment, Server, TransactionBuilder
from stellar_sdk.client.requests_client import RequestsClient
from stellar_sdk.exceptions import BaseHorizonError, ConnectionError

from localnet.network.store import Store, WrongNetwork

from .conftest import PASSPHRASE, Network

XLM = Asset.native()


def test_killed_in_the_middle_of_submissions_loses_no_answer(tmp_path: Path) -> None:
    network = Network(tmp_path).start()
    issuer, payer, payee = (network.account() for _ in range(3))
    usd = Asset("USD", issuer.public_key)
    network.send(payer, ChangeTrust(usd))
    network.send(issuer, Payment(payer.public_key, usd, "100"))
    network.send(payer, ManageSellOffer(usd, XLM, "10", "3"))
    answered: list[str] = []

    def push() -> None:
        server = Server(network.url, RequestsClient(num_retries=0))
        loaded = server.load_account(payer.public_key)
        while True:
            builder = TransactionBuilder(loaded, PASSPHRASE, 100).set_timeout(60)
            built = builder.append_operation(Payment(payee.public_key, XLM, "1")).build()
            built.sign(payer)
            try:
                answered.append(server.submit_transaction(built)["hash"])
            except (BaseHorizonError, ConnectionError):
                return

    pusher = threading.Thread(target=push)
    pusher.start()
    while len(answered) < 5:
        pusher.join(0.02)
    network.kill()
    pusher.join(10)
    network.start()
    try:
        for digest in answered:
            assert network.get(f"/transactions/{digest}")["successful"] is True
        paid = network.records(f"/accounts/{payee.public_key}/payments", limit=200)
        assert len(paid) - 1 >= len(answered)
        assert network.balance(payee.public_key, XLM) == f"{10000 + len(paid) - 1}.0000000"
        (offer,) = network.records("/offers")
        assert (offer["seller"], offer["amount"]) == (payer.public_key, "10.0000000")
        before = network.get(f"/transactions/{answered[-1]}")
        after = network.send(payer, Payment(payee.public_key, XLM, "1"))
        assert after["ledger"] > before["ledger"]
        assert after["created_at"] >= before["created_at"]
        assert int(after["paging_token"]) > int(before["paging_token"])
    finally:
        network.kill()


def test_a_folder_belongs_to_one_passphrase_and_one_process(tmp_path: Path) -> None:
    network = Network(tmp_path).start()
    try:
        with pytest.raises(WrongNetwork, match="in use"):
            Store(tmp_path, PASSPHRASE)
        assert network.http.get(network.url + "/health").status_code == 200
        assert network.account() is not None
    finally:
        network.kill()
    with pytest.raises(WrongNetwork, match="holds the network"):
        Store(tmp_path, "Another network")
