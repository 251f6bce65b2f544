"""Copies in runs: a lane is where its line and column say, or past the end of the axis.

A copy's value is an expression over the line and the column of a lane. The nest says
at every store which they are; that these are the quotient and the remainder of the
lane's position is proved here, and that they keep to their ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Instance
from polydsl.loops.verify_equal import difference_point
from polydsl.loops.verify_forms import Form, combine, constant
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_search import outside_point
from polydsl.loops.verify_translate import nest_form
from polydsl.loops.verify_values import Source
from polydsl.schedule.matrix_plan import Copy, Runs
from polydsl.semantics.program import Expr


def in_lines(copy: Copy, source: Source, instance: Instance) -> tuple[Source, Expr]:
    """Return what a store of a copy is to hold, and the meaning of the names in it."""
    runs, leaf = copy.runs, source.leaf
    if runs is None:
        return source, copy.value
    terms = ((source.names[d], factor) for d, factor in runs.position.coefficients)
    position = combine(*terms, (constant(runs.position.constant), 1))
    if not instance.terms:
        longest = runs.extent + copy.extents[-1]
        _check_within(leaf, position, runs.extent, longest, "is not past its end")
        return source, copy.zero
    line, column = _terms(instance, (runs.line, runs.column), leaf)
    _check_place(leaf, copy, runs, (line, column), position)
    names = {**source.names, runs.line: line, runs.column: column}
    ranges = {name: copy.box[name] for name in (runs.line, runs.column)}
    return replace(source, names=names, ranges=ranges), copy.value


def _terms(instance: Instance, wanted: Sequence[str], leaf: Leaf) -> list[Form]:
    given = dict(instance.terms)
    forms = [nest_form(given[n], leaf.names, leaf.hull) for n in wanted if n in given]
    found = [form for form in forms if form is not None]
    if len(found) < len(wanted):
        bug(f"a lane of {instance.statement} has no line, {leaf.place({})}")
    return found


def _check_place(
    leaf: Leaf, copy: Copy, runs: Runs, place: Sequence[Form], position: Form
) -> None:
    """Raise unless a lane is at its column of its line."""
    line, column = place
    there = combine((line, runs.length), (column, 1))
    point = difference_point(there, position, leaf.hull)
    if point is not None:
        bug(f"a lane of {copy.tensor} is elsewhere in its line, {leaf.place(point)}")
    _check_within(leaf, column, 0, runs.length - 1, "leaves its line")
    _check_within(leaf, line, 0, runs.lines - 1, "leaves its axis")


def _check_within(leaf: Leaf, form: Form, lo: int, hi: int, message: str) -> None:
    for piece in leaf.pieces:
        point = outside_point(form, lo, hi, piece.conditions, piece.space)
        if point is not None:
            bug(f"a lane of a copy {message}, {leaf.place(point)}")
