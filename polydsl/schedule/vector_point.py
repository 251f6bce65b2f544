"""A point of the space of schedules of what is no product: plain values only.

    for loops over tiles of left-hand indices, outermost first
      accumulators = first value           `unrolled` points x `vectors` vectors
      for `reduction`, outermost first
        for `taps` (written out), `unrolled`, vectors (written out)
          accumulators combine= value
      tensor = accumulators

The vector index is a left-hand index (lanes are elements of the result) or a reduced
one (lanes are partial results, of which `vectors` vectors are combined at the end).
An assignment has no reduction. Points can be compared, pickled and written to a file;
`vector_builder` makes a `VectorPlan` of one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexLoop:
    """A loop over a left-hand index, of which one iteration spans `tiles` innermost
    tiles of it. The last loop over an index spans one; one outside of it spans more."""

    index: str
    tiles: int = 1


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A left-hand index of which `count` points lie side by side in registers."""

    index: str
    count: int


@dataclass(frozen=True, slots=True)
class VectorPoint:
    """One schedule of a tensor's statements; see the module's docstring.

    `unrolled` and `taps` are written out in this order, the first outermost. `cut`
    names the left-hand indices whose borders are loops of their own, so that padding
    is not asked for in the inside. `parallel` is the place in `loops` of the loop that
    threads share, -1 for none.
    """

    vector: str | None
    vectors: int = 1
    unrolled: tuple[Unrolled, ...] = ()
    taps: tuple[str, ...] = ()
    reduction: tuple[str, ...] = ()
    loops: tuple[IndexLoop, ...] = ()
    cut: tuple[str, ...] = ()
    parallel: int = -1
