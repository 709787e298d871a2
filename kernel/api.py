"""What every HTTP endpoint shares: exact JSON in, plain errors out.

Views subclass `ApiView`. It checks who calls before it parses anything, so that a request
without a token gets its 401 or 403 whatever its content type.
"""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFilesSent
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse, QueryDict
from django.utils.cache import patch_vary_headers
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kernel.errors import ApiError, BadRequest, TooLarge, TooManyRequests, Unavailable
from kernel.languages import ENGLISH, Phrase, asked_language, translate

logger = logging.getLogger(__name__)

MAX_JSON_DEPTH = 20


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readings of one document are how "amount": 1, "amount": 1000 gets past a check.
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _depth(value: object, limit: int) -> bool:
    if limit == 0:
        return False
    if isinstance(value, dict):
        return all(_depth(item, limit - 1) for item in value.values())
    if isinstance(value, list):
        return all(_depth(item, limit - 1) for item in value)
    return True


def parse_json(raw: bytes) -> Any:
    """Decode JSON with every number exact (`int` or `Decimal`). Raises `BadRequest`."""
    try:
        value = json.loads(
            raw.decode(),  # json would guess UTF-16 too, which the search for NUL below can't read
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
        if not _depth(value, MAX_JSON_DEPTH):
            raise ValueError("nested too deeply")
        # Only an escape can spell them: PostgreSQL text cannot hold NUL, and lone surrogates cannot
        # be encoded at all.
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False, default=str).encode()
            if b"\\u0000" in raw:
                raise ValueError("a string holds the NUL character")
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise BadRequest("The request body must be valid JSON") from error
    return value


class ExactJSONParser(JSONParser):
    """JSON whose numbers keep every digit that the client wrote, and which is an object."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        raw = stream.read()
        if not raw.strip():
            return {}
        value = parse_json(raw)
        if not isinstance(value, dict):
            raise BadRequest("The request body must be a JSON object")
        return value


class AnythingGoes(BaseContentNegotiation):
    """Answers JSON whatever the Accept header says; the SEPs know no other representation."""

    def select_parser(self, request: Request, parsers: list[BaseParser]) -> BaseParser | None:  # type: ignore[override]
        content_type = (request.content_type or "").split(";")[0].strip().lower()
        for parser in parsers:
            if parser.media_type == content_type:
                return parser
        return None

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """Base of all API views."""

    parser_classes = [ExactJSONParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AnythingGoes
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Else a charset in Content-Type decides how the query is read: unicode_escape yields lone
        # surrogates, base64 a crash.
        request.encoding = "utf-8"
        return super().initialize_request(request, *args, **kwargs)


class MultilingualView(ApiView):
    """Base of views whose answers hold words for people: `language` is what they are said in.

    A request asks for it by `lang` or Accept-Language. One that does not gets `default_language`,
    which a view may set as it learns more; "" is for answers in more than one. Errors are for
    developers and in English, unless a view sets `error_language`.
    """

    default_language = error_language = ENGLISH
    asked_language: str | None = None

    @property
    def language(self) -> str:
        return self.asked_language or self.default_language

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        lang = request.query_params.getlist("lang")
        if len(lang) > 1:
            raise BadRequest("lang must be given once")
        accepted = request.META.get("HTTP_ACCEPT_LANGUAGE")
        self.asked_language = asked_language(lang[0] if lang else None, accepted)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Accept-Language"])
        if self.language and response.status_code < 300:
            response.headers["Content-Language"] = self.language
        return response


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: any error that a view raised, as `{"error": "..."}`.

    Errors that nobody foresaw are not handled here: Django logs them and `server_error` answers.
    """
    if isinstance(error, ApiError):
        language = getattr(context.get("view"), "error_language", ENGLISH)
        body = {**error.body, "error": translate(error.message, language)}
        headers = _headers(error)
        if body != error.body:
            headers["Content-Language"] = language
        return Response(body, status=error.status, headers=headers)
    if isinstance(error, RequestDataTooBig | TooManyFilesSent):
        return exception_handler(TooLarge("The request body is too large"), context)
    if isinstance(error, Http404):
        return Response({"error": "Not found"}, status=404)
    if isinstance(error, exceptions.UnsupportedMediaType):
        view = context.get("view")
        allowed = ", ".join(p.media_type for p in getattr(view, "parser_classes", []))
        return Response({"error": f"The content type must be one of: {allowed}"}, status=415)
    if isinstance(error, exceptions.ParseError):
        return Response({"error": "The request body could not be read"}, status=400)
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database did not answer (%s)", type(error).__name__)
        return exception_handler(Unavailable("Try again in a moment"), context)
    if isinstance(error, exceptions.APIException):
        headers = {}
        wait = getattr(error, "wait", None)
        if wait is not None:
            headers["Retry-After"] = str(int(wait) + 1)
        return Response({"error": str(error.detail)}, status=error.status_code, headers=headers)
    return None


def _headers(error: ApiError) -> dict[str, str]:
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(error.retry_after)}
    if error.status == 503:
        return {"Retry-After": "5"}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    if isinstance(exception, RequestDataTooBig | TooManyFilesSent):
        return JsonResponse({"error": "The request body is too large"}, status=413)
    return JsonResponse({"error": "The request could not be read"}, status=400)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return JsonResponse({"error": "Forbidden"}, status=403)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return JsonResponse({"error": "Not found"}, status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"error": "Something went wrong on our side; it has been logged. Try again later."},
        status=500,
    )


def require_text(
    data: dict[str, Any], field: str, *, max_length: int = 255, required: bool = True
) -> str | None:
    """Read a string parameter. Raises `BadRequest` if it is missing, not text or too long.

    Returns None only for an absent (or null) parameter with `required=False`.
    """
    value = data.get(field)
    if value is None or value == "":
        if required:
            raise BadRequest(Phrase("{field} is required", field=field))
        return None
    if not isinstance(value, str):
        raise BadRequest(Phrase("{field} must be text", field=field))
    if len(value) > max_length:
        raise BadRequest(
            Phrase(
                "{field} must be at most {length} characters long",
                field=field,
                length=str(max_length),
            )
        )
    if "\x00" in value:
        raise BadRequest(Phrase("{field} must not hold the NUL character", field=field))
    return value


def read_body(request: Request) -> dict[str, Any]:
    """The body of a request, JSON or a form, by name. Raises `BadRequest`."""
    body = request.data
    return single_values(body) if isinstance(body, QueryDict) else dict(body)


def single_values(form: QueryDict) -> dict[str, Any]:
    """The values of a query or form by name. Raises `BadRequest` if one is given twice: two
    readings of one form are how a value gets past a check."""
    for name, values in form.lists():
        if len(values) > 1:
            raise BadRequest(f"{name[:80]} must be given once")
    return form.dict()


def absolute_url(path: str) -> str:
    """`path` ("/sep31") under the public origin that clients know us by."""
    return str(settings.BASE_URL).rstrip("/") + path
