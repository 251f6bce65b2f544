"""Which element of a tensor is at an address of its buffer, and the way back.

A product's operand is given by addresses. In a tensor's own buffer the address is
compared with that of the wanted element. In a copy, whose buffer is dense, the address
is taken apart into subscripts, and those are put into the copy's definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Buffer, contiguous
from polydsl.loops.verify_forms import (
    ZERO,
    Form,
    Lookup,
    Point,
    Space,
    Var,
    add,
    atom,
    combine,
    constant,
    evaluate,
    expanded,
    floor_of,
    grid,
    interval,
    point_at,
    remainder_of,
    variables,
)
from polydsl.loops.verify_translate import Names
from polydsl.poly.scop import Statement
from polydsl.semantics.program import Index


def address_of(buffer: Buffer, subscripts: Sequence[Form]) -> Form:
    """Return the address of an element, counted from the one at subscript zero."""
    if len(subscripts) != len(buffer.strides):
        bug(f"{buffer.name} has {len(buffer.strides)} dimensions")
    return combine(*zip(subscripts, buffer.strides), (ZERO, 1))


def position_of(shape: Sequence[int], subscripts: Sequence[Form]) -> Form:
    """Return the position of an element in row-major order, one for each element."""
    return combine(*zip(subscripts, contiguous(tuple(shape))), (ZERO, 1))


def subscripts_at(buffer: Buffer, address: Form, space: Space) -> tuple[Form, ...]:
    """Return the subscripts of the element at an address of a dense buffer.

    Exact for every address: each term is spread over the axes by their strides, and
    what is too much for an axis is carried to the one before it.
    """
    if buffer.strides != contiguous(buffer.shape):
        bug(f"the copy {buffer.name} is not dense")
    strides = buffer.strides
    if not strides:
        return ()
    digits = [ZERO] * len(strides)
    for part, factor in address.terms:
        whole = atom(part)
        if isinstance(part, Lookup) and factor == 1:
            for axis, digit in enumerate(_digits(whole, strides, space)):
                digits[axis] = add(digits[axis], digit)
            continue
        for axis, multiple in enumerate(_multiples(factor, strides)):
            digits[axis] = combine((digits[axis], 1), (whole, multiple))
    for axis, multiple in enumerate(_multiples(address.constant, strides)):
        digits[axis] = add(digits[axis], constant(multiple))
    return _carried(digits, buffer.shape, space)


def _digits(form: Form, strides: tuple[int, ...], space: Space) -> list[Form]:
    found: list[Form] = []
    for stride in strides:
        found.append(floor_of(form, stride, space))
        form = remainder_of(form, stride, space)
    return found


def _multiples(number: int, strides: tuple[int, ...]) -> list[int]:
    sign, number = (-1, -number) if number < 0 else (1, number)
    found: list[int] = []
    for stride in strides:
        digit, number = divmod(number, stride)
        found.append(sign * digit)
    return found


def _carried(
    digits: list[Form], shape: tuple[int, ...], space: Space
) -> tuple[Form, ...]:
    for axis in range(len(shape) - 1, 0, -1):
        lo, hi = interval(digits[axis], space)
        if lo < 0 or hi >= shape[axis]:
            carry = floor_of(digits[axis], shape[axis], space)
            digits[axis] = remainder_of(digits[axis], shape[axis], space)
            digits[axis - 1] = add(digits[axis - 1], carry)
    return tuple(digits)


def has_distinct_elements(
    statement: Statement, names: Names, inner: Sequence[str]
) -> bool:
    """Whether distinct instances of a statement that differ in the counters *inner*
    write distinct elements: its subscripts are indices, and those summed over stand
    still. That distinct counters are distinct instances is proof (a)."""
    plain = {s.name for s in statement.subscripts if isinstance(s, Index)}
    if len(plain) < len(statement.subscripts):
        return False
    still = (d for d in statement.dims if d not in plain)
    return not any(variables(names[d]) & {*inner} for d in still)


def collision(address: Form, inner: Sequence[str], space: Space) -> Point | None:
    """Return a point at which an address is also that of other values of *inner*,
    the other counters being the same."""
    form = expanded(address, space)
    tied: set[str] = {*inner}
    kept = [t for t in form.terms if variables(Form(frozenset((t,)), 0)) & tied]
    moving = Form(frozenset(kept), 0)
    if _tells_apart(moving, inner, space):
        return None
    outer = sorted(variables(moving) - tied)
    names = [*outer, *inner]
    shape = tuple(space.extent(n) for n in names)
    values = np.broadcast_to(evaluate(moving, space, grid(names, space)), shape)
    rows = values.reshape(prod(shape[: len(outer)]), -1)
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    twice = np.argwhere(ordered[:, 1:] == ordered[:, :-1])
    if not twice.size:
        return None
    row, column = (int(v) for v in twice[0])
    flat = row * rows.shape[1] + int(order[row, column + 1])
    place = [int(v) for v in np.unravel_index(flat, shape)]
    return dict(point_at(place, names, space))


def _tells_apart(form: Form, names: Sequence[str], space: Space) -> bool:
    """Whether it is plain to see that a form has another value for all other values of
    some counters: each counts more than all that count less together."""
    factors = {a.name: abs(c) for a, c in form.terms if isinstance(a, Var)}
    several = {n for n in names if space.extent(n) > 1}
    if len(factors) < len(form.terms) or not several <= {*factors}:
        return False
    reach = 0
    for factor, name in sorted((factors[n], n) for n in several):
        if factor <= reach:
            return False
        reach += factor * (space.extent(name) - 1)
    return True
