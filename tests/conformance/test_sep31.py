"""SEP-31 v3.1.0, section by section, and what SDF's suite asks beyond the text.

What takes an outside failure to see (refunds, crashes, order of callbacks) is held in
tests/integration/sep31 and tests/integration/callbacks.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from stellar_sdk import Keypair

from callbacks.services import deliver_due_callbacks
from sep1.assets import received_assets
from sep31 import services
from sep31.info import write_info
from sep31.models import Refund, Transaction
from sep31.receipts import match_payments
from sep38.models import Rate
from sep38.pairs import all_pairs
from tests.fixtures.callers import RegisteredAnchor, bearer_for, make_sending_anchor
from tests.fixtures.transactions import (
    RECEIVER,
    SENDER,
    deadline_passes,
    make_transaction,
    order,
    post_transaction,
    record_payment,
    register_both,
    register_customer,
    usdc,
)
from tests.integration.callbacks.receiver import Receiver
from tests.integration.sep31.test_flow import network_confirms, pay, rail_says

pytestmark = pytest.mark.django_db
JSON = "application/json"
MXN = "iso4217:MXN"
WHERE = {"stellar_account_id", "stellar_memo_type", "stellar_memo"}
ENDPOINTS = [
    ("POST", "/transactions"),
    ("GET", f"/transactions/{uuid.uuid4()}"),
    ("PATCH", f"/transactions/{uuid.uuid4()}"),
    ("PUT", f"/transactions/{uuid.uuid4()}/callback"),
    ("GET", "/transactions"),
    ("POST", f"/transactions/{uuid.uuid4()}/cancel"),
    ("GET", "/events"),
]


def call(anchor: RegisteredAnchor, method: str, path: str, body: Any = None) -> Any:
    content: dict[str, Any] = (
        {} if body is None else {"data": json.dumps(body), "content_type": JSON}
    )
    return Client().generic(method, f"/sep31{path}", headers=anchor.headers(), **content)


def show(anchor: RegisteredAnchor, row: Transaction | str) -> dict[str, Any]:
    answer = call(anchor, "GET", f"/transactions/{row if isinstance(row, str) else row.pk}")
    assert answer.status_code == 200
    assert set(answer.json()) == {"transaction"}
    found: dict[str, Any] = answer.json()["transaction"]
    return found


def ask_for_quote(anchor: RegisteredAnchor, memo: str | None = None, **changes: Any) -> Any:
    Rate.objects.create(sell_asset=usdc(), buy_asset=MXN, rate=Decimal("17.5"), source="test")
    wanted = {
        "context": "sep31",
        "sell_asset": usdc(),
        "buy_asset": MXN,
        "sell_amount": "100",
        "buy_delivery_method": "bank_account",
    }
    answer = Client().post(
        "/sep38/quote", {**wanted, **changes}, JSON, headers=anchor.headers(memo)
    )
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def transaction_fields(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """An anchor that asks for the deprecated per-transaction fields."""
    [entry, *_] = settings.ANCHOR["assets"]
    fields = {
        "purpose": {"description": "What it is for", "choices": ["gift", "school fees"]},
        "note": {"description": "A note", "optional": True},
    }
    monkeypatch.setitem(entry, "fields", fields)
    received_assets.cache_clear()
    write_info.cache_clear()
    yield
    monkeypatch.undo()
    received_assets.cache_clear()
    write_info.cache_clear()


@pytest.fixture(params=["sell", "buy"])
def fee_side(request: Any, settings: Any) -> Iterator[str]:
    """Which asset of the pair USDC -> MXN the fee is in."""
    entries = [
        {**entry, "fee_asset": request.param} if entry["buy"] == MXN else entry
        for entry in settings.ANCHOR["pairs"]
    ]
    settings.ANCHOR = {**settings.ANCHOR, "pairs": entries}
    all_pairs.cache_clear()
    yield request.param
    all_pairs.cache_clear()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.ALLOW_INSECURE_URLS = True
    receiver = Receiver()
    yield receiver
    receiver.stop()


# -- Prerequisites ------------------------------------------------------------------------------
def test_stellar_toml_names_the_servers() -> None:
    """Prerequisites: `DIRECT_PAYMENT_SERVER`, `KYC_SERVER` and `ANCHOR_QUOTE_SERVER`."""
    toml = Client().get("/.well-known/stellar.toml").content.decode()
    for name, path in (
        ("DIRECT_PAYMENT_SERVER", "/sep31"),
        ("KYC_SERVER", "/sep12"),
        ("ANCHOR_QUOTE_SERVER", "/sep38"),
    ):
        assert re.search(rf'^{name} *= *"https?://[^/"]+{path}"$', toml, re.M)


# -- Authentication -----------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("token", [None, "Bearer", "Bearer a.b.c", "Basic YTpi"])
def test_without_proper_authentication_it_is_a_403(
    method: str, path: str, token: str | None
) -> None:
    """Authentication: "should return a 403 Forbidden response"; SDF's suite: whatever the content
    type, before anything is parsed."""
    headers = {} if token is None else {"Authorization": token}
    for content_type in (JSON, "application/x-www-form-urlencoded", "text/plain"):
        answer = Client().generic(
            method, f"/sep31{path}", b"{", content_type=content_type, headers=headers
        )
        assert answer.status_code == 403
        assert set(answer.json()) == {"error"}


def test_an_account_without_an_agreement_is_refused() -> None:
    """Authentication: "must ensure that the authenticated Stellar account belongs to a Sending
    Anchor for which a bi-lateral agreement has been made"."""
    headers = {"Authorization": bearer_for(Keypair.random().public_key)}
    answer = Client().post("/sep31/transactions", order(), JSON, headers=headers)
    assert answer.status_code == 403


