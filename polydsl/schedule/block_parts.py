"""The blocks of a shared index: `parts_of(shared)`.

Whole blocks all alike are in a loop; each group computes what such a block needs of it.
Near the ends, where a window reaches beyond the range of a group, and beside whole
blocks, there is less: the values there are blocks of their own, outside of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polydsl.schedule.shared_indices import Border, Member, Shared
from polydsl.schedule.strip_mining import Strip

LONGEST = 2
"""What is beside the blocks in the loop is at each end less than so many of them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Values of a shared index, from `first` on: `count` blocks of `size` values in a
    loop, or one block without."""

    first: int
    size: int
    count: int | None = None

    def strip(self, member: Member, block: str | None) -> Strip:
        """Return what a group computes for it, with the number of the block in an
        index."""
        lo, hi = member.window.block(self.first, self.size)
        if self.count is not None:
            step = member.window.step * self.size
            return Strip(block, lo, hi - lo + 1, self.count, step)
        lo, hi = max(lo, member.lo), min(hi, member.hi)
        return Strip(None, lo, hi - lo + 1)


def parts_of(shared: Shared) -> tuple[Part, ...]:
    """Return the parts of an index that is shared in blocks, that of the loop first;
    none, where no block needs as much as the others of every group. If possible, the
    blocks of the loop keep away from the borders of what is padded, too."""
    return _parts(shared, (*shared.members, *shared.borders)) or _parts(
        shared, shared.members
    )


def _parts(shared: Shared, needed: Sequence[Member | Border]) -> tuple[Part, ...]:
    size = shared.size
    first, end = 0, shared.extent // size
    for each in needed:
        step = each.window.step * size
        lo, hi = each.window.block(shared.lo, size)
        first = max(first, -((lo - each.lo) // step))
        end = min(end, (each.hi - hi) // step + 1)
    before = first * size
    after = shared.extent - end * size
    if end <= first or max(before, after) >= LONGEST * size:
        return ()
    whole = Part(shared.lo + before, size, end - first)
    ends = (Part(shared.lo, before), Part(shared.hi + 1 - after, after))
    found = (whole, *(part for part in ends if part.size))
    strips = (p.strip(m, None) for p in found[1:] for m in shared.members)
    return found if all(strip.size > 0 for strip in strips) else ()
