"""Names of assets in SEP-38's Asset Identification Format.

`stellar:USDC:G...`, `stellar:native`, `iso4217:MXN`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from stellar_sdk import Asset as StellarAsset
from stellar_sdk.strkey import StrKey

from kernel.money import STELLAR_DECIMALS, fiat_decimals

_CODE = re.compile(r"[A-Za-z0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AssetName:
    """An asset as SEP-38 names it. Equality is by scheme, code **and** issuer.

    `issuer` is the issuing account of a Stellar asset, "" for XLM and for fiat.
    """

    scheme: str
    code: str
    issuer: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}:{self.code}:{self.issuer}" if self.issuer else self.scheme_and_code

    @property
    def scheme_and_code(self) -> str:
        return f"{self.scheme}:{self.code}"

    @property
    def is_stellar(self) -> bool:
        return self.scheme == "stellar"

    @property
    def decimals(self) -> int:
        """7 on Stellar, the ISO 4217 minor unit for fiat."""
        return STELLAR_DECIMALS if self.is_stellar else fiat_decimals(self.code)

    def to_stellar(self) -> StellarAsset:
        if not self.is_stellar:
            raise ValueError(f"{self} is not on Stellar")
        return StellarAsset(self.code, self.issuer) if self.issuer else StellarAsset.native()


@lru_cache(maxsize=1024)
def parse_asset_name(text: str) -> AssetName:
    """Parse SEP-38's Asset Identification Format. Raises `ValueError` in plain words."""
    scheme, _, rest = text.partition(":")
    if scheme == "stellar":
        if rest == "native":
            return AssetName("stellar", "native")
        code, _, issuer = rest.partition(":")
        if _CODE.fullmatch(code) and StrKey.is_valid_ed25519_public_key(issuer):
            return AssetName("stellar", code, issuer)
    elif scheme == "iso4217":
        fiat_decimals(rest)  # raises ValueError for what ISO 4217 does not list
        return AssetName("iso4217", rest)
    raise ValueError("an asset is named like stellar:USDC:G... or iso4217:USD")


def stellar_asset_name(code: str, issuer: str = "") -> AssetName:
    """The name of an asset as the ledger reports it (`issuer` is empty for XLM)."""
    return AssetName("stellar", code, issuer) if issuer else AssetName("stellar", "native")
