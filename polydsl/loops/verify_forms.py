"""Integer terms of the proofs in a normal form: `Form`, and what can be said of one.

A form is a constant plus multiples of *atoms*: variables, floors, remainders, least
and greatest terms, entries of constant tables. Building one simplifies it within a
`Space`, the box of its variables. Everything here is exact: an interval holds every
value, two forms whose difference normalises to zero are equal, and what the normal form
cannot decide is evaluated with NumPy at every point of the variables that occur.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd, prod
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from polydsl.base.diagnostics import CompilerBug
from polydsl.poly.terms import Interval

Array: TypeAlias = NDArray[Any]
Point: TypeAlias = dict[str, int]

ENUMERATION_LIMIT = 1 << 24
"""So many points are looked at one by one, at most, to answer one question."""


class Unproved(CompilerBug):
    """A proof is beyond its budget: neither isl nor enumerating could finish it."""


@dataclass(frozen=True, slots=True)
class Var:
    """A variable; its interval is in the space."""

    name: str


@dataclass(frozen=True, slots=True)
class Floor:
    """`form // divisor`; the divisor is positive."""

    form: Form
    divisor: int


@dataclass(frozen=True, slots=True)
class Remainder:
    """`form % divisor`; the divisor is positive."""

    form: Form
    divisor: int


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least (or the greatest) of some forms."""

    is_least: bool
    forms: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Lookup:
    """The entry of a constant table at a position."""

    table: str
    form: Form


Atom: TypeAlias = Var | Floor | Remainder | Extreme | Lookup


@dataclass(frozen=True, slots=True)
class Form:
    """`constant + sum of factor * atom`; no factor is 0."""

    terms: frozenset[tuple[Atom, int]]
    constant: int

    @property
    def is_constant(self) -> bool:
        """Whether it has no atoms."""
        return not self.terms


@dataclass(frozen=True, slots=True)
class Space:
    """The box of the variables, both ends included, and the constant tables."""

    box: Mapping[str, Interval]
    tables: Mapping[str, Array]

    def extent(self, name: str) -> int:
        """Return the number of values of a variable."""
        lo, hi = self.box[name]
        return hi - lo + 1


def constant(value: int) -> Form:
    """Return a form without atoms."""
    return Form(frozenset(), value)


ZERO = constant(0)


def atom(value: Atom) -> Form:
    """Return an atom as a form."""
    return Form(frozenset(((value, 1),)), 0)


def variable(name: str) -> Form:
    """Return a variable as a form."""
    return atom(Var(name))


def combine(*parts: tuple[Form, int]) -> Form:
    """Return a sum of multiples of forms."""
    total: dict[Atom, int] = {}
    number = 0
    for form, factor in parts:
        number += form.constant * factor
        for a, c in form.terms:
            total[a] = total.get(a, 0) + c * factor
    kept = frozenset(item for item in total.items() if item[1])
    return Form(kept, number)


def add(left: Form, right: Form) -> Form:
    """Return `left + right`."""
    return combine((left, 1), (right, 1))


def subtract(left: Form, right: Form) -> Form:
    """Return `left - right`."""
    return combine((left, 1), (right, -1))


def scale(form: Form, factor: int) -> Form:
    """Return `form * factor`."""
    return combine((form, factor))


def shifted(form: Form, amount: int) -> Form:
    """Return `form + amount`."""
    return Form(form.terms, form.constant + amount)


# Floors and remainders


