"""SEP-1 in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from kernel.schema import Operation, answer, header, no_content, operation, refusal, text
from sep1.stellar_toml import published_file
from sep1.views import StellarTomlView


def operations() -> dict[type[Any], dict[str, Operation]]:
    return {StellarTomlView: {"get": _get()}}


def _get() -> Operation:
    file = published_file()
    return operation(
        "get_stellar_toml",
        "What we are and where our services are",
        "The same for everybody, and unchanged while the service runs: keep it for `max-age`, then "
        "ask again with `If-None-Match`.",
        sep=(1, "Specification"),
        parameters=(
            header(
                "If-None-Match", "The `ETag` of the copy that you have.", text(example=file.etag)
            ),
        ),
        answers={
            200: answer(
                "The file, as TOML.",
                text(),
                {"this_anchor": file.body.decode()},
                media_type="text/plain",
                headers={"ETag": "Names this version.", "Cache-Control": "How long to keep it."},
            ),
            304: no_content("Your copy is the current one."),
            412: refusal(
                "Only with the header `If-Match`.",
                {"other_version": "If-Match names another version of stellar.toml"},
            ),
        },
    )
