"""Screening: customers' names are held against sanctions lists; operators decide on likenesses.

`names` compares, `formats` reads the lists' files, `lists` loads them, `index` finds likenesses
fast, `services` does it to customers. docs/screening.md says all of it for operators.
"""

from __future__ import annotations

from django.conf import settings

PERSON_NAMES = ("first_name", "additional_name", "last_name")
# Names of their own, each held against the lists by itself: SEP-9 field -> whose it can be.
OTHER_NAMES = {
    "organization.name": "organization",
    "organization.director_name": "person",
    "organization.shareholder_name": "",
    "card.holder_name": "",
}
BIRTH_DATES = frozenset({"birth_date"})
PERSON_COUNTRIES = frozenset({"address_country_code", "birth_country_code", "id_country_code"})
ORGANIZATION_COUNTRIES = frozenset({"organization.address_country_code"})

# Whoever changes one of these is screened anew: names, and by what a likeness is judged. A birth
# date counts because a wrong one, sent first and corrected later, could hide a likeness.
NAME_FIELDS: frozenset[str] = (
    frozenset(PERSON_NAMES)
    | OTHER_NAMES.keys()
    | BIRTH_DATES
    | PERSON_COUNTRIES
    | ORGANIZATION_COUNTRIES
)


def screening_enabled() -> bool:
    """Whether this installation holds customers against any list."""
    return bool(settings.SANCTIONS_LISTS)
