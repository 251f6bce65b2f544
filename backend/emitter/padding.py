"""Padded loads without branches: the address of a line of padding values is taken.

    x[p + r - 1] if 0 <= p + r - 1 < P else 0        (p and r are the same in all lanes)
        ->
    load(0 <= p + r - 1 < P ? &x[p + r - 1] : &line)

So a register tile stays one basic block, in which equal loads are made once. What
differs between lanes is a mask, on top of it.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.emitter.access import Mask, load_element, load_vector
from polydsl.backend.emitter.expressions import conjunction
from polydsl.backend.emitter.lane_indices import ValueOf, split
from polydsl.backend.emitter.lane_memory import place_of
from polydsl.backend.emitter.lanes import Lanes, reads_inside, uniform_value
from polydsl.backend.emitter.layout import ALIGNMENT
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import untyped
from polydsl.backend.llvm_types import memory_type
from polydsl.backend.memory_form import from_memory, memory_number
from polydsl.loops.nest import Expr, Literal, Load, Select


def emit_padded(
    lanes: Lanes, select: Select, conditions: tuple[Expr, ...], value_of: ValueOf
) -> ir.Value | None:
    """Return the value of a padded access in every lane, None if it is no such access.

    *conditions* are those parts of the condition that are not known to hold.
    """
    load, padding = select.then, select.otherwise
    is_access = isinstance(load, Load) and isinstance(padding, Literal)
    if not is_access or lanes.guard is not None or not load.dtype.is_float:
        return None
    assert isinstance(load, Load) and isinstance(padding, Literal)
    buffer = lanes.scope.kernel.buffer(load.buffer)
    form = split(lanes, lanes.scope.position(load.buffer, load.index))
    if form.irregular.terms or not 0 <= form.stride <= 1:
        return None
    if not all(reads_inside(lanes.scope, expr) for expr in load.index):
        return None
    builder = lanes.builder
    place = place_of(lanes, buffer, form.uniform)
    same = [uniform_value(lanes, c) for c in conditions if not lanes.varies(c)]
    if same:
        line = _line(lanes.scope, padding, lanes.count)
        place = builder.select(conjunction(builder, same), place, line)
    varying = [value_of(lanes, c) for c in conditions if lanes.varies(c)]
    mask, inside = lanes.tail, None
    if varying:
        inside = conjunction(builder, varying)
        mask = Mask(lanes.under(inside).guard)
    if form.stride == 0 and inside is None:
        return lanes.wide(load_element(lanes.scope, buffer, place))
    if form.stride == 0:
        return None
    loaded = load_vector(lanes.scope, buffer, place, lanes.count, mask)
    value = from_memory(builder, loaded, buffer.dtype, lanes.scope.target.isa)
    if inside is None:
        return value
    return builder.select(inside, value, lanes.wide(uniform_value(lanes, padding)))


def _line(scope: Scope, padding: Literal, lanes: int) -> ir.Value:
    """Return the address of a vector of padding values."""
    name = f"padding_{padding.dtype}_{lanes}_{float(padding.value).hex()}"
    known = scope.module.globals.get(name)
    if known is not None:
        return untyped(known)
    element = memory_type(padding.dtype)
    kind = ir.ArrayType(element, lanes)
    line = ir.GlobalVariable(scope.module, kind, name)
    line.linkage = "private"
    line.global_constant = True
    line.align = ALIGNMENT
    number = memory_number(padding.dtype, padding.value)
    line.initializer = ir.Constant(kind, [number] * lanes)
    return untyped(line)
