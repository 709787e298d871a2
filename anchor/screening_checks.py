"""System checks of sanctions screening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from sep12.screening import screening_enabled
from sep12.screening.lists import find_problems, required_lists


@register()
def check_screening(**kwargs: Any) -> list[CheckMessage]:
    """The lists and the threshold can be understood."""
    found: list[CheckMessage] = []
    try:
        required_lists()
    except ImproperlyConfigured as error:
        found.append(
            Error(
                f"{error}.",
                hint="For example SANCTIONS_LISTS=ofac:ofac-sdn:/lists/sdn.csv;/lists/alt.csv",
                id="landfall.E018",
            )
        )
    if not 50 <= settings.SCREENING_THRESHOLD <= 100:
        found.append(
            Error(
                "SCREENING_THRESHOLD is not from 50 to 100.",
                hint="85, the default, is what docs/screening.md describes.",
                id="landfall.E019",
            )
        )
    return found


@register(Tags.database)
def check_lists(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The required lists are loaded and fresh. Asks the database: `check --database default`."""
    if not databases or not screening_enabled():
        return []
    try:
        problems = find_problems()
    except (DatabaseError, ImproperlyConfigured):  # before the first migrate; or E018
        return []
    return [
        Warning(
            problem,
            hint="Get the list's files again and run manage.py load_sanctions_list.",
            id="landfall.W004",
        )
        for problem in problems
    ]
