"""The Celery app: `celery -A anchor worker`, `celery -A anchor beat`.

The beat schedule in the settings keeps the money moving; other messages only make it sooner.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anchor.settings")

app = Celery("landfall")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def _renew_connections(**kwargs: Any) -> None:
    """A connection lives on between tasks as it does between requests: until CONN_MAX_AGE, and
    checked before use, since PostgreSQL may have been restarted meanwhile."""
    from django.db import close_old_connections

    close_old_connections()


@setup_logging.connect
def _keep_our_logging(**kwargs: Any) -> None:
    """Celery would otherwise install its own handlers beside those of the settings."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)
