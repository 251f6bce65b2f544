"""How a block of a vector loop reads and writes a buffer: by the stride of its lanes.

Stride 1 is a vector access, -1 a reversed one, 2 to 4 several vectors and shuffles,
anything else a gather or a scatter. A register buffer is
read and written in whole vectors, so that LLVM keeps it in registers.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.emitter.access import (
    Mask,
    gather,
    load_element,
    load_kept,
    load_vector,
    scatter,
    store_vector,
)
from polydsl.backend.emitter.branches import branch, value_if
from polydsl.backend.emitter.expressions import emit_affine, emit_place
from polydsl.backend.emitter.lane_indices import (
    Parts,
    ValueOf,
    at_lane,
    is_narrow,
    split,
    varying_vector,
)
from polydsl.backend.emitter.lanes import Lanes, reads_inside, uniform_index
from polydsl.backend.emitter.ranges import Affine
from polydsl.backend.emitter.types import (
    I32,
    add,
    any_lane,
    constant_of,
    every_lane,
    number,
    offset,
    shuffle,
    zeros,
)
from polydsl.backend.llvm_types import memory_type
from polydsl.backend.memory_form import from_memory, to_memory
from polydsl.base import dtypes
from polydsl.loops.nest import Buffer, Expr, Load
from polydsl.loops.touched import parts as parts_of

LONGEST_STRIDE = 4
"""Longer strides are gathered: shuffles would load too much that is not used."""


def load_lanes(
    lanes: Lanes,
    name: str,
    index: tuple[Expr, ...],
    mask: Mask | None,
    value_of: ValueOf,
) -> ir.Value:
    """Return the elements that the lanes read, as values."""
    buffer = lanes.scope.kernel.buffer(name)
    parts = split(lanes, lanes.scope.position(name, index))
    if not parts.stride and not parts.irregular.terms:
        return lanes.wide(_load_same(lanes, buffer, parts.uniform, mask))
    loaded = _load(lanes, buffer, parts, index, mask, value_of)
    return from_memory(lanes.builder, loaded, buffer.dtype, lanes.scope.target.isa)


def _load(
    lanes: Lanes,
    buffer: Buffer,
    parts: Parts,
    index: tuple[Expr, ...],
    mask: Mask | None,
    value_of: ValueOf,
) -> ir.Value:
    scope, count = lanes.scope, lanes.count
    if parts.irregular.terms:
        if mask is None and _is_looked_up(lanes, index):
            return _load_each(lanes, buffer, index)
        return gather(scope, buffer, _places(lanes, buffer, parts, value_of), mask)
    if parts.stride == 1:
        place = place_of(lanes, buffer, parts.uniform)
        if is_whole_register(lanes, buffer, index):
            mask = None
        return load_vector(scope, buffer, place, count, mask)
    if parts.stride == -1:
        return _load_reversed(lanes, buffer, parts, mask)
    if 2 <= abs(parts.stride) <= LONGEST_STRIDE:
        if mask is None or mask is lanes.tail:
            return _load_strided(lanes, buffer, parts, mask)
        # Lanes differ at the border of padding only: most blocks need no mask.
        return branch(
            lanes.builder,
            every_lane(lanes.builder, mask.lanes),
            lambda: _load_strided(lanes.branch(), buffer, parts, None),
            lambda: _load_strided(lanes.branch(), buffer, parts, mask),
        )
    return gather(scope, buffer, _places(lanes, buffer, parts, value_of), mask)


def store_lanes(
    lanes: Lanes,
    name: str,
    index: tuple[Expr, ...],
    value: ir.Value,
    value_of: ValueOf,
) -> None:
    """Store the value of each lane at its element."""
    scope = lanes.scope
    buffer = scope.kernel.buffer(name)
    parts = split(lanes, scope.position(name, index))
    kept = to_memory(lanes.builder, value, buffer.dtype, scope.target.isa)
    mask = lanes.tail
    if parts.irregular.terms or abs(parts.stride) != 1:
        places = _places(lanes, buffer, parts, value_of)
        scatter(scope, buffer, places, kept, mask)
    elif parts.stride == -1:
        _store_reversed(lanes, buffer, parts, kept)
    else:
        place = place_of(lanes, buffer, parts.uniform)
        if mask is not None and is_whole_register(lanes, buffer, index):
            kept, mask = _blend(lanes, buffer, index, place, kept, mask), None
        store_vector(scope, buffer, place, kept, mask)


# Registers


def is_whole_register(lanes: Lanes, buffer: Buffer, index: tuple[Expr, ...]) -> bool:
    """Return whether the lanes are exactly one vector of a register buffer."""
    if buffer.memory != "register" or not index:
        return False
    first = _first_subscript(lanes, index)
    return first is not None and first % lanes.count == 0


def _first_subscript(lanes: Lanes, index: tuple[Expr, ...]) -> int | None:
    """Return the last subscript at lane 0, if it is known."""
    form = split(lanes, lanes.scope.position_of(index[-1])).uniform
    return constant_of(emit_affine(lanes.scope, form, lanes.scalars))


def _blend(
    lanes: Lanes,
    buffer: Buffer,
    index: tuple[Expr, ...],
    place: ir.Value,
    value: ir.Value,
    mask: Mask,
) -> ir.Value:
    """Keep the elements of a register, if any, that the tail does not reach."""
    first = _first_subscript(lanes, index)
    reached = None if first is None or mask.count is None else first + mask.count
    if reached is not None and reached >= buffer.shape[-1]:
        return value
    old = load_vector(lanes.scope, buffer, place, lanes.count, None)
    return lanes.builder.select(mask.lanes, value, old)


# Elements and neighbours


def _load_same(
    lanes: Lanes, buffer: Buffer, position: Affine, mask: Mask | None
) -> ir.Value:
    """Load the one element that all lanes read; 0 if the mask is empty."""
    builder = lanes.builder
    place = place_of(lanes, buffer, position)
    if mask is None or mask is lanes.tail:
        return load_element(lanes.scope, buffer, place)
    return value_if(
        builder,
        any_lane(builder, mask.lanes),
        lambda: load_element(lanes.scope, buffer, place),
    )


def place_of(lanes: Lanes, buffer: Buffer, position: Affine) -> ir.Value:
    """Return the address of an element."""
    scope = lanes.scope
    elements = uniform_index(lanes, position)
    element = memory_type(buffer.dtype)
    return offset(lanes.builder, scope.address(buffer.name), elements, element)


def _load_reversed(
    lanes: Lanes, buffer: Buffer, parts: Parts, mask: Mask | None
) -> ir.Value:
    count, builder = lanes.count, lanes.builder
    active = count if mask is None or mask.count is None else mask.count
    place = place_of(lanes, buffer, at_lane(parts.uniform, -1, active - 1))
    backward = mask if mask is None or mask.count is not None else _flip(lanes, mask)
    loaded = load_vector(lanes.scope, buffer, place, count, backward)
    picks = [active - 1 - i if i < active else count for i in range(count)]
    return shuffle(builder, loaded, zeros(loaded.type), picks)


def _store_reversed(lanes: Lanes, buffer: Buffer, parts: Parts, kept: ir.Value) -> None:
    count, mask = lanes.count, lanes.tail
    active = count if mask is None or mask.count is None else mask.count
    place = place_of(lanes, buffer, at_lane(parts.uniform, -1, active - 1))
    backward = mask if mask is None or mask.count is not None else _flip(lanes, mask)
    picks = [active - 1 - i if i < active else count for i in range(count)]
    flipped = shuffle(lanes.builder, kept, zeros(kept.type), picks)
    store_vector(lanes.scope, buffer, place, flipped, backward)


def _flip(lanes: Lanes, mask: Mask) -> Mask:
    backward = list(reversed(range(lanes.count)))
    return Mask(shuffle(lanes.builder, mask.lanes, mask.lanes, backward))


def _load_strided(
    lanes: Lanes, buffer: Buffer, parts: Parts, mask: Mask | None
) -> ir.Value:
    """Load every s-th element by s vectors that end where the last element is."""
    count, stride = lanes.count, abs(parts.stride)
    builder = lanes.builder
    start = parts.uniform
    if parts.stride < 0:
        start = at_lane(start, parts.stride, count - 1)
        mask = None if mask is None else _flip(lanes, mask)
    last = stride * (count - 1)
    begins = [min(i * count, last + 1 - count) for i in range(stride)]
    loaded = [
        load_vector(
            lanes.scope,
            buffer,
            place_of(lanes, buffer, start + Affine(begin)),
            count,
            None if mask is None else _spread(lanes, mask, begin, stride),
        )
        for begin in begins
    ]
    wanted = [stride * i for i in range(count)]
    value = _pick(builder, loaded, begins, wanted)
    if parts.stride < 0:
        value = shuffle(builder, value, value, list(reversed(range(count))))
    return value


def _spread(lanes: Lanes, mask: Mask, begin: int, stride: int) -> Mask:
    """Return the mask of a vector of neighbours of which every s-th is wanted."""
    elements = range(begin, begin + lanes.count)
    picks = [lanes.count if e % stride else e // stride for e in elements]
    nothing = zeros(mask.lanes.type)
    return Mask(shuffle(lanes.builder, mask.lanes, nothing, picks))


def _pick(
    builder: ir.IRBuilder, loaded: list[ir.Value], begins: list[int], wanted: list[int]
) -> ir.Value:
    """Gather the *wanted* elements from vectors that begin at *begins*."""
    count = len(wanted)
    value = loaded[0]
    for i in range(1, len(loaded)):
        is_first = i == 1
        picks = []
        for lane, element in enumerate(wanted):
            if element < i * count:
                picks.append(element if is_first else lane)
            elif element - begins[i] < count:
                picks.append(count + element - begins[i])
            else:
                picks.append(lane)
        value = shuffle(builder, value, loaded[i], picks)
    return value


def _is_looked_up(lanes: Lanes, index: tuple[Expr, ...]) -> bool:
    """Return whether all lanes' subscripts are loaded, and best one by one."""
    is_loaded = any(isinstance(part, Load) for part in parts_of(*index))
    if lanes.tail is not None or not is_loaded:
        return False
    return lanes.guard is None or all(reads_inside(lanes.scope, e) for e in index)


