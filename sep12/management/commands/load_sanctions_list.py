"""`manage.py load_sanctions_list [NAME] [--format FORMAT FILE [FILE...]] [--force]`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from sep12.screening.formats import FORMATS, ListError
from sep12.screening.lists import RequiredList, load_list, required_lists


class Command(BaseCommand):
    help = (
        "Load sanctions lists in the place of what was loaded before: all that SANCTIONS_LISTS "
        "gives files for, or one by its name, from its files there or from other ones."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="as in SANCTIONS_LISTS")
        parser.add_argument("files", nargs="*", metavar="file", type=Path)
        parser.add_argument("--format", choices=list(FORMATS), help="of the files that are given")
        parser.add_argument(
            "--force",
            action="store_true",
            help="load a list that lost more than half of its entries, or whose files are the same",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for one in _which(options):
            try:
                loaded = load_list(one.name, one.format, one.paths, force=options["force"])
            except (ListError, OSError) as error:
                raise CommandError(f"{one.name} was not loaded: {error}") from error
            if loaded.changed:
                self.stdout.write(
                    f"{loaded.name}: {loaded.entries} entries with {loaded.names} names; "
                    f"{loaded.entries_before} entries before. All customers are screened anew."
                )
            else:
                self.stdout.write(
                    f"{loaded.name}: these files are loaded already, "
                    f"{loaded.entries} entries with {loaded.names} names"
                )


def _which(options: dict[str, Any]) -> list[RequiredList]:
    try:
        required = required_lists()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error
    named = [one for one in required if options["name"] in (None, one.name)]
    if options["files"]:
        if not options["format"]:
            raise CommandError("--format must say what the files are")
        return [RequiredList(options["name"], options["format"], tuple(options["files"]))]
    if options["name"] and not named:
        raise CommandError(f"SANCTIONS_LISTS names no list {options['name']}")
    found = [one for one in named if one.paths]
    if not found:
        raise CommandError("SANCTIONS_LISTS gives no files to load; name them here")
    return found
