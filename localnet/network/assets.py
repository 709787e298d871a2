"""Assets, accounts and amounts between XDR and the plain strings the rest of the network uses.

An asset is ``"native"`` or ``"CODE:ISSUER"``, an account a ``G...`` string, an amount an ``int``
of stroops.
"""

import re
from functools import lru_cache

from stellar_sdk import StrKey, xdr

from .genesis import MAX_INT64, ONE

NATIVE = "native"
_CODE = re.compile(r"[A-Za-z0-9]{1,12}")
_AMOUNT = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,7}))?")


@lru_cache(maxsize=65536)
def address(key: bytes) -> str:
    """Return the ``G...`` form of 32 key bytes."""
    return StrKey.encode_ed25519_public_key(key)


@lru_cache(maxsize=65536)
def key_bytes(account: str) -> bytes:
    """Return the 32 key bytes of a ``G...`` string."""
    return StrKey.decode_ed25519_public_key(account)


def account_of(account_id: xdr.AccountID) -> str:
    """Return the ``G...`` string of an XDR account id."""
    assert account_id.account_id.ed25519 is not None
    return address(account_id.account_id.ed25519.uint256)


def account_xdr(account: str) -> xdr.AccountID:
    """Return the XDR account id of a ``G...`` string."""
    key = xdr.PublicKey(
        xdr.PublicKeyType.PUBLIC_KEY_TYPE_ED25519, ed25519=xdr.Uint256(key_bytes(account))
    )
    return xdr.AccountID(key)


def unmux(muxed: xdr.MuxedAccount) -> str:
    """Return the ``G...`` string that stands under a plain or muxed account."""
    if muxed.med25519 is not None:
        return address(muxed.med25519.ed25519.uint256)
    assert muxed.ed25519 is not None
    return address(muxed.ed25519.uint256)


def muxed_fields(muxed: xdr.MuxedAccount, name: str) -> dict[str, str]:
    """Return ``name``, and for a muxed account also ``name_muxed`` and ``name_muxed_id``."""
    fields = {name: unmux(muxed)}
    if muxed.med25519 is not None:
        raw = muxed.med25519
        key = raw.ed25519.uint256 + raw.id.uint64.to_bytes(8, "big")
        fields[f"{name}_muxed"] = StrKey.encode_med25519_public_key(key)
        fields[f"{name}_muxed_id"] = str(raw.id.uint64)
    return fields


def name_asset(code: str, issuer: str) -> str:
    """Return the plain string of a credit asset."""
    return f"{code}:{issuer}"


def issuer_of(asset: str) -> str:
    """Return the issuer of a credit asset, or an empty string for the native one."""
    return asset.partition(":")[2]


def is_valid(asset: str) -> bool:
    """Say whether the code is one to twelve letters and digits."""
    return asset == NATIVE or _CODE.fullmatch(asset.partition(":")[0]) is not None


def _code(raw: bytes, shortest: int) -> str:
    """Decode a zero-padded code; an impossible one becomes a code that is_valid refuses."""
    code = raw.rstrip(b"\0")
    if len(code) < shortest or not _CODE.fullmatch(code.decode("latin-1")):
        return "?"
    return code.decode("ascii")


def code_of(code: xdr.AssetCode) -> str:
    """Return the code of an allow-trust asset code."""
    if code.asset_code4 is not None:
        return _code(code.asset_code4.asset_code4, 1)
    assert code.asset_code12 is not None
    return _code(code.asset_code12.asset_code12, 5)


def asset_of(asset: xdr.Asset | xdr.ChangeTrustAsset) -> str:
    """Return the plain string of an XDR asset; a pool share becomes an invalid asset."""
    if asset.type == xdr.AssetType.ASSET_TYPE_NATIVE:
        return NATIVE
    if asset.alpha_num4 is not None:
        short = asset.alpha_num4
        return name_asset(_code(short.asset_code.asset_code4, 1), account_of(short.issuer))
    if asset.alpha_num12 is not None:
        long = asset.alpha_num12
        return name_asset(_code(long.asset_code.asset_code12, 5), account_of(long.issuer))
    return "?:pool"


def asset_xdr(asset: str) -> xdr.Asset:
    """Return the XDR of a valid plain asset."""
    if asset == NATIVE:
        return xdr.Asset(xdr.AssetType.ASSET_TYPE_NATIVE)
    code, _, issuer = asset.partition(":")
    raw = code.encode()
    if len(raw) <= 4:
        four = xdr.AlphaNum4(xdr.AssetCode4(raw.ljust(4, b"\0")), account_xdr(issuer))
        return xdr.Asset(xdr.AssetType.ASSET_TYPE_CREDIT_ALPHANUM4, alpha_num4=four)
    twelve = xdr.AlphaNum12(xdr.AssetCode12(raw.ljust(12, b"\0")), account_xdr(issuer))
    return xdr.Asset(xdr.AssetType.ASSET_TYPE_CREDIT_ALPHANUM12, alpha_num12=twelve)


def type_of(asset: str) -> str:
    """Return Horizon's name of the asset's type."""
    if asset == NATIVE:
        return "native"
    short = len(asset.partition(":")[0]) <= 4
    return "credit_alphanum4" if short else "credit_alphanum12"


def asset_fields(asset: str, prefix: str = "") -> dict[str, str]:
    """Return Horizon's ``asset_type``, ``asset_code`` and ``asset_issuer`` fields."""
    fields = {f"{prefix}asset_type": type_of(asset)}
    if asset != NATIVE:
        code, _, issuer = asset.partition(":")
        fields[f"{prefix}asset_code"] = code
        fields[f"{prefix}asset_issuer"] = issuer
    return fields


def parse_asset(text: str) -> str | None:
    """Read ``native`` or ``CODE:ISSUER`` as a request writes it; None when it is neither."""
    if text == NATIVE:
        return NATIVE
    code, _, issuer = text.partition(":")
    if _CODE.fullmatch(code) and StrKey.is_valid_ed25519_public_key(issuer):
        return text
    return None


def amount_text(stroops: int) -> str:
    """Return stroops as Horizon's decimal with seven places."""
    sign = "-" if stroops < 0 else ""
    whole, rest = divmod(abs(stroops), ONE)
    return f"{sign}{whole}.{rest:07d}"


def parse_amount(text: str) -> int | None:
    """Read a decimal of at most seven places as stroops; None when it is not one."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    stroops = int(match[1]) * ONE + int((match[2] or "").ljust(7, "0"))
    return stroops if stroops <= MAX_INT64 else None
