"""Customers are held against sanctions lists: loading lists, finding likenesses, deciding."""

from __future__ import annotations

import io
import json
import os
import threading
import time
import uuid
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from callbacks.models import Callback
from kernel.errors import NotFound
from sep12 import tasks
from sep12.models import Case, Customer, SanctionsList, SanctionsName, ScreeningHit
from sep12.screening import lists, services
from sep12.screening.formats import ListError
from sep12.screening.services import decide_hit, screen_customer, screen_due_customers

pytestmark = pytest.mark.django_db

HEADER = '"id","schema","name","aliases","birth_date","countries","program_ids"\n'
MOSQUERA = '"NK-1","Person","Juan Carlos Mosquera","Juanca Mosquera","1960-05-02","co","SDNT"\n'
ROMASHKA = '"NK-2","Company","Romashka Export LLC","","","ru","EU"\n'
PERSON = {"first_name": "Juan", "last_name": "Mosquera"}
OTHER = {"first_name": "Grace", "last_name": "Hopper"}


@pytest.fixture(autouse=True)
def no_index_of_another_test(monkeypatch) -> None:
    monkeypatch.setattr(services, "_held", services._Held())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "targets.simple.csv"
    path.write_text(HEADER + MOSQUERA + ROMASHKA)
    return path


@pytest.fixture
def screening(settings, file: Path) -> None:
    """One required list, loaded."""
    settings.SANCTIONS_LISTS = [f"world:opensanctions:{file}"]
    call_command("load_sanctions_list", stdout=io.StringIO())


def rewrite(file: Path, *rows: str) -> None:
    file.write_text(HEADER + "".join(rows))
    call_command("load_sanctions_list", "world", stdout=io.StringIO())


def state_of(customer_id: str) -> str:
    return Customer.objects.get(pk=customer_id).screening


def hit_of(customer_id: str) -> ScreeningHit:
    return ScreeningHit.objects.get(customer_id=customer_id)


# -- A customer's way -------------------------------------------------------------------------


def test_a_customer_is_accepted_once_nobody_like_them_was_found(api, screening) -> None:
    customer = api.register(type="sender", **OTHER)
    waiting = api.get(id=customer).json()
    assert waiting["status"] == "PROCESSING"
    assert "sanction" not in waiting["message"].lower()
    screen_customer(uuid.UUID(customer))
    assert api.status(id=customer) == "ACCEPTED"
    assert state_of(customer) == "CLEAR"
    assert not Case.objects.exists()


def test_the_sweep_screens_whom_the_message_was_lost_for(api, screening) -> None:
    customer = api.register(type="sender", **OTHER)
    tasks.screen_due_customers()
    assert api.status(id=customer) == "ACCEPTED"


def test_a_new_name_is_screened_right_after_the_put(
    api, screening, django_capture_on_commit_callbacks, monkeypatch
) -> None:
    monkeypatch.setattr(tasks.screen_customer, "delay", tasks.screen_customer)
    with django_capture_on_commit_callbacks(execute=True):
        customer = api.register(type="sender", **OTHER)
    assert state_of(customer) == "CLEAR"


def test_a_likeness_waits_for_an_operator_who_sees_score_and_listing(api, screening) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_customer(uuid.UUID(customer))
    assert state_of(customer) == "HIT"
    assert api.get(id=customer).json()["message"] == "The information is being checked."
    hit = hit_of(customer)
    assert (hit.list, hit.entry, hit.listed_name) == ("world", "NK-1", "Juan Carlos Mosquera")
    assert 85 <= hit.score < 100
    assert hit.listed_details == "person; born 1960-05-02; COL; listed under SDNT"
    [case] = Case.objects.filter(customer=customer, closed_at__isnull=True)
    assert (case.kind, case.type) == ("SCREENING", "")


def test_the_best_name_of_an_entry_is_shown_and_no_other(api, screening) -> None:
    customer = api.register(type="sender", first_name="Juanca", last_name="Mosquera")
    screen_due_customers()
    assert hit_of(customer).listed_name == "Juanca Mosquera"


