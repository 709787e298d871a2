"""Challenges that we build and read, held against stellar-sdk's own reading of SEP-10."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import (
    Account,
    HashMemo,
    IdMemo,
    Keypair,
    ManageData,
    MuxedAccount,
    TextMemo,
    TransactionBuilder,
    TransactionEnvelope,
    xdr,
)
from stellar_sdk.sep import stellar_web_authentication as sdk
from stellar_sdk.sep.ed25519_public_key_signer import Ed25519PublicKeySigner
from stellar_sdk.sep.exceptions import InvalidSep10ChallengeError

from kernel.errors import BadRequest
from sep10.challenge import ClientDomain, WebAuth, build_challenge
from sep10.signed_challenge import (
    AccountSigners,
    SignedChallenge,
    read_challenge,
    verify_signatures,
)

SERVER, CLIENT, WALLET, *OTHERS = (Keypair.random() for _ in range(8))
EVERYBODY = [SERVER, CLIENT, WALLET, *OTHERS]
PASSPHRASE = "Local Landfall Network ; November 2026"
WEB_AUTH = WebAuth(SERVER, "auth.example", ("anchor.example", "other.example"), PASSPHRASE, 900)
SDK_TERMS = (SERVER.public_key, WEB_AUTH.home_domains, WEB_AUTH.web_auth_domain, PASSPHRASE)


def challenge(
    account: MuxedAccount | None = None,
    memo: int | None = None,
    home_domain: str = "anchor.example",
    client_domain: ClientDomain | None = None,
) -> str:
    return build_challenge(
        WEB_AUTH,
        account=account or MuxedAccount(CLIENT.public_key),
        memo=memo,
        home_domain=home_domain,
        client_domain=client_domain,
    )


# -- What we build ----------------------------------------------------------------------------

muxed_ids = st.none() | st.integers(0, 2**64 - 1)
memos = st.none() | st.integers(0, 2**64 - 1)
client_domains = st.none() | st.just(ClientDomain("wallet.example", WALLET.public_key))


@given(muxed_ids, memos, client_domains, st.sampled_from(WEB_AUTH.home_domains))
def test_a_challenge_is_what_the_sdk_reads_and_we_read_back(
    muxed_id: int | None, memo: int | None, domain: ClientDomain | None, home_domain: str
) -> None:
    account = MuxedAccount(CLIENT.public_key, muxed_id)
    memo = None if muxed_id is not None else memo
    built = challenge(account, memo, home_domain, domain)
    theirs = sdk.read_challenge_transaction(built, *SDK_TERMS)
    assert theirs.client_account_id == account.universal_account_id
    assert (theirs.memo, theirs.matched_home_domain) == (memo, home_domain)
    ours = read_challenge(WEB_AUTH, built)
    assert ours.hash == theirs.transaction.hash()
    assert ours.account == CLIENT.public_key
    assert ours.subject == account.universal_account_id + ("" if memo is None else f":{memo}")
    assert (ours.home_domain, ours.client_domain, ours.signatures) == (home_domain, domain, ())


@pytest.mark.parametrize("memo", [None, 1, 2**64 - 1])
@pytest.mark.parametrize("domain", [None, ClientDomain("wallet.example", WALLET.public_key)])
def test_a_challenge_is_byte_for_byte_the_sdks(
    monkeypatch: pytest.MonkeyPatch, memo: int | None, domain: ClientDomain | None
) -> None:
    monkeypatch.setattr("os.urandom", lambda count: b"\x07" * count)
    monkeypatch.setattr("secrets.token_bytes", lambda count: b"\x07" * count)
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.9)
    theirs = sdk.build_challenge_transaction(
        server_secret=SERVER.secret,
        client_account_id=CLIENT.public_key,
        home_domain="anchor.example",
        web_auth_domain=WEB_AUTH.web_auth_domain,
        network_passphrase=PASSPHRASE,
        timeout=900,
        client_domain=domain.name if domain else None,
        client_signing_key=domain.signing_key if domain else None,
        memo=memo,
    )
    assert challenge(memo=memo, client_domain=domain) == theirs


# -- Who signed -------------------------------------------------------------------------------


def sign(built: str, signers: list[Keypair]) -> str:
    """With repetitions, which the SDK's own `sign` would refuse to make."""
    envelope = TransactionEnvelope.from_xdr(built, PASSPHRASE)
    digest = envelope.hash()
    envelope.signatures += [signer.sign_decorated(digest) for signer in signers]
    return envelope.to_xdr()


def sdk_accepts(signed: str, signers: AccountSigners | None) -> bool:
    try:
        if signers is None:
            sdk.verify_challenge_transaction_signed_by_client_master_key(signed, *SDK_TERMS)
        else:
            weighed = [
                Ed25519PublicKeySigner(key, weight)
                for key, weight in signers.weights.items()
                if weight > 0 and key != SERVER.public_key
            ]
            sdk.verify_challenge_transaction_threshold(
                signed, *SDK_TERMS, signers.threshold, weighed
            )
    except InvalidSep10ChallengeError:
        return False
    return True


