"""The anchor's WSGI application with one more address, an empty view: the floor of HTTP."""

import os

from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anchor.settings")
settings.ROOT_URLCONF = "localnet.bench.urls"

from anchor.wsgi import application  # noqa: E402

__all__ = ["application"]
