"""What goes wrong around a kernel: the cache, forks, threads, interrupts, the end."""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash_process import fresh_processes
from faults import (
    PRELUDE,
    assert_whole,
    entries,
    entry_is_whole,
    run,
    surroundings,
)

import polydsl

Array = np.ndarray[Any, Any]

CHECK = "check(product(), 5); check(product(), 40, threads=2)"

# The cache


@pytest.mark.parametrize("where", ["file", "file/inner", "/proc/none"])
def test_a_cache_folder_that_cannot_be(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert run(CHECK, tmp_path / where) == ""
    assert (tmp_path / "file").read_text() == "no folder"


def test_no_home_for_the_cache(tmp_path: Path) -> None:
    program = f"del os.environ['POLYDSL_CACHE_DIR']\n{CHECK}"
    assert run(program, tmp_path, HOME="/proc/none", XDG_CACHE_HOME="") == ""


@pytest.mark.parametrize("limit", [0, 3000])
def test_a_cache_that_cannot_be_written(limit: int, tmp_path: Path) -> None:
    """Files grow to so many bytes and no further, as on a disk that is full."""
    program = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n{CHECK}"
    assert run(program, tmp_path) == ""
    assert list(tmp_path.rglob("*.unfinished")) == []
    assert all(entry_is_whole(path) for path in entries(tmp_path))


def test_a_warm_cache_that_cannot_be_written(tmp_path: Path) -> None:
    run(CHECK, tmp_path)
    before = {path: path.read_bytes() for path in entries(tmp_path)}
    program = (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        f"{CHECK}\n"
        "special = product().specialize(*arrays(5), c=1.0)\n"
        "assert special.compiled.from_cache\n"
        "check(product(), 6)\n"
    )
    assert run(program, tmp_path) == ""
    assert {path: path.read_bytes() for path in entries(tmp_path)} == before


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size)])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def scrambled(path: Path) -> None:
    path.write_bytes(random.randbytes(path.stat().st_size))


def of_another(path: Path) -> None:
    """Give an entry to another user, where that is allowed; else to everybody."""
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        path.chmod(0o666)


def to_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_a_link(path: Path) -> None:
    target = path.with_suffix(".elsewhere")
    path.rename(target)
    path.symlink_to(target)


DAMAGES = (
    truncated,
    emptied,
    flipped,
    lengthened,
    scrambled,
    of_another,
    to_a_link,
    to_a_folder,
)


def test_damaged_entries(tmp_path: Path) -> None:
    """What is damaged in any way is never loaded, but compiled anew."""
    program = "for n in range(3, 19):\n    check(product(), n)"
    assert run(program, tmp_path) == ""
    random.seed(0)
    found = entries(tmp_path)
    assert len(found) >= 2 * len(DAMAGES)
    for number, path in enumerate(found):
        DAMAGES[number % len(DAMAGES)](path)
        assert path.is_dir() or not entry_is_whole(path)
    assert run(program, tmp_path) == ""
    # A folder in the place of an entry is in the way for ever; all others are whole.
    assert all(path.is_dir() or entry_is_whole(path) for path in entries(tmp_path))
    assert not list(tmp_path.glob("*.unfinished"))


def compile_at_once(folder: Path, errors: Path, together: Barrier) -> None:
    """Compile three kernels when all have come so far."""
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    environment = surroundings(POLYDSL_CACHE_DIR=str(folder))
    os.environ.clear()
    os.environ.update(environment)
    known: dict[str, Any] = {}
    exec(PRELUDE, known)
    kernels = [known["product"]() for _ in range(3)]
    together.wait(timeout=120)
    for kernel, n in zip(kernels, (3, 17, 40)):
        known["check"](kernel, n, threads=2)


def test_a_cache_shared_by_eight_processes(tmp_path: Path) -> None:
    """All start to compile the same kernels at the same moment."""
    context = fresh_processes()
    together = context.Barrier(8)
    cache = tmp_path / "cache"
    errors = [tmp_path / f"errors{n}" for n in range(8)]
    processes = [
        context.Process(target=compile_at_once, args=(cache, path, together))
        for path in errors
    ]
    for process in processes:
        process.start()
    for process, path in zip(processes, errors):
        process.join(timeout=240)
        assert (process.exitcode, path.read_text()) == (0, "")
    assert_whole(cache)


# Forks and threads


def test_a_fork_after_use(tmp_path: Path) -> None:
    """The child's threads are gone; it calls kernels old and new with two threads."""
    program = """
        kernel = product()
        check(kernel, 60, threads=2)
        for _ in range(3):
            child = os.fork()
            if child == 0:
                check(kernel, 60, threads=2)
                check(kernel, 61, threads=2)
                grandchild = os.fork()
                if grandchild == 0:
                    check(kernel, 60, threads=2)
                    os._exit(7)
                os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
            check(kernel, 60, threads=2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    """
    assert run(program, tmp_path) == ""


def test_a_fork_while_other_threads_compile(tmp_path: Path) -> None:
    """A lock that another thread held at the fork would be held for ever."""
    program = """
        kernel = product()
        check(kernel, 5)
        def compile_many():
            for n in range(6, 14):
                check(kernel, n)
        thread = threading.Thread(target=compile_many)
        thread.start()
        for round in range(4):
            time.sleep(0.02)
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                check(kernel, 5)
                check(kernel, 30 + round)
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        thread.join()
    """
    assert run(program, tmp_path) == ""


