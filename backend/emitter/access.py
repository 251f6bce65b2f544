"""Loads and stores of elements and vectors, with what LLVM may know about them.

Each buffer is an alias scope of its own, so that LLVM keeps in registers what another
buffer's store cannot change; what nobody writes is marked invariant. Masked accesses
touch the lanes of their mask and nothing else, on every row of the ISA table.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from polydsl.backend.emitter.branches import branch
from polydsl.backend.emitter.layout import ScratchLayout
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import I1, I32, VOID, every_lane, shuffle, zeros
from polydsl.backend.llvm_types import intrinsic, memory_type, suffix
from polydsl.backend.memory_form import from_memory, to_memory
from polydsl.loops.nest import Buffer, LoopNest


@dataclass(frozen=True, slots=True)
class Mask:
    """Which lanes are active: an i1 vector. `count` is known for a constant prefix."""

    lanes: ir.Value
    count: int | None = None


# Elements


def load_element(scope: Scope, buffer: Buffer, place: ir.Value) -> ir.Value:
    """Load one element, in its register form."""
    value = load_kept(scope, buffer, place)
    return from_memory(scope.builder, value, buffer.dtype, scope.target.isa)


def load_kept(scope: Scope, buffer: Buffer, place: ir.Value) -> ir.Value:
    """Load one element as it is in memory."""
    return _load(scope, buffer, place, memory_type(buffer.dtype))


def store_element(
    scope: Scope, buffer: Buffer, place: ir.Value, value: ir.Value
) -> None:
    """Store one element."""
    kept = to_memory(scope.builder, value, buffer.dtype, scope.target.isa)
    _store(scope, buffer, place, kept)


# Vectors of neighbours


def load_vector(
    scope: Scope, buffer: Buffer, place: ir.Value, lanes: int, mask: Mask | None
) -> ir.Value:
    """Load *lanes* neighbouring elements of memory type; inactive lanes are 0."""
    kind = memory_type(buffer.dtype, lanes)
    if mask is None:
        return _load(scope, buffer, place, kind)
    if mask.count is not None and _is_short(scope, buffer, mask.count):
        short = _load(scope, buffer, place, memory_type(buffer.dtype, mask.count))
        return _resize(scope, short, lanes)
    if mask.count is None and not _is_single(scope, buffer):
        return _load_branching(scope, buffer, place, kind, mask)
    return _load_masked(scope, buffer, place, kind, mask)


def store_vector(
    scope: Scope, buffer: Buffer, place: ir.Value, value: ir.Value, mask: Mask | None
) -> None:
    """Store the active lanes of a vector of memory type to neighbouring elements."""
    if mask is None:
        _store(scope, buffer, place, value)
    elif mask.count is not None and _is_short(scope, buffer, mask.count):
        _store(scope, buffer, place, _resize(scope, value, mask.count))
    else:
        name = f"llvm.masked.store.{suffix(value.type)}.p0"
        arguments = (value, place, I32(buffer.dtype.bytes), mask.lanes)
        _describe(scope, buffer, intrinsic(scope.builder, name, VOID, arguments))


def _is_short(scope: Scope, buffer: Buffer, count: int) -> bool:
    """Return whether a prefix is better a vector of its own length than masked.

    Always where that length is a power of two: LLVM 22 moreover turns a masked store
    of one truncated lane into a store of the lane before it was truncated.
    """
    return count & (count - 1) == 0 or not _is_single(scope, buffer)


def _is_single(scope: Scope, buffer: Buffer) -> bool:
    """Return whether a masked access of *buffer* is one instruction."""
    isa = scope.target.isa
    return isa.has_masks and (buffer.dtype.bytes >= 4 or isa.vector_bits >= 512)


def _load_masked(
    scope: Scope, buffer: Buffer, place: ir.Value, kind: ir.VectorType, mask: Mask
) -> ir.Value:
    name = f"llvm.masked.load.{suffix(kind)}.p0"
    arguments = (place, I32(buffer.dtype.bytes), mask.lanes, zeros(kind))
    return _describe(scope, buffer, intrinsic(scope.builder, name, kind, arguments))


def _load_branching(
    scope: Scope, buffer: Buffer, place: ir.Value, kind: ir.VectorType, mask: Mask
) -> ir.Value:
    """Load all lanes at once if all are active; LLVM makes branches of the rest."""
    return branch(
        scope.builder,
        every_lane(scope.builder, mask.lanes),
        lambda: _load(scope, buffer, place, kind),
        lambda: _load_masked(scope, buffer, place, kind, mask),
    )


def _resize(scope: Scope, value: ir.Value, lanes: int) -> ir.Value:
    """Cut a vector, or fill it up with zeros."""
    is_vector = isinstance(value.type, ir.VectorType)
    if lanes == 1:
        return scope.builder.extract_element(value, I32(0))
    if not is_vector:
        kind = ir.VectorType(value.type, lanes)
        return scope.builder.insert_element(zeros(kind), value, I32(0))
    count = value.type.count
    picks = [min(lane, count) for lane in range(lanes)]
    return shuffle(scope.builder, value, zeros(value.type), picks)


# Vectors of anything


def gather(
    scope: Scope, buffer: Buffer, places: ir.Value, mask: Mask | None
) -> ir.Value:
    """Load the elements at a vector of addresses; inactive lanes are 0."""
    lanes = places.type.count
    kind = memory_type(buffer.dtype, lanes)
    active = mask.lanes if mask else _all_active(lanes)
    name = f"llvm.masked.gather.{suffix(kind)}.v{lanes}p0"
    arguments = (places, I32(buffer.dtype.bytes), active, zeros(kind))
    return _describe(scope, buffer, intrinsic(scope.builder, name, kind, arguments))


def scatter(
    scope: Scope, buffer: Buffer, places: ir.Value, value: ir.Value, mask: Mask | None
) -> None:
    """Store the active lanes to a vector of addresses, the lowest lane first."""
    lanes = places.type.count
    active = mask.lanes if mask else _all_active(lanes)
    name = f"llvm.masked.scatter.{suffix(value.type)}.v{lanes}p0"
    arguments = (value, places, I32(buffer.dtype.bytes), active)
    _describe(scope, buffer, intrinsic(scope.builder, name, VOID, arguments))


def _all_active(lanes: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(I1, lanes), [1] * lanes)


# What LLVM may know


def _load(scope: Scope, buffer: Buffer, place: ir.Value, kind: ir.Type) -> ir.Value:
    value = scope.builder.load(place, align=buffer.dtype.bytes, typ=kind)
    if scope.kernel.is_constant(buffer):
        value.set_metadata("invariant.load", scope.module.add_metadata([]))
    return _describe(scope, buffer, value)


def _store(scope: Scope, buffer: Buffer, place: ir.Value, value: ir.Value) -> None:
    store = scope.builder.store(value, place, align=buffer.dtype.bytes)
    _describe(scope, buffer, store)


def _describe(scope: Scope, buffer: Buffer, instruction: ir.Value) -> ir.Value:
    """Say that an access of *buffer* touches no other buffer."""
    if buffer.memory != "register":
        own, others = scope.kernel.aliases[buffer.name]
        instruction.set_metadata("alias.scope", own)
        instruction.set_metadata("noalias", others)
    return instruction


def alias_scopes(
    module: ir.Module, nest: LoopNest, layout: ScratchLayout
) -> dict[str, tuple[ir.MDValue, ir.MDValue]]:
    """Return for each buffer in memory its own alias scope and those of the others that
    have no memory in common with it."""
    domain = module.add_metadata([f"polydsl {nest.name}"])
    names = [buffer.name for buffer in nest.buffers if buffer.memory != "register"]
    scopes = {name: module.add_metadata([name, domain]) for name in names}
    near = {name: {name, *layout.sharing(name)} for name in names}
    apart = {name: [o for o in names if o not in near[name]] for name in names}
    return {
        name: (
            module.add_metadata([scopes[name]]),
            module.add_metadata([scopes[other] for other in apart[name]]),
        )
        for name in names
    }
