"""SEP-31's endpoints: HTTP only; the rules are in requests.py, creation.py and services.py."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import MultilingualView
from kernel.errors import Forbidden
from kernel.languages import ENGLISH, asked_language, find_language
from sep10.authentication import Caller
from sep10.views import AuthenticatedView
from sep31 import services
from sep31.creation import create_transaction
from sep31.customers import get_owned_transaction, read_owned_transaction
from sep31.idempotency import answer_once, read_key
from sep31.info import write_info
from sep31.listing import (
    list_events,
    list_transactions,
    read_events_request,
    read_list_request,
)
from sep31.requests import read_request
from sep31.serializers import describe_created, describe_transaction


class Sep31View(MultilingualView, AuthenticatedView):
    """SEP-31, Authentication: "should return a 403 Forbidden response"."""

    refusal = Forbidden

    @property
    def caller(self) -> Caller:
        return cast(Caller, self.request.user)

    @property
    def body(self) -> dict[str, Any]:
        # The parser gives a dict or refuses, which the stubs can't know.
        return cast(dict[str, Any], self.request.data)

    def show_transaction(self, transaction_id: str) -> Response:
        """The caller's transaction, told of in its own language unless they ask for another."""
        row, receipt, refund = read_owned_transaction(self.caller, transaction_id)
        self.default_language = find_language(row.lang) or ENGLISH
        described = describe_transaction(
            row, receipt=receipt, refund=refund, language=self.language
        )
        return Response({"transaction": described})


class InfoView(MultilingualView):
    """GET /info (SEP-31, GET Info).

    The SEP asks for a token on all endpoints, but clients read this one before they have any;
    it tells nothing about anybody, so it answers everyone.
    """

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(write_info(self.language), content_type="application/json")


class TransactionsView(Sep31View):
    """POST /transactions (SEP-31, POST Transactions), and a list of them, an extension."""

    default_language = ""  # each transaction in its own
    admits_late = True

    def get(self, request: Request) -> Response:
        wanted = read_list_request(request.query_params)
        return Response(list_transactions(self.caller, wanted, self.asked_language))

    def post(self, request: Request) -> Response:
        key = read_key(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        body = self.body
        lang = body.get("lang")
        if isinstance(lang, str) and lang:
            self.asked_language = asked_language(lang, None)
        # "in the language indicated in the request" (SEP-31, POST Transactions, Error).
        self.error_language = self.asked_language or ENGLISH

        def create() -> dict[str, Any]:
            wanted = read_request(body, self.error_language)
            return describe_created(create_transaction(self.caller, wanted))

        return Response(answer_once(self.caller, key, body, create), status=201)


class TransactionView(Sep31View):
    """GET and PATCH /transactions/:id (SEP-31, GET Transaction, PATCH Transaction)."""

    admits_late = True

    def get(self, request: Request, transaction_id: str) -> Response:
        return self.show_transaction(transaction_id)

    def patch(self, request: Request, transaction_id: str) -> Response:
        services.update_fields(get_owned_transaction(self.caller, transaction_id).pk, self.body)
        return self.show_transaction(transaction_id)


class CallbackView(Sep31View):
    """PUT /transactions/:id/callback (SEP-31, PUT Transaction Callback)."""

    def put(self, request: Request, transaction_id: str) -> Response:
        row = get_owned_transaction(self.caller, transaction_id)
        services.set_callback(row.pk, self.caller.sending_anchor, self.body.get("url"))
        return Response(status=204)


class CancelView(Sep31View):
    """POST /transactions/:id/cancel, an extension: before it was paid."""

    def post(self, request: Request, transaction_id: str) -> Response:
        row = get_owned_transaction(self.caller, transaction_id)
        services.cancel_transaction(row.pk, self.caller.account)
        return self.show_transaction(transaction_id)


class EventsView(Sep31View):
    """GET /events, an extension: each change of status, in order (sep31.feed)."""

    default_language = ""  # each transaction in its own

    def get(self, request: Request) -> Response:
        wanted = read_events_request(request.query_params)
        return Response(list_events(self.caller, wanted, self.asked_language))
