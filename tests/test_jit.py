"""Compiling and loading: verified text in, addresses out, nothing left unresolved."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest
from elf import symbols, undefined

from polydsl.backend.jit import assembly, compile_object, load, optimised_ir
from polydsl.backend.target import host_target
from polydsl.base.diagnostics import CompilerBug

TARGET = host_target()

KERNEL = """
@table = internal constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]

define i32 @polydsl_main(ptr %buffers, ptr %scratch, i32 %threads, ptr %parallel) {
  %in = load ptr, ptr %buffers
  %place = getelementptr ptr, ptr %buffers, i64 1
  %out = load ptr, ptr %place
  %x = load <4 x float>, ptr %in, align 4
  %y = load <4 x float>, ptr @table, align 4
  %z = fmul <4 x float> %x, %y
  store <4 x float> %z, ptr %out, align 4
  ret i32 0
}

define i32 @polydsl_prepare(ptr %buffers, ptr %scratch, i32 %threads, ptr %parallel) {
  ret i32 7
}
"""


def run(address, *arrays):
    pointers = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32,
        ctypes.c_void_p,
    )  # fmt: skip
    return prototype(address)(ctypes.addressof(pointers), None, 1, None)


def test_a_kernel_runs_with_its_constants():
    image = compile_object(KERNEL, TARGET)
    assert undefined(image) == frozenset()
    kernel = load(image)
    x, y = np.full(4, 10, np.float32), np.zeros(4, np.float32)
    assert run(kernel.address("polydsl_main"), x, y) == 0
    assert y.tolist() == [10, 20, 30, 40]
    assert run(kernel.address("polydsl_prepare")) == 7


def test_many_kernels_live_side_by_side():
    image = compile_object(KERNEL, TARGET)
    kernels = [load(image) for _ in range(20)]
    assert len({k.address("polydsl_main") for k in kernels}) == 20
    survivor = kernels[11]
    del kernels
    gc.collect()
    assert run(survivor.address("polydsl_prepare")) == 7


def test_the_same_text_gives_the_same_object():
    assert compile_object(KERNEL, TARGET) == compile_object(KERNEL, TARGET)


def test_stages_can_be_read():
    assert "polydsl_main:" in assembly(KERNEL, TARGET)
    optimised = optimised_ir(KERNEL, TARGET)
    assert "@table" not in optimised
    assert "fmul <4 x float>" in optimised


@pytest.mark.parametrize(
    "text, message",
    [
        ("define void @f() { ret i32 0 }", "LLVM IR is wrong"),
        ("define i32 @f(i32 %x) { a: br label %b\nb: ret i32 %y\n}", "undefined value"),
        (
            "define i32 @f(i1 %c) {\na: br i1 %c, label %b, label %d\n"
            "b: %x = add i32 1, 2\nbr label %d\nd: ret i32 %x\n}",
            "dominate",
        ),
    ],
)
def test_wrong_text_is_a_compiler_bug(text, message):
    with pytest.raises(CompilerBug, match=message):
        compile_object(text, TARGET)


CALLER = "declare i32 @outside(i32)\ndefine i32 @f(i32 %x) {\n" \
    "  %y = call i32 @outside(i32 %x)\n  ret i32 %y\n}\n"  # fmt: skip


def test_an_unresolved_symbol_is_a_compiler_bug():
    image = compile_object(CALLER, TARGET)
    assert undefined(image) == {"outside"}
    with pytest.raises(CompilerBug, match="does not link"):
        load(image, exports=("f",))


def test_a_missing_export_is_a_compiler_bug():
    image = compile_object(KERNEL, TARGET)
    with pytest.raises(CompilerBug, match=r"does not link.*missing"):
        load(image, exports=("missing",))
    with pytest.raises(CompilerBug, match="without the symbol polydsl_prepare"):
        load(image, exports=("polydsl_main",)).address("polydsl_prepare")


def test_symbols_can_be_given():
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)
    outside = prototype(lambda x: x + 1)
    address = ctypes.cast(outside, ctypes.c_void_p).value
    kernel = load(compile_object(CALLER, TARGET), {"outside": address}, exports=("f",))
    assert prototype(kernel.address("f"))(41) == 42


def test_memory_functions_are_known():
    text = (
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"
        "define void @f(ptr %p, i64 %n) {\n"
        "  call void @llvm.memset.p0.i64(ptr %p, i8 3, i64 %n, i1 false)\n"
        "  ret void\n}\n"
    )
    image = compile_object(text, TARGET)
    assert undefined(image) == {"memset"}
    assert symbols(image)["f"]
    data = np.zeros(100, np.uint8)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    kernel = load(image, exports=("f",))
    prototype(kernel.address("f"))(data.ctypes.data, 60)
    assert data.sum() == 180
