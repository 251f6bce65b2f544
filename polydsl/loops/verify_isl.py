"""Questions of the proofs in isl's notation: where conditions hold, what maps do.

isl answers under a budget (`BudgetExceeded`) and knows no constant tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from polydsl.loops.verify_conditions import (
    All,
    Any,
    Compare,
    Condition,
    atoms_of,
)
from polydsl.loops.verify_forms import (
    Atom,
    Extreme,
    Floor,
    Form,
    Lookup,
    Point,
    Remainder,
    Space,
    Var,
)
from polydsl.poly.isl import (
    BudgetExceeded,
    are_bijections_onto,
    budget,
    domain_text,
    map_text,
    parse_map,
    parse_set,
)
from polydsl.poly.points import sample

OPERATIONS = 50_000
"""isl's budget for one question: about 0.4 s."""


def has_tables(condition: Condition) -> bool:
    """Whether a condition depends on a constant table, which isl does not know."""
    return any(_form_has_tables(part.form) for part in atoms_of(condition))


def _form_has_tables(form: Form) -> bool:
    for a, _ in form.terms:
        match a:
            case Lookup():
                return True
            case Floor(inner) | Remainder(inner):
                if _form_has_tables(inner):
                    return True
            case Extreme(_, forms):
                if any(_form_has_tables(f) for f in forms):
                    return True
            case Var():
                pass
            case _:
                assert_never(a)
    return False


@dataclass(frozen=True, slots=True)
class Image:
    """What forms take on the points of a space where conditions hold."""

    forms: tuple[Form, ...]
    conditions: tuple[Condition, ...]
    space: Space

    @property
    def text(self) -> str:
        """The map from the points to the values, in isl's notation."""
        texts = {name: f"v{number}" for number, name in enumerate(self.space.box)}
        values = [_form_text(form, texts) for form in self.forms]
        where = _where(self.conditions, texts, self.space)
        return map_text("", list(texts.values()), "", values, where)


def hits_each_once(
    images: Sequence[Image],
    dims: Sequence[str],
    wanted: Sequence[Condition],
    target: Space,
) -> bool:
    """Whether images together take each of the wanted points of the target exactly
    once, and nothing else."""
    there = {name: f"d{number}" for number, name in enumerate(dims)}
    points = domain_text("", list(there.values()), _where(wanted, there, target))
    with budget(OPERATIONS * len(images)):
        relations = [parse_map(image.text) for image in images]
        return are_bijections_onto(relations, parse_set(points))


class Accesses(Protocol):
    """Elements touched in a space where conditions hold."""

    @property
    def subscripts(self) -> tuple[Form, ...]:
        """The element, in counters."""

    @property
    def space(self) -> Space:
        """The box of the counters."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Where the access is made."""


def late_point(
    write: Accesses,
    read: Accesses,
    counters: Sequence[str],
    lanes: str | None,
    is_before: bool,
) -> Point | None:
    """Return the counters of a read whose element is not written at an earlier time:
    `counters` are the loops around both, outermost first, then that over `lanes`, which
    run at one time; at the same time, by a node that *is_before* the other."""
    ours = {name: f"w{number}" for number, name in enumerate(write.space.box)}
    theirs = {name: f"r{number}" for number, name in enumerate(read.space.box)}
    where = [
        *_where(write.conditions, ours, write.space),
        *_where(read.conditions, theirs, read.space),
    ]
    for left, right in zip(write.subscripts, read.subscripts):
        where.append(f"{_form_text(left, ours)} = {_form_text(right, theirs)}")
    cases: list[str] = []
    same: list[str] = []
    loops = [(c, ">") for c in counters] + ([(lanes, "!=")] if lanes else [])
    for name, relation in loops:
        cases.append(" and ".join((*same, f"{ours[name]} {relation} {theirs[name]}")))
        same.append(f"{ours[name]} = {theirs[name]}")
    if not is_before:
        cases.append(" and ".join(same) or "0 = 0")
    where.append(" or ".join(f"({case})" for case in cases) or "0 = 1")
    dims = [*ours.values(), *theirs.values()]
    with budget(OPERATIONS):
        found = sample(parse_set(domain_text("", dims, where)))
    return found and {name: found[text] for name, text in theirs.items()}


def _where(
    conditions: Sequence[Condition], texts: Mapping[str, str], space: Space
) -> list[str]:
    box = [
        f"{space.box[name][0]} <= {text} <= {space.box[name][1]}"
        for name, text in texts.items()
    ]
    return [*box, *(_condition_text(c, texts) for c in conditions)]


def isl_point(condition: Condition, names: Sequence[str], space: Space) -> Point | None:
    """Return a point of the box of *names* where a condition holds, or None."""
    texts = {name: f"v{number}" for number, name in enumerate(names)}
    where = _where([condition], texts, space)
    with budget(OPERATIONS):
        found = sample(parse_set(domain_text("", list(texts.values()), where)))
    if found is None:
        return None
    return {name: found[text] for name, text in texts.items()}


def _condition_text(condition: Condition, texts: Mapping[str, str]) -> str:
    match condition:
        case Compare(form, relation):
            symbol = {"ge": ">=", "eq": "=", "ne": "!="}[relation]
            return f"{_form_text(form, texts)} {symbol} 0"
        case All(parts):
            return " and ".join(f"({_condition_text(p, texts)})" for p in parts) or (
                "0 = 0"
            )
        case Any(parts):
            return " or ".join(f"({_condition_text(p, texts)})" for p in parts) or (
                "0 = 1"
            )
        case _:
            assert_never(condition)


def _form_text(form: Form, texts: Mapping[str, str]) -> str:
    parts = [f"{c}*{_atom_text(a, texts)}" for a, c in form.terms]
    return f"({' + '.join((*parts, str(form.constant)))})"


def _atom_text(a: Atom, texts: Mapping[str, str]) -> str:
    match a:
        case Var(name):
            return texts[name]
        case Floor(form, divisor):
            return f"floor({_form_text(form, texts)}/{divisor})"
        case Remainder(form, divisor):
            return f"({_form_text(form, texts)} mod {divisor})"
        case Extreme(is_least, forms):
            inner = ", ".join(_form_text(f, texts) for f in forms)
            return f"{'min' if is_least else 'max'}({inner})"
        case Lookup():
            raise BudgetExceeded("isl knows no tables")
        case _:
            assert_never(a)
