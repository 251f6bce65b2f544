"""Dear values that several statements compute get a tensor: `shared(scop, machine)`.

    s[i] += exp(x[i, j] - m[i])               s_exp[i, j] = exp(x[i, j] - m[i])
    y[i, j] = exp(x[i, j] - m[i]) / s[i]  ->  s[i] += s_exp[i, j]
                                              y[i, j] = s_exp[i, j] / s[i]

That takes memory, and so is done only where a value has a long function, which is
never computed again (`forwarding`), and where its elements stay near: all of them lie
in a near cache, or those of one row do, and the statements can share a loop over rows.
What one statement computes several times at one place is the back end's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from polydsl.base.machine import Machine
from polydsl.poly.canonical import Names, Texts, canonical
from polydsl.poly.conditions import arm_conditions, ordered_indices
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import substitute, with_parts
from polydsl.schedule.contraction import is_product
from polydsl.schedule.decision import Decision
from polydsl.schedule.elements import sources, taken_names
from polydsl.schedule.factors import with_tensor
from polydsl.schedule.forwarding import producer_of
from polydsl.schedule.tree import fresh
from polydsl.schedule.vector_model import FUNCTION_INSTRUCTIONS
from polydsl.schedule.vector_operands import value_instructions
from polydsl.semantics.program import Access, Call, Cast, Expr, Index, Select, accesses

NEAR = 2
"""So many caches are near."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A value in a statement, with its indices as its text numbers them."""

    statement: Statement
    value: Expr
    dims: tuple[str, ...]


def shared(scop: Scop, machine: Machine) -> tuple[Scop, tuple[Decision, ...]]:
    """Return the scop in which dear values are computed once, and a decision about each
    of them."""
    decisions: list[Decision] = []
    while True:
        found = max(
            (p for p in _found(scop).values() if _is_worth_it(scop, p, machine)),
            key=lambda places: value_instructions(places[0].value, None),
            default=None,
        )
        if found is None:
            return scop, tuple(decisions)
        scop, decision = _stored(scop, found)
        decisions.append(decision)


# Which values are shared


def _found(scop: Scop) -> Mapping[str, list[_Place]]:
    """Return the places of dear values by the values' texts."""
    texts = Texts(scop.sizes, {})
    found: dict[str, list[_Place]] = defaultdict(list)
    for statement in scop.statements:
        for value in _values(scop, statement):
            key, dims = _text(texts, statement, value)
            found[key].append(_Place(statement, value, dims))
    return found


def _text(
    texts: Texts, statement: Statement, value: Expr
) -> tuple[str, tuple[str, ...]]:
    """Return what a value is, over which points, and its indices in the text."""
    ranges = {d: statement.ranges[d] for d in ordered_indices(value)}

    def text(names: Names) -> str:
        box = sorted(f"{names[d]} {ends}" for d, ends in ranges.items())
        return f"{box} {texts.of(value, names)}"

    return canonical(tuple(ranges), text)


def _values(scop: Scop, statement: Statement) -> Iterator[Expr]:
    """Yield the dear values that a statement computes at each of its points."""
    if value_instructions(statement.value, None) < FUNCTION_INSTRUCTIONS:
        return
    is_box = not statement.conditions and statement.points > 0
    if not is_box or any(lo < 0 for lo, _ in statement.box):
        return
    read = {access.tensor for access in accesses(statement.value)}
    if is_product(scop, statement) or statement.tensor in sources(scop, read):
        return
    for value in _evaluated(statement.value):
        if value_instructions(value, None) >= FUNCTION_INSTRUCTIONS:
            yield value


def _evaluated(expr: Expr) -> Iterator[Expr]:
    """Yield the functions in an expression that are evaluated whatever holds."""
    match expr:
        case Call("and" | "or"):
            return
        case Call(_, arguments):
            yield expr
            for argument in arguments:
                yield from _evaluated(argument)
        case Cast(operand):
            yield from _evaluated(operand)
        case Select(condition, then, otherwise):
            yield from _evaluated(condition)
            if arm_conditions(condition) == ((), ()):
                yield from _evaluated(then)
                yield from _evaluated(otherwise)
        case _:
            return


