"""Reading the lists' files: OFAC's delimited ones and OpenSanctions' targets.simple.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sep12.screening.formats import ListedName, ListError, read_list

# As OFAC writes them: no header, nulls as `-0- `, quoted text, CRLF, and 1A at the end.
SDN = (
    '2676,"AL ZAWAHIRI, Dr. Ayman","individual","SDGT] [SYRIA","Leader of JIHAD GROUP",'
    "-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"
    "\"DOB 19 Jun 1951; alt. DOB 1953; POB Giza, Egypt; nationality Iran; a.k.a. 'DOC'.\"\r\n"
    '36,"AERO ""CARIB"" AIRLINES, S.A.",-0- ,"CUBA",'
    "-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \r\n"
    '4234,"HERMANN","vessel","CUBA",-0- ,"CL2685","General Cargo","2597","1098","Cuba",'
    '"Compania Navegacion",-0- \r\n'
    "\x1a\r\n"
)
ALT = '2676,4761,"aka","SALIM, Ahmad Fuad",-0- \r\n36,12,"aka","AERO-CARIBBEAN",-0- \r\n'
ADD = (
    '36,25,-0- ,"Havana","Cuba",-0- \r\n'
    '36,26,"Main Street, 5","Pyongyang","Korea, North",-0- \r\n'
    '2676,1834,-0- ,-0- ,"undetermined",-0- \r\n'
    "4234,9,-0- ,-0- ,-0- ,-0- \r\n"
)
COMMENTS = '2676,"; citizen Pakistan."\r\n'

TARGETS = (
    '"id","schema","name","aliases","birth_date","countries","addresses","identifiers",'
    '"sanctions","phones","emails","program_ids","dataset","first_seen","last_seen","last_change"\n'
    '"NK-1","Person","Jane ""J"" Fiction","J. Fiction;Джейн","1970-01-02;1971","ru;ua-cri;suhh",'
    '"Moscow; 1, Street","","reason","+7 000","j@example.test","GB-RUS;EU-RUS","UK list",'
    '"2022-03-01","2026-09-15","2026-01-01"\n'
    '"NK-2","Vessel","FICTIONAL TANKER","","","","","IMO1","","","","","EU","","",""\n'
    '"NK-3","LegalEntity","Romashka","","","","","","","","","","EU","","",""\n'
)


def write(tmp_path: Path, **contents: str | bytes) -> list[Path]:
    paths = []
    for name, content in contents.items():
        path = tmp_path / f"{name}.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(path)
    return paths


def read(list_format: str, tmp_path: Path, **contents: str | bytes) -> list[ListedName]:
    return list(read_list(list_format, write(tmp_path, **contents)))


def test_ofacs_files_are_joined_by_the_entrys_number(tmp_path: Path) -> None:
    found = read("ofac-sdn", tmp_path, alt=ALT, sdn=SDN, add=ADD, sdn_comments=COMMENTS)
    person: dict[str, Any] = {
        "entry": "2676",
        "kind": "person",
        "birth_dates": ("1951-06-19", "1953"),
        "countries": ("IRN", "PAK", "EGY"),
        "programs": ("SDGT", "SYRIA"),
    }
    company: dict[str, Any] = {
        "entry": "36",
        "kind": "organization",
        "countries": ("CUB", "PRK"),
        "programs": ("CUBA",),
    }
    assert found == [
        ListedName(name="AL ZAWAHIRI, Dr. Ayman", **person),
        ListedName(name="SALIM, Ahmad Fuad", **person),
        ListedName(name='AERO "CARIB" AIRLINES, S.A.', **company),
        ListedName(name="AERO-CARIBBEAN", **company),
    ]


def test_sdn_csv_alone_is_a_list(tmp_path: Path) -> None:
    names = [one.name for one in read("ofac-sdn", tmp_path, sdn=SDN)]
    assert names == ["AL ZAWAHIRI, Dr. Ayman", 'AERO "CARIB" AIRLINES, S.A.']


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("latin-1"),
        lambda text: text.encode("utf-8"),
        lambda text: b"\xef\xbb\xbf" + text.replace("\r\n", "\n").encode("utf-8"),
    ],
    ids=["Latin-1", "UTF-8", "UTF-8 with a mark, LF"],
)
def test_each_encoding_of_the_files_is_understood(tmp_path: Path, encode) -> None:
    text = SDN.replace("AL ZAWAHIRI", "PEÑA MÜLLER")
    assert read("ofac-sdn", tmp_path, sdn=encode(text))[0].name == "PEÑA MÜLLER, Dr. Ayman"


@pytest.mark.parametrize(
    ("remark", "dates"),
    [
        ("DOB 10 Dec 1948.", ("1948-12-10",)),
        ("DOB Dec 1948;", ("1948-12",)),
        ("DOB circa 1950; alt. DOB circa 1952.", ("1950", "1952")),
        ("DOB 1958 to 1960.", ("1958", "1959", "1960")),
        ("DOB 01 Jan 1958 to 31 Dec 1959.", ("1958", "1959")),
        ("DOB unknown.", ()),
        ("DOB 99 Foo 1950.", ("1950",)),
    ],
)
def test_ofacs_birth_dates_are_read(tmp_path: Path, remark: str, dates: tuple[str, ...]) -> None:
    row = f'7,"DOE, John","individual","SDGT",{"-0- ," * 7}"{remark}"\r\n'
    assert read("ofac-sdn", tmp_path, sdn=row)[0].birth_dates == dates


def test_opensanctions_rows_are_read_by_their_headers(tmp_path: Path) -> None:
    found = read("opensanctions", tmp_path, targets=TARGETS)
    person: dict[str, Any] = {
        "entry": "NK-1",
        "kind": "person",
        "birth_dates": ("1970-01-02", "1971"),
        "countries": ("RUS", "UKR"),
        "programs": ("GB-RUS", "EU-RUS"),
    }
    assert found == [
        ListedName(name='Jane "J" Fiction', **person),
        ListedName(name="J. Fiction", **person),
        ListedName(name="Джейн", **person),
        ListedName("NK-3", "", "Romashka", programs=("EU",)),
    ]


@pytest.mark.parametrize(
    ("list_format", "contents", "says"),
    [
        ("ofac-sdn", {"alt": ALT}, "sdn.csv"),
        ("ofac-sdn", {"sdn": SDN, "sdn2": SDN}, "same kind"),
        ("ofac-sdn", {"sdn": SDN, "x": "a,b,c\n"}, "3 columns"),
        ("ofac-sdn", {"sdn": SDN, "x": ""}, "0 columns"),
        ("ofac-sdn", {"sdn": SDN, "alt": ALT + '99,1,"aka","NOBODY",-0- \r\n'}, "entry 99"),
        ("ofac-sdn", {"sdn": SDN + '5,"CUT OFF"\r\n'}, "row 4 of sdn.csv"),
        ("ofac-sdn", {"sdn": SDN + '6,"CUT OFF IN THE MIDD'}, "not a CSV file"),
        ("ofac-sdn", {"sdn": SDN.replace("2676", "٢")}, "row 1 of sdn.csv"),
        ("ofac-sdn", {"sdn": "<html>,,,,,,,,,,,</html>\n"}, "row 1 of sdn.csv"),
        ("ofac-sdn", {"sdn": f'1,"{"x" * 1_000_001}"' + "," * 10}, "not a CSV file"),
        ("opensanctions", {"targets": "<html></html>"}, "no column"),
        ("opensanctions", {"targets": ""}, "no column"),
        ("opensanctions", {"targets": TARGETS + '"NK-4","Person"\n'}, "row 5"),
        ("excel", {}, "no format"),
    ],
)
def test_a_file_that_is_not_as_its_format_says_is_refused(
    tmp_path: Path, list_format: str, contents: dict[str, str], says: str
) -> None:
    with pytest.raises(ListError, match=says):
        read(list_format, tmp_path, **contents)


def test_control_characters_and_endless_names_do_not_reach_the_database(tmp_path: Path) -> None:
    text = TARGETS.replace("Romashka", "Ro\x00ma\x07shka" + "x" * 1000)
    [*_, name] = read("opensanctions", tmp_path, targets=text)
    assert name.name.startswith("Romashkax")
    assert len(name.name) == 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=400), st.sampled_from(["ofac-sdn", "opensanctions"]))
def test_any_bytes_are_a_list_or_are_refused_in_words(
    tmp_path: Path, noise: bytes, list_format: str
) -> None:
    good = SDN if list_format == "ofac-sdn" else TARGETS
    for content in (noise, good.encode() + noise, noise + good.encode()):
        try:
            read(list_format, tmp_path, file=content)
        except ListError as error:
            assert str(error)
