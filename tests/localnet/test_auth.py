"""Signatures, thresholds, and what keeps a transaction out of a ledger."""

import hashlib
import os

import pytest
from stellar_sdk import (
    Asset,
    Keypair,
    Payment,
    SetOptions,
    Signer,
    SignerKey,
    TransactionBuilder,
    TransactionEnvelope,
)
from stellar_sdk.exceptions import BadRequestError
from stellar_sdk.operation import BumpSequence

from .conftest import PASSPHRASE, Network

XLM = Asset.native()


def refusal(network: Network, envelope: TransactionEnvelope) -> dict[str, object]:
    with pytest.raises(BadRequestError) as error:
        network.server.submit_transaction(envelope)
    assert error.value.extras is not None
    found: dict[str, object] = error.value.extras["result_codes"]
    return found


def signed(builder: TransactionBuilder, *signers: Keypair) -> TransactionEnvelope:
    built = builder.build()
    for signer in signers:
        built.sign(signer)
    return built


def test_wrong_key_no_key_and_wrong_network_are_bad_auth(network: Network) -> None:
    owner, other = network.account(), network.account()
    pay = Payment(other.public_key, XLM, "1")
    assert refusal(network, signed(network.build(owner, pay), other)) == {
        "transaction": "tx_bad_auth"
    }
    assert refusal(network, signed(network.build(owner, pay))) == {"transaction": "tx_bad_auth"}
    elsewhere = TransactionBuilder(
        network.server.load_account(owner.public_key), "Another network", 100
    )
    elsewhere.append_operation(pay).set_timeout(60)
    assert refusal(network, signed(elsewhere, owner)) == {"transaction": "tx_bad_auth"}
    # Nothing of all that was recorded or paid for.
    assert network.balance(owner.public_key, XLM) == "10000.0000000"


def test_a_signature_too_many_is_refused(network: Network) -> None:
    owner, other = network.account(), network.account()
    envelope = signed(network.build(owner, BumpSequence(0)), owner, other)
    assert refusal(network, envelope) == {"transaction": "tx_bad_auth_extra"}


def test_an_operation_of_another_account_needs_its_signature(network: Network) -> None:
    owner, other = network.account(), network.account()
    theirs = Payment(owner.public_key, XLM, "5", source=other.public_key)
    envelope = signed(network.build(owner, BumpSequence(0), theirs), owner)
    assert refusal(network, envelope) == {
        "transaction": "tx_failed",
        "operations": ["op_success", "op_bad_auth"],
    }
    network.send(owner, theirs, signers=(other,))
    assert network.balance(other.public_key, XLM) == "9995.0000000"


def test_thresholds_by_kind_of_operation(network: Network) -> None:
    owner, second = network.account(), Keypair.random()
    network.send(
        owner,
        SetOptions(
            master_weight=1,
            low_threshold=1,
            med_threshold=2,
            high_threshold=3,
            signer=Signer.ed25519_public_key(second.public_key, 1),
        ),
    )
    network.send(owner, BumpSequence(0))  # low: one signature is enough
    pay = Payment(second.public_key, XLM, "1")
    alone = signed(network.build(owner, pay), owner)
    assert refusal(network, alone) == {"transaction": "tx_failed", "operations": ["op_bad_auth"]}
    both = signed(network.build(owner, SetOptions(med_threshold=1)), owner, second)
    assert refusal(network, both) == {"transaction": "tx_failed", "operations": ["op_bad_auth"]}
    answer = network.send(owner, SetOptions(home_domain="example.org"), signers=(second,))
    assert answer["successful"] is True
    shown = network.get(f"/accounts/{owner.public_key}")
    assert shown["home_domain"] == "example.org"
    assert shown["thresholds"] == {"low_threshold": 1, "med_threshold": 2, "high_threshold": 3}
    assert {s["key"]: s["weight"] for s in shown["signers"]} == {
        owner.public_key: 1,
        second.public_key: 1,
    }


def test_a_disabled_master_key_cannot_sign(network: Network) -> None:
    owner, heir = network.account(), Keypair.random()
    signer = Signer.ed25519_public_key(heir.public_key, 1)
    network.send(owner, SetOptions(master_weight=0, signer=signer))
    assert refusal(network, signed(network.build(owner, BumpSequence(0)), owner)) == {
        "transaction": "tx_bad_auth"
    }
    again = signed(network.build(owner, BumpSequence(0)), heir)
    assert network.server.submit_transaction(again)["successful"] is True


