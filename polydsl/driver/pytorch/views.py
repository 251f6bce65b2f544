"""Accesses as views of tensors: strided, padded, flipped or gathered.

Every view has one dimension for each axis of its statement, of extent 1 where the
access does not depend on the axis, so that views broadcast against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from polydsl.driver.pytorch.box import Box, Untranslatable
from polydsl.poly.substitute import bounds
from polydsl.poly.terms import Interval, Linear
from polydsl.semantics.program import Access, Expr, Literal, Pad

Tensors: TypeAlias = Mapping[str, Any]
Run: TypeAlias = Callable[[Tensors], Any]
"""Computes a tensor from those that are there."""

Translate: TypeAlias = Callable[[Expr], Run]


def view(
    torch: Any, box: Box, access: Access, shape: tuple[int, ...], index: Translate
) -> Run:
    """Return a view of an access to a tensor of this shape."""
    forms = _forms(box, access)
    if forms is None or _is_mixed(forms):
        return _gathered(torch, access, shape, index)
    reach = zip(_bounds(box, forms), shape)
    if any(lo < 0 or hi >= n for (lo, hi), n in reach):
        return _gathered(torch, access, shape, index)
    return _strided(torch, box, access.tensor, shape, forms)


def padded_view(
    torch: Any, box: Box, pad: Pad, shape: tuple[int, ...], index: Translate
) -> Run:
    """Return a view of a padded access: of a copy with a border, where that serves."""
    forms = _forms(box, pad.access)
    if not isinstance(pad.value, Literal) or forms is None or _is_mixed(forms):
        raise Untranslatable("its padding is no border of one number, or it runs back")
    border = [
        (max(0, -lo), max(0, hi - n + 1))
        for (lo, hi), n in zip(_bounds(box, forms), shape)
    ]
    wider = tuple(n + lo + hi for n, (lo, hi) in zip(shape, border))
    moved = tuple(
        Linear(form.coefficients, form.constant + lo)
        for form, (lo, _) in zip(forms, border)
    )
    name, value = pad.access.tensor, pad.value.value
    inner = _strided(torch, box, name, wider, moved)
    amounts = [amount for pair in reversed(border) for amount in pair]
    if not any(amounts):
        return inner

    def run(tensors: Tensors) -> Any:
        wide = torch.nn.functional.pad(tensors[name], amounts, value=value)
        return inner({name: wide})

    return run


def _forms(box: Box, access: Access) -> tuple[Linear, ...] | None:
    forms = [box.linear(subscript) for subscript in access.subscripts]
    linear = tuple(form for form in forms if form is not None)
    return linear if len(linear) == len(forms) else None


def _bounds(box: Box, forms: tuple[Linear, ...]) -> list[Interval]:
    return [bounds(form, box.intervals) for form in forms]


def _strided(
    torch: Any, box: Box, name: str, shape: tuple[int, ...], forms: tuple[Linear, ...]
) -> Run:
    """Return a strided view; dimensions that run backwards are flipped before."""
    turned = tuple(
        d
        for d, form in enumerate(forms)
        if form.coefficients and all(c < 0 for _, c in form.coefficients)
    )
    ahead = [
        _mirrored(form, shape[d]) if d in turned else form
        for d, form in enumerate(forms)
    ]
    steps = [[form.coefficient(axis) for form in ahead] for axis in box.axes]
    sizes = [box.extents[a] if any(s) else 1 for a, s in zip(box.axes, steps)]
    starts = [form.constant for form in ahead]

    def run(tensors: Tensors) -> Any:
        tensor = torch.flip(tensors[name], turned) if turned else tensors[name]
        strides = tensor.stride()
        offset = sum(k * s for k, s in zip(starts, strides))
        return tensor.as_strided(
            sizes,
            [sum(c * s for c, s in zip(row, strides)) for row in steps],
            tensor.storage_offset() + offset,
        )

    return run


def _is_mixed(forms: tuple[Linear, ...]) -> bool:
    """Whether a subscript runs forwards in one index and backwards in another: no
    strided view does."""
    return any(len({c > 0 for _, c in form.coefficients}) > 1 for form in forms)


def _mirrored(form: Linear, extent: int) -> Linear:
    turned = tuple((name, -c) for name, c in form.coefficients)
    return Linear(turned, extent - 1 - form.constant)


def _gathered(
    torch: Any, access: Access, shape: tuple[int, ...], index: Translate
) -> Run:
    """Return what reads element by element. Subscripts outside are those of points
    that a condition excludes: any element serves there."""
    runs = [index(subscript) for subscript in access.subscripts]

    def run(tensors: Tensors) -> Any:
        places = [r(tensors) for r in runs]
        kept = [torch.clamp(p, 0, n - 1) for p, n in zip(places, shape)]
        return tensors[access.tensor][tuple(kept)]

    return run
