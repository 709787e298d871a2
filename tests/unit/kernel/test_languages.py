"""Every word of ours is there in every language, and requests get the one that they ask for."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.languages import (
    LANGUAGES,
    OwnWords,
    Phrase,
    asked_language,
    find_language,
    join_phrases,
    read_catalogue,
    read_words,
    translate,
)
from sep12 import status
from sep12.sep9 import FIELDS
from sep31.machine import Reason
from sep31.messages import STATUS_MESSAGES

ROOMS = ("kernel", "sep1", "sep10", "sep12", "sep38", "sep31", "callbacks", "payouts", "stellar")
OTHERS = [language for language in LANGUAGES if language != "en"]
PLACES = re.compile(r"\{[a-z]+\}")


# -- What has to be there -----------------------------------------------------------------------
def phrases_of(path: Path) -> Iterator[str]:
    """The English of each `Phrase("...")` and `Phrase(CONSTANT)` of a module."""
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Phrase"):
            continue
        words = node.args[0]
        if isinstance(words, ast.Constant):
            yield str(words.value)
        elif isinstance(words, ast.Name) and words.id.isupper():
            yield getattr(module, words.id)


def refusals_of(path: Path) -> Iterator[str]:
    """The English of each `BadRequest("...")` of a module but for SEP-31's codes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BadRequest":
            words = node.args[0]
            assert not isinstance(words, ast.JoinedStr), f"{path}:{node.lineno} needs a Phrase"
            if isinstance(words, ast.Constant) and " " in str(words.value):
                yield str(words.value)


def all_words() -> set[str]:
    modules = [
        path
        for room in ROOMS
        for path in Path(room).rglob("*.py")
        if "Phrase(" in path.read_text("utf-8") and path != Path("kernel/languages.py")
    ]
    return {
        *STATUS_MESSAGES.values(),
        *(field.description for field in FIELDS.values()),
        *(status.BEING_CHECKED, status.CANNOT_ACCEPT),
        *(status.STILL_NEEDED, status.NEEDED_ANEW, status.TO_BE_VERIFIED),
        *(words for path in modules for words in phrases_of(path)),
        *refusals_of(Path("sep31/creation.py")),
        *refusals_of(Path("sep31/requests.py")),
        "an asset is named like stellar:USDC:G... or iso4217:USD",  # kernel.assets
    }


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch, settings):
    monkeypatch.chdir(settings.BASE_DIR)


def test_every_reason_has_a_message():
    assert set(STATUS_MESSAGES) == set(Reason)


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_all_our_words_and_no_others(language):
    catalogue, words = read_catalogue(language), all_words()
    assert words - set(catalogue) == set(), "not translated"
    assert set(catalogue) - words == set(), "said nowhere any more"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_says_something_else_with_the_same_values(language):
    for english, words in read_catalogue(language).items():
        assert words == words.strip() != "", english
        assert words != english
        assert sorted(PLACES.findall(words)) == sorted(PLACES.findall(english)), english
        assert words.endswith(".") == english.endswith("."), english
        assert "  " not in words, english


@pytest.mark.parametrize("language", OTHERS)
def test_identifiers_stand_as_they_are_in_a_translation(language):
    """Names of fields and endpoints are for programs."""
    identifiers = re.compile(r"\b[a-z0-9]+_[a-z0-9_]+\b|(?:GET|POST) /\w+|E\.164|ISO [0-9-]+")
    for english, words in read_catalogue(language).items():
        named = [name for name in identifiers.findall(english) if f"{{{name}}}" not in english]
        assert [name for name in named if name not in words] == [], english


# -- Saying it ----------------------------------------------------------------------------------
def test_a_phrase_is_its_english():
    phrase = Phrase("{field} must be at least {amount}", field="amount", amount="5")
    assert phrase == "amount must be at least 5"
    assert translate(phrase, "en") == phrase
    assert translate(phrase, "es") == "amount debe ser de al menos 5"


