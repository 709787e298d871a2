"""SEP-31 in the OpenAPI document."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

from kernel.errors import BadRequest
from kernel.schema import (
    Operation,
    Schema,
    amount,
    amount_sent,
    answer,
    body,
    header,
    in_path,
    items,
    moment,
    no_content,
    operation,
    query,
    record,
    ref,
    refusal,
    text,
    uuid,
)
from sep1.assets import ReceivedAsset, received_assets
from sep12.schema import CUSTOMER, RECEIVER, TRANSACTION, example_type
from sep31 import views
from sep31.idempotency import KEPT, MAX_KEY
from sep31.info import describe_assets
from sep31.listing import DEFAULT_LIMIT, MAX_LIMIT
from sep31.machine import Reason, Status
from sep31.messages import STATUS_MESSAGES
from sep38.schema import QUOTE, asset, example_pair

_STELLAR_HASH = "b9d0b2292c4e09e8eb22d036171491e87b8d2086bf8b265874c8d182cb9c9020"
_CALLBACK = "https://sendinganchor.example.com/transactions"


def operations() -> dict[type[Any], dict[str, Operation]]:
    return {
        views.InfoView: {"get": _info()},
        views.TransactionsView: {"get": _list_transactions(), "post": _post_transaction()},
        views.TransactionView: {"get": _get_transaction(), "patch": _patch_transaction()},
        views.CallbackView: {"put": _put_callback()},
        views.CancelView: {"post": _cancel_transaction()},
        views.EventsView: {"get": _list_events()},
    }


def components() -> dict[str, Schema]:
    return {"Transaction": _transaction(), "ReceivedAsset": _asset(), "FieldInfo": _field()}


def _example_asset() -> ReceivedAsset:
    [first, *_] = received_assets().values()
    return first


# -- Info -------------------------------------------------------------------------------------
def _field() -> Schema:
    return record(
        {
            "description": text("What it is."),
            "choices": {**items(text()), "description": "The only values that it takes."},
            "optional": {"type": "boolean", "description": "Whether it may be left out."},
        }
    )


def _asset() -> Schema:
    number = {"type": "number", "minimum": 0}
    types = record(
        {
            "types": {
                "type": "object",
                "description": "By name, for SEP-12's `type`.",
                "additionalProperties": record({"description": text("Of whom, and when.")}),
            }
        }
    )
    return record(
        {
            "enabled": {"type": "boolean", "description": "Always true; clients read it."},
            "quotes_supported": {"type": "boolean"},
            "quotes_required": {"type": "boolean"},
            "fee_fixed": {**number, "description": "Without a quote, in units of the asset."},
            "fee_percent": {**number, "description": "Without a quote."},
            "min_amount": {**number, "description": "The least that we take at once."},
            "max_amount": {**number, "description": "The most that we take at once."},
            "funding_methods": {**items(text()), "description": "How receiving clients get it."},
            "sep12": record({"sender": types, "receiver": types}),
            "fields": {
                "type": "object",
                "description": "Deprecated by SEP-31: fields of the transaction itself.",
                "properties": {
                    "transaction": {"type": "object", "additionalProperties": ref("FieldInfo")}
                },
            },
        },
        required=("quotes_supported", "quotes_required", "funding_methods", "sep12", "fields"),
    )


def _info() -> Operation:
    return operation(
        "get_sep31_info",
        "What we receive, and on which terms",
        "Needs no token.",
        sep=(31, "GET Info"),
        answers={
            200: answer(
                "By asset code.",
                record(
                    {"receive": {"type": "object", "additionalProperties": ref("ReceivedAsset")}},
                    required=("receive",),
                ),
                {"this_anchor": {"receive": describe_assets()}},
            ),
        },
    )


# -- Transactions -----------------------------------------------------------------------------
def _where_to_pay() -> dict[str, Schema]:
    return {
        "stellar_account_id": text(
            "Where to pay; absent until you may. With `stellar_account_type` `muxed` it is `M...` "
            "and stands for the memo too."
        ),
        "stellar_memo_type": text("What kind of memo.", enum=["id", "text", "hash"]),
        "stellar_memo": text("The memo that your payment must carry; a hash in base64."),
    }


def _transaction() -> Schema:
    payment = record(
        {
            "id": text("The hash of the Stellar transaction.", example=_STELLAR_HASH),
            "amount": amount("What it sent back.", "100"),
            "fee": amount("What we kept of it.", "0"),
        },
        required=("id", "amount", "fee"),
    )
    refunds = record(
        {
            "amount_refunded": amount("All of it, fees included.", "100"),
            "amount_fee": amount("What we kept of it.", "0"),
            "payments": items(payment),
        },
        required=("amount_refunded", "amount_fee", "payments"),
    )
    wanted = record({"transaction": {"type": "object", "additionalProperties": ref("FieldInfo")}})
    return record(
        {
            "id": uuid("The transaction.", TRANSACTION),
            "status": text("Where it is.", enum=[one.value for one in Status]),
            "status_eta": {
                "type": "integer",
                "minimum": 0,
                "description": "In how many seconds it will probably change, as measured lately.",
            },
            "status_message": text("The same in words."),
            "amount_in": amount("What you pay."),
            "amount_in_asset": asset("What you pay in."),
            "amount_out": amount("What the receiving client gets; absent until it is known."),
            "amount_out_asset": asset("What the receiving client gets it in."),
            "amount_fee": {**amount("Deprecated by SEP-31 for `fee_details`.", "1.5")},
            "amount_fee_asset": asset(
                "What the fee is in: what you pay in, or what the receiving client gets."
            ),
            "fee_details": ref("Fee"),
            "quote_id": uuid("The quote that it redeems.", QUOTE),
            **_where_to_pay(),
            "started_at": moment("When you posted it."),
            "updated_at": moment("When its status last changed."),
            "completed_at": moment("When it was delivered, or sent back."),
            "stellar_transaction_id": text("The hash of your payment.", example=_STELLAR_HASH),
            "external_transaction_id": text("The payout's reference at the bank."),
            "refunded": {"type": "boolean", "description": "Whether all of it was sent back."},
            "refunds": refunds,
            "required_info_message": text("What is wanted, in words."),
            "required_info_updates": {
                **wanted,
                "description": "Fields of the transaction to `PATCH`.",
            },
        },
        required=(
            *("id", "status", "status_message", "amount_in", "amount_in_asset"),
            *("amount_out_asset", "amount_fee_asset", "started_at", "updated_at"),
        ),
    )


def _transaction_example(status: Status, reason: Reason, **more: Any) -> dict[str, Any]:
    sell, buy = example_pair()
    return {
        "transaction": {
            "id": TRANSACTION,
            "status": status.value,
            "status_message": STATUS_MESSAGES[reason],
            "amount_in": "100",
            "amount_in_asset": sell,
            "amount_out": "1706.52",
            "amount_out_asset": buy,
            "amount_fee": "1.5",
            "amount_fee_asset": sell,
            "fee_details": {
                "total": "1.5",
                "asset": sell,
                "details": [{"name": "Service fee", "amount": "1.5"}],
            },
            "quote_id": QUOTE,
            **_destination_example(),
            "started_at": "2026-11-23T12:00:00Z",
            "updated_at": "2026-11-23T12:00:05Z",
            **more,
        }
    }


def _destination_example() -> dict[str, str]:
    return {
        "stellar_account_id": settings.DISTRIBUTION_ACCOUNT,
        "stellar_memo_type": "id",
        "stellar_memo": "5418203914285723461",
    }


def _transaction_examples() -> dict[str, Any]:
    paid = {"stellar_transaction_id": _STELLAR_HASH}
    return {
        "waits_for_payment": _transaction_example(Status.PENDING_SENDER, Reason.CREATED_READY),
        "completed": _transaction_example(
            Status.COMPLETED,
            Reason.RAIL_DELIVERED,
            completed_at="2026-11-23T12:00:05Z",
            external_transaction_id="BK-20261123-0042",
            **paid,
        ),
        "refunded": _transaction_example(
            Status.REFUNDED,
            Reason.REFUND_CONFIRMED,
            amount_out="0",
            amount_fee="0",
            fee_details={"total": "0", "asset": example_pair()[0]},
            completed_at="2026-11-23T12:00:05Z",
            refunded=True,
            refunds={
                "amount_refunded": "100",
                "amount_fee": "0",
                "payments": [{"id": _STELLAR_HASH, "amount": "100", "fee": "0"}],
            },
            **paid,
        ),
    }


def _post_transaction() -> Operation:
    received = _example_asset()
    methods = dict.fromkeys(
        name for one in received_assets().values() for name in one.funding_methods
    )
    order = {
        "amount": "100",
        "asset_code": received.name.code,
        "asset_issuer": received.name.issuer,
        "funding_method": received.funding_methods[0],
        "sender_id": CUSTOMER,
        "receiver_id": RECEIVER,
    }
    with_quote = {**order, "destination_asset": example_pair()[1], "quote_id": QUOTE}
    later = {key: order[key] for key in order if key not in ("sender_id", "receiver_id")}
    created = {"id": TRANSACTION, **_destination_example()}
    return operation(
        "post_transaction",
        "Start a payment",
        "You may pay at once if the answer says where to. Otherwise the customers are still being "
        "checked, or not registered yet: register them with `PUT /sep12/customer` and "
        "`transaction_id`, and ask `GET /sep31/transactions/{transaction_id}` until it is "
        "`pending_sender`.",
        sep=(31, "POST Transactions"),
        parameters=(
            header(
                "Idempotency-Key",
                "Makes it safe to send the request again: the same key and body get the first "
                f"answer, for at least {KEPT // timedelta(hours=1)} hours.",
                text(maxLength=MAX_KEY, example='"8e03978e-40d5-43dd-bc93-6894a57f9324"'),
            ),
        ),
        request=body(
            record(
                {
                    "amount": amount_sent("What you will pay, in units of the asset."),
                    "asset_code": text(
                        "What you will pay in, as `GET /sep31/info` names it.",
                        maxLength=12,
                        example=received.name.code,
                    ),
                    "asset_issuer": text(
                        "Its issuer; needed where two assets share the code.",
                        maxLength=56,
                        example=received.name.issuer,
                    ),
                    "destination_asset": asset(
                        "What the receiving client gets, if it is not the asset's counterpart."
                    ),
                    "quote_id": uuid("A firm quote, redeemed by this.", QUOTE),
                    "sender_id": uuid("The customer who sends.", CUSTOMER),
                    "receiver_id": uuid("The customer who receives.", RECEIVER),
                    "funding_method": text("How the receiving client gets it.", enum=list(methods)),
                    "refund_memo": {
                        "oneOf": [text(maxLength=64), {"type": "integer", "minimum": 0}],
                        "description": "What a refund's payment is to carry; a hash in base64 or "
                        "hex.",
                        "example": "1001",
                    },
                    "refund_memo_type": text(
                        "Goes with `refund_memo`.", enum=["id", "text", "hash"]
                    ),
                    "stellar_account_type": text(
                        "An extension: `muxed` asks for one `M...` address in place of the account "
                        "and its memo.",
                        enum=["account", "muxed"],
                    ),
                    "lang": text("Of messages: ISO 639-1.", maxLength=10, example="en"),
                    "fields": {
                        "type": "object",
                        "description": "Deprecated by SEP-31: what `fields` of `GET /sep31/info` "
                        "asks for.",
                        "properties": {
                            "transaction": {
                                "type": "object",
                                "additionalProperties": text(maxLength=500),
                            }
                        },
                    },
                },
                required=("amount", "asset_code"),
            ),
            {
                "customers_known": order,
                "with_a_quote": with_quote,
                "customers_later": later,
            },
        ),
        answers={
            201: answer(
                "The transaction, and where to pay once you may.",
                record({"id": uuid("The transaction.", TRANSACTION), **_where_to_pay()})
                | {"required": ["id"]},
                {"pay_at_once": created, "wait": {"id": TRANSACTION}},
            ),
            400: refusal(
                "A parameter is wrong, a limit is passed, or something about a customer or the "
                "transaction is missing.",
                {
                    "other_asset": "asset_code and asset_issuer must name an asset listed in GET "
                    "/info",
                    "bad_amount": "amount must be a positive amount in plain digits, for example "
                    "100.5, with at most 7 decimals",
                    "unknown_customer": "sender_id must be the id of a customer that you "
                    "registered",
                    "customer_info_needed": BadRequest(
                        "customer_info_needed",
                        extra={"type": example_type("sender", largest=True).name},
                    ),
                    "unknown_quote": "quote_id must be the id of a quote that you were given",
                    "used_quote": "quote_id names a quote that was already used",
                },
                schema={
                    "allOf": [
                        ref("Error"),
                        record(
                            {
                                "type": text(
                                    "With `customer_info_needed`: the SEP-12 type to `PUT` the "
                                    "customer for."
                                ),
                                "fields": {
                                    "type": "object",
                                    "description": "With `transaction_info_needed`: what is "
                                    "missing, as in `GET /sep31/info`.",
                                },
                            }
                        ),
                    ]
                },
            ),
            422: refusal(
                "The key was used before, for another request.",
                {
                    "other_body": "Idempotency-Key was used for a request with another body; send "
                    "a new key"
                },
            ),
        },
    )


def _list_transactions() -> Operation:
    moments = [
        query(f"{what}_{end}", f"{words} then or {end_words}.", text(format="date-time"))
        for what, words in (("started", "Posted"), ("updated", "Changed"))
        for end, end_words in (("since", "later"), ("until", "earlier"))
    ]
    return operation(
        "list_transactions",
        "Your transactions",
        "An extension. By `started_at`, newest first; or, with `updated_since` or "
        "`updated_until`, by `updated_at`, oldest first, so that what changes while you read is "
        "met again and never missed.",
        sep=(31, ""),
        parameters=(
            query(
                "status",
                "Only those; may be given several times, or with commas.",
                items(text(enum=[one.value for one in Status])),
            ),
            query(
                "customer_id",
                "Only those of a customer, who sends or receives.",
                text(format="uuid", example=CUSTOMER),
            ),
            *moments,
            query("cursor", "The `next_cursor` of the page before; the rest as there."),
            query("limit", "How many at most.", _limit()),
        ),
        answers={
            200: answer(
                "A page of them.",
                record(
                    {
                        "transactions": items(ref("Transaction")),
                        "next_cursor": text("Absent on the last page."),
                    },
                    required=("transactions",),
                ),
                {
                    "page": {
                        "transactions": [
                            one["transaction"] for one in _transaction_examples().values()
                        ],
                        "next_cursor": "cwAGQjrJvYAAgvpXKfY9T5O-azsbizt8bw",
                    },
                    "none": {"transactions": []},
                },
            ),
            400: refusal(
                "A parameter is wrong.",
                {
                    "unknown_status": "status must be one or more of: "
                    + ", ".join(one.value for one in Status),
                    "bad_moment": "started_since must be a time with its zone, for example "
                    "2026-11-23T12:00:00Z",
                    "two_orders": "updated_since can't be given together with started_since",
                    "bad_cursor": "cursor must be a next_cursor, as you were given it",
                    "bad_limit": f"limit must be a whole number from 1 to {MAX_LIMIT}",
                },
            ),
        },
    )


def _limit() -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}


def _cancel_transaction() -> Operation:
    return operation(
        "cancel_transaction",
        "Give up a transaction that you have not paid",
        "An extension. It becomes `expired`: at once if it never said where to pay, else when the "
        "ledger shows that no payment came before. Again is the same as once. Takes no body.",
        sep=(31, ""),
        parameters=(_id_in_path(),),
        answers={
            200: answer(
                "The transaction as it is now.",
                _wrapped(),
                {"cancelled": _transaction_example(Status.EXPIRED, Reason.CANCELLED)},
            ),
            404: _unknown(),
            409: refusal(
                "It was paid.",
                {"paid": "The transaction was paid already, so it can't be cancelled any more"},
            ),
        },
    )


def _list_events() -> Operation:
    event = record(
        {
            "cursor": text("Names the event.", example="42"),
            "at": moment("When it happened."),
            "previous_status": text("From.", enum=[one.value for one in Status]),
            "status": text("To.", enum=[one.value for one in Status]),
            "status_message": text("The change in words."),
            "transaction": ref("Transaction"),
        },
        required=("cursor", "at", "previous_status", "status", "status_message", "transaction"),
    )
    example = {
        "cursor": "42",
        "at": "2026-11-23T12:00:05Z",
        "previous_status": Status.PENDING_RECEIVER.value,
        "status": Status.COMPLETED.value,
        "status_message": STATUS_MESSAGES[Reason.RAIL_DELIVERED],
        "transaction": _transaction_examples()["completed"]["transaction"],
    }
    return operation(
        "list_events",
        "Each change of a status, in order",
        "An extension, for whoever missed callbacks or wants none. Keep `next_cursor` and ask with "
        "it again; `transaction` is as it is when you ask.",
        sep=(31, ""),
        parameters=(
            query(
                "after",
                "The last cursor that you have; from the beginning without.",
                text(pattern="^[0-9]{1,19}$", example="0"),
            ),
            query("limit", "How many at most.", _limit()),
        ),
        answers={
            200: answer(
                "The changes after that; none is an empty list.",
                record(
                    {
                        "events": items(event),
                        "next_cursor": text("What to send as `after` next.", example="42"),
                    },
                    required=("events", "next_cursor"),
                ),
                {
                    "changes": {"events": [example], "next_cursor": "42"},
                    "none": {"events": [], "next_cursor": "42"},
                },
            ),
            400: refusal(
                "A parameter is wrong.",
                {
                    "bad_cursor": "after must be the cursor of an event, as you were given it",
                    "bad_limit": f"limit must be a whole number from 1 to {MAX_LIMIT}",
                },
            ),
        },
    )


def _id_in_path() -> Schema:
    return in_path("transaction_id", "The transaction.", text(format="uuid", example=TRANSACTION))


def _unknown() -> Schema:
    return refusal(
        "There is no such transaction, or it is another's; the two look alike.",
        {"unknown": "There is no such transaction"},
    )


def _get_transaction() -> Operation:
    return operation(
        "get_transaction",
        "Where a payment is",
        "Fields that do not apply are absent.",
        sep=(31, "GET Transaction"),
        parameters=(_id_in_path(),),
        answers={
            200: answer("The transaction.", _wrapped(), _transaction_examples()),
            404: _unknown(),
        },
    )


def _wrapped() -> Schema:
    return record({"transaction": ref("Transaction")}, required=("transaction",))


def _patch_transaction() -> Operation:
    return operation(
        "patch_transaction",
        "Correct fields of a transaction",
        "Only while it is `pending_transaction_info_update`, and only what `required_info_updates` "
        "asks for.",
        sep=(31, "PATCH Transaction (Deprecated)"),
        deprecated=True,
        parameters=(_id_in_path(),),
        request=body(
            record(
                {
                    "fields": record(
                        {
                            "transaction": {
                                "type": "object",
                                "additionalProperties": text(maxLength=500),
                            }
                        },
                        required=("transaction",),
                    )
                },
                required=("fields",),
            ),
            {"account": {"fields": {"transaction": {"receiver_account_number": "123"}}}},
        ),
        answers={
            200: answer(
                "The transaction as it is now.",
                _wrapped(),
                {
                    "paid_again": _transaction_example(
                        Status.PENDING_RECEIVER, Reason.INFO_CORRECTED
                    )
                },
            ),
            400: refusal(
                "Nothing was asked for, or something else.",
                {"not_asked": "No information about this transaction is asked for at present"},
            ),
            404: _unknown(),
        },
    )


def _put_callback() -> Operation:
    return operation(
        "put_transaction_callback",
        "Hear of each change of a transaction's status",
        "We `POST` what `GET /sep31/transactions/{transaction_id}` says, signed by the "
        "`SIGNING_KEY` of our stellar.toml. Another URL takes the place of the first, also for "
        "what was not delivered yet.",
        sep=(31, "PUT Transaction Callback"),
        parameters=(_id_in_path(),),
        request=body(
            record(
                {
                    "url": text(
                        "Where to: https, a public host, and one of those agreed with you.",
                        format="uri",
                        maxLength=2000,
                        example=_CALLBACK,
                    )
                },
                required=("url",),
            ),
            {"url": {"url": _CALLBACK}},
        ),
        answers={
            204: no_content("From now on."),
            400: refusal(
                "A URL that we don't call.",
                {
                    "no_url": "url must be text, for example https://sendinganchor.com/callback",
                    "not_https": "url can't be used: a URL must start with https://",
                    "not_public": "url must name a public host",
                },
            ),
            404: _unknown(),
        },
    )
