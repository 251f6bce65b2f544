"""Calls from Python into native code: what is checked, passed, kept and shared."""

import gc
import pickle
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polydsl.backend.arrays import (
    ArrayLayout,
    aligned_bytes,
    layout_of,
    read_argument,
)
from polydsl.backend.cache import ObjectCache
from polydsl.backend.call import NativeCall, Passed
from polydsl.backend.jit import NativeKernel, load
from polydsl.backend.runtime import Runtime
from polydsl.backend.scratch import ScratchPool
from polydsl.backend.target import host_target
from polydsl.base.dtypes import BF16, F32, I32, I64

Array = npt.NDArray[Any]

# Writes the addresses and numbers that it is called with into its last buffer (i64).
REPORT = """
define i32 @polydsl_main(ptr %buffers, ptr %scratch, i32 %threads, ptr %parallel) {
entry:
  %first_at = getelementptr ptr, ptr %buffers, i64 0
  %second_at = getelementptr ptr, ptr %buffers, i64 1
  %last_at = getelementptr ptr, ptr %buffers, i64 2
  %first = load ptr, ptr %first_at
  %second = load ptr, ptr %second_at
  %last = load ptr, ptr %last_at
  %slot1 = getelementptr i64, ptr %last, i64 1
  %slot2 = getelementptr i64, ptr %last, i64 2
  %slot3 = getelementptr i64, ptr %last, i64 3
  %slot4 = getelementptr i64, ptr %last, i64 4
  %first_word = ptrtoint ptr %first to i64
  %second_word = ptrtoint ptr %second to i64
  %scratch_word = ptrtoint ptr %scratch to i64
  %threads_word = sext i32 %threads to i64
  %parallel_word = ptrtoint ptr %parallel to i64
  store i64 %first_word, ptr %last
  store i64 %second_word, ptr %slot1
  store i64 %scratch_word, ptr %slot2
  store i64 %threads_word, ptr %slot3
  store i64 %parallel_word, ptr %slot4
  ret i32 17
}
"""

# Fills its scratch memory with the first word of its first buffer and reads it again,
# as many times as its second buffer says; then the second word is how often it read
# something else, which another call wrote.
ALONE = """
define i32 @polydsl_main(ptr %buffers, ptr %scratch, i32 %threads, ptr %parallel) {
entry:
  %out = load ptr, ptr %buffers
  %second_at = getelementptr ptr, ptr %buffers, i64 1
  %second = load ptr, ptr %second_at
  %mark = load i64, ptr %out
  %rounds = load i64, ptr %second
  br label %fill
fill:
  %i = phi i64 [ 0, %entry ], [ %i1, %fill ]
  %at = getelementptr i64, ptr %scratch, i64 %i
  store volatile i64 %mark, ptr %at
  %i1 = add i64 %i, 1
  %full = icmp eq i64 %i1, 64
  br i1 %full, label %round, label %fill
round:
  %r = phi i64 [ 0, %fill ], [ %r1, %check ]
  %bad = phi i64 [ 0, %fill ], [ %bad1, %check ]
  %word = and i64 %r, 63
  %seen_at = getelementptr i64, ptr %scratch, i64 %word
  %seen = load volatile i64, ptr %seen_at
  %differs = icmp ne i64 %seen, %mark
  %count = zext i1 %differs to i64
  br label %check
check:
  %bad1 = add i64 %bad, %count
  %r1 = add i64 %r, 1
  %over = icmp eq i64 %r1, %rounds
  br i1 %over, label %end, label %round
end:
  %result_at = getelementptr i64, ptr %out, i64 1
  store i64 %bad1, ptr %result_at
  ret i32 0
}
"""

WORDS = ArrayLayout(I64, (5,), (1,))


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder: Path = tmp_path_factory.mktemp("cache")
    return Runtime(host_target(), ObjectCache(folder))


def kernel(runtime: Runtime, text: str = REPORT) -> NativeKernel:
    return load(runtime.compile_cached(text), exports=("polydsl_main",))


def reporting_call(
    runtime: Runtime, layout: ArrayLayout, is_written: bool = False, **options: Any
) -> NativeCall:
    slots = (Passed(layout, is_written), None, Passed(WORDS, is_written=True))
    return NativeCall(runtime.launcher, kernel(runtime), slots, **options)


@pytest.mark.parametrize("releases_gil", [False, True])
def test_pointers_and_numbers_arrive(runtime: Runtime, releases_gil: bool) -> None:
    packed = aligned_bytes(64)
    x, words = np.zeros((3, 4), np.float32), np.zeros(5, np.int64)
    call = NativeCall(
        runtime.launcher,
        kernel(runtime),
        (Passed(layout_of(x)), packed, Passed(WORDS, is_written=True)),
        scratch=ScratchPool(64, 128),
        parallel=runtime.parallel,
        releases_gil=releases_gil,
    )
    assert call((x, words), 3) == 17
    first, second, scratch, threads, parallel = words.tolist()
    assert first == x.ctypes.data
    assert second == packed.ctypes.data
    assert scratch % 64 == 0 != scratch
    assert threads == 3
    assert parallel == runtime.parallel.address


