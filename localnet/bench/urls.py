"""The anchor's addresses and an empty DRF view beside them."""

from __future__ import annotations

from importlib import import_module

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

EMPTY = "/bench/empty"


class EmptyView(APIView):
    """The least that an endpoint of Django REST framework can do."""

    def get(self, request: Request) -> Response:
        return Response({})


# In one list, so that the anchor's addresses lie no deeper than they do without this one.
anchor = import_module("anchor.urls")
urlpatterns = [path(EMPTY.removeprefix("/"), EmptyView.as_view()), *anchor.urlpatterns]