def _load_each(lanes: Lanes, buffer: Buffer, index: tuple[Expr, ...]) -> ir.Value:
    """Load the lanes one by one, with subscripts that never were a vector. Few CPUs
    gather faster by one instruction, and on others LLVM takes the vector of addresses
    apart, which costs more than all else."""
    scope, builder = lanes.scope, lanes.builder
    first, ends = scope.variable(lanes.var), scope.ranges[lanes.var]
    value = ir.Constant(memory_type(buffer.dtype, lanes.count), ir.Undefined)
    for lane in range(lanes.count):
        here = add(builder, first, number(lane * lanes.step))
        own = scope.bind(lanes.var, here, ends)
        place = emit_place(own, buffer.name, index, {})
        value = builder.insert_element(value, load_kept(own, buffer, place), I32(lane))
    return value


def _places(lanes: Lanes, buffer: Buffer, parts: Parts, value_of: ValueOf) -> ir.Value:
    """Return the address of each lane's element."""
    start = place_of(lanes, buffer, parts.uniform)
    varying = Affine(0, parts.irregular.terms)
    narrow = is_narrow(lanes, varying) and abs(parts.stride) * lanes.count < 2**30
    dtype = dtypes.I32 if narrow else dtypes.I64
    steps = varying_vector(lanes, parts, dtype, value_of)
    element = memory_type(buffer.dtype)
    return lanes.builder.gep(lanes.wide(start), [steps], source_etype=element)
