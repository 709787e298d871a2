"""A sandbox bank with mobile money, for the demo and the tests: `python -m localnet.bank`.

It is a service of its own and imports nothing of the anchor. docs/sandbox-bank.md describes its
interface and its test account numbers.
"""

from localnet.bank.accounts import TEST_ACCOUNTS

__all__ = ["TEST_ACCOUNTS"]
