"""SEP-1: the anchor's assets and its stellar.toml."""
