"""SEP-1 over HTTP."""

from __future__ import annotations

import hashlib

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from kernel.api import ApiView
from sep1.stellar_toml import stellar_toml

CACHE_SECONDS = 300


class StellarTomlView(ApiView):
    """SEP-1, "Specification": text/plain, readable from any site (CORS is the middleware's)."""

    def get(self, request: Request) -> HttpResponseBase | None:
        body = stellar_toml()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        response = HttpResponse(body, content_type="text/plain; charset=utf-8")
        response.headers["ETag"] = etag
        response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
        return get_conditional_response(request._request, etag=etag, response=response)
