"""The OpenAPI document of all our endpoints, and the page that shows it.

drf-spectacular walks the routes; what each operation takes and answers stands in the rooms'
`schema.py`. An endpoint that stands in none is a warning, which bin/check does not let pass.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

import kernel.schema
import sep1.schema
import sep10.schema
import sep12.schema
import sep31.schema
import sep38.schema
from anchor import health
from kernel.api import MultilingualView
from kernel.languages import LANGUAGES
from kernel.schema import (
    UNAVAILABLE,
    Operation,
    Response,
    Schema,
    answer,
    header,
    operation,
    query,
    record,
    refusal,
    text,
)
from sep10.authentication import BearerAuthentication

VERSION = "0.1.0"

_DESCRIPTION = """\
A Stellar receiving anchor: payments come in by SEP-31 and go out to banks and mobile wallets.

**Who may call.** Sending anchors by agreement, with the token that SEP-10 gives them: \
`Authorization: Bearer <token>`. The token comes first: without a good one nothing else of a \
request is read.

**Errors.** Every answer of 400 and above is JSON: `{"error": "..."}`, in plain words that name \
the field and what is allowed. Beside those that stand at each operation, a path that is none of \
these is 404, and a method that a path does not have 405.

**Amounts** are strings in plain digits in every answer, never rounded on the way in: more \
decimals than the asset has are refused. **Times** are UTC, as ISO 8601 has them.

**Languages.** Words for people are in English, Spanish, Portuguese or French; errors are for \
developers and in English, but for those of `POST /sep31/transactions`.

**What we take** is UTF-8. **What we answer** may be read from any web page (CORS). \
`HEAD` is answered wherever `GET` is.
"""

_TAGS = [
    ("SEP-1", (1, ""), "What we are and where our services are."),
    ("SEP-10", (10, ""), "Who you are: a token for a signed challenge."),
    ("SEP-12", (12, ""), "Whose money it is: customers, their fields and files."),
    ("SEP-38", (38, ""), "Prices and firm quotes."),
    ("SEP-31", (31, ""), "Payments."),
    ("KYC provider", None, "For the provider that decides on this anchor's customers."),
    ("Health", None, "For load balancers."),
]


# -- Operations -------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def _operations() -> dict[type[Any], dict[str, Operation]]:
    rooms = (sep1, sep10, sep12, sep38, sep31)
    known = {view: one for room in rooms for view, one in room.schema.operations().items()}
    return known | {
        health.LiveView: {"get": _health("get_live", "Whether the process answers", {})},
        health.ReadyView: {
            "get": _health(
                "get_ready",
                "Whether it can serve",
                {503: refusal("PostgreSQL does not answer.", {"down": health.DOWN})},
            )
        },
    }


def _health(name: str, summary: str, refusals: dict[int, Response]) -> Operation:
    ok = record({"status": text("", enum=["ok"])}, required=("status",))
    answers = {200: answer("It does.", ok, {"ok": {"status": "ok"}}), **refusals}
    found = operation(name, summary, "Needs no token.", sep=None, answers=answers)
    return {**found, "tags": ["Health"]}


class OperationSchema(AutoSchema):
    """DRF's DEFAULT_SCHEMA_CLASS: an operation as its room describes it, with what follows from
    its view."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> Operation | None:
        found = _operations().get(type(self.view), {}).get(method.lower())
        if found is None:
            undocumented: Operation | None = super().get_operation(
                path, path_regex, path_prefix, method, registry
            )
            return undocumented
        answers = found["responses"]
        spoken = isinstance(self.view, MultilingualView) and "204" not in answers
        if spoken:
            answers = _with(
                {"400": _BAD_PARAMETER, **answers}, "400", lang="lang must be given once"
            )
        if "requestBody" in found or method == "DELETE":
            answers = _with(answers, "400", not_json="The request body must be valid JSON")
            answers["413"] = _TOO_LARGE
            if self.view.parser_classes:
                answers["415"] = self._other_media_type()
        described = {**found, "responses": answers}
        if spoken:
            described["parameters"] = [*found.get("parameters", ()), *_LANGUAGE]
        for authenticator in self.view.get_authenticators():
            if isinstance(authenticator, BearerAuthentication):
                described |= _behind(authenticator, answers)
        described["responses"] = dict(sorted({**described["responses"], "500": _DEFECT}.items()))
        return described

    def _other_media_type(self) -> Response:
        allowed = ", ".join(parser.media_type for parser in self.view.parser_classes)
        return refusal(
            "Not a content type that this takes.",
            {
                "other_type": f"The content type must be one of: {allowed}",
            },
        )


