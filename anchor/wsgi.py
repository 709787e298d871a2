"""WSGI entry point: `gunicorn anchor.wsgi`. It does not start where a system check fails."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

from kernel.garbage import spare_what_is_loaded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anchor.settings")

_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)

_django = get_wsgi_application()
call_command("check")  # Django itself runs the checks for commands of manage.py only
spare_what_is_loaded()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, told nothing of charsets: all that we take is UTF-8 (RFC 8259, section 8.1).

    Python knows codecs such as base64 by the same names, and Django trips over them while it
    makes the request, before anything of ours could turn that into a 4xx.
    """
    environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
    return _django(environ, start_response)
