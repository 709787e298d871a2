"""SEP-1 over HTTP."""

from __future__ import annotations

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from kernel.api import ApiView
from kernel.errors import ApiError
from sep1.stellar_toml import published_file

CACHE_SECONDS = 300


class StellarTomlView(ApiView):
    """SEP-1, "Specification": text/plain, readable from any site (CORS is the middleware's)."""

    def get(self, request: Request) -> HttpResponseBase | None:
        file = published_file()
        headers = {
            "Content-Length": str(len(file.body)),
            "ETag": file.etag,
            "Cache-Control": f"public, max-age={CACHE_SECONDS}",
        }
        response = HttpResponse(
            file.body, content_type="text/plain; charset=utf-8", headers=headers
        )
        answer = get_conditional_response(request._request, etag=file.etag, response=response)
        if answer is not None and answer.status_code == 412:
            raise ApiError("If-Match names another version of stellar.toml", status=412)
        return answer
