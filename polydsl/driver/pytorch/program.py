"""A compiled kernel's statements as a PyTorch program, one call for each.

    sum of products      torch.einsum, or torch's convolution where it is one
    anything else        its value at all points at once, by broadcasting and views of
                         windows, then one reduction over the axes that are summed

Where the values at all points would take too much memory, the result is computed in
pieces along its longest axis, as a user would loop over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from polydsl.base.dtypes import DType
from polydsl.base.functions import Combine
from polydsl.driver.pytorch.box import Box, Untranslatable, box_of
from polydsl.driver.pytorch.convolution import convolve, match_convolution
from polydsl.driver.pytorch.expressions import Translator, torch_type
from polydsl.driver.pytorch.products import einsum, is_product
from polydsl.driver.pytorch.views import Run, Tensors
from polydsl.poly.scop import Recurrence, Scop, Statement, groups_of
from polydsl.semantics.program import Cast, Expr, Literal

PIECE_POINTS = 1 << 22
"""More points than this of a statement that reduces are not computed at once."""

_IDENTITIES: Mapping[Combine, object] = {
    "add": 0,
    "mul": 1,
    "max": float("-inf"),
    "min": float("inf"),
    "and": True,
    "or": False,
}


@dataclass(frozen=True, slots=True)
class TorchProgram:
    """A kernel as a function of PyTorch tensors. `forms` says how each statement is
    computed, for people."""

    results: tuple[str, ...]
    steps: tuple[tuple[str, Run], ...]
    forms: tuple[str, ...]

    def __call__(self, tensors: Tensors) -> tuple[Any, ...]:
        """Return the results for tensors by parameter name."""
        values = dict(tensors)
        for name, run in self.steps:
            values[name] = run(values)
        return tuple(values[name] for name in self.results)


def translate(torch: Any, scop: Scop, known: Tensors) -> TorchProgram:
    """Return the PyTorch program of a scop; *known* are the tensors that do not change.

    Raises `Untranslatable`, which says which statement has no translation, and why.
    """
    _check_order(scop)
    steps: list[tuple[str, Run]] = []
    forms: list[str] = []
    first: dict[str, Statement] = {}
    checks = {check.tensor for check in scop.checks}
    updated = {s.tensor for s in scop.statements if s.combine is not None}
    for statement in scop.statements:
        if statement.tensor in checks:
            # PyTorch looks at subscripts itself.
            continue
        try:
            if statement.combine is None and _number(statement.value) is not None:
                if statement.tensor in updated:
                    first[statement.tensor] = statement
                else:
                    step = _assignment(torch, scop, statement)
                    steps.append((statement.tensor, step))
                continue
            initial = first.pop(statement.tensor, None)
            if initial is not None and not _is_identity(initial, statement):
                steps.append((statement.tensor, _assignment(torch, scop, initial)))
                initial = None
            is_new = initial is not None or statement.combine is None
            run, form = _step(torch, scop, statement, known, is_new)
        except Untranslatable as reason:
            text = " ".join(statement.span.text.split())
            raise Untranslatable(f"`{text}`: {reason}") from None
        steps.append((statement.tensor, run))
        forms.append(f"{statement.tensor}: {form}")
    return TorchProgram(scop.results, tuple(steps), tuple(forms))


def _check_order(scop: Scop) -> None:
    """Raise where tensors cannot be made one after the other, each at once."""
    made = {t.name for t in scop.tensors if t.role == "input"}
    for item in scop.items:
        if isinstance(item, Recurrence):
            tensors = dict.fromkeys(group.tensor for group in groups_of(item.body))
            raise Untranslatable(f"{', '.join(tensors)}: a recurrence runs in steps")
    for statement in scop.statements:
        needed = {read.access.tensor for read in statement.reads}
        if not needed <= made - {statement.tensor}:
            raise Untranslatable(f"{statement.tensor}: it needs elements of itself")
        made.add(statement.tensor)


def _number(expr: Expr) -> object | None:
    match expr:
        case Literal(value):
            return value
        case Cast(operand):
            return _number(operand)
        case _:
            return None


def _is_identity(initial: Statement, update: Statement) -> bool:
    if update.combine is None:
        return True
    value = _number(initial.value)
    identity = _IDENTITIES[update.combine]
    return value == identity and (update.value.dtype.is_float or identity == 0)


def _assignment(torch: Any, scop: Scop, statement: Statement) -> Run:
    return _step(torch, scop, statement, {}, True)[0]


def _step(
    torch: Any, scop: Scop, statement: Statement, known: Tensors, is_new: bool
) -> tuple[Run, str]:
    """Return what computes a tensor from a statement, or updates it."""
    box = box_of(scop, statement)
    value, form = _value(torch, scop, box, known)
    tensor = scop.tensor(statement.tensor)
    wanted, shape = torch_type(torch, tensor.dtype), tensor.shape

    def run(tensors: Tensors) -> Any:
        made = value(tensors).expand(box.shape(box.left)).reshape(shape).to(wanted)
        if is_new or statement.combine is None:
            return made
        return _combining(torch, statement.combine)(tensors[statement.tensor], made)

    return run, form


def _value(torch: Any, scop: Scop, box: Box, known: Tensors) -> tuple[Run, str]:
    if is_product(box):
        translator = Translator(torch, scop, box)
        conv = match_convolution(box)
        if conv is not None:
            weights = translator.translate(conv.weights)
            run = convolve(torch, box, conv, weights, known)
            return run, f"conv{len(conv.spatial)}d"
        return einsum(torch, box, translator), "einsum"
    runs = _pieces(torch, scop, box)
    form = "broadcast" if not box.reduced else f"broadcast, {box.statement.combine}"
    return runs, form


def _pieces(torch: Any, scop: Scop, box: Box) -> Run:
    """Return the values of a box, in pieces where it is too large to reduce at once."""
    longest = max(box.left, key=lambda axis: box.extents[axis], default=None)
    is_small = box.points <= PIECE_POINTS or not box.reduced
    if longest is None or is_small or box.extents[longest] == 1:
        return _whole(torch, scop, box)
    extent = box.extents[longest]
    step = max(1, extent * PIECE_POINTS // box.points)
    parts = [
        box.part(longest, start, min(step, extent - start))
        for start in range(0, extent, step)
    ]
    runs = [_pieces(torch, scop, part) for part in parts]
    shapes = [part.shape(part.left) for part in parts]
    dim = box.left.index(longest)

    def run(tensors: Tensors) -> Any:
        made = [r(tensors).expand(shape) for r, shape in zip(runs, shapes)]
        return torch.cat(made, dim)

    return run


def _whole(torch: Any, scop: Scop, box: Box) -> Run:
    inner = Translator(torch, scop, box).translate(box.value)
    combine = box.statement.combine
    if not box.reduced or combine is None:
        return inner
    dims = tuple(range(len(box.left), len(box.axes)))
    shape = box.shape(box.reduced)
    if 0 in shape:
        raise Untranslatable("it reduces no elements")
    collapse = _reducing(torch, combine, dims, box.value.dtype)

    def run(tensors: Tensors) -> Any:
        value = inner(tensors)
        sizes = (*value.shape[: len(box.left)], *shape)
        return collapse(value.expand(sizes))

    return run


def _reducing(
    torch: Any, combine: Combine, dims: tuple[int, ...], dtype: DType
) -> Callable[[Any], Any]:
    match combine:
        case "add":
            return partial(torch.sum, dim=dims, dtype=torch_type(torch, dtype))
        case "max":
            return partial(torch.amax, dim=dims)
        case "min":
            return partial(torch.amin, dim=dims)
        case "mul":
            each = partial(torch.prod, dtype=torch_type(torch, dtype))
            return lambda x: reduce(lambda y, d: each(y, dim=d), reversed(dims), x)
        case "and":
            return partial(torch.all, dim=dims)
        case "or":
            return partial(torch.any, dim=dims)


def _combining(torch: Any, combine: Combine) -> Callable[[Any, Any], Any]:
    table: Mapping[Combine, Callable[[Any, Any], Any]] = {
        "add": torch.add,
        "mul": torch.mul,
        "max": torch.maximum,
        "min": torch.minimum,
        "and": torch.logical_and,
        "or": torch.logical_or,
    }
    return table[combine]
