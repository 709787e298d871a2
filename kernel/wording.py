"""Words of a partner (a rail, a KYC provider) made fit to keep: text, short, and without our
clients in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_MESSAGE = 300
HIDDEN = "[hidden]"

# Five digits or more, however they are spaced: an account number, whoever's it is.
_LONG_NUMBER = re.compile(r"\d(?:[ .\-]?\d){4,}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\ufeff]+")
# What we look through: a partner's words may be as long as it likes, our time may not.
_MAX_INPUT = 2000


def clean_message(text: str, details: Mapping[str, str]) -> str:
    """At most 300 characters of `text` on one line, without the values of `details` in it.

    A value is found whole or word by word, whatever its case; so are long numbers of any origin.
    """
    text = _UNPRINTABLE.sub(" ", text[:_MAX_INPUT])
    text = _LONG_NUMBER.sub(HIDDEN, text)
    words = {word for value in details.values() for word in (value, *value.split()) if word}
    if words:
        # Longest first, or a part of a value would hide only its part.
        pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        text = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
    return " ".join(text.split())[:MAX_MESSAGE]
