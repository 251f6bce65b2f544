"""The state of an interpreted loop nest, and the values of its expressions.

A `Run` holds the memory, the point and what is recorded; `value_of` evaluates an
expression there with NumPy's scalars, in the dtype of each subexpression.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, assert_never

import numpy as np

from polydsl.base.dtypes import F32, DType, widen
from polydsl.base.functions import FUNCTIONS, Function
from polydsl.base.rounding import round_number
from polydsl.loops.memory import Addresses, Array, CheckedBuffer, Fault
from polydsl.loops.nest import (
    Call,
    Cast,
    Expr,
    Literal,
    Load,
    LoopNest,
    Select,
    Var,
)

Access = tuple[str, int, bool]
"""One access of an address trace: buffer, element address, whether it is a write."""


@dataclass(slots=True)
class Run:
    """The state of one run: memory, the point, and the node that is executed."""

    nest: LoopNest
    trace: list[Access] | None
    shuffle: int | None
    memory: dict[str, CheckedBuffer] = field(default_factory=dict)
    point: dict[str, np.int64] = field(default_factory=dict)
    iterations: int = 0
    is_parallel: bool = False

    def read(self, name: str, addresses: Addresses) -> Array:
        """Return checked elements, and note the accesses in the trace."""
        memory = self.memory[name]
        values = memory.read(addresses)
        self._note(memory, addresses, is_write=False)
        return values

    def write(self, name: str, addresses: Addresses, values: Array) -> None:
        """Store checked elements, and note the accesses in the trace."""
        memory = self.memory[name]
        memory.write(addresses, values)
        self._note(memory, addresses, is_write=True)

    def _note(
        self, memory: CheckedBuffer, addresses: Addresses, *, is_write: bool
    ) -> None:
        if self.trace is not None and memory.buffer.memory != "register":
            name = memory.buffer.name
            self.trace.extend((name, int(a), is_write) for a in addresses.flat)


def value_of(run: Run, expr: Expr) -> Any:
    """Return the value of *expr* at the point, a NumPy scalar of its dtype."""
    match expr:
        # Subscripts are most of a nest, and calls most of them.
        case Call():
            return _call(run, expr)
        case Literal(value, dtype):
            return _literal(value, dtype)
        case Var(name):
            if name not in run.point:
                raise Fault(f"the variable {name} is not in scope")
            return run.point[name]
        case Load(buffer, index):
            return load_element(run, buffer, index)
        case Select(condition, then, otherwise):
            return value_of(run, then if value_of(run, condition) else otherwise)
        case Cast(operand, dtype):
            return cast(value_of(run, operand), dtype)
        case _:
            assert_never(expr)


def _literal(value: int | float | bool, dtype: DType) -> Any:
    if dtype.is_narrow:
        value = round_number(dtype, value)
    return dtype.numpy.type(value)


def _call(run: Run, call: Call) -> Any:
    values = [value_of(run, argument) for argument in call.arguments]
    own = values[0].dtype
    for value in values:
        if value.dtype is not own and value.dtype != own:
            raise Fault(f"the operands of {call.function} have several dtypes")
    row, inner = _computation(call.function, call.arguments[0].dtype)
    # To cast to the same dtype, as for nearly all subscripts, would change nothing.
    if own != inner.numpy:
        values = [cast(value, inner) for value in values]
    function = row.numpy
    if row.variadic:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
    else:
        result = function(*values)
    target = call.dtype.numpy.type
    return result if type(result) is target else target(result)


@cache
def _computation(name: str, dtype: DType) -> tuple[Function, DType]:
    """Return a function, and the type in which it computes on operands of *dtype*."""
    row = FUNCTIONS[name]
    if row.rule == "arithmetic" or (row.rule == "float" and dtype.is_float):
        return row, widen(dtype)
    return row, F32 if row.rule == "float" else dtype


def _index(run: Run, index: tuple[Expr, ...]) -> list[int]:
    return [int(value_of(run, expr)) for expr in index]


def load_element(run: Run, buffer: str, index: tuple[Expr, ...]) -> Any:
    """Return the element at a subscript."""
    address = run.memory[buffer].address(_index(run, index))
    return run.read(buffer, np.array([address]))[0]


def store_element(run: Run, buffer: str, index: tuple[Expr, ...], value: Any) -> None:
    """Store a value of the buffer's dtype at a subscript."""
    memory = run.memory[buffer]
    if value.dtype != memory.buffer.dtype.numpy:
        raise Fault(f"a {value.dtype} is stored in {buffer}")
    address = memory.address(_index(run, index))
    run.write(buffer, np.array([address]), np.array([value]))


def cast(value: Any, to: DType) -> Any:
    """Convert a NumPy scalar by the rules of the language: saturating, NaN to 0."""
    if to.is_narrow:
        return to.numpy.type(round_number(to, _as_float64(value)))
    if to.is_float:
        return to.numpy.type(value)
    if to.kind == "bool":
        return np.bool_(value != 0)
    if isinstance(value, np.floating) or value.dtype.kind not in "iub":
        return to.numpy.type(_saturate_float(float(value), to))
    return to.numpy.type(min(max(int(value), to.least), to.greatest))


def _as_float64(value: Any) -> float:
    """Return a number as a float64 that rounds to fewer digits as the number does: the
    last digits of a large integer become one bit that tells whether any is set."""
    if value.dtype.kind not in "iu" or abs(int(value)) < 2**53:
        return float(value)
    rest = int(value) % 2**12
    return float(int(value) - rest + (2**11 if rest else 0))


def _saturate_float(value: float, to: DType) -> int:
    if np.isnan(value):
        return 0
    if value <= to.least:
        return to.least
    return to.greatest if value >= to.greatest else int(value)
