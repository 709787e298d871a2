"""Where what was done about a customer is remembered."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from kernel.admin import RecordAdmin


class OfCustomerAdmin(RecordAdmin):
    """A record that is about a customer, in whose history all is that was done to either."""

    def find_row(self, request: HttpRequest, object_id: str) -> Any:
        """The record, for one who may see it. Raises `Http404`, `PermissionDenied`."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("no such record")
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        customer = self.find_row(request, object_id).customer_id
        return HttpResponseRedirect(reverse("admin:sep12_customer_history", args=[customer]))
