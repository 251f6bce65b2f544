"""Recurrences: tensors that need elements of each other, evaluated in waves.

No order is worked out beforehand. Every point is tried; where an operand is not known
yet, the point waits for it (for the one nearest to itself, which as a rule comes
last), and is tried again once that element is known. When nothing moves any more,
two elements need each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polydsl.base.diagnostics import bug
from polydsl.semantics.oracle.accumulators import Accumulator
from polydsl.semantics.oracle.casts import StoredNum, store
from polydsl.semantics.oracle.errors import element, no_order
from polydsl.semantics.oracle.expressions import evaluate_expr
from polydsl.semantics.oracle.folds import ranges_mask
from polydsl.semantics.oracle.grids import Grid, box_grid, point_grid
from polydsl.semantics.oracle.numbers import (
    AVAILABLE_KEY,
    Array,
    Bools,
    Ints,
    Num,
)
from polydsl.semantics.oracle.order import definitions_of, value_dtype
from polydsl.semantics.oracle.reductions import Partial
from polydsl.semantics.oracle.scope import Scope
from polydsl.semantics.oracle.statements import (
    BLOCK_POINTS,
    box_of,
    defined_by,
    left_names,
    lengths_of,
    operation,
    scatter_targets,
    terms_of,
    terms_per_point,
)
from polydsl.semantics.oracle.tensors import Elements, Progress, TensorStore
from polydsl.semantics.program import Definition


@dataclass(frozen=True, slots=True)
class Tasks:
    """The points of one statement; `own` numbers the element that each adds to."""

    definition: Definition
    names: tuple[str, ...]
    points: Ints
    own: Ints


class Target:
    """A tensor of the recurrence while its elements become known."""

    def __init__(self, name: str, offset: int, scope: Scope) -> None:
        self.name, self.offset = name, offset
        self.extents = scope.tensors.extents(name)
        self._target = scope.program.tensor(name).dtype
        definitions = definitions_of(scope.program, name)
        self._dtype = value_dtype(definitions)
        self._total: Accumulator | None = None
        if definitions[0].op != "=":
            op = operation(definitions[0])
            self._total = Accumulator(op, self.extents, self._dtype)
        self.read = Elements(self.extents, self._target.kind)
        self.final = Elements(self.extents, self._target.kind)
        self.known: Bools = np.zeros(self.extents, np.bool_)
        self.open: Ints = np.zeros(self.extents, np.int64)

    def expect(self, own: Ints) -> None:
        """Count a contribution to each element, by its number in the group."""
        np.add.at(self.open.reshape(-1), own - self.offset, 1)

    def add(self, own: Ints, outcome: Num | Partial) -> Ints:
        """Add contributions; return the numbers of the elements known by now."""
        at = own - self.offset
        if self._total is None:
            assert isinstance(outcome, Num)
            return self._complete(at, outcome)
        if isinstance(outcome, Partial):
            self._total.add_flat(at, outcome)
        else:
            self._total.scatter(at, outcome, unsure=False)
        np.subtract.at(self.open.reshape(-1), at, 1)
        touched = np.unique(at)
        done = touched[self.open.reshape(-1)[touched] == 0]
        return self._complete(done, self._total.finished(done))

    def untouched(self, domain: Bools) -> Ints:
        """Return the elements that are defined without a single contribution."""
        if self._total is None:
            return np.zeros(0, np.int64)
        at = np.flatnonzero((self.open == 0) & domain)
        return self._complete(at, self._total.finished(at))

    def _complete(self, at: Ints, num: Num) -> Ints:
        stored = store(num, self._dtype, self._target)
        self.read.put_flat(at, stored.read)
        self.final.put_flat(at, stored.final)
        self.known.reshape(-1)[at] = True
        return at + self.offset

    def stored(self) -> StoredNum:
        """Return all elements."""
        return StoredNum(self.final.num(), self.read.num())


def evaluate_recurrence(
    group: tuple[str, ...], tensors: TensorStore, scope: Scope
) -> None:
    """Evaluate tensors that depend on each other, and store them."""
    targets: dict[str, Target] = {}
    offset = 0
    for name in group:
        targets[name] = Target(name, offset, scope)
        offset += int(targets[name].known.size)
        progress = Progress(targets[name].known, targets[name].offset)
        tensors.begin(name, progress, targets[name].read)
    tasks = []
    for name, target in targets.items():
        for definition in definitions_of(scope.program, name):
            tasks.append(_tasks(definition, target, scope))
            target.expect(tasks[-1].own)
    for name, target in targets.items():
        target.untouched(tensors.domain(name))
    _run(tasks, targets, scope)
    for name, target in targets.items():
        tensors.set(name, target.stored())


def _tasks(definition: Definition, target: Target, scope: Scope) -> Tasks:
    """List the points of a statement, and the element that each belongs to."""
    names = left_names(definition)
    if definition.is_scatter:
        names = (*names, *definition.reduced)
        grid = box_grid(names, box_of(names, scope))
        active = ranges_mask(names, grid, scope)
        points = _points(grid, names, active)
        where = point_grid(names, points)
        numbers, _ = scatter_targets(definition, target.extents, where, scope)
        own = np.broadcast_to(numbers, len(points)) + target.offset
        return Tasks(definition, names, points, own)
    defined = np.broadcast_to(
        defined_by(definition, target.extents, scope), target.extents
    )
    numbers = np.flatnonzero(defined)
    columns = np.unravel_index(numbers, target.extents) if names else ()
    points = np.stack(columns, axis=1) if names else np.zeros((len(numbers), 0), int)
    return Tasks(definition, names, points, numbers + target.offset)


def _points(grid: Grid, names: tuple[str, ...], active: Bools) -> Ints:
    mask = np.broadcast_to(active, grid.shape)
    columns = [np.broadcast_to(grid.indices[n], grid.shape)[mask] for n in names]
    return np.stack(columns, axis=1)


class Waiting:
    """Tasks that wait for an element, by its number."""

    def __init__(self) -> None:
        self._lists: dict[int, list[tuple[int, Ints]]] = {}

    def add(self, statement: int, numbers: Ints, blockers: Ints) -> None:
        """Let tasks of a statement wait, each for its own element."""
        order = np.argsort(blockers, kind="stable")
        found, starts = np.unique(blockers[order], return_index=True)
        for blocker, part in zip(found, np.split(numbers[order], starts[1:])):
            self._lists.setdefault(int(blocker), []).append((statement, part))

    def release(self, known: Ints) -> dict[int, list[Ints]]:
        """Return the tasks that waited for elements now known, by statement."""
        freed: dict[int, list[Ints]] = {}
        for number in known.tolist():
            for statement, numbers in self._lists.pop(number, ()):
                freed.setdefault(statement, []).append(numbers)
        return freed

    def edges(self) -> dict[tuple[int, int], int]:
        """Return what each task still waits for, by (statement, task)."""
        return {
            (statement, number): blocker
            for blocker, entries in self._lists.items()
            for statement, numbers in entries
            for number in numbers.tolist()
        }


def _run(tasks: list[Tasks], targets: dict[str, Target], scope: Scope) -> None:
    """Try points until all are evaluated."""
    waiting = Waiting()
    queue = {n: [np.arange(len(t.own))] for n, t in enumerate(tasks) if len(t.own)}
    while queue:
        announced = [np.zeros(0, np.int64)]
        for statement, parts in queue.items():
            numbers = np.concatenate(parts)
            step = _step(tasks[statement], scope)
            for start in range(0, len(numbers), step):
                some = numbers[start : start + step]
                known, blocked, needs = _try(tasks[statement], some, targets, scope)
                announced.append(known)
                waiting.add(statement, blocked, needs)
        queue = waiting.release(np.concatenate(announced))
    edges = waiting.edges()
    if edges:
        _stuck(edges, tasks, targets)


def _step(task: Tasks, scope: Scope) -> int:
    terms = terms_per_point(task.definition, lengths_of(scope))
    return max(1, BLOCK_POINTS // max(1, terms))


def _try(
    task: Tasks, numbers: Ints, targets: dict[str, Target], scope: Scope
) -> tuple[Ints, Ints, Ints]:
    """Evaluate points; return elements now known, points that wait, and for what."""
    own = task.own[numbers]
    grid = point_grid(task.names, task.points[numbers], own)
    definition = task.definition
    if definition.is_scatter:
        outcome: Num | Partial = evaluate_expr(definition.value, grid, scope)
    else:
        outcome = terms_of(definition, grid, scope)
    missing = np.broadcast_to(outcome.missing, len(numbers))
    ready = missing == AVAILABLE_KEY
    known = own[:0]
    if ready.any():
        target = targets[definition.tensor]
        known = target.add(own[ready], _picked(outcome, ready))
    distance = missing[~ready] // 2
    before = missing[~ready] % 2 == 1
    blockers = own[~ready] + np.where(before, -distance, distance)
    return known, numbers[~ready], blockers


def _picked(outcome: Num | Partial, ready: Bools) -> Num | Partial:
    def pick(array: Array) -> Array:
        return array if array.ndim == 0 else np.broadcast_to(array, ready.shape)[ready]

    o = outcome
    if isinstance(o, Num):
        return Num(pick(o.value), pick(o.error), pick(o.undecided), pick(o.overflow))
    value, size, error, rest = map(pick, (o.value, o.size, o.error, o.rest))
    count, undecided = pick(o.count), pick(o.undecided)
    return Partial(value, size, error, rest, count, undecided, whole=o.whole)


def _stuck(
    edges: dict[tuple[int, int], int],
    tasks: list[Tasks],
    targets: dict[str, Target],
) -> None:
    """Follow what waits for what until an element comes again."""
    needs = {}
    spans = {}
    for (statement, number), blocker in edges.items():
        own = int(tasks[statement].own[number])
        needs[own] = blocker
        spans[own] = tasks[statement].definition.span
    number = next(iter(needs))
    seen: set[int] = set()
    while number not in seen:
        seen.add(number)
        if number not in needs:
            bug(f"element {number} of a recurrence is never evaluated")
        number = needs[number]
    following = needs[number]
    no_order(_name(number, targets), _name(following, targets), spans[number])


def _name(number: int, targets: dict[str, Target]) -> str:
    for target in targets.values():
        if target.offset <= number < target.offset + target.known.size:
            place = np.unravel_index(number - target.offset, target.extents or (1,))
            return element(target.name, [int(p) for p in place[: len(target.extents)]])
    bug(f"no tensor of the recurrence has element {number}")
