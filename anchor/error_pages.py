"""Error replies: JSON for the API (`kernel.api`), pages in the admin's look for people.

No page tells what went wrong inside: not why a CSRF token was refused, nor which record there is.
"""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from anchor.middleware import ADMIN_PREFIX
from kernel import api

ADVICE = {
    HTTPStatus.BAD_REQUEST: "Your browser sent something that we can't read. Go back, try again.",
    HTTPStatus.FORBIDDEN: "You may not do this, or you waited too long. If you should be able to, "
    "ask whoever manages the staff's permissions.",
    HTTPStatus.NOT_FOUND: "There is nothing here. It may have been removed, or the address is "
    "mistyped.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "What you sent is too large.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many tries. Wait some minutes and try again.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong on our side; it has been logged. "
    "Look at the record again before you repeat what you did.",
}
EXPIRED_FORM = (
    "The form was too old, or your browser did not send our cookie. Nothing was done: go back, "
    "load the page again and repeat it."
)


def error_page(status: HTTPStatus, advice: str = "") -> HttpResponse:
    """It looks at neither the session nor the database, which may be what failed."""
    stranger = HttpRequest()
    stranger.user = AnonymousUser()
    stranger.path = ADMIN_PREFIX
    stranger.META["SCRIPT_NAME"] = ""
    context = {
        **admin.site.each_context(stranger),
        "title": f"{status.value} {status.phrase}",
        "advice": advice or ADVICE[status],
    }
    return HttpResponse(render_to_string("admin/error.html", context), status=status)


def _is_for_people(request: HttpRequest) -> bool:
    return request.path.startswith(ADMIN_PREFIX)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    answer = api.bad_request(request, exception)
    return error_page(HTTPStatus(answer.status_code)) if _is_for_people(request) else answer


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if _is_for_people(request):
        return error_page(HTTPStatus.FORBIDDEN)
    return api.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if _is_for_people(request):
        return error_page(HTTPStatus.NOT_FOUND)
    return api.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_for_people(request):
        return error_page(HTTPStatus.INTERNAL_SERVER_ERROR)
    return api.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: only the admin has forms."""
    return error_page(HTTPStatus.FORBIDDEN, EXPIRED_FORM)
