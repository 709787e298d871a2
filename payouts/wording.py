"""What a rail says of itself, made fit to keep."""

from __future__ import annotations

import re


def clean_reference(text: str) -> str:
    """A rail's own id of a payment: at most 100 visible ASCII characters, or nothing."""
    return text if re.fullmatch(r"[\x21-\x7e]{1,100}", text) else ""
