from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Keypair

from kernel.assets import AssetName, parse_asset_name, stellar_asset_name

ISSUER = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN"
CODES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1,
                max_size=12)  # fmt: skip


@given(CODES, st.binary(min_size=32, max_size=32))
def test_every_stellar_asset_keeps_its_name(code: str, seed: bytes) -> None:
    issuer = Keypair.from_raw_ed25519_seed(seed).public_key
    name = parse_asset_name(f"stellar:{code}:{issuer}")
    assert str(name) == f"stellar:{code}:{issuer}"
    assert name == stellar_asset_name(code, issuer)
    assert (name.to_stellar().code, name.to_stellar().issuer) == (code, issuer)


@given(st.text())
def test_any_other_text_is_refused_in_words(text: str) -> None:
    try:
        name = parse_asset_name(text)
    except ValueError as error:
        assert str(error)
    else:
        assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "stellar:", "stellar:USDC", f"stellar:USDC:{ISSUER[:-1]}A", f"stellar::{ISSUER}",
        f"stellar:ABCDEFGHIJKLM:{ISSUER}", f"stellar:US DC:{ISSUER}", f"stellar:USDC:{ISSUER}:x",
        f"stellar:USDC\n:{ISSUER}", f"stellar:ÜSD:{ISSUER}", "stellar:native:", "stellar:XLM",
        f"STELLAR:USDC:{ISSUER}", "iso4217:", "iso4217:usd", "iso4217:XXX", "swift:USD", "USD",
    ],
)  # fmt: skip
def test_what_sep_38_does_not_define_is_no_asset(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_asset_name(text)


def test_assets_differ_by_issuer_and_not_by_code_alone() -> None:
    other = Keypair.random().public_key
    assert stellar_asset_name("USDC", ISSUER) != stellar_asset_name("USDC", other)
    assert stellar_asset_name("USDC", ISSUER) != stellar_asset_name("usdc", ISSUER)


def test_the_native_asset_has_its_own_name() -> None:
    assert str(stellar_asset_name("XLM")) == "stellar:native"
    assert parse_asset_name("stellar:native").to_stellar().is_native()


def test_each_asset_knows_its_decimals() -> None:
    assert parse_asset_name(f"stellar:USDC:{ISSUER}").decimals == 7
    assert parse_asset_name("iso4217:JPY").decimals == 0


def test_fiat_is_not_on_stellar() -> None:
    with pytest.raises(ValueError, match="not on Stellar"):
        AssetName("iso4217", "USD").to_stellar()
