"""Names of what is special in the points of a program's statements, and in their order:
dependent ranges, recurrences, scatters."""

from __future__ import annotations

from collections.abc import Iterator

from polydsl.poly.loop_bounds import is_exact
from polydsl.poly.scatters import colliding, is_plain
from polydsl.poly.scop import Item, Recurrence, Scop
from polydsl.semantics import program as typed

ORDERS = (
    "polyhedron", "holes", "bounded vector", "repeat", "repeat in a repeat",
    "forward", "backward", "skewed", "shifted", "mutual",
    "scatter turned", "scatter in place", "scatter apart",
)  # fmt: skip
"""What all programs together must have, called "order ..." in the coverage."""


def orders(scop: Scop, program: typed.Program) -> Iterator[str]:
    """Name what is special in the points of statements, and in their order."""
    for statement in scop.statements:
        if statement.conditions and not statement.domain.is_empty():
            yield "polyhedron" if is_exact(statement) else "holes"
    yield from _items(scop.items, 0)
    scattered = {d.tensor for d in program.definitions if d.is_scatter}
    for statement in scop.statements:
        if statement.tensor in scattered and statement.combine is not None:
            if is_plain(statement):
                yield "scatter turned"
            else:
                is_shared = colliding(statement)
                yield "scatter in place" if is_shared else "scatter apart"


def _items(items: tuple[Item, ...], depth: int) -> Iterator[str]:
    for item in items:
        if isinstance(item, Recurrence):
            yield "repeat in a repeat" if depth else "repeat"
            endings = {"_back": "backward", "_time": "shifted", "wave": "skewed"}
            found = (name for e, name in endings.items() if item.index.endswith(e))
            yield next(found, "forward")
            if len(item.body) > 1:
                yield "mutual"
            yield from _items(item.body, depth + 1)
