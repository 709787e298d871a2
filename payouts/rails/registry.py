"""Which rail delivers which funding method: the `[rails]` of the anchor's configuration."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.utils.module_loading import import_string

from payouts.rails.base import Rail


class UnknownMethod(LookupError):
    """No rail is configured for this funding method."""


def find_rail_path(method: str) -> str:
    """The dotted path of the rail for a funding method. Raises `UnknownMethod`."""
    try:
        return str(settings.ANCHOR["rails"][method])
    except KeyError as error:
        raise UnknownMethod(f"no rail is configured for {method}") from error


@lru_cache(maxsize=32)
def load_rail(path: str) -> Rail:
    """The rail at a dotted path. Raises `ImportError`."""
    rail: Rail = import_string(path)()
    return rail


def rail_for(method: str) -> Rail:
    """The rail for a funding method. Raises `UnknownMethod`."""
    return load_rail(find_rail_path(method))
