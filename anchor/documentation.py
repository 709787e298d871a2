"""The OpenAPI document over HTTP, and a page to read and try it on.

The page is Swagger UI from drf-spectacular-sidecar: files of ours, nothing from elsewhere.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from kernel.api import ApiView
from kernel.errors import ApiError

CACHE_SECONDS = 300
# Swagger UI sets style attributes and has its icons in data: URLs. It calls the address that the
# document names, under whichever name the page was opened.
DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; connect-src 'self' {settings.BASE_URL}; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class OpenApiView(ApiView):
    """The document. What builds it is imported by the first request that asks for it."""

    schema = None

    def get(self, request: Request) -> HttpResponseBase | None:
        from anchor.openapi import openapi_document

        body, etag = openapi_document()
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={CACHE_SECONDS}"}
        response = HttpResponse(body, content_type="application/json", headers=headers)
        answer = get_conditional_response(request._request, etag=etag, response=response)
        if answer is not None and answer.status_code == 412:
            raise ApiError("If-Match names another version of the document", status=412)
        return answer


class DocsView(ApiView):
    """The page."""

    schema = None

    def get(self, request: Request) -> HttpResponse:
        page = render_to_string("docs.html")
        return HttpResponse(page, headers={"Content-Security-Policy": DOCS_CSP})
