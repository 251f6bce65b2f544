"""Where the loop of a recurrence is split: index-set splitting.

    for t in 0..N: y[t] = pad(y[t - 1]) + x[t]
    ->    y[0] = x[0]; for t in 1..N: y[t] = y[t - 1] + x[t]

Each part knows on which side of every border it runs, so the conditions are gone from
the innermost loop, and the value of the iteration before can stay in a register. The
idea is that of Griebl, Feautrier and Lengauer, "Index set splitting" (2000), for the
conditions that one index decides alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polydsl.poly.scop import Scop, Statement
from polydsl.poly.substitute import resolve
from polydsl.poly.terms import COMPARISONS, Interval, Linear, add_linear
from polydsl.semantics.program import Call, Expr, Pad, Select, is_affine, walk

MOST_PARTS = 4
"""The body is written out once for each part, so many times at most."""


def split(
    scop: Scop, statements: Sequence[Statement], index: str, lo: int, hi: int
) -> tuple[Interval, ...]:
    """Return the parts of `lo <= index <= hi`, in order, on which the conditions in
    some statements that depend on nothing but the index are true or false throughout;
    the whole where there would be too many."""
    found = (b for s in statements for b in _borders(scop, s, index))
    cuts = sorted({b for b in found if lo < b <= hi})
    if len(cuts) >= MOST_PARTS:
        return ((lo, hi),)
    starts, ends = (lo, *cuts), (*(c - 1 for c in cuts), hi)
    return tuple(zip(starts, ends))


def _borders(scop: Scop, statement: Statement, index: str) -> Iterator[int]:
    """Yield the values of an index at which something about a statement changes."""
    for node in walk(statement.value):
        match node:
            case Pad(access):
                shape = scop.tensor(access.tensor).shape
                for subscript, extent in zip(access.subscripts, shape):
                    form = resolve(subscript, scop.sizes, statement.ranges)
                    yield from _sign_changes(form, index, 0)
                    yield from _sign_changes(form, index, extent)
            case Select(condition):
                for part in walk(condition):
                    yield from _comparison(scop, statement, part, index)


def _comparison(
    scop: Scop, statement: Statement, part: Expr, index: str
) -> Iterator[int]:
    match part:
        case Call(function, (left, right)) if function in COMPARISONS:
            # What is compared with a number of data, an infinity say, is no index.
            if not (is_affine(left) and is_affine(right)):
                return
            one = resolve(left, scop.sizes, statement.ranges)
            other = resolve(right, scop.sizes, statement.ranges)
            form = add_linear(one, other, -1)
            if function not in ("gt", "le"):
                yield from _sign_changes(form, index, 0)
            if function not in ("ge", "lt"):
                yield from _sign_changes(form, index, 1)


def _sign_changes(form: Linear | None, index: str, level: int) -> Iterator[int]:
    """Yield the least value of the index from which on a form of it alone is on the
    other side of `form >= level`."""
    if form is None or len(form.coefficients) != 1:
        return
    ((name, factor),) = form.coefficients
    if name == index:
        # factor * index >= level - constant
        rest = level - form.constant
        yield -(-rest // factor) if factor > 0 else rest // factor + 1
