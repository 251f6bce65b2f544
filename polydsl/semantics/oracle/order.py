"""In what order tensors are evaluated: operands first, recurrences together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polydsl.base.dtypes import DType, promote
from polydsl.semantics.program import Definition, Program, accesses


def definitions_of(program: Program, tensor: str) -> tuple[Definition, ...]:
    """Return the statements that define a tensor."""
    return tuple(d for d in program.definitions if d.tensor == tensor)


def value_dtype(definitions: tuple[Definition, ...]) -> DType:
    """Return the type in which the statements of a tensor compute together."""
    dtype = definitions[0].value.dtype
    for definition in definitions[1:]:
        dtype = promote(dtype, definition.value.dtype)
    return dtype


def operands(program: Program) -> dict[str, tuple[str, ...]]:
    """Return for every tensor the tensors that its statements read."""
    reads: dict[str, dict[str, None]] = {t.name: {} for t in program.tensors}
    for definition in program.definitions:
        for expr in (definition.value, *definition.subscripts):
            for access in accesses(expr):
                reads[definition.tensor][access.tensor] = None
    return {name: tuple(read) for name, read in reads.items()}


def components(
    reads: Mapping[str, Sequence[str]], roots: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the strongly connected components below *roots*, operands first.

    Tarjan's algorithm, with its own stack: programs may be long.
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    found: list[tuple[str, ...]] = []
    for root in roots:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        open_.append(root)
        path = [(root, iter(reads[root]))]
        while path:
            node, rest = path[-1]
            following = next(rest, None)
            if following is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    start = open_.index(node)
                    found.append(tuple(open_[start:]))
                    del open_[start:]
            elif following not in number:
                number[following] = low[following] = len(number)
                open_.append(following)
                path.append((following, iter(reads[following])))
            elif following in open_:
                low[node] = min(low[node], number[following])
    return found
