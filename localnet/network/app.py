"""The HTTP face: Horizon's addresses over the ledger. For demo and tests only."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from stellar_sdk import StrKey

from . import listings, market, problems
from .apply import Refused
from .envelope import Envelope, Malformed, read_envelope
from .genesis import BASE_FEE, PROTOCOL_VERSION
from .ledger import Ledger, QueueFull, Waiting
from .pages import HAL, base_url
from .problems import Problem
from .records import BASE, account_record, clock, dump, inner_record, links
from .results import Outcome

logger = logging.getLogger(__name__)

NOTICE = "local toy network for demo and tests; nothing on it has any value"
MAX_BODY = 512 * 1024
SUBMIT_SECONDS = 60.0
Endpoint = Callable[[Request], Awaitable[Response]]


def ledger_of(request: Request) -> Ledger:
    """Return the network behind this request."""
    ledger: Ledger = request.app.state.ledger
    return ledger


def hal(request: Request, text: str) -> Response:
    """Answer a stored JSON text, its links on the address the client used."""
    return Response(text.replace(BASE, base_url(request)), media_type=HAL)


async def root(request: Request) -> Response:
    """Say what this network is."""
    ledger = ledger_of(request)
    last = ledger.last
    paged = "{?cursor,limit,order}"
    body: dict[str, Any] = {
        "_links": links(
            self="/",
            account="/accounts/{account_id}",
            account_transactions="/accounts/{account_id}/transactions" + paged,
            assets="/assets{?asset_code,asset_issuer,cursor,limit,order}",
            effects="/effects" + paged,
            fee_stats="/fee_stats",
            friendbot="/friendbot{?addr}",
            ledger="/ledgers/{sequence}",
            ledgers="/ledgers" + paged,
            offer="/offers/{offer_id}",
            offers="/offers{?selling,buying,seller,cursor,limit,order}",
            operation="/operations/{id}",
            operations="/operations{?cursor,limit,order,include_failed}",
            order_book="/order_book{?selling_asset_type,selling_asset_code,"
            "selling_asset_issuer,buying_asset_type,buying_asset_code,buying_asset_issuer,limit}",
            payments="/payments{?cursor,limit,order,include_failed}",
            strict_receive_paths="/paths/strict-receive{?source_assets,source_account,"
            "destination_account,destination_asset_type,destination_asset_issuer,"
            "destination_asset_code,destination_amount}",
            strict_send_paths="/paths/strict-send{?destination_account,destination_assets,"
            "source_asset_type,source_asset_issuer,source_asset_code,source_amount}",
            transaction="/transactions/{hash}",
            transactions="/transactions" + paged,
        ),
        "horizon_version": "landfall-localnet (not Horizon)",
        "core_version": "landfall-localnet (not stellar-core)",
        "notice": NOTICE,
        "ingest_latest_ledger": last.sequence,
        "history_latest_ledger": last.sequence,
        "history_latest_ledger_closed_at": clock(last.closed_at),
        "history_elder_ledger": 1,
        "core_latest_ledger": last.sequence,
        "network_passphrase": ledger.passphrase,
        "current_protocol_version": PROTOCOL_VERSION,
        "supported_protocol_version": PROTOCOL_VERSION,
        "core_supported_protocol_version": PROTOCOL_VERSION,
    }
    return hal(request, dump(body))


async def health(request: Request) -> Response:
    """Say that the network runs."""
    return JSONResponse(
        {"database_connected": True, "core_up": True, "core_synced": True, "notice": NOTICE}
    )


async def account(request: Request) -> Response:
    """Show one account."""
    ledger = ledger_of(request)
    found = ledger.world.account(listings.account_id(request))
    if found is None:
        raise problems.not_found()
    row = ledger.store.ledger(found.modified)
    return hal(request, dump(account_record(found, clock(row.closed_at if row else 0))))


async def account_data(request: Request) -> Response:
    """Show one named value of an account."""
    found = ledger_of(request).world.account(listings.account_id(request))
    key = request.path_params["key"]
    if found is None or key not in found.data:
        raise problems.not_found()
    return Response(json.dumps({"value": found.data[key]}), media_type=HAL)


async def transaction(request: Request) -> Response:
    """Show one transaction, under either hash of a fee bump."""
    ledger = ledger_of(request)
    digest = listings.transaction_hash(request)
    text = _stored_text(ledger, digest)
    if text is None:
        raise problems.not_found()
    return hal(request, text)


def _stored_text(ledger: Ledger, digest: str) -> str | None:
    row = ledger.store.transaction(digest)
    if row is None:
        return None
    text = str(row["record"])
    return dump(inner_record(json.loads(text))) if row["inner_hash"] == digest else text


async def fee_stats(request: Request) -> Response:
    """Say what fees are paid: always the base fee, since ledgers are never contested."""
    ledger = ledger_of(request)
    names = ("max", "min", "mode", *(f"p{n}" for n in (*range(10, 100, 10), 95, 99)))
    spread = {name: str(BASE_FEE) for name in names}
    used = min(ledger.last.operations / ledger.capacity, 1)
    body = {
        "last_ledger": str(ledger.last.sequence),
        "last_ledger_base_fee": str(BASE_FEE),
        "ledger_capacity_usage": f"{used:.2f}",
        "fee_charged": spread,
        "max_fee": spread,
    }
    return Response(json.dumps(body), media_type=HAL)


async def read_form(request: Request) -> dict[str, str]:
    """Read a small urlencoded form; anything else is refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise problems.unsupported_media()
    size = 0
    parts: list[bytes] = []
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise problems.too_large()
        parts.append(part)
    return listings.parse_form(b"".join(parts))