def test_birth_date_and_country_are_weighed_and_explained(api, screening) -> None:
    known = {"birth_date": "1960-05-02", "address_country_code": "COL"}
    alike = api.register(type="sender", memo="1", memo_type="id", **PERSON, **known)
    known = {"birth_date": "1991-01-30", "address_country_code": "MEX"}
    another = api.register(type="sender", memo="2", memo_type="id", **PERSON, **known)
    screen_due_customers()
    assert hit_of(alike).listed_details.endswith("same birth date (+5); same country (+3)")
    assert (state_of(alike), state_of(another)) == ("HIT", "CLEAR")


@pytest.mark.parametrize(
    "field",
    ["organization.name", "organization.director_name", "organization.shareholder_name"],
)
def test_the_names_of_and_behind_an_organization_are_screened(api, screening, field) -> None:
    name = "ROMASHKA EXPORT" if field == "organization.name" else "Mosquera, Juan Carlos"
    customer = api.register(type="sender", **OTHER, **{field: name})
    screen_due_customers()
    assert state_of(customer) == "HIT"


def test_whom_an_operator_dismisses_is_accepted_and_the_same_names_are_not_asked_again(
    api, screening, file
) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    decide_hit(hit_of(customer).pk, confirmed=False, decided_by="ada")
    assert api.status(id=customer) == "ACCEPTED"
    case = Case.objects.get()
    assert (case.outcome, case.closed_by) == ("CLEAR", "ada")
    rewrite(file, MOSQUERA)
    screen_due_customers()
    assert state_of(customer) == "CLEAR"
    assert hit_of(customer).decided_by == "ada"


def test_a_dismissal_survives_the_rotation_of_the_sealing_keys(
    api, screening, file, settings
) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    decide_hit(hit_of(customer).pk, confirmed=False, decided_by="ada")
    old, new = settings.SEALING_KEYS[0], "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
    digest = hit_of(customer).name_digest
    for keys in ([new, old], [new, old]):
        settings.SEALING_KEYS = keys
        call_command("load_sanctions_list", "--force", stdout=io.StringIO())
        screen_due_customers()
    assert state_of(customer) == "CLEAR"
    assert hit_of(customer).name_digest != digest


def test_a_birth_date_that_comes_later_is_asked_about_again(api, screening) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    decide_hit(hit_of(customer).pk, confirmed=False, decided_by="ada")
    api.register(id=customer, birth_date="1960-05-02")
    screen_due_customers()
    assert state_of(customer) == "HIT"


def test_whom_an_operator_confirms_is_rejected_for_all_types_and_not_told_why(
    api, screening
) -> None:
    customer = api.register(type="sender", **PERSON, bank_account_number="1")
    screen_due_customers()
    decide_hit(hit_of(customer).pk, confirmed=True, decided_by="ada")
    for type_name in ("sender", "receiver"):
        answer = api.get(id=customer, type=type_name).json()
        assert answer["status"] == "REJECTED"
        assert answer["message"] == "This customer can't be accepted."
    assert Case.objects.get().outcome == "BLOCKED"


def test_a_blocked_customer_stays_blocked_under_any_name_until_an_operator_lifts_it(
    api, screening
) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    decide_hit(hit_of(customer).pk, confirmed=True, decided_by="ada")
    api.register(id=customer, **OTHER)
    screen_due_customers()
    assert api.status(id=customer) == "REJECTED"
    decide_hit(hit_of(customer).pk, confirmed=False, decided_by="bob")
    # The names that it has now were not looked for yet.
    assert state_of(customer) == "DUE"
    screen_due_customers()
    assert api.status(id=customer) == "ACCEPTED"


def test_another_name_does_not_take_an_open_hit_from_the_operators(api, screening) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    api.register(id=customer, **OTHER)
    screen_due_customers()
    assert state_of(customer) == "HIT"
    assert Case.objects.filter(closed_at__isnull=True).count() == 1