def test_without_a_parallel_run_time_there_is_one_thread(runtime: Runtime) -> None:
    x, words = np.zeros(3, np.float32), np.zeros(5, np.int64)
    assert reporting_call(runtime, layout_of(x))((x, words), 8) == 17
    assert words.tolist()[1:] == [0, words[2], 1, 0]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_call_fits_exactly_the_arrays_with_its_layout(
    runtime: Runtime, data: st.DataObject
) -> None:
    """The check in compiled code and `layout_of` agree on every pair of arrays."""

    def draw() -> Array:
        dtype = data.draw(st.sampled_from((np.float32, np.int32, BF16.numpy)))
        base: Array = np.zeros((2, 3, 2), dtype)
        return base[data.draw(hnp.basic_indices(base.shape, allow_newaxis=True))][...]

    words = np.zeros(5, np.int64)
    one, other = draw(), draw()
    call = reporting_call(runtime, layout_of(one))
    assert call((one, words)) == 17
    assert words[0] == one.ctypes.data
    fits = layout_of(one) == layout_of(other)
    assert (call((other, words)) == 17) == fits


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 5), np.float32),
        np.zeros((4, 3), np.float32),
        np.zeros((4, 3), np.float32).T,
        np.zeros((3, 8), np.float32)[:, ::2],
        np.zeros((3, 4), np.float32)[::-1],
        np.zeros((3, 4, 1), np.float32),
        np.zeros(12, np.float32),
        np.zeros((3, 4), np.int32),
        np.zeros((3, 4), np.float64),
        np.zeros((3, 4), ">f4"),
        np.zeros(49, np.uint8)[1:].view(np.float32).reshape(3, 4),
        np.ma.zeros((3, 4), np.float32),
        [[0.0] * 4] * 3,
        None,
        3,
        "text",
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_and_nothing_runs(
    runtime: Runtime, other: Any
) -> None:
    x, words = np.zeros((3, 4), np.float32), np.zeros(5, np.int64)
    call = reporting_call(runtime, layout_of(x))
    assert call((other, words)) == -1
    assert call((x, other)) == -2
    assert not words.any()


def test_too_few_or_too_many_arrays_are_refused(runtime: Runtime) -> None:
    x, words = np.zeros((3, 4), np.float32), np.zeros(5, np.int64)
    call = reporting_call(runtime, layout_of(x))
    for arrays in ((), (x,), (x, words, words)):
        assert call(arrays) == -1
    assert not words.any()


def test_what_is_written_must_be_writable(runtime: Runtime) -> None:
    x, words = np.zeros(3, np.float32), np.zeros(5, np.int64)
    x.flags.writeable = False
    assert reporting_call(runtime, layout_of(x))((x, words)) == 17
    assert reporting_call(runtime, layout_of(x), is_written=True)((x, words)) == -1
    words.flags.writeable = False
    assert reporting_call(runtime, layout_of(x))((x, words)) == -2


def test_arrays_that_were_pickled_are_as_good_as_others(runtime: Runtime) -> None:
    x = pickle.loads(pickle.dumps(np.zeros((3, 4), np.float32)))
    assert x.dtype is not F32.numpy
    call = reporting_call(runtime, ArrayLayout(F32, (3, 4), (4, 1)))
    assert call((x, np.zeros(5, np.int64))) == 17


def test_strides_do_not_matter_where_no_element_is(runtime: Runtime) -> None:
    words = np.zeros(5, np.int64)
    base = np.zeros((4, 6, 8), np.int32)
    call = reporting_call(runtime, ArrayLayout(I32, (1, 6, 8), (48, 8, 1)))
    assert call((base[2:3], words)) == 17
    assert call((base[::-3][:1], words)) == 17
    empty = reporting_call(runtime, ArrayLayout(I32, (4, 0, 4), (4, 4, 1)))
    assert empty((base[:, :0, ::2], words)) == 17


def test_rank_zero(runtime: Runtime) -> None:
    call = reporting_call(runtime, ArrayLayout(F32, (), ()))
    words = np.zeros(5, np.int64)
    assert call((read_argument(np.float32(3), "x", "f32"), words)) == 17


def test_a_wrong_number_of_threads_raises(runtime: Runtime) -> None:
    x, words = np.zeros(3, np.float32), np.zeros(5, np.int64)
    call = reporting_call(runtime, layout_of(x), parallel=runtime.parallel)
    wrong: Any
    for wrong, error in (("2", TypeError), (10**30, OverflowError)):
        with pytest.raises(error):
            call((x, words), wrong)
    assert not words.any()
    for threads, given_ in ((0, 1), (-1, 1), (2**40, 65536)):
        assert call((x, words), threads) == 17
        assert words[3] == given_