def we_accept(signed: str, signers: AccountSigners | None) -> bool:
    try:
        verify_signatures(WEB_AUTH, read_challenge(WEB_AUTH, signed), signers)
    except BadRequest:
        return False
    return True


keys = st.sampled_from(EVERYBODY)
weights_by_key = st.dictionaries(
    keys.map(lambda key: key.public_key), st.integers(0, 3), max_size=4
)
account_signers = st.none() | st.builds(AccountSigners, st.integers(0, 5), weights_by_key)
any_domain = client_domains | keys.map(lambda key: ClientDomain("w.example", key.public_key))


@st.composite
def signatures(draw: Any) -> tuple[list[Keypair], AccountSigners | None, ClientDomain | None]:
    """Who signed, who may, and whose domain; mostly those signed who may."""
    signers, domain = draw(account_signers), draw(any_domain)
    expected = set(signers.weights if signers else [CLIENT.public_key])
    expected |= {domain.signing_key} if domain else set()
    likely = [key for key in EVERYBODY if key.public_key in expected]
    signed_by = [key for key in likely if draw(st.integers(0, 3))]
    return signed_by + draw(st.just([]) | st.lists(keys, max_size=2)), signers, domain


@settings(max_examples=300)
@given(signatures(), memos, muxed_ids)
def test_our_verdict_on_signatures_is_the_sdks(
    who: tuple[list[Keypair], AccountSigners | None, ClientDomain | None],
    memo: int | None,
    muxed_id: int | None,
) -> None:
    signed_by, signers, domain = who
    account = MuxedAccount(CLIENT.public_key, muxed_id)
    memo = None if muxed_id is not None else memo
    signed = sign(challenge(account, memo, client_domain=domain), signed_by)
    assert we_accept(signed, signers) == sdk_accepts(signed, signers)


@given(st.data())
def test_a_set_of_signers_that_meets_the_threshold_is_let_in_by_both(data: Any) -> None:
    weights = data.draw(
        st.dictionaries(
            st.sampled_from(OTHERS).map(lambda key: key.public_key),
            st.integers(1, 3),
            min_size=1,
        )
    )
    signed_by = [key for key in OTHERS if key.public_key in weights]
    domain = data.draw(client_domains)
    total = sum(weights.values())
    signers = AccountSigners(data.draw(st.integers(0, total)), weights)
    order = data.draw(st.permutations([*signed_by, *([WALLET] if domain else [])]))
    signed = sign(challenge(client_domain=domain), order)
    assert we_accept(signed, signers)
    assert sdk_accepts(signed, signers)
    too_high = AccountSigners(total + 1, weights)
    assert not we_accept(signed, too_high)
    assert not sdk_accepts(signed, too_high)


def test_each_signature_counts_once_and_a_second_copy_is_one_too_many() -> None:
    signers = AccountSigners(2, {CLIENT.public_key: 1})
    assert not we_accept(sign(challenge(), [CLIENT, CLIENT]), signers)
    assert not we_accept(sign(challenge(), [CLIENT, CLIENT]), AccountSigners(1, signers.weights))


def test_the_servers_signature_never_counts_for_the_client() -> None:
    signers = AccountSigners(1, {SERVER.public_key: 10})
    assert not we_accept(challenge(), signers)
    assert not we_accept(sign(challenge(), [SERVER]), signers)
    own = challenge(MuxedAccount(SERVER.public_key))
    assert not we_accept(sign(own, [SERVER]), None)


def test_a_hint_of_another_key_does_not_make_a_signature_count() -> None:
    envelope = TransactionEnvelope.from_xdr(challenge(), PASSPHRASE)
    lie = CLIENT.sign_decorated(envelope.hash())
    lie.signature_hint = OTHERS[0].signature_hint()
    envelope.signatures.append(lie)
    assert not we_accept(envelope.to_xdr(), AccountSigners(1, {CLIENT.public_key: 1}))


@pytest.mark.parametrize("length", [0, 1, 63])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    envelope = TransactionEnvelope.from_xdr(challenge(), PASSPHRASE)
    short = CLIENT.sign_decorated(envelope.hash())
    short.signature = short.signature[:length]
    envelope.signatures.append(short)
    assert not we_accept(envelope.to_xdr(), AccountSigners(1, {CLIENT.public_key: 1}))


# -- Which challenges are ours ----------------------------------------------------------------

