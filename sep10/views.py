"""SEP-10 over HTTP, and the base views of every endpoint that needs its token."""

from __future__ import annotations

from typing import Any

from kernel.api import ApiView
from kernel.errors import ApiError, Unauthenticated
from sep10.authentication import BearerAuthentication


class AuthenticatedView(ApiView):
    """Only for bearers of a SEP-10 token: `request.user` is the `Caller`.

    `refusal` is how the protocol answers a request without a valid token; it comes before
    anything of the body is read.
    """

    refusal: type[ApiError] = Unauthenticated

    def get_authenticators(self) -> list[Any]:
        return [BearerAuthentication(self.refusal, required=True)]


class OptionallyAuthenticatedView(ApiView):
    """`request.user` is the `Caller`, or None without a token; a bad token is refused all the
    same."""

    refusal: type[ApiError] = Unauthenticated

    def get_authenticators(self) -> list[Any]:
        return [BearerAuthentication(self.refusal, required=False)]
