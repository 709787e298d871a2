"""Rates that sources bring: asked in the background, recorded once, held if they jump."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections
from django.utils import timezone

from anchor.rate_checks import check_rate_sources
from kernel.assets import parse_asset_name
from kernel.errors import Conflict
from sep38 import feeds
from sep38.feeds import accept_held_rate, fetch_due_rates, record_rates, refuse_held_rate
from sep38.models import HeldRate, Quote, Rate, RateFeed
from sep38.pairs import all_pairs
from sep38.services import set_rate
from sep38.sources import Fetched, SourceFailed, all_sources
from sep38.tasks import fetch_due_rates as fetch_task
from tests.fixtures.partner import Partner
from tests.integration.sep38.conftest import MXN, USD, USDC

pytestmark = pytest.mark.django_db

PRICE = {"sell_asset": USDC, "buy_asset": MXN, "sell_amount": "100", "context": "sep31"}
HTTP = "sep38.sources.HttpRates"
ECB = "sep38.sources.EcbDaily"


def sheet(mxn: object = 17.05, at: datetime | None = None, **changes: Any) -> dict[str, Any]:
    seconds = int((at or timezone.now()).timestamp())
    return {"base": "USD", "timestamp": seconds, "rates": {"MXN": mxn}, **changes}


def ecb_sheet(day: datetime, mxn: str = "20.9") -> str:
    return (
        '<Envelope xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><Cube>'
        f'<Cube time="{day:%Y-%m-%d}"><Cube currency="USD" rate="1.1"/>'
        f'<Cube currency="MXN" rate="{mxn}"/></Cube></Cube></Envelope>'
    )


@pytest.fixture
def provider(configure):
    with Partner((200, sheet())) as partner:
        source = {
            "class": HTTP,
            "url": f"{partner.url}?pairs=all",
            "headers": {"Authorization": "Token not-for-logs"},
            "timeout_seconds": 2,
            "every_seconds": 60,
        }
        configure({"rate_source": "provider"}, rate_sources={"provider": source})
        yield partner


def ask_again() -> int:
    """As if the source's turn had come."""
    RateFeed.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    return fetch_due_rates()


def feed() -> RateFeed:
    return RateFeed.objects.get()


# -- From the source to a quote --------------------------------------------------------------------
def test_a_fetched_rate_is_in_force_and_the_quote_made_from_it_says_which(
    provider, post_quote, quote_body
):
    at = timezone.now().replace(microsecond=0) - timedelta(minutes=3)
    provider.reply = (200, sheet(17.05, at))
    fetch_task()
    rate = Rate.objects.get()
    assert (rate.rate, rate.source, rate.as_of) == (Decimal("17.05"), "provider", at)
    assert (rate.sell_asset, rate.buy_asset) == (USDC, MXN)
    quote = post_quote(quote_body).json()
    assert quote["buy_amount"] == "1662.63"
    assert Quote.objects.get(pk=quote["id"]).rate == rate


def test_the_provider_gets_its_key_and_the_logs_do_not(provider, caplog):
    caplog.set_level("DEBUG")
    fetch_due_rates()
    provider.reply = (500, {})
    ask_again()
    assert [r.headers["authorization"] for r in provider.requests] == ["Token not-for-logs"] * 2
    assert "not-for-logs" not in caplog.text + feed().error
    assert provider.url not in caplog.text + feed().error


def test_a_source_is_asked_when_its_turn_comes_and_not_before(provider):
    for _ in range(3):
        fetch_due_rates()
    assert len(provider.requests) == 1
    assert timedelta(seconds=50) < feed().due_at - timezone.now() <= timedelta(seconds=60)
    ask_again()
    assert len(provider.requests) == 2


def test_what_the_source_said_before_is_not_recorded_again(provider):
    assert (fetch_due_rates(), ask_again()) == (1, 0)
    assert Rate.objects.count() == 1


def test_a_source_that_goes_back_in_time_changes_nothing(provider):
    fetch_due_rates()
    provider.reply = (200, sheet(16.5, timezone.now() - timedelta(hours=1)))
    assert ask_again() == 0
    assert Rate.objects.latest("pk").rate == Decimal("17.05")


def test_a_rate_of_an_operator_stands_until_the_source_has_a_later_one(provider):
    fetch_due_rates()
    set_rate(parse_asset_name(USDC), parse_asset_name(MXN), "16.9", source="olga")
    ask_again()
    assert Rate.objects.latest("pk").source == "olga"
    provider.reply = (200, sheet(17.1, timezone.now() + timedelta(seconds=1)))
    ask_again()
    assert Rate.objects.latest("pk").rate == Decimal("17.1")


def test_requests_never_wait_for_the_source(provider, client):
    fetch_due_rates()
    asked = len(provider.requests)
    assert client.get("/sep38/price", PRICE).status_code == 200
    assert len(provider.requests) == asked


