"""`manage.py revoke_tokens NAME`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sep10.models import SendingAnchor
from sep10.services import revoke_tokens


class Command(BaseCommand):
    help = "End all tokens of a sending anchor at once. It may authenticate again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        found = SendingAnchor.objects.filter(name=options["name"]).first()
        if found is None:
            raise CommandError(f"there is no sending anchor {options['name']}")
        revoke_tokens(found.pk)
        self.stdout.write(f"{found}: all its tokens are revoked")
