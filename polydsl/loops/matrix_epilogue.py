"""What follows on a tile of a product while it is in registers.

    tile[m, n] = c[...]                  where earlier blocks have left a part of it
    tile[m, n] += sum of products        the microkernel
    c[...] = tile[m, n]                  where somebody else needs it
    y[...] = f(tile[m, n], ...)          each statement of the epilogue

Rows are written out, columns are lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.base.dtypes import DType
from polydsl.loops.expressions import Translation
from polydsl.loops.matrix_places import coordinates
from polydsl.loops.nest import (
    Buffer,
    Expr,
    Load,
    Loop,
    Node,
    Store,
    Strided,
    Tile,
    Var,
    contiguous,
)
from polydsl.loops.terms import ZERO, number
from polydsl.poly.defined import Defined
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import Axis

ROW, COLUMN = "m_u'", "n_lane'"
"""Loop variables of a tile, marked so that no index is called like them."""


@dataclass(frozen=True, slots=True)
class Epilogue:
    """The tile of a product in registers, and the statements that read it there."""

    scop: Scop
    plan: MatrixPlan
    defined: Mapping[str, Defined]

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The registers, if there is an epilogue: rows in whole vectors."""
        if not self.plan.epilogue:
            return ()
        width = -(-self.plan.column_tile // self.plan.lanes) * self.plan.lanes
        shape = (self.plan.row_tile, width)
        return (Buffer(self._name, self._dtype, shape, contiguous(shape), "register"),)

    @property
    def tile(self) -> Tile:
        """The registers as the microkernel's result."""
        (buffer,) = self.buffers
        return Tile(self._name, ZERO, Strided(buffer.strides[0]))

    def fill(self, rows: int, columns: int) -> tuple[Node, ...]:
        """Return the loads of what is in the result so far."""
        held = self._held(rows)
        statement = self._statement
        translate = self._translation(statement, rows, {})
        place = translate.subscripts(statement.subscripts)
        load = Load(statement.tensor, place, self._dtype)
        return self._each(rows, columns, (Store(held.buffer, held.index, load),))

    def nodes(self, rows: int, columns: int) -> tuple[Node, ...]:
        """Return the store of the result, if it is stored, and the epilogue."""
        held = self._held(rows)
        nodes: list[Node] = []
        if self.plan.is_stored:
            own = self._statement
            translate = self._translation(own, rows, {})
            place = translate.subscripts(own.subscripts)
            nodes.append(Store(own.tensor, place, held))
        for statement in map(self.scop.statement, self.plan.epilogue):
            in_register = {self._statement.tensor: held}
            translate = self._translation(statement, rows, in_register)
            nodes.append(translate.assignment(statement))
        return self._each(rows, columns, tuple(nodes))

    @property
    def _statement(self) -> Statement:
        return self.scop.statement(self.plan.contraction.statement)

    @property
    def _name(self) -> str:
        return f"{self._statement.name}_tile"

    @property
    def _dtype(self) -> DType:
        return self.plan.contraction.dtype

    def _row(self, rows: int) -> Expr:
        return Var(ROW) if rows > 1 else ZERO

    def _held(self, rows: int) -> Load:
        """Return the element in its register."""
        return Load(self._name, (self._row(rows), Var(COLUMN)), self._dtype)

    def _translation(
        self, statement: Statement, rows: int, held: Mapping[str, Load]
    ) -> Translation:
        """Return how to write a statement at a place of the tile."""
        places: dict[Axis, Expr] = {"rows": self._row(rows), "columns": Var(COLUMN)}
        values = coordinates(self.plan, places)
        return Translation(self.scop, values, statement.ranges, self.defined, held)

    def _each(
        self, rows: int, columns: int, nodes: tuple[Node, ...]
    ) -> tuple[Node, ...]:
        """Run nodes for every element of the tile."""
        end, lanes = number(columns), self.plan.lanes
        loop = Loop(COLUMN, ZERO, end, nodes, kind="vector", lanes=lanes)
        if rows == 1:
            return (loop,)
        return (Loop(ROW, ZERO, number(rows), (loop,), kind="unrolled"),)
