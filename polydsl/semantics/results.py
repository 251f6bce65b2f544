"""Results that are parameters, or are returned twice, become tensors of their own."""

from __future__ import annotations

from collections.abc import Sequence

from polydsl.semantics.context import Context, TensorInfo
from polydsl.semantics.program import Access, Definition, Index
from polydsl.semantics.typed import KernelCall
from polydsl.syntax import ast


def copy_results(
    body: tuple[Definition | KernelCall, ...],
    results: Sequence[ast.Name],
    parameters: frozenset[str],
    context: Context,
) -> tuple[tuple[Definition | KernelCall, ...], tuple[str, ...], dict[str, TensorInfo]]:
    """Give every result a tensor of its own, so that results are distinct locals.

    return x, y, y   ->   x_1[i] = x[i]
                          y_1[i] = y[i]
                          return x_1, y, y_1
    """
    names: list[str] = []
    added: list[Definition] = []
    infos: dict[str, TensorInfo] = {}
    for result in results:
        info = context.tensors.get(result.name)
        if info is None or (result.name not in parameters and result.name not in names):
            names.append(result.name)
            continue
        new = context.notes.fresh(result.name)
        names.append(new)
        infos[new] = TensorInfo(info.dtype, info.weak, info.rank)
        added.append(_copy(result, new, info, context))
    return (*body, *added), tuple(names), infos


def _copy(result: ast.Name, new: str, info: TensorInfo, context: Context) -> Definition:
    indices = tuple(
        Index(context.notes.fresh(f"{result.name}_dim"), result.span)
        for _ in range(info.rank)
    )
    value = Access(result.name, indices, info.dtype, result.span)
    return Definition(new, indices, "=", value, (), result.span)
