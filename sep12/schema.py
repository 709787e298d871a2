"""SEP-12 and the KYC provider's webhook in the OpenAPI document; the fields are `sep9.FIELDS`."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from kernel.schema import (
    FORM,
    JSON,
    MULTIPART,
    RETRY_AFTER,
    UNAVAILABLE,
    Operation,
    Schema,
    answer,
    body,
    content_of,
    header,
    in_path,
    items,
    moment,
    operation,
    query,
    record,
    ref,
    refusal,
    section,
    text,
    uuid,
)
from sep10.schema import account
from sep12 import file_views, provider_messages, views, webhooks
from sep12.content import ANY_FIELD
from sep12.identity import MAX_TEXT_MEMO
from sep12.sep9 import ALIASES, FIELDS, Kind, Sep9Field
from sep12.serializers import FILE_ID, VERIFICATION
from sep12.status import ACCEPTED, NEEDS_INFO, PROCESSING, REJECTED, VERIFICATION_REQUIRED
from sep12.types import CustomerType, customer_types, default_customer_type
from sep12.verification import fields_to_verify

CUSTOMER = "391fb415-c223-4608-b2f5-dd1e91e3a986"
RECEIVER = "0cf02a0c-2f33-4ab3-9ac8-6c6de2e3b0a5"
FILE = "d3d54529-6683-4341-9b66-4ac7d7504238"
CASE = "6d1f7f0e-3c55-4a06-8a4f-1a5c8d7b1d51"
TRANSACTION = "82fa5729-f63d-4f93-be6b-3b1b8b3b7c6f"

_STATUSES = [ACCEPTED, PROCESSING, NEEDS_INFO, REJECTED]
_FIELD_STATUSES = [*_STATUSES, VERIFICATION_REQUIRED]
_OF_OTHERS = "There is no such customer, or it is another's; the two look alike."

# What JSON Schema can say of a kind beside its words; codes and check digits are in the words.
_KEYWORDS: dict[Kind, Schema] = {
    Kind.DATE: {"format": "date"},
    Kind.PAST_DATE: {"format": "date"},
    Kind.YEAR_MONTH: {"pattern": "^[0-9]{2}-(0[1-9]|1[0-2])$"},
    Kind.COUNT: {"pattern": "^[0-9]{1,10}$"},
    Kind.OCCUPATION: {"pattern": "^[0-9]{3}$"},
    Kind.COUNTRY: {"pattern": "^[A-Z]{3}$"},
    Kind.COUNTRY_ALPHA2: {"pattern": "^[A-Z]{2}$"},
    Kind.SUBDIVISION: {"pattern": "^[A-Z]{2}-[A-Z0-9]{1,3}$"},
    Kind.LANGUAGE: {"pattern": "^[a-z]{2}$"},
    Kind.EMAIL: {"format": "email"},
    Kind.PHONE: {"pattern": r"^\+[1-9][0-9]{6,14}$"},
    Kind.CLABE: {"pattern": "^[0-9]{18}$"},
    Kind.CBU: {"pattern": "^[0-9]{22}$"},
    Kind.CBU_ALIAS: {"pattern": "^[0-9A-Za-z.-]{6,20}$"},
    Kind.CARD_NUMBER: {"pattern": "^[0-9]{12,19}$"},
    Kind.CVC: {"pattern": "^[0-9]{3,4}$"},
}


def operations() -> dict[type[Any], dict[str, Operation]]:
    return {
        views.CustomerView: {"get": _get_customer(), "put": _put_customer()},
        views.VerificationView: {"put": _put_verification()},
        views.CallbackView: {"put": _put_callback()},
        views.CustomerAccountView: {"delete": _delete_customer()},
        file_views.FilesView: {"get": _get_files(), "post": _post_file()},
        webhooks.ProviderAnswerView: {"post": _receive_provider_answer()},
    }


def components() -> dict[str, Schema]:
    texts = {name: describe_field(one) for name, one in FIELDS.items() if not one.is_binary}
    aliases = {
        alias: {**texts[name], "description": f"The same as {name}."}
        for alias, name in ALIASES.items()
    }
    files = {name: one for name, one in FIELDS.items() if one.is_binary}
    file_ids = {
        f"{name}{FILE_ID}": uuid(
            f"{one.description}: the `file_id` that `POST /sep12/customer/files` gave.", FILE
        )
        for name, one in files.items()
    }
    codes = {
        f"{name}{VERIFICATION}": text(f"The code that we sent to {name}.", maxLength=255)
        for name in sorted(fields_to_verify() or {"mobile_number", "email_address"})
    }
    return {
        "Sep9Fields": {
            **record(texts | aliases | file_ids | codes),
            "description": (
                "SEP-9's fields. Which of them a customer needs, `GET /sep12/customer` says. A "
                "field that is left out, null or empty stays as it is. Values are stored trimmed "
                "and in Unicode's composed form (NFC). Names that SEP-9 does not know are ignored."
            ),
            "externalDocs": section(9, ""),
        },
        "Sep9Files": {
            **record(
                {
                    name: text(f"{one.description}. {_what_it_takes(name)}", format="binary")
                    for name, one in files.items()
                }
            ),
            "description": "SEP-9's binary fields. In a form they come after all text fields.",
        },
        "CustomerIdentity": record(_parameters_in_body()),
        "Customer": _customer(),
        "CustomerFile": _file(),
    }


def describe_field(field: Sep9Field) -> Schema:
    """A SEP-9 text field as JSON Schema, with an example of a right value."""
    rule = field.kind.value
    schema = text(maxLength=rule.max_length, **_KEYWORDS.get(field.kind, {}))
    if field.choices:
        schema["enum"] = list(field.choices)
    if rule.wire_type == "number":
        schema = {"oneOf": [schema, {"type": "integer", "minimum": 0, "maximum": 10**10 - 1}]}
    what_it_takes = "one of these" if field.choices else rule.words
    return {
        **schema,
        "description": f"{field.description}: {what_it_takes}."
        + ("" if field.stored else " Checked, and never stored."),
        "example": example_of(field),
    }


def example_of(field: Sep9Field) -> str:
    return field.choices[0] if field.choices else field.kind.value.example or field.example


def _what_it_takes(name: str) -> str:
    takes = "JPEG, PNG, WebP, HEIC; " + (
        "MP4, QuickTime, WebM" if name == "proof_of_liveness" else "PDF of at most 50 pages"
    )
    return f"{takes}; at most {settings.MAX_FILE_BYTES} bytes."


# -- Whom a request means ---------------------------------------------------------------------
def _identity() -> dict[str, Schema]:
    return {
        "id": uuid("The customer, as `PUT /sep12/customer` named it.", CUSTOMER),
        "account": account("Yours, the token's. Not needed beside the token."),
        "memo": text(
            "Tells your customers apart. Not needed beside a token with a memo, which speaks for "
            "that customer alone.",
            maxLength=max(MAX_TEXT_MEMO, 44),
            example="1001",
        ),
        "memo_type": text(
            "Without it a whole number is an `id`, all else a `text`. `hash` is base64.",
            enum=["id", "text", "hash"],
        ),
    }


def _parameters_in_body() -> dict[str, Schema]:
    return {**_identity(), "type": _type(), "transaction_id": _transaction_id()}


def _type() -> Schema:
    names = list(customer_types())
    choice = {"enum": names, "example": example_type("sender").name} if names else {}
    return text(_describe_types(), **choice)


def _transaction_id() -> Schema:
    return uuid(
        "The SEP-31 transaction that the customer is for, with the `type` that it asks for.",
        TRANSACTION,
    )


def _describe_types() -> str:
    """The customer types of this anchor, each with its fields, in Markdown."""
    lines = ["What the customer is to be: what a type needs depends on it.", ""]
    for one in customer_types().values():
        lines.append(f"- `{one.name}`: {one.description}".rstrip())
        for words, names in (("Needs", one.required), ("Takes", one.optional)):
            if names:
                lines.append(f"  {words} " + ", ".join(f"`{name}`" for name in names) + ".")
    return "\n".join(lines)


def example_type(role: str, *, largest: bool = False) -> CustomerType:
    """The first type of that role ("sender", "receiver"), or the one for the largest amounts."""
    of_role = [one for one in customer_types().values() if one.role == role]
    if largest:
        of_role.sort(key=lambda one: one.from_amount, reverse=True)
    return next(iter(of_role), default_customer_type())


def example_customer(role: str, memo: str) -> dict[str, str]:
    """All that the first type of that role ("sender", "receiver") needs, as a JSON body."""
    wanted = example_type(role)
    fields = {}
    for name in wanted.required:
        if FIELDS[name].is_binary:
            fields[f"{name}{FILE_ID}"] = FILE
        else:
            choices = wanted.choices_of(name)
            fields[name] = choices[0] if choices else example_of(FIELDS[name])
    return {"type": wanted.name, "memo": memo, "memo_type": "id", **fields}


# -- Customer ---------------------------------------------------------------------------------
def _customer() -> Schema:
    described = {
        "type": text("How it is sent.", enum=["string", "binary", "number", "date"]),
        "description": text("What it is."),
        "choices": {**items(text()), "description": "The only values that it takes."},
        "optional": {"type": "boolean", "description": "Whether it may be left out."},
    }
    provided = {
        **described,
        "status": text("What became of the value.", enum=_FIELD_STATUSES),
        "error": text("Why it was refused."),
    }
    needed = ("type", "description")
    return {
        **record(
            {
                "id": uuid("Absent if we know nobody of that account and memo.", CUSTOMER),
                "status": text("For the type asked about.", enum=_STATUSES),
                "message": text("The status in words."),
                "fields": {
                    "type": "object",
                    "description": "What is still wanted, by SEP-9 name.",
                    "additionalProperties": record(described, required=needed),
                },
                "provided_fields": {
                    "type": "object",
                    "description": "What we have, by SEP-9 name; never the values themselves.",
                    "additionalProperties": record(provided, required=(*needed, "status")),
                },
            },
            required=("status",),
        ),
        "externalDocs": section(12, "Customer Statuses"),
    }


def _customer_examples() -> dict[str, Any]:
    sender = example_type("sender")
    told = {
        name: {"type": FIELDS[name].type, "description": FIELDS[name].description}
        for name in sender.required
    }
    return {
        "accepted": {
            "id": CUSTOMER,
            "status": ACCEPTED,
            "provided_fields": {name: {**one, "status": ACCEPTED} for name, one in told.items()},
        },
        "needs_info": {"status": NEEDS_INFO, "fields": told},
        "refused_field": {
            "id": CUSTOMER,
            "status": NEEDS_INFO,
            "message": f"Needed anew: {next(iter(told), 'last_name')}.",
            "fields": told,
            "provided_fields": {
                name: {**one, "status": REJECTED, "error": "It is not as the document has it."}
                for name, one in list(told.items())[:1]
            },
        },
        "rejected": {
            "id": CUSTOMER,
            "status": REJECTED,
            "message": "This customer can't be accepted.",
        },
    }


_BAD_IDENTITY = {
    "bad_memo": "memo must be a number from 0 to 18446744073709551615 if memo_type is id",
    "bad_memo_type": "memo_type must be one of id, text, hash",
}


def _unknown_type() -> str:
    return f"unrecognized 'type' value: it must be one of {', '.join(customer_types())}"


def _not_yours() -> Schema:
    return refusal(
        "The token speaks for another account or memo than the request names.",
        {"other_account": "account must be the account of your token"},
    )


def _get_customer() -> Operation:
    return operation(
        "get_customer",
        "What we know of a customer, and what we need",
        "Names the customer by `id`, by `account` and `memo`, or by `transaction_id` and `type`. "
        "Whom we don't know yet is 200 with what we would need and without `id`; only an unknown "
        "`id` or transaction is 404. Without `type` it is about the type that the customer was "
        "last `PUT` for.",
        sep=(12, "Customer GET"),
        parameters=tuple(
            query(name, schema.pop("description"), schema)
            for name, schema in _parameters_in_body().items()
        ),
        answers={
            200: answer("The customer.", ref("Customer"), _customer_examples()),
            400: refusal(
                "A parameter is wrong.",
                {
                    "unknown_type": _unknown_type(),
                    "type_is_missing": "type is required if transaction_id is given",
                    **_BAD_IDENTITY,
                },
            ),
            403: _not_yours(),
            404: refusal(
                _OF_OTHERS,
                {
                    "unknown_id": "customer not found for the id given",
                    "unknown_transaction": "There is no such transaction",
                },
            ),
        },
    )


def _put_customer() -> Operation:
    whole = {"allOf": [ref("CustomerIdentity"), ref("Sep9Fields")]}
    form = {"allOf": [*whole["allOf"], ref("Sep9Files")]}
    sender, receiver = example_customer("sender", "1001"), example_customer("receiver", "1002")
    one_field = {"id": CUSTOMER, "first_name": example_of(FIELDS["first_name"])}
    return operation(
        "put_customer",
        "Register a customer, or send more about one",
        "Idempotent: the same again changes nothing, and what is left out stays as it is. All or "
        "nothing: if one field is refused, none is stored. Files need `multipart/form-data`, or go "
        "to `POST /sep12/customer/files` first. Parameters other than SEP-9's fields may stand in "
        "the query as well.",
        sep=(12, "Customer PUT"),
        request={
            "content": {
                JSON: content_of(
                    whole, {"sender": sender, "receiver": receiver, "one_field": one_field}
                ),
                FORM: content_of(whole, {"sender": sender}),
                MULTIPART: content_of(form, {"sender": sender}),
            },
        },
        answers={
            202: answer(
                "Stored. What becomes of it, `GET /sep12/customer` says.",
                record({"id": uuid("The customer from now on.", CUSTOMER)}, required=("id",)),
                {"stored": {"id": CUSTOMER}},
            ),
            400: refusal(
                "A field is wrong; the error says what is allowed and shows a right value.",
                {
                    "wrong_field": "birth_date must be a date as YYYY-MM-DD, from 1900 on and "
                    "not in the future, for example 1976-07-04",
                    "wrong_choice": "sex must be one of: male, female, other",
                    "no_file": "photo_id_front must be a file, sent as multipart/form-data; or "
                    "send it to POST /customer/files and its id as photo_id_front_file_id",
                    "unknown_type": _unknown_type(),
                    **_BAD_IDENTITY,
                },
            ),
            403: _not_yours(),
            404: refusal(
                _OF_OTHERS,
                {
                    "unknown_id": "customer not found for the id given",
                    "unknown_transaction": "There is no such transaction",
                },
            ),
            409: refusal(
                "The transaction can't have this customer any more.",
                {"role_is_taken": "transaction_id has another sender already"},
            ),
        },
    )


def _put_verification() -> Operation:
    return operation(
        "put_customer_verification",
        "Confirm fields by the codes that we sent",
        "The same codes may be part of `PUT /sep12/customer`, which SEP-12 prefers.",
        sep=(12, "Customer PUT Verification"),
        deprecated=True,
        request=body(
            record(
                {
                    "id": _identity()["id"],
                    f"mobile_number{VERIFICATION}": text(
                        "The code; the name is that of the field, with `_verification`.",
                        maxLength=255,
                        example="273502",
                    ),
                },
                required=("id",),
            ),
            {
                "mobile_number": {"id": CUSTOMER, f"mobile_number{VERIFICATION}": "273502"},
            },
            JSON,
            FORM,
            MULTIPART,
        ),
        answers={
            200: answer("The customer as it is now.", ref("Customer"), _customer_examples()),
            400: refusal(
                "A wrong code, or no field waits for one.",
                {
                    "no_id": "id is required",
                    "no_code": "A SEP-9 field with _verification is required, for example "
                    "mobile_number_verification",
                    "not_waiting": "mobile_number_verification: mobile_number is not waiting for "
                    "verification",
                },
            ),
            403: _not_yours(),
            404: refusal(_OF_OTHERS, {"unknown_id": "customer not found for the id given"}),
        },
    )


def _put_callback() -> Operation:
    return operation(
        "put_customer_callback",
        "Hear of each change of a customer's status",
        "We `POST` what `GET /sep12/customer` says, signed by the `SIGNING_KEY` of our "
        "stellar.toml, until the customer is accepted or rejected. One URL for each customer: "
        "another takes its place.",
        sep=(12, "Customer callback PUT"),
        request=body(
            record(
                {
                    **{key: _identity()[key] for key in ("id", "account", "memo", "memo_type")},
                    "url": text(
                        "Where to: https, a public host, and one of those agreed with you.",
                        format="uri",
                        maxLength=2000,
                        example="https://sendinganchor.example.com/customers",
                    ),
                },
                required=("url",),
            ),
            {
                "by_id": {
                    "id": CUSTOMER,
                    "url": "https://sendinganchor.example.com/customers",
                },
            },
            JSON,
            FORM,
            MULTIPART,
        ),
        answers={
            200: answer("From now on.", ref("Empty"), {"stored": {}}),
            400: refusal(
                "A URL that we don't call.",
                {
                    "no_url": "url must be text, for example https://sendinganchor.com/callback",
                    "not_https": "url can't be used: a URL must start with https://",
                    "not_public": "url must name a public host",
                    **_BAD_IDENTITY,
                },
            ),
            403: _not_yours(),
            404: refusal(
                _OF_OTHERS,
                {
                    "unknown_id": "customer not found for the id given",
                    "unknown_memo": "customer not found for this account and memo",
                },
            ),
        },
    )


def _delete_customer() -> Operation:
    return operation(
        "delete_customer",
        "Erase a customer",
        "Deletes all that says who the customer is: fields, files, decisions. `memo` and "
        "`memo_type` may stand in the body instead.",
        sep=(12, "Customer DELETE"),
        parameters=(
            in_path("account", "Yours, the token's.", account("")),
            *(
                query(name, schema.pop("description"), schema)
                for name, schema in _identity().items()
                if name in ("memo", "memo_type")
            ),
        ),
        answers={
            200: answer("Erased.", ref("Empty"), {"erased": {}}),
            400: refusal("A parameter is wrong.", {**_BAD_IDENTITY}),
            404: refusal(
                _OF_OTHERS, {"unknown_memo": "customer not found for this account and memo"}
            ),
        },
    )


# -- Files ------------------------------------------------------------------------------------
def _file() -> Schema:
    return record(
        {
            "file_id": uuid("Names the file in `<field>_file_id`.", FILE),
            "content_type": text("What it really is, once written anew.", example="image/jpeg"),
            "size": {"type": "integer", "description": "In bytes, as we keep it."},
            "customer_id": {
                **uuid("Whose it is; null until a customer takes it.", CUSTOMER),
                "nullable": True,
            },
            "expires_at": moment("When it is deleted, unless a customer takes it before."),
        },
        required=("file_id", "content_type", "size", "customer_id"),
    )


def _file_examples() -> dict[str, dict[str, Any]]:
    sent = {"file_id": FILE, "content_type": "image/jpeg", "size": 84213}
    return {
        "waits": {**sent, "customer_id": None, "expires_at": "2026-11-24T12:00:00Z"},
        "taken": {**sent, "customer_id": CUSTOMER},
    }


def _get_files() -> Operation:
    return operation(
        "get_customer_files",
        "What became of files",
        "Never their content. Another's files look like files that never were: an empty list.",
        sep=(12, "Customer Files"),
        parameters=(
            query("file_id", "One file.", text(format="uuid", example=FILE)),
            query("customer_id", "A customer's files.", text(format="uuid", example=CUSTOMER)),
        ),
        answers={
            200: answer(
                "The files, oldest first.",
                record({"files": items(ref("CustomerFile"))}, required=("files",)),
                {key: {"files": [one]} for key, one in _file_examples().items()}
                | {"none": {"files": []}},
            ),
            400: refusal(
                "A parameter is missing.", {"none_named": "file_id or customer_id is required"}
            ),
        },
    )


def _post_file() -> Operation:
    return operation(
        "post_customer_file",
        "Send a file ahead of its customer",
        f"{_what_it_takes(ANY_FIELD)[:-1]}; PDF, MP4, QuickTime and WebM too. It is opened and "
        "written anew, without metadata. Name it as `<field>_file_id` in `PUT /sep12/customer` "
        "before `expires_at`.",
        sep=(12, "Customer Files"),
        request={
            "required": True,
            "content": {
                MULTIPART: {
                    "schema": record(
                        {ANY_FIELD: text("The file.", format="binary")}, required=(ANY_FIELD,)
                    )
                }
            },
        },
        answers={
            200: answer(
                "The file as we keep it.",
                ref("CustomerFile"),
                {"waits": _file_examples()["waits"]},
            ),
            400: refusal(
                "No file, or none that we take.",
                {
                    "no_file": "file must be a file, sent as multipart/form-data",
                    "other_kind": "file must be a JPEG, PNG, WebP, HEIC, PDF, MP4, QuickTime or "
                    "WebM file",
                },
            ),
            429: refusal(
                "Too many of your files wait for a customer.",
                {
                    "too_many": "Too many files wait for their customer: at most "
                    f"{settings.MAX_UNUSED_FILES} files or {settings.MAX_UNUSED_FILE_BYTES} bytes "
                    "may. Name them in PUT /customer, or try again when some have expired",
                },
                headers=RETRY_AFTER,
            ),
        },
    )


# -- The KYC provider -------------------------------------------------------------------------
def _receive_provider_answer() -> Operation:
    statuses = list(provider_messages.STATUSES)
    received = operation(
        "receive_provider_answer",
        "The KYC provider's verdict on a customer",
        "For the provider of this anchor alone, not for sending anchors; docs/kyc.md describes it. "
        "404 where the anchor has none.",
        sep=None,
        parameters=(
            header(
                provider_messages.SIGNATURE_HEADER,
                "HMAC-SHA256 over `<t>.<body>` by the secret agreed, in hex, and the Unix time, "
                f"at most {provider_messages.MAX_AGE_SECONDS} seconds ago.",
                text(pattern="^t=[0-9]{1,12},\\s?s=[0-9a-f]{64}$"),
                required=True,
            ),
        ),
        request=body(
            record(
                {
                    "case": uuid("As we named it when we asked.", CASE),
                    "status": text("The verdict.", enum=statuses),
                    "message": text(
                        "Why, in words for the sending anchor; required if rejected.",
                        maxLength=provider_messages.MAX_WORDS,
                    ),
                    "fields": {
                        "type": "object",
                        "description": "With `needs_info`: the refused SEP-9 fields, and why.",
                        "additionalProperties": text(maxLength=provider_messages.MAX_WORDS),
                    },
                },
                required=("case", "status"),
            ),
            {
                "accepted": {"case": CASE, "status": provider_messages.ACCEPTED},
                "rejected": {
                    "case": CASE,
                    "status": provider_messages.REJECTED,
                    "message": "The identity document is not valid.",
                },
                "needs_info": {
                    "case": CASE,
                    "status": provider_messages.NEEDS_INFO,
                    "fields": {"last_name": "It is not as the document has it."},
                },
            },
        ),
        answers={
            200: answer("Taken down.", ref("Empty"), {"taken": {}}),
            400: refusal(
                "An answer that means nothing.",
                {
                    "no_case": "case must be the id that the case came with",
                    "unknown_status": f"status must be one of {', '.join(statuses)}",
                },
            ),
            401: refusal(
                "Not signed, or not signed just now.",
                {
                    "not_signed": f"{provider_messages.SIGNATURE_HEADER} must be a signature "
                    "of now by our secret",
                },
            ),
            404: refusal(
                "No such case waits for an answer, or this anchor has no provider.",
                {
                    "unknown_case": "There is no such case",
                    "no_provider": "Not found",
                },
            ),
            503: UNAVAILABLE,
        },
    )
    return {**received, "tags": ["KYC provider"]}