NONCE = base64.b64encode(b"n" * 48)
names = st.sampled_from(
    ["anchor.example auth", "other.example auth", "evil.example auth", "anchor.example",
     "web_auth_domain", "client_domain", "more"]
)  # fmt: skip
values = st.sampled_from(
    [NONCE, b"A" * 64, b"=" * 64, b"!" * 64, b"x" * 63, base64.b64encode(b"n" * 47),
     b"auth.example", b"evil.example", b"", None]
)  # fmt: skip
sources = st.sampled_from(
    [None, CLIENT.public_key, SERVER.public_key, WALLET.public_key,
     MuxedAccount(CLIENT.public_key, 7).account_muxed]
)  # fmt: skip
data_operations = st.builds(ManageData, names, values, sources)
good_first = st.builds(
    lambda name, source: ManageData(name, NONCE, source),
    st.sampled_from(["anchor.example auth", "other.example auth"]),
    sources.filter(bool),
)


other_web_auth = st.sampled_from([b"evil.example", b"auth.example"]).map(
    lambda domain: ManageData("web_auth_domain", domain, SERVER.public_key)
)
GOOD: dict[str, Any] = {
    "source": SERVER,
    "sequence": 0,
    "bounds": (0, 900),
    "memo": None,
    "first": ManageData("anchor.example auth", NONCE, CLIENT.public_key),
    "others": [],
    "signers": [SERVER],
}
DIFFERENT: dict[str, Any] = {
    "source": keys,
    "sequence": st.integers(-1, 2),
    "bounds": st.sampled_from([(-900, -1), (-900, 900), (200, 900), (400, 900), (0, None)]),
    "memo": st.sampled_from([IdMemo(0), IdMemo(7), TextMemo("7"), HashMemo(b"7" * 32)]),
    "first": data_operations | good_first,
    "others": st.lists(data_operations | other_web_auth, min_size=1, max_size=3),
    "signers": st.lists(keys, max_size=3),
}


@st.composite
def look_alikes(draw: Any) -> str:
    """A challenge of ours but for a thing or two."""
    parts = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(sorted(DIFFERENT)), max_size=2, unique=True)):
        parts[name] = draw(DIFFERENT[name])
    builder = TransactionBuilder(
        Account(parts["source"].public_key, parts["sequence"] - 1), PASSPHRASE, 100
    )
    now, (start, end) = int(time.time()), parts["bounds"]
    builder.add_time_bounds(now + start, 0 if end is None else now + end)
    if parts["memo"] is not None:
        builder.add_memo(parts["memo"])
    for operation in [parts["first"], *parts["others"]]:
        builder.append_operation(operation)
    envelope = builder.build()
    for signer in parts["signers"]:
        envelope.signatures.append(signer.sign_decorated(envelope.hash()))
    return envelope.to_xdr()


def sdk_reads(text: str) -> bool:
    try:
        sdk.read_challenge_transaction(text, *SDK_TERMS)
    except (InvalidSep10ChallengeError, ValueError):
        return False
    return True


def we_read(text: str) -> SignedChallenge | None:
    try:
        return read_challenge(WEB_AUTH, text)
    except BadRequest:
        return None


def is_stranger_to_us(text: str) -> bool:
    """What the SDK lets pass and we never build, so never sign: client_domain operations without
    a value, twice, or of the server's own; data entries that are deleted."""
    operations: list[Any] = list(
        TransactionEnvelope.from_xdr(text, PASSPHRASE).transaction.operations
    )
    domains = [op for op in operations if op.data_name == "client_domain"]
    return (
        len(domains) > 1
        or any(op.source.account_id == SERVER.public_key for op in domains if op.source)
        or any(op.data_value is None for op in operations)
    )


@settings(max_examples=500)
@given(look_alikes())
def test_we_read_what_the_sdk_reads_and_nothing_else(text: str) -> None:
    if is_stranger_to_us(text):
        assert we_read(text) is None
    else:
        assert (we_read(text) is not None) == sdk_reads(text)


def test_a_challenge_that_was_written_down_the_old_way_is_still_ours() -> None:
    envelope = TransactionEnvelope.from_xdr(sign(challenge(memo=7), [CLIENT]), PASSPHRASE)
    envelope.transaction.v1 = False
    old = envelope.to_xdr()
    assert xdr.TransactionEnvelope.from_xdr(old).v0 is not None
    assert we_accept(old, AccountSigners(1, {CLIENT.public_key: 1}))
    assert sdk_accepts(old, AccountSigners(1, {CLIENT.public_key: 1}))


@given(st.data())
def test_a_challenge_with_any_bit_turned_is_refused_or_still_the_same(data: Any) -> None:
    """The same: XDR has one way to say yes, and its reader takes any number but 0 for it."""
    signed = sign(challenge(), [CLIENT])
    raw = bytearray(base64.b64decode(signed))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    turned = base64.b64encode(raw).decode()
    signers = AccountSigners(1, {CLIENT.public_key: 1})
    if we_accept(turned, signers):
        assert sdk_accepts(turned, signers)
        assert read_challenge(WEB_AUTH, turned) == read_challenge(WEB_AUTH, signed)


@given(st.binary(max_size=400).map(lambda raw: base64.b64encode(raw).decode()) | st.text())
def test_what_is_no_challenge_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadRequest, match="transaction"):
        read_challenge(WEB_AUTH, text)
