"""Element-wise values computed where they are read: `forwarded(scop) -> Scop`.

    d[i, j] = x[i, j] - m[i]
    y[i, j] = d[i, j] * g[j]      ->    y[i, j] = (x[i, j] - m[i]) * g[j]

A tensor that one assignment gives all of its values need not be stored where those that
read it may as well compute them. Each value stays the same number, of the same type;
only where and how often it is computed changes. What a product reads stays for now
(`copied_values`); but where all but one factor of such a value leave the sum
(`factors`), it is none of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from polydsl.poly.conditions import conjunction
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import interval, linear, within
from polydsl.schedule.contraction import is_stored_product
from polydsl.schedule.decision import Decision, pair_subject
from polydsl.schedule.elements import is_whole
from polydsl.schedule.factors import STORED, leaving
from polydsl.schedule.once import known_tensors
from polydsl.schedule.vector_operands import value_instructions
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Expr,
    Index,
    Pad,
    Select,
    accesses,
    is_affine,
    reads,
    walk,
)

LONGEST = 250
"""So many parts a value may have to which others are put: what it holds several times
is computed once, but every pass goes through it as often as it stands there."""


def forwarded(
    scop: Scop, bound: frozenset[str] = frozenset()
) -> tuple[Scop, tuple[Decision, ...]]:
    """Return the scop without the tensors whose values are computed where they are
    read, and for each that could be one of them and each reader why it is or is not.
    What `bound` parameters alone decide is computed once, unless it takes no time."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    known = known_tensors(scop, bound)
    for tensor in scop.tensors:
        producer = producer_of(scop, tensor.name)
        if tensor.role != "local" or producer is None:
            continue
        readers = readers_of(scop, tensor.name)
        reason = _objection(scop, producer, readers)
        if not reason and tensor.name in known and cost_of(producer) > STORED:
            reason = "bound tensors alone decide it, so that it is computed once"
        chosen = "not fused"
        if not reason:
            scop = Forwarding(scop, producer).into(readers)
            chosen = "fused, computed where it is read"
            reason = "that takes no more than storing it"
            # What it reads without being fused, its readers read from now on.
            found = {
                pair: why
                for pair, why in found.items()
                if pair[1] != tensor.name or why[0] != "not fused"
            }
        pairs = dict.fromkeys((tensor.name, s.tensor) for s in readers)
        found.update(dict.fromkeys(pairs, (chosen, reason)))
    decisions = (Decision(pair_subject(*pair), *why) for pair, why in found.items())
    return scop, tuple(decisions)


def has_to_be_read(
    scop: Scop, producer: Statement, readers: Sequence[Statement]
) -> str:
    """Return why a tensor cannot be computed where it is read, or nothing."""
    name = producer.tensor
    if not readers or _is_needed(scop, name):
        return "it is a subscript, or checked"
    for reader in readers:
        if _length_with(producer, reader) > LONGEST:
            return f"the value of {reader.tensor} would be too long with it"
    return next(filter(None, (_needed_by(scop, r, name) for r in readers)), "")


def readers_of(scop: Scop, name: str) -> list[Statement]:
    """Return the statements that read a tensor, on either side."""
    return [s for s in scop.statements if _is_reader(s, name)]


def _objection(scop: Scop, producer: Statement, readers: Sequence[Statement]) -> str:
    """Return why a tensor is stored, or nothing."""
    if reason := has_to_be_read(scop, producer, readers):
        return reason
    products = [s for s in readers if is_stored_product(scop, s)]
    for product in products:
        # Of what is a factor of a factor, nothing is computed again.
        if leaving(scop, Forwarding(scop, producer).reader(product)) is None:
            return f"it is a factor of the product {product.tensor}"
    if len(products) == len(readers):
        return ""
    again = _again(producer, [s for s in readers if s not in products])
    each = cost_of(producer)
    if again * each > STORED:
        return (
            f"it takes {each:.0f} instructions, and would be computed "
            f"{again + 1:.3g} times"
        )
    return ""


def _length_with(producer: Statement, reader: Statement) -> int:
    """Return how many parts a reader's value has when it computes what it reads, each
    time that it reads it: in a chain of such readers, they multiply."""
    times = sum(a.tensor == producer.tensor for a in accesses(reader.value))
    return _length(reader.value) + times * _length(producer.value)


def _length(expr: Expr) -> int:
    return sum(1 for _ in walk(expr))


def producer_of(scop: Scop, name: str) -> Statement | None:
    """Return the one assignment that gives every element of a tensor its value."""
    writers = [s for s in scop.statements if s.tensor == name]
    if len(writers) != 1 or not is_whole(writers[0]):
        return None
    (found,) = writers
    places = [found.ranges[s.name] for s in found.subscripts if isinstance(s, Index)]
    is_all = places == [(0, n - 1) for n in scop.tensor(name).shape]
    return found if is_all and not reads(found.value, name) else None


