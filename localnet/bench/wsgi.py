"""The anchor's WSGI application with one more address, an empty view: the floor of HTTP."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anchor.settings")
settings.ROOT_URLCONF = "localnet.bench.urls"

application = get_wsgi_application()
