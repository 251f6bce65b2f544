"""Samples of the results of programs that are too large to evaluate as a whole.

Elements of the results are chosen by a seeded generator; what they need of other
tensors is evaluated when it is read, and remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from polydsl.semantics.oracle.accumulators import Accumulator
from polydsl.semantics.oracle.casts import StoredNum, store
from polydsl.semantics.oracle.grids import Grid, point_grid
from polydsl.semantics.oracle.numbers import YES, Bools, Ints, Num
from polydsl.semantics.oracle.order import definitions_of, value_dtype
from polydsl.semantics.oracle.reductions import Partial
from polydsl.semantics.oracle.scope import Scope
from polydsl.semantics.oracle.statements import (
    BLOCK_POINTS,
    left_names,
    lengths_of,
    operation,
    terms_of,
    terms_per_point,
    work_of,
)
from polydsl.semantics.oracle.tensors import Elements, TensorStore, gathered
from polydsl.semantics.program import Access, Definition, Program, accesses

SAMPLE_TERMS = 20_000_000
SAMPLE_ELEMENTS = 1 << 16
SEED = 0x706F6C79


def lazy_tensors(
    program: Program,
    order: Sequence[tuple[str, ...]],
    reads: Mapping[str, Sequence[str]],
    scope: Scope,
    limit: int,
) -> tuple[str, ...]:
    """Return the tensors to evaluate on demand, operands first.

    They are too large, or made from such ones.

    Recurrences and scatters, and all that they need, have to be whole.
    """
    lengths = lengths_of(scope)
    whole: set[str] = set()
    for group in reversed(order):
        definitions = [d for name in group for d in definitions_of(program, name)]
        tied = len(group) > 1 or group[0] in reads[group[0]]
        tied = tied or any(d.is_scatter for d in definitions)
        if tied or not whole.isdisjoint(group):
            whole.update(group, *(reads[name] for name in group))
    lazy: dict[str, None] = {}
    for group in order:
        definitions = [d for name in group for d in definitions_of(program, name)]
        large = any(work_of(d, lengths) > limit for d in definitions)
        large = large or any(name in lazy for name in reads[group[0]])
        if large and group[0] not in whole:
            lazy[group[0]] = None
    return tuple(lazy)


class LazyElements:
    """The elements of one tensor that were evaluated so far, or are wanted."""

    def __init__(self, extents: tuple[int, ...], kind: str) -> None:
        self.known: Bools = np.zeros(extents, np.bool_)
        self.wanted: Bools = np.zeros(extents, np.bool_)
        self.read = Elements(extents, kind)
        self.final = Elements(extents, kind)

    def lacking(self) -> Ints:
        """Return the numbers of the elements that are wanted but not known."""
        return np.flatnonzero(self.wanted & ~self.known)


class LazyTensors(TensorStore):
    """A store that evaluates just those elements of some tensors that are needed.

    What is wanted of a tensor is found by a first evaluation of what reads it, in
    which the elements are recorded and left open; an indirect subscript that is open
    itself has its element evaluated when it is read. `terms` counts what was
    evaluated, to find out how large a sample may be.
    """

    def __init__(self, extents: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(extents)
        self._lazy: dict[str, LazyElements] = {}
        self._scope: Scope | None = None
        self._recording = False
        self.terms = 0

    def evaluate_lazily(self, names: Sequence[str], scope: Scope) -> None:
        """Evaluate elements of these tensors, operands first, on demand from now on."""
        self._scope = scope
        for name in names:
            kind = scope.program.tensor(name).dtype.kind
            self._lazy[name] = LazyElements(self.extents(name), kind)

    def read(
        self, access: Access, subscripts: tuple[Ints, ...], grid: Grid, needed: Bools
    ) -> Num:
        """Return elements, evaluated now if they have to be."""
        lazy = self._lazy.get(access.tensor)
        if lazy is None or not lazy.known.size:
            return super().read(access, subscripts, grid, needed)
        self.check_defined(access, subscripts, grid, needed)
        shape = np.broadcast_shapes(needed.shape, *(s.shape for s in subscripts))
        extents = self.extents(access.tensor)
        flat = np.ravel_multi_index(subscripts, extents) if extents else np.int64(0)
        numbers = np.broadcast_to(flat, shape)[np.broadcast_to(needed, shape)]
        if self._recording:
            lazy.wanted.reshape(-1)[numbers] = True
            return Num(np.zeros((), lazy.read.value.dtype), undecided=YES)
        if not lazy.known.reshape(-1)[numbers].all():
            self.demand(access.tensor, numbers)
        return gathered(lazy.read.num(), subscripts)

    def demand(self, tensor: str, numbers: Ints) -> StoredNum:
        """Evaluate elements, by their row-major numbers, and return the tensor."""
        lazy = self._lazy[tensor]
        lazy.wanted.reshape(-1)[numbers] = True
        names = list(self._lazy)
        names = names[: names.index(tensor) + 1]
        for name in reversed(names):
            self._record(name)
        for name in names:
            self._evaluate(name)
        return StoredNum(lazy.final.num(), lazy.read.num())

    def _record(self, tensor: str) -> None:
        """Find what the wanted elements of a tensor want of others."""
        assert self._scope is not None
        definitions = definitions_of(self._scope.program, tensor)
        read = {a.tensor for d in definitions for a in accesses(d.value)}
        if read.isdisjoint(self._lazy):
            return
        self._recording = True
        for some in self._steps(definitions, self._lazy[tensor].lacking()):
            evaluate_elements(definitions, some, self._scope)
        self._recording = False

    def _evaluate(self, tensor: str) -> None:
        """Evaluate the wanted elements of a tensor."""
        assert self._scope is not None
        lazy = self._lazy[tensor]
        definitions = definitions_of(self._scope.program, tensor)
        for some in self._steps(definitions, lazy.lacking()):
            stored = evaluate_elements(definitions, some, self._scope)
            lazy.read.put_flat(some, stored.read)
            lazy.final.put_flat(some, stored.final)
            lazy.known.reshape(-1)[some] = True
            self.terms += len(some) * self._terms(definitions)

    def _terms(self, definitions: Sequence[Definition]) -> int:
        assert self._scope is not None
        lengths = lengths_of(self._scope)
        return max(1, sum(terms_per_point(d, lengths) for d in definitions))

    def _steps(
        self, definitions: Sequence[Definition], numbers: Ints
    ) -> Iterator[Ints]:
        step = max(1, BLOCK_POINTS // self._terms(definitions))
        for start in range(0, len(numbers), step):
            yield numbers[start : start + step]


def evaluate_elements(
    definitions: tuple[Definition, ...], numbers: Ints, scope: Scope
) -> StoredNum:
    """Evaluate elements of a tensor, by their row-major numbers."""
    tensor = definitions[0].tensor
    extents = scope.tensors.extents(tensor)
    target, dtype = scope.program.tensor(tensor).dtype, value_dtype(definitions)
    columns = np.unravel_index(numbers, extents) if extents else ()
    points = np.stack(columns, axis=1) if extents else np.zeros((1, 0), np.int64)
    if definitions[0].op == "=":
        outcome = terms_of(
            definitions[0], point_grid(left_names(definitions[0]), points), scope
        )
        assert isinstance(outcome, Num)
        return store(_spread(outcome, len(points)), dtype, target)
    total = Accumulator(operation(definitions[0]), (len(points),), dtype)
    for definition in definitions:
        grid = point_grid(left_names(definition), points)
        partial = terms_of(definition, grid.restricted(_in_box(grid, scope)), scope)
        assert isinstance(partial, Partial)
        total.add_block((slice(None),), partial)
    return store(total.finished(), dtype, target)


def _in_box(grid: Grid, scope: Scope) -> Bools:
    """Where the left-hand indices lie in their ranges' boxes."""
    mask = YES
    for name, values in grid.indices.items():
        low, high = scope.boxes[name]
        mask = mask & (low <= values) & (values < high)
    return mask


