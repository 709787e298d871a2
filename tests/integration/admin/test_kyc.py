"""KYC in the admin: the queue, the page of a case, documents, screening."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test import Client
from django.utils import timezone

from sep12 import status
from sep12.admin import personal
from sep12.models import Case, Customer, CustomerField, Decision, ScreeningHit, Verification
from sep12.reviews import NotAsSeen, deciding
from sep12.services import assess_customers
from tests.fixtures.transactions import RECEIVER, post_transaction, register_customer
from tests.integration.admin.conftest import (
    PIXEL,
    SCRIPT,
    add_document,
    list_likeness,
    log_in,
    open_case,
)
from tests.integration.admin.pages import action_url, list_url, page_url, press

pytestmark = pytest.mark.django_db

TYPE = "sep31-receiver"
REVIEWER = ("sep12.view_case", "sep12.view_customer", "sep12.reveal_customer")


@pytest.fixture(autouse=True)
def operators_review(settings):
    settings.CUSTOMER_DECISIONS = "sep12.decisions.OperatorReview"


@pytest.fixture
def customer(anchor) -> Customer:
    return Customer.objects.get(pk=register_customer(anchor, "7", TYPE, **RECEIVER))


@pytest.fixture
def case(customer) -> Case:
    """What registering the customer opened."""
    return Case.objects.get(customer=customer)


def words(answer) -> str:
    return answer.content.decode()


def seen_on(page) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', words(page))
    assert found is not None
    return found.group(1)


def look(client: Client, case: Case):
    """The page of the case with the customer's data."""
    page = press(client, case, "review")
    assert "Your decision" in words(page) or "Is it one of these?" in words(page)
    return page


def decide(client: Client, case: Case, *, seen: str | None = None, **data: str):
    """Look at a case, fill in the form and send it."""
    seen = seen or seen_on(look(client, case))
    fields = {key.replace("__", ":"): value for key, value in data.items()}
    return client.post(action_url(case, "decide"), {"seen": seen, **fields}, follow=True)


def standing(customer: Customer, type: str = TYPE) -> status.Assessment:
    return assess_customers([(customer.pk, type)])[customer.pk, type]


def history() -> str:
    return " ".join(entry.get_change_message() for entry in LogEntry.objects.all())


# -- The queue --------------------------------------------------------------------------------
def test_the_queue_shows_open_cases_the_oldest_first(operator, anchor):
    ids = [register_customer(anchor, str(memo), TYPE, **RECEIVER) for memo in (1, 2, 3)]
    cases = [Case.objects.get(customer=pk) for pk in ids]
    for case, days in zip(cases, (2, 30, 1), strict=True):
        Case.objects.filter(pk=case.pk).update(opened_at=timezone.now() - timedelta(days=days))
    Case.objects.filter(pk=cases[2].pk).update(closed_at=timezone.now(), outcome="ACCEPTED")

    def order(**filters):
        text = words(operator.get(list_url(Case), filters))
        found = {text.find(page_url(case)): ids[at] for at, case in enumerate(cases)}
        return [found[place] for place in sorted(found) if place >= 0]

    assert order() == [ids[1], ids[0]]
    assert order(closed="yes") == [ids[2]]
    assert order(age="week") == [ids[1]]
    assert order(kind__exact="SCREENING") == []
    assert order(customer__sending_anchor__id__exact=str(anchor.sending_anchor.pk)) == [
        ids[1],
        ids[0],
    ]
    assert order(q=ids[0]) == [ids[0]]


def test_the_queue_says_how_much_was_told_and_how_much_money_waits(operator, anchor, customer):
    add_document(customer, "photo_id_front")
    sender = register_customer(anchor, "8", "sep31-sender", first_name="A", last_name="B")
    for amount in ("100", "50.5"):
        answer = post_transaction(
            anchor, sender_id=sender, receiver_id=str(customer.pk), amount=amount
        )
        assert answer.status_code == 201
    text = words(operator.get(list_url(Case), {"q": str(customer.pk)}))
    assert f"/admin/sep31/transaction/?q={customer.pk}&amp;open=yes" in text
    assert "150.5 USDC" in text
    assert re.search(r"field-field_count[^>]*>\s*(<[^>]*>\s*)*4\s*<", text)
    assert re.search(r"field-file_count[^>]*>\s*(<[^>]*>\s*)*1\s*<", text)


