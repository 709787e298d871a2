"""SEP-38 over HTTP. A missing or bad token is a 403 (SEP-38, Errors)."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import MultilingualView, single_values
from kernel.errors import Forbidden
from sep10.authentication import Caller
from sep10.models import SendingAnchor
from sep10.views import AuthenticatedView, OptionallyAuthenticatedView
from sep38 import serializers, services
from sep38.pairs import write_info


def _anchor_of(request: Request) -> SendingAnchor | None:
    """Who asks, where a token is optional: what was agreed with them holds for prices too."""
    caller = cast(Caller | None, request.user)
    return caller.sending_anchor if caller else None


class InfoView(MultilingualView, OptionallyAuthenticatedView):
    """SEP-38, GET /info. `lang` is ours, as SEP-31 has it; SEP-38 has none."""

    refusal = Forbidden

    def get(self, request: Request) -> HttpResponse:
        body = write_info(_anchor_of(request), self.language)
        return HttpResponse(body, content_type="application/json")


class PricesView(OptionallyAuthenticatedView):
    """SEP-38, GET /prices."""

    refusal = Forbidden

    def get(self, request: Request) -> Response:
        wanted = serializers.read_prices_request(single_values(request.query_params))
        priced = services.list_prices(wanted, _anchor_of(request))
        return Response(serializers.write_prices(wanted, priced))


class PriceView(OptionallyAuthenticatedView):
    """SEP-38, GET /price."""

    refusal = Forbidden

    def get(self, request: Request) -> Response:
        wanted = serializers.read_price_request(single_values(request.query_params))
        return Response(
            serializers.write_price(services.price_request(wanted, _anchor_of(request)))
        )


class QuotesView(AuthenticatedView):
    """SEP-38, POST /quote."""

    refusal = Forbidden

    def post(self, request: Request) -> Response:
        body = cast(dict[str, Any], request.data)
        wanted, expire_after = serializers.read_quote_request(body)
        quote = services.create_quote(cast(Caller, request.user), wanted, expire_after)
        return Response(serializers.write_quote(quote), status=201)


class QuoteView(AuthenticatedView):
    """SEP-38, GET /quote/:id. Also past its expiry, for its owner only."""

    refusal = Forbidden
    admits_late = True

    def get(self, request: Request, quote_id: str) -> Response:
        quote = services.get_owned_quote(cast(Caller, request.user), quote_id)
        return Response(serializers.write_quote(quote))