async def _read_submission(request: Request) -> Envelope:
    form = await read_form(request)
    text = form.get("tx") or request.query_params.get("tx", "")
    try:
        return read_envelope(text, ledger_of(request).network)
    except Malformed as error:
        raise problems.malformed(text) from error


async def submit(request: Request) -> Response:
    """Submit a transaction and wait for the ledger that includes it."""
    envelope = await _read_submission(request)
    return await _submit_and_wait(request, envelope)


async def _submit_and_wait(request: Request, envelope: Envelope) -> Response:
    ledger = ledger_of(request)
    if ledger.store.transaction(envelope.hash.hex()) is not None:
        return _stored_answer(request, envelope, envelope.hash.hex())
    entry = _enter(ledger, envelope)
    try:
        # Shielded: a client that leaves, or waits too long, does not take the others' answer.
        outcome = await asyncio.wait_for(asyncio.shield(entry.answer), SUBMIT_SECONDS)
    except TimeoutError as error:
        raise problems.timed_out(envelope.raw, envelope.hash.hex()) from error
    if outcome is not None:
        raise _failure(envelope, outcome)
    return _stored_answer(request, envelope, entry.envelope.hash.hex())


def _enter(ledger: Ledger, envelope: Envelope) -> Waiting:
    try:
        return ledger.submit(envelope)
    except Refused as refused:
        raise _failure(envelope, refused.outcome) from refused
    except QueueFull as error:
        raise problems.overloaded() from error


def _failure(envelope: Envelope, outcome: Outcome) -> Problem:
    codes = outcome.words(envelope.bump is not None)
    return problems.failed(envelope.raw, codes, outcome.result_xdr(envelope))


def _stored_answer(request: Request, envelope: Envelope, digest: str) -> Response:
    """Answer what a ledger says of a transaction, now as the first time."""
    ledger = ledger_of(request)
    row = ledger.store.transaction(digest)
    assert row is not None, "the ledger has recorded it"
    if not row["successful"]:
        result = json.loads(row["record"])["result_xdr"]
        raise problems.failed(envelope.raw, json.loads(row["codes"]), result)
    return hal(request, _stored_text(ledger, digest) or "")


async def submit_async(request: Request) -> Response:
    """Submit a transaction without waiting for its ledger."""
    envelope = await _read_submission(request)
    ledger = ledger_of(request)
    digest = envelope.hash.hex()
    body = {"tx_status": "PENDING", "hash": digest}
    if ledger.store.transaction(digest) is not None or ledger.pending(envelope.hash):
        return Response(
            json.dumps({**body, "tx_status": "DUPLICATE"}), status_code=409, media_type=HAL
        )
    try:
        ledger.submit(envelope)
    except Refused as refused:
        result = refused.outcome.result_xdr(envelope)
        body |= {"tx_status": "ERROR", "error_result_xdr": result}
        return Response(json.dumps(body), status_code=400, media_type=HAL)
    except QueueFull:
        body["tx_status"] = "TRY_AGAIN_LATER"
        return Response(json.dumps(body), status_code=503, media_type=HAL)
    return Response(json.dumps(body), status_code=201, media_type=HAL)


