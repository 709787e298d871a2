"""SEP-12 over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import (
    ExactJSONParser,
    MultilingualView,
    read_body,
    require_text,
    single_values,
)
from kernel.errors import BadRequest, Forbidden, NotFound
from sep10.authentication import Caller
from sep10.views import AuthenticatedView
from sep12 import services
from sep12.identity import PARAMETERS, CustomerParams, read_params
from sep12.parsers import MultiPartParser
from sep12.serializers import read_submission, read_verifications
from sep12.types import get_customer_type


class CustomerBaseView(AuthenticatedView):
    """SEP-12, "Content Type": all endpoints take JSON and both kinds of forms."""

    parser_classes = [ExactJSONParser, FormParser, MultiPartParser]

    def read_params(self, request: Request, body: Mapping[str, Any]) -> CustomerParams:
        """The parameters, which SEP-31's flow also sends in the query of a PUT."""
        query = single_values(request.query_params)
        named = {name: query[name] for name in PARAMETERS if name in query}
        for name in named.keys() & body.keys():
            if str(body[name]) != named[name]:
                raise BadRequest(f"{name} must be the same in the URL and in the body")
        return read_params(self.caller, {**named, **body})

    @property
    def caller(self) -> Caller:
        return cast(Caller, self.request.user)


class CustomerView(MultilingualView, CustomerBaseView):
    """SEP-12, "Customer GET" and "Customer PUT"."""

    admits_late = True

    def get(self, request: Request) -> Response:
        params = self.read_params(request, {})
        return Response(services.describe_customer(self.caller, params, self.language))

    def put(self, request: Request) -> Response:
        body = read_body(request)
        params = self.read_params(request, body)
        customer_type = get_customer_type(params.type) if params.type is not None else None
        submission = read_submission(body, customer_type)
        customer_id = services.put_customer(self.caller, params, submission)
        return Response({"id": str(customer_id)}, status=202)


class VerificationView(MultilingualView, CustomerBaseView):
    """SEP-12, "Customer PUT Verification" (deprecated)."""

    def put(self, request: Request) -> Response:
        body = read_body(request)
        require_text(body, "id")
        params = self.read_params(request, body)
        services.verify_fields(self.caller, params, read_verifications(body))
        return Response(services.describe_customer(self.caller, params, self.language))


class CallbackView(MultilingualView, CustomerBaseView):
    """SEP-12, "Customer callback PUT". Callbacks are in the language of this request."""

    def put(self, request: Request) -> Response:
        body = read_body(request)
        params = self.read_params(request, body)
        services.set_callback(self.caller, params, body.get("url"), self.language)
        return Response({})


class CustomerAccountView(CustomerBaseView):
    """SEP-12, "Customer DELETE"."""

    def delete(self, request: Request, account: str) -> Response:
        body = read_body(request)
        try:
            params = self.read_params(request, {**body, "account": account})
        except Forbidden as error:
            # SEP-12, "DELETE Responses": another's account is one that we know nothing of.
            raise NotFound("customer not found for this account and memo") from error
        services.erase_customer(self.caller, params)
        return Response({})
