"""Composition root: settings, URLs, Celery, system checks, health. No business rule lives here."""

from anchor.celery import app as celery_app

__all__ = ["celery_app"]
