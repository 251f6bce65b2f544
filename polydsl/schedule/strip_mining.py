"""An index cut into blocks of its values: `Strip`, `strip_mined(scop, ...)`.

    y[i, k] += t[i, c] * w[c, k]               0 <= i < 512
        ->  y[64*i_block + i, k] += t[i_block, i, c] * w[c, k]
                                               0 <= i_block < 8,  0 <= i < 64

A loop over the blocks can be around several statements, as one over single values can,
and leaves rows for the tiles of a product. A tensor that is used at the own value of
the index only may have an axis for blocks and one for what is in them, as `t` has here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import linear_term, substitute, with_parts
from polydsl.poly.terms import Interval, linear_from
from polydsl.semantics.program import Access, Expr, Index


@dataclass(frozen=True, slots=True)
class Strip:
    """Values of an index, from `first` on: `count` blocks of `size` values, numbered by
    the index `block`; or one block without a number."""

    block: str | None
    first: int
    size: int
    count: int = 1

    def box(self, index: str) -> dict[str, Interval]:
        """Return the indices that stand for one, with their ranges."""
        inside = {index: (0, self.size - 1)}
        if self.block is None:
            return inside
        return {self.block: (0, self.count - 1), **inside}


@dataclass(frozen=True, slots=True)
class Moved:
    """What a tensor that is cut along an axis has become."""

    tensor: TensorInfo
    axis: int


def moved_tensor(tensor: TensorInfo, axis: int, strip: Strip, name: str) -> Moved:
    """Return a tensor for the values of a strip along an axis."""
    cut = (strip.size,) if strip.block is None else (strip.count, strip.size)
    shape = (*tensor.shape[:axis], *cut, *tensor.shape[axis + 1 :])
    return Moved(replace(tensor, name=name, shape=shape), axis)


def strip_mined(
    scop: Scop,
    statement: Statement,
    index: str,
    strip: Strip,
    moved: Mapping[str, Moved],
) -> Statement:
    """Return a statement for the values of a strip of its index.

    `moved` are the tensors that are cut along the index, which are among those of the
    scop already.
    """
    sizes = {index: 1} if strip.block is None else {strip.block: strip.size, index: 1}
    form = linear_from(sizes, strip.first)
    terms = {index: linear_term(form, statement.span)}
    own = tuple(Index(name, statement.span) for name in strip.box(index))
    box: dict[str, Interval] = {}
    for name, ends in statement.ranges.items():
        box |= strip.box(index) if name == index else {name: ends}
    left = Access(
        statement.tensor, statement.subscripts, statement.value.dtype, statement.span
    )

    def changed(expr: Expr) -> Expr:
        return _moved(substitute(expr, terms), own, moved)

    element = changed(left)
    assert isinstance(element, Access)
    made = replace(
        statement,
        tensor=element.tensor,
        subscripts=element.subscripts,
        value=changed(statement.value),
    )
    return rebuilt(scop, made, {}, box, tuple(map(changed, statement.conditions)))


def _moved(expr: Expr, own: tuple[Expr, ...], moved: Mapping[str, Moved]) -> Expr:
    """Return an expression that reads what tensors have become."""
    if isinstance(expr, Access) and expr.tensor in moved:
        to = moved[expr.tensor]
        before, after = expr.subscripts[: to.axis], expr.subscripts[to.axis + 1 :]
        return replace(expr, tensor=to.tensor.name, subscripts=(*before, *own, *after))
    return with_parts(expr, lambda part: _moved(part, own, moved))