def test_the_payer_may_be_any_account(anchor: RegisteredAnchor) -> None:
    """Authentication: "Only the payment transaction's memo should be used to match"."""
    row = make_transaction(anchor)
    pay(row, from_account=Keypair.random().public_key)
    assert row.status == "pending_receiver"


# -- Content Type -------------------------------------------------------------------------------
def test_json_goes_in_and_json_comes_out(anchor: RegisteredAnchor) -> None:
    """Content Type."""
    for answer in (
        Client().get("/sep31/info"),
        post_transaction(anchor),
        post_transaction(anchor, amount="x"),
        call(anchor, "GET", "/transactions/x"),
    ):
        assert answer["Content-Type"] == JSON


# -- Asset Conversions --------------------------------------------------------------------------
def test_a_payment_after_the_quotes_expiration_is_not_taken(anchor: RegisteredAnchor) -> None:
    """Receiving Anchor Asset Conversion: "must be earlier than the quote's expiration"."""
    quote = ask_for_quote(anchor)
    row = make_transaction(anchor, quote_id=quote["id"])
    pay(row, closed_at=row.deadline)
    assert row.status == "pending_sender"
    assert row.receipts.get().outcome == "late"
    in_time = make_transaction(anchor, quote_id=ask_for_quote(anchor)["id"])
    pay(in_time, closed_at=in_time.deadline - timedelta(seconds=1))
    assert in_time.status == "pending_receiver"


# -- GET Info -----------------------------------------------------------------------------------
def test_info_has_an_entry_for_each_asset_that_we_receive() -> None:
    """GET Info, Response and Asset Object Schema."""
    body = Client().get("/sep31/info").json()
    assert set(body) == {"receive"}
    assert set(body["receive"]) == {name.code for name in received_assets()}
    for shown in body["receive"].values():
        assert shown["funding_methods"]
        assert all(isinstance(method, str) for method in shown["funding_methods"])
        for flag in ("quotes_supported", "quotes_required"):
            assert isinstance(shown[flag], bool)


def test_limits_and_fees_are_json_numbers() -> None:
    """Asset Object Schema; SDF's suite."""
    usdc_shown = Client().get("/sep31/info").json()["receive"]["USDC"]
    for name in ("min_amount", "max_amount", "fee_fixed", "fee_percent"):
        assert isinstance(usdc_shown[name], int | float)
        assert not isinstance(usdc_shown[name], bool)


def test_info_keeps_the_deprecated_keys_that_clients_read() -> None:
    """Asset Object Schema, `sep12` and `types`: SDF's suite reads them, and `enabled`."""
    for shown in Client().get("/sep31/info").json()["receive"].values():
        assert shown["enabled"] is True
        for role in ("sender", "receiver"):
            for about in shown["sep12"][role]["types"].values():
                assert about["description"]
        assert set(shown["fields"]) == {"transaction"}


