"""In which language people at the sending anchor, and their clients, read what we tell them.

The English words stand in the code, where they are said, and are the key to their translations in
`translations/<language>.toml`: whoever changes them is told by the tests to translate them anew.
What is not there (a KYC provider's words, an operator's) is said as it was written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation.trans_real import parse_accept_lang_header

ENGLISH = "en"
LANGUAGES = (ENGLISH, "es", "pt", "fr")  # ISO 639-1; as Latin America and Brazil write them

_TRANSLATIONS = Path(__file__).parent / "translations"


class Phrase(str):
    """English words with values in them that can be said in other languages too.

    `Phrase("amount must be at least {amount}", amount="5")` is "amount must be at least 5".
    Values are said as they are, but for those that are words of ours (`Phrase`, `OwnWords`).
    """

    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, **values: str) -> Phrase:
        made = super().__new__(cls, template.format(**values) if values else template)
        made.template, made.values = template, values
        return made


class OwnWords(str):
    """Words of the anchor's configuration: English, and what they are in other languages."""

    by_language: Mapping[str, str]

    def __new__(cls, by_language: Mapping[str, str]) -> OwnWords:
        made = super().__new__(cls, by_language[ENGLISH])
        made.by_language = by_language
        return made


def join_phrases(phrases: Sequence[str], separator: str = " ") -> Phrase:
    """One after the other, each to be translated by itself."""
    named = {f"part{index}": phrase for index, phrase in enumerate(phrases)}
    return Phrase(separator.join(f"{{{name}}}" for name in named), **named)


def translate(words: str, language: str) -> str:
    """`words` in one of our languages; in English where we don't have them, or it, in another."""
    known = _catalogues().get(language)
    if known is None:
        return words
    if isinstance(words, OwnWords):
        return words.by_language.get(language, words)
    if isinstance(words, Phrase):
        template = known.get(words.template, words.template)
        if not words.values:
            return template
        said = {
            name: translate(value, language) if isinstance(value, Phrase | OwnWords) else value
            for name, value in words.values.items()
        }
        return template.format(**said)
    return known.get(words, words)


@lru_cache(maxsize=1)
def _catalogues() -> dict[str, dict[str, str]]:
    """English to other words, by language; read once per process."""
    return {language: read_catalogue(language) for language in LANGUAGES if language != ENGLISH}


def read_catalogue(language: str) -> dict[str, str]:
    """The translations of one language, by their English."""
    return tomllib.loads((_TRANSLATIONS / f"{language}.toml").read_text("utf-8"))


def read_words(given: Any) -> str:
    """Words of the configuration: text, which is English, or a table of texts by language.

    Raises `ValueError` in words that fit after the name of what is read.
    """
    if isinstance(given, str):
        return given.strip()
    if not isinstance(given, Mapping) or ENGLISH not in given:
        raise ValueError('must be text in quotes, or a table like {en = "...", es = "..."}')
    if unknown := sorted(set(given) - set(LANGUAGES)):
        raise ValueError(f"has {unknown[0]!r}, which is none of {', '.join(LANGUAGES)}")
    for language, text in given.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"has no text in quotes for {language}")
    return OwnWords({language: text.strip() for language, text in given.items()})


def find_language(tag: str) -> str | None:
    """Which of ours a tag like `es`, `pt-BR` or `FR_ca` means; None if none."""
    primary = tag.replace("_", "-").partition("-")[0].lower()
    return primary if primary in LANGUAGES else None


def asked_language(lang: str | None, accepted: str | None) -> str | None:
    """The language that a request asks for, None if it leaves that to us.

    `lang` is its parameter (SEP-12, SEP-31: "Defaults to `en`"): it wins, and one that we don't
    speak is English. `accepted` is its Accept-Language (RFC 9110, 12.5.4).
    """
    if lang:
        return find_language(lang) or ENGLISH
    for tag, quality in parse_accept_lang_header(accepted) if accepted else ():
        if tag == "*":
            return None
        if quality > 0 and (found := find_language(tag)):
            return found
    return None