def test_pairs_of_operators_ask_nobody(rates):
    assert fetch_due_rates() == 0
    assert not RateFeed.objects.exists()


# -- Age -------------------------------------------------------------------------------------------
def test_the_age_of_a_rate_counts_from_the_moment_that_the_source_names(
    provider, configure, client
):
    configure({"rate_max_age_seconds": 3600})
    provider.reply = (200, sheet(17.05, timezone.now() - timedelta(minutes=59)))
    fetch_due_rates()
    assert client.get("/sep38/price", PRICE).status_code == 200
    Rate.objects.update(as_of=timezone.now() - timedelta(minutes=61))
    stale = client.get("/sep38/price", PRICE)
    assert stale.status_code == 503
    assert "no current rate" in stale.json()["error"]


def test_weekends_make_no_rate_older_where_it_rests_on_them(configure, rates):
    """From Friday noon to Monday morning is under a day of a market that is closed."""
    from sep38.rates import age_of

    configure({"rate_rests_on_weekends": True})
    resting = next(pair for pair in all_pairs() if pair.names == (USDC, MXN))
    configure({"rate_rests_on_weekends": False})
    other = next(pair for pair in all_pairs() if pair.names == (USDC, MXN))
    friday = datetime(2026, 11, 20, 12, tzinfo=UTC)
    rate = Rate(as_of=friday)

    def ages(moment: datetime) -> tuple[timedelta, timedelta]:
        return age_of(resting, rate, moment), age_of(other, rate, moment)

    hours = timedelta(hours=1)
    assert ages(friday + 5 * hours) == (5 * hours, 5 * hours)
    assert ages(datetime(2026, 11, 21, 6, tzinfo=UTC)) == (12 * hours, 18 * hours)
    assert ages(datetime(2026, 11, 22, 23, tzinfo=UTC)) == (12 * hours, 59 * hours)
    assert ages(datetime(2026, 11, 23, 9, tzinfo=UTC)) == (21 * hours, 69 * hours)
    assert ages(datetime(2026, 12, 4, 12, tzinfo=UTC)) == (240 * hours, 336 * hours)


def test_a_rate_of_the_future_would_never_get_old_and_is_not_taken(provider, caplog):
    provider.reply = (200, sheet(17.05, timezone.now() + timedelta(hours=2)))
    assert fetch_due_rates() == 0
    assert "future" in caplog.text
    assert not Rate.objects.exists()


# -- A source that fails ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((500, {}), "status 500"),
        ((403, {"error": "your key is wrong"}), "status 403"),
        ((302, {}), "status 302"),
        ((200, b"<html>"), "JSON"),
        ((200, {"rates": {}}), "no base"),
        ((200, b" " * 300_000), "longer than"),
    ],
)
def test_what_is_no_sheet_changes_no_rate_and_says_why(provider, caplog, reply, words):
    fetch_due_rates()
    provider.reply = reply
    assert ask_again() == 0
    assert Rate.objects.count() == 1
    assert words in feed().error
    assert words in caplog.text
    assert feed().failures == 1


def test_a_source_that_fails_is_asked_sooner_again_and_recovers(provider):
    provider.reply = (500, {})
    fetch_due_rates()
    assert feed().due_at < timezone.now() + timedelta(seconds=40)
    for _ in range(12):
        ask_again()
    assert feed().failures == 13
    assert feed().due_at <= timezone.now() + timedelta(seconds=60), "never later than its turn"
    provider.reply = (200, sheet())
    assert ask_again() == 1
    assert (feed().failures, feed().error) == (0, "")


def test_a_pair_that_the_source_does_not_know_is_said_and_holds_up_no_other(
    provider, configure, settings
):
    of = {entry["buy"]: entry for entry in settings.ANCHOR["pairs"]}
    unknown = {**of[MXN], "buy_currency": "COP"}
    configure(pairs=[unknown, {**of[USD], "rate_source": "provider"}])
    assert fetch_due_rates() == 1
    assert Rate.objects.get().buy_asset == USD
    assert f"no rate of {USDC} -> {MXN}" in feed().error


class Broken:
    def fetch_rates(self, pairs: Any) -> Any:
        raise ZeroDivisionError


def test_a_class_of_the_companys_own_may_fail_in_any_way(configure):
    source = {"class": f"{__name__}.Broken"}
    configure({"rate_source": "own"}, rate_sources={"own": source})
    assert fetch_due_rates() == 0
    assert feed().error == "it failed: ZeroDivisionError"


