"""Affine conditions of the proofs: where a guarded access or a padded one is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal as OneOf
from typing import TypeAlias, TypeVar, assert_never

import numpy as np

from polydsl.loops.verify_forms import (
    Array,
    Form,
    Space,
    evaluate,
    interval,
    scale,
    shifted,
    substituted,
    subtract,
    variables,
)

Relation = OneOf["ge", "eq", "ne"]


@dataclass(frozen=True, slots=True)
class Compare:
    """`form >= 0`, `form == 0` or `form != 0`."""

    form: Form
    relation: Relation


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; true without parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Some part holds; false without parts."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Compare | All | Any

TRUE = All(())
FALSE = Any(())


def at_least(form: Form, least: int) -> Condition:
    """Return `form >= least`."""
    return Compare(shifted(form, -least), "ge")


def at_most(form: Form, greatest: int) -> Condition:
    """Return `form <= greatest`."""
    return Compare(shifted(scale(form, -1), greatest), "ge")


def within(form: Form, lo: int, hi: int) -> tuple[Condition, Condition]:
    """Return `lo <= form` and `form <= hi`."""
    return at_least(form, lo), at_most(form, hi)


def negation(condition: Condition) -> Condition:
    """Return the condition that holds where *condition* does not."""
    match condition:
        case Compare(form, "ge"):
            return Compare(shifted(scale(form, -1), -1), "ge")
        case Compare(form, relation):
            return Compare(form, "ne" if relation == "eq" else "eq")
        case All(parts):
            return Any(tuple(negation(p) for p in parts))
        case Any(parts):
            return All(tuple(negation(p) for p in parts))
        case _:
            assert_never(condition)


Expr = TypeVar("Expr")

_TURNED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


def comparison(function: str, left: Form, right: Form) -> Condition:
    """Return a comparison of two forms by the name of its function."""
    match function:
        case "ge":
            return Compare(subtract(left, right), "ge")
        case "gt":
            return Compare(shifted(subtract(left, right), -1), "ge")
        case "eq":
            return Compare(subtract(left, right), "eq")
        case "ne":
            return Compare(subtract(left, right), "ne")
        case _:
            return comparison(_TURNED[function], right, left)


def connected(
    function: str, arguments: Sequence[Expr], each: Callable[[Expr], Condition | None]
) -> Condition | None:
    """Return `and`, `or`, `not` of conditions, None if a part is unknown."""
    parts = [each(argument) for argument in arguments]
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts):
        return None
    if function == "not":
        return negation(known[0])
    return All(known) if function == "and" else Any(known)


def is_comparison(function: str) -> bool:
    """Whether a function of the table compares two numbers."""
    return function in _TURNED


# Questions


def simplified(condition: Condition, space: Space) -> Condition:
    """Return a condition without the parts that the box decides."""
    match condition:
        case Compare(form, relation):
            lo, hi = interval(form, space)
            yes = {"ge": lo >= 0, "eq": lo == hi == 0, "ne": lo > 0 or hi < 0}[relation]
            no = {"ge": hi < 0, "eq": lo > 0 or hi < 0, "ne": lo == hi == 0}[relation]
            return TRUE if yes else FALSE if no else condition
        case All(parts):
            left = [simplified(p, space) for p in parts]
            if FALSE in left:
                return FALSE
            return _joined([p for p in left if p != TRUE], All)
        case Any(parts):
            left = [simplified(p, space) for p in parts]
            if TRUE in left:
                return TRUE
            return _joined([p for p in left if p != FALSE], Any)
        case _:
            assert_never(condition)


def _joined(parts: list[Condition], kind: type[All] | type[Any]) -> Condition:
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def atoms_of(condition: Condition) -> Iterator[Compare]:
    """Yield every comparison in a condition."""
    match condition:
        case Compare():
            yield condition
        case All(parts) | Any(parts):
            for part in parts:
                yield from atoms_of(part)
        case _:
            assert_never(condition)


def conjuncts(condition: Condition) -> Iterator[Form]:
    """Yield forms that are at least 0 wherever the condition holds."""
    match condition:
        case Compare(form, "ge"):
            yield form
        case Compare(form, "eq"):
            yield form
            yield scale(form, -1)
        case All(parts):
            for part in parts:
                yield from conjuncts(part)
        case Compare() | Any():
            return
        case _:
            assert_never(condition)


def _parts(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions that all must hold for one to hold."""
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _parts(part)
    else:
        yield condition


def about(
    conditions: Sequence[Condition], names: frozenset[str]
) -> tuple[Condition, ...]:
    """Return the conditions that say something about some variables."""
    parts = (part for condition in conditions for part in _parts(condition))
    return tuple(part for part in parts if condition_variables(part) & names)


def condition_variables(condition: Condition) -> frozenset[str]:
    """Return the variables that occur in a condition."""
    found: frozenset[str] = frozenset()
    for part in atoms_of(condition):
        found |= variables(part.form)
    return found


def replaced(
    condition: Condition, values: Mapping[str, Form], space: Space
) -> Condition:
    """Return a condition with variables replaced, as it is built within a space."""
    match condition:
        case Compare(form, relation):
            return Compare(substituted(form, values, space), relation)
        case All(parts):
            return All(tuple(replaced(part, values, space) for part in parts))
        case Any(parts):
            return Any(tuple(replaced(part, values, space) for part in parts))
        case _:
            assert_never(condition)


def mask(condition: Condition, space: Space, values: Mapping[str, Array]) -> Array:
    """Return where a condition holds."""
    match condition:
        case Compare(form, relation):
            at = evaluate(form, space, values)
            compare = {"ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal}
            result: Array = compare[relation](at, 0)
            return result
        case All(parts):
            total = np.ones((), np.bool_)
            for part in parts:
                total = total & mask(part, space, values)
            return total
        case Any(parts):
            total = np.zeros((), np.bool_)
            for part in parts:
                total = total | mask(part, space, values)
            return total
        case _:
            assert_never(condition)
