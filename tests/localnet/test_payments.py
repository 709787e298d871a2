"""Accounts, trust and payments, through the unmodified SDK."""

import base64

import pytest
from stellar_sdk import (
    Asset,
    AuthorizationFlag,
    ChangeTrust,
    CreateAccount,
    Keypair,
    ManageSellOffer,
    MuxedAccount,
    PathPaymentStrictReceive,
    PathPaymentStrictSend,
    Payment,
    SetOptions,
    SetTrustLineFlags,
    TransactionBuilder,
    TrustLineFlags,
)
from stellar_sdk.exceptions import BadRequestError, NotFoundError
from stellar_sdk.operation import AccountMerge, BumpSequence, Inflation, ManageBuyOffer, ManageData

from .conftest import PASSPHRASE, Network

XLM = Asset.native()


def codes(error: pytest.ExceptionInfo[BadRequestError]) -> dict[str, object]:
    extras = error.value.extras
    assert extras is not None
    found: dict[str, object] = extras["result_codes"]
    return found


def refused(network: Network, source: Keypair, *operations: object) -> list[str]:
    """Return the operation codes with which the network fails a transaction."""
    with pytest.raises(BadRequestError) as error:
        network.send(source, *operations)  # type: ignore[arg-type]
    assert codes(error)["transaction"] == "tx_failed"
    words = codes(error)["operations"]
    assert isinstance(words, list)
    return words


def trusting(network: Network, asset: Asset, limit: str | None = None) -> Keypair:
    holder = network.account()
    network.send(holder, ChangeTrust(asset, limit))
    return holder


def test_friendbot_funds_once(network: Network) -> None:
    keypair = network.account()
    loaded = network.server.load_account(keypair.public_key)
    created = network.get(f"/accounts/{keypair.public_key}")["last_modified_ledger"]
    assert loaded.sequence == created << 32
    assert network.balance(keypair.public_key, XLM) == "10000.0000000"
    again = network.http.post(network.url + "/friendbot", data={"addr": keypair.public_key})
    assert again.status_code == 400
    assert again.headers["content-type"].startswith("application/problem+json")


def test_unknown_account_is_not_found(network: Network) -> None:
    with pytest.raises(NotFoundError):
        network.server.load_account(Keypair.random().public_key)


def test_lumens_move_and_the_fee_is_paid(network: Network) -> None:
    payer, payee = network.account(), network.account()
    answer = network.send(payer, Payment(payee.public_key, XLM, "12.3456789"))
    assert answer["successful"] is True
    assert answer["fee_charged"] == "100"
    assert network.balance(payer.public_key, XLM) == "9987.6543111"
    assert network.balance(payee.public_key, XLM) == "10012.3456789"
    (record,) = network.records(f"/transactions/{answer['hash']}/payments")
    assert (record["type"], record["type_i"]) == ("payment", 1)
    assert (record["from"], record["to"]) == (payer.public_key, payee.public_key)
    assert record["amount"] == "12.3456789"
    assert record["transaction_successful"] is True


def test_issuer_mints_and_burns(network: Network) -> None:
    issuer = network.account()
    usd = Asset("USD", issuer.public_key)
    holder = trusting(network, usd, "100")
    network.send(issuer, Payment(holder.public_key, usd, "70"))
    assert network.balance(holder.public_key, usd) == "70.0000000"
    assert refused(network, issuer, Payment(holder.public_key, usd, "30.0000001")) == [
        "op_line_full"
    ]
    network.send(holder, Payment(issuer.public_key, usd, "20"))
    assert network.balance(holder.public_key, usd) == "50.0000000"
    (stat,) = network.records("/assets", asset_code="USD", asset_issuer=issuer.public_key)
    assert stat["balances"]["authorized"] == "50.0000000"


def test_payment_failures_name_their_cause(network: Network) -> None:
    issuer = network.account()
    usd = Asset("USD", issuer.public_key)
    holder, stranger = trusting(network, usd), network.account()
    nobody = Keypair.random().public_key
    pay = Payment
    assert refused(network, holder, pay(nobody, XLM, "1")) == ["op_no_destination"]
    assert refused(network, issuer, pay(stranger.public_key, usd, "1")) == ["op_no_trust"]
    assert refused(network, stranger, pay(holder.public_key, usd, "1")) == ["op_src_no_trust"]
    assert refused(network, holder, pay(issuer.public_key, usd, "1")) == ["op_underfunded"]
    assert refused(network, holder, pay(issuer.public_key, XLM, "9999")) == ["op_underfunded"]
    assert refused(network, holder, CreateAccount(nobody, "0.5")) == ["op_low_reserve"]
    assert refused(network, holder, CreateAccount(issuer.public_key, "5")) == ["op_already_exists"]
    unknown = Asset("USD", nobody)
    assert refused(network, holder, ChangeTrust(unknown)) == ["op_no_issuer"]
    assert refused(network, holder, Inflation()) == ["op_not_supported"]