# -- The ECB's format ------------------------------------------------------------------------------
def test_the_ecbs_format_from_a_url_and_from_a_file(configure, tmp_path):
    day = datetime.now(UTC) - timedelta(days=1)
    raw = ecb_sheet(day).encode()
    path = tmp_path / "rates.xml"
    with Partner((200, raw)) as partner:
        for options in ({"url": partner.url}, {"file": str(path)}):
            Rate.objects.all().delete()
            RateFeed.objects.all().delete()
            path.write_bytes(raw)
            configure({"rate_source": "ecb"}, rate_sources={"ecb": {"class": ECB, **options}})
            assert fetch_due_rates() == 1
            rate = Rate.objects.get()
            assert (rate.rate, rate.source) == (19, "ecb")
            assert rate.as_of == datetime(day.year, day.month, day.day, 12, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "FileNotFoundError"), (b" " * 300_000, "larger"), (b"<x/>", "no day")],
)
def test_a_file_that_is_none_is_said(configure, tmp_path, content, words):
    path = tmp_path / "rates.xml"
    if content is not None:
        path.write_bytes(content)
    configure({"rate_source": "ecb"}, rate_sources={"ecb": {"class": ECB, "file": str(path)}})
    with pytest.raises(SourceFailed, match=words):
        all_sources()["ecb"].source.fetch_rates(all_pairs())


# -- A rate that jumps -----------------------------------------------------------------------------
@pytest.fixture
def held(provider) -> HeldRate:
    fetch_due_rates()
    provider.reply = (200, sheet(25, timezone.now() + timedelta(seconds=1)))
    assert ask_again() == 0
    return HeldRate.objects.get()


def test_a_rate_that_jumps_is_held_and_the_one_before_stays_in_force(held, client):
    assert (held.outcome, held.rate, held.before.rate) == ("OPEN", 25, Decimal("17.05"))
    assert client.get("/sep38/price", PRICE).json()["buy_amount"] == "1662.63"


@pytest.mark.parametrize(("rate", "is_held"), [(18.755, False), (18.756, True), (15.344, True)])
def test_how_far_a_rate_may_move_at_once_is_configured(provider, rate, is_held):
    fetch_due_rates()
    provider.reply = (200, sheet(rate, timezone.now() + timedelta(seconds=1)))
    ask_again()
    assert HeldRate.objects.exists() is is_held
    assert Rate.objects.count() == (1 if is_held else 2)


def test_an_operator_puts_a_held_rate_in_force(held, provider, client):
    rate = accept_held_rate(held.pk, "olga")
    held.refresh_from_db()
    assert (held.outcome, held.decided_by, held.accepted_as) == ("ACCEPTED", "olga", rate)
    assert (rate.rate, rate.as_of, rate.source) == (25, held.as_of, "provider")
    assert Rate.objects.newest_of([(USDC, MXN)])[USDC, MXN] == rate
    # From there on the source goes on by itself.
    provider.reply = (200, sheet(25.5, timezone.now() + timedelta(seconds=3)))
    assert ask_again() == 1


def test_a_refused_rate_is_not_held_again_unless_the_source_insists(held, provider):
    refuse_held_rate(held.pk, "olga")
    ask_again()
    assert HeldRate.objects.get().outcome == "REFUSED"
    provider.reply = (200, sheet(25, timezone.now() + timedelta(seconds=5)))
    ask_again()
    assert HeldRate.objects.open().get().as_of > held.as_of


def test_a_source_that_comes_back_to_its_senses_needs_nobody(held, provider):
    provider.reply = (200, sheet(17.2, timezone.now() + timedelta(seconds=5)))
    assert ask_again() == 1
    held.refresh_from_db()
    assert held.outcome == "PASSED"


def test_while_one_waits_a_rate_near_it_says_nothing_new_and_a_far_one_takes_its_place(
    held, provider
):
    provider.reply = (200, sheet(25.5, timezone.now() + timedelta(seconds=5)))
    ask_again()
    assert HeldRate.objects.get() == held
    provider.reply = (200, sheet(250, timezone.now() + timedelta(seconds=9)))
    ask_again()
    assert HeldRate.objects.open().get().rate == 250
    held.refresh_from_db()
    assert held.outcome == "PASSED"


@pytest.mark.parametrize("decide", [accept_held_rate, refuse_held_rate])
def test_a_held_rate_is_decided_on_once(held, decide):
    accept_held_rate(held.pk, "olga")
    with pytest.raises(Conflict):
        decide(held.pk, "ivan")
    assert Rate.objects.count() == 2


def test_the_admin_says_what_a_held_rate_means_and_keeps_who_decided(held, admin_client):
    url = f"/admin/sep38/heldrate/{held.pk}/accept/"
    page = admin_client.get(url)
    text = page.content.decode()
    for words in ("17.05", "25", "+46.6%", "provider"):
        assert words in text
    assert Rate.objects.count() == 1, "a GET changes nothing"
    admin_client.post(url, {"seen": page.context["seen"]})
    held.refresh_from_db()
    assert (held.outcome, held.decided_by) == ("ACCEPTED", "admin")
    assert "It does not wait any more" in admin_client.get(url).content.decode()


