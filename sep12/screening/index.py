"""All listed names in memory, so that one customer is held against 100,000 names in milliseconds.

Only workers build it, when they screen their first customer, and again when a list changed.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import Indel

from sep12.screening.names import (
    JOINED_WEIGHT,
    MIN_WORD_LIKENESS,
    ComparedName,
    name_score,
    prepare_name,
    weigh,
)

# First names repeat from customer to customer; so many words are remembered with what is like them.
MAX_REMEMBERED = 20_000


@dataclass(frozen=True)
class Likeness:
    """A listed name (`pk` of its SanctionsName) and its score."""

    pk: int
    score: float


class NameIndex:
    """Finds every listed name whose score reaches a cutoff: the same ones that comparing with each
    of them would find (tests/unit/sep12/test_screening_index.py).

    Two ways lead to a name: a word that is like one of its words, and the whole name written as
    one word.
    """

    def __init__(self, names: Iterable[tuple[int, str, str]]) -> None:
        """`names`: (pk, kind, name) of each listed name. Those with nothing to compare are left
        out."""
        self._pks = array("q")
        self._names: list[tuple[str, str, str, str]] = []  # words, particles, ...
        self._weights = array("H")
        self._has_initial = bytearray()
        postings: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
        by_ends: defaultdict[str, tuple[list[str], array[int]]] = defaultdict(
            lambda: ([], array("I"))
        )
        for pk, kind, text in names:
            name = prepare_name(text, kind=kind)
            if not name.words:
                continue
            position = len(self._pks)
            [joined] = name.joined
            self._pks.append(pk)
            self._names.append((" ".join(name.words), " ".join(name.particles), joined, kind))
            self._weights.append(min(name.weight, 2**16 - 1))
            self._has_initial.append(any(len(word) == 1 for word in name.words))
            for word in set(name.words):
                postings[word].append(position)
            texts, positions = by_ends[_ends(joined)]
            texts.append(joined)
            positions.append(position)
        self._postings = dict(postings)
        self._by_first: defaultdict[str, list[str]] = defaultdict(list)
        self._by_last: defaultdict[str, list[str]] = defaultdict(list)
        for word in self._postings:
            if len(word) > 1:
                self._by_first[word[0]].append(word)
                self._by_last[word[-1]].append(word)
        self._by_ends = dict(by_ends)
        self._remembered: dict[str, list[tuple[str, float]]] = {}

    def __len__(self) -> int:
        return len(self._pks)

    def search(self, name: ComparedName, cutoff: float) -> list[Likeness]:
        """The listed names that score `cutoff` (0 to 100) or more, best first."""
        candidates = self._by_words(name, cutoff) | self._by_joined(name, cutoff)
        found = []
        for position in candidates:
            score = name_score(name, self._name(position))
            if score >= cutoff:
                found.append(Likeness(self._pks[position], score))
        return sorted(found, key=lambda likeness: (-likeness.score, likeness.pk))

    def _name(self, position: int) -> ComparedName:
        words, particles, joined, kind = self._names[position]
        return ComparedName(tuple(words.split()), frozenset(particles.split()), (joined,), kind)

    def _by_words(self, name: ComparedName, cutoff: float) -> set[int]:
        """Positions of names that may reach `cutoff` by their words: no such name is missing."""
        reached: defaultdict[int, float] = defaultdict(float)
        for word in set(name.words):
            times = name.words.count(word)
            for other, likeness in self._like(word):
                gain = likeness * max(weigh(word), weigh(other)) * times
                for position in self._postings[other]:
                    reached[position] += gain
        if any(len(word) == 1 for word in name.words):
            return set(reached)
        share = cutoff / 100 - 1e-9  # sums of fractions are a little off
        return {
            position
            for position, gain in reached.items()
            if self._has_initial[position]
            or gain >= share * min(name.weight, self._weights[position])
        }

    def _like(self, word: str) -> list[tuple[str, float]]:
        """The listed words that `word` may stand for, and how like they are."""
        if len(word) == 1:
            # What an initial may stand for is looked at in the names that the other words find.
            return [(word, 1.0)] if word in self._postings else []
        remembered = self._remembered.get(word)
        if remembered is None:
            alike = [
                found
                for words in (self._by_first.get(word[0]), self._by_last.get(word[-1]))
                for found in process.extract(
                    word,
                    words or [],
                    scorer=Indel.normalized_similarity,
                    score_cutoff=MIN_WORD_LIKENESS,
                    limit=None,
                )
            ]
            remembered = list({other: likeness for other, likeness, _ in alike}.items())
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[word] = remembered
        return remembered

    def _by_joined(self, name: ComparedName, cutoff: float) -> set[int]:
        found = set()
        for joined in name.joined:
            texts, positions = self._by_ends.get(_ends(joined), ([], array("I")))
            alike = process.extract(
                joined,
                texts,
                scorer=Indel.normalized_similarity,
                score_cutoff=1 - (100 - cutoff) / JOINED_WEIGHT / 100,
                limit=None,
            )
            found |= {positions[at] for _, _, at in alike}
        return found


def _ends(word: str) -> str:
    return word[:1] + word[-1:]
