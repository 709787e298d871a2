"""Which callback URLs a sending anchor may name (SEP-31, PUT Transaction Callback)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callbacks.services import check_callback_url
from kernel.errors import BadRequest


@pytest.fixture(autouse=True)
def _production(settings):
    settings.ALLOW_INSECURE_URLS = False


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://sender.com/callback?id=1", "https://sender.com/callback?id=1"),
        ("https://Sender.COM", "https://sender.com/"),
        ("HTTPS://sender.com:443/a", "https://sender.com/a"),
        ("https://sender.com./a", "https://sender.com/a"),
        ("https://8.8.8.8/a", "https://8.8.8.8/a"),
    ],
)
def test_a_public_https_url_is_kept_with_its_host_in_one_form(url, stored):
    assert check_callback_url(url, []) == stored


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        ["https://sender.com"],
        {"url": "https://sender.com"},
        7,
        "http://sender.com/a",
        "ftp://sender.com/a",
        "//sender.com/a",
        "sender.com/a",
        "javascript:alert(1)",
        "https://",
        "https:///a",
        "https://user@sender.com/",
        "https://user:secret@sender.com/",
        "https://sender.com/#part",
        "https://sender.com:8443/",
        "https://sender.com:0/",
        "https://sender.com:99999/",
        "https://sender.com:x/",
        "https://sender.com/a b",
        "https://sender.com/\x00",
        "https://sender.com/\ud800",
        "https://sender.com\\@evil.com/",
        "https://señder.com/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://sender.com/" + "a" * 2000,
        "https://sender.com/" + '"' * 700,
    ],
)
def test_any_other_url_is_refused_by_the_name_of_its_field(url):
    with pytest.raises(BadRequest, match=r"^url "):
        check_callback_url(url, [])


def test_only_agreed_hosts_may_be_named_where_there_is_a_list():
    agreed = ["Sender.com", "hooks.sender.com"]
    assert check_callback_url("https://hooks.sender.com/a", agreed)
    assert check_callback_url("https://SENDER.com/a", agreed)
    for url in ("https://evil.com/", "https://sender.com.evil.com/", "https://evilsender.com/"):
        with pytest.raises(BadRequest, match="agreed"):
            check_callback_url(url, agreed)


def test_development_may_use_http_and_local_hosts(settings):
    settings.ALLOW_INSECURE_URLS = True
    url = "http://127.0.0.1:9000/callback"
    assert check_callback_url(url, []) == url


@given(st.text(max_size=60) | st.text(max_size=40).map("https://a.com".__add__))
def test_any_text_is_either_refused_or_a_plain_https_url(text):
    try:
        stored = check_callback_url(text, ["a.com"])
    except BadRequest:
        return
    assert stored.startswith("https://a.com/")
    assert stored.isascii()
    assert check_callback_url(stored, ["a.com"]) == stored