def test_the_dashboard_leads_to_the_queue(operator, case):
    text = words(operator.get("/admin/"))
    assert "Customers waiting for KYC review" in text
    assert "/admin/sep12/case/?kind__exact=REVIEW" in text
    clerk = log_in("clerk", "sep38.view_rate")
    assert "KYC review" not in words(clerk.get("/admin/"))


# -- Looking ----------------------------------------------------------------------------------
def test_a_look_shows_values_beside_documents_and_is_remembered_without_them(
    operator, case, customer
):
    add_document(customer, "photo_id_front")
    assert RECEIVER["bank_account_number"] not in words(operator.get(page_url(case)))
    page = look(operator, case)
    for value in RECEIVER.values():
        assert value in words(page)
    assert "/admin/sep12/customerfile/" in words(page)
    assert "no-store" in page.headers["Cache-Control"]
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.username) == (str(customer.pk), "olga")
    assert "bank_account_number" in history() and "photo_id_front" in history()
    assert RECEIVER["bank_account_number"] not in history()
    past = words(operator.get(f"/admin/sep12/case/{case.pk}/history/", follow=True))
    assert "Looked at personal data" in past


def document_url(page) -> str:
    found = re.search(r'href="(/admin/sep12/customerfile/[^"]+)"', words(page))
    assert found is not None
    return found.group(1)


def test_a_picture_is_shown_in_the_page_and_can_run_nothing(operator, case, customer):
    add_document(customer, "photo_id_front")
    page = look(operator, case)
    url = document_url(page)
    assert f'<img src="{url}"' in words(page)
    shown = operator.get(url)
    assert shown.content == PIXEL
    assert shown.headers["Content-Type"] == "image/png"
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in shown.headers["Cache-Control"]


@pytest.mark.parametrize("kind", ["application/pdf", "text/html", "image/svg+xml", "video/mp4"])
def test_what_is_no_picture_is_downloaded_only(operator, case, customer, kind):
    add_document(customer, "photo_id_front", SCRIPT, kind)
    page = look(operator, case)
    assert '<img src="/admin/sep12/customerfile' not in words(page)
    shown = operator.get(document_url(page))
    assert shown.content == SCRIPT
    assert shown.headers["Content-Type"] == "application/octet-stream"
    assert shown.headers["Content-Disposition"].startswith('attachment; filename="photo_id_front.')
    assert "sandbox" in shown.headers["Content-Security-Policy"]


def test_a_link_to_a_document_opens_for_who_was_shown_it_alone_and_not_for_long(
    operator, case, customer, monkeypatch
):
    file = add_document(customer, "photo_id_front")
    other = add_document(customer, "photo_id_back")
    path, signed = document_url(look(operator, case)).split("?")
    assert log_in("otto", superuser=True).get(f"{path}?{signed}").status_code == 403
    assert operator.get(path).status_code == 403
    assert operator.get(f"{path}?look=1:2:3").status_code == 403
    for name in (file, other):
        answer = operator.get(f"/admin/sep12/customerfile/{name.pk}/content/?{signed}")
        assert answer.status_code == (200 if str(name.pk) in path else 403)
    assert Client().get(f"{path}?{signed}").status_code == 302
    monkeypatch.setattr(personal, "LINK_LIFE", timedelta(seconds=-1))
    assert operator.get(f"{path}?{signed}").status_code == 403


def test_a_link_to_a_document_ends_with_the_permission(case, customer):
    add_document(customer, "photo_id_front")
    client = log_in("rosa", *REVIEWER)
    page = press(client, case, "review")
    url = document_url(page)
    assert client.get(url).status_code == 200
    from django.contrib.auth.models import User

    User.objects.get(username="rosa").user_permissions.clear()
    assert client.get(url).status_code == 403


# -- Deciding ---------------------------------------------------------------------------------
def test_accepting_a_customer_closes_the_case(operator, case, customer):
    assert standing(customer).status == "PROCESSING"
    answer = decide(operator, case, deed="accept")
    assert "Decided: ACCEPTED as sep31-receiver." in words(answer)
    assert standing(customer).status == "ACCEPTED"
    case.refresh_from_db()
    assert (case.outcome, case.closed_by) == ("ACCEPTED", "olga")
    decision = Decision.objects.get(customer=customer)
    assert (decision.revision, decision.decided_by) == (customer.revision, "olga")
    assert "Decided: ACCEPTED as sep31-receiver." in history()


