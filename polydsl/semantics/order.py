"""Where the ranges of indices come from, and in which order they can be found.

`find_sources` collects the places where an index stands alone as a subscript, with
the rank of the place; `find_steps` orders ranges, shapes of undeclared locals and
kernel calls so that each needs only earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from polydsl.semantics.program import (
    Access,
    Call,
    Definition,
    Expr,
    Index,
    Pad,
    Select,
    children,
    is_affine,
    walk,
)
from polydsl.semantics.typed import (
    Copy,
    FindRange,
    FindResults,
    FindShape,
    KernelCall,
    Range,
    RangeSource,
    Step,
)

DECLARED, GUARDED, INFERRED = 2, 3, 4
"""Ranks of sources: an ordinary access of a tensor whose shape is declared; one
inside `pad` or an arm of an affine condition; any access of an undeclared local."""


def find_sources(
    body: Iterable[Definition | KernelCall],
    declared: frozenset[str],
    copies: Iterable[Copy],
) -> tuple[RangeSource, ...]:
    """Return the places that may give an index its range, in order of the text."""
    original = {copy.index: copy.of for copy in copies}
    found: list[RangeSource] = []
    for definition in body:
        if not isinstance(definition, Definition):
            continue
        pairs = list(_accesses(definition.value, False))
        left = Access(
            definition.tensor,
            definition.subscripts,
            definition.value.dtype,
            definition.span,
        )
        if definition.tensor in declared:
            pairs.insert(0, (left, False))
        pairs += [p for s in definition.subscripts for p in _accesses(s, False)]
        for access, guarded in pairs:
            rank = GUARDED if guarded else DECLARED
            rank = rank if access.tensor in declared else INFERRED
            for dim, subscript in enumerate(access.subscripts):
                if isinstance(subscript, Index):
                    name = original.get(subscript.name, subscript.name)
                    source = RangeSource(name, rank, access.tensor, dim, subscript.span)
                    found.append(source)
    return tuple(found)


def _accesses(expr: Expr, guarded: bool) -> Iterator[tuple[Access, bool]]:
    """Yield the accesses of an expression, and whether each is guarded."""
    match expr:
        case Pad(access, value):
            yield access, True
            for subscript in access.subscripts:
                yield from _accesses(subscript, guarded)
            yield from _accesses(value, True)
        case Access():
            yield expr, guarded
            for subscript in expr.subscripts:
                yield from _accesses(subscript, guarded)
        case Select(condition, then, otherwise):
            yield from _accesses(condition, guarded)
            affine = is_affine(condition)
            restricted = any(is_affine(c) for c in _affine_prefix(condition))
            yield from _accesses(then, guarded or affine or restricted)
            yield from _accesses(otherwise, guarded or affine)
        case Call("and", _):
            seen_affine = False
            for conjunct in conjuncts(expr):
                yield from _accesses(conjunct, guarded or seen_affine)
                seen_affine = seen_affine or is_affine(conjunct)
        case _:
            for child in children(expr):
                yield from _accesses(child, guarded)


def conjuncts(expr: Expr) -> Iterator[Expr]:
    """Yield the parts of a condition that `and` joins, from left to right."""
    match expr:
        case Call("and", (left, right)):
            yield from conjuncts(left)
            yield from conjuncts(right)
        case _:
            yield expr


def _affine_prefix(condition: Expr) -> Iterator[Expr]:
    for conjunct in conjuncts(condition):
        if not is_affine(conjunct):
            return
        yield conjunct


def indices_in(expr: Expr) -> set[str]:
    """Return the names of the indices that occur in *expr*."""
    return {node.name for node in walk(expr) if isinstance(node, Index)}


@dataclass(frozen=True, slots=True)
class Unordered:
    """What cannot be found: indices without a range and without a source for one
    (`rootless`), and those whose ranges need each other (`circular`)."""

    rootless: tuple[str, ...]
    circular: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What has to be ordered. `shaped` are the tensors whose shape is declared."""

    indices: tuple[str, ...]
    ranges: Mapping[str, Range]
    sources: tuple[RangeSource, ...]
    shaped: frozenset[str]
    undeclared: Mapping[str, frozenset[str]]
    calls: tuple[tuple[int, KernelCall], ...]


def find_steps(problem: Problem) -> tuple[tuple[Step, ...], Unordered]:
    """Order what has to be found; also return what no order can find."""
    ready: set[str] = set(problem.shaped)
    ranged: set[str] = set()
    steps: list[Step] = []
    sources = {
        index: [s for s in problem.sources if s.index == index]
        for index in problem.indices
    }
    pending = list(problem.indices)
    tensors = dict(problem.undeclared)
    calls = list(problem.calls)
    while True:
        before = len(steps)
        for index in list(pending):
            step = _range_step(index, problem.ranges, sources[index], ready, ranged)
            if step is not None:
                steps.append(step)
                ranged.add(index)
                pending.remove(index)
        for tensor, needed in list(tensors.items()):
            if needed <= ranged:
                steps.append(FindShape(tensor))
                ready.add(tensor)
                del tensors[tensor]
        for position, call in list(calls):
            if set(call.arguments) <= ready:
                steps.append(FindResults(position))
                ready |= set(call.targets)
                calls.remove((position, call))
        if len(steps) == before:
            break
    return tuple(steps), _explain(pending, problem, sources)


def _range_step(
    index: str,
    ranges: Mapping[str, Range],
    sources: list[RangeSource],
    ready: set[str],
    ranged: set[str],
) -> FindRange | None:
    declared = ranges.get(index)
    if declared is not None:
        needed = indices_in(declared.lo) | indices_in(declared.hi)
        return FindRange(index, None) if needed <= ranged else None
    if not sources:
        return None
    best = min(source.rank for source in sources)
    for source in sources:
        if source.rank == best and source.tensor in ready:
            return FindRange(index, source)
    return None


def _explain(
    pending: list[str],
    problem: Problem,
    sources: Mapping[str, list[RangeSource]],
) -> Unordered:
    rootless = [i for i in pending if i not in problem.ranges and not sources[i]]
    circular = [i for i in pending if i in problem.ranges and _reaches(i, i, problem)]
    if not rootless and not circular:
        circular = [i for i in pending if sources[i]]
    return Unordered(tuple(rootless), tuple(circular))


def _reaches(start: str, goal: str, problem: Problem) -> bool:
    seen: set[str] = set()
    pending = [start]
    while pending:
        declared = problem.ranges.get(pending.pop())
        if declared is None:
            continue
        needed = indices_in(declared.lo) | indices_in(declared.hi)
        if goal in needed:
            return True
        pending += sorted(needed - seen)
        seen |= needed
    return False
