"""Whether an expression of the nest is the expression of the program at an instance.

The two are compared node by node. Terms are compared as forms at every point; a padded
access is a selection whose condition holds exactly where the access is inside the box
on which its tensor is defined. So an equal expression computes the same value from the
same elements, and `verify_order` proves that they are finished by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import BOOL, I64, DType
from polydsl.base.functions import identity
from polydsl.loops import nest
from polydsl.loops.render import render_expr
from polydsl.loops.terms import conjuncts
from polydsl.loops.verify_conditions import (
    All,
    Condition,
    negation,
    within,
)
from polydsl.loops.verify_equal import difference_point
from polydsl.loops.verify_forms import (
    Form,
    Point,
    Space,
    interval,
    subtract,
    variable,
)
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_search import differing_point, some_point
from polydsl.loops.verify_translate import (
    Names,
    nest_condition,
    nest_form,
    program_condition,
    program_form,
)
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Scop
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import Interval
from polydsl.poly.terms import conjuncts as term_conjuncts
from polydsl.poly.terms import interval as term_interval
from polydsl.semantics import program


@dataclass(frozen=True, slots=True)
class Source:
    """What the program's names mean at an instance: the scop, the forms of the
    instance's dimensions in a leaf's counters, and where each tensor is defined. Of
    some names it is proved that they keep to `ranges`, and of some registers that they
    hold the one element that is read of a tensor (`held`, tensors by register)."""

    scop: Scop
    defined: Mapping[str, Defined]
    leaf: Leaf
    names: Names
    space: Space
    ranges: Mapping[str, Interval] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)

    def form(self, expr: program.Expr) -> Form | None:
        """Return a term of the program in counters."""
        return program_form(expr, self.names, self.scop.sizes, self.space)

    def subscripts(self, exprs: Sequence[program.Expr]) -> tuple[Form, ...]:
        """Return subscripts in counters."""
        found: list[Form] = []
        for expr in exprs:
            form = self.form(expr)
            if form is None:
                bug(f"a subscript depends on data, {self.leaf.place({})}")
            found.append(form)
        return tuple(found)

    def inside(self, access: program.Access) -> Condition:
        """Return the condition that an access is where its tensor is defined."""
        extent = self.defined[access.tensor]
        parts: list[Condition] = []
        names: dict[str, Form] = {}
        for axis, (expr, (lo, hi)) in enumerate(zip(access.subscripts, extent.box)):
            form = self.form(expr)
            least, greatest = self._bounds(expr)
            if form is None:
                if least < lo or greatest > hi:
                    bug(f"it depends on data whether {access.tensor} is padded")
                continue
            names.update(dict.fromkeys(extent.indices[axis : axis + 1], form))
            halves = zip(within(form, lo, hi), (lo <= least, greatest <= hi))
            parts += [part for part, holds in halves if not holds]
        for expr in extent.conditions:
            part = program_condition(expr, names, self.scop.sizes, self.space)
            if part is None:
                bug(f"it depends on data where {access.tensor} is defined")
            parts.append(part)
        return All(tuple(parts))

    def depends_on_data(self, access: program.Access) -> bool:
        """Whether data decide where an access is, and so if it is defined: its tensor
        is not defined on a whole box."""
        data = any(self.form(s) is None for s in access.subscripts)
        return data and bool(self.defined[access.tensor].conditions)

    def definedness(self, access: program.Access) -> dict[program.Expr, bool]:
        """Return the conditions that an access is where its tensor is defined, and of
        each whether it always holds."""
        extent = self.defined[access.tensor]
        parts: dict[program.Expr, bool] = {}
        for expr, (lo, hi) in zip(access.subscripts, extent.box):
            least, greatest = self._bounds(expr)
            for function, end, holds in (
                ("ge", lo, lo <= least),
                ("lt", hi + 1, greatest <= hi),
            ):
                number = program.Literal(end, I64, expr.span)
                part = program.Call(function, (expr, number), BOOL, expr.span)
                parts[part] = holds
        terms = dict(zip(extent.indices, access.subscripts))
        for condition in extent.conditions:
            known = term_conjuncts(substitute(condition, terms))
            parts.update(dict.fromkeys(known, False))
        return parts

    def _bounds(self, expr: program.Expr) -> Interval:
        """Return what a subscript keeps to because its names keep to their ranges."""
        names = {**self.names, **{n: variable(n) for n in self.ranges}}
        space = Space({**self.space.box, **self.ranges}, self.space.tables)
        form = program_form(expr, names, self.scop.sizes, space)
        if form is None:
            box = {name: interval(f, space) for name, f in names.items()}
            return term_interval(expr, self.scop.sizes, box)
        return interval(form, space)


class Mismatch(Exception):
    """Two expressions differ; the message says where."""


def check_value(source: Source, found: nest.Expr, wanted: program.Expr) -> None:
    """Raise unless an expression of the nest is that of the program."""
    try:
        _Comparison(source, ()).values(found, wanted)
    except Mismatch as mismatch:
        bug(str(mismatch))


def check_masked(source: Source, node: nest.Accumulate, wanted: program.Expr) -> None:
    """Raise unless an update combines the value of the program where its instance is
    executed, and else the neutral element."""
    found, instance = node.value, node.instance
    if not isinstance(found, nest.Select) or instance is None:
        bug(f"an update is not masked, {source.leaf.place({})}")
    condition = nest_condition(found.condition, source.leaf.names, source.space)
    if condition is None or found.condition != instance.where:
        bug(f"an update is masked in another way, {source.leaf.place({})}")
    number = found.dtype.numpy.type(identity(node.combine, found.dtype)).item()
    if found.otherwise != nest.Literal(number, found.dtype):
        bug(f"a masked update changes something, {source.leaf.place({})}")
    try:
        _Comparison(source, (condition,)).values(found.then, wanted)
    except Mismatch as mismatch:
        bug(str(mismatch))


@dataclass(frozen=True, slots=True)
class _Comparison:
    source: Source
    where: tuple[Condition, ...]

    @property
    def leaf(self) -> Leaf:
        return self.source.leaf

    def values(self, found: nest.Expr, wanted: program.Expr) -> None:
        match wanted:
            case program.Literal(value, dtype):
                self._number(found, value, dtype)
            case program.Size(name, dtype):
                self._number(found, self.source.scop.sizes[name], dtype)
            case program.Index():
                self._term(found, wanted)
            case program.Access():
                self._access(found, wanted)
            case program.Pad():
                self._padded(found, wanted)
            case program.Call():
                self._call(found, wanted)
            case program.Select():
                self._select(found, wanted)
            case program.Cast(operand, dtype):
                if not isinstance(found, nest.Cast) or found.dtype != dtype:
                    self._differ(found, {})
                self.values(found.operand, operand)
            case _:
                bug(f"a reduction is left in a statement, {self.leaf.place({})}")

    def _number(self, found: nest.Expr, value: program.Value, dtype: DType) -> None:
        if not isinstance(found, nest.Literal) or found.dtype != dtype:
            self._differ(found, {})
        # Text tells -0.0 from 0.0 and finds NaN equal to itself.
        if repr(found.value) != repr(value):
            self._differ(found, {})

    def _term(self, found: nest.Expr, wanted: program.Expr) -> None:
        left = nest_form(found, self.leaf.names, self.source.space)
        right = self.source.form(wanted)
        if left is None or right is None:
            self._differ(found, {})
        self.equal(found, left, right)

    def equal(self, found: nest.Expr, left: Form, right: Form) -> None:
        """Raise unless two forms are equal in the box, or else at every point."""
        if difference_point(left, right, self.source.space) is None:
            return
        for piece in self.leaf.pieces:
            unequal = negation(All(within_zero(left, right)))
            where = (*self.where, *piece.conditions, unequal)
            point = some_point(All(where), piece.space)
            if point is not None:
                self._differ(found, point)

    def _access(self, found: nest.Expr, wanted: program.Access) -> None:
        if isinstance(found, nest.Load) and found.buffer in self.source.held:
            same = self.source.held[found.buffer] == wanted.tensor
            if not same or found.dtype != wanted.dtype:
                self._differ(found, {})
            return
        if (
            not isinstance(found, nest.Load)
            or found.buffer != wanted.tensor
            or found.dtype != wanted.dtype
            or len(found.index) != len(wanted.subscripts)
        ):
            self._differ(found, {})
        for expr, subscript in zip(found.index, wanted.subscripts):
            if self.source.form(subscript) is None:
                # It depends on data: the same operations on the same elements.
                self.values(expr, subscript)
            else:
                self._term(expr, subscript)

    def _padded(self, found: nest.Expr, wanted: program.Pad) -> None:
        if self.source.depends_on_data(wanted.access):
            self._padded_by_data(found, wanted)
            return
        inside = self.source.inside(wanted.access)
        if isinstance(found, nest.Load) and wanted.access.dtype == wanted.dtype:
            self._same(found, All(()), inside)
            self._access(found, wanted.access)
            return
        if not isinstance(found, nest.Select) or found.dtype != wanted.dtype:
            self._differ(found, {})
        condition = nest_condition(found.condition, self.leaf.names, self.source.space)
        if condition is None or found.then.dtype != wanted.dtype:
            self._differ(found, {})
        self._same(found, condition, inside)
        self._under(condition)._access(self._loaded(found, wanted), wanted.access)
        self._under(negation(condition)).values(found.otherwise, wanted.value)

    def _loaded(self, found: nest.Select, wanted: program.Pad) -> nest.Expr:
        """Return the padded access as it is loaded. The padding may be wider than the
        tensor: then the element is converted."""
        if wanted.access.dtype == wanted.dtype:
            return found.then
        if not isinstance(found.then, nest.Cast):
            self._differ(found, {})
        return found.then.operand

    def _padded_by_data(self, found: nest.Expr, wanted: program.Pad) -> None:
        """Compare a padded access of which data decide whether it is defined: part by
        part of the condition, but for those that always hold."""
        if not isinstance(found, nest.Select) or found.dtype != wanted.dtype:
            self._differ(found, {})
        parts = tuple(conjuncts(found.condition))
        needed = self.source.definedness(wanted.access)
        # One part may be two of those that are needed.
        are_needed = all(any(self._agrees(p, n) for n in needed) for p in parts)
        if not are_needed or any(
            not always and not any(self._agrees(part, condition) for part in parts)
            for condition, always in needed.items()
        ):
            self._differ(found, {})
        self._access(self._loaded(found, wanted), wanted.access)
        self.values(found.otherwise, wanted.value)

    def _agrees(self, found: nest.Expr, wanted: program.Expr) -> bool:
        try:
            self.values(found, wanted)
        except Mismatch:
            return False
        return True

    def _same(self, found: nest.Expr, left: Condition, right: Condition) -> None:
        """Raise unless two conditions agree at every point."""
        point = differing_point(left, right, self.where, self.source.space)
        if point is None:
            return
        for piece in self.leaf.pieces:
            where = (*self.where, *piece.conditions)
            point = differing_point(left, right, where, piece.space)
            if point is not None:
                self._differ(found, point)

    def _under(self, condition: Condition) -> _Comparison:
        return replace(self, where=(*self.where, condition))

    def _call(self, found: nest.Expr, wanted: program.Call) -> None:
        left = nest_form(found, self.leaf.names, self.source.space)
        right = self.source.form(wanted)
        if left is not None and right is not None and found.dtype == wanted.dtype:
            self.equal(found, left, right)
            return
        if (
            not isinstance(found, nest.Call)
            or found.function != wanted.function
            or found.dtype != wanted.dtype
            or len(found.arguments) != len(wanted.arguments)
        ):
            self._differ(found, {})
        for argument, expr in zip(found.arguments, wanted.arguments):
            self.values(argument, expr)

    def _select(self, found: nest.Expr, wanted: program.Select) -> None:
        if not isinstance(found, nest.Select) or found.dtype != wanted.dtype:
            self._differ(found, {})
        condition = program_condition(
            wanted.condition,
            self.source.names,
            self.source.scop.sizes,
            self.source.space,
        )
        actual = nest_condition(found.condition, self.leaf.names, self.source.space)
        if condition is None or actual is None:
            self.values(found.condition, wanted.condition)
            self.values(found.then, wanted.then)
            self.values(found.otherwise, wanted.otherwise)
            return
        self._same(found, actual, condition)
        self._under(condition).values(found.then, wanted.then)
        self._under(negation(condition)).values(found.otherwise, wanted.otherwise)

    def _differ(self, found: nest.Expr, point: Point) -> NoReturn:
        raise Mismatch(
            f"{render_expr(found)} is not the value of the statement "
            f"{self.leaf.place(point)}"
        )


def within_zero(left: Form, right: Form) -> tuple[Condition, Condition]:
    """Return the two halves of `left == right`."""
    return within(subtract(left, right), 0, 0)