def test_authorization_is_needed_and_can_be_revoked(network: Network) -> None:
    issuer = network.account()
    flags = AuthorizationFlag.AUTHORIZATION_REQUIRED | AuthorizationFlag.AUTHORIZATION_REVOCABLE
    network.send(issuer, SetOptions(set_flags=flags))
    eur = Asset("EUR", issuer.public_key)
    holder = trusting(network, eur)
    pay = Payment(holder.public_key, eur, "5")
    assert refused(network, issuer, pay) == ["op_not_authorized"]
    on = TrustLineFlags.AUTHORIZED_FLAG
    network.send(issuer, SetTrustLineFlags(holder.public_key, eur, set_flags=on))
    network.send(issuer, pay)
    network.send(issuer, SetTrustLineFlags(holder.public_key, eur, clear_flags=on))
    back = Payment(issuer.public_key, eur, "1")
    assert refused(network, holder, back) == ["op_src_not_authorized"]
    line = network.get(f"/accounts/{holder.public_key}")["balances"][0]
    assert line["is_authorized"] is False


def test_one_failing_operation_rolls_all_back_and_still_costs(network: Network) -> None:
    payer, payee = network.account(), network.account()
    before = network.server.load_account(payer.public_key).sequence
    words = refused(
        network,
        payer,
        Payment(payee.public_key, XLM, "5"),
        Payment(payee.public_key, XLM, "99999"),
        Payment(payee.public_key, XLM, "6"),
    )
    assert words == ["op_success", "op_underfunded", "op_success"]
    assert network.balance(payee.public_key, XLM) == "10000.0000000"
    assert network.balance(payer.public_key, XLM) == "9999.9999700"
    assert network.server.load_account(payer.public_key).sequence == before + 1
    path = f"/accounts/{payer.public_key}"
    (seen,) = network.records(f"{path}/transactions", include_failed="true", order="desc", limit=1)
    assert seen["successful"] is False
    assert [r["type"] for r in network.records(f"{path}/payments")] == ["create_account"]
    assert [r["type"] for r in network.records(f"{path}/operations")] == ["create_account"]
    failed = network.records(f"{path}/payments", include_failed="true")
    assert [r["transaction_successful"] for r in failed] == [True, False, False, False]
    assert len(network.records(f"/transactions/{seen['hash']}/operations")) == 3


def test_known_hash_gets_the_stored_answer(network: Network) -> None:
    payer, payee = network.account(), network.account()
    good = network.build(payer, Payment(payee.public_key, XLM, "1")).build()
    good.sign(payer)
    first = network.server.submit_transaction(good)
    assert network.server.submit_transaction(good) == first
    assert network.balance(payee.public_key, XLM) == "10001.0000000"
    bad = network.build(payer, Payment(payee.public_key, XLM, "99999")).build()
    bad.sign(payer)
    answers = []
    for _ in range(2):
        with pytest.raises(BadRequestError) as error:
            network.server.submit_transaction(bad)
        answers.append(error.value.extras)
    assert answers[0] == answers[1]
    assert network.balance(payer.public_key, XLM) == "9998.9999800"


def test_muxed_ends_are_shown(network: Network) -> None:
    payer, payee = network.account(), network.account()
    source = MuxedAccount(payer.public_key, 7)
    target = MuxedAccount(payee.public_key, 2**63)
    built = network.build(payer, Payment(target, XLM, "1"), muxed=source).build()
    built.sign(payer)
    answer = network.server.submit_transaction(built)
    assert answer["source_account"] == payer.public_key
    assert answer["account_muxed"] == source.account_muxed
    assert answer["account_muxed_id"] == "7"
    (record,) = network.records(f"/transactions/{answer['hash']}/operations")
    assert record["source_account_muxed_id"] == "7"
    assert (record["from"], record["from_muxed"]) == (payer.public_key, source.account_muxed)
    assert (record["to"], record["to_muxed_id"]) == (payee.public_key, str(2**63))


