"""Inserts that say which rows were there already."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from kernel.rows import Given, insert_rows, insert_with_rows
from sep10.models import SendingAnchor
from sep12.models import Customer, CustomerField
from sep31.machine import Reason, Status
from sep31.models import Transaction
from tests.fixtures.callers import make_sending_anchor

pytestmark = pytest.mark.django_db


@pytest.fixture
def sending_anchor() -> SendingAnchor:
    return make_sending_anchor().sending_anchor


def customer(sending_anchor: SendingAnchor, memo: str) -> Customer:
    return Customer(sending_anchor=sending_anchor, account="G", memo_type="id", memo=memo)


def named(owner: Customer, *names: str) -> list[CustomerField]:
    return [CustomerField(customer=owner, name=name, value="Ana") for name in names]


def test_rows_are_read_back_as_they_were_inserted(sending_anchor: SendingAnchor) -> None:
    rows = [customer(sending_anchor, "1"), customer(sending_anchor, "2")]
    assert insert_rows(rows) == 2
    assert {row.pk: row.memo for row in Customer.objects.all()} == {
        row.pk: row.memo for row in rows
    }
    rows[0].memo = "3"
    rows[0].save()
    assert Customer.objects.count() == 2


def test_arrays_and_absent_values_keep_their_types(sending_anchor: SendingAnchor) -> None:
    twin = SendingAnchor(name="twin", allowed_assets=[], client_domains=["a.example"])
    assert insert_rows([twin]) == 1
    found = SendingAnchor.objects.get(name="twin")
    assert (found.allowed_assets, found.client_domains) == ([], ["a.example"])
    assert found.max_daily_amount is None


@pytest.mark.parametrize("count", [1, 20, 21, 40])
def test_any_number_of_rows_keeps_its_values(sending_anchor: SendingAnchor, count: int) -> None:
    """Few rows are a statement that is kept, many are not."""
    hostile = "\"{}\\' %s $1"
    rows = [
        Transaction(
            sending_anchor=sending_anchor,
            account="G",
            status=Status.PENDING_SENDER,
            reason=Reason.CREATED_READY,
            amount_in=Decimal("1E+3"),
            amount_in_asset="stellar:USDC:G",
            amount_out_asset="iso4217:MXN",
            amount_fee_asset="stellar:USDC:G",
            fee_details={"name": hostile},
            fields={"note": hostile},
            funding_method=hostile,
            stellar_account="G",
            memo_type="id",
            memo=str(number),
            deadline=timezone.now(),
            look_at=timezone.now(),
            started_at=timezone.now(),
            updated_at=timezone.now(),
        )
        for number in range(count)
    ]
    assert insert_rows(rows) == count
    found = {row.pk: row for row in Transaction.objects.all()}
    for row in rows:
        for field in Transaction._meta.concrete_fields:
            assert getattr(found[row.pk], field.attname) == getattr(row, field.attname)


def test_what_is_there_is_left_out_and_counted_as_such(sending_anchor: SendingAnchor) -> None:
    insert_rows([customer(sending_anchor, "1")])
    both = [customer(sending_anchor, "1"), customer(sending_anchor, "2")]
    assert insert_rows(both, unless_there=True) == 1
    assert sorted(Customer.objects.values_list("memo", flat=True)) == ["1", "2"]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows([customer(sending_anchor, "1")])


def test_no_rows_are_no_statement(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert insert_rows([]) == 0


def test_a_row_comes_with_others_or_none_of_them_comes(
    sending_anchor: SendingAnchor, django_assert_num_queries
) -> None:
    first, second = customer(sending_anchor, "1"), customer(sending_anchor, "1")
    with django_assert_num_queries(1):
        assert insert_with_rows(first, named(first, "first_name", "last_name"))
    assert not insert_with_rows(second, named(second, "city"))
    assert insert_with_rows(customer(sending_anchor, "2"), [])
    fields = CustomerField.objects.values_list("customer", "name", "value")
    assert set(fields) == {(first.pk, "first_name", "Ana"), (first.pk, "last_name", "Ana")}
    assert Customer.objects.count() == 2


def test_a_row_comes_only_if_what_it_is_given_is_there(
    sending_anchor: SendingAnchor, django_assert_num_queries
) -> None:
    text = "SELECT id FROM sep10_sendinganchor WHERE name = %s AND enabled"
    given = Given("sending_anchor_id", text, [sending_anchor.name])
    first, second, third = (
        Customer(account="G", memo_type="id", memo=memo) for memo in ("1", "2", "3")
    )
    with django_assert_num_queries(2):
        assert insert_with_rows(first, named(first, "first_name"), given=given)
        assert insert_with_rows(second, [], given=given)
    assert first.sending_anchor == sending_anchor  # read when it is asked for
    SendingAnchor.objects.update(enabled=False)
    assert not insert_with_rows(third, named(third, "first_name"), given=given)
    assert set(Customer.objects.values_list("sending_anchor", "memo")) == {
        (sending_anchor.pk, "1"),
        (sending_anchor.pk, "2"),
    }
    assert CustomerField.objects.count() == 1