def test_a_dismissal_of_the_old_name_does_not_clear_the_new_one(api, screening) -> None:
    customer = api.register(type="sender", **OTHER)
    screen_due_customers()
    api.register(id=customer, **PERSON)
    screen_due_customers()
    hit = hit_of(customer)
    api.register(id=customer, first_name="Romashka", last_name="Export")
    decide_hit(hit.pk, confirmed=False, decided_by="ada")
    assert state_of(customer) == "DUE"
    assert api.status(id=customer) == "PROCESSING"


def test_the_last_of_several_hits_decides(api, screening) -> None:
    customer = api.register(type="sender", **PERSON, **{"organization.name": "Romashka Export"})
    screen_due_customers()
    one, other = ScreeningHit.objects.filter(customer=customer)
    decide_hit(one.pk, confirmed=False, decided_by="ada")
    assert state_of(customer) == "HIT"
    assert Case.objects.filter(closed_at__isnull=True).exists()
    decide_hit(other.pk, confirmed=False, decided_by="ada")
    assert state_of(customer) == "CLEAR"


def test_a_hit_of_an_erased_customer_is_gone(api, anchor, screening) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    hit = hit_of(customer)
    assert api.delete(anchor.account).status_code == 200
    assert not ScreeningHit.objects.exists()
    with pytest.raises(NotFound):
        decide_hit(hit.pk, confirmed=True, decided_by="ada")


def test_the_callback_hears_of_the_end_of_screening_but_not_of_its_reason(api, screening) -> None:
    customer = api.register(type="sender", **PERSON)
    Customer.objects.filter(pk=customer).update(callback_url="https://example.com/hook")
    screen_due_customers()
    decide_hit(hit_of(customer).pk, confirmed=True, decided_by="ada")
    [callback] = Callback.objects.all()
    assert json.loads(callback.body)["status"] == "REJECTED"
    assert "Mosquera" not in callback.body


def test_a_customer_without_any_name_is_not_found_clear(api, screening) -> None:
    customer = api.register(type="receiver", bank_account_number="1")
    screen_due_customers()
    assert state_of(customer) == ""
    # It is not looked at again and again.
    assert Customer.objects.get(pk=customer).screened_with == 1


def test_a_value_that_can_not_be_opened_holds_up_nobody_else(api, screening, settings) -> None:
    unreadable = api.register(type="sender", memo="1", memo_type="id", **OTHER)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sep12_customerfield SET value = '\\x00' WHERE name = 'last_name'")
    others = [
        api.register(type="sender", memo=str(memo), memo_type="id", **OTHER) for memo in range(2, 5)
    ]
    screen_due_customers()
    assert [state_of(customer) for customer in others] == ["CLEAR"] * 3
    assert state_of(unreadable) == "DUE"


# -- Lists ------------------------------------------------------------------------------------


def test_a_new_list_turns_an_accepted_customer_into_a_hit(api, screening, file) -> None:
    customer = api.register(type="sender", **OTHER)
    screen_due_customers()
    rewrite(file, MOSQUERA, '"NK-9","Person","Grace Hopper","","","us","EU"\n')
    # Until it was held against the new list, what was found stays true.
    assert api.status(id=customer) == "ACCEPTED"
    screen_due_customers()
    assert api.status(id=customer) == "PROCESSING"
    assert hit_of(customer).entry == "NK-9"


def test_what_a_list_takes_back_is_taken_from_the_operators(api, screening, file) -> None:
    customer = api.register(type="sender", **PERSON)
    screen_due_customers()
    rewrite(file, ROMASHKA)
    screen_due_customers()
    assert state_of(customer) == "CLEAR"
    assert hit_of(customer).decided_by == services.DELISTED
    assert Case.objects.get().closed_at is not None


def test_customers_from_before_screening_was_switched_on_are_screened_too(
    api, settings, file
) -> None:
    customer = api.register(type="sender", **PERSON)
    assert api.status(id=customer) == "ACCEPTED"
    settings.SANCTIONS_LISTS = ["world:opensanctions"]
    assert api.status(id=customer) == "PROCESSING"
    call_command("load_sanctions_list", "world", file, format="opensanctions", stdout=io.StringIO())
    screen_due_customers()
    assert state_of(customer) == "HIT"


