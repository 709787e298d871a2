"""The local Stellar network: one small server that an unmodified Stellar SDK takes for Horizon.

For demo and tests only. It keeps one ledger in one process, has no consensus and no peers, and
nobody should ever trust it with value. Production code never imports this package; it imports
none of Landfall's other rooms. Run it with ``python -m localnet.network``.
"""
