"""The index finds the same likenesses that comparing with every listed name would find."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sep12.screening.index import MAX_REMEMBERED, NameIndex
from sep12.screening.names import name_score, prepare_name

SYLLABLES = ["ka", "mo", "li", "ra", "su", "ben", "dor", "che", "ya", "qi", "j", "al", "s"]
WORDS = st.lists(st.sampled_from(SYLLABLES), min_size=1, max_size=4).map("".join)
NAMES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
KINDS = st.sampled_from(["person", "organization", ""])


@given(st.lists(st.tuples(KINDS, NAMES), max_size=30), NAMES, KINDS, st.sampled_from([77.0, 90.0]))
@settings(max_examples=300)
def test_all_that_is_alike_is_found_and_nothing_else(
    listed: list[tuple[str, str]], text: str, kind: str, cutoff: float
) -> None:
    names = [prepare_name(name, kind=of) for of, name in listed]
    index = NameIndex((pk, of, name) for pk, (of, name) in enumerate(listed))
    wanted = prepare_name(text, kind=kind)
    scores = {pk: name_score(wanted, name) for pk, name in enumerate(names)}
    found = {one.pk: one.score for one in index.search(wanted, cutoff)}
    assert found == {pk: score for pk, score in scores.items() if score >= cutoff}


def test_the_best_likeness_comes_first() -> None:
    index = NameIndex([(1, "person", "Juan Carlos Mosquera"), (2, "person", "Juan Mosquera")])
    found = index.search(prepare_name("Mosquera Juan", kind="person"), 85)
    assert [one.pk for one in found] == [2, 1]
    assert found[0].score == 100


@pytest.mark.parametrize("text", ["", "  ", "\u0000", "???", "😀", "a", "的" * 255])
def test_any_name_can_be_looked_for(text: str) -> None:
    index = NameIndex([(1, "", "Juan Mosquera"), (2, "", ""), (3, "", "?"), (4, "", "X")])
    assert len(index) == 2
    assert index.search(prepare_name(text), 85) == []


def test_an_empty_index_finds_nothing() -> None:
    assert NameIndex([]).search(prepare_name("Juan Mosquera"), 85) == []


def test_what_an_index_remembers_is_bounded() -> None:
    chaos = random.Random(2)
    index = NameIndex([(1, "", "Juan Mosquera")])
    for _ in range(MAX_REMEMBERED // 10 + 50):
        words = ["".join(chaos.choices("abcdefgh", k=8)) for _ in range(10)]
        index.search(prepare_name(" ".join(words)), 85)
    assert 0 < len(index._remembered) <= MAX_REMEMBERED
