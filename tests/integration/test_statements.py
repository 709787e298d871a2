"""Statements that each connection prepares once (kernel.statements)."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.languages import Phrase
from kernel.rows import insert_rows
from kernel.statements import Select, Statement
from sep10.models import SendingAnchor, SendingAnchorAccount
from sep12.models import Customer
from sep31.machine import Status
from tests.fixtures.callers import make_sending_anchor

pytestmark = pytest.mark.django_db(transaction=True)


def prepared() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        return int(cursor.fetchone()[0])


def answer(statement: Statement, *params: object) -> object:
    [(found,)] = statement.fetch(params)
    return found


def test_a_connection_prepares_a_statement_once_in_one_round_trip(
    django_assert_num_queries,
) -> None:
    statement, before = Statement("SELECT %s::int + 1"), prepared()
    with django_assert_num_queries(3):
        assert [answer(statement, number) for number in (1, 2, 41)] == [2, 3, 42]
    assert prepared() == before + 1


def test_a_new_connection_prepares_it_anew() -> None:
    statement = Statement("SELECT %s::int + 1")
    assert answer(statement, 1) == 2
    connection.close()
    assert answer(statement, 1) == 2


def test_a_value_stays_a_value_whatever_is_in_it() -> None:
    hostile = "'; DROP TABLE x; -- $1 %s %% {anchor} \\ \u0301"
    assert answer(Statement("SELECT %s::text"), hostile) == hostile


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
whole = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=texts | st.text("\\\"{},'%$ \n\tNUL", max_size=8) | st.just("NULL"),
    number=whole,
    amount=st.decimals(allow_nan=False, allow_infinity=False, places=7, max_value=10**12),
    moment=moments,
    raw=st.binary(),
    key=st.uuids(),
    several=st.lists(texts | st.none()),
    yes=st.booleans(),
)
@example(
    "NULL", 0, Decimal("1E+3"), datetime(2026, 1, 1, tzinfo=UTC), b"", uuid.UUID(int=0), [], True
)
def test_what_goes_in_is_what_postgresql_gets(
    text: str,
    number: int,
    amount: Decimal,
    moment: datetime,
    raw: bytes,
    key: uuid.UUID,
    several: list[str | None],
    yes: bool,
) -> None:
    values = [text, number, amount, moment, raw, key, several, yes, None]
    [(*plain, found_raw, found_key, found_several, found_yes, nothing)] = EVERYTHING.fetch(values)
    assert plain == [text, number, amount, moment]
    assert (bytes(found_raw), found_key, found_several) == (raw, key, several)
    assert (found_yes, nothing) == (yes, None)


EVERYTHING = Statement(
    """
    SELECT %s, %s::bigint, %s::numeric, %s::timestamptz, %s::bytea, %s::uuid, %s::text[],
        %s::boolean, %s
    """
)


class Moment(datetime):
    """As libraries of dates have them."""

    def __str__(self) -> str:
        return "today"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "type", "expected"),
    [
        (Moment(2026, 1, 2, tzinfo=UTC), "timestamptz", datetime(2026, 1, 2, tzinfo=UTC)),
        (Number.ONE, "integer", 1),
        (Status.COMPLETED, "varchar", "completed"),
        (Customer.Screening.HIT, "varchar", "HIT"),
        (Phrase("{field} is required", field="x"), "varchar", "x is required"),
        (date(2026, 1, 2), "date", date(2026, 1, 2)),
        (1.5, "double precision", 1.5),
    ],
    ids=["moment", "number", "status", "choice", "phrase", "date", "float"],
)
def test_what_is_of_a_subclass_is_what_it_stands_for(
    value: object, type: str, expected: object
) -> None:
    assert answer(Statement(f"SELECT %s::{type}"), value) == expected


@pytest.mark.parametrize("value", [{"a": 1}, {1, 2}], ids=str)
def test_what_no_column_holds_is_no_value(value: object) -> None:
    with pytest.raises(TypeError):
        answer(Statement("SELECT %s"), value)


def test_a_statement_that_failed_works_the_next_time() -> None:
    statement = Statement("SELECT 6 / %s::int")
    with pytest.raises(DataError):
        answer(statement, 0)
    with pytest.raises(DataError), transaction.atomic():
        answer(statement, 0)
    assert answer(statement, 2) == 3


def test_what_a_rolled_back_transaction_prepared_is_good_after_it() -> None:
    anchor = make_sending_anchor().sending_anchor
    twins = [Customer(sending_anchor=anchor, account="G", memo_type="id", memo="1") for _ in "12"]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows([twins[0]])
        insert_rows([twins[1]])
    assert insert_rows([twins[1]]) == 1


def test_a_text_that_is_too_long_for_its_column_is_refused_and_not_cut_off() -> None:
    with pytest.raises(DataError):
        insert_rows([SendingAnchor(name="x" * 101)])


def test_a_select_reads_what_the_model_would(django_assert_num_queries) -> None:
    made = make_sending_anchor()
    row = made.sending_anchor
    row.max_daily_amount = Decimal("12.3456789")
    row.allowed_assets = ["stellar:USDC:G"]
    row.save()
    select = Select(
        """
            SELECT {anchor}, {account}, {customer}, %s::int
            FROM sep10_sendinganchor AS anchor
            JOIN sep10_sendinganchoraccount AS account ON account.sending_anchor_id = anchor.id
            LEFT JOIN sep12_customer AS customer ON customer.sending_anchor_id = anchor.id
        """,
        {
            "anchor": SendingAnchor,
            "account": (SendingAnchorAccount, "account"),
            "customer": Customer,
        },
    )
    with django_assert_num_queries(1):
        [(anchor, account, customer, seven)] = select.fetch([7])
        assert (account.account, customer, seven) == (made.account, None, 7)
        for field in SendingAnchor._meta.concrete_fields:
            assert getattr(anchor, field.attname) == getattr(row, field.attname)
    assert account.sending_anchor_id == row.pk  # not read then, but now
    anchor.name = "renamed"
    anchor.save()
    assert SendingAnchor.objects.get().name == "renamed"
