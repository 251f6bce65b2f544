"""Tensors of which one row is in memory at a time: `contracted_layout(scop, layout)`.

A tensor that only the groups inside of a fused loop need has no memory for the other
values of the loop's index: the stride along it is 0. Each thread has a row of its own.
The same holds for what only the steps of a recurrence need (`states.py`), but that
threads which share the recurrence have parts of one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from polydsl.poly.scop import Group, Item, Scop
from polydsl.schedule.operand import Layout
from polydsl.semantics.program import Index, walk


def contracted_layout(scop: Scop, layout: Layout) -> Layout:
    """Return the strides of every tensor, in elements, those of contracted ones dense
    in what is left of them."""
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
        if not isinstance(item, Group):
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
    kept = [1 if is_gone else n for is_gone, n in zip(gone, shape)]
    return tuple(
        0 if is_gone else prod(kept[axis + 1 :]) for axis, is_gone in enumerate(gone)
    )
