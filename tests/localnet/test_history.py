"""Pages and streams: Horizon's paging tokens, cursors, joins and server-sent events."""

import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from stellar_sdk import Asset, Keypair, Payment
from stellar_sdk.operation import BumpSequence

from .conftest import Network

XLM = Asset.native()


@pytest.fixture(scope="module")
def payee(network: Network) -> Keypair:
    """Return an account that got 25 payments in three transactions."""
    payer, payee = network.account(), network.account()
    for count in (10, 10, 5):
        network.send(payer, *[Payment(payee.public_key, XLM, "1")] * count)
    return payee


def events(
    network: Network, path: str, headers: dict[str, str] | None = None, **params: str
) -> Iterator[dict[str, str]]:
    """Yield the events of one stream, each as its fields; ends when the server closes."""
    accept = {"Accept": "text/event-stream", **(headers or {})}
    with network.http.stream("GET", network.url + path, params=params, headers=accept) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            if not line:
                yield event
                event = {}
            else:
                name, _, value = line.partition(": ")
                event[name] = value


def test_ids_are_those_of_sep_35(network: Network, payee: Keypair) -> None:
    records = network.records(f"/accounts/{payee.public_key}/payments", join="transactions")
    for record in records:
        number, outer = int(record["id"]), record["transaction"]
        assert number >> 32 == outer["ledger"]
        assert str(number >> 12 << 12) == outer["paging_token"]
        assert record["paging_token"] == record["id"]
    orders = [int(r["id"]) & 0xFFF for r in records]
    assert orders == [1, *range(1, 10)]


def test_pages_follow_one_another_without_gap(network: Network, payee: Keypair) -> None:
    path = f"/accounts/{payee.public_key}/payments"
    whole = [r["id"] for r in network.records(path, limit=200)]
    assert len(whole) == 26 and whole == sorted(whole, key=int)
    page = network.get(path, limit=7)
    turned: list[str] = []
    while page["_embedded"]["records"]:
        turned += [r["id"] for r in page["_embedded"]["records"]]
        last, page = page, network.http.get(page["_links"]["next"]["href"]).json()
    assert turned == whole
    before = network.http.get(last["_links"]["prev"]["href"]).json()["_embedded"]["records"]
    first_of_last = int(last["_embedded"]["records"][0]["id"])
    assert [int(r["id"]) for r in before] == sorted(
        (int(i) for i in whole if int(i) < first_of_last), reverse=True
    )[:7]


def test_now_is_after_everything(network: Network, payee: Keypair) -> None:
    path = f"/accounts/{payee.public_key}/payments"
    assert network.records(path, cursor="now") == []
    newest = network.records(path, cursor="now", order="desc", limit=1)
    assert [r["id"] for r in newest] == [network.records(path, limit=200)[-1]["id"]]


def test_join_carries_the_memo_and_is_left_out_unless_asked(network: Network) -> None:
    payer, payee = network.account(), network.account()
    built = network.build(payer, Payment(payee.public_key, XLM, "1")).add_id_memo(42).build()
    built.sign(payer)
    network.server.submit_transaction(built)
    path = f"/accounts/{payee.public_key}/payments"
    (joined,) = network.records(path, join="transactions", order="desc", limit=1)
    assert joined["transaction"]["memo"] == "42"
    assert joined["transaction"] == network.get(f"/transactions/{joined['transaction_hash']}")
    (bare,) = network.records(path, order="desc", limit=1)
    assert "transaction" not in bare
    assert network.get(f"/operations/{bare['id']}") == bare


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "201"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"order": "up"}, "order"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "-5"}, "cursor"),
        ({"cursor": "9" * 30}, "cursor"),
        ({"join": "ledgers"}, "join"),
    ],
)
def test_bad_paging_names_its_field(network: Network, params: dict[str, str], field: str) -> None:
    answer = network.http.get(network.url + "/payments", params=params)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["extras"]["invalid_field"] == field