def _is_worth_it(scop: Scop, places: Sequence[_Place], machine: Machine) -> bool:
    """Whether a value is computed at several places, and stays near if it is stored."""
    if len({(p.statement.name, p.dims) for p in places}) < 2 or not places[0].dims:
        return False
    one = places[0]
    lengths = [one.statement.ranges[d][1] + 1 for d in _order(one)]
    row = prod(lengths[1:]) * one.value.dtype.bytes
    near = machine.caches[:NEAR][-1].capacity
    if row * lengths[0] <= near:
        return True
    return row <= near and all(_has_rows(scop, place, places) for place in places)


def _has_rows(scop: Scop, place: _Place, places: Sequence[_Place]) -> bool:
    """Whether a statement may compute one row of a value after the other, in a loop
    with others: rows lie along the first index of what it defines, or it sums over them
    and no other needs the sum."""
    statement, row = place.statement, _order(place)[0]
    if row in statement.reduced:
        others = (p.statement for p in places if p.statement is not statement)
        read = {access.tensor for other in others for access in accesses(other.value)}
        return statement.tensor not in sources(scop, read)
    return ordered_indices(*statement.subscripts)[:1] == (row,)


def _order(place: _Place) -> tuple[str, ...]:
    """Return in which order the elements of a value lie: as those of the tensor with
    most indices in it."""
    dims = [d for d in place.statement.dims if d in place.dims]
    read = (ordered_indices(*a.subscripts) for a in accesses(place.value))
    most = max(read, key=len, default=())
    return tuple(dict.fromkeys((*(d for d in dims if d not in most), *most)))


# Its tensor


def _stored(scop: Scop, places: Sequence[_Place]) -> tuple[Scop, Decision]:
    """Return the scop with a value in a tensor that all places read: one that is there,
    if there is one."""
    definer = next((p for p in places if _is_all(scop, p)), None)
    first = places[0] if definer is None else definer
    made: tuple[Statement, ...] = ()
    if definer is None:
        scop, made = _made(scop, first)
    (own,) = made or (first.statement,)
    access = Access(own.tensor, own.subscripts, first.value.dtype, own.span)
    reads: dict[str, dict[int, Expr]] = defaultdict(dict)
    for place in places:
        if place is not definer:
            names = zip(first.dims, place.dims)
            terms: dict[str, Expr] = {d: Index(e, own.span) for d, e in names}
            reads[place.statement.name][id(place.value)] = substitute(access, terms)
    statements: list[Statement] = []
    for statement in scop.statements:
        statements += made if statement is first.statement else ()
        statements.append(_reading(scop, statement, reads.get(statement.name, {})))
    tensors = ", ".join(dict.fromkeys(p.statement.tensor for p in places))
    decision = Decision(
        f"value in {tensors}",
        f"computed once, in {access.tensor}",
        f"it takes {value_instructions(first.value, None):.0f} instructions, and its "
        "elements stay near",
    )
    return replace(scop, statements=tuple(statements)), decision


def _is_all(scop: Scop, place: _Place) -> bool:
    """Whether a value is that of a tensor, at every element."""
    statement = place.statement
    is_whole = {*place.dims} == {*statement.dims} and statement.value is place.value
    return is_whole and producer_of(scop, statement.tensor) is statement


def _made(scop: Scop, place: _Place) -> tuple[Scop, tuple[Statement]]:
    """Return the scop with a tensor for a value, and its statement."""
    statement, value = place.statement, place.value
    box = {d: statement.ranges[d] for d in _order(place)}
    function = value.function if isinstance(value, Call) else "value"
    shape = tuple(hi + 1 for _, hi in box.values())
    like = TensorInfo("", value.dtype, shape, "local", statement.span)
    places = tuple(Index(d, statement.span) for d in box)
    name = fresh(f"{statement.tensor}_{function}", taken_names(scop))
    scop, access = with_tensor(scop, name, like, places)
    own = replace(
        statement,
        name=fresh(f"{statement.name}_value", [s.name for s in scop.statements]),
        tensor=access.tensor,
        subscripts=places,
        combine=None,
        value=value,
    )
    return scop, (rebuilt(scop, own, {}, box, ()),)


def _reading(scop: Scop, statement: Statement, reads: Mapping[int, Expr]) -> Statement:
    """Return a statement that reads some of its values, told by their identity."""
    if not reads:
        return statement

    def inner(part: Expr) -> Expr:
        return reads[id(part)] if id(part) in reads else with_parts(part, inner)

    changed = replace(statement, value=inner(statement.value))
    return rebuilt(scop, changed, {}, statement.ranges, statement.conditions)
