"""What typical loops compile to: vectors, masked tails, nothing left in memory."""

from __future__ import annotations

import re

import emitter_kernels as kernels
import pytest

from polydsl.backend.emitter.module import emit_module
from polydsl.backend.isa import AVX2, AVX512, GENERIC, ISAS, VectorISA
from polydsl.backend.jit import assembly
from polydsl.backend.target import target_for
from polydsl.base.dtypes import BF16, DTYPES, F16, F32, DType
from polydsl.loops.nest import LoopNest

TRIPLE = "x86_64-unknown-linux-gnu"


def code(nest: LoopNest, isa: VectorISA) -> str:
    """Return the instructions of the main function for a fixed machine."""
    target = target_for(isa, TRIPLE)
    text = assembly(emit_module(nest, target), target)
    return text[text.index("polydsl_main:") : text.index("polydsl_prepare:")]


def loops(text: str) -> list[str]:
    """Return the innermost loops: from a label to a jump back to it."""
    found = re.findall(
        r"(\.LBB\d+_\d+):((?:(?!\.LBB\d+_\d+:).)*?)\tj\w+\t\1\n", text, re.S
    )
    return [body for _, body in found]


@pytest.mark.parametrize("isa", ISAS, ids=lambda isa: isa.name)
@pytest.mark.parametrize(
    "kernel", ["copy", "axpy", "window", "softmax", "tile", "every"]
)
@pytest.mark.parametrize("extent", [3, 61, 64])
def test_nothing_is_called(isa: VectorISA, kernel: str, extent: int) -> None:
    lanes = isa.lanes(F32)
    nest = {
        "copy": kernels.copy(extent, lanes),
        "axpy": kernels.axpy(extent, lanes),
        "window": kernels.window(extent, lanes),
        "softmax": kernels.softmax(1, extent, lanes),
        "tile": kernels.register_tile(3, 2 * lanes - 1, 9, lanes),
        "every": kernels.every(extent, 2, lanes),
    }[kernel]
    assert "call" not in code(nest, isa)


@pytest.mark.parametrize("isa", ISAS, ids=lambda isa: isa.name)
@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
@pytest.mark.parametrize("extent", [3, 61, 64])
def test_narrow_floats_call_nothing(isa: VectorISA, dtype: DType, extent: int) -> None:
    lanes = isa.lanes(F32)
    assert "call" not in code(kernels.rounded(extent, lanes, dtype), isa)
    assert "call" not in code(kernels.reduction(extent, lanes, "max", dtype), isa)


@pytest.mark.parametrize(
    ("isa", "dtype", "wanted"),
    [
        (AVX512, F16, ("vcvtph2ps", "vcvtps2ph", "zmm")),
        (AVX512, BF16, ("vpsrld", "vpmovdw", "zmm")),
        (AVX2, F16, ("vcvtph2ps", "vcvtps2ph", "ymm")),
        (AVX2, BF16, ("vpmovzxwd", "vpackusdw", "ymm")),
        (GENERIC, F16, ("punpcklwd", "mulps", "pshufd")),
        (GENERIC, BF16, ("punpcklwd", "addps", "packssdw")),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_narrow_floats_are_converted_in_vectors(
    isa: VectorISA, dtype: DType, wanted: tuple[str, ...]
) -> None:
    bodies = loops(code(kernels.rounded(1024, isa.lanes(F32), dtype), isa))
    assert len(bodies) == 2
    for word in wanted:
        assert word in bodies[1]


@pytest.mark.parametrize("dtype", ["i8", "u8", "i16", "bool", "i64", "f64"])
def test_narrow_tails_are_exact_on_avx2(dtype: str) -> None:
    nest = kernels.partial_tiles(37, 5, 8, DTYPES[dtype]) if dtype == "i64" else None
    combine = "or" if dtype == "bool" else "max"
    nest = nest or kernels.reduction(37, 8, combine, DTYPES[dtype])
    assert "call" not in code(nest, AVX2)


def test_the_main_loop_has_no_masks_and_the_tail_has() -> None:
    text = code(kernels.axpy(1003, 16), AVX512)
    (body,) = loops(text)
    assert body.count("zmm") and "{%k" not in body and "vfmadd" in body
    assert "{%k1}" in text.replace(body, "")


def test_there_is_no_tail_without_a_rest() -> None:
    assert "%k" not in code(kernels.axpy(1024, 16), AVX512)


def test_one_masked_block_below_the_lanes() -> None:
    text = code(kernels.axpy(13, 16), AVX512)
    assert loops(text) == [] and "{%k1}" in text


def test_sums_run_in_as_many_vectors_as_the_loop_says() -> None:
    body = loops(code(kernels.row_sum(30, 1000, 16), AVX512))[0]
    assert len(set(re.findall(r"vaddps\t.*(%zmm\d+)\n", body))) == 4


@pytest.mark.parametrize("isa", [AVX2, AVX512], ids=lambda isa: isa.name)
def test_what_is_stored_is_summed_from_a_register(isa: VectorISA) -> None:
    nest = kernels.made_and_summed(30, 1003, isa.lanes(F32))
    body = loops(code(nest, isa))[0]
    assert len(re.findall(r"vmovups\t%[yz]mm\d+, .*\(", body)) == 4
    assert len(re.findall(r"vmaxps\t%[yz]mm", body)) == 4
    assert len(re.findall(r"\(%r.*\), %[yz]mm", body)) == 4


def test_long_functions_run_in_several_vectors_side_by_side() -> None:
    exponentials, divisions = loops(code(kernels.softmax(1, 1000, 8), AVX2))[1::2]
    assert len(set(re.findall(r"vpslld\t.*(%ymm\d+)\n", exponentials))) == 4
    assert divisions.count("vdivps") == 1


def test_padding_needs_no_masks_inside() -> None:
    (body,) = loops(code(kernels.window(1003, 16), AVX512))
    assert "{%k" not in body and "vpcmp" not in body
    assert body.count("vfmadd") == 4 and body.count("vbroadcast") == 0


def test_short_strides_are_shuffled() -> None:
    (body,) = loops(code(kernels.every(1003, 2, 16), AVX512))
    assert "vpermt2ps" in body and "gather" not in body


@pytest.mark.parametrize("rest", [0, 3])
@pytest.mark.parametrize(
    ("isa", "rows", "vectors"), [(AVX512, 6, 4), (AVX512, 14, 2), (AVX2, 6, 2)]
)
def test_register_tiles_do_not_spill(
    isa: VectorISA, rows: int, vectors: int, rest: int
) -> None:
    lanes = isa.lanes(F32)
    nest = kernels.register_tile(rows, vectors * lanes - rest, 100, lanes)
    text = code(nest, isa)
    assert "rsp" not in text
    (body,) = [body for body in loops(text) if "vfmadd" in body]
    assert body.count("vfmadd") == rows * vectors


def test_a_partial_register_stays_in_a_register() -> None:
    text = code(kernels.partial_tiles(99, 33, 16, F32), AVX512)
    assert "rsp" not in text and len(loops(text)) >= 1


@pytest.mark.parametrize("extent", [3, 61, 64])
def test_the_generic_row_serves_other_architectures(extent: int) -> None:
    target = target_for(GENERIC, "aarch64-unknown-linux-gnu")
    for nest in (
        kernels.window(extent, 4),
        kernels.softmax(1, extent, 4),
        kernels.partial_tiles(extent, 5, 4, F32),
    ):
        text = assembly(emit_module(nest, target), target)
        assert "\tbl\t" not in text and ".4s" in text
