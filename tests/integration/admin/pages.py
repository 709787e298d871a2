"""Every page of the admin, found from its URL patterns, and what is in the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from kernel.admin import ConfirmedAction, RecordAdmin

# What any visit may touch: that somebody is there.
NOT_OURS = {"sessions.Session", "contenttypes.ContentType"}


def ours() -> list[tuple[Any, Any]]:
    """(model, its admin) of everything that is registered."""
    return list(admin.site._registry.items())


def list_url(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_url(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def action_url(row: Any, name: str) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


def all_actions() -> Iterator[tuple[Any, ConfirmedAction]]:
    for model, model_admin in ours():
        if isinstance(model_admin, RecordAdmin):
            for action in model_admin.confirmed_actions:
                yield model, action


def press(client: Client, row: Any, action: str, **data: str) -> Any:
    """Open the confirmation page of an action and press its button."""
    url = action_url(row, action)
    page = client.get(url)
    assert page.status_code == 200, page
    seen = re.search(r'name="seen" value="([0-9a-f]{64})"', page.content.decode())
    return client.post(url, {"seen": seen.group(1) if seen else "", **data}, follow=True)


def every_url() -> Iterator[str]:
    """All URLs under /admin/, with the keys of one row of each model filled in."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            whole = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, whole)
            elif isinstance(pattern, URLPattern):
                yield whole, pattern

    models = {f"{m._meta.app_label}/{m._meta.model_name}": m for m, _ in ours()}
    for pattern, _ in walk(get_resolver().url_patterns, "/"):
        if not pattern.startswith("/admin/"):
            continue
        of = next((model for name, model in models.items() if f"/{name}/" in pattern), None)
        key = of.objects.values_list("pk", flat=True).first() if of else None
        filled = re.sub(r"<(\w+:)?(object_id|id)>", str(key or 1), pattern)
        filled = re.sub(r"<(\w+:)?content_type_id>", "1", filled)
        filled = re.sub(r"\(\?P<url>.*|\(\?P<app_label>.*", "sep31/", filled)
        assert "<" not in filled, f"how is {pattern} filled in?"
        yield filled.replace("^", "").replace("$", "")


def whole_database() -> dict[str, list[Any]]:
    """All rows of all tables."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.label not in NOT_OURS
    }
