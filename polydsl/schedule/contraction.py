"""Which statements are products that batch-reduce GEMM can compute.

    C[...] combine= function(A[...], B[...])

A statement matches by its inner product and its access maps. It sums, multiplies or
takes the greatest or least of a function of two accesses, made of a few instructions
(`polydsl.base.inner_product`); both factors and the function are of one floating-point
type, to which a factor may be widened. Every subscript is linear in the indices (after
indices under `// g` and `% g` are split), and every index belongs to one class, by the
tensors it moves: *rows* C and A, *columns* C and B, *depth* A and B, *batch* all three.
A convolution's window index r in `x[p*stride + r]` is depth: it moves both factors.

A scatter is a product too, `y[2*p + r, c] += x[p, k] * w[r, k, c]`: its rows p and its
columns r *clash*, since several of their values meet in one element of C. No tile holds
two indices that clash, so that each of its elements is another one.

Soundness: with these conditions the statement combines, for each value of the batch
indices, over depth, a function of an element chosen by (row, depth) and one chosen by
(depth, column). So any tiling of the three classes computes it, whatever the function:
each of its values is taken once, and values may be combined in any order. Padding is
kept: a padded factor's element is its padding value, and no tile reads a lane or a
depth beyond the box, so nothing relies on zeros that vanish in a product.

A factor may also be computed, from elements at any subscripts: `exp(x[i, k] - m[i])`,
`table[ids[i], k]`. Its own indices are its subscripts then, and it is read through a
copy that holds its values.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod

from polydsl.base.dtypes import DType
from polydsl.base.inner_product import InnerProduct
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scatters import colliding
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.substitute import linear_term
from polydsl.poly.terms import Interval, Linear, integer
from polydsl.schedule.contraction_operand import computed_operand, stored_operand
from polydsl.schedule.inner_product import (
    Factors,
    computed_product,
    factor_access,
    inner_product,
)
from polydsl.schedule.operand import Operand
from polydsl.semantics.program import (
    Call,
    Expr,
    Index,
    Pad,
    Value,
    accesses,
    has_index,
    walk,
)


@dataclass(frozen=True, slots=True)
class Contraction:
    """A matched statement. All dimensions of it run from 0.

    `inner` says how it combines what function of the elements of `a` and `b`.
    `coordinates` gives the dimensions of the statement in those of the contraction:
    they differ where a range does not start at 0 or an index was split. `clashes` are
    the pairs of dimensions of which several values may be one element of `c`.
    """

    statement: str
    dtype: DType
    extents: tuple[tuple[str, int], ...]
    coordinates: tuple[tuple[str, Linear], ...]
    c: Operand
    a: Operand
    b: Operand
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    depth: tuple[str, ...]
    batch: tuple[str, ...]
    inner: InnerProduct
    clashes: tuple[tuple[str, str], ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """The extent of each dimension."""
        return dict(self.extents)

    @property
    def box(self) -> dict[str, Interval]:
        """The interval of each dimension."""
        return {name: (0, n - 1) for name, n in self.extents}

    @property
    def is_stored(self) -> bool:
        """Whether tensors hold the factors: none of them is computed."""
        return self.a.computed is None and self.b.computed is None

    def clashing(self, d: str) -> frozenset[str]:
        """Return the dimensions that clash with one."""
        pairs = (pair for pair in self.clashes if d in pair)
        return frozenset(e for pair in pairs for e in pair if e != d)

    def swapped(self) -> Contraction:
        """Return the same product with the factors' roles exchanged."""
        return replace(
            self,
            a=self.b,
            b=self.a,
            rows=self.columns,
            columns=self.rows,
            inner=self.inner.exchanged(),
        )


LEAST_DEPTH = 16
"""A scatter is computed in place only if each of its elements of the result is loaded
and stored for so many multiply-adds at least."""


@dataclass(frozen=True, slots=True)
class NoContraction:
    """Why a statement is not computed by batch-reduce GEMM."""

    reason: str


def match(
    scop: Scop, statement: Statement, fixed: Container[str] = ()
) -> Contraction | NoContraction:
    """Return the contraction that a statement is, or why it is none; inside of loops
    over the indices that are fixed, on which conditions may depend."""
    found = matches(scop, statement, fixed)
    return found if isinstance(found, NoContraction) else found[0]