@pytest.mark.usefixtures("transaction_fields")
def test_info_describes_the_per_transaction_fields() -> None:
    """`fields` and `transaction` Object Schema."""
    fields = Client().get("/sep31/info").json()["receive"]["USDC"]["fields"]["transaction"]
    assert fields["purpose"] == {
        "description": "What it is for",
        "choices": ["gift", "school fees"],
    }
    assert fields["note"]["optional"] is True


# -- POST Transactions, Request -----------------------------------------------------------------
def test_the_first_example_of_the_sep(anchor: RegisteredAnchor) -> None:
    """Request: the amount is a JSON number, and there is no `funding_method` (new in 3.1)."""
    answer = post_transaction(anchor, amount=100, funding_method=None, **register_both(anchor))
    assert answer.status_code == 201
    shown = show(anchor, answer.json()["id"])
    assert (shown["amount_in"], shown["amount_out_asset"]) == ("100", "iso4217:USD")


def test_with_an_indicative_price_the_rate_of_the_payment_counts(anchor: RegisteredAnchor) -> None:
    """Request: "the amount delivered [...] varies depending on the exchange rate"; GET Transaction,
    `amount_out`: "only populated after the Receiving Anchor receives the incoming payment"."""
    Rate.objects.create(sell_asset=usdc(), buy_asset=MXN, rate=Decimal(17), source="test")
    row = make_transaction(anchor, destination_asset=MXN)
    before = show(anchor, row)
    assert (before["amount_in_asset"], before["amount_out_asset"]) == (usdc(), MXN)
    assert "amount_out" not in before
    pay(row)
    assert Decimal(show(anchor, row)["amount_out"]) > 1000


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"amount": "99"}, "amount"),
        ({"destination_asset": "iso4217:USD"}, "destination_asset"),
        ({"asset_code": "EUR"}, "asset_code"),
    ],
)
def test_a_request_must_match_its_quote(
    anchor: RegisteredAnchor, changes: dict[str, Any], named: str
) -> None:
    """Request: "must ensure that the information [...] matches the assets and amounts"."""
    quote = ask_for_quote(anchor)
    terms = {"quote_id": quote["id"], "destination_asset": MXN, **changes}
    answer = post_transaction(anchor, **terms)
    assert answer.status_code == 400
    assert named in answer.json()["error"]


def test_an_asset_that_is_not_in_info_is_refused(anchor: RegisteredAnchor) -> None:
    """Request Parameters, `asset_code`: "must match one of the entries listed"."""
    assert post_transaction(anchor, asset_code="XYZ").status_code == 400
    issuer = Keypair.random().public_key
    assert post_transaction(anchor, asset_issuer=issuer).status_code == 400


def test_a_funding_method_that_is_not_in_info_is_refused(anchor: RegisteredAnchor) -> None:
    """Request Parameters, `funding_method`: "Must match one of the values"."""
    answer = post_transaction(anchor, funding_method="pigeon")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("funding_method must be one of: ")


def test_asset_issuer_is_optional(anchor: RegisteredAnchor) -> None:
    """Request Parameters, `asset_issuer`."""
    assert post_transaction(anchor, asset_issuer=None).status_code == 201


@pytest.mark.parametrize(
    ("kind", "memo", "carried"),
    [
        ("id", "77", "77"),
        ("text", "refund 77", "refund 77"),
        ("hash", base64.b64encode(bytes(range(32))).decode(), bytes(range(32)).hex()),
    ],
)
def test_a_refund_carries_refund_memo(
    anchor: RegisteredAnchor, kind: str, memo: str, carried: str
) -> None:
    """Request Parameters, `refund_memo`: "must use when sending refund payments back"."""
    row = make_transaction(anchor, refund_memo=memo, refund_memo_type=kind)
    pay(row, amount=1)
    outgoing = Refund.objects.get().outgoing
    assert (outgoing.memo_type, outgoing.memo) == (kind, carried)


