"""`manage.py add_trustlines`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kernel.assets import parse_asset_name
from stellar.outcomes import explain_codes
from stellar.signing import SecretKeySigner, SigningUnavailable
from stellar.sources import HorizonSource, NotOnLedger, Refused, SourceUnavailable
from stellar.trustlines import add_trustlines


class Command(BaseCommand):
    help = (
        "Creates the distribution account's missing trustlines, one for each asset in the "
        "anchor's configuration. Run it as often as you like: it adds only what is missing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        assets = [
            parse_asset_name(f"stellar:{entry['code']}:{entry['issuer']}")
            for entry in settings.ANCHOR.get("assets", [])
        ]
        account = settings.DISTRIBUTION_ACCOUNT
        try:
            with HorizonSource() as source:
                added = add_trustlines(source, SecretKeySigner(), assets)
        except NotOnLedger as error:
            raise CommandError(f"{account} does not exist yet: fund it with XLM first") from error
        except Refused as error:
            raise CommandError(
                f"the network refused the transaction: {explain_codes(error.codes)}"
            ) from error
        except SourceUnavailable as error:
            raise CommandError(f"Horizon did not answer ({error}); run this again") from error
        except SigningUnavailable as error:
            raise CommandError(str(error)) from error
        for asset in added:
            self.stdout.write(f"{account} now trusts {asset}")
        if not added:
            self.stdout.write(f"{account} has all its trustlines")