def test_refusing_fields_tells_the_sending_anchor_each_reason(operator, case, customer, anchor):
    add_document(customer, "photo_id_front")
    decide(
        operator,
        case,
        deed="refuse",
        refuse__photo_id_front="on",
        reason__photo_id_front="The picture is blurred: send a sharper one.",
        refuse__last_name="on",
        reason__last_name="The name does not match the document.",
        further="email_address",
        further_reason="We need a way to reach the customer.",
    )
    answer = Client().get(f"/sep12/customer?id={customer.pk}", headers=anchor.headers()).json()
    assert answer["status"] == "NEEDS_INFO"
    assert "email_address" in answer["fields"]
    errors = {field.name: field.error for field in CustomerField.objects.filter(status="REJECTED")}
    assert errors["photo_id_front"] == "The picture is blurred: send a sharper one."
    assert errors["last_name"] == "The name does not match the document."
    case.refresh_from_db()
    assert case.closed_at is not None
    assert "Refused fields: email_address, last_name, photo_id_front." in history()
    assert "blurred" not in history()


def test_a_held_customer_stays_in_the_queue(operator, case, customer):
    decide(operator, case, deed="hold", message="The documents are being confirmed.")
    assert standing(customer).message == "The documents are being confirmed."
    case.refresh_from_db()
    assert case.closed_at is None


def test_a_rejection_for_good_reaches_the_sending_anchor(operator, case, customer):
    decide(operator, case, deed="reject", message="We can't serve this customer.")
    assert standing(customer) == status.Assessment(
        "REJECTED", message="We can't serve this customer."
    )
    case.refresh_from_db()
    assert case.outcome == "REJECTED"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "Choose what you decide."),
        ({"deed": "reject"}, "A rejection needs a message"),
        ({"deed": "refuse"}, "Tick the fields that you refuse."),
        ({"deed": "refuse", "refuse__last_name": "on"}, "Say why last_name is refused."),
        ({"deed": "refuse", "further": "email_address"}, "Say why email_address is refused."),
        ({"deed": "refuse", "further": "nonsense"}, "Select a valid choice."),
        ({"deed": "accept", "refuse__last_name": "on"}, "chose another decision"),
        ({"deed": "shrug"}, "Select a valid choice."),
        ({"deed": "hold", "message": "x" * 301}, "at most 300 characters"),
        ({"deed": "hold", "message": "\x00"}, "Null characters are not allowed."),
        ({"deed": "reject", "message": "Mr banda is listed"}, "the customer&#x27;s last_name"),
        (
            {
                "deed": "refuse",
                "refuse__bank_number": "on",
                "reason__bank_number": "not 1000000001",
            },
            "the customer&#x27;s bank_account_number",
        ),
    ],
)
def test_what_is_filled_in_wrongly_is_asked_for_again(operator, case, data, complaint):
    before = list(CustomerField.objects.order_by("pk").values("status", "error"))
    answer = decide(operator, case, **data)
    assert complaint in words(answer)
    assert not Decision.objects.exists()
    assert list(CustomerField.objects.order_by("pk").values("status", "error")) == before
    # The page shows personal data again, and so the history has a second look.
    assert history().count("Looked at personal data") == 2
    assert "no-store" in answer.headers["Cache-Control"]


# -- Two at once ------------------------------------------------------------------------------
def test_the_second_of_two_operators_sees_that_it_was_decided(operator, case, customer):
    otto = log_in("otto", superuser=True)
    seen = seen_on(look(otto, case))
    decide(operator, case, deed="accept")
    answer = decide(otto, case, seen=seen, deed="reject", message="We can't serve this customer.")
    assert "Nothing was recorded. The case was closed meanwhile by olga: ACCEPTED." in words(answer)
    assert RECEIVER["bank_account_number"] not in words(answer)
    assert Decision.objects.get().status == "ACCEPTED"


def test_what_the_customer_sent_meanwhile_is_shown_before_anybody_decides_on_it(
    operator, case, customer, anchor
):
    seen = seen_on(look(operator, case))
    register_customer(anchor, "7", TYPE, **{**RECEIVER, "last_name": "Bandara"})
    answer = decide(operator, case, seen=seen, deed="accept")
    assert "The customer changed since you looked. This is how it is now." in words(answer)
    assert "Bandara" in words(answer)
    assert not Decision.objects.exists()
    assert history().count("Looked at personal data") == 2
    decide(operator, case, seen=seen_on(answer), deed="accept")
    assert Decision.objects.get().revision == customer.revision + 1


def test_what_another_operator_noted_meanwhile_is_shown_first(operator, case):
    otto = log_in("otto", superuser=True)
    seen = seen_on(look(otto, case))
    decide(operator, case, deed="hold")
    answer = decide(otto, case, seen=seen, deed="accept")
    assert "The customer changed since you looked." in words(answer)
    assert Decision.objects.get().status == "PROCESSING"