def test_a_refund_carries_the_payments_memo_otherwise(anchor: RegisteredAnchor) -> None:
    """Request Parameters, `refund_memo`: "should use the same memo"."""
    row = make_transaction(anchor)
    pay(row, amount=1)
    outgoing = Refund.objects.get().outgoing
    assert (outgoing.memo_type, outgoing.memo) == (row.memo_type, row.memo)


@pytest.mark.parametrize("one", [{"refund_memo": "1"}, {"refund_memo_type": "id"}])
def test_refund_memo_and_its_type_go_together(
    anchor: RegisteredAnchor, one: dict[str, str]
) -> None:
    """Request Parameters: "If specified, `refund_memo_type` must also be specified"."""
    assert post_transaction(anchor, **one).status_code == 400


# -- POST Transactions, Responses ---------------------------------------------------------------
def test_who_may_pay_gets_the_id_and_where_to_pay_alone(anchor: RegisteredAnchor) -> None:
    """Success (201 Created); SDF's suite: these four, and nothing else."""
    answer = post_transaction(anchor, **register_both(anchor))
    assert answer.status_code == 201
    assert set(answer.json()) == {"id", *WHERE}
    assert all(isinstance(value, str) for value in answer.json().values())
    shown = show(anchor, answer.json()["id"])
    assert shown["status"] == "pending_sender"
    assert {key: shown[key] for key in WHERE} == {key: answer.json()[key] for key in WHERE}


def test_who_has_to_wait_gets_the_id_alone_and_the_rest_later(anchor: RegisteredAnchor) -> None:
    """Success: "If these values are not present [...] `pending_receiver`"; "When the transaction
    status moves to `pending_sender`, the Stellar account & memo fields should be populated"."""
    answer = post_transaction(anchor)
    assert set(answer.json()) == {"id"}  # absent, not null
    created = answer.json()["id"]
    shown = show(anchor, created)
    assert shown["status"] == "pending_receiver"
    assert not WHERE & set(shown)
    register_customer(anchor, "1", "sep31-sender", transaction_id=created, **SENDER)
    register_customer(anchor, "2", "sep31-receiver", transaction_id=created, **RECEIVER)
    services.advance([uuid.UUID(created)])
    shown = show(anchor, created)
    assert shown["status"] == "pending_sender"
    assert set(shown) >= WHERE


def test_customer_info_needed(anchor: RegisteredAnchor) -> None:
    """Customer Info Needed (400 Bad Request): the body, and that a retry succeeds after."""
    customers = register_both(anchor)
    refused = post_transaction(anchor, amount="5000", **customers)
    assert refused.status_code == 400
    kind = refused.json()["type"]
    assert refused.json() == {"error": "customer_info_needed", "type": kind}
    types = Client().get("/sep31/info").json()["receive"]["USDC"]["sep12"]["sender"]["types"]
    assert kind in types
    more = {
        "birth_date": "1990-01-01",
        "address": "1 Main Street",
        "id_type": "passport",
        "id_number": "A1234567",
        "id_country_code": "NGA",
    }
    register_customer(anchor, "1", kind, **SENDER, **more)
    assert post_transaction(anchor, amount="5000", **customers).status_code == 201


@pytest.mark.usefixtures("transaction_fields")
def test_transaction_info_needed(anchor: RegisteredAnchor) -> None:
    """Transaction Info Needed (400 Bad Request): what is missing, as GET /info describes it."""
    refused = post_transaction(anchor, fields={"transaction": {"note": "x"}})
    assert refused.status_code == 400
    described = Client().get("/sep31/info").json()["receive"]["USDC"]["fields"]["transaction"]
    assert refused.json() == {
        "error": "transaction_info_needed",
        "fields": {"transaction": {"purpose": described["purpose"]}},
    }
    assert post_transaction(anchor, fields={"transaction": {"purpose": "gift"}}).status_code == 201


def test_another_reason_is_an_error_in_words(anchor: RegisteredAnchor) -> None:
    """Error (400 Bad Request): "an `error` key describing the error in human-readable format"."""
    answer = post_transaction(anchor, amount="10001")
    assert (answer.status_code, answer.json()) == (400, {"error": "amount must be at most 10000"})