def test_hash_and_preauthorised_signers(network: Network) -> None:
    owner = network.account()
    secret = os.urandom(20)
    network.send(owner, SetOptions(signer=Signer.sha256_hash(hashlib.sha256(secret).digest(), 1)))
    opened = network.build(owner, BumpSequence(0)).build()
    opened.sign_hashx(secret)
    assert network.server.submit_transaction(opened)["successful"] is True
    loaded = network.server.load_account(owner.public_key)
    loaded.sequence += 1  # the transaction after the one that authorises it
    later = TransactionBuilder(loaded, PASSPHRASE, 100).append_operation(BumpSequence(0))
    envelope = later.set_timeout(60).build()
    network.send(owner, SetOptions(signer=Signer(SignerKey.pre_auth_tx(envelope.hash()), 1)))
    assert network.server.submit_transaction(envelope)["successful"] is True
    kinds = [s["type"] for s in network.get(f"/accounts/{owner.public_key}")["signers"]]
    assert sorted(kinds) == ["ed25519_public_key", "sha256_hash"]


def test_sequence_time_and_fee_are_checked(network: Network) -> None:
    owner = network.account()
    ahead = network.server.load_account(owner.public_key)
    ahead.sequence += 5
    jumped = TransactionBuilder(ahead, PASSPHRASE, 100).append_operation(BumpSequence(0))
    assert refusal(network, signed(jumped.set_timeout(60), owner)) == {"transaction": "tx_bad_seq"}
    late = network.build(owner, BumpSequence(0))
    late.time_bounds = None
    late.add_time_bounds(0, 1000)
    assert refusal(network, signed(late, owner)) == {"transaction": "tx_too_late"}
    early = network.build(owner, BumpSequence(0))
    early.time_bounds = None
    early.add_time_bounds(2**40, 0)
    assert refusal(network, signed(early, owner)) == {"transaction": "tx_too_early"}
    closed = network.build(owner, BumpSequence(0)).set_ledger_bounds(1, 2)
    assert refusal(network, signed(closed, owner)) == {"transaction": "tx_too_late"}
    young = network.build(owner, BumpSequence(0)).set_min_sequence_age(10**6)
    network.send(owner, BumpSequence(0))
    young = network.build(owner, BumpSequence(0)).set_min_sequence_age(10**6)
    assert refusal(network, signed(young, owner)) == {"transaction": "tx_bad_minseq_age_or_gap"}
    cheap = signed(network.build(owner, BumpSequence(0), base_fee=99), owner)
    assert refusal(network, cheap) == {"transaction": "tx_insufficient_fee"}
    nothing = signed(network.build(owner, BumpSequence(0)))
    nothing.transaction.operations.clear()
    nothing.sign(owner)
    assert refusal(network, nothing) == {"transaction": "tx_missing_operation"}
    empty = network.account()
    network.send(empty, Payment(owner.public_key, XLM, "9998.9999900"))
    assert refusal(network, signed(network.build(empty, BumpSequence(0)), empty)) == {
        "transaction": "tx_insufficient_balance"
    }


def test_min_sequence_lets_a_gap_be_jumped(network: Network) -> None:
    owner = network.account()
    current = network.server.load_account(owner.public_key)
    known = current.sequence
    current.sequence += 9
    builder = TransactionBuilder(current, PASSPHRASE, 100).append_operation(BumpSequence(0))
    builder.set_timeout(60).set_min_sequence_number(known)
    answer = network.server.submit_transaction(signed(builder, owner))
    assert answer["preconditions"]["min_account_sequence"] == str(known)
    assert network.server.load_account(owner.public_key).sequence == known + 10


def test_unknown_source_is_named(network: Network) -> None:
    envelope = signed(network.build(network.account(), BumpSequence(0)))
    envelope.transaction.source = type(envelope.transaction.source).from_account(
        Keypair.random().public_key
    )
    assert refusal(network, envelope) == {"transaction": "tx_no_source_account"}


def test_an_account_may_queue_several_in_order(network: Network) -> None:
    owner, other = network.account(), network.account()
    loaded = network.server.load_account(owner.public_key)
    hashes = []
    for _ in range(5):
        builder = TransactionBuilder(loaded, PASSPHRASE, 100)
        builder.append_operation(Payment(other.public_key, XLM, "1")).set_timeout(60)
        envelope = signed(builder, owner)
        answer = network.http.post(
            network.url + "/transactions_async", data={"tx": envelope.to_xdr()}
        )
        assert (answer.status_code, answer.json()["tx_status"]) == (201, "PENDING")
        hashes.append(envelope.hash_hex())
    again = network.server.submit_transaction(envelope)
    assert again["hash"] == hashes[-1]
    path = f"/accounts/{owner.public_key}/transactions"
    assert [r["hash"] for r in network.records(path)][1:] == hashes
    assert network.balance(other.public_key, XLM) == "10005.0000000"
