"""The bank's HTTP interface; docs/sandbox-bank.md describes it."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from localnet.bank.accounts import DESCRIPTIONS, TEST_ACCOUNTS
from localnet.bank.book import Book, Order

MAX_BODY_BYTES = 64 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,100}", re.ASCII)
_SHAPES = {
    "reference": re.compile(r"[\x21-\x7e]{1,64}", re.ASCII),
    "amount": re.compile(r"(?=.*[1-9])[0-9]{1,12}(\.[0-9]{1,7})?", re.ASCII),
    "currency": re.compile(r"[A-Z]{3}", re.ASCII),
    "method": re.compile(r"bank_account|mobile_money|SEPA", re.ASCII),
    "account_number": re.compile(r".{1,60}"),
    "account_holder": re.compile(r".{1,200}"),
}

Endpoint = Callable[[Request], Awaitable[JSONResponse]]


async def _read_body(request: Request) -> dict[str, Any]:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise HTTPException(413, "The request body is too large")
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode()  # SQLite can't hold a lone surrogate
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The request body must be JSON") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "The request body must be a JSON object")
    return body


def _read_order(body: dict[str, Any]) -> Order:
    for name, shape in _SHAPES.items():
        value = body.get(name)
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise HTTPException(400, f"{name} is missing or not as documented")
    return Order(**{name: body[name] for name in _SHAPES})


def build_app(book: Book, *, api_key: str = "", hang_seconds: float = 30.0) -> Starlette:
    """The ASGI application. Without `api_key` anybody may call it."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def check(request: Request) -> JSONResponse:
            given = request.headers.get("authorization", "")
            if api_key and not hmac.compare_digest(given.encode(), f"Bearer {api_key}".encode()):
                raise HTTPException(401, "The API key is missing or wrong")
            return await endpoint(request)

        return check

    async def create_payout(request: Request) -> JSONResponse:
        key = request.headers.get("idempotency-key", "")
        if not _KEY.fullmatch(key):
            raise HTTPException(400, "The Idempotency-Key header is missing or too long")
        body = await _read_body(request)
        reply = book.take(key, _read_order(body), body)
        if reply.hangs:
            await asyncio.sleep(hang_seconds)
        return JSONResponse(reply.body, reply.code)

    async def show_by_key(request: Request) -> JSONResponse:
        answer = book.find_by_key(request.path_params["key"])
        if answer is None:
            return JSONResponse({"status": "never_seen"}, 404)
        return JSONResponse(answer)

    async def show_by_reference(request: Request) -> JSONResponse:
        answers = book.find_by_reference(request.path_params["reference"])
        if not answers:
            return JSONResponse({"status": "never_seen"}, 404)
        return JSONResponse({"payouts": answers})

    async def show_statement(request: Request) -> JSONResponse:
        return JSONResponse({"payments": book.list_payments()})

    async def show_health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def show_test_accounts(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                outcome: {"account_number": number, "description": DESCRIPTIONS[outcome]}
                for outcome, number in TEST_ACCOUNTS.items()
            }
        )

    async def show_error(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException):
            return JSONResponse({"error": error.detail}, error.status_code)
        return JSONResponse({"error": "Something went wrong at the bank"}, 500)

    return Starlette(
        routes=[
            Route("/payouts", guarded(create_payout), methods=["POST"]),
            Route("/payouts/by-key/{key}", guarded(show_by_key)),
            Route("/payouts/by-reference/{reference}", guarded(show_by_reference)),
            Route("/statement", guarded(show_statement)),
            Route("/health", show_health),
            Route("/test-accounts", show_test_accounts),
        ],
        exception_handlers={HTTPException: show_error, Exception: show_error},
    )