def matches(
    scop: Scop, statement: Statement, fixed: Container[str] = ()
) -> tuple[Contraction, ...] | NoContraction:
    """Return the contractions that a statement is, or why it is none: the one whose
    factors tensors hold, and where there is none, or its function has something to do
    for one factor alone, the one in which that is computed while it is copied."""
    stored = match_stored(scop, statement, fixed)
    if isinstance(stored, Contraction) and not stored.inner.has_sided_part:
        return (stored,)
    factors = computed_product(statement, scop.sizes)
    if isinstance(factors, str):
        return stored if isinstance(stored, NoContraction) else (stored,)
    computed = _matched(scop, statement, fixed, *factors, may_compute=True)
    found = tuple(c for c in (stored, computed) if isinstance(c, Contraction))
    if not found:
        assert isinstance(stored, NoContraction)
        return stored
    return found


def match_stored(
    scop: Scop, statement: Statement, fixed: Container[str] = ()
) -> Contraction | NoContraction:
    """Return the contraction that a statement is whose factors are accesses, or why it
    is none."""
    found = inner_product(statement, scop.sizes)
    if isinstance(found, str):
        return NoContraction(found)
    return _matched(scop, statement, fixed, *found, may_compute=False)


def _matched(
    scop: Scop,
    statement: Statement,
    fixed: Container[str],
    inner: InnerProduct,
    factors: Factors,
    *,
    may_compute: bool,
) -> Contraction | NoContraction:
    dtype = scop.tensor(statement.tensor).dtype
    types = {dtype, statement.value.dtype}
    types |= {f.dtype for f in factors}
    read = [a for f in factors for a in accesses(f)]
    held = [a for f in factors if (a := factor_access(f)) is not None]
    is_float = all(access.dtype.is_float for access in held)
    if len(types) > 1 or not dtype.is_float or dtype.is_narrow or not is_float:
        return NoContraction("its tensors are not of one type, f32 or f64")
    if any(0 in scop.tensor(access.tensor).shape for access in read):
        return NoContraction("a factor has no elements")
    bounded = ordered_indices(*statement.conditions)
    is_box = all(d in fixed for d in bounded)
    if any(lo > hi for lo, hi in statement.box) or not is_box:
        return NoContraction("its domain is not a box with points")
    pads = [n for f in factors for n in walk(f) if isinstance(n, Pad)]
    if not all(_is_defined(scop, pad.access.tensor) for pad in pads):
        return NoContraction("a padded factor is not defined everywhere")
    split = _split_dimensions(scop, statement, factors)
    if isinstance(split, NoContraction):
        return split
    found = _classify(scop, statement, inner, factors, *split, may_compute)
    if isinstance(found, Contraction) and not found.is_stored and statement.conditions:
        # A copy is made of all points of the box.
        return NoContraction("a factor is computed, beside the domain perhaps not so")
    return found


def boxed(statement: Statement) -> Statement:
    """Return a statement as if its domain were the box around it, for what does not
    look at its sets."""
    return replace(statement, conditions=())


def is_product(scop: Scop, statement: Statement) -> bool:
    """Whether batch-reduce GEMM can compute a statement."""
    return isinstance(match(scop, statement), Contraction)


def is_stored_product(scop: Scop, statement: Statement) -> bool:
    """Whether batch-reduce GEMM can compute a statement whose factors are accesses."""
    return isinstance(match_stored(scop, statement), Contraction)


def is_product_in_place(scop: Scop, statement: Statement) -> bool:
    """Whether a scatter is better left as the product that it is, whose tiles are added
    to the result in place, than turned round into a sum for each element: where tiles
    have contiguous columns, and sums enough to do."""
    return _is_in_place(statement, match(scop, statement))


def is_stored_product_in_place(scop: Scop, statement: Statement) -> bool:
    """Whether it is so, and the scatter's factors are accesses."""
    return _is_in_place(statement, match_stored(scop, statement))


def _is_in_place(statement: Statement, found: Contraction | NoContraction) -> bool:
    return (
        isinstance(found, Contraction)
        and isinstance(statement.subscripts[-1], Index)
        and prod(found.sizes[d] for d in found.depth) >= LEAST_DEPTH
    )


def _is_defined(scop: Scop, name: str) -> bool:
    """Whether padding begins where the tensor ends: its first statement, which gives
    every element its first value, runs over all of it."""
    first = next((s for s in scop.statements if s.tensor == name), None)
    if first is None:
        return True
    whole = [(0, n - 1) for n in scop.tensor(name).shape]
    plain = [s.name for s in first.subscripts if isinstance(s, Index)]
    ranges = [first.ranges[d] for d in plain]
    return not first.conditions and ranges == whole


def _subscripts(statement: Statement, factors: tuple[Expr, Expr]) -> Iterator[Expr]:
    yield from statement.subscripts
    for access in filter(None, map(factor_access, factors)):
        yield from access.subscripts