def _is_reader(statement: Statement, name: str) -> bool:
    """Whether a statement reads a tensor, on either side."""
    return any(reads(e, name) for e in (statement.value, *statement.subscripts))


def _is_needed(scop: Scop, name: str) -> bool:
    """Whether something that is no statement's value reads a tensor."""
    if any(reads(check.value, name) for check in scop.checks):
        return True
    return any(reads(s, name) for st in scop.statements for s in st.subscripts)


def _needed_by(scop: Scop, reader: Statement, name: str) -> str:
    """Return why a statement has to read a tensor, or nothing."""
    for access in accesses(reader.value):
        if any(reads(s, name) for s in access.subscripts):
            return f"it is a subscript in {reader.tensor}"
        if access.tensor != name:
            continue
        if not all(map(is_affine, access.subscripts)):
            return f"{reader.tensor} reads it at subscripts that depend on data"
        if any(linear(s, scop.sizes) is None for s in access.subscripts):
            # Put into those of the value, they might be too hard for the proofs.
            return f"{reader.tensor} reads it at subscripts that are not linear"
    return ""


def _again(producer: Statement, readers: Iterable[Statement]) -> float:
    """Return how many times more a value would be computed than it is now."""
    evaluations = sum(r.points * different(r, producer.tensor) for r in readers)
    return evaluations / max(producer.points, 1) - 1.0


def cost_of(producer: Statement) -> float:
    """Return the instructions of a value, and of the loads beyond the one it saves."""
    loads = sum(1 for _ in accesses(producer.value)) - 1.0
    return value_instructions(producer.value, None) + max(loads, 0.0)


def different(reader: Statement, name: str) -> int:
    """Return at how many different places a statement reads a tensor."""
    found = (a.subscripts for a in accesses(reader.value) if a.tensor == name)
    return len({*found})


@dataclass(frozen=True, slots=True)
class Forwarding:
    """An assignment that gives a tensor all of its values, and what reads it."""

    scop: Scop
    producer: Statement

    def into(self, readers: Sequence[Statement]) -> Scop:
        """Return the scop without the tensor, which its readers compute."""
        scop, producer = self.scop, self.producer
        changed = {s.name: self.reader(s) for s in readers}
        name = producer.tensor
        return replace(
            scop,
            tensors=tuple(t for t in scop.tensors if t.name != name),
            statements=tuple(
                changed.get(s.name, s) for s in scop.statements if s is not producer
            ),
            read_whole=tuple(entry for entry in scop.read_whole if entry[0] != name),
        )

    def reader(self, statement: Statement) -> Statement:
        """Return a statement that computes what it read."""
        known: dict[tuple[Expr, ...], Expr] = {}
        value = self._replaced(statement.value, statement, known)
        changed = replace(statement, value=value)
        ranges, conditions = statement.ranges, statement.conditions
        return rebuilt(self.scop, changed, {}, ranges, conditions)

    def _replaced(
        self, expr: Expr, reader: Statement, known: dict[tuple[Expr, ...], Expr]
    ) -> Expr:
        """Return an expression with each access to the tensor replaced, one place by
        one object."""

        def inner(part: Expr) -> Expr:
            return self._replaced(part, reader, known)

        match expr:
            case Access(tensor, subscripts) if tensor == self.producer.tensor:
                if subscripts not in known:
                    terms = self._terms(subscripts)
                    known[subscripts] = substitute(self.producer.value, terms)
                return known[subscripts]
            case Pad(access, value) if access.tensor == self.producer.tensor:
                return self._padded(expr, reader, inner(access), inner(value))
            case Pad(access, value):
                return replace(expr, value=inner(value))
            case Call(_, arguments):
                return replace(expr, arguments=tuple(map(inner, arguments)))
            case Select(condition, then, otherwise):
                return replace(
                    expr,
                    condition=inner(condition),
                    then=inner(then),
                    otherwise=inner(otherwise),
                )
            case Cast(operand):
                return replace(expr, operand=inner(operand))
            case _:
                return expr

    def _terms(self, subscripts: tuple[Expr, ...]) -> Mapping[str, Expr]:
        names = (s.name for s in self.producer.subscripts if isinstance(s, Index))
        return dict(zip(names, subscripts))

    def _padded(self, pad: Pad, reader: Statement, inside: Expr, value: Expr) -> Expr:
        """Return the computed value where the access is inside, else the padding."""
        where = conjunction(self._conditions(pad.access, reader))
        if where is None:
            return inside
        return Select(where, inside, value, pad.dtype, pad.span)

    def _conditions(self, access: Access, reader: Statement) -> Iterator[Expr]:
        shape = self.scop.tensor(access.tensor).shape
        for subscript, extent in zip(access.subscripts, shape):
            known = interval(subscript, self.scop.sizes, reader.ranges)
            yield from within(subscript, (0, extent - 1), known)
