"""Health endpoints for load balancers and orchestrators."""

from __future__ import annotations

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse


def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Says nothing about what it depends on."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: PostgreSQL answers.

    Redis is not asked: without it requests still work and the sweep delivers what they asked for.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return JsonResponse({"status": "unavailable", "postgresql": "unreachable"}, status=503)
    return JsonResponse({"status": "ok"})
