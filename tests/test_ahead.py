"""Kernels compiled ahead of time: values, statuses, scratch, prepared memory."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ahead_harness import Array, Backwards, Library, library_of, verified
from elf import exported, undefined
from scalar_harness import HOST_ROWS

import polydsl
from polydsl.backend.ahead.interface import (
    Argument,
    Interface,
    version_of,
)
from polydsl.backend.ahead.object import (
    measured_target,
    object_code,
    portable_target,
)
from polydsl.backend.ahead.status import Status
from polydsl.backend.isa import GENERIC, ISAS
from polydsl.base.dtypes import F32
from polydsl.driver.ahead import compile_ahead
from polydsl.driver.ahead_files import write_files
from polydsl.driver.compiler import begin
from polydsl.driver.linker import link_shared
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuning_store import Entry, TuningStore, tuning_key
from polydsl.schedule.point import Point

MODULE = polydsl.loads('''
kernel affine(x: T[..., N], a: T, *, shift: float = 0.0) -> (T[..., N], T):
    y[..., i] = a * x[..., i] + shift
    s += x[..., i]
    return y, s

kernel smooth(x: f32[N, M]) -> f32[N, M]:
    """Needs scratch: every row is scaled by its sum."""
    s[i] = sum[j](exp(x[i, j]))
    y[i, j] = exp(x[i, j]) / s[i]
    return y

kernel mixed(x: i8[N], flag: bool, k: i16, big: i64, small: u8,
             d: f64) -> (i64[N], bool[N], f64):
    y[n] = i64(x[n]) * k + big - small if flag else i64(x[n])
    p[n] = x[n] > 0
    t = d * 2
    return y, p, t

kernel layer(x: f32[N, C], w: f32[K, C], b: f32[K], a: f32) -> f32[N, K]:
    y[n, k] += x[n, c] * w[k, c]
    z[n, k] = relu(a * y[n, k] + b[k])
    return z
''')


def tensors(special: Specialization) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    found: dict[str, Array] = {}
    for name, layout in special.request.arguments.items():
        values = rng.standard_normal(layout.shape) * 3
        found[name] = np.asarray(values).astype(layout.dtype.numpy)
    return found


CASES = {
    "affine": (MODULE.affine, ("f32[3,5,7]", "f32"), {"shift": 0.5}),
    "affine_f64": (MODULE.affine, ("f64[41]", "f64"), {}),
    "affine_empty": (MODULE.affine, ("f32[3,0]", "f32"), {}),
    "smooth": (MODULE.smooth, ("f32[33,70]",), {}),
    "smooth_empty": (MODULE.smooth, ("f32[0,9]",), {}),
    "mixed": (MODULE.mixed, ("i8[37]", "bool", "i16", "i64", "u8", "f64"), {}),
    "conv": (
        polydsl.stdlib.conv.conv2d,
        ("f32[1,8,9,9]", "f32[24,8,3,3]"),
        {"padding": 1},
    ),
    "matmul": (polydsl.stdlib.linalg.matmul, ("f32[70,40]", "f32[40,130]"), {}),
    "matmul_nothing": (polydsl.stdlib.linalg.matmul, ("f32[5,0]", "f32[0,3]"), {}),
}


def special_of(case: str) -> Specialization:
    kernel, specs, constants = CASES[case]
    return kernel.specialize(*specs, **constants)


@pytest.mark.parametrize("isa", HOST_ROWS, ids=lambda isa: isa.name)
@pytest.mark.parametrize("case", CASES)
def test_values_agree_with_the_oracle(case: str, isa, tmp_path: Path) -> None:
    special = special_of(case)
    library = library_of(special, tmp_path, (isa,))
    arrays = tensors(special)
    alone = library.run(arrays)
    verified(special, arrays, alone)
    assert library.isa == isa.name
    for threads in (2, 5):
        together = library.run(arrays, threads, Backwards())
        assert [a.tobytes() for a in together] == [a.tobytes() for a in alone]


def test_parallel_loops_go_to_the_callers_runner(tmp_path: Path) -> None:
    special = special_of("matmul")
    library = library_of(special, tmp_path, (GENERIC,))
    runner = Backwards()
    library.run(tensors(special), 3, runner)
    assert runner.parts
    assert set(runner.parts) <= {2, 3}
    assert set(runner.data) == {77}
    without = Backwards()
    library.run(tensors(special), 1, without)
    assert without.parts == []


def test_the_best_of_all_rows_runs_here(tmp_path: Path) -> None:
    special = special_of("conv")
    library = library_of(special, tmp_path, ISAS)
    arrays = tensors(special)
    verified(special, arrays, library.run(arrays))
    assert library.isa == HOST_ROWS[0].name
    own = library_of(special, tmp_path, HOST_ROWS[:1]).run(arrays)
    assert library.run(arrays)[0].tobytes() == own[0].tobytes()


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("smooth")
    return library_of(special_of("smooth"), folder, (GENERIC,))


def answer(library: Library, *words: object, **fields: object) -> tuple[int, int]:
    """Return the status of a call with these words, and what it is about."""
    call = library.call()
    for name, value in fields.items():
        setattr(call, name, value)
    call.which = -1
    status = library.function()(*words, ctypes.byref(call))
    return status, call.which


def test_wrong_addresses_are_statuses(smooth: Library) -> None:
    x, y = np.zeros((33, 70), np.float32), np.zeros((33, 70), np.float32)
    y.fill(5)
    first, second = (ctypes.c_void_p(a.ctypes.data) for a in (x, y))
    odd = ctypes.c_void_p(x.ctypes.data + 2)
    near = ctypes.c_void_p(x.ctypes.data + x.nbytes - 4)
    before = ctypes.c_void_p(x.ctypes.data - x.nbytes + 4)
    nothing = ctypes.c_void_p(None)
    assert answer(smooth, nothing, second) == (Status.NULL_POINTER, 0)
    assert answer(smooth, first, nothing) == (Status.NULL_POINTER, 1)
    assert answer(smooth, odd, second) == (Status.MISALIGNED, 0)
    assert answer(smooth, first, first) == (Status.OVERLAP, 1)
    assert answer(smooth, first, near) == (Status.OVERLAP, 1)
    assert answer(smooth, first, before) == (Status.OVERLAP, 1)
    assert (y == 5).all()
    assert answer(smooth, first, second) == (Status.OK, -1)


def test_scratch_is_checked(smooth: Library) -> None:
    x, y = np.zeros((33, 70), np.float32), np.zeros((33, 70), np.float32)
    words = [ctypes.c_void_p(a.ctypes.data) for a in (x, y)]
    call = smooth.call()
    assert call.scratch_bytes > 0
    least = call.scratch_bytes
    assert answer(smooth, *words, scratch=None) == (Status.SCRATCH, -1)
    assert answer(smooth, *words, scratch=call.scratch + 8)[0] == Status.SCRATCH
    assert answer(smooth, *words, scratch_bytes=least - 1)[0] == Status.SCRATCH
    assert smooth.function()(*words, None) == Status.SCRATCH
    assert answer(smooth, *words, scratch_bytes=least)[0] == Status.OK


def test_a_kernel_without_scratch_needs_no_call(tmp_path: Path) -> None:
    special = special_of("affine")
    library = library_of(special, tmp_path, (GENERIC,))
    assert library.function("scratch_bytes")(1) == 0
    arrays = tensors(special)
    results = library.results()
    given = [*arrays.values(), *results]
    status = library.function()(*library.words(library.interface.passed, given), None)
    assert status == Status.OK
    verified(special, arrays, results)


def test_empty_tensors_may_be_null(tmp_path: Path) -> None:
    library = library_of(special_of("affine_empty"), tmp_path, HOST_ROWS)
    total = ctypes.c_float(3)
    nothing, number = ctypes.c_void_p(None), ctypes.c_float(2)
    status = library.function()(nothing, number, nothing, ctypes.byref(total), None)
    assert (status, total.value) == (Status.OK, 0)


def test_scratch_grows_with_the_threads_that_may_run(tmp_path: Path) -> None:
    special = special_of("matmul")
    bytes_of = library_of(special, tmp_path, (GENERIC,)).function("scratch_bytes")
    assert bytes_of(-3) == bytes_of(0) == bytes_of(1)
    assert bytes_of(2**31 - 1) == bytes_of(65536)
    step = bytes_of(2) - bytes_of(1)
    assert step >= 0
    assert bytes_of(9) == bytes_of(1) + 8 * step


def test_other_sizes_are_a_status(tmp_path: Path) -> None:
    library = library_of(special_of("affine"), tmp_path, (GENERIC,))
    assert [name for name, _ in library.interface.sizes] == [
        "Lead_1",
        "Lead_2",
        "N",
        "shift",
    ]

    class Sizes(ctypes.Structure):
        _fields_ = (
            *((name, ctypes.c_int64) for name in ("Lead_1", "Lead_2", "N")),
            ("shift", ctypes.c_double),
        )

    check = library.function("check")
    assert check(ctypes.byref(Sizes(3, 5, 7, 0.5))) == Status.OK
    for wrong in ((5, 3, 7, 0.5), (3, 5, 8, 0.5), (3, 5, 7 + 2**32, 0.5), (3, 5, 7, 0)):
        assert check(ctypes.byref(Sizes(*wrong))) == Status.SIZES
    assert check(None) == Status.NULL_POINTER


def test_many_threads_call_at_once(tmp_path: Path) -> None:
    special = special_of("matmul")
    library = library_of(special, tmp_path, ISAS)
    arrays = tensors(special)
    expected = library.run(arrays)[0].tobytes()
    found: list[bytes] = []

    def work() -> None:
        own = Library(Path(library.loaded._name), library.interface)
        for _ in range(50):
            found.append(own.run(arrays)[0].tobytes())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 200
    assert set(found) == {expected}


@pytest.mark.parametrize("case", ["smooth", "conv", "mixed"])
def test_an_object_shows_its_interface_and_needs_memory_functions(case: str) -> None:
    ahead = compile_ahead(special_of(case).request, toolchain(), ISAS, "f")
    assert exported(ahead.object_code) == set(ahead.interface.exports)
    assert all(name.startswith("f") for name in ahead.interface.exports)
    needed = undefined(ahead.object_code) - {"_GLOBAL_OFFSET_TABLE_"}
    assert needed <= {"memcpy", "memmove", "memset"}


def test_strides_of_a_specialisation_do_not_matter(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3).T
    special = MODULE.affine.specialize(x, 2.0)
    library = library_of(special, tmp_path, (GENERIC,))
    arrays = {"x": np.ascontiguousarray(x), "a": np.array(2.0, np.float32)}
    verified(special, arrays, library.run(arrays))


# What a nest says of a failed check stands at the start of its scratch: written out
# here, since it does not matter which kernel says it.
FAILING = """
define i32 @polydsl_main(ptr %buffers, ptr %scratch, i32 %threads, ptr %parallel) {
  %second = getelementptr i64, ptr %scratch, i64 1
  %third = getelementptr i64, ptr %scratch, i64 2
  store i64 2, ptr %scratch
  store i64 12345678901, ptr %second
  store i64 -7, ptr %third
  ret i32 3
}
define i32 @polydsl_prepare(ptr %buffers, ptr %scratch, i32 %threads, ptr %parallel) {
  ret i32 0
}
"""


def test_a_failed_check_is_told(tmp_path: Path) -> None:
    state = compile_until(begin(special_of("smooth").request, toolchain()), "nest")
    assert state.nest is not None
    version = version_of(state.nest, portable_target(GENERIC))
    failing = type(version)(
        version.target, ("x",), version.scratch, (), frozenset(), False, FAILING
    )
    interface = Interface("f", (Argument("x", F32, (2,)),), ())
    path = tmp_path / "f.o"
    path.write_bytes(object_code(interface, [failing]))
    assert link_shared(path, tmp_path / "f.so").linker
    library = Library(tmp_path / "f.so", interface)
    x, call = np.zeros(2, np.float32), library.call()
    status = library.function()(ctypes.c_void_p(x.ctypes.data), ctypes.byref(call))
    assert status == Status.SUBSCRIPT
    assert (call.which, call.position, call.value) == (2, 12345678901, -7)


def test_python_writes_the_files(tmp_path: Path) -> None:
    special = special_of("affine")
    files = special.compile(tmp_path / "a-b", isa=["generic"], name="scale")
    assert [f.name for f in files] == ["a-b.o", "a-b.h", "a-b.so"]
    assert exported(files[0].read_bytes()) >= {"scale", "scale_check"}
    assert "polydsl_status scale(" in files[1].read_text()
    one = special.compile(str(tmp_path / "one"), isa="generic")
    assert exported(one[0].read_bytes()) >= {"affine"}


def test_the_same_words_make_the_same_files(tmp_path: Path) -> None:
    request = special_of("conv").request
    first, second = (compile_ahead(request, toolchain(), ISAS) for _ in range(2))
    assert first == second
    written = write_files(first, tmp_path / "one.o")
    assert written.object_file.read_bytes() == first.object_code


def test_a_row_that_was_tuned_here_takes_the_result(tmp_path: Path) -> None:
    request = special_of("matmul").request
    tools = replace(toolchain(), tuning=TuningStore(tmp_path))
    isa = HOST_ROWS[0]
    plain = compile_ahead(request, tools, (isa,))
    chosen = compile_until(begin(request, tools), "tree").schedule
    assert chosen is not None
    (decision,) = chosen.decisions
    others = [candidate.point for candidate in decision.alternatives[1:4]]
    key = tuning_key(request, measured_target(isa))

    def tuned(subject: str, point: Point) -> bytes:
        points = ((subject, point),)
        tools.tuning.put(Entry(key, "matmul", "", "", 1, 2.0, 1.0, points))
        return compile_ahead(request, tools, (isa,)).object_code

    results = {tuned(decision.subject, point) for point in others}
    assert results - {plain.object_code}
    # A result of another version, which decided about other things, is left alone.
    assert tuned("nothing", others[0]) == plain.object_code
    lesser = compile_ahead(request, tools, (GENERIC,))
    assert lesser == compile_ahead(request, toolchain(), (GENERIC,))
