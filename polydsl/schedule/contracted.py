"""Tensors of which one row is in memory at a time: `contracted_layout(scop, layout)`.

A tensor that only the groups inside of a fused loop need has no memory for the other
values of the loop's index: the stride along it is 0. Each thread has a row of its own.
Rows of what is left do not begin in the same set of a cache, as they would with a
stride of whole pages.
The same holds for what only the steps of a recurrence need (`states.py`), but that
threads which share the recurrence have parts of one row.
"""

from __future__ import annotations

from collections.abc import Iterator

from polydsl.poly.scop import Fused, Item, Recurrence, Scop
from polydsl.schedule.operand import Layout
from polydsl.semantics.program import Index, walk

SAME_SET = 4096
"""Bytes after which lines share a set of the nearest caches."""

LINE = 64
"""The bytes of a cache line."""


def contracted_layout(scop: Scop, layout: Layout) -> Layout:
    """Return the strides of every tensor, in elements; those of contracted ones are 0
    along what they are contracted along."""
    around = dict(_around(scop.items, ()))
    return {
        name: _strides(scop, name, around[name]) if name in around else strides
        for name, strides in layout.items()
    }


def _around(
    items: tuple[Item, ...], outer: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each contracted tensor with the indices that it is contracted along."""
    for item in items:
        if isinstance(item, Recurrence | Fused):
            within = (*outer, item.index)
            yield from ((name, within) for name in item.contracted)
            yield from _around(item.body, within)


def _strides(scop: Scop, name: str, along: tuple[str, ...]) -> tuple[int, ...]:
    writer = next(s for s in scop.statements if s.tensor == name)
    subscripts, shape = writer.subscripts, scop.tensor(name).shape
    gone = [
        any(isinstance(e, Index) and e.name in along for e in walk(s))
        for s in subscripts
    ]
    bytes_each = scop.tensor(name).dtype.bytes
    strides: list[int] = []
    step = 1
    for extent, is_gone in reversed([*zip(shape, gone)]):
        if not is_gone and extent > 1 and step * bytes_each % SAME_SET == 0:
            step += LINE // bytes_each
        strides.append(0 if is_gone else step)
        step *= 1 if is_gone else extent
    return tuple(reversed(strides))