def test_nobody_is_found_clear_while_a_required_list_is_missing(api, screening, settings) -> None:
    settings.SANCTIONS_LISTS = [*settings.SANCTIONS_LISTS, "more:opensanctions"]
    customer = api.register(type="sender", **OTHER)
    screen_due_customers()
    screen_customer(uuid.UUID(customer))
    assert api.status(id=customer) == "PROCESSING"
    assert lists.find_problems() == [
        "The sanctions list more was never loaded: no customer is accepted."
    ]
    [warning] = [
        message for message in run_checks(databases=["default"]) if message.id == "landfall.W004"
    ]
    assert "more" in warning.msg


def test_old_files_are_reported(screening, file, settings) -> None:
    assert lists.find_problems() == []
    four_days_ago = time.time() - 96 * 3600
    os.utime(file, (four_days_ago, four_days_ago))
    tasks.reload_sanctions_lists()  # the same content: nothing is loaded, but its age is known
    [problem] = lists.find_problems()
    assert "nothing newer comes" in problem
    assert SanctionsList.objects.get().version == 1


def test_the_same_files_are_loaded_once(screening, file, capsys) -> None:
    names = set(SanctionsName.objects.values_list("pk", flat=True))
    call_command("load_sanctions_list")
    assert "loaded already, 2 entries with 3 names" in capsys.readouterr().out
    assert set(SanctionsName.objects.values_list("pk", flat=True)) == names
    call_command("load_sanctions_list", "--force")
    assert "2 entries with 3 names; 2 entries before" in capsys.readouterr().out
    assert SanctionsList.objects.get().version == 2


def test_changed_files_are_loaded_by_the_hourly_task(screening, file) -> None:
    file.write_text(HEADER + MOSQUERA + ROMASHKA + ROMASHKA.replace("NK-2", "NK-3"))
    tasks.reload_sanctions_lists()
    row = SanctionsList.objects.get()
    assert (row.version, row.entries) == (2, 3)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("", "no person"),
        ('"NK-7","Vessel","TANKER","","","",""\n', "no person"),
        (ROMASHKA + '"NK-3","Pers', "not a CSV file"),
    ],
)
def test_a_file_that_is_no_list_leaves_the_old_one_in_place(screening, file, rows, says) -> None:
    file.write_text(HEADER + rows)
    with pytest.raises(CommandError, match=says):
        call_command("load_sanctions_list", "world", "--force")
    tasks.reload_sanctions_lists()
    assert SanctionsName.objects.count() == 3
    assert SanctionsList.objects.get().version == 1


def test_a_list_that_lost_more_than_half_is_loaded_only_if_an_operator_insists(
    screening, file
) -> None:
    rewrite(file, *(MOSQUERA.replace("NK-1", f"NK-{n}") for n in range(10)))
    file.write_text(HEADER + MOSQUERA * 4)
    with pytest.raises(CommandError, match="1 entries, and 10 were loaded before"):
        call_command("load_sanctions_list")
    call_command("load_sanctions_list", "--force", stdout=io.StringIO())
    assert SanctionsList.objects.get().entries == 1


def test_a_missing_file_is_said_in_words(screening, tmp_path) -> None:
    with pytest.raises(CommandError, match="was not loaded"):
        call_command("load_sanctions_list", "world", tmp_path / "no.csv", format="opensanctions")
    with pytest.raises(CommandError, match="names no list"):
        call_command("load_sanctions_list", "mars")
    with pytest.raises(CommandError, match="--format"):
        call_command("load_sanctions_list", "world", tmp_path / "no.csv")


def test_files_that_change_while_they_are_read_are_not_loaded(file, monkeypatch) -> None:
    reader = lists.read_list

    def and_meanwhile(list_format, paths):
        yield from reader(list_format, paths)
        file.write_text(HEADER + MOSQUERA)

    monkeypatch.setattr(lists, "read_list", and_meanwhile)
    with pytest.raises(ListError, match="changed while"):
        lists.load_list("world", "opensanctions", [file])
    assert not SanctionsList.objects.exists()


