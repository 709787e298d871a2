"""Python's collector of cycles, in a process that serves requests."""

from __future__ import annotations

import gc


def spare_what_is_loaded() -> None:
    """To be called once all is loaded. What is there by now stays for good: no collection need
    look at it again. And requests leave few cycles behind, so that after each 700 new objects,
    Python's default, there is next to nothing to find."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