async def friendbot(request: Request) -> Response:
    """Create an account with 10,000 lumens, by a real transaction of friendbot's account."""
    address = request.query_params.get("addr", "")
    if request.method == "POST" and not address:
        address = (await read_form(request)).get("addr", "")
    if not StrKey.is_valid_ed25519_public_key(address):
        raise problems.invalid_field("addr", "invalid address")
    ledger = ledger_of(request)
    if ledger.world.account(address) is not None:
        raise problems.bad_request("The account exists already: friendbot funds only new ones.")
    return await _submit_and_wait(request, ledger.friendbot_gift(address))


class Plain:
    """Wraps the application: gives every answer its headers, and answers CORS preflights."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self.app = app
        self.ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with our headers on whatever it answers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._mark(MutableHeaders(scope=message))
            await send(message)

        if scope["method"] == "OPTIONS":
            await Response(status_code=204)(scope, receive, send_marked)
            return
        await self.app(scope, receive, send_marked)

    def _mark(self, headers: MutableHeaders) -> None:
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Allow-Headers"] = "*"
        headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        headers["Access-Control-Expose-Headers"] = "Latest-Ledger, X-Landfall-Localnet"
        headers["Latest-Ledger"] = str(self.ledger.last.sequence)
        headers["X-Landfall-Localnet"] = NOTICE


def _problem_response(problem: Problem) -> Response:
    return JSONResponse(
        problem.body,
        status_code=problem.status,
        media_type="application/problem+json; charset=utf-8",
    )


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _problem_response(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = problems.wrong_method() if error.status_code == 405 else problems.not_found()
    return _problem_response(known)


async def _on_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _on_defect(request: Request, error: Exception) -> Response:
    return _problem_response(problems.broken())  # the server logs what it was


def _routes() -> list[Route]:
    pages = [
        (f"{prefix}/{kind}", getattr(listings, kind))
        for prefix in ("", "/accounts/{account_id}", "/ledgers/{sequence}", "/transactions/{hash}")
        for kind in ("transactions", "operations", "payments", "effects")
        if (prefix, kind) != ("/transactions/{hash}", "transactions")
    ]
    singles: list[tuple[str, Endpoint]] = [
        ("/", root),
        ("/health", health),
        ("/fee_stats", fee_stats),
        ("/accounts/{account_id}", account),
        ("/accounts/{account_id}/offers", market.account_offers),
        ("/accounts/{account_id}/data/{key}", account_data),
        ("/transactions/{hash}", transaction),
        ("/operations/{id}", listings.operation),
        ("/operations/{id}/effects", listings.effects),
        ("/ledgers", listings.ledgers),
        ("/ledgers/{sequence}", listings.ledger),
        ("/offers", market.offers),
        ("/offers/{id}", market.offer),
        ("/assets", market.assets),
        ("/order_book", market.order_book),
        ("/paths/strict-send", market.strict_send),
        ("/paths/strict-receive", market.strict_receive),
    ]
    return [
        Route("/transactions", submit, methods=["POST"]),
        Route("/transactions_async", submit_async, methods=["POST"]),
        Route("/friendbot", friendbot, methods=["GET", "POST"]),
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in singles),
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in pages),
    ]


async def _close_or_die(ledger: Ledger, seconds: float) -> None:
    """Close ledgers for ever. A network that cannot write must not go on answering."""
    try:
        await ledger.keep_closing(seconds)
    except Exception:
        logger.exception("a ledger could not be closed; the network stops")
        os._exit(1)


def build_app(ledger: Ledger, close_seconds: float) -> ASGIApp:
    """Return the application; ledgers close as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        ledger.open_friendbot()
        closing = asyncio.create_task(_close_or_die(ledger, close_seconds))
        yield
        closing.cancel()
        ledger.store.close()

    app = Starlette(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers={
            Problem: _on_problem,
            HTTPException: _on_http,
            ClientDisconnect: _on_gone,
            Exception: _on_defect,
        },
    )
    app.state.ledger = ledger
    return Plain(app, ledger)
