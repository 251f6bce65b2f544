"""An index cut into blocks of its values: `Strip`, `strip_mined(scop, ...)`.

    y[i, k] += t[i, c] * w[c, k]               0 <= i < 512
        ->  y[64*i_block + i, k] += t[i_block, i, c] * w[c, k]
                                               0 <= i_block < 8,  0 <= i < 64

A loop over the blocks can be around several statements, as one over single values can,
and leaves rows for the tiles of a product. A tensor of which each block needs a strip
of its own may have an axis for blocks and one for what is in them, as `t` has here.
Blocks may overlap: then what lies in two of them is in memory twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import linear_term, substitute, with_parts
from polydsl.poly.terms import Interval, Linear, add_linear, linear, linear_from
from polydsl.semantics.program import Access, Expr, Index, Value


@dataclass(frozen=True, slots=True)
class Strip:
    """Values of an index, from `first` on: `count` blocks of `size` values, numbered by
    the index `block`; or one block without a number. Each begins `step` values after
    the one before, with the value after that one's if nothing is said."""

    block: str | None
    first: int
    size: int
    count: int = 1
    step: int | None = None

    @property
    def start(self) -> Linear:
        """The value with which a block begins."""
        if self.block is None:
            return Linear((), self.first)
        return linear_from({self.block: self.step or self.size}, self.first)

    def form(self, index: str) -> Linear:
        """Return the value that an index in a block stands for."""
        return replace(self.start, coefficients=(*self.start.coefficients, (index, 1)))

    def inside(self, form: Linear) -> Linear:
        """Return the place in its block of a value given with the block's number."""
        found = add_linear(form, self.start, -1)
        assert found is not None and not found.coefficient(self.block or "")
        return found

    def box(self, index: str) -> dict[str, Interval]:
        """Return the indices that stand for one, with their ranges."""
        inside = {index: (0, self.size - 1)}
        if self.block is None:
            return inside
        return {self.block: (0, self.count - 1), **inside}


@dataclass(frozen=True, slots=True)
class Moved:
    """What a tensor has become that is cut along an axis into strips."""

    tensor: TensorInfo
    axis: int
    strip: Strip

    def subscripts(
        self, before: Expr, binding: Mapping[str, Value]
    ) -> tuple[Expr, ...]:
        """Return the subscripts in place of the one along the axis: the block, and the
        place in it."""
        form = linear(before, binding)
        assert form is not None
        inside = linear_term(self.strip.inside(form), before.span)
        block = self.strip.block
        return (inside,) if block is None else (Index(block, before.span), inside)


def moved_tensor(tensor: TensorInfo, axis: int, strip: Strip, name: str) -> Moved:
    """Return a tensor for the values of a strip along an axis."""
    cut = (strip.size,) if strip.block is None else (strip.count, strip.size)
    shape = (*tensor.shape[:axis], *cut, *tensor.shape[axis + 1 :])
    return Moved(replace(tensor, name=name, shape=shape), axis, strip)


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
    terms = {index: linear_term(strip.form(index), statement.span)}
    box: dict[str, Interval] = {}
    for name, ends in statement.ranges.items():
        box |= strip.box(index) if name == index else {name: ends}

    def changed(expr: Expr) -> Expr:
        return _moved(substitute(expr, terms), scop.sizes, moved)

    element = changed(statement.element)
    assert isinstance(element, Access)
    made = replace(
        statement,
        tensor=element.tensor,
        subscripts=element.subscripts,
        value=changed(statement.value),
    )
    return rebuilt(scop, made, {}, box, tuple(map(changed, statement.conditions)))


def _moved(
    expr: Expr, binding: Mapping[str, Value], moved: Mapping[str, Moved]
) -> Expr:
    """Return an expression that reads what tensors have become."""
    if isinstance(expr, Access) and expr.tensor in moved:
        to = moved[expr.tensor]
        cut = to.subscripts(expr.subscripts[to.axis], binding)
        before, after = expr.subscripts[: to.axis], expr.subscripts[to.axis + 1 :]
        return replace(expr, tensor=to.tensor.name, subscripts=(*before, *cut, *after))
    return with_parts(expr, lambda part: _moved(part, binding, moved))
