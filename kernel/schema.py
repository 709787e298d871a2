"""Building blocks of the OpenAPI 3.0 document; each room's `schema.py` describes its endpoints.

Plain data, imported only where the document is built (`anchor.openapi`): no request pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kernel.errors import ApiError

Schema = dict[str, Any]
Operation = dict[str, Any]
Response = dict[str, Any]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_SEPS = "https://github.com/stellar/stellar-protocol/blob/master/ecosystem"


# -- Values -----------------------------------------------------------------------------------
def text(words: str = "", **more: Any) -> Schema:
    """A string; `words` describe it, `more` are further keywords of JSON Schema."""
    return {"type": "string", **({"description": words} if words else {}), **more}


def record(properties: Mapping[str, Schema], *, required: tuple[str, ...] = ()) -> Schema:
    """A JSON object. Properties that are not named here may come; readers ignore them."""
    known: Schema = {"type": "object", "properties": dict(properties)}
    return {**known, "required": list(required)} if required else known


def items(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def uuid(words: str, example: str) -> Schema:
    return text(words, format="uuid", example=example)


def moment(words: str, example: str = "2026-11-23T12:00:00Z") -> Schema:
    return text(words, format="date-time", example=example)


# What `kernel.money` takes and gives: never an exponent, a sign or a separator.
_PLAIN = r"[0-9]{1,12}(\.[0-9]{1,18})?"


def amount(words: str, example: str = "100") -> Schema:
    """An amount in an answer: always a string."""
    return text(words, pattern=f"^{_PLAIN}$", example=example)


def amount_sent(words: str, example: str = "100") -> Schema:
    """An amount in the JSON of a request."""
    return {
        "oneOf": [text(pattern=f"^{_PLAIN}$"), {"type": "number", "minimum": 0}],
        "description": f"{words} Plain digits in a string, or a JSON number; no digit is lost.",
        "example": example,
    }


COMPONENTS: dict[str, Schema] = {
    "Error": {
        **record(
            {"error": text("What is wrong, in plain words that name the field.")},
            required=("error",),
        ),
        "description": "The body of every answer of 400 and above.",
    },
    "Empty": {"type": "object", "description": "Nothing to say.", "example": {}},
}


# -- Requests ---------------------------------------------------------------------------------
def query(name: str, words: str, schema: Schema | None = None, *, required: bool = False) -> Schema:
    return _parameter("query", name, words, schema, required)


def header(name: str, words: str, schema: Schema, *, required: bool = False) -> Schema:
    return _parameter("header", name, words, schema, required)


def in_path(name: str, words: str, schema: Schema) -> Schema:
    return _parameter("path", name, words, schema, required=True)


def _parameter(where: str, name: str, words: str, schema: Schema | None, required: bool) -> Schema:
    return {
        "in": where,
        "name": name,
        "description": words,
        "schema": schema or text(),
        **({"required": True} if required else {}),
    }


def body(schema: Schema, examples: Mapping[str, Any], *media_types: str) -> Schema:
    """A request body, the same in each of `media_types` (JSON if none is given)."""
    content = {one: content_of(schema, examples) for one in media_types or (JSON,)}
    return {"content": content, "required": True}


def content_of(schema: Schema, examples: Mapping[str, Any]) -> Schema:
    """A media type object. Each example's key says in a word or two what it shows."""
    return {"schema": schema, "examples": {key: {"value": one} for key, one in examples.items()}}


# -- Answers ----------------------------------------------------------------------------------
def answer(
    words: str,
    schema: Schema,
    examples: Mapping[str, Any],
    *,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    found = {"description": words, "content": {media_type: content_of(schema, examples)}}
    return {**found, **_headers(headers)}


def no_content(words: str, *, headers: Mapping[str, str] | None = None) -> Response:
    return {"description": words, **_headers(headers)}


def refusal(
    words: str,
    examples: Mapping[str, str | ApiError],
    *,
    schema: Schema | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer of 400 or above. Each example is the text of `error`, or the error itself."""
    bodies = {
        key: one.body if isinstance(one, ApiError) else {"error": one}
        for key, one in examples.items()
    }
    return answer(words, schema or ref("Error"), bodies, headers=headers)


def _headers(words: Mapping[str, str] | None) -> Schema:
    if not words:
        return {}
    return {
        "headers": {name: {"description": said, "schema": text()} for name, said in words.items()}
    }


RETRY_AFTER = {"Retry-After": "In how many seconds to try again."}
UNAVAILABLE = refusal(
    "Something that we depend on does not answer.",
    {
        "down": "Try again in a moment",
    },
    headers=RETRY_AFTER,
)


# -- Operations -------------------------------------------------------------------------------
def operation(
    name: str,
    summary: str,
    words: str,
    *,
    sep: tuple[int, str] | None,
    answers: Mapping[int, Response],
    parameters: tuple[Schema, ...] = (),
    request: Schema | None = None,
    deprecated: bool = False,
) -> Operation:
    """One method of one path. `sep` is the number and the section that define it.

    The answers that do not depend on the operation (no token, too large a body, and so on) are
    added by `anchor.openapi`, which knows the view.
    """
    found: Operation = {"operationId": name, "summary": summary, "description": words}
    if sep is not None:
        found |= {"tags": [f"SEP-{sep[0]}"], "externalDocs": section(*sep)}
    if parameters:
        found["parameters"] = list(parameters)
    if request is not None:
        found["requestBody"] = request
    if deprecated:
        found["deprecated"] = True
    found["responses"] = {str(status): response for status, response in answers.items()}
    return found


def section(number: int, title: str) -> Schema:
    """A link to a section of a SEP, or to the whole SEP with an empty title."""
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    url = f"{_SEPS}/sep-{number:04}.md"
    if not title:
        return {"url": url, "description": f"SEP-{number}"}
    return {"url": f"{url}#{anchor}", "description": f"SEP-{number}, {title}"}
