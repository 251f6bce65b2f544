"""Internal functions of a module, for the few formulas that need control flow.

The emission of a scalar function never changes the caller's basic block. What needs a
branch or a loop is put into an internal function, defined once in a module, and called:
`guarded` is inlined again by the optimiser, a lane-by-lane routine is not.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from polydsl.backend.lanes import Context, Real, Truth
from polydsl.backend.llvm_types import element_of, intrinsic, lanes_of, suffix

Body = Callable[[Context, list[ir.Value]], ir.Value]
"""Emits a function's body from its arguments and gives the value to return."""


def routine(
    context: Context,
    name: str,
    result: ir.Type,
    arguments: tuple[ir.Value, ...],
    body: Body,
    *,
    inline: bool = False,
) -> ir.Value:
    """Call the internal function *name*, defining it first if the module lacks it."""
    module = context.builder.module
    function = module.globals.get(name)
    if function is None:
        signature = ir.FunctionType(result, [value.type for value in arguments])
        function = ir.Function(module, signature, name)
        function.linkage = "internal"
        function.attributes.add("alwaysinline" if inline else "noinline")
        function.attributes.add("nounwind")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        value = body(Context(builder, context.has_fma), list(function.args))
        builder.ret(value)
    return context.builder.call(function, arguments)


def guarded(
    context: Context,
    name: str,
    arguments: tuple[Real, ...],
    fast: Callable[[tuple[Real, ...]], tuple[Real, Truth]],
    slow: Callable[[tuple[Real, ...]], Real],
) -> Real:
    """Return what *fast* gives, or *slow* for all lanes where it fails in any.

    *fast* also tells the lanes in which it failed.
    """
    type_ = arguments[0].value.type

    def body(inner: Context, values: list[ir.Value]) -> ir.Value:
        inputs = tuple(Real(inner, value) for value in values)
        result, failed = fast(inputs)
        builder = inner.builder
        entry = builder.block
        with builder.if_then(_any(failed), likely=False):
            careful = slow(inputs).value
            careful_block = builder.block
        merged = builder.phi(type_)
        merged.add_incoming(result.value, entry)
        merged.add_incoming(careful, careful_block)
        return merged

    full = f"polydsl.{name}.{suffix(type_)}"
    values = tuple(argument.value for argument in arguments)
    return Real(context, routine(context, full, type_, values, body, inline=True))


def lane_by_lane(
    name: str, arguments: tuple[Real, ...], scalar: Callable[[tuple[Real, ...]], Real]
) -> Real:
    """Return *scalar* of each lane in turn, in a routine that is not inlined."""
    context, type_ = arguments[0].context, arguments[0].value.type
    full = f"polydsl.{name}.each.{suffix(type_)}"

    def body(inner: Context, values: list[ir.Value]) -> ir.Value:
        if not isinstance(type_, ir.VectorType):
            return scalar(tuple(Real(inner, value) for value in values)).value
        return _each_lane(inner, values, scalar)

    values = tuple(argument.value for argument in arguments)
    return Real(context, routine(context, full, type_, values, body))


def _each_lane(
    context: Context,
    values: list[ir.Value],
    scalar: Callable[[tuple[Real, ...]], Real],
) -> ir.Value:
    builder, type_ = context.builder, values[0].type
    index_type = ir.IntType(64)
    entry = builder.block
    loop = builder.append_basic_block("lane")
    done = builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    lane, vector = builder.phi(index_type), builder.phi(type_)
    inputs = tuple(Real(context, builder.extract_element(v, lane)) for v in values)
    filled = builder.insert_element(vector, scalar(inputs).value, lane)
    following = builder.add(lane, ir.Constant(index_type, 1))
    lane.add_incoming(ir.Constant(index_type, 0), entry)
    lane.add_incoming(following, builder.block)
    vector.add_incoming(ir.Constant(type_, ir.Undefined), entry)
    vector.add_incoming(filled, builder.block)
    count = ir.Constant(index_type, lanes_of(type_))
    builder.cbranch(builder.icmp_unsigned("<", following, count), loop, done)
    builder.position_at_end(done)
    return filled


def _any(condition: Truth) -> ir.Value:
    value, builder = condition.value, condition.context.builder
    if not isinstance(value.type, ir.VectorType):
        return value
    name = f"llvm.vector.reduce.or.{suffix(value.type)}"
    return intrinsic(builder, name, element_of(value.type), (value,))
