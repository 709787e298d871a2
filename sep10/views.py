"""SEP-10 over HTTP, and the base views of every endpoint that needs its token."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError
from rest_framework.exceptions import APIException
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import ApiView, ExactJSONParser, read_body, require_text, single_values
from kernel.errors import ApiError, Unauthenticated
from kernel.throttling import client_address
from sep10 import services
from sep10.authentication import BearerAuthentication, Caller
from sep10.authorization import read_authorization
from sep10.signed_challenge import MAX_CHALLENGE_LENGTH
from sep10.tokens import InvalidToken

# Neither a challenge nor a token is anyone else's to keep.
_NO_STORE = {"Cache-Control": "no-store"}


class AuthView(ApiView):
    """SEP-10's WEB_AUTH_ENDPOINT."""

    parser_classes = [ExactJSONParser, FormParser]

    def get(self, request: Request) -> Response:
        """SEP-10, "Challenge"."""
        authorization = read_authorization(
            request.META.get("HTTP_AUTHORIZATION"),
            required=settings.CHALLENGE_AUTHORIZATION == "required",
        )
        query = single_values(request.query_params)
        account = require_text(query, "account")
        assert account is not None
        challenge = services.create_challenge(
            account=account,
            memo=require_text(query, "memo", required=False),
            home_domain=require_text(query, "home_domain", required=False),
            client_domain=require_text(query, "client_domain", required=False),
            authorization=authorization,
            address=client_address(request),
        )
        body = {"transaction": challenge, "network_passphrase": settings.NETWORK_PASSPHRASE}
        return Response(body, headers=_NO_STORE)

    def post(self, request: Request) -> Response:
        """SEP-10, "Token"."""
        xdr = require_text(read_body(request), "transaction", max_length=MAX_CHALLENGE_LENGTH)
        assert xdr is not None
        token = services.redeem_challenge(xdr, address=client_address(request))
        return Response({"token": token}, headers=_NO_STORE)


class AuthenticatedView(ApiView):
    """Only for bearers of a SEP-10 token: `request.user` is the `Caller`.

    `refusal` is how the protocol answers a request without a valid token; it comes before
    anything of the body is read. With `admits_late` the view may read a small body first, but
    hands the caller's sending anchor to `Caller.admit` before it does or tells anything.
    """

    refusal: type[ApiError] = Unauthenticated
    admits_late = False

    def get_authenticators(self) -> list[Any]:
        return [
            BearerAuthentication(self.refusal, required=True, admits_late=self.admits_late),
        ]

    def handle_exception(self, exc: Exception) -> Response:
        """What is wrong with a request is told to whom we admitted only."""
        caller = self._caller
        if caller is not None and isinstance(exc, ApiError | APIException | SuspiciousOperation):
            try:
                caller.ensure_admitted()
            except (InvalidToken, DatabaseError) as error:
                exc = error
        if isinstance(exc, InvalidToken):
            exc = self.refusal(str(exc))
        return super().handle_exception(exc)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        caller = self._caller
        if caller is not None and not caller.is_admitted and response.status_code < 400:
            raise AssertionError("a view answered a caller whom it did not admit")
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def _caller(self) -> Caller | None:
        # Not `request.user`, which would read a token anew that was refused.
        return getattr(self.request, "_user", None)


class OptionallyAuthenticatedView(ApiView):
    """`request.user` is the `Caller`, or None without a token; a bad token is refused all the
    same."""

    refusal: type[ApiError] = Unauthenticated

    def get_authenticators(self) -> list[Any]:
        return [BearerAuthentication(self.refusal, required=False)]