def test_memos_are_shown_as_horizon_does(network: Network) -> None:
    payer = network.account()
    raw = b"\xff\x00ok"
    shown = {}
    for name, value in {"text": raw, "id": 2**64 - 1, "hash": b"\x07" * 32}.items():
        builder = network.build(payer, BumpSequence(0))
        getattr(builder, f"add_{name}_memo")(value)
        built = builder.build()
        built.sign(payer)
        shown[name] = network.server.submit_transaction(built)
    assert shown["text"]["memo_type"] == "text"
    assert base64.b64decode(shown["text"]["memo_bytes"]) == raw
    assert shown["id"]["memo"] == str(2**64 - 1)
    assert "memo_bytes" not in shown["id"]
    assert base64.b64decode(shown["hash"]["memo"]) == b"\x07" * 32
    plain = network.send(payer, BumpSequence(0))
    assert plain["memo_type"] == "none" and "memo" not in plain


def test_fee_bump_is_known_by_both_hashes(network: Network) -> None:
    payer, sponsor = network.account(), network.account()
    inner = network.build(payer, Payment(sponsor.public_key, XLM, "1")).build()
    inner.sign(payer)
    bump = TransactionBuilder.build_fee_bump_transaction(sponsor, 200, inner, PASSPHRASE)
    bump.sign(sponsor)
    answer = network.server.submit_transaction(bump)
    assert answer["fee_account"] == sponsor.public_key
    assert answer["fee_charged"] == "200"
    assert network.balance(payer.public_key, XLM) == "9999.0000000"
    assert network.balance(sponsor.public_key, XLM) == "10000.9999800"
    outer = network.get(f"/transactions/{bump.hash_hex()}")
    under = network.get(f"/transactions/{inner.hash_hex()}")
    assert outer["hash"] == bump.hash_hex() and under["hash"] == inner.hash_hex()
    for seen in (outer, under):
        assert seen["inner_transaction"]["hash"] == inner.hash_hex()
        assert seen["fee_bump_transaction"]["hash"] == bump.hash_hex()
    assert under["signatures"] == under["inner_transaction"]["signatures"]


def test_fee_bump_of_a_failure_says_which_half_failed(network: Network) -> None:
    payer, sponsor = network.account(), network.account()
    inner = network.build(payer, Payment(sponsor.public_key, XLM, "99999")).build()
    inner.sign(payer)
    bump = TransactionBuilder.build_fee_bump_transaction(sponsor, 200, inner, PASSPHRASE)
    bump.sign(sponsor)
    with pytest.raises(BadRequestError) as error:
        network.server.submit_transaction(bump)
    assert codes(error) == {
        "transaction": "tx_fee_bump_inner_failed",
        "inner_transaction": "tx_failed",
        "operations": ["op_underfunded"],
    }


def test_merge_moves_everything_and_its_effects_tell_how_much(network: Network) -> None:
    leaver, heir = network.account(), network.account()
    # A new account's number is its ledger's; merging in that very ledger is refused.
    answer = network.send(leaver, AccountMerge(heir.public_key))
    assert network.balance(heir.public_key, XLM) == "19999.9999900"
    with pytest.raises(NotFoundError):
        network.server.load_account(leaver.public_key)
    (record,) = network.records(f"/transactions/{answer['hash']}/payments")
    assert (record["account"], record["into"]) == (leaver.public_key, heir.public_key)
    effects = network.records(f"/operations/{record['id']}/effects")
    told = {(e["type"], e["account"]): e.get("amount") for e in effects}
    assert told == {
        ("account_debited", leaver.public_key): "9999.9999900",
        ("account_credited", heir.public_key): "9999.9999900",
        ("account_removed", leaver.public_key): None,
    }


def test_data_and_reserve(network: Network) -> None:
    owner = network.account()
    network.send(owner, ManageData("greeting", "hello"))
    shown = network.get(f"/accounts/{owner.public_key}")
    assert base64.b64decode(shown["data"]["greeting"]) == b"hello"
    assert shown["subentry_count"] == 1
    # 10,000 less two fees, less reserve of three entries; one stroop more is too much.
    assert refused(network, owner, Payment(network.account().public_key, XLM, "9998.4999801")) == [
        "op_underfunded"
    ]
    network.send(owner, ManageData("greeting", None))
    assert network.get(f"/accounts/{owner.public_key}")["subentry_count"] == 0


def market(network: Network) -> tuple[Keypair, Asset, Asset, Keypair]:
    """Return an issuer of two assets, both assets, and a maker with offers through lumens."""
    issuer, maker = network.account(), network.account()
    usd, eur = Asset("USD", issuer.public_key), Asset("EURO12", issuer.public_key)
    network.send(maker, ChangeTrust(usd), ChangeTrust(eur))
    network.send(
        issuer,
        Payment(maker.public_key, usd, "1000"),
        Payment(maker.public_key, eur, "1000"),
    )
    network.send(
        maker,
        ManageSellOffer(XLM, usd, "500", "0.1"),  # lumens at 0.1 USD
        ManageSellOffer(eur, XLM, "500", "12"),  # EURO12 at 12 lumens
    )
    return issuer, usd, eur, maker


