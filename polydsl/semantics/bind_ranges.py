"""The ranges of indices in numbers, and the names that copies of them have."""

from __future__ import annotations

from polydsl.semantics.building import BoundFrame
from polydsl.semantics.intervals import Interval, bounds
from polydsl.semantics.program import Expr, IndexRange
from polydsl.semantics.sizes import literal, minus_one, quantity
from polydsl.semantics.substitute import Renaming, substitute
from polydsl.semantics.typed import FindRange


def find_range(step: FindRange, frame: BoundFrame) -> None:
    """Find the range of an index: the declared one, or the extent at its source."""
    name = frame.indices[step.index]
    if step.source is not None:
        extent = frame.shapes[step.source.tensor][step.source.dim]
        zero = quantity(0, step.source.span)
        _add_range(name, Interval(zero, minus_one(extent)), extent.expr, step, frame)
        return
    declared = next(r for r in frame.typed.ranges if r.index == step.index)
    lo = substitute(declared.lo, frame.renaming)
    hi = substitute(declared.hi, frame.renaming)
    numbers = frame.builder.binding, frame.builder.intervals
    try:
        interval = Interval(
            bounds(lo, *numbers).least, minus_one(bounds(hi, *numbers).greatest)
        )
    except ZeroDivisionError:
        frame.error(
            "E0219",
            f"the range of {step.index} divides by zero",
            declared.span,
            label="a divisor is 0 here",
            hint="divide by a size or constant that is not 0",
        )
        frame.builder.found.raise_errors()
        return
    frame.builder.ranges.append(IndexRange(name, lo, hi, declared.span))
    frame.builder.intervals[name] = interval


def _add_range(
    name: str, interval: Interval, hi: Expr, step: FindRange, frame: BoundFrame
) -> None:
    span = step.source.span if step.source else frame.typed.span
    frame.builder.ranges.append(IndexRange(name, literal(0, span), hi, span))
    frame.builder.intervals[name] = interval


def add_copies(frame: BoundFrame) -> None:
    """Give the new names of hiding indices the ranges of those they stand for."""
    for copy in frame.typed.copies:
        if copy.of not in frame.indices:
            continue
        original = frame.indices[copy.of]
        found = next(r for r in frame.builder.ranges if r.name == original)
        renamed = {
            frame.indices[old]: frame.indices[new]
            for old, new in copy.renamed
            if old in frame.indices and new in frame.indices
        }
        renaming = Renaming({}, renamed, {})
        name = frame.indices[copy.index]
        bound = substitute(found.lo, renaming), substitute(found.hi, renaming)
        frame.builder.ranges.append(IndexRange(name, *bound, found.span))
        frame.builder.intervals[name] = frame.builder.intervals[original]
