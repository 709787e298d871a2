"""Headers that every API reply carries, and the admin's own middleware kept off the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware

Handler = Callable[[HttpRequest], HttpResponseBase]

ADMIN_PREFIX = "/admin/"
# django-unfold's Alpine.js evaluates expressions, hence 'unsafe-eval', here and nowhere else.
ADMIN_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
API_CSP = "default-src 'none'; frame-ancestors 'none'"


class ApiHeaders:
    """CORS for wallets in browsers (each SEP asks for it) and a preflight that costs nothing.

    Tokens travel in a header, never in a cookie, so `*` gives no one anything of ours.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(ADMIN_PREFIX):
            response = self.get_response(request)
            response.headers.setdefault("Content-Security-Policy", ADMIN_CSP)
            return response
        if request.method == "OPTIONS":
            response = HttpResponse(status=204)
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
            response.headers["Access-Control-Allow-Headers"] = (
                "Authorization, Content-Type, Accept-Language, Idempotency-Key"
            )
            response.headers["Access-Control-Max-Age"] = "86400"
        else:
            response = self.get_response(request)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers.setdefault("Content-Security-Policy", API_CSP)
        return response


class AdminOnly:
    """Sessions, CSRF and messages, for the admin alone: an API request pays for none of them."""

    def __init__(self, get_response: Handler) -> None:
        self.plain = get_response
        handler: Handler = get_response
        layers: tuple[Callable[[Any], Any], ...] = (
            XFrameOptionsMiddleware,
            MessageMiddleware,
            AuthenticationMiddleware,
            CsrfViewMiddleware,
            LocaleMiddleware,
            SessionMiddleware,
        )
        for layer in layers:
            handler = layer(handler)
        self.admin = handler

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        chosen = self.admin if request.path.startswith(ADMIN_PREFIX) else self.plain
        return chosen(request)