def test_path_payments_both_ways(network: Network) -> None:
    issuer, usd, eur, maker = market(network)
    payer, payee = trusting(network, usd), trusting(network, eur)
    network.send(issuer, Payment(payer.public_key, usd, "100"))
    sent = network.send(payer, PathPaymentStrictSend(payee.public_key, usd, "12", eur, "1", [XLM]))
    (record,) = network.records(f"/transactions/{sent['hash']}/payments")
    assert record["type"] == "path_payment_strict_send"
    assert record["amount"] == "10.0000000"
    assert record["source_amount"] == "12.0000000"
    assert record["destination_min"] == "1.0000000"
    assert record["path"] == [{"asset_type": "native"}]
    assert record["source_asset_code"] == "USD" and record["asset_code"] == "EURO12"
    got = network.send(payer, PathPaymentStrictReceive(payee.public_key, usd, "7", eur, "5", [XLM]))
    (record,) = network.records(f"/transactions/{got['hash']}/payments")
    assert record["source_amount"] == "6.0000000" and record["source_max"] == "7.0000000"
    assert network.balance(payee.public_key, eur) == "15.0000000"
    assert network.balance(payer.public_key, usd) == "82.0000000"
    assert network.balance(maker.public_key, usd) == "1018.0000000"
    assert refused(
        network, payer, PathPaymentStrictReceive(payee.public_key, usd, "5", eur, "5", [XLM])
    ) == ["op_over_source_max"]
    assert refused(
        network, payer, PathPaymentStrictSend(payee.public_key, usd, "1", eur, "1", [XLM])
    ) == ["op_under_dest_min"]
    assert refused(
        network, payer, PathPaymentStrictSend(payee.public_key, usd, "60", eur, "1", [XLM])
    ) == ["op_too_few_offers"]


def test_path_finding_tells_what_payments_do(network: Network) -> None:
    issuer, usd, eur, _ = market(network)
    payer, payee = trusting(network, usd), trusting(network, eur)
    network.send(issuer, Payment(payer.public_key, usd, "100"))
    send = network.server.strict_send_paths(usd, "12", [eur]).call()
    (path,) = send["_embedded"]["records"]
    assert path["destination_amount"] == "10.0000000"
    assert path["path"] == [{"asset_type": "native"}]
    by_account = network.server.strict_send_paths(usd, "12", payee.public_key).call()
    reached = {r["destination_asset_type"] for r in by_account["_embedded"]["records"]}
    assert reached == {"credit_alphanum12", "native"}
    receive = network.server.strict_receive_paths(payer.public_key, eur, "5").call()
    costs = {r["source_asset_type"]: r["source_amount"] for r in receive["_embedded"]["records"]}
    assert costs == {"native": "60.0000000", "credit_alphanum4": "6.0000000"}
    thin = network.server.strict_receive_paths([usd], eur, "100").call()
    assert thin["_embedded"]["records"] == []


def test_offers_rest_cross_and_bind(network: Network) -> None:
    issuer, usd, _, maker = market(network)
    taker = trusting(network, usd)
    (offer, other) = network.records(f"/accounts/{maker.public_key}/offers")
    assert (offer["amount"], offer["price"]) == ("500.0000000", "0.1000000")
    assert offer["price_r"] == {"n": 1, "d": 10}
    shown = network.get(f"/accounts/{maker.public_key}")["balances"][-1]
    assert shown["selling_liabilities"] == "500.0000000"
    assert shown["buying_liabilities"] == "6000.0000000"
    network.send(issuer, Payment(taker.public_key, usd, "10"))
    network.send(taker, ManageBuyOffer(usd, XLM, "40", "0.2"))
    assert network.balance(taker.public_key, usd) == "6.0000000"
    rest = network.get(f"/offers/{offer['id']}")
    assert rest["amount"] == "460.0000000"
    assert refused(network, maker, ManageSellOffer(usd, XLM, "1", "10")) == ["op_cross_self"]
    network.send(maker, ManageSellOffer(XLM, usd, "0", "0.1", int(offer["id"])))
    left = network.records(f"/accounts/{maker.public_key}/offers")
    assert [o["id"] for o in left] == [other["id"]]
