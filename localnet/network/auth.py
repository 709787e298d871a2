"""Signatures: which of an envelope's signatures speak for an account, and with what weight.

One ``Signatures`` is made for each list of signatures. It remembers which were of use, because
a signature that nobody needed makes the transaction invalid (tx_bad_auth_extra).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from stellar_sdk import StrKey, xdr

from .assets import key_bytes
from .state import Account

Kind = xdr.SignerKeyType
LOW, MEDIUM, HIGH = 1, 2, 3  # places in Account.thresholds


@lru_cache(maxsize=8192)
def _signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Verify one ed25519 signature; remembered, because admission and closing both ask."""
    if len(signature) != 64:
        return False
    try:
        VerifyKey(key).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def signer_address(key: xdr.SignerKey) -> str:
    """Return the G, T, X or P string of a signer key."""
    if key.ed25519 is not None:
        return StrKey.encode_ed25519_public_key(key.ed25519.uint256)
    if key.pre_auth_tx is not None:
        return StrKey.encode_pre_auth_tx(key.pre_auth_tx.uint256)
    if key.hash_x is not None:
        return StrKey.encode_sha256_hash(key.hash_x.uint256)
    assert key.ed25519_signed_payload is not None
    return StrKey.encode_ed25519_signed_payload(_payload_bytes(key.ed25519_signed_payload))


def _payload_bytes(signed: xdr.SignerKeyEd25519SignedPayload) -> bytes:
    padding = -len(signed.payload) % 4
    length = len(signed.payload).to_bytes(4, "big")
    return signed.ed25519.uint256 + length + signed.payload + b"\0" * padding


def signer_type(signer: str) -> str:
    """Return Horizon's name of a signer's kind."""
    return {
        "G": "ed25519_public_key",
        "T": "preauth_tx",
        "X": "sha256_hash",
        "P": "ed25519_signed_payload",
    }[signer[0]]


class Signatures:
    """The signatures over one hash."""

    def __init__(self, digest: bytes, signatures: list[xdr.DecoratedSignature]) -> None:
        self.digest = digest
        self.signatures = [(s.hint.signature_hint, s.signature.signature) for s in signatures]
        self.used = [False] * len(signatures)

    def meets(self, account: Account, level: int) -> bool:
        """Say whether the signers of ``account`` reach its threshold of this level.

        A threshold of zero still asks for one signer, as stellar-core does.
        """
        signers = dict(account.signers)
        if account.thresholds[0]:
            signers[account.id] = account.thresholds[0]
        return self._reaches(signers, account.thresholds[level])

    def meets_key(self, account: str) -> bool:
        """Say whether the master key of an account that does not exist yet has signed."""
        return self._reaches({account: 1}, 0)

    def meets_signer(self, signer: str) -> bool:
        """Say whether one extra signer has signed."""
        return self._reaches({signer: 1}, 0)

    def all_used(self) -> bool:
        """Say whether every signature was of use to some account."""
        return all(self.used)

    def _reaches(self, signers: dict[str, int], needed: int) -> bool:
        """Add up weights in the order of the signatures, and stop once there is enough.

        A signature after that point stays unused and is extra, as on the real network.
        """
        weight = 0
        for _, own in self._speakers(signers):
            weight += min(own, 255)
            if weight >= needed:
                return True
        return False

    def _speakers(self, signers: dict[str, int]) -> Iterator[tuple[str, int]]:
        """Yield each signer that speaks, once: pre-authorised first, then by signature."""
        for signer, own in signers.items():
            if signer[0] == "T" and StrKey.decode_pre_auth_tx(signer) == self.digest:
                yield signer, own
        for kind in "XGP":
            left = {signer: own for signer, own in signers.items() if signer[0] == kind}
            for index, (hint, signature) in enumerate(self.signatures):
                for signer in left:
                    if self._matches(signer, hint, signature):
                        self.used[index] = True
                        yield signer, left.pop(signer)
                        break

    def _matches(self, signer: str, hint: bytes, signature: bytes) -> bool:
        if signer[0] == "G":
            key = key_bytes(signer)
            return hint == key[-4:] and _signed(key, self.digest, signature)
        if signer[0] == "X":
            wanted = StrKey.decode_sha256_hash(signer)
            return hint == wanted[-4:] and hashlib.sha256(signature).digest() == wanted
        raw = StrKey.decode_ed25519_signed_payload(signer)
        key, length = raw[:32], int.from_bytes(raw[32:36], "big")
        payload = raw[36 : 36 + length]
        tail = payload[-4:].ljust(4, b"\0") if len(payload) < 4 else payload[-4:]
        mixed = bytes(a ^ b for a, b in zip(key[-4:], tail, strict=True))
        return hint == mixed and _signed(key, payload, signature)
