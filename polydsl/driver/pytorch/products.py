"""Sums of products as `torch.einsum`."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

from polydsl.driver.pytorch.box import Box
from polydsl.driver.pytorch.expressions import Translator
from polydsl.driver.pytorch.views import Run, Tensors
from polydsl.poly.conditions import ordered_indices
from polydsl.semantics.program import Access, Call, Expr, Pad, accesses


def factors(expr: Expr) -> tuple[Expr, ...]:
    """Return the factors of a product, in order."""
    match expr:
        case Call("mul", (left, right)):
            return factors(left) + factors(right)
        case _:
            return (expr,)


def is_product(box: Box) -> bool:
    """Whether a statement sums products of elements, or of values that some of its
    indices do not move: what `einsum` is for."""
    parts = factors(box.value)
    plain = all(_is_factor(box, part) for part in parts)
    is_float = all(part.dtype == box.value.dtype for part in parts)
    is_float = is_float and box.value.dtype.is_float
    return (
        box.statement.combine == "add"
        and len(parts) > 1
        and plain
        and is_float
        and bool(box.reduced)
        and len(box.axes) <= len(ascii_letters)
    )


def _is_factor(box: Box, part: Expr) -> bool:
    if isinstance(part, Access | Pad):
        return True
    moved = {*box.axes} & {*ordered_indices(part)}
    return next(accesses(part), None) is not None and len(moved) < len(box.axes)


def einsum(torch: Any, box: Box, translator: Translator) -> Run:
    """Return the sum over the reduced axes, in the order of the left ones."""
    letters = dict(zip(box.axes, ascii_letters))
    runs = [translator.translate(part) for part in factors(box.value)]
    result = "".join(letters[axis] for axis in box.left)

    def run(tensors: Tensors) -> Any:
        views = [r(tensors) for r in runs]
        kept = [
            tuple(n for n, e in enumerate(view.shape) if e == box.extents[box.axes[n]])
            for view in views
        ]
        texts = ["".join(letters[box.axes[n]] for n in dims) for dims in kept]
        small = [
            view.squeeze(tuple(n for n in range(view.dim()) if n not in dims))
            for view, dims in zip(views, kept)
        ]
        return torch.einsum(f"{','.join(texts)}->{result}", *small)

    return run