def test_the_first_page_leads_to_what_is_held_and_to_sources_that_fail(
    held, provider, admin_client
):
    provider.reply = (500, {})
    ask_again()
    text = admin_client.get("/admin/").content.decode()
    assert "Fetched rates that are far from the last" in text
    assert "The rates of provider could not all be fetched" in text
    assert admin_client.get("/admin/sep38/ratefeed/").status_code == 200


# -- Several workers -------------------------------------------------------------------------------
def at_once(count: int, work: Any) -> list[Any]:
    together, results = threading.Barrier(count), []

    def run() -> None:
        try:
            together.wait()
            results.append(work())
        except BaseException as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_ask_once(provider):
    assert sorted(at_once(6, fetch_due_rates)) == [0] * 5 + [1]
    assert len(provider.requests) == 1
    assert Rate.objects.count() == 1
    RateFeed.objects.update(due_at=timezone.now())
    at_once(6, fetch_due_rates)
    assert len(provider.requests) == 2


@pytest.mark.django_db(transaction=True)
def test_what_two_workers_fetched_at_once_is_one_row(provider):
    configured = all_sources()["provider"]
    [pair] = [pair for pair in all_pairs() if pair.rate_source == "provider"]
    fetch_due_rates()
    for rate in ("17.2", "30"):  # the second is held
        moment = timezone.now() + timedelta(seconds=float(rate) / 10)
        said = {pair: Fetched(Decimal(rate), moment)}
        outcomes = at_once(6, lambda said=said: record_rates(configured, [pair], said))
        assert sum(outcomes) == (rate == "17.2")
    assert Rate.objects.count() == 2
    assert HeldRate.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_decide_once(provider):
    fetch_due_rates()
    provider.reply = (200, sheet(25, timezone.now() + timedelta(seconds=1)))
    ask_again()
    held = HeldRate.objects.get()
    outcomes = at_once(5, lambda: accept_held_rate(held.pk, "olga"))
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 4
    assert Rate.objects.count() == 2


def test_a_worker_that_died_while_it_asked_leaves_it_to_the_next_turn(provider, monkeypatch):
    def die(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(feeds, "record_rates", die)
    with pytest.raises(KeyboardInterrupt):
        fetch_due_rates()
    monkeypatch.undo()
    assert fetch_due_rates() == 0, "not before its turn"
    assert ask_again() == 1


# -- Configuration ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"class": "sep38.sources.Nobody"}, "ImportError"),
        ({}, "KeyError"),
        ({"class": HTTP}, "url"),
        ({"class": HTTP, "url": "ftp://example.com"}, "https://"),
        ({"class": HTTP, "url": "https://u:p@example.com"}, "password"),
        ({"class": HTTP, "url": "https://example.com", "color": "red"}, "color"),
        ({"class": ECB, "url": "https://example.com", "file": "/x"}, "not both"),
        ({"class": ECB, "every_seconds": 1}, "every_seconds"),
        ({"class": ECB, "max_jump_percent": "0"}, "max_jump_percent"),
        ({"class": ECB, "max_jump_percent": "NaN"}, "can't be read"),
    ],
)
def test_the_service_does_not_start_on_a_source_that_cannot_be(configure, source, words):
    configure({"rate_source": "x"}, rate_sources={"x": source})
    [error] = check_rate_sources()
    assert error.id == "landfall.E038"
    assert words in error.msg


@pytest.mark.parametrize(
    ("pair", "options", "id"),
    [
        ({"rate_source": "nobody"}, {}, "landfall.E039"),
        ({"sell_currency": ""}, {}, "landfall.E040"),
        ({}, {"every_seconds": 900000}, "landfall.W006"),
        ({"rate_max_age_seconds": 86400}, {}, "landfall.W007"),
        ({"rate_max_age_seconds": 90000, "rate_rests_on_weekends": True}, {}, "landfall.W007"),
    ],
)
def test_checks_say_what_is_doubtful(configure, pair, options, id):
    configure({"rate_source": "ecb", **pair}, rate_sources={"ecb": {"class": ECB, **options}})
    assert [found.id for found in check_rate_sources()] == [id]


def test_the_checks_find_nothing_wrong_with_what_is_right(configure):
    assert check_rate_sources() == []
    configure({"rate_source": "ecb"}, rate_sources={"ecb": {"class": ECB}})
    assert check_rate_sources() == []


def test_the_checks_run_at_start(configure, settings):
    settings.QUOTE_KEEP_DAYS = 0
    with pytest.raises(SystemCheckError, match=r"landfall\.E037"):
        call_command("check")
