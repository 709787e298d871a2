"""Where each protocol lives. The paths here are the ones that stellar.toml announces."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from anchor import health

urlpatterns = [
    path("", include("sep1.urls")),  # /.well-known/stellar.toml
    path("", include("sep10.urls")),  # /auth
    path("sep12/", include("sep12.urls")),
    path("sep38/", include("sep38.urls")),
    path("sep31/", include("sep31.urls")),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("admin/", admin.site.urls),
]

handler400 = "kernel.api.bad_request"
handler403 = "kernel.api.permission_denied"
handler404 = "kernel.api.page_not_found"
handler500 = "kernel.api.server_error"
