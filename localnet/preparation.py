"""Prepares the anchor's database for the demo, in one process since each costs seconds to start.

`python -m localnet.preparation` reads a JSON list of manage.py commands from standard input.
"""

from __future__ import annotations

import json
import os
import sys

import django
from django.core.management import CommandError, call_command

OPERATOR = "operator"


def ensure_operator(password: str) -> None:
    """The operator's login; made once, and its password put back if somebody changed it."""
    from django.contrib.auth import get_user_model

    user, _ = get_user_model().objects.get_or_create(
        username=OPERATOR, defaults={"is_staff": True, "is_superuser": True}
    )
    if not user.check_password(password):
        user.set_password(password)
        user.save()


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anchor.settings")
    django.setup()
    for command in json.load(sys.stdin):
        try:
            call_command(*command)
        except CommandError as error:
            print(f"manage.py {' '.join(command)} failed: {error}", file=sys.stderr)
            return 1
    ensure_operator(os.environ["OPERATOR_PASSWORD"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