@pytest.mark.parametrize(
    "value", ["world", "world:excel", ":opensanctions:x", "a:opensanctions:x,a:ofac-sdn:y"]
)
def test_a_setting_that_can_not_be_understood_stops_the_start(settings, value) -> None:
    settings.SANCTIONS_LISTS = value.split(",")
    assert "landfall.E018" in {message.id for message in run_checks()}


def test_a_threshold_that_lets_all_or_none_through_stops_the_start(settings) -> None:
    settings.SCREENING_THRESHOLD = 8.5
    assert "landfall.E019" in {message.id for message in run_checks()}


def test_loading_takes_memory_for_a_batch_and_queries_by_the_batch(file, monkeypatch) -> None:
    monkeypatch.setattr(lists, "BATCH", 100)
    rows = "".join(MOSQUERA.replace("NK-1", f"NK-{n}") for n in range(200))
    file.write_text(HEADER + rows)
    with CaptureQueriesContext(connection) as queries:
        loaded = lists.load_list("world", "opensanctions", [file])
    assert loaded.names == 400
    assert sum('INSERT INTO "sep12_sanctionsname"' in one["sql"] for one in queries) == 4


# -- Switched off -----------------------------------------------------------------------------


def test_without_lists_nothing_is_asked_of_the_database(
    api, django_assert_num_queries, settings
) -> None:
    assert settings.SANCTIONS_LISTS == []
    customer = api.register(type="sender", **PERSON)
    assert api.status(id=customer) == "ACCEPTED"
    with django_assert_num_queries(0):
        tasks.screen_customer(customer)
        tasks.screen_due_customers()
        tasks.reload_sanctions_lists()


def test_screening_takes_the_same_few_queries_for_each_customer(
    api, screening, django_assert_num_queries
) -> None:
    def register(start: int, end: int) -> None:
        for memo in range(start, end):
            api.register(type="sender", memo=str(memo), memo_type="id", **OTHER)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            screen_due_customers()
        return len(queries)

    register(1, 2)
    screen_due_customers()  # builds the index
    register(2, 3)
    one = count()
    register(3, 13)
    assert count() <= 10 * one


# -- At the same time -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_name_that_changes_while_the_old_one_is_screened_is_not_found_clear(
    api, screening, monkeypatch
) -> None:
    customer = api.register(type="sender", **OTHER)
    compared, changed = threading.Event(), threading.Event()
    compare = services._compare

    def slowly(subject, index):
        found = list(compare(subject, index))
        compared.set()
        assert changed.wait(20)
        return found

    monkeypatch.setattr(services, "_compare", slowly)

    def screen() -> None:
        try:
            screen_customer(uuid.UUID(customer))
        finally:
            connections.close_all()

    thread = threading.Thread(target=screen)
    thread.start()
    assert compared.wait(20)
    api.register(id=customer, **PERSON)  # does not wait for the comparison
    changed.set()
    thread.join(20)
    assert state_of(customer) == "DUE"
    assert api.status(id=customer) == "PROCESSING"
    monkeypatch.setattr(services, "_compare", compare)
    screen_due_customers()
    assert state_of(customer) == "HIT"


@pytest.mark.django_db(transaction=True)
def test_many_workers_that_screen_one_customer_find_each_likeness_once(api, screening) -> None:
    customer = api.register(type="sender", **PERSON)
    start = threading.Barrier(6)

    def screen() -> None:
        try:
            start.wait()
            screen_customer(uuid.UUID(customer))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=screen) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ScreeningHit.objects.count() == 1
    assert Case.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_readers_see_the_old_list_until_the_new_one_is_whole(screening, file, monkeypatch) -> None:
    seen: list[int] = []
    reader = lists.read_list

    def look() -> None:
        try:
            seen.append(SanctionsName.objects.count())
        finally:
            connections.close_all()

    def and_look(list_format, paths):
        yield from reader(list_format, paths)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(20)

    monkeypatch.setattr(lists, "read_list", and_look)
    rewrite(file, ROMASHKA)
    assert seen == [3]
    assert SanctionsName.objects.count() == 1
