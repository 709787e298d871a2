"""Which names count as alike. The tables are the specification: a name of one list, a customer's,
and whether an operator must see them side by side at the default threshold of 85."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sep12.screening.evidence import Facts, weigh_evidence
from sep12.screening.names import name_score, prepare_name, split_words

THRESHOLD = 85


def score(one: str, other: str, kind: str = "person") -> float:
    return name_score(prepare_name(one, kind=kind), prepare_name(other, kind=kind))


@pytest.mark.parametrize(
    ("listed", "given_name"),
    [
        # Order, case, accents, punctuation
        ("MOSQUERA, Juan Carlos", "Juan Carlos Mosquera"),
        ("MÜLLER, José", "jose muller"),
        ("O'NEILL, Seán", "Sean O’Neill"),
        ("AL-ZAWAHIRI, Ayman", "Ayman al Zawahiri"),
        # Middle names that one side leaves out
        ("MOSQUERA, Juan Carlos", "Juan Mosquera"),
        ("GARCIA, Maria", "Maria Fernanda Garcia Lopez"),
        # Transliterations
        ("BIN LADIN, Usama", "Osama bin Laden"),
        ("AL-QADHAFI, Mu'ammar", "Muammar Gaddafi"),
        ("HASAN, Muhammad", "Mohammed Hassan"),
        ("HUSAYN, Ali", "Ali Hussein"),
        ("ISLAM, Yusuf", "Yousef Islam"),
        ("PETROV, Aleksandr", "Alexander Petrov"),
        ("IVANOV, Sergei", "Сергей Иванов"),
        ("Владимир Путин", "Vladimir Putin"),
        ("PAPADOPOULOS, Georgios", "Γιώργος Παπαδόπουλος"),
        ("XI, Jinping", "习近平"),
        # Written apart and together
        ("KHAN, Abd al-Rahman", "Khan Abdulrahman"),
        ("AL ZAWAHIRI, Ayman", "Ayman Alzawahiri"),
        ("KIM, Jong Un", "Kim Jong-un"),
        # Typos
        ("MOSQUERA, Juan Carlos", "Juan Carlos Mosqeura"),
        ("RODRIGUEZ OREJUELA, Gilberto", "Gilberto Rodrigez Orejuela"),
        ("SMITH, John", "Jon Smith"),
        # Initials
        ("MOSQUERA, Juan Carlos", "J. C. Mosquera"),
        ("SMITH, John", "J Smith"),
        # Honorifics
        ("AL ZAWAHIRI, Dr. Ayman", "Ayman al-Zawahiri"),
        ("Mullah Abdul SALAM", "Mr. Abdul Salam Jr."),
        # A listed name among other words
        ("MOSQUERA, Juan", "Pedro Ignacio Juan Mosquera de la Vega y Santander Gutierrez"),
    ],
)
def test_these_persons_names_are_alike(listed: str, given_name: str) -> None:
    assert score(listed, given_name) >= THRESHOLD


@pytest.mark.parametrize(
    ("listed", "given_name"),
    [
        ("MOSQUERA, Juan Carlos", "Juan Perez"),
        ("MOSQUERA, Juan Carlos", "Juan Carlos Perez"),
        ("HASSAN, Muhammad", "Mohammed Ali"),
        ("RAMON, Maria", "Marta Ramos"),
        ("FERNANDEZ, Maria", "Maria Rodriguez"),
        ("LI, Alexander", "Alexander Xu"),
        ("HUSSEIN, Ali", "Ali Hassan"),
        ("CHEN, Fei", "Chen Wei"),
        ("KIM, Jong Il", "Kim Jong Un"),
        ("AZIZ, Abdul", "Abdul Rahman"),
        ("PATRICIA", "Patricia Lopez"),
        ("AL ZAWAHIRI, Ayman", "Al Smith"),
        ("", "Juan Perez"),
        ("???", "!!!"),
    ],
)
def test_these_persons_names_are_not_alike(listed: str, given_name: str) -> None:
    assert score(listed, given_name) < THRESHOLD


@pytest.mark.parametrize(
    ("listed", "given_name"),
    [
        ("CIMEX, S.A.", "Cimex Trading Co. Ltd"),
        ("GALAX TRADING CO., LTD.", "Galax Trading"),
        ("HAVANA INTERNATIONAL BANK, LTD", "Havana Intl Bank"),
        ("ROSNEFT OIL COMPANY", "Rosneft"),
        ("Romashka LLC", "ООО «Ромашка»"),
    ],
)
def test_these_organizations_names_are_alike(listed: str, given_name: str) -> None:
    assert score(listed, given_name, "organization") >= THRESHOLD


@pytest.mark.parametrize(
    ("listed", "given_name"),
    [
        ("NATIONAL BANK OF CUBA", "National Bank of Kenya"),
        ("GALAX TRADING CO., LTD.", "Galaxy Tours Trading Co., Ltd."),
        ("ALFA SHIPPING LLC", "Beta Shipping LLC"),
    ],
)
def test_these_organizations_names_are_not_alike(listed: str, given_name: str) -> None:
    assert score(listed, given_name, "organization") < THRESHOLD


def test_a_person_called_like_an_organization_scores_less() -> None:
    person = prepare_name("Rosa Maria", kind="person")
    organization = prepare_name("ROSA MARIA S.A.", kind="organization")
    assert name_score(person, organization) == 90
    assert name_score(prepare_name("Rosa Maria"), organization) == 100


def test_a_name_given_in_both_orders_is_compared_in_both() -> None:
    listed = prepare_name("Khan Abd al-Rahman", kind="person")
    one_order = prepare_name("Abdulrahman Khan", kind="person")
    both = prepare_name("Abdulrahman Khan", "Khan Abdulrahman", kind="person")
    assert name_score(one_order, listed) < THRESHOLD <= name_score(both, listed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("d'Arc, Jeanne-Marie", ["darc", "jeanne", "marie"]),
        ("Ĳsbrand Œuvre ß", ["ijsbrand", "oeuvre", "ss"]),
        ("Ｆｕｌｌ　Ｗｉｄｔｈ", ["full", "width"]),
        ("Ana 😀 Žižek\u0301", ["ana", "zizek"]),
        ("\u0000\u202e ٣", ["3"]),
    ],
)
def test_words_are_written_in_plain_latin_letters(text: str, words: list[str]) -> None:
    assert split_words(text) == words


ANY_NAME = st.text(max_size=60)
KINDS = st.sampled_from(["person", "organization", ""])


@given(ANY_NAME, KINDS)
def test_any_name_is_like_itself(text: str, kind: str) -> None:
    name = prepare_name(text, kind=kind)
    assert name_score(name, name) == (100 if name.words else 0)


@given(ANY_NAME, ANY_NAME, KINDS, KINDS)
def test_any_two_names_score_the_same_both_ways(
    one: str, other: str, one_kind: str, other_kind: str
) -> None:
    a, b = prepare_name(one, kind=one_kind), prepare_name(other, kind=other_kind)
    assert 0 <= name_score(a, b) <= 100
    assert name_score(a, b) == pytest.approx(name_score(b, a))


@given(
    st.lists(st.text(alphabet="abdeiklmnorstuvz", min_size=2, max_size=9), min_size=1), st.data()
)
def test_the_order_of_words_does_not_matter(words: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(words))
    assert score(" ".join(words), " ".join(shuffled)) == 100


def test_a_listed_name_can_not_be_hidden_among_many_words() -> None:
    chaos = random.Random(4)
    junk = ["".join(chaos.choices("bcdfglmnprstv", k=7)) for _ in range(25)]
    words = [*junk, "Juan", "Mosquera"]
    chaos.shuffle(words)
    assert score("MOSQUERA, Juan", " ".join(words)) >= THRESHOLD


# -- Birth dates and countries ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "listed", "gained"),
    [
        ("1960-08-31", {"1960-08-31"}, 5),
        ("1960-08-31", {"1953", "1960"}, 5),
        ("1960-08-31", {"1960-08"}, 5),
        ("1960-03-12", {"1960-12-03"}, 5),  # day and month the other way round
        ("1960-08-31", {"1961"}, 0),
        ("1960-08-31", {"1960-02-01"}, 0),
        ("1960-08-31", {"1975", "1980-08-31"}, -15),
        ("1960-08-31", set(), 0),
    ],
)
def test_a_birth_date_raises_or_lowers_the_score(ours: str, listed: set, gained: int) -> None:
    after, said = weigh_evidence(80, Facts(frozenset({ours})), Facts(frozenset(listed)))
    assert after == 80 + gained
    assert bool(said) == bool(gained)


def test_a_country_raises_or_lowers_the_score() -> None:
    egypt, mexico = Facts(countries=frozenset({"EGY"})), Facts(countries=frozenset({"MEX", "USA"}))
    assert weigh_evidence(90, egypt, mexico) == (85, ["other country (-5)"])
    assert weigh_evidence(90, egypt, egypt) == (93, ["same country (+3)"])
    assert weigh_evidence(90, egypt, Facts()) == (90, [])


def test_equal_names_stay_a_hit_when_only_the_birth_date_differs() -> None:
    born = Facts(frozenset({"1990-01-01"}))
    assert weigh_evidence(100, born, Facts(frozenset({"1950"})))[0] >= THRESHOLD
