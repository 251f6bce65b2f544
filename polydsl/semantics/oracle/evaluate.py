"""The oracle: the meaning of a program, computed with NumPy in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import DType
from polydsl.base.source import Span
from polydsl.semantics.oracle.accumulators import Accumulator
from polydsl.semantics.oracle.casts import StoredNum, store
from polydsl.semantics.oracle.errors import undefined
from polydsl.semantics.oracle.expressions import evaluate_expr
from polydsl.semantics.oracle.folds import ranges_mask
from polydsl.semantics.oracle.grids import Grid, box_grid, boxes
from polydsl.semantics.oracle.numbers import YES, Array, Bools, Ints, Num
from polydsl.semantics.oracle.order import (
    components,
    definitions_of,
    operands,
    value_dtype,
)
from polydsl.semantics.oracle.outcome import Outcome, Result, full
from polydsl.semantics.oracle.recurrences import evaluate_recurrence
from polydsl.semantics.oracle.reductions import Partial
from polydsl.semantics.oracle.sampling import LazyTensors, lazy_tensors, sample
from polydsl.semantics.oracle.scope import Scope
from polydsl.semantics.oracle.statements import (
    blocks,
    defined_by,
    left_names,
    operation,
    scatter_targets,
    terms_of,
)
from polydsl.semantics.oracle.tensors import Elements, TensorStore
from polydsl.semantics.program import Definition, Program

WHOLE_POINTS = 100_000_000
"""Beyond so many points of one statement, results are sampled."""


def evaluate(
    program: Program, inputs: Mapping[str, Array], *, limit: int = WHOLE_POINTS
) -> Outcome:
    """Return what *program* gives for *inputs*, with the bound of every element.

    A statement of more than *limit* points makes the results that need it a sample.
    """
    with np.errstate(all="ignore"):
        extents = {t.name: program.extents(t.name) for t in program.tensors}
        tensors = LazyTensors(extents)
        for name in program.parameters:
            tensors.set(name, _parameter(program, name, inputs[name]))
        scope = Scope(
            program, dict(program.binding), boxes(program), tensors, evaluate_expr
        )
        reads = operands(program)
        order = components(reads, program.results)
        for tensor in program.tensors:
            tensors.set_domain(tensor.name, _domain(tensor.name, scope))
        for passed in program.passed:
            _check_whole(passed.tensor, passed.span, tensors)
        for name in program.results:
            _check_whole(name, program.span, tensors)
        lazy = lazy_tensors(program, order, reads, scope, limit)
        tensors.evaluate_lazily(lazy, scope)
        for group in order:
            if group[0] not in lazy and group[0] not in program.parameters:
                _evaluate_group(group, reads, tensors, scope)
        return _outcome(program, lazy, tensors)


def _evaluate_group(
    group: tuple[str, ...],
    reads: Mapping[str, Sequence[str]],
    tensors: TensorStore,
    scope: Scope,
) -> None:
    """Evaluate a tensor, or those of a recurrence, whole."""
    if len(group) > 1 or group[0] in reads[group[0]]:
        evaluate_recurrence(group, tensors, scope)
    else:
        tensors.set(group[0], _evaluate_tensor(group[0], scope))


def _outcome(program: Program, lazy: tuple[str, ...], tensors: LazyTensors) -> Outcome:
    names = [name for name in program.results if name in lazy]
    chosen = sample(tensors, names) if names else {}
    results = []
    for name in program.results:
        if name in chosen:
            stored = tensors.demand(name, chosen[name])
            results.append(_sampled(name, stored.final, chosen[name]))
        else:
            results.append(_result(name, tensors))
    count = sum(len(numbers) for numbers in chosen.values())
    return Outcome(tuple(results), count if names else None)


def _parameter(program: Program, name: str, given: Array) -> StoredNum:
    tensor, extents = program.tensor(name), program.extents(name)
    array = np.asarray(given, dtype=tensor.dtype.numpy)
    if array.shape != extents:
        raise ArgumentError(f"{name} needs shape {extents}, but has {array.shape}")
    kinds = {"float": np.float64, "int": np.int64, "bool": np.bool_}
    num = Num(array.astype(kinds[tensor.dtype.kind]))
    return StoredNum(num, num)


def _domain(name: str, scope: Scope) -> Bools:
    """Return where a tensor is defined in the end."""
    definitions = definitions_of(scope.program, name)
    extents = scope.tensors.extents(name)
    if not definitions:
        return YES
    union = np.zeros((), np.bool_)
    for definition in definitions:
        union = union | defined_by(definition, extents, scope)
    return YES if union.all() else union


def _evaluate_tensor(name: str, scope: Scope) -> StoredNum:
    definitions = definitions_of(scope.program, name)
    target = scope.program.tensor(name).dtype
    dtype = value_dtype(definitions)
    if definitions[0].op == "=":
        num = _assigned(definitions[0], scope)
    else:
        num = _accumulated(definitions, dtype, scope)
    return store(num, dtype, target)


def _assigned(definition: Definition, scope: Scope) -> Num:
    """Evaluate `y[...] = e` block by block."""
    extents = scope.tensors.extents(definition.tensor)
    elements = Elements(extents, definition.value.dtype.kind)
    names = left_names(definition)
    for block in blocks(definition, names, scope):
        grid = box_grid(names, block)
        num = terms_of(definition, grid, scope)
        assert isinstance(num, Num)
        elements.put(tuple(slice(*b) for b in block), num)
    return elements.num()


def _accumulated(
    definitions: tuple[Definition, ...], dtype: DType, scope: Scope
) -> Num:
    """Evaluate all `+=` (or `*=`) of a tensor block by block."""
    extents = scope.tensors.extents(definitions[0].tensor)
    total = Accumulator(operation(definitions[0]), extents, dtype)
    for definition in definitions:
        if definition.is_scatter:
            _scatter(definition, total, scope)
            continue
        names = left_names(definition)
        for block in blocks(definition, names, scope):
            partial = terms_of(definition, box_grid(names, block), scope)
            assert isinstance(partial, Partial)
            total.add_block(tuple(slice(*b) for b in block), partial)
    return total.finished()


def _scatter(definition: Definition, total: Accumulator, scope: Scope) -> None:
    """Add every point of a scatter to the element that it hits."""
    extents = scope.tensors.extents(definition.tensor)
    names = (*left_names(definition), *definition.reduced)
    for block in blocks(definition, names, scope):
        grid = box_grid(names, block)
        grid = grid.restricted(ranges_mask(names, grid, scope))
        add_points(definition, extents, grid, total, scope)


def add_points(
    definition: Definition,
    extents: tuple[int, ...],
    grid: Grid,
    total: Accumulator,
    scope: Scope,
) -> None:
    """Add the points of a grid to the elements that a scatter hits."""
    targets, unsure = scatter_targets(definition, extents, grid, scope)
    terms = evaluate_expr(definition.value, grid, scope)
    active = np.broadcast_to(grid.active, grid.shape)

    def picked(array: Array) -> Array:
        return array if array.ndim == 0 else np.broadcast_to(array, grid.shape)[active]

    at = np.broadcast_to(targets, grid.shape)[active]
    kept = Num(
        picked(terms.value),
        picked(terms.error),
        picked(terms.undecided),
        picked(terms.overflow),
    )
    total.scatter(at, kept, unsure=bool((unsure & grid.active).any()))


def _check_whole(name: str, span: Span, tensors: TensorStore) -> None:
    """Every element of what is returned or passed to a kernel must be defined."""
    domain, extents = tensors.domain(name), tensors.extents(name)
    if domain.all():
        return
    names = tuple(f"axis {axis}" for axis in range(len(extents)))
    grid = box_grid(names, tuple((0, extent) for extent in extents))
    subscripts = tuple(grid.indices[n] for n in names)
    undefined(name, subscripts, span, Grid({}, grid.shape), ~domain)


def _result(name: str, tensors: TensorStore) -> Result:
    extents, final = tensors.extents(name), tensors.stored(name).final
    return Result(
        name,
        full(final.value, extents),
        full(final.error, extents),
        full(final.undecided, extents),
    )


def _sampled(name: str, final: Num, points: Ints) -> Result:
    def some(array: Array) -> Array:
        return (
            full(array, points.shape) if not array.ndim else array.reshape(-1)[points]
        )

    return Result(
        name, some(final.value), some(final.error), some(final.undecided), points
    )
