"""What an instruction may refer to at one place of the code that is emitted.

`Kernel` is what the whole module shares, `Function` the LLVM function under
construction, and `Scope` the loop variables with their values and ranges. Addresses of
buffers are computed once, at the entry of each function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llvmlite import ir

from polydsl.backend.emitter.layout import ALIGNMENT, ScratchLayout
from polydsl.backend.emitter.ranges import (
    Affine,
    Interval,
    Ranges,
    affine,
    recombined,
)
from polydsl.backend.emitter.types import (
    I8,
    I64,
    POINTER,
    ir_name,
    reserve,
    untyped,
)
from polydsl.backend.llvm_types import memory_type
from polydsl.backend.target import Target
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Buffer, Expr, LoopNest, Var


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the functions of one part of a kernel share.

    `part` is ``main`` or ``prepare``, `padding` the lanes that a register buffer's last
    dimension is rounded up to.
    """

    module: ir.Module
    nest: LoopNest
    target: Target
    layout: ScratchLayout
    buffers: Mapping[str, Buffer]
    padding: Mapping[str, int]
    aliases: Mapping[str, tuple[ir.MDValue, ir.MDValue]]
    part: str

    def buffer(self, name: str) -> Buffer:
        """Return the buffer called *name*."""
        if name not in self.buffers:
            bug(f"{self.nest.name}: there is no buffer {name}")
        return self.buffers[name]

    def slot(self, name: str) -> int:
        """Return the position of a buffer in the caller's array of pointers."""
        prepared = [b.name for b in self.nest.buffers if b.memory == "prepared"]
        return [*self.nest.arguments, *prepared].index(name)

    def is_constant(self, buffer: Buffer) -> bool:
        """Return whether nobody writes *buffer* while this part runs."""
        match buffer.memory:
            case "argument":
                return not buffer.is_written
            case "prepared":
                return self.part == "main"
            case "constant":
                return True
            case _:
                return False

    def strides(self, buffer: Buffer) -> tuple[int, ...]:
        """Return the strides of *buffer*; registers are padded to whole vectors."""
        if buffer.memory != "register":
            return buffer.strides
        strides: list[int] = []
        step = 1
        for extent in reversed(self.padded_shape(buffer)):
            strides.append(step)
            step *= extent
        return tuple(reversed(strides))

    def padded_shape(self, buffer: Buffer) -> tuple[int, ...]:
        """Return the shape of a register buffer, in whole vectors."""
        lanes = self.padding.get(buffer.name, 1)
        if not buffer.shape:
            return ()
        last = -(-buffer.shape[-1] // lanes) * lanes
        return (*buffer.shape[:-1], last)


@dataclass(slots=True)
class Function:
    """An LLVM function under construction.

    `entry` stands in the first block, which holds allocas and addresses; the code goes
    where `builder` stands. `private` is the block of this thread's scratch. `varying`
    holds which expressions, by identity, depend on which variable.
    """

    builder: ir.IRBuilder
    entry: ir.IRBuilder
    buffers: ir.Value
    scratch: ir.Value
    private: ir.Value
    threads: ir.Value
    parallel: ir.Value
    addresses: dict[str, ir.Value] = field(default_factory=dict)
    varying: dict[tuple[str, int], bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """One place of the code: the function, and the loop variables around it."""

    kernel: Kernel
    function: Function
    variables: Mapping[str, ir.Value] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=lambda: Ranges({}))
    is_parallel: bool = False
    positions: dict[int, Affine] = field(default_factory=dict)

    @property
    def builder(self) -> ir.IRBuilder:
        """Where instructions go."""
        return self.function.builder

    @property
    def module(self) -> ir.Module:
        """The module that is emitted."""
        return self.kernel.module

    @property
    def target(self) -> Target:
        """The machine that the code is for."""
        return self.kernel.target

    @property
    def nest(self) -> LoopNest:
        """The loop nest that is emitted."""
        return self.kernel.nest

    def bind(self, var: str, value: ir.Value, ends: Interval) -> Scope:
        """Return the scope inside a loop over *var*."""
        variables = {**self.variables, var: value}
        if self.ranges.get(var) == ends:
            # Forms and positions depend on the ranges alone.
            return replace(self, variables=variables)
        ranges = Ranges({**self.ranges, var: ends})
        return replace(self, variables=variables, ranges=ranges, positions={})

    def variable(self, name: str) -> ir.Value:
        """Return the value of a loop variable."""
        if name not in self.variables:
            bug(f"{self.nest.name}: the variable {name} is not in scope")
        return self.variables[name]

    def address(self, name: str) -> ir.Value:
        """Return the address of element 0 of a buffer."""
        known = self.function.addresses
        if name not in known:
            known[name] = _address(self.kernel, self.function, self.kernel.buffer(name))
        return known[name]

    def position(self, name: str, index: tuple[Expr, ...]) -> Affine:
        """Return the address of an element, in elements from element 0."""
        buffer = self.kernel.buffer(name)
        if len(index) != len(buffer.shape):
            bug(f"{self.nest.name}: {name} has {len(buffer.shape)} dimensions")
        # A node's subscripts live as long as the nest, so that identity tells them.
        known = self.positions.get(id(index))
        if known is None:
            known = Affine(0)
            for expr, stride in zip(index, self.kernel.strides(buffer)):
                known = known + affine(expr, self.ranges) * stride
            known = recombined(known, self.ranges)
            self.positions[id(index)] = known
        return known

    def depth(self, atom: Expr) -> int:
        """Return where a term stands in a sum, so that outer loops come first."""
        if isinstance(atom, Var) and atom.name in self.variables:
            return list(self.variables).index(atom.name)
        return len(self.variables)

    def position_of(self, expr: Expr) -> Affine:
        """Return the affine form of one subscript."""
        return affine(expr, self.ranges)


def _address(kernel: Kernel, function: Function, buffer: Buffer) -> ir.Value:
    """Emit the address of *buffer* at the entry of the function."""
    entry = function.entry
    match buffer.memory:
        case "argument" | "prepared":
            place = entry.gep(
                function.buffers, [I64(kernel.slot(buffer.name))], source_etype=POINTER
            )
            return entry.load(place, name=ir_name(buffer.name), typ=POINTER)
        case "scratch":
            start = function.private if buffer.private else function.scratch
            begin = I64(kernel.layout.offset(buffer.name))
            return entry.gep(start, [begin], source_etype=I8, name=ir_name(buffer.name))
        case "register":
            return _registers(kernel, entry, buffer)
        case "constant":
            return _table(kernel, buffer)


def _registers(kernel: Kernel, entry: ir.IRBuilder, buffer: Buffer) -> ir.Value:
    """Reserve a register buffer; LLVM splits it into registers (SROA)."""
    size = 1
    for extent in kernel.padded_shape(buffer):
        size *= extent
    kind = ir.ArrayType(memory_type(buffer.dtype), size)
    return reserve(entry, kind, buffer.name)


def _table(kernel: Kernel, buffer: Buffer) -> ir.Value:
    """Return the global that holds a constant buffer."""
    name = f"table_{buffer.name}"
    known = kernel.module.globals.get(name)
    if known is not None:
        return known
    kind = ir.ArrayType(I8, len(buffer.data))
    table = ir.GlobalVariable(kernel.module, kind, name)
    table.linkage = "private"
    table.global_constant = True
    table.align = ALIGNMENT
    table.initializer = ir.Constant(kind, bytearray(buffer.data))
    return untyped(table)
