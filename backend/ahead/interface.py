"""How a kernel that is compiled ahead of time looks from C.

An `Interface` is the same for every instruction set; what differs is a `Version`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from math import prod

from llvmlite import ir

from polydsl.backend.emitter.layout import ALIGNMENT, ScratchLayout, scratch_layout
from polydsl.backend.emitter.module import build_module
from polydsl.backend.target import Target
from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType
from polydsl.loops.nest import Loop, LoopNest, contiguous, walk

Value = int | float | bool

HEAD_BYTES = ALIGNMENT
"""Prepared memory begins with the mark of who filled it."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A tensor: its buffer in the nest, dtype and shape, row-major.

    A scalar input is passed by value, everything else by address.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    is_result: bool = False
    is_bound: bool = False

    @property
    def is_value(self) -> bool:
        """Whether the caller passes a number and not an address."""
        return not self.shape and not self.is_result

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """How much memory its elements take."""
        return self.elements * self.dtype.bytes


@dataclass(frozen=True, slots=True)
class Interface:
    """The exported functions of one kernel.

    `symbol` is the name of its function and begins those of all others. `arguments`
    stand in the order of the C functions: parameters, then results. `sizes` are the
    sizes and the constants that the code is for.
    """

    symbol: str
    arguments: tuple[Argument, ...]
    sizes: tuple[tuple[str, Value], ...]

    @property
    def bound(self) -> tuple[Argument, ...]:
        """What is passed once, to the function that prepares."""
        return tuple(a for a in self.arguments if a.is_bound)

    @property
    def passed(self) -> tuple[Argument, ...]:
        """What is passed with every call."""
        return tuple(a for a in self.arguments if not a.is_bound)

    @property
    def exports(self) -> tuple[str, ...]:
        """The names of all functions that the object exports."""
        names = [self.symbol, f"{self.symbol}_scratch_bytes", f"{self.symbol}_isa"]
        if self.sizes:
            names.append(f"{self.symbol}_check")
        if self.bound:
            names += [f"{self.symbol}_prepare", f"{self.symbol}_prepared_bytes"]
        return tuple(names)


@dataclass(frozen=True, slots=True)
class Version:
    """The code of a kernel for one row of the ISA table.

    `slots` names the nest's argument buffers in its own order, `prepared` the sizes in
    bytes of its prepared buffers, which follow them. `kept` are the bound arguments
    that calls read too. `text` is its LLVM IR.
    """

    target: Target
    slots: tuple[str, ...]
    scratch: ScratchLayout
    prepared: tuple[int, ...]
    kept: frozenset[str]
    is_parallel: bool
    text: str

    @property
    def main(self) -> str:
        """The symbol of the function that every call runs."""
        return f"{self.target.isa.name}_main"

    @property
    def prepare(self) -> str:
        """The symbol of the function that fills the prepared buffers."""
        return f"{self.target.isa.name}_prepare"

    @property
    def mark(self) -> int:
        """What tells memory that this code prepared from all other memory."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1 | 1


def version_of(nest: LoopNest, target: Target) -> Version:
    """Emit *nest* for *target*, with code that only the CPUs of its row may run."""
    bound = frozenset(nest.arguments)
    nodes = walk((*nest.prepare, *nest.body))
    return Version(
        target,
        nest.arguments,
        scratch_layout(nest),
        tuple(
            b.span_elements * b.dtype.bytes
            for b in nest.buffers
            if b.memory == "prepared"
        ),
        bound & frozenset(_names(nest.body)),
        any(isinstance(node, Loop) and node.kind == "parallel" for node in nodes),
        _targeted(build_module(nest, target), target),
    )


def _targeted(module: ir.Module, target: Target) -> str:
    """Return the text of a module whose functions say what they are compiled for."""
    attributes = {"target-cpu": target.cpu, "target-features": target.features}
    for function in module.functions:
        if not function.blocks:
            continue
        for key, value in attributes.items():
            # llvmlite refuses attributes that it does not know; LLVM's text takes them.
            set.add(function.attributes, f'"{key}"="{value}"')
    return str(module)


def _names(node: object) -> Iterator[str]:
    """Yield every name in a part of a nest: more than its buffers, never fewer."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif is_dataclass(node):
        for item in fields(node):
            yield from _names(getattr(node, item.name))


@dataclass(frozen=True, slots=True)
class PreparedLayout:
    """Where the parts of prepared memory begin, in bytes: the nest's prepared buffers
    in their order, and copies of bound arguments that calls read."""

    buffers: tuple[int, ...]
    copies: tuple[tuple[str, int], ...]
    total: int


def prepared_layout(interface: Interface, version: Version) -> PreparedLayout:
    """Lay out the prepared memory of one version behind its mark."""
    end = HEAD_BYTES
    starts: list[int] = []
    copied = [a for a in interface.bound if a.name in version.kept]
    for size in (*version.prepared, *(a.bytes for a in copied)):
        starts.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    count = len(version.prepared)
    copies = zip((a.name for a in copied), starts[count:])
    return PreparedLayout(tuple(starts[:count]), tuple(copies), end)


def check_row_major(interface: Interface, nest: LoopNest) -> None:
    """Raise unless the nest's arguments are what the interface says."""
    for argument in interface.arguments:
        buffer = nest.buffer(argument.name)
        told = (argument.dtype, argument.shape, contiguous(argument.shape))
        is_dense = argument.elements == 0 or buffer.strides == told[2]
        if (buffer.dtype, buffer.shape) != told[:2] or not is_dense:
            bug(f"{interface.symbol}: {argument.name} is laid out in another way")
