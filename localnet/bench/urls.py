"""The anchor's addresses and an empty DRF view beside them."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

EMPTY = "/bench/empty"


class EmptyView(APIView):
    """The least that an endpoint of Django REST framework can do."""

    def get(self, request: Request) -> Response:
        return Response({})


urlpatterns = [path(EMPTY.removeprefix("/"), EmptyView.as_view()), path("", include("anchor.urls"))]