def test_an_erased_customer_is_not_decided_on(operator, case, customer, anchor):
    seen = seen_on(look(operator, case))
    answer = Client().delete(
        f"/sep12/customer/{anchor.account}?memo=7&memo_type=id", headers=anchor.headers()
    )
    assert answer.status_code == 200
    assert decide(operator, case, seen=seen, deed="accept").status_code == 404
    with pytest.raises(NotAsSeen, match="erased"), deciding(case.pk, seen=seen):
        pytest.fail("there is nothing to decide on")
    assert not Decision.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_operators_who_decide_at_once_one_wins(settings):
    from tests.fixtures.callers import make_sending_anchor

    anchor = make_sending_anchor("NairaPay")
    case = Case.objects.get(customer=register_customer(anchor, "7", TYPE, **RECEIVER))
    clients = [log_in(f"op{number}", superuser=True) for number in range(4)]
    seen = [seen_on(look(client, case)) for client in clients]
    answers = []

    def run(at):
        try:
            answers.append(words(decide(clients[at], case, seen=seen[at], deed="accept")))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("Decided: ACCEPTED" in text for text in answers) == 1
    assert sum("Nothing was recorded." in text for text in answers) == 3
    assert history().count("Decided: ACCEPTED") == 1


# -- Who may ----------------------------------------------------------------------------------
def test_who_may_only_look_is_given_no_form(case):
    client = log_in("rosa", *REVIEWER)
    page = press(client, case, "review")
    assert RECEIVER["bank_account_number"] in words(page)
    assert "review-form" not in words(page)
    assert client.post(action_url(case, "decide"), {"deed": "accept"}).status_code == 403
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    "permissions",
    [
        ("sep12.view_case", "sep12.decide_customer"),
        ("sep12.reveal_customer", "sep12.decide_customer"),
        (*REVIEWER, "sep12.decide_screening"),
    ],
)
def test_deciding_takes_all_of_its_permissions(case, permissions):
    client = log_in("rosa", *permissions)
    assert client.post(action_url(case, "decide"), {"deed": "accept"}).status_code == 403


def test_a_look_at_an_address_of_a_decision_leads_to_the_case(operator, case):
    answer = operator.get(action_url(case, "decide"))
    assert (answer.status_code, answer.headers["Location"]) == (302, page_url(case))


# -- Error pages ------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/admin/nothing/", "/admin/sep12/case/1/review/"])
def test_the_admin_answers_people_with_pages(operator, path):
    answer = operator.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "There is nothing here." in words(answer)


def test_who_may_not_sees_a_page_that_tells_nothing(case):
    answer = log_in("rosa").get(page_url(case))
    assert answer.status_code == 403
    assert "You may not do this" in words(answer)
    assert str(case.customer_id) not in words(answer)


def test_a_form_without_its_token_is_explained(operator):
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/admin/login/", {"username": "olga", "password": "x"})
    assert answer.status_code == 403
    assert "load the page again" in words(answer)
    assert "CSRF" not in words(answer)


def test_a_failure_of_ours_is_a_page_too(operator, monkeypatch):
    operator.raise_request_exception = False
    monkeypatch.setattr("anchor.dashboard._count", lambda *args: 1 / 0)
    answer = operator.get("/admin/")
    assert answer.status_code == 500
    assert "it has been logged" in words(answer)


def test_the_api_goes_on_answering_json(db):
    answer = Client().get("/nothing")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})


# -- Screening --------------------------------------------------------------------------------
@pytest.fixture
def hits(customer) -> list[ScreeningHit]:
    """Two likenesses that an operator has to look at."""
    Customer.objects.filter(pk=customer.pk).update(screening="HIT")
    return [
        list_likeness(customer),
        list_likeness(customer, "BANDAH, Bobby", entry="88", score=Decimal("84.20")),
    ]


@pytest.fixture
def screening(customer, hits) -> Case:
    return open_case(customer, "SCREENING", "")


def test_the_customers_name_stands_beside_each_listed_one(operator, screening):
    closed = words(operator.get(page_url(screening)))
    assert "BANDA, Robert" in closed
    assert RECEIVER["last_name"] not in re.sub("BANDA, Robert|BANDAH, Bobby", "", closed)
    text = words(look(operator, screening))
    for shown in ("Bob Banda", "BANDA, Robert", "born 1961, Zambia", "91.50", "4711", "OFAC SDN"):
        assert shown in text
    assert "Your decision" not in text


