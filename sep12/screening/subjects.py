"""Which names of a customer are held against the lists. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sep12.screening import (
    BIRTH_DATES,
    ORGANIZATION_COUNTRIES,
    OTHER_NAMES,
    PERSON_COUNTRIES,
    PERSON_NAMES,
)
from sep12.screening.evidence import Facts
from sep12.screening.names import ComparedName, prepare_name


@dataclass(frozen=True)
class Subject:
    """One name of a customer, and what we know of whose name it is."""

    name: ComparedName
    facts: Facts


def read_subjects(values: Mapping[str, str]) -> list[Subject]:
    """The names among a customer's values (SEP-9 field -> text); [] if there are none.

    First, additional and last name are one name. What we know of the customer says nothing about
    its directors, shareholders or whose card it is.
    """
    subjects = []
    parts = [values[field] for field in PERSON_NAMES if field in values]
    if parts:
        given_last = " ".join([*parts[-1:], *parts[:-1]])
        subjects.append(
            Subject(
                prepare_name(" ".join(parts), given_last, kind="person"),
                Facts(_values(values, BIRTH_DATES), _values(values, PERSON_COUNTRIES)),
            )
        )
    for field, kind in OTHER_NAMES.items():
        if field in values:
            countries = ORGANIZATION_COUNTRIES if kind == "organization" else ()
            facts = Facts(countries=_values(values, countries))
            subjects.append(Subject(prepare_name(values[field], kind=kind), facts))
    return [subject for subject in subjects if subject.name.words]


def _values(values: Mapping[str, str], fields: Collection[str]) -> frozenset[str]:
    return frozenset(values[field] for field in fields if field in values)