# -- GET Transaction ----------------------------------------------------------------------------
def test_the_object_through_its_life(anchor: RegisteredAnchor) -> None:
    """`transaction` Object Schema; Detailed Receiving Anchor Flow."""
    row = make_transaction(anchor)
    waiting = show(anchor, row)
    assert set(waiting) == {
        *("id", "status", "status_message", "started_at", "updated_at", *WHERE),
        *("amount_in", "amount_in_asset", "amount_out", "amount_out_asset"),
        *("amount_fee", "amount_fee_asset", "fee_details"),
    }
    payment = pay(row)
    paid = show(anchor, row)
    assert (paid["status"], paid["stellar_transaction_id"]) == (
        "pending_receiver",
        payment.transaction_hash,
    )
    rail_says(row, "accepted", rail_reference="BANK-1")
    external = show(anchor, row)
    assert (external["status"], external["external_transaction_id"]) == (
        "pending_external",
        "BANK-1",
    )
    rail_says(row, "delivered")
    done = show(anchor, row)
    assert done["status"] == "completed"
    for name in ("started_at", "updated_at", "completed_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", done[name])
    assert done["started_at"] == waiting["started_at"]


def test_with_a_quote_the_figures_are_the_quotes(anchor: RegisteredAnchor, fee_side: str) -> None:
    """`transaction` Object Schema and Amount Formulas."""
    quote = ask_for_quote(anchor)
    assert quote["fee"]["asset"] == {"sell": usdc(), "buy": MXN}[fee_side]
    row = make_transaction(anchor, quote_id=quote["id"], destination_asset=MXN)
    shown = show(anchor, row)
    assert shown["quote_id"] == quote["id"]
    assert shown["amount_in"] == quote["sell_amount"] == "100"
    assert shown["amount_out"] == quote["buy_amount"]
    assert shown["amount_fee"] == quote["fee"]["total"]
    assert shown["amount_fee_asset"] == quote["fee"]["asset"]
    assert shown["fee_details"] == quote["fee"]
    parts = [Decimal(part["amount"]) for part in shown["fee_details"]["details"]]
    assert sum(parts) == Decimal(shown["fee_details"]["total"])


def test_an_unknown_id_is_404(anchor: RegisteredAnchor) -> None:
    """GET Transaction: "should return a `404 NOT FOUND` result"."""
    for unknown in (uuid.uuid4(), "82fhs729f63dh0v4"):
        assert call(anchor, "GET", f"/transactions/{unknown}").status_code == 404


@pytest.mark.parametrize("with_quote", [True, False])
def test_without_a_payment_it_expires(anchor: RegisteredAnchor, with_quote: bool) -> None:
    """`status`, `expired`: "should expire when the quote expires"."""
    quote = ask_for_quote(anchor) if with_quote else None
    row = make_transaction(anchor, quote_id=quote["id"] if quote else None)
    if quote:
        assert show(anchor, row)["quote_id"] == quote["id"]
        assert row.deadline.isoformat()[:19] == quote["expires_at"][:19]
    deadline_passes(row)
    services.advance([row.pk])
    assert show(anchor, row)["status"] == "expired"


def test_with_a_quote_the_amounts_add_up_at_its_price(
    anchor: RegisteredAnchor, fee_side: str
) -> None:
    """Amount Formulas: "after converting all amounts to units of one of the assets", where "the
    price used to calculate the conversion between amounts is `quote.price`"."""
    quote = ask_for_quote(anchor)
    shown = show(anchor, make_transaction(anchor, quote_id=quote["id"]))
    price, fee = Decimal(quote["price"]), Decimal(shown["amount_fee"])
    out = price * Decimal(shown["amount_out"])
    out += fee if shown["amount_fee_asset"] == usdc() else price * fee
    assert out.quantize(Decimal("0.0000001")) == Decimal(shown["amount_in"])