def test_dismissing_all_likenesses_clears_the_customer(operator, screening, customer, hits):
    answer = decide(
        operator,
        screening,
        **{f"hit__{hit.pk}": "dismiss" for hit in hits},
        is_meant="on",
    )
    assert "Screening: dismissed OFAC SDN 4711." in words(answer)
    customer.refresh_from_db()
    assert customer.screening == "CLEAR"
    assert {hit.decided_by for hit in customer.hits.all()} == {"olga"}
    assert "dismissed OFAC SDN 88" in history()


def test_confirming_one_blocks_the_customer_until_the_block_is_lifted(
    operator, screening, customer, hits
):
    decide(operator, screening, **{f"hit__{hits[0].pk}": "confirm"}, is_meant="on")
    assert standing(customer).status == "REJECTED"
    blocked = list_url(Customer) + "?screening__exact=BLOCKED"
    assert page_url(customer) in words(operator.get(blocked))
    answer = press(operator, customer, "lift")
    assert "Lifted the block: dismissed OFAC SDN 4711." in words(answer)
    assert standing(customer).status != "REJECTED"
    assert page_url(customer) not in words(operator.get(blocked))


@pytest.mark.parametrize(
    ("answer", "is_meant", "complaint"),
    [
        ("", "on", "Say of at least one listed name what you found."),
        ("confirm", "", "Tick this box to confirm what you found."),
        ("dismiss", "", "Tick this box to confirm what you found."),
        ("perhaps", "on", "Select a valid choice."),
    ],
)
def test_a_finding_must_be_meant(operator, screening, customer, hits, answer, is_meant, complaint):
    data = {f"hit__{hits[0].pk}": answer, **({"is_meant": is_meant} if is_meant else {})}
    assert complaint in words(decide(operator, screening, **data))
    assert not customer.hits.exclude(status="OPEN").exists()


def test_a_hit_is_decided_on_its_own_page_as_well(operator, hits, customer):
    press(operator, hits[0], "confirm")
    customer.refresh_from_db()
    assert customer.screening == "BLOCKED"
    press(operator, hits[0], "dismiss")
    customer.refresh_from_db()
    assert customer.screening != "BLOCKED"
    past = words(operator.get(f"/admin/sep12/screeninghit/{hits[0].pk}/history/", follow=True))
    assert str(customer.pk) in past
    assert past.count("Screening: ") == 2


def test_screening_has_a_permission_of_its_own(screening, hits):
    client = log_in("rosa", *REVIEWER, "sep12.decide_customer", "sep12.view_screeninghit")
    assert "review-form" not in words(press(client, screening, "review"))
    data = {f"hit:{hits[0].pk}": "dismiss", "is_meant": "on"}
    assert client.post(action_url(screening, "decide"), data).status_code == 403
    assert client.get(action_url(hits[0], "dismiss")).status_code == 403
    may = log_in("sara", *REVIEWER, "sep12.decide_screening")
    assert "review-form" in words(press(may, screening, "review"))


# -- One customer -----------------------------------------------------------------------------
def test_a_customers_page_tells_all_but_the_values(operator, case, customer):
    add_document(customer, "photo_id_front")
    list_likeness(customer)
    Verification.objects.create(customer=customer, name="last_name", code="493817")
    decide(operator, case, deed="accept")
    text = words(operator.get(page_url(customer)))
    for told in (
        "image/png, 1 kB",
        "the code could not be sent",
        "KYC review",
        "BANDA, Robert",
        "as it is now",
    ):
        assert told in text
    assert "493817" not in text
    assert RECEIVER["bank_account_number"] not in text


def test_a_decision_on_a_customers_page_is_on_what_was_shown(operator, customer, anchor):
    page = words(operator.get(action_url(customer, "decide")))
    seen = re.search(r'name="seen" value="([0-9a-f]{64})"', page)
    assert seen is not None
    register_customer(anchor, "7", TYPE, **{**RECEIVER, "last_name": "Bandara"})
    data = {"seen": seen.group(1), "type": TYPE, "status": "ACCEPTED"}
    answer = operator.post(action_url(customer, "decide"), data, follow=True)
    assert "It changed since you looked." in words(answer)
    assert not Decision.objects.exists()


def test_a_message_that_names_the_customer_is_refused(operator, customer):
    message = "Banda is on a list"
    answer = press(operator, customer, "decide", type=TYPE, status="REJECTED", message=message)
    assert "no personal data" in words(answer)
    assert not Decision.objects.exists()
