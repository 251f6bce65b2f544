"""Python's search for garbage in cycles, put off for a while: `uncollected`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage in cycles while the block runs.

    IR has no cycles and goes when the last reference does. A search walks through all
    of it again and again, which takes a tenth of the time of a compilation.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()