@pytest.mark.parametrize("fee", ["0", "2"])
def test_a_refund_satisfies_the_formulas(
    anchor: RegisteredAnchor,
    fee: str,
    fee_side: str,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    """Refunds Object Schema and Amount Formulas."""
    [entry, *_] = settings.ANCHOR["assets"]
    monkeypatch.setitem(entry, "policy", {**entry.get("policy", {}), "refund_fee": fee})
    received_assets.cache_clear()
    quote = ask_for_quote(anchor)
    row = make_transaction(anchor, quote_id=quote["id"])
    pay(row)
    rail_says(row, "failed")
    network_confirms(row.refunds.get())
    monkeypatch.undo()
    received_assets.cache_clear()
    shown = show(anchor, row)
    assert (shown["status"], shown["refunded"]) == ("refunded", True)
    refunds = shown["refunds"]
    payments = refunds["payments"]
    assert set(payments[0]) == {"id", "amount", "fee"}
    refunded, kept = Decimal(refunds["amount_refunded"]), Decimal(refunds["amount_fee"])
    assert refunded == sum(Decimal(payment["amount"]) for payment in payments)
    assert kept == sum(Decimal(payment["fee"]) for payment in payments) == Decimal(fee)
    assert Decimal(shown["amount_out"]) == (
        Decimal(shown["amount_in"]) - Decimal(shown["amount_fee"]) - refunded - kept
    )
    assert shown["amount_fee_asset"] == shown["fee_details"]["asset"] == quote["fee"]["asset"]


# -- Pending Customer Info Update ---------------------------------------------------------------
def test_a_refused_field_of_a_customer_is_asked_for_and_sent_again(
    anchor: RegisteredAnchor,
) -> None:
    """Pending Customer Info Update, 1 to 5."""
    row = make_transaction(anchor)
    pay(row)
    rail_says(row, "refused", refused_fields={"bank_account_number": "no such account"})
    shown = show(anchor, row)
    assert shown["status"] == "pending_customer_info_update"
    assert shown["required_info_message"]
    query = {"transaction_id": str(row.pk), "type": "sep31-receiver"}
    asked = Client().get("/sep12/customer", query, headers=anchor.headers()).json()
    assert asked["status"] == "NEEDS_INFO"
    assert "bank_account_number" in asked["fields"]
    register_customer(anchor, "2", "sep31-receiver", bank_account_number="1000000009")
    services.advance([row.pk])
    assert show(anchor, row)["status"] == "pending_receiver"


# -- PATCH Transaction (Deprecated) -------------------------------------------------------------
@pytest.mark.usefixtures("transaction_fields")
def test_a_refused_field_of_the_transaction_is_patched(anchor: RegisteredAnchor) -> None:
    """PATCH Transaction: Success 200 OK and Error 400; `required_info_updates`."""
    row = make_transaction(anchor, fields={"transaction": {"purpose": "gift"}})
    path = f"/transactions/{row.pk}"
    early = call(anchor, "PATCH", path, {"fields": {"transaction": {"purpose": "gift"}}})
    assert early.status_code == 400  # "If the Sending Anchor tries to update at a time [...]"
    pay(row)
    rail_says(row, "refused", refused_fields={"purpose": "say more"})
    shown = show(anchor, row)
    assert shown["status"] == "pending_transaction_info_update"
    assert shown["required_info_updates"] == {
        "transaction": {"purpose": {"description": "say more"}}
    }
    other = call(anchor, "PATCH", path, {"fields": {"transaction": {"note": "x"}}})
    assert (other.status_code, set(other.json())) == (400, {"error"})
    answer = call(anchor, "PATCH", path, {"fields": {"transaction": {"purpose": "school fees"}}})
    assert answer.status_code == 200
    assert answer.json() == {"transaction": show(anchor, row)}
    assert answer.json()["transaction"]["status"] == "pending_receiver"


def test_patching_what_does_not_exist_is_404(anchor: RegisteredAnchor) -> None:
    """PATCH Transaction, Not Found 404."""
    assert call(anchor, "PATCH", f"/transactions/{uuid.uuid4()}", {}).status_code == 404


# -- PUT Transaction Callback -------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_each_change_is_told_to_the_latest_url_alone(
    anchor: RegisteredAnchor, receiver: Receiver
) -> None:
    """PUT Transaction Callback: 204; "only make callback requests to the most recently provided
    URL"; the body is that of GET; none for the initial status."""
    row = make_transaction(anchor)
    for url in ("http://127.0.0.1:9/old", receiver.url):
        answer = call(anchor, "PUT", f"/transactions/{row.pk}/callback", {"url": url})
        assert (answer.status_code, answer.content) == (204, b"")
    record_payment(row)
    match_payments()
    services.advance([row.pk])
    deliver_due_callbacks()
    [received] = receiver.received
    assert received.headers["Content-Type"] == JSON
    told = json.loads(received.body)["transaction"]
    assert (told["id"], told["status"]) == (str(row.pk), "pending_receiver")


