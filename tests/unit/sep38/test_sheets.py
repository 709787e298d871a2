"""Sheets of rates as strangers send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sep38.sheets import Sheet, read_ecb_xml, read_json_sheet

ECB = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
    xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
  <Cube>
    <Cube time='2026-11-20'>
      <Cube currency='USD' rate='1.1000'/>
      <Cube currency='MXN' rate='20.9000'/>
      <Cube currency='IDR' rate='17868.50'/>
    </Cube>
  </Cube>
</gesmes:Envelope>"""


def test_the_ecbs_rates_are_for_one_euro_on_a_day():
    sheet = read_ecb_xml(ECB)
    assert sheet.base == "EUR"
    assert sheet.as_of.date().isoformat() == "2026-11-20"
    assert sheet.per_base == {
        "USD": Decimal("1.1"),
        "MXN": Decimal("20.9"),
        "IDR": Decimal("17868.5"),
    }


def test_the_ecbs_rates_are_never_taken_for_younger_than_they_are():
    # 14:15 in Frankfurt is 12:15 UTC in summer, 13:15 in winter.
    assert read_ecb_xml(ECB).as_of == datetime(2026, 11, 20, 12, 15, tzinfo=UTC)


def test_two_currencies_are_crossed_through_the_base_and_rounded_down():
    sheet = read_ecb_xml(ECB)
    assert sheet.rate("USD", "MXN") == 19
    assert sheet.rate("EUR", "MXN") == Decimal("20.9")
    assert sheet.rate("MXN", "EUR") == Decimal("0.047846889952")  # ...1531, down
    assert sheet.rate("IDR", "USD") == Decimal("0.000061560847")  # ...7829, down
    assert sheet.rate("EUR", "EUR") == sheet.rate("USD", "USD") == 1


def test_what_a_sheet_does_not_know_has_no_rate():
    sheet = read_ecb_xml(ECB)
    for sell, buy in (("USD", "COP"), ("COP", "USD"), ("", "USD"), ("USD", "")):
        assert sheet.rate(sell, buy) is None


def test_a_rate_that_our_table_cannot_hold_is_none():
    now = datetime.now(UTC)
    assert Sheet("A", now, {"B": Decimal("1e-13")}).rate("A", "B") is None
    assert Sheet("A", now, {"B": Decimal("1e-13")}).rate("B", "A") is None


def test_of_several_days_the_newest_counts():
    older = ECB.split(b"<Cube>", 1)[1].rsplit(b"</Cube>", 1)[0]
    older = older.replace(b"2026-11-20", b"2026-11-19").replace(b"20.9000", b"21.5000")
    for both in (
        ECB.replace(b"<Cube>\n", b"<Cube>" + older, 1),
        ECB.replace(b"</Cube>\n</gesmes", older + b"</Cube></gesmes", 1),
    ):
        sheet = read_ecb_xml(both)
        assert sheet.as_of.date().isoformat() == "2026-11-20"
        assert sheet.per_base["MXN"] == Decimal("20.9")


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>"""
FILE = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>"""


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"<", b"<x/>", b"\xff\xfe\x00", b"{}", BOMB, FILE),
        ECB.replace(b"2026-11-20", b"tomorrow"),
        ECB.replace(b"2026-11-20", b"2026-02-30"),
        ECB.replace(b'encoding="UTF-8"', b'encoding="utf-7"'),
        ECB[:-30],
    ],
)
def test_what_is_no_sheet_in_the_ecbs_format_is_refused(raw):
    with pytest.raises(ValueError):
        read_ecb_xml(raw)


@pytest.mark.parametrize(
    "rate", [b"0", b"-1", b"NaN", b"1e5", b"1,5", b"", "\u0661".encode(), b"9" * 5000]
)
def test_a_rate_that_is_none_takes_nothing_from_the_others(rate):
    sheet = read_ecb_xml(ECB.replace(b"17868.50", rate))
    assert set(sheet.per_base) == {"USD", "MXN"}


def sheet_of(**changes: object) -> bytes:
    body = {"base": "USD", "timestamp": 1795000000, "rates": {"MXN": 17.05, "EUR": 0.9}, **changes}
    return json.dumps(body).encode()


def test_a_json_sheet_keeps_every_digit():
    raw = sheet_of().replace(b"17.05", b"17.050000000000000001")
    sheet = read_json_sheet(raw)
    assert sheet.base == "USD"
    assert sheet.as_of == datetime.fromtimestamp(1795000000, UTC)
    assert sheet.per_base["MXN"] == Decimal("17.050000000000000001")
    assert sheet.rate("USD", "MXN") == Decimal("17.05")
    assert sheet.rate("EUR", "MXN") == Decimal("18.944444444444")


@pytest.mark.parametrize("written", [b"0.000061", b"6.1e-5", b'"0.000061"'])
def test_small_rates_are_read_however_they_are_written(written):
    raw = sheet_of(rates={"BTC": 7.5}).replace(b"7.5", written)
    assert read_json_sheet(raw).per_base["BTC"] == Decimal("0.000061")


@pytest.mark.parametrize(
    "changes",
    [
        *({"base": None}, {"base": 7}, {"base": "usd"}, {"base": "U" * 99}),
        *({"timestamp": None}, {"timestamp": "1795000000"}, {"timestamp": True}),
        *({"timestamp": 0}, {"timestamp": -5}, {"timestamp": 10**30}, {"timestamp": 1.5}),
        *({"rates": None}, {"rates": []}, {"rates": "MXN"}),
    ],
)
def test_a_json_sheet_that_lacks_something_is_refused(changes):
    with pytest.raises(ValueError, match="it has no"):
        read_json_sheet(sheet_of(**changes))


@pytest.mark.parametrize("value", [0, -1, True, None, "x", [17], {"r": 17}, "1e5", "٣", 10**40])
def test_a_json_rate_that_is_none_takes_nothing_from_the_others(value):
    assert set(read_json_sheet(sheet_of(rates={"MXN": 17, "EUR": value})).per_base) == {"MXN"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"<x/>", b"\xff", b'{"rates": NaN}', b"[" * 9999])
def test_what_is_no_json_sheet_is_refused(raw):
    with pytest.raises(ValueError):
        read_json_sheet(raw)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(raw):
    for read in (read_ecb_xml, read_json_sheet):
        with pytest.raises(ValueError):
            read(raw)


rates = st.decimals("0.000001", 1_000_000, places=6)


@given(rates, rates)
def test_crossing_there_and_back_never_makes_money(one, other):
    sheet = Sheet("EUR", datetime.now(UTC), {"ONE": one, "TWO": other})
    there, back = sheet.rate("ONE", "TWO"), sheet.rate("TWO", "ONE")
    if there is not None and back is not None:
        assert there * back <= 1
