"""`manage.py register_sending_anchor NAME ACCOUNT [ACCOUNT...] [--callback-host HOST ...]
[--client-domain DOMAIN ...]`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from stellar_sdk.strkey import StrKey

from sep10.challenge import is_domain
from sep10.models import SendingAnchor
from sep10.services import register_sending_anchor


class Command(BaseCommand):
    help = (
        "Put a sending anchor on the list, or add accounts, callback hosts and client domains "
        "to it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("accounts", nargs="+", metavar="account", help="a G... address")
        parser.add_argument(
            "--callback-host",
            dest="callback_hosts",
            action="append",
            default=[],
            help="a host that its callback URLs may name; may be given several times",
        )
        parser.add_argument(
            "--client-domain",
            dest="client_domains",
            action="append",
            default=[],
            help="a domain that must vouch for it when it authenticates; may be given several "
            "times: then one of them must",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for account in options["accounts"]:
            if not StrKey.is_valid_ed25519_public_key(account):
                raise CommandError(f"{account} is not a Stellar account (G...)")
        hosts = [host.lower() for host in options["callback_hosts"]]
        domains = [domain.lower() for domain in options["client_domains"]]
        for domain in domains:
            if not is_domain(domain):
                raise CommandError(f"{domain} is not a domain, like wallet.com")
        try:
            SendingAnchor(name=options["name"], allowed_callback_hosts=hosts).clean_fields()
            sending_anchor = register_sending_anchor(
                options["name"], options["accounts"], callback_hosts=hosts, client_domains=domains
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        except ValueError as error:
            raise CommandError(str(error)) from error
        accounts = sending_anchor.accounts.count()
        self.stdout.write(f"{sending_anchor}: {accounts} account(s) may authenticate")
