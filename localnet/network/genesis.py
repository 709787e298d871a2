"""What a fresh network starts with: its keys and its constants.

The keys follow from the passphrase, as stellar-core's root key does, so everyone who knows the
passphrase of this toy network owns all of its lumens. Never use them on a real network.
"""

import hashlib

from stellar_sdk import Keypair

DEFAULT_PASSPHRASE = "Local Landfall Network ; November 2026"

ONE = 10_000_000  # stroops in one unit
TOTAL_STROOPS = 100_000_000_000 * ONE
BASE_FEE = 100
BASE_RESERVE = 5_000_000
MAX_INT64 = 2**63 - 1
PROTOCOL_VERSION = 23
FRIENDBOT_STROOPS = 50_000_000_000 * ONE
FRIENDBOT_GIFT = "10000"


def network_id(passphrase: str) -> bytes:
    """Return the 32 bytes that every transaction hash of this network starts from."""
    return hashlib.sha256(passphrase.encode()).digest()


def root_keypair(passphrase: str) -> Keypair:
    """Return the key of the account that holds every lumen at genesis (seed: the network id)."""
    return Keypair.from_raw_ed25519_seed(network_id(passphrase))


def friendbot_keypair(passphrase: str) -> Keypair:
    """Return friendbot's key (seed: SHA-256 of the network id and the word friendbot)."""
    return Keypair.from_raw_ed25519_seed(
        hashlib.sha256(network_id(passphrase) + b"friendbot").digest()
    )
