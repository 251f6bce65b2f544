"""What each index of a statement is for, in words: which tensors it moves.

An index that moves the result and one factor of a product is a row or a column of it,
one that moves both factors is summed away (depth), one that moves all three is a batch.
Of other statements it is said which tensors move with an index, so which are read again
for every value of those that do not move them.
"""

from __future__ import annotations

from collections.abc import Iterator

from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.contraction import Contraction, match
from polydsl.semantics.program import Access, Expr, Index, accesses, walk


def describe_indices(scop: Scop) -> Iterator[str]:
    """Yield lines about every statement that has indices."""
    for statement in scop.statements:
        if not statement.dims:
            continue
        yield f"{statement.name}: {_text(statement)}"
        found = match(scop, statement)
        lines = _roles(found) if isinstance(found, Contraction) else _moves(statement)
        yield from (f"  {line}" for line in lines)


def _text(statement: Statement) -> str:
    left = f"{statement.tensor}[{', '.join(statement.left)}]"
    symbol = f"{statement.combine}=" if statement.combine else "="
    read = dict.fromkeys(access.tensor for access in accesses(statement.value))
    return f"{left} {symbol} {', '.join(read) or 'a number'}"


def _roles(found: Contraction) -> Iterator[str]:
    """Yield the classes of a product's indices."""
    sizes = found.sizes
    c, a, b = found.c.tensor, found.a.tensor, found.b.tensor
    for role, dims, moved in (
        ("rows", found.rows, (c, a)),
        ("columns", found.columns, (c, b)),
        ("depth", found.depth, (a, b)),
        ("batch", found.batch, (c, a, b)),
    ):
        if dims:
            names = ", ".join(f"{d} ({sizes[d]})" for d in dims)
            yield f"{role} {names}: {_moving(dims, moved)}"


def _moves(statement: Statement) -> Iterator[str]:
    """Yield what moves with the indices, those together that move the same."""
    groups: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for name in statement.dims:
        moved = tuple(_moved(statement, name))
        groups.setdefault((moved, name in statement.reduced), []).append(name)
    ranges = statement.ranges
    for (moved, is_reduced), names in groups.items():
        texts = [f"{n} ({ranges[n][1] - ranges[n][0] + 1})" for n in names]
        kind = "reduced" if is_reduced else "left"
        yield f"{kind} {', '.join(texts)}: {_moving(names, moved)}"


def _moving(names: list[str] | tuple[str, ...], moved: tuple[str, ...]) -> str:
    verb = "moves" if len(names) == 1 else "move"
    return f"{verb} {', '.join(dict.fromkeys(moved)) or 'nothing'}"


def _moved(statement: Statement, name: str) -> Iterator[str]:
    if name in statement.left:
        yield statement.tensor
    for access in accesses(statement.value):
        if _depends(access, name):
            yield access.tensor


def _depends(access: Access, name: str) -> bool:
    nodes: Iterator[Expr] = (n for s in access.subscripts for n in walk(s))
    return any(isinstance(node, Index) and node.name == name for node in nodes)