def _spread(num: Num, count: int) -> Num:
    value = np.broadcast_to(num.value, count)
    return Num(value, num.error, num.undecided, num.overflow)


def choose(extents: tuple[int, ...], count: int) -> Ints:
    """Choose elements by a seeded generator, the corners of the box among them."""
    size = int(np.prod(extents, dtype=np.int64))
    if count >= size:
        return np.arange(size)
    generator = np.random.default_rng(SEED)
    numbers = generator.choice(size, count, replace=False, shuffle=False)
    numbers[:2] = 0, size - 1
    return np.unique(numbers)


def sample(tensors: LazyTensors, names: Sequence[str]) -> dict[str, Ints]:
    """Choose as many elements of the results as the budget of terms allows."""
    count = 16
    while True:
        before = tensors.terms
        chosen = {name: choose(tensors.extents(name), count) for name in names}
        for name, numbers in chosen.items():
            tensors.demand(name, numbers)
        # Elements found before cost nothing: the cost of one is an underestimate
        # for shared operands, and the next, larger round corrects it.
        each = max(1, (tensors.terms - before) // count)
        following = min(SAMPLE_ELEMENTS, SAMPLE_TERMS // each, 8 * count)
        if following <= count or tensors.terms >= SAMPLE_TERMS:
            return chosen
        count = following
