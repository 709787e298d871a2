"""Where each protocol lives. The paths here are the ones that stellar.toml announces."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from anchor import documentation, health
from sep12.webhooks import ProviderAnswerView

# What is asked most comes first: each address is looked for in this order.
urlpatterns = [
    path("sep31/", include("sep31.urls")),
    path("sep12/", include("sep12.urls")),
    path("sep38/", include("sep38.urls")),
    path("", include("sep10.urls")),  # /auth
    path("", include("sep1.urls")),  # /.well-known/stellar.toml
    path("webhooks/kyc", ProviderAnswerView.as_view()),
    path("health/live", health.LiveView.as_view()),
    path("health/ready", health.ReadyView.as_view()),
    path("openapi.json", documentation.OpenApiView.as_view(), name="openapi"),
    path("docs", documentation.DocsView.as_view()),
    path("admin/", admin.site.urls),
]

handler400 = "anchor.error_pages.bad_request"
handler403 = "anchor.error_pages.permission_denied"
handler404 = "anchor.error_pages.page_not_found"
handler500 = "anchor.error_pages.server_error"
