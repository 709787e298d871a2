"""Personal data encrypted at rest: AES-256-GCM with rotating keys.

A sealed value is `key id (4 bytes) || nonce (12) || ciphertext and tag`. The additional data
names the column, so a value that is copied to another column does not open. Keys come from
`settings.SEALING_KEYS` (base64 of 32 bytes each, newest first): the first one seals, all open.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models

KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class CannotUnseal(Exception):
    """The value was sealed with a key that is not in SEALING_KEYS, or was tampered with."""


@lru_cache(maxsize=8)
def _keyring(encoded_keys: tuple[str, ...]) -> dict[bytes, AESGCM]:
    keys = [base64.b64decode(encoded) for encoded in encoded_keys]
    return {hashlib.sha256(key).digest()[:KEY_ID_BYTES]: AESGCM(key) for key in keys}


def _keys() -> dict[bytes, AESGCM]:
    return _keyring(tuple(settings.SEALING_KEYS))


def key_ids() -> list[bytes]:
    """The ids of the keys in SEALING_KEYS, newest first; what a sealed value begins with."""
    return list(_keys())


def seal(plain: bytes, *, context: str) -> bytes:
    """Encrypt `plain` under the newest key, bound to `context` (the column's name)."""
    key_id, cipher = next(iter(_keys().items()))
    nonce = os.urandom(_NONCE_BYTES)
    return key_id + nonce + cipher.encrypt(nonce, plain, context.encode())


def unseal(sealed: bytes, *, context: str) -> bytes:
    """Decrypt what `seal` made. Raises `CannotUnseal`."""
    key_id, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + _NONCE_BYTES]
    try:
        return _keys()[key_id].decrypt(
            nonce, sealed[KEY_ID_BYTES + _NONCE_BYTES :], context.encode()
        )
    except (KeyError, InvalidTag, ValueError) as error:  # ValueError: too short to hold a nonce
        raise CannotUnseal("sealed with an unknown key, or changed since") from error


class SealedBytesField(models.BinaryField):
    """Bytes that are encrypted in the database. They can't be searched, ordered or indexed."""

    def _context(self) -> str:
        return f"{self.model._meta.label_lower}.{self.name}"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if value is None:
            return None
        return self._from_plain(unseal(bytes(value), context=self._context()))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None:
            return None
        sealed = seal(self._to_plain(value), context=self._context())
        return super().get_db_prep_value(sealed, connection, prepared)

    def reseal(self, sealed: bytes) -> bytes:
        """Stored bytes of this column, under the newest key. Raises `CannotUnseal`."""
        context = self._context()
        return seal(unseal(sealed, context=context), context=context)

    def _to_plain(self, value: Any) -> bytes:
        return bytes(value)

    def _from_plain(self, plain: bytes) -> Any:
        return plain


class SealedTextField(SealedBytesField):
    """Text that is encrypted in the database."""

    if TYPE_CHECKING:
        _pyi_private_get_type: Any  # for mypy's Django plugin: not BinaryField's bytes

    def _to_plain(self, value: Any) -> bytes:
        return str(value).encode()

    def _from_plain(self, plain: bytes) -> Any:
        return plain.decode()


class SealedJSONField(SealedBytesField):
    """A JSON document that is encrypted in the database."""

    if TYPE_CHECKING:
        _pyi_private_get_type: Any  # for mypy's Django plugin: not BinaryField's bytes

    def _to_plain(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def _from_plain(self, plain: bytes) -> Any:
        return json.loads(plain)