Split = tuple[dict[str, Linear], dict[str, int]]
"""The statement's dimensions in new ones, and the new ones' extents."""


def _split_dimensions(
    scop: Scop, statement: Statement, factors: tuple[Expr, Expr]
) -> Split | NoContraction:
    """Start every dimension at 0 and split those that occur under `// c` or `% c`.

    k in [0, 64) with k // 16 in a subscript becomes 16*k_o + k_i. A divisor that does
    not divide the extent is no contraction.
    """
    divisors = _divisors(scop.sizes, _subscripts(statement, factors))
    coordinates: dict[str, Linear] = {}
    extents: dict[str, int] = {}
    ranges = statement.ranges
    for name, (lo, hi) in ranges.items():
        extent, divisor = hi - lo + 1, divisors.get(name)
        if divisor is None:
            coordinates[name] = Linear(((name, 1),), lo)
            extents[name] = extent
            continue
        if lo != 0 or extent % divisor:
            return NoContraction(f"{name} // {divisor} has a partial last group")
        outer, inner = _fresh(f"{name}_o", ranges), _fresh(f"{name}_i", ranges)
        coordinates[name] = Linear(((outer, divisor), (inner, 1)), 0)
        extents[outer], extents[inner] = extent // divisor, divisor
    return coordinates, extents


def _fresh(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _divisors(sizes: dict[str, Value], subscripts: Iterator[Expr]) -> dict[str, int]:
    """Return the divisor of each index that stands under `//` or `%`."""
    found: dict[str, int] = {}
    for subscript in subscripts:
        for node in walk(subscript):
            match node:
                case Call("floordiv" | "mod", (Index(name), by)) if not has_index(by):
                    found.setdefault(name, integer(by, sizes))
                case _:
                    pass
    return found


def _classify(
    scop: Scop,
    statement: Statement,
    inner: InnerProduct,
    factors: tuple[Expr, Expr],
    coordinates: dict[str, Linear],
    extents: dict[str, int],
    may_compute: bool,
) -> Contraction | NoContraction:
    box = {name: (0, n - 1) for name, n in extents.items()}
    terms = {d: linear_term(f, statement.span) for d, f in coordinates.items()}
    operands: list[Operand] = []
    left = statement.element
    for factor in (left, *factors):
        operand = stored_operand(factor, terms, scop.sizes, box)
        if operand is None and may_compute and factor is not left:
            operand = computed_operand(factor, terms, scop.sizes, box)
        if operand is None:
            return NoContraction("a subscript is not linear in the indices")
        operands.append(operand)
    c, a, b = operands
    in_c, in_a, in_b = c.dims, a.dims, b.dims
    classes: dict[str, list[str]] = {
        "rows": [],
        "columns": [],
        "depth": [],
        "batch": [],
    }
    for name in extents:
        kind = _class(name in in_c, name in in_a, name in in_b)
        if kind is None and extents[name] > 1:
            return NoContraction(f"{name} does not move two of its three tensors")
        classes[kind or "batch"].append(name)
    if not classes["depth"]:
        return NoContraction("it has no index to sum over")
    if not classes["rows"] or not classes["columns"]:
        return NoContraction("no operand is reused: it has no rows or no columns")
    return Contraction(
        statement.name,
        statement.value.dtype,
        tuple(extents.items()),
        tuple(coordinates.items()),
        c,
        a,
        b,
        tuple(classes["rows"]),
        tuple(classes["columns"]),
        tuple(classes["depth"]),
        tuple(classes["batch"]),
        inner,
        tuple(_clashes(statement, coordinates, extents, c)),
    )


def _clashes(
    statement: Statement,
    coordinates: dict[str, Linear],
    extents: dict[str, int],
    c: Operand,
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of dimensions that share a subscript of C, among those whose
    values an element does not tell. Without such a pair every subscript tells one."""
    meeting = {
        name
        for d in colliding(statement)
        for name, _ in coordinates[d].coefficients
        if extents[name] > 1
    }
    pairs = (
        pair
        for subscript in c.subscripts
        for pair in combinations((d for d, _ in subscript.coefficients), 2)
        if {*pair} <= meeting
    )
    yield from dict.fromkeys(pairs)


def _class(in_c: bool, in_a: bool, in_b: bool) -> str | None:
    return {
        (True, True, False): "rows",
        (True, False, True): "columns",
        (False, True, True): "depth",
        (True, True, True): "batch",
    }.get((in_c, in_a, in_b))
