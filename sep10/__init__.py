"""SEP-10: sending anchors, challenges, tokens."""
