"""One file a rail, behind the protocol in base.py."""
