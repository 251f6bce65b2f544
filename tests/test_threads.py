"""Parallel loops: every part runs once, on every run time, in every situation."""

import ctypes
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults import surroundings

from polydsl.backend import openmp
from polydsl.backend.jit import compile_object
from polydsl.backend.target import available_cores, host_target
from polydsl.backend.threads import (
    ParallelRuntime,
    default_threads,
    openmp_runtime,
    thread_pool_runtime,
)

BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
PARALLEL = ctypes.CFUNCTYPE(None, BODY, ctypes.c_void_p, ctypes.c_int)


def compiled(text: str) -> bytes:
    return compile_object(text, host_target())


def with_openmp() -> ParallelRuntime:
    library = openmp.find_openmp()
    if library is None:
        # A machine without any OpenMP has the pool only.
        return thread_pool_runtime()
    return openmp_runtime(library, compiled)


@pytest.fixture(scope="module", params=[with_openmp, thread_pool_runtime])
def runtime(request: pytest.FixtureRequest) -> ParallelRuntime:
    make: Callable[[], ParallelRuntime] = request.param
    return make()


def parts_run(runtime: ParallelRuntime, threads: int) -> list[int]:
    """Run a parallel loop and count how often each part ran."""
    counts = [0] * threads
    lock = threading.Lock()

    def body(context: int, index: int, number: int) -> None:
        with lock:
            counts[index] += (context, number) == (4321, threads)

    PARALLEL(runtime.address)(BODY(body), 4321, threads)
    return counts


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 100])
def test_every_part_runs_once(runtime: ParallelRuntime, threads: int) -> None:
    for _ in range(5):
        assert parts_run(runtime, threads) == [1] * threads


def test_more_parts_than_any_team_may_have(runtime: ParallelRuntime) -> None:
    threads = max(64, 4 * available_cores()) * 3 + 1
    assert parts_run(runtime, threads) == [1] * threads


def test_parts_run_at_the_same_time(runtime: ParallelRuntime) -> None:
    """Two parts wait for each other; one after the other they would wait in vain."""
    if available_cores() < 2:
        assert parts_run(runtime, 2) == [1, 1]
        return
    meeting = threading.Barrier(2, timeout=20)
    met: list[bool] = []

    def body(context: int, index: int, number: int) -> None:
        meeting.wait()
        met.append(True)

    PARALLEL(runtime.address)(BODY(body), None, 2)
    assert met == [True, True]


def test_a_parallel_loop_inside_another(runtime: ParallelRuntime) -> None:
    """A run time may give the inner loop a team of one, or no team."""
    inner: list[list[int]] = []

    def body(context: int, index: int, number: int) -> None:
        if index == 0:
            inner.append(parts_run(runtime, 4))

    PARALLEL(runtime.address)(BODY(body), None, 2)
    assert inner == [[1] * 4]


def test_sixteen_python_threads_at_once(runtime: ParallelRuntime) -> None:
    with ThreadPoolExecutor(16) as pool:
        runs = [pool.submit(parts_run, runtime, 3) for _ in range(64)]
    assert all(run.result() == [1, 1, 1] for run in runs)


def run_script(name: str, body: str, **environ: str) -> str:
    """Run *body* after the imports and the runtime *name*, in another process."""
    script = textwrap.dedent(
        f"""
        import os, sys, threading
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_threads import parts_run, thread_pool_runtime, with_openmp
        runtime = {name}()
        """
    ) + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=surroundings(**environ),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RUNTIMES = pytest.mark.parametrize("name", ["with_openmp", "thread_pool_runtime"])


@RUNTIMES
def test_a_child_after_a_fork_runs_on_one_thread(name: str) -> None:
    body = """
        assert parts_run(runtime, 4) == [1] * 4
        child = os.fork()
        if child == 0:
            names = set()
            import ctypes
            from test_threads import BODY, PARALLEL
            def note(context, index, number):
                names.add(threading.get_native_id())
            PARALLEL(runtime.address)(BODY(note), None, 5)
            whole = parts_run(runtime, 5) == [1] * 5
            os._exit(0 if whole and names == {os.getpid()} else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), parts_run(runtime, 3))
    """
    assert run_script(name, body) == "0 [1, 1, 1]"


def test_a_run_time_first_used_after_a_fork() -> None:
    """Another library's team, started in the parent, does not exist in the child."""
    body = """
        child = os.fork()
        if child == 0:
            late = with_openmp()
            os._exit(0 if parts_run(late, 5) == [1] * 5 else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status))
    """
    # The parent's team starts before the child makes a run time of its own.
    assert (
        run_script("with_openmp", "parts_run(runtime, 4)\n" + textwrap.dedent(body))
        == "0"
    )


def test_a_team_smaller_than_asked() -> None:
    body = "print(parts_run(runtime, 7))"
    for environ in ({"OMP_THREAD_LIMIT": "2"}, {"OMP_DYNAMIC": "true"}):
        assert run_script("with_openmp", body, **environ) == str([1] * 7)


def test_the_pool_does_the_rest_itself_when_python_ends() -> None:
    body = """
        import atexit
        atexit.register(lambda: print(parts_run(runtime, 4)))
    """
    assert run_script("thread_pool_runtime", body) == "[1, 1, 1, 1]"


def test_a_library_in_the_process_comes_before_the_system_s(tmp_path: Path) -> None:
    found = openmp.find_openmp()
    loaded = openmp.loaded_libraries()
    if found is None:
        assert loaded == ()
        return
    maps = tmp_path / "maps"
    maps.write_text(
        "7f00-7f01 r-xp 00000000 08:01 12 /no/such place/libgomp-a34b3233.so.1.0.0\n"
        "7f01-7f02 r-xp 00000000 08:01 12 /usr/lib/libcompute.so\n"
        "7f01-7f02 rw-p 00000000 00:00 0\n"
        f"7f03-7f04 r-xp 00000000 08:01 12 {loaded[0]}\n"
    )
    again = openmp.find_openmp(maps)
    assert again is not None
    assert again.path == loaded[0]
    # Both are the one library of this process.
    assert again.symbols == found.symbols


@pytest.mark.parametrize(
    ("path", "is_openmp"),
    [
        ("libgomp.so.1", True),
        ("libgomp-a34b3233.so.1.0.0", True),
        ("libomp.so", True),
        ("libomp.dylib", True),
        ("libomp5.so", True),
        ("libiomp5.so", True),
        ("libomptarget.so", False),
        ("libcompute.so", False),
    ],
)
def test_which_files_are_openmp_run_times(
    path: str, is_openmp: bool, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    maps.write_text(f"7f00-7f01 r-xp 00000000 08:01 12 /somewhere/{path}\n")
    assert (f"/somewhere/{path}" in openmp.loaded_libraries(maps)) == is_openmp


def test_the_number_of_threads() -> None:
    assert default_threads(3) == 3
    assert default_threads(None) == available_cores() >= 1
