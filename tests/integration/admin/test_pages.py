"""What holds for every page: looking changes nothing, costs a bounded number of queries, and
shows no personal data; and nobody edits money."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from kernel.admin import RecordAdmin
from sep10.models import SendingAnchor, SendingAnchorAccount
from sep12.models import Customer
from sep31.models import Transaction
from sep38.models import Rate
from stellar.models import ReceivedPayment
from tests.fixtures.transactions import RECEIVER, SENDER, register_customer
from tests.integration.admin.conftest import (
    add_document,
    list_likeness,
    log_in,
    open_case,
    paid,
    refund_fails,
    stray_payment,
)
from tests.integration.admin.pages import (
    all_actions,
    every_url,
    list_url,
    ours,
    page_url,
    whole_database,
)

pytestmark = pytest.mark.django_db

OUR_APPS = {"sep10", "sep12", "sep31", "sep38", "stellar", "payouts", "callbacks"}
MAY_BE_EDITED = {SendingAnchor}
MAY_BE_ADDED = {SendingAnchor, Rate}
ONLY_INLINE = {SendingAnchorAccount}


def our_admins():
    return [(m, a) for m, a in ours() if m._meta.app_label in OUR_APPS]


def test_every_model_of_ours_has_a_page():
    registered = {model for model, _ in ours()} | ONLY_INLINE
    missing = {m for m in apps.get_models() if m._meta.app_label in OUR_APPS} - registered
    assert not missing


def test_a_get_of_any_url_changes_nothing(operator, everything):
    before = whole_database()
    visited = 0
    for url in every_url():
        if url.endswith("/logout/"):
            continue
        answer = operator.get(url)
        assert answer.status_code in (200, 302, 400, 403, 404, 405), url
        visited += answer.status_code == 200
    assert visited > 60
    assert whole_database() == before


def test_no_action_of_djangos_or_unfolds_own_is_offered():
    # Unfold's run on a GET, and Django's on many rows at once, without saying what will happen.
    for _, model_admin in ours():
        assert not model_admin.actions
        for kind in ("actions_list", "actions_row", "actions_detail", "actions_submit_line"):
            assert not getattr(model_admin, kind, ()), model_admin


def test_every_action_needs_a_permission_that_exists(db):
    from django.contrib.auth.models import Permission

    known = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    actions = list(all_actions())
    assert len(actions) == 16
    for _, action in actions:
        assert action.permission in known


def test_nothing_but_partners_can_be_edited_and_nothing_deleted(operator, everything):
    for model, _ in our_admins():
        row = model.objects.first()
        assert row is not None, model
        url = page_url(row)
        before = whole_database()
        assert operator.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403
        if model not in MAY_BE_EDITED:
            assert operator.post(url, {}).status_code == 403, model
        if model not in MAY_BE_ADDED:
            assert operator.post(f"{list_url(model)}add/", {}).status_code == 403, model
        assert whole_database() == before


def test_a_lists_queries_do_not_grow_with_its_rows(operator, anchor, everything):
    def count(url):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert operator.get(url).status_code == 200
        return len(queries)

    urls = [list_url(model) for model, _ in our_admins()]
    first = {url: count(url) for url in urls}
    for number in range(3):
        held = paid(anchor)
        refund_fails(paid(anchor))
        stray_payment(held)
        # A customer of its own, for whom money waits.
        pk = register_customer(anchor, str(90 + number), "sep31-receiver", **RECEIVER)
        customer = Customer.objects.get(pk=pk)
        Transaction.objects.filter(pk=held.pk).update(receiver=customer)
        open_case(customer)
        add_document(customer, "photo_id_front")
        list_likeness(customer)
    assert {url: count(url) for url in urls} == first
    assert max(first.values()) <= 8


def test_the_pages_of_a_transaction_and_the_dashboard_cost_a_bounded_number_of_queries(
    operator, anchor, everything
):
    def count(url):
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(url).status_code == 200
        return len(queries)

    urls = [
        *("/admin/", page_url(everything.held)),
        *(page_url(everything.customer), page_url(everything.case)),
    ]
    for url in urls:
        count(url)  # content types are read once in a process
    first = {url: count(url) for url in urls}
    for number in range(3):
        add_document(everything.customer, f"photo_id_{number}")
        list_likeness(everything.customer, f"Somebody {number}")
        open_case(everything.customer, type=f"type-{number}")
        everything.customer.decisions.create(type=f"type-{number}", status="REJECTED")
        stray_payment(everything.held, memo=everything.held.memo)
        refund_fails(paid(anchor))
    assert {url: count(url) for url in urls} == first
    assert max(first.values()) <= 45


def test_no_list_counts_a_whole_table(operator, everything):
    for model, _ in our_admins():
        with CaptureQueriesContext(connection) as queries:
            operator.get(list_url(model))
        counts = [q["sql"] for q in queries if "COUNT(*)" in q["sql"]]
        assert all("LIMIT 10000" in sql for sql in counts), counts


def test_no_page_shows_or_even_opens_personal_data(operator, everything, monkeypatch):
    from kernel import sealed

    def refuse(*args, **kwargs):
        raise AssertionError("a page opened a sealed value")

    monkeypatch.setattr(sealed, "unseal", refuse)
    # Shorter ones stand by chance in the tokens against forged requests that are in each page.
    secrets = {value for value in [*SENDER.values(), *RECEIVER.values()] if len(value) > 4}
    for url in every_url():
        answer = operator.get(url)
        if answer.status_code == 200 and hasattr(answer, "content"):
            text = answer.content.decode()
            assert not [secret for secret in secrets if secret in text], url


def test_a_callbacks_url_stands_in_no_list(operator, everything):
    # Its path may hold the sending anchor's secret.
    text = operator.get(list_url(type(everything.callback))).content.decode()
    assert "pay.example.com" in text
    assert "secret-path" not in text


@pytest.mark.parametrize("term", ["\x00", "1" * 20, "9" * 19, "' OR 1=1", "é" * 300, "f" * 64])
def test_any_search_term_is_answered(operator, everything, term):
    for model, model_admin in our_admins():
        if isinstance(model_admin, RecordAdmin) and model_admin.search_by:
            assert operator.get(list_url(model), {"q": term}).status_code == 200, model


def test_a_transaction_is_found_by_all_that_names_it(operator, everything):
    row = everything.held
    payment = ReceivedPayment.objects.get(receipt__transaction=row)
    for term in (
        *(row.pk, row.memo, row.payout_id, row.receiver_id, row.account),
        *(payment.transaction_hash, payment.pk),
    ):
        text = operator.get(list_url(Transaction), {"q": str(term)}).content.decode()
        assert page_url(row) in text, term
    text = operator.get(list_url(Transaction), {"q": "nothing like it"}).content.decode()
    assert page_url(row) not in text


def test_lists_can_be_filtered(operator, everything):
    def shown(**filters):
        text = operator.get(list_url(Transaction), filters).content.decode()
        return {row for row in (everything.held, everything.stuck) if page_url(row) in text}

    assert shown(status__exact="error") == {everything.stuck}
    assert shown(reason__exact="refund_failed") == {everything.stuck}
    assert shown(open="no") == set()
    assert shown(amount_in_asset="other") == set()
    assert shown(started_at_from="2001-01-01", started_at_to="2001-12-31") == set()
    assert shown(started_at_from="2001-01-01") == {everything.held, everything.stuck}


def test_a_transactions_page_says_what_happened_and_what_may_be_done(operator, everything):
    text = operator.get(page_url(everything.stuck)).content.decode()
    for words in (
        "It stopped and waits for an operator.",
        "The payment could not be sent back yet",
        "op_no_trust",
        "Try again…",
        str(everything.stuck.account),
    ):
        assert words in text
    text = operator.get(page_url(everything.held)).content.decode()
    assert "Not now: Nothing failed that could be retried." in text
    assert "GIVEN_UP" in text.upper()


def test_the_dashboard_leads_to_what_is_stuck(operator, everything):
    text = operator.get("/admin/").content.decode()
    for words in (
        "Transactions stopped with an error",
        "Payments in the inbox",
        "Refunds that the network refused",
        "Callbacks given up",
        "Ledger records that can",
    ):
        assert words in text
    assert "/admin/sep31/receipt/?rest__exact=inbox" in text


def test_the_dashboard_of_a_quiet_anchor_says_so(operator):
    from decimal import Decimal

    from sep38.pairs import all_pairs

    for pair in all_pairs():
        Rate.objects.create(
            sell_asset=str(pair.sell), buy_asset=str(pair.buy), rate=Decimal("17.5")
        )
    assert "Nothing. All goes by itself." in operator.get("/admin/").content.decode()


def test_staff_see_only_what_they_may(everything):
    clerk = log_in("clerk", "sep38.view_rate")
    assert "Payments in the inbox" not in clerk.get("/admin/").content.decode()
    assert clerk.get(list_url(Rate)).status_code == 200
    assert clerk.get(list_url(Transaction)).status_code == 403
    assert clerk.get(page_url(everything.held)).status_code == 403


def test_strangers_see_the_login_page_only(everything):
    for url in every_url():
        answer = Client().get(url)
        if "/login/" not in url and "/jsi18n/" not in url:
            assert answer.status_code in (302, 405), url


def test_only_the_admin_may_evaluate_scripts(operator, db):
    policy = operator.get("/admin/").headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval';" in policy
    assert "unsafe" not in Client().get("/sep31/info").headers["Content-Security-Policy"]


def test_the_admins_static_files_are_served_without_collecting_them(db):
    answer = Client().get("/static/unfold/css/styles.css")
    assert answer.status_code == 200