def test_a_value_is_said_as_it_is_unless_it_is_a_phrase_of_ours():
    assert translate(Phrase("by {methods}", methods="Sex"), "es") == "por Sex"
    assert translate(Phrase("by {methods}", methods=Phrase("Sex")), "es") == "por Sexo"
    assert translate(Phrase("by {methods}", methods="{field}"), "es") == "por {field}"


def test_sentences_are_translated_one_by_one():
    both = join_phrases([Phrase(status.BEING_CHECKED), "No such words."])
    assert both == "The information is being checked. No such words."
    assert translate(both, "pt") == "Os dados estão sendo verificados. No such words."


def test_braces_in_words_without_values_are_only_braces():
    words = next(words for words in read_catalogue("fr") if words.startswith("fields must be"))
    assert '{"transaction": {"nom": "valeur"}}' in translate(words, "fr")
    assert translate("{", "fr") == "{"


@pytest.mark.parametrize("language", ["de", "", "EN", "es-MX", "../es"])
def test_a_language_that_we_have_not_is_english(language):
    assert translate("Sex", language) == "Sex"


# -- Words of the configuration -----------------------------------------------------------------
def test_words_of_the_configuration_are_english_or_a_table():
    assert read_words(" A person. ") == "A person."
    words = read_words({"en": "A person.", "es": " Una persona. "})
    assert words == "A person."
    assert isinstance(words, OwnWords)
    assert translate(words, "es") == "Una persona."
    assert translate(words, "fr") == "A person."
    # Also where they stand within words of ours.
    assert translate(Phrase("by {methods}", methods=words), "es") == "por Una persona."


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (7, "must be text"),
        (["A person."], "must be text"),
        ({"es": "Una persona."}, "must be text in quotes, or a table like {en"),
        ({"en": "A person.", "de": "Eine Person."}, "'de', which is none of en, es, pt, fr"),
        ({"en": "A person.", "es": ""}, "no text in quotes for es"),
        ({"en": 7}, "no text in quotes for en"),
    ],
)
def test_a_table_that_can_not_be_read_is_refused(given, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        read_words(given)


# -- Which language -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lang", "accepted", "language"),
    [
        (None, None, None),
        ("es", None, "es"),
        ("ES", None, "es"),
        ("pt-BR", None, "pt"),
        ("fr_CA", None, "fr"),
        # `lang` wins, and one that we don't speak is English.
        ("pt", "es", "pt"),
        ("de", "es", "en"),
        ("spa", None, "en"),
        ("", "es", "es"),
        # Accept-Language: the best that we speak.
        (None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, "en;q=0.2, fr;q=0.7, de", "fr"),
        (None, "es;q=0.1,pt;q=0.1001", None),  # three decimals at most: not a header
        (None, "es;q=0", None),
        (None, "es;q=0, pt;q=0.1", "pt"),
        (None, "de, ja", None),
        (None, "*", None),
        (None, "pt, *;q=0.5", "pt"),
        (None, "*, es;q=0.5", None),
        (None, "", None),
        (None, ";q=1", None),
        (None, "es;q=7", None),
        (None, "español", None),
        (None, "es," * 5000, "es"),
        (None, "e" * 5000, None),
    ],
)
def test_the_language_that_a_request_asks_for(lang, accepted, language):
    assert asked_language(lang, accepted) == language


@given(lang=st.none() | st.text(), accepted=st.none() | st.text())
def test_whatever_is_asked_for_it_is_one_of_ours_or_none(lang, accepted):
    assert asked_language(lang, accepted) in (*LANGUAGES, None)


@given(st.from_regex(r"\A([a-z]{1,8}(-[a-z0-9]{1,8})?(;q=[01](\.[0-9]{0,3})?)?,?){1,9}\Z"))
def test_whatever_header_is_sent_the_language_stands_in_it(accepted):
    found = asked_language(None, accepted)
    assert found is None or found in accepted


@pytest.mark.parametrize("tag", ["en", "en-GB", "EN_us"])
def test_a_tag_names_its_primary_language(tag):
    assert find_language(tag) == "en"