def _behind(authenticator: BearerAuthentication, answers: dict[str, Response]) -> Operation:
    """What a token adds to an operation: where it is optional, a bad one is refused too."""
    status = str(authenticator.refusal.status)
    bad = {
        "invalid": "The token is not valid",
        "expired": "The token has expired; authenticate again",
    }
    if authenticator.required:
        bad["none"] = "This needs a SEP-10 token in the header Authorization: Bearer <token>"
    missing = {
        status: refusal("No token, or one that is not valid.", {}),
        "503": UNAVAILABLE,
    }
    return {
        "security": [{"SEP-10": []}] + ([] if authenticator.required else [{}]),
        "responses": _with({**missing, **answers}, status, **bad),
    }


def _with(answers: dict[str, Response], status: str, **examples: str) -> dict[str, Response]:
    """`answers` with further examples of a refusal."""
    one = answers[status]
    [(media_type, content)] = one["content"].items()
    more = {key: {"value": {"error": error}} for key, error in examples.items()}
    content = {**content, "examples": {**content["examples"], **more}}
    return {**answers, status: {**one, "content": {media_type: content}}}


_SPOKEN = ", ".join(LANGUAGES)
_LANGUAGE = (
    query(
        "lang",
        f"What words for people are to be in: {_SPOKEN} (ISO 639-1). Any other is en.",
        text(example="en"),
    ),
    header(
        "Accept-Language",
        "The same for who sends no lang: the best of them that we speak (RFC 9110).",
        text(example="en"),
    ),
)
_BAD_PARAMETER = refusal("A parameter is wrong.", {})
_TOO_LARGE = refusal("Too much at once.", {"body": "The request body is too large"})
_DEFECT = refusal(
    "A defect of ours; it has been logged.",
    {"defect": "Something went wrong on our side; it has been logged. Try again later."},
)


# -- The document -----------------------------------------------------------------------------
class Generator(SchemaGenerator):
    """drf-spectacular's DEFAULT_GENERATOR_CLASS."""

    def get_schema(self, request: Any = None, public: bool = False) -> Schema:
        document = super().get_schema(request, public)
        rooms = (
            kernel.schema.COMPONENTS,
            *(room.schema.components() for room in (sep12, sep38, sep31)),
        )
        document["info"] = {"title": "Landfall", "version": VERSION, "description": _DESCRIPTION}
        document["servers"] = [{"url": settings.BASE_URL}]
        document["tags"] = [_tag(*one) for one in _TAGS]
        document["components"] = {
            "schemas": {name: schema for room in rooms for name, schema in room.items()},
            "securitySchemes": sep10.schema.SECURITY,
        }
        return document


def _tag(name: str, sep: tuple[int, str] | None, words: str) -> Schema:
    link = {"externalDocs": kernel.schema.section(*sep)} if sep else {}
    return {"name": name, "description": words, **link}


@lru_cache(maxsize=1)
def openapi_document() -> tuple[bytes, str]:
    """The document as JSON and its entity tag. Built once: it depends on settings alone."""
    document = Generator().get_schema(public=True)
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return raw, f'"{hashlib.sha256(raw).hexdigest()[:32]}"'
