"""The emission holds together with the table and needs no library, on any row."""

from __future__ import annotations

import pytest
from elf import symbols, undefined
from llvmlite import ir
from scalar_harness import HOST_ROWS, add_function, add_map

from polydsl.backend.isa import GENERIC, ISAS
from polydsl.backend.jit import compile_object
from polydsl.backend.llvm_types import register_type
from polydsl.backend.scalar import EMITTED, emit_cast, emit_function
from polydsl.backend.target import host_target, target_for
from polydsl.base.diagnostics import CompilerBug
from polydsl.base.dtypes import BF16, BOOL, F16, F32, F64, I8, I16, I32, I64, U8
from polydsl.base.functions import FUNCTIONS

X86 = "x86_64-unknown-linux-gnu"
TARGETS = [
    *(host_target(isa.name) for isa in HOST_ROWS),
    *(target_for(isa, X86) for isa in ISAS if isa not in HOST_ROWS),
    target_for(GENERIC, "aarch64-unknown-linux-gnu"),
]
TYPES = (F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL)
# Narrow types are computed in wider ones, except where the rule keeps them.
NARROW_RULES = ("keep", "compare", "logical")

targets = pytest.mark.parametrize("target", TARGETS, ids=str)


def names_for(dtype):
    return [
        name
        for name, function in FUNCTIONS.items()
        if (function.rule == "logical") <= (dtype == BOOL)
        and (function.rule == "test") <= dtype.is_float
        and function.internal <= (dtype in (I64, I32))
        and (dtype.bits >= 32 or function.rule in NARROW_RULES)
    ]


def test_every_row_of_the_table_is_emitted():
    assert set(FUNCTIONS) == EMITTED


def test_an_unknown_function_is_a_compiler_bug():
    with pytest.raises(CompilerBug, match="no scalar function sinh"):
        emit_function(ir.IRBuilder(), "sinh", [], F32, TARGETS[0])


@targets
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_no_function_needs_a_library(dtype, target):
    module = ir.Module()
    for name in names_for(dtype):
        for lanes in (1, target.isa.lanes(dtype)):
            add_function(module, name, dtype, target, lanes)
    image = compile_object(str(module), target)
    assert undefined(image) == frozenset()
    assert {f"{name}_1" for name in names_for(dtype)} <= set(symbols(image))


@targets
def test_no_cast_needs_a_library(target):
    module = ir.Module()
    for source in TYPES:
        for wanted in TYPES:
            for lanes in (1, target.isa.lanes(source)):

                def emission(builder, values, source=source, wanted=wanted):
                    return emit_cast(builder, values[0], source, wanted, target.isa)

                name = f"{source}_{wanted}_{lanes}"
                add_map(module, name, emission, [source], wanted, lanes, target.isa)
    assert undefined(compile_object(str(module), target)) == frozenset()


def test_emission_stays_in_its_block():
    target = TARGETS[0]
    for name, function in FUNCTIONS.items():
        dtype = BOOL if function.rule == "logical" else F32
        dtype = I64 if function.internal else dtype
        for lanes in (1, 8):
            element = register_type(dtype)
            type_ = element if lanes == 1 else ir.VectorType(element, lanes)
            signature = ir.FunctionType(ir.VoidType(), [type_] * function.arity)
            host = ir.Function(ir.Module(), signature, "host")
            builder = ir.IRBuilder(host.append_basic_block())
            emit_function(builder, name, list(host.args), dtype, target)
            assert builder.block is host.entry_basic_block
            assert len(host.blocks) == 1
