"""The web server's way in."""

from __future__ import annotations

import io

import pytest

from anchor.wsgi import application

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "charset", ["base64", "punycode", "idna", "unicode_escape", '"utf-16"', "x"]
)
def test_a_charset_that_we_do_not_know_is_no_server_error(charset):
    query = "&".join(f"p{n}=v" for n in range(300))
    for method, path in [("POST", "/auth"), ("GET", "/sep12/customer"), ("GET", "/sep31/info")]:
        answers: list[str] = []
        application(
            {
                "REQUEST_METHOD": method,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": f"application/json; charset={charset}",
                "CONTENT_LENGTH": "2",
                "SERVER_NAME": "localhost",
                "SERVER_PORT": "8000",
                "wsgi.input": io.BytesIO(b"{}"),
                "wsgi.url_scheme": "http",
            },
            lambda status, headers, answers=answers: answers.append(status),
        )
        assert answers
        assert not answers[0].startswith("5")
