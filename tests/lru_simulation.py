"""An exact simulation of a cache that drops what was used longest ago (LRU)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable


def misses(trace: Iterable[tuple[str, Hashable]], capacity: int) -> dict[str, int]:
    """Return how often each array brings a line into a cache of *capacity* lines.

    The trace is of (array, line) pairs in order of use; the cache starts empty.
    """
    held: OrderedDict[tuple[str, Hashable], None] = OrderedDict()
    count: dict[str, int] = {}
    for use in trace:
        if use in held:
            held.move_to_end(use)
            continue
        count[use[0]] = count.get(use[0], 0) + 1
        held[use] = None
        if len(held) > capacity:
            held.popitem(last=False)
    return count
