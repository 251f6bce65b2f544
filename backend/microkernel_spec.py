"""What tells one microkernel from another: extents, and how its operands lie in memory.

A `Microkernel` is derived from a `BatchReduceGemm` node. Bases and table starts are not
part of it, they are arguments; so nodes that differ only there share one function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never
from typing import Literal as OneOf

from polydsl.base.dtypes import DType
from polydsl.base.inner_product import MULTIPLY_ADD, InnerProduct, label
from polydsl.base.providers import BUILT_IN
from polydsl.loops.nest import (
    BatchReduceGemm,
    GuardedRows,
    Offsets,
    Rows,
    Strided,
    Table,
)

TABLE: Final = "table"
GUARDED: Final = "guarded"

Step: TypeAlias = int | OneOf["table"]
"""Elements from one position to the next, or `TABLE` where an i32 table holds each."""


@dataclass(frozen=True, slots=True)
class Microkernel:
    """The specification of one microkernel function.

    `a_row` is `GUARDED` for rows with padding: then one table holds an offset for each
    (batch position, row), and `a_batch` is 0.
    """

    rows: int
    columns: int
    batch: int
    depth: int
    accumulate: bool
    dtype: DType
    a_batch: Step
    a_row: Step | OneOf["guarded"]
    a_depth: int
    b_batch: Step
    b_depth: int
    c_row: Step
    inner: InnerProduct = MULTIPLY_ADD
    provider: str = BUILT_IN

    @property
    def parameters(self) -> tuple[str, ...]:
        """The pointers that the function takes, in order."""
        optional = (
            ("c_rows", self.c_row == TABLE),
            ("a_batch", self.a_batch == TABLE),
            ("a_rows", self.a_row in (TABLE, GUARDED)),
            ("zeros", self.a_row == GUARDED),
            ("b_batch", self.b_batch == TABLE),
        )
        return ("c", "a", "b", *(name for name, is_used in optional if is_used))

    @property
    def name(self) -> str:
        """A name that is the same for equal specifications only."""
        mode = "add" if self.accumulate else "set"
        inner = self.inner
        kind = "gemm" if self.provider == BUILT_IN else f"{self.provider}_gemm"
        if inner != MULTIPLY_ADD:
            kind += f"_{inner.combine}_{label(inner.function)}"
        parts = (
            f"{kind}_{self.dtype}_{self.rows}x{self.columns}",
            f"t{self.batch}_k{self.depth}_{mode}",
            f"a_{self.a_batch}_{self.a_row}_{self.a_depth}",
            f"b_{self.b_batch}_{self.b_depth}_c_{self.c_row}",
        )
        return "_".join(parts).replace("-", "m")


def microkernel_of(node: BatchReduceGemm) -> Microkernel:
    """Return the specification of the microkernel that serves *node*.

    Steps that are never taken are 0, so that tiles that differ only there are equal.
    """
    a_batch: Step
    a_row: Step | OneOf["guarded"]
    match node.a:
        case Rows(batch=batch, row=row):
            a_batch, a_row = _step(batch, node.batch), _step(row, node.rows)
        case GuardedRows():
            a_batch, a_row = 0, GUARDED
        case _:
            assert_never(node.a)
    return Microkernel(
        rows=node.rows,
        columns=node.columns,
        batch=node.batch,
        depth=node.depth,
        accumulate=node.accumulate,
        dtype=node.dtype,
        a_batch=a_batch,
        a_row=a_row,
        a_depth=node.a.depth_step if node.depth > 1 else 0,
        b_batch=_step(node.b.batch, node.batch),
        b_depth=node.b.depth_step if node.depth > 1 else 0,
        c_row=_step(node.c.row, node.rows),
        inner=node.inner,
        provider=node.provider,
    )


def _step(offsets: Offsets, count: int) -> Step:
    """Return the step of *count* positions; one that is never taken is 0."""
    match offsets:
        case Strided(step):
            return step if count > 1 else 0
        case Table():
            return TABLE
        case _:
            assert_never(offsets)
