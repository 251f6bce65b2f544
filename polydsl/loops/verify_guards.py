"""Rows of a product behind a table: padded rows lead to a line of padding.

An entry of the table is `OUTSIDE` exactly where the padded access is outside its
tensor, and elsewhere leads to its element: looked at for every entry that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import OUTSIDE, TILE, BatchReduceGemm, Buffer, GuardedRows
from polydsl.loops.verify_conditions import (
    Condition,
    condition_variables,
    mask,
    simplified,
)
from polydsl.loops.verify_elements import address_of
from polydsl.loops.verify_equal import nonzero_point
from polydsl.loops.verify_forms import (
    Array,
    Form,
    Lookup,
    Point,
    add,
    atom,
    constant,
    evaluate,
    expanded,
    grid,
    point_at,
    subtract,
    variables,
)
from polydsl.loops.verify_values import Mismatch, Source
from polydsl.semantics import program


def check_guarded(
    source: Source,
    node: BatchReduceGemm,
    rows: GuardedRows,
    buffer: Buffer,
    base: Form,
    place: Form,
    factor: program.Expr,
) -> None:
    """Raise unless guarded rows are a padded factor. `base` is the address without the
    entry of the table, which is at `place`."""
    if not isinstance(factor, program.Pad) or factor.access.tensor != buffer.name:
        _differ(source, f"{buffer.name} is guarded and not padded", {})
    _check_line(source, node, rows, factor.value)
    entry = atom(Lookup(rows.table, place))
    inside = simplified(source.inside(factor.access), source.space)
    wanted = address_of(buffer, source.subscripts(factor.access.subscripts))
    error = expanded(subtract(add(base, entry), wanted), source.space)
    _check_entries(source, entry, inside, error)


def _check_entries(source: Source, entry: Form, inside: Condition, error: Form) -> None:
    """The error of the address is 0 wherever the access is inside. Only the terms that
    share variables with the table or the condition need be looked at together."""
    space = source.space
    tied, here = _tied(error, variables(entry) | condition_variables(inside))
    names = sorted(tied)
    shape = tuple(space.extent(n) for n in names)
    values = grid(names, space)
    is_inside = np.broadcast_to(mask(inside, space, values), shape)
    entries = np.broadcast_to(evaluate(entry, space, values), shape)
    wrong = (entries != OUTSIDE) != is_inside
    if wrong.any():
        point = _first(source, wrong, names)
        _differ(source, "the row table has a wrong padding", point)
    if not is_inside.any():
        return
    off = np.broadcast_to(evaluate(here, space, values), shape)
    first = int(off[is_inside][0])
    wrong = is_inside & (off != first)
    if wrong.any():
        point = _first(source, wrong, names)
        _differ(source, "the row table has a wrong offset", point)
    rest = Form(error.terms - here.terms, error.constant)
    apart = nonzero_point(add(rest, constant(first)), space)
    if apart is not None:
        _differ(source, "a row of the table leads to a wrong element", apart)


def _tied(form: Form, names: frozenset[str]) -> tuple[frozenset[str], Form]:
    """Return the variables that terms tie to *names*, and those terms."""
    while True:
        terms = frozenset(
            t for t in form.terms if variables(Form(frozenset((t,)), 0)) & names
        )
        here = Form(terms, 0)
        if variables(here) <= names:
            return names, here
        names |= variables(here)


def _first(source: Source, wrong: Array, names: Sequence[str]) -> Point:
    place = np.argwhere(wrong)[0].tolist()
    return dict(point_at(place, names, source.space))


def _check_line(
    source: Source, node: BatchReduceGemm, rows: GuardedRows, value: program.Expr
) -> None:
    """The line of padding is long enough and holds the padding value."""
    line = source.space.tables.get(rows.zeros)
    if line is None or not isinstance(value, program.Literal):
        bug(f"{rows.zeros} is no line of padding, {source.leaf.place({})}")
    places = np.arange(node.depth) * rows.depth_step
    outside = (places < 0) | (places >= line.size)
    if outside.any():
        point = {TILE[3]: int(np.argmax(outside))}
        _differ(source, f"{rows.zeros} is too short", point)
    padding = np.full(places.shape, value.value).astype(node.dtype.numpy)
    if line.dtype != padding.dtype or line[places].tobytes() != padding.tobytes():
        _differ(source, f"{rows.zeros} holds another padding value", {})


def _differ(source: Source, message: str, point: Point) -> NoReturn:
    raise Mismatch(f"{message} {source.leaf.place(point)}")
