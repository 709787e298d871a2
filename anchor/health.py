"""Health endpoints for load balancers and orchestrators."""

from __future__ import annotations

from django.db import Error, connection
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import ApiView
from kernel.errors import Unavailable

DOWN = "PostgreSQL does not answer"


class LiveView(ApiView):
    """The process answers. Says nothing about what it depends on."""

    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyView(ApiView):
    """Whether this process can serve: PostgreSQL answers.

    Redis is not asked: without it requests still work and the sweep delivers what they asked for.
    """

    def get(self, request: Request) -> Response:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error as error:
            raise Unavailable(DOWN) from error
        return Response({"status": "ok"})
