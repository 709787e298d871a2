"""How alike two names are, from 0 to 100. Pure.

A name is compared as a set of words, written in Latin letters, without case, accents, titles,
particles and legal forms, and with the spellings that transliterations mix up made one ("Mohammed",
"Muhammad"). The score answers two questions: how well the words of the shorter name are found in
the longer one, and how much of the longer one is left over.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache

from anyascii import anyascii
from rapidfuzz.distance import Indel

# Two words less alike than this (0 to 1) are different words.
MIN_WORD_LIKENESS = 0.75
# What a name loses when all that is left over is in the other one, at most: less than 15 points,
# so that a listed name can't be hidden among other words.
LEFT_OVER_COSTS = 0.15
# An initial says less than the name that it may stand for.
INITIAL_LIKENESS = 0.9
# One word found in a name of several: too little by itself, unless it is long and neither is a
# person's ("Rosneft").
SINGLE_WORD_FACTOR = 0.75
TELLING_WORD_FACTOR = 0.9
TELLING_LENGTH = 5
# A person's name that is like an organization's.
OTHER_KIND_COSTS = 10.0
# How alike two names must be when they are written as one word ("Abdulrahman", "Abd al-Rahman").
# Each point lost there counts double, for short names have little in them.
JOINED_WEIGHT = 2.0

# Only what is hardly ever a name itself.
_TITLES = frozenset(
    """
    mr mrs ms mister dr doctor prof professor sir shaykh sheikh sheik shaikh hajj haji hajji mullah
    mulla mawlawi maulavi maulana ayatollah jr sr ii iii srta herr frau
    """.split()  # noqa: SIM905
)
# Left out by some and written by others, though a few of them can be names ("Ben", "Al").
_PARTICLES = frozenset(
    """
    al el ul as ad bin ibn ben bint ould wuld de del della di da do dos das du la las le los les
    van von der den ter y e and the of
    """.split()  # noqa: SIM905
)
_LEGAL_FORMS = frozenset(
    """
    ltd limited ltda llc llp lp inc incorporated corp corporation co company cia compania plc sa
    sas srl sarl spa sapi cv ag gmbh kg ohg bv nv oy ab as aps pte pty pvt jsc ojsc pjsc cjsc
    ooo oao zao pao ao fze fzco fzc wll est sdn bhd kk group holding holdings trading
    international intl enterprise enterprises and the of de y
    """.split()  # noqa: SIM905
)
# Several letters or spellings for one sound, longest first. What is left are three vowels.
_SOUNDS = [
    *(("sch", "sh"), ("tch", "ch"), ("dzh", "j"), ("ough", "u"), ("ou", "u"), ("oo", "u")),
    *(("ee", "i"), ("ei", "i"), ("ey", "i"), ("ie", "i"), ("iy", "i"), ("ai", "i")),
    *(("ay", "i"), ("ph", "f"), ("kh", "k"), ("gh", "g"), ("dh", "d"), ("th", "t"), ("ck", "k")),
    *(("dj", "j"), ("ce", "se"), ("ci", "si"), ("ch", "C"), ("sh", "S"), ("x", "ks")),
    *(("q", "k"), ("c", "k"), ("w", "v"), ("y", "i"), ("o", "u"), ("e", "i"), ("z", "s")),
]
_SOUND = dict(_SOUNDS)
_SPELLING = re.compile("|".join(spelling for spelling, _ in _SOUNDS))
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u02be\u02bf`\u00b4]")


def split_words(text: str) -> list[str]:
    """The words of a name in small Latin letters and digits, in their order; any text will do."""
    text = _APOSTROPHES.sub("", text)
    if not text.isascii():
        text = _APOSTROPHES.sub("", _write_latin(text))
    return re.findall(r"[a-z0-9]+", text.lower())


def _write_latin(text: str) -> str:
    """Transliterated, without accents and symbols. Chinese has no spaces: each sign is a word."""
    return "".join(
        f" {anyascii(char)} "
        if "\u3400" <= char <= "\u9fff" or char >= "\U00020000"
        else anyascii(char)
        if char.isalnum()
        else " "
        for char in unicodedata.normalize("NFKD", text)
        if unicodedata.category(char)[0] != "M"
    )


@lru_cache(maxsize=2**14)
def _sound(word: str) -> str:
    """The word with the spellings of one sound made one: "Qadhafi" and "Kadafi" are equal."""
    plain = _SPELLING.sub(lambda match: _SOUND[match[0]], word)
    plain = re.sub(r"(.)\1+", r"\1", plain)
    return plain[:-1] if len(plain) > 3 and plain.endswith("h") else plain


def _drop(words: list[str], needless: Collection[str]) -> list[str]:
    """Without the `needless` words, unless none would be left."""
    return [word for word in words if word not in needless] or words


def _needed_words(text: str, kind: str) -> list[str]:
    words = split_words(text)
    if kind != "organization":
        words = _drop(words, _TITLES)
    if kind != "person":
        words = _drop(_join_letters(words), _LEGAL_FORMS)
    return words


def _join_letters(words: list[str]) -> list[str]:
    """Letters in a row, as "S.A." has them, become one word."""
    joined: list[str] = []
    run = ""
    for word in [*words, ""]:
        if len(word) == 1 and word.isalpha():
            run += word
            continue
        if run:
            joined.append(run)
            run = ""
        if word:
            joined.append(word)
    return joined


def weigh(word: str) -> int:
    """How much a word counts: by its length, within bounds, so that one long and common first name
    does not outweigh the rest."""
    return 1 if len(word) == 1 else min(max(len(word), 3), 6)


def word_likeness(one: str, other: str) -> float:
    """0 to 1; 0 for what are different words. A word that was written wrongly has its first or its
    last letter right."""
    if one == other:
        return 1.0
    if len(one) == 1 or len(other) == 1:
        return INITIAL_LIKENESS if one[0] == other[0] else 0.0
    if one[0] != other[0] and one[-1] != other[-1]:
        return 0.0
    return Indel.normalized_similarity(one, other, score_cutoff=MIN_WORD_LIKENESS)


@dataclass(frozen=True)
class ComparedName:
    """A name that is ready to be compared.

    `words` are as they are compared and `particles` those that hardly count; `joined` is the name
    written as one word, once for each order in which it may be written; `kind` is "person",
    "organization" or "" for either.
    """

    words: tuple[str, ...]
    particles: frozenset[str]
    joined: tuple[str, ...]
    kind: str = ""

    @cached_property
    def weight(self) -> int:
        return sum(map(weigh, self.words))


def prepare_name(text: str, *orders: str, kind: str = "") -> ComparedName:
    """Read a name, given in one or several orders of its words. Any text will do; one with nothing
    to compare has no words, and is like no other."""
    words = _needed_words(text, kind)
    joined = ["".join(words), *("".join(_needed_words(order, kind)) for order in orders)]
    telling = _drop(words, _PARTICLES)
    return ComparedName(
        words=tuple(map(_sound, telling)),
        particles=frozenset(words) & _PARTICLES if telling is not words else frozenset(),
        joined=tuple(dict.fromkeys(map(_sound, joined))),
        kind=kind,
    )


def name_score(one: ComparedName, other: ComparedName) -> float:
    """0 to 100; 100 for the same words in any order."""
    if not one.words or not other.words:
        return 0.0
    joined = (joined_score(a, b) for a in one.joined for b in other.joined)
    score = max(_words_score(one, other), *joined)
    if one.kind and other.kind and one.kind != other.kind:
        score -= OTHER_KIND_COSTS
    return max(score, 0.0)


def _words_score(one: ComparedName, other: ComparedName) -> float:
    short, long = sorted((one, other), key=lambda name: (name.weight, name.words))
    pairs = sorted(
        (
            (likeness, i, j)
            for i, word in enumerate(short.words)
            for j, candidate in enumerate(long.words)
            if (likeness := word_likeness(word, candidate))
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    wanted, left_over = set(range(len(short.words))), set(range(len(long.words)))
    matched = 0.0
    longest = 0
    for likeness, i, j in pairs:
        if i in wanted and j in left_over:
            wanted.remove(i)
            left_over.remove(j)
            matched += likeness * weigh(short.words[i])
            letters = min(len(short.words[i]), len(long.words[j]))
            if letters > 1 or likeness == 1:  # initials alone tell nothing
                longest = max(longest, letters)
    if not longest:
        return 0.0
    rest = sum(weigh(long.words[j]) for j in left_over)
    score = 100 * matched / short.weight * (1 - LEFT_OVER_COSTS * rest / long.weight)
    in_common = len(short.words) - len(wanted) + len(one.particles & other.particles)
    if in_common < 2 <= max(len(name.words) + len(name.particles) for name in (one, other)):
        is_telling = "person" not in (one.kind, other.kind) and longest >= TELLING_LENGTH
        score *= TELLING_WORD_FACTOR if is_telling else SINGLE_WORD_FACTOR
    return score


def joined_score(one: str, other: str) -> float:
    """How alike two names are when the spaces between their words say nothing. They must begin
    and end alike."""
    if one[0] != other[0] or one[-1] != other[-1]:
        return 0.0
    likeness = 100 * Indel.normalized_similarity(one, other)
    return max(100 - JOINED_WEIGHT * (100 - likeness), 0.0)
