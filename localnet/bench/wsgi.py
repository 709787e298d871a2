"""The anchor's WSGI application with one more address, an empty view: the floor of HTTP."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from kernel.garbage import spare_what_is_loaded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anchor.settings")
settings.ROOT_URLCONF = "localnet.bench.urls"

application = get_wsgi_application()
spare_what_is_loaded()  # as anchor.wsgi does
