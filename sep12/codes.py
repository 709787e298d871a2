"""The lists of codes that SEP-9 ("Encodings") refers to: ISO 3166, ISO 639-1 and ISCO-08. Pure.

Each list is read when it is first asked for, from a throw-away copy of pycountry's tables where
these are big (5 MB each): a web worker keeps only the codes.
"""

from __future__ import annotations

from functools import cache

import pycountry

# ISO 3166 leaves Kosovo to its users, who all use these: SWIFT, the EU, the IMF, CLDR. Its people
# receive payments too.
_KOSOVO = {"XK": "XKX"}


@cache
def countries() -> dict[str, str]:
    """ISO 3166-1 alpha-3 by alpha-2."""
    return {one.alpha_2: one.alpha_3 for one in pycountry.countries} | _KOSOVO


@cache
def alpha3_countries() -> dict[str, str]:
    """ISO 3166-1 alpha-2 by alpha-3."""
    return {alpha3: alpha2 for alpha2, alpha3 in countries().items()}


@cache
def subdivisions() -> frozenset[str]:
    """ISO 3166-2, such as US-CA."""
    table = pycountry.Subdivisions(pycountry.subdivisions.filename)
    return frozenset(one.code for one in table)


@cache
def languages() -> frozenset[str]:
    """ISO 639-1."""
    table = pycountry.Languages(pycountry.languages.filename)
    return frozenset(one.alpha_2 for one in table if hasattr(one, "alpha_2"))


# ISCO-08, minor groups. No package keeps this list, which has not changed since 2008.
# Source: ILO, "ISCO-08 EN Structure and definitions",
# https://ilostat.ilo.org/methods/concepts-and-definitions/classification-occupation/
_MINOR_GROUPS = """
    011 021 031
    111 112 121 122 131 132 133 134 141 142 143
    211 212 213 214 215 216 221 222 223 224 225 226 231 232 233 234 235 241 242 243 251 252
    261 262 263 264 265
    311 312 313 314 315 321 322 323 324 325 331 332 333 334 335 341 342 343 351 352
    411 412 413 421 422 431 432 441
    511 512 513 514 515 516 521 522 523 524 531 532 541
    611 612 613 621 622 631 632 633 634
    711 712 713 721 722 723 731 732 741 742 751 752 753 754
    811 812 813 814 815 816 817 818 821 831 832 833 834 835
    911 912 921 931 932 933 941 951 952 961 962
"""
OCCUPATIONS = frozenset(_MINOR_GROUPS.split())