def test_sixteen_threads_call_one_kernel_for_the_first_time() -> None:
    kernel = polydsl.loads(
        "kernel f(x: T[N], *, c: int) -> T[N]:\n    y[i] = x[i] * c\n    return y\n"
    ).f
    barrier = threading.Barrier(16)

    def call(number: int) -> None:
        barrier.wait()
        for n in (number, 16 - number, 100_000, number):
            dtype = np.float32 if n % 2 else np.float64
            x = np.full(n, number, dtype)
            for threads in (1, 2):
                found = kernel(x, c=number % 3, threads=threads)
                np.testing.assert_array_equal(found, x * (number % 3))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(16)))


def test_sixteen_threads_share_one_specialisation() -> None:
    kernel = polydsl.loads(
        "kernel f(x: f32[N]) -> f32[N]:\n    y[i] = x[i] * 3\n    return y\n"
    ).f
    barrier = threading.Barrier(16)

    def specialize(_: int) -> object:
        barrier.wait()
        return kernel.specialize("f32[33]")

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(specialize, range(16)))) == 1


@pytest.mark.parametrize("kind", ["daemon", "executor"])
def test_the_interpreter_ends_while_threads_run(kind: str, tmp_path: Path) -> None:
    program = f"""
        kernel = product()
        check(kernel, 300, threads=2)
        is_over = threading.Event()
        def call():
            a, b = arrays(300)
            while not is_over.is_set():
                kernel(a, b, threads=2)
        if "{kind}" == "daemon":
            for _ in range(4):
                threading.Thread(target=call, daemon=True).start()
        else:
            from concurrent.futures import ThreadPoolExecutor
            executor = ThreadPoolExecutor(4)
            for _ in range(4):
                executor.submit(call)
            threading.Timer(0.5, is_over.set).start()
        time.sleep(0.2)
        print("over")
    """
    assert run(program, tmp_path) == "over\n"


def test_the_interpreter_ends_while_a_thread_compiles(tmp_path: Path) -> None:
    program = """
        def compile_many():
            for n in range(1, 200):
                check(product(), n)
        threading.Thread(target=compile_many, daemon=True).start()
        time.sleep(float(os.environ["SECONDS"]))
        print("over")
    """
    for seconds in ("0.05", "0.4"):
        assert run(program, tmp_path, SECONDS=seconds) == "over\n"
    assert all(entry_is_whole(path) for path in entries(tmp_path))


# Interrupts and errors


def test_interrupts_during_compilation(tmp_path: Path) -> None:
    """Ctrl-C at random moments: the call raises it or returns, and the next works."""
    program = """
        random.seed(int(os.environ["SEED"]))
        check(product(), 1)
        interrupted = 0
        for n in range(2, 27):
            kernel = product()
            thread = threading.Thread(target=interrupt, args=(random.random() * 0.25,))
            try:
                thread.start()
                check(kernel, n)
                time.sleep(30)
            except KeyboardInterrupt:
                interrupted += 1
            thread.join()
            check(kernel, n)
            check(product(), n)
        assert interrupted == 25, interrupted
    """
    assert run(program, tmp_path, SEED="1") == ""
    assert_whole(tmp_path)


def test_an_interrupt_at_the_very_first_call(tmp_path: Path) -> None:
    """Also the tool chain and the grammar's tables are made anew after it."""
    program = """
        seconds = float(os.environ["SECONDS"])
        thread = threading.Thread(target=interrupt, args=(seconds,))
        try:
            thread.start()
            while True:
                check(product(), 9)
        except KeyboardInterrupt:
            pass
        check(product(), 9)
    """
    for milliseconds in (1, 20, 100):
        assert run(program, tmp_path, SECONDS=str(milliseconds / 1000)) == ""
    assert_whole(tmp_path)


TAKES = """
kernel f(x: f32[N], y: f32[N], *, by: int = 0) -> (f32[N], f32[N]):
    s[i] = x[i + by] + y[i]
    t[i] = x[i] * y[i]
    return s, t
"""


@pytest.mark.parametrize(
    "change",
    [
        {"y": np.ones(4, np.float32)},
        {"y": np.ones(5)},
        {"y": "text"},
        {"by": 1},
        {"by": 1.5},
        {"z": 3},
        {"threads": 0},
        {"second": np.ones(4, np.float32)},
        {"second": np.ones((5, 5), np.float32)[:, 0].astype(np.float64)},
        {"second": None},
    ],
)
def test_errors_leave_the_results_arrays_alone(change: dict[str, Any]) -> None:
    kernel = polydsl.loads(TAKES).f
    x, y = np.ones(5, np.float32), np.ones(5, np.float32)
    first, second = np.full(5, 7, np.float32), np.full(5, 8, np.float32)
    kernel(x, y, out=(first.copy(), second.copy()))
    kernel(x=x, y=y, out=(first.copy(), second.copy()))
    given = {"x": x, "y": y, **change}
    out = (first, given.pop("second", second))
    with pytest.raises(polydsl.PolydslError):
        kernel(**given, out=out)
    np.testing.assert_array_equal(first, np.full(5, 7))
    np.testing.assert_array_equal(second, np.full(5, 8))


def test_an_interrupt_leaves_the_results_array_alone(tmp_path: Path) -> None:
    program = """
        a, b = arrays(50)
        out = np.full((50, 51), 7, np.float32)
        product()
        polydsl.loads(TEXT).product.specialize("f32[2,2]", "f32[2,2]")
        thread = threading.Thread(target=interrupt, args=(0.03,))
        try:
            thread.start()
            product()(a, b, out=out)
            raise SystemExit("it was too fast")
        except KeyboardInterrupt:
            pass
        assert (out == 7).all()
    """
    assert run(program, tmp_path) == ""