def test_no_references_are_lost_or_kept(runtime: Runtime) -> None:
    x, words = np.zeros(3, np.float32), np.zeros(5, np.int64)
    call = reporting_call(runtime, layout_of(x), scratch=ScratchPool(64))
    before = sys.getrefcount(x), sys.getrefcount(words)
    for _ in range(1000):
        call((x, words))
        call((words, x))
    assert (sys.getrefcount(x), sys.getrefcount(words)) == before


def test_known_memory_and_code_live_as_long_as_the_call(runtime: Runtime) -> None:
    packed, code = aligned_bytes(64), kernel(runtime)
    memory = weakref.ref(packed)
    slots = (Passed(WORDS), packed, Passed(WORDS, is_written=True))
    call = NativeCall(runtime.launcher, code, slots)
    del packed, code, slots
    gc.collect()
    assert memory() is not None
    words = np.zeros(5, np.int64)
    for _ in range(3):
        assert call((words, words)) == 17
    del call
    gc.collect()
    assert memory() is None


def test_launching_works_from_a_runtime_that_is_gone() -> None:
    short = Runtime(host_target(), None)
    x, words = np.zeros(3, np.float32), np.zeros(5, np.int64)
    call = reporting_call(short, layout_of(x))
    del short
    gc.collect()
    assert call((x, words)) == 17


# Scratch memory


def test_scratch_memory_is_aligned_large_enough_and_used_again() -> None:
    pool = ScratchPool(shared=192, per_thread=64)
    one, two = pool.take(1), pool.take(4)
    assert (one.nbytes, two.nbytes) == (256, 448)
    assert one.ctypes.data % 64 == two.ctypes.data % 64 == 0
    address = two.ctypes.data
    pool.give(two)
    assert pool.take(2).ctypes.data == address
    pool.give(one)
    assert pool.take(3).nbytes == 384


def test_what_many_calls_at_once_gave_back_is_not_all_kept() -> None:
    pool = ScratchPool(64)
    arenas = [pool.take(1) for _ in range(100)]
    alive = [weakref.ref(arena) for arena in arenas]
    while arenas:
        pool.give(arenas.pop())
    gc.collect()
    assert 1 <= sum(reference() is not None for reference in alive) <= 16


def test_sixteen_threads_have_scratch_memory_of_their_own(runtime: Runtime) -> None:
    pair, rounds = ArrayLayout(I64, (2,), (1,)), np.array([100_000])
    slots = (Passed(pair, is_written=True), rounds)
    call = NativeCall(
        runtime.launcher, kernel(runtime, ALONE), slots, scratch=ScratchPool(512)
    )

    def work(number: int) -> int:
        disturbed = 0
        for turn in range(20):
            out = np.array([number * 1000 + turn, -1])
            assert call((out,)) == 0
            disturbed += out[1]
        return int(disturbed)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == [0] * 16


@pytest.mark.parametrize("releases_gil", [False, True])
def test_python_runs_on_during_long_work(runtime: Runtime, releases_gil: bool) -> None:
    """Another thread counts during a call if, and only if, the GIL is released."""
    pair, rounds = ArrayLayout(I64, (2,), (1,)), np.array([400_000_000])
    slots = (Passed(pair, is_written=True), rounds)
    call = NativeCall(
        runtime.launcher,
        kernel(runtime, ALONE),
        slots,
        scratch=ScratchPool(512),
        releases_gil=releases_gil,
    )
    started, ended = threading.Event(), threading.Event()
    during: list[float] = []

    def watch() -> None:
        started.set()
        while not ended.is_set():
            during.append(time.perf_counter())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started.wait()
    out = np.array([1, -1])
    begin = time.perf_counter()
    assert call((out,)) == 0
    end = time.perf_counter()
    ended.set()
    watcher.join()
    # The first tick after the call began may come before the call holds the GIL.
    inside = [t for t in during if begin + 0.01 < t < end - 0.01]
    assert end - begin > 0.03
    assert bool(inside) == releases_gil


def test_a_status_comes_back_as_it_is(runtime: Runtime) -> None:
    text = REPORT.replace("ret i32 17", "ret i32 2147483647")
    x, words = np.zeros(3, np.float32), np.zeros(5, np.int64)
    slots = (Passed(layout_of(x)), None, Passed(WORDS, is_written=True))
    call = NativeCall(runtime.launcher, kernel(runtime, text), slots)
    assert call((x, words)) == 2**31 - 1


def test_the_runtime_compiles_once_for_all_processes(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    first = Runtime(host_target(), cache).compile_cached(REPORT)
    assert cache.statistics().entries == 1
    assert Runtime(host_target(), cache).compile_cached(REPORT) == first
    assert Runtime(host_target(), None).compile_cached(REPORT) == first
    assert cache.statistics().entries == 1
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(b"damaged")
    assert Runtime(host_target(), cache).compile_cached(REPORT) == first