def floor_of(form: Form, divisor: int, space: Space) -> Form:
    """Return `form // divisor`, multiples of the divisor taken out.

    (8*a + b) // 4  with 0 <= b < 4   ->  2*a
    (a // 2) // 3                     ->  a // 6
    """
    if divisor < 0:
        return floor_of(scale(form, -1), -divisor, space)
    whole = Form(
        frozenset((a, c // divisor) for a, c in form.terms if c % divisor == 0),
        form.constant // divisor,
    )
    rest = Form(
        frozenset((a, c) for a, c in form.terms if c % divisor),
        form.constant % divisor,
    )
    lo, hi = interval(rest, space)
    if lo // divisor == hi // divisor:
        return shifted(whole, lo // divisor)
    common = reduce(gcd, (c for _, c in rest.terms), divisor)
    rest = Form(
        frozenset((a, c // common) for a, c in rest.terms), rest.constant // common
    )
    return add(whole, atom(_nested(rest, divisor // common)))


def _nested(form: Form, divisor: int) -> Floor:
    """Join a floor of a floor: `(f // a + c) // b` is `(f + a*c) // (a*b)`."""
    if len(form.terms) == 1:
        ((inner, factor),) = form.terms
        if isinstance(inner, Floor) and factor == 1:
            lifted = shifted(inner.form, inner.divisor * form.constant)
            return _nested(lifted, divisor * inner.divisor)
    return Floor(form, divisor)


def remainder_of(form: Form, divisor: int, space: Space) -> Form:
    """Return `form % divisor`, multiples of the divisor left out."""
    if divisor < 0:
        return scale(remainder_of(scale(form, -1), -divisor, space), -1)
    rest = Form(
        frozenset((a, c) for a, c in form.terms if c % divisor),
        form.constant % divisor,
    )
    lo, hi = interval(rest, space)
    if lo // divisor == hi // divisor:
        return shifted(rest, -(lo // divisor) * divisor)
    return atom(Remainder(rest, divisor))


def extreme_of(forms: Sequence[Form], is_least: bool, space: Space) -> Form:
    """Return the least or the greatest of forms, those that never are it left out."""
    ends = [interval(form, space) for form in forms]
    bound = min(hi for _, hi in ends) if is_least else max(lo for lo, _ in ends)
    kept = [
        form
        for form, (lo, hi) in zip(forms, ends)
        if (lo < bound if is_least else hi > bound) or lo == hi == bound
    ]
    unique = tuple(dict.fromkeys(kept)) or tuple(forms[:1])
    return unique[0] if len(unique) == 1 else atom(Extreme(is_least, unique))


def expanded(form: Form, space: Space) -> Form:
    """Return a form without remainders: `f % n` is `f - n * (f // n)`."""
    parts: list[tuple[Form, int]] = [(constant(form.constant), 1)]
    for a, c in form.terms:
        match a:
            case Remainder(inner, divisor):
                inside = expanded(inner, space)
                parts += [(inside, c), (floor_of(inside, divisor, space), -divisor * c)]
            case Floor(inner, divisor):
                parts.append((floor_of(expanded(inner, space), divisor, space), c))
            case _:
                parts.append((atom(a), c))
    return combine(*parts)


def substituted(form: Form, values: Mapping[str, Form], space: Space) -> Form:
    """Return a form with variables replaced."""
    if not variables(form) & values.keys():
        return form
    parts: list[tuple[Form, int]] = [(constant(form.constant), 1)]
    for a, c in form.terms:
        parts.append((_substituted(a, values, space), c))
    return combine(*parts)


def _substituted(a: Atom, values: Mapping[str, Form], space: Space) -> Form:
    match a:
        case Var(name):
            return values.get(name, atom(a))
        case Floor(form, divisor):
            return floor_of(substituted(form, values, space), divisor, space)
        case Remainder(form, divisor):
            return remainder_of(substituted(form, values, space), divisor, space)
        case Extreme(is_least, forms):
            parts = [substituted(f, values, space) for f in forms]
            return extreme_of(parts, is_least, space)
        case Lookup(table, form):
            return atom(Lookup(table, substituted(form, values, space)))
        case _:
            assert_never(a)


def normal(form: Form, space: Space) -> Form:
    """Return a form as it is built within a smaller space; what does not move there is
    a number."""
    values = {
        name: constant(lo) if lo == hi else variable(name)
        for name, (lo, hi) in ((n, space.box[n]) for n in variables(form))
    }
    return substituted(form, values, space)


# What occurs, and how great it is


def variables(form: Form) -> frozenset[str]:
    """Return the names of the variables that occur in a form."""
    found: frozenset[str] = frozenset()
    for a, _ in form.terms:
        found |= _variables(a)
    return found


def _variables(a: Atom) -> frozenset[str]:
    match a:
        case Var(name):
            return frozenset((name,))
        case Floor(form) | Remainder(form) | Lookup(_, form):
            return variables(form)
        case Extreme(_, forms):
            return frozenset().union(*(variables(f) for f in forms))
        case _:
            assert_never(a)


def interval(form: Form, space: Space) -> Interval:
    """Return bounds that hold every value of a form."""
    for a, c in form.terms:
        if isinstance(a, Extreme) and c == 1:
            rest = Form(form.terms - {(a, 1)}, form.constant)
            ends = [interval(add(f, rest), space) for f in a.forms]
            least = min if a.is_least else max
            return least(lo for lo, _ in ends), least(hi for _, hi in ends)
    low = high = form.constant
    for a, c in form.terms:
        lo, hi = _atom_interval(a, space)
        low += c * (lo if c > 0 else hi)
        high += c * (hi if c > 0 else lo)
    return low, high


def _atom_interval(a: Atom, space: Space) -> Interval:
    match a:
        case Var(name):
            return space.box[name]
        case Floor(form, divisor):
            lo, hi = interval(form, space)
            return lo // divisor, hi // divisor
        case Remainder(_, divisor):
            return 0, divisor - 1
        case Extreme():
            return interval(atom(a), space)
        case Lookup(table, form):
            lo, hi = interval(form, space)
            part = space.tables[table][max(lo, 0) : max(hi, 0) + 1]
            return (int(part.min()), int(part.max())) if part.size else (0, 0)
        case _:
            assert_never(a)


# Values at many points


def grid(names: Sequence[str], space: Space) -> dict[str, Array]:
    """Return the values of variables, each along an axis of its own."""
    count = prod(space.extent(name) for name in names)
    if count > ENUMERATION_LIMIT:
        raise Unproved(f"a proof over {count} points of {', '.join(names)} is too long")
    axes: dict[str, Array] = {}
    for axis, name in enumerate(names):
        lo, hi = space.box[name]
        shape = [1] * len(names)
        shape[axis] = -1
        axes[name] = np.arange(lo, hi + 1, dtype=np.int64).reshape(shape)
    return axes


def evaluate(form: Form, space: Space, values: Mapping[str, Array]) -> Array:
    """Return the values of a form where its variables have the given values."""
    total: Array = np.int64(form.constant) + np.zeros((), np.int64)
    for a, c in form.terms:
        part = _evaluate_atom(a, space, values)
        total = total + (part if c == 1 else part * c)
    return total


def _evaluate_atom(a: Atom, space: Space, values: Mapping[str, Array]) -> Array:
    match a:
        case Var(name):
            return values[name]
        case Floor(form, divisor):
            return evaluate(form, space, values) // divisor
        case Remainder(form, divisor):
            return evaluate(form, space, values) % divisor
        case Extreme(is_least, forms):
            best = np.minimum if is_least else np.maximum
            total: Array = evaluate(forms[0], space, values)
            for form in forms[1:]:
                total = best(total, evaluate(form, space, values))
            return total
        case Lookup(table, form):
            entries = space.tables[table]
            at = evaluate(form, space, values)
            # A position outside is refused by the proof of bounds; here it must only
            # not wrap around.
            found: Array = entries[np.clip(at, 0, max(entries.size - 1, 0))]
            return found
        case _:
            assert_never(a)


def point_at(
    place: Sequence[int], names: Sequence[str], space: Space
) -> Iterator[tuple[str, int]]:
    """Yield the value of each variable at a place of their grid."""
    for name, position in zip(names, place):
        yield name, space.box[name][0] + int(position)