@pytest.mark.django_db(transaction=True)
def test_callbacks_are_signed(anchor: RegisteredAnchor, receiver: Receiver) -> None:
    """COMPUTE signature: `t=<timestamp>, s=<base64 signature>` of `<timestamp>.<host>.<body>` by
    SIGNING_KEY, in both headers."""
    row = make_transaction(anchor)
    call(anchor, "PUT", f"/transactions/{row.pk}/callback", {"url": receiver.url})
    record_payment(row)
    match_payments()
    services.advance([row.pk])
    deliver_due_callbacks()
    [received] = receiver.received
    toml = Client().get("/.well-known/stellar.toml").content.decode()
    key = re.search(r'^SIGNING_KEY *= *"(G[A-Z2-7]{55})"$', toml, re.M)
    assert key is not None
    for name in ("Signature", "X-Stellar-Signature"):
        parts = re.fullmatch(r"t=([0-9]+), s=([A-Za-z0-9+/=]+)", received.headers[name])
        assert parts is not None
        assert abs(int(parts[1]) - time.time()) < 60
        payload = f"{parts[1]}.{received.headers['Host']}.".encode() + received.body
        Keypair.from_public_key(key[1]).verify(payload, base64.b64decode(parts[2]))


@pytest.mark.parametrize("url", ["http://a.example/", "ftp://a.example/", "a.example", "", None])
def test_a_callback_url_is_https(anchor: RegisteredAnchor, url: Any, settings: Any) -> None:
    """HTTPS Only: "should refuse to interact with any insecure HTTP endpoints"."""
    settings.ALLOW_INSECURE_URLS = False
    row = make_transaction(anchor)
    answer = call(anchor, "PUT", f"/transactions/{row.pk}/callback", {"url": url})
    assert (answer.status_code, set(answer.json())) == (400, {"error"})


# -- What SDF's suite asks beyond the text ------------------------------------------------------
def test_a_quote_of_the_account_may_be_redeemed_with_a_memo(anchor: RegisteredAnchor) -> None:
    """The suite asks with `G...` and redeems with `G...:1`, without `destination_asset`."""
    quote = ask_for_quote(anchor)
    body = order(quote_id=quote["id"], **register_both(anchor))
    headers = anchor.headers(memo="1")
    answer = Client().post("/sep31/transactions", body, JSON, headers=headers)
    assert answer.status_code == 201
    path = f"/sep31/transactions/{answer.json()['id']}"
    assert Client().get(path, headers=headers).json()["transaction"]["quote_id"] == quote["id"]


def test_errors_can_be_read_by_wallets_in_browsers(anchor: RegisteredAnchor) -> None:
    """The suite looks for CORS headers on every answer."""
    for answer in (post_transaction(anchor, amount="x"), Client().get("/sep31/transactions/x")):
        assert answer["Access-Control-Allow-Origin"] == "*"


def test_another_sending_anchors_transaction_is_not_found(anchor: RegisteredAnchor) -> None:
    row = make_transaction(anchor)
    other = make_sending_anchor()
    for method, path in [
        ("GET", ""),
        ("PATCH", ""),
        ("PUT", "/callback"),
        ("POST", "/cancel"),
    ]:
        answer = call(other, method, f"/transactions/{row.pk}{path}", {"url": "https://a.example"})
        assert answer.status_code == 404


def test_time_moves_updated_at_only_with_the_status(anchor: RegisteredAnchor) -> None:
    """`updated_at`: "reaching the current `status`"."""
    row = make_transaction(anchor)
    reached = timezone.now() - timedelta(hours=1)
    Transaction.objects.update(updated_at=reached)
    pay(row, amount=1)  # a note, not a change
    assert show(anchor, row)["updated_at"] == reached.strftime("%Y-%m-%dT%H:%M:%SZ")
    pay(row)
    assert show(anchor, row)["updated_at"] > reached.strftime("%Y-%m-%dT%H:%M:%SZ")