def test_stream_says_hello_sends_limit_events_and_closes(network: Network, payee: Keypair) -> None:
    path = f"/accounts/{payee.public_key}/payments"
    whole = network.records(path, limit=200)
    got = list(events(network, path, limit="3"))
    assert got[0] == {"retry": "1000", "event": "open", "data": '"hello"'}
    assert got[-1] == {"retry": "10", "event": "close", "data": '"byebye"'}
    assert [json.loads(e["data"]) for e in got[1:-1]] == whole[:3]
    assert [e["id"] for e in got[1:-1]] == [r["paging_token"] for r in whole[:3]]
    assert len(list(events(network, path))) == 12  # ten unless asked


def test_last_event_id_wins_over_the_cursor(network: Network, payee: Keypair) -> None:
    path = f"/accounts/{payee.public_key}/payments"
    whole = network.records(path, limit=200)
    got = events(network, path, {"Last-Event-ID": whole[5]["id"]}, cursor=whole[1]["id"], limit="2")
    assert [e["id"] for e in list(got)[1:-1]] == [whole[6]["id"], whole[7]["id"]]


def test_stream_brings_what_is_paid_while_it_is_open(network: Network) -> None:
    payer, payee = network.account(), network.account()
    heard: list[dict[str, Any]] = []
    ready = threading.Event()

    def listen() -> None:
        path = f"/accounts/{payee.public_key}/payments"
        for event in events(network, path, cursor="now", limit="3"):
            ready.set()
            heard.append(json.loads(event["data"]))

    listener = threading.Thread(target=listen)
    listener.start()
    assert ready.wait(10)
    network.send(payer, BumpSequence(0))  # a ledger that does not concern the stream
    network.send(payer, Payment(payee.public_key, XLM, "1"), Payment(payee.public_key, XLM, "2"))
    network.send(payer, Payment(payee.public_key, XLM, "3"))
    listener.join(10)
    assert not listener.is_alive()
    assert [h["amount"] for h in heard[1:-1]] == ["1.0000000", "2.0000000", "3.0000000"]
    assert heard[-1] == "byebye"


def test_the_sdk_streams(network: Network, payee: Keypair) -> None:
    stream = network.server.payments().for_account(payee.public_key).cursor("0").stream()
    got = [next(stream)["id"] for _ in range(13)]  # more than one connection's ten
    whole = network.records(f"/accounts/{payee.public_key}/payments", limit=200)
    assert got == [r["id"] for r in whole[:13]]


def test_ledgers_close_empty_and_in_order(network: Network) -> None:
    first = network.records("/ledgers", order="desc", limit=1)[0]
    network.account()
    newest = network.records("/ledgers", order="desc", limit=5)
    assert newest[0]["sequence"] > first["sequence"]
    assert [r["sequence"] for r in newest] == [newest[0]["sequence"] - i for i in range(5)]
    for later, earlier in pairwise(newest):
        assert later["prev_hash"] == earlier["hash"]
        assert later["closed_at"] >= earlier["closed_at"]
    again = network.records("/ledgers", cursor=newest[2]["paging_token"], limit=2)
    assert [r["sequence"] for r in again] == [newest[1]["sequence"], newest[0]["sequence"]]
    one = network.get(f"/ledgers/{first['sequence']}")
    assert one == first
    assert network.http.get(f"{network.url}/ledgers/{10**9}").status_code == 404


def test_effects_page_by_their_own_tokens(network: Network, payee: Keypair) -> None:
    path = f"/accounts/{payee.public_key}/effects"
    whole = network.records(path, limit=200)
    assert [e["type"] for e in whole] == [
        "account_created",
        "signer_created",
        *["account_credited"] * 25,
    ]
    rest = network.records(path, cursor=whole[0]["paging_token"], limit=3)
    assert [e["id"] for e in rest] == [e["id"] for e in whole[1:4]]
    back = network.records(path, cursor=whole[3]["paging_token"], limit=2, order="desc")
    assert [e["id"] for e in back] == [whole[2]["id"], whole[1]["id"]]
