"""Programs that are run in processes of their own while something goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from polydsl.backend.cache import ObjectCache

PRELUDE = '''
import os, random, resource, signal, sys, threading, time
import numpy as np
import polydsl

TEXT = """
kernel product(a: f32[M, K], b: f32[K, N], *, c: float = 1.0) -> f32[M, N]:
    d[i, j] += a[i, k] * b[k, j]
    e[i, j] = relu(d[i, j] * c)
    return e
"""

def product():
    """Return the kernel, without anything that it compiled."""
    return polydsl.loads(TEXT).product

def arrays(n):
    generator = np.random.default_rng(n)
    return [np.asarray(generator.standard_normal(s), np.float32)
            for s in ((n, 7), (7, n + 1))]

def check(kernel, n, c=1.0, **options):
    a, b = arrays(n)
    found = kernel(a, b, c=c, **options)
    np.testing.assert_allclose(found, np.maximum(a @ b * c, 0), rtol=1e-4, atol=1e-4)
    return found

def interrupt(seconds):
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGINT)

def interrupt_again(unraisable):
    """Python drops what a finaliser raises: a user presses Ctrl-C once more."""
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Thread(target=interrupt, args=(0.01,)).start()
    else:
        sys.__unraisablehook__(unraisable)

sys.unraisablehook = interrupt_again
# A shell starts what runs in the background with interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
'''
"""A kernel, how it is checked, and how it is interrupted."""


OPTIONS = ("-X", "faulthandler", "-W", "ignore:.*fork:DeprecationWarning")
"""Later Pythons warn of every fork beside threads: that is what is tested."""


def surroundings(**environment: str) -> dict[str, str]:
    """Return the environment of a user's process, where threads of OpenMP wait as they
    do by themselves (see `conftest`)."""
    kept = {n: v for n, v in os.environ.items() if n != "OMP_WAIT_POLICY"}
    return {**kept, **environment}


def started(program: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a program with a cache folder."""
    return subprocess.Popen(
        [
            sys.executable,
            *OPTIONS,
            "-c",
            PRELUDE + textwrap.dedent(program),
        ],
        env=surroundings(POLYDSL_CACHE_DIR=str(folder), **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], seconds: float = 240.0) -> str:
    """Return what a program printed, which went well and wrote no error."""
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")
    return output


def run(program: str, folder: Path, **environment: str) -> str:
    """Run a program with a cache folder and return what it printed."""
    return finished(started(program, folder, **environment))


def entries(folder: Path) -> list[Path]:
    """Return the files of the cache's entries."""
    return sorted(folder.glob("*.object"))


def assert_whole(folder: Path) -> None:
    """Check that a cache holds entries, all of them whole, and nothing unfinished."""
    assert entries(folder)
    assert not list(folder.glob("*.unfinished"))
    for path in entries(folder):
        assert entry_is_whole(path), path


def entry_is_whole(path: Path) -> bool:
    """Whether an entry is found by its key, which stands in it."""
    content = path.read_bytes()
    head = len(b"polydsl object 1") + 32
    length = int.from_bytes(content[head : head + 8], "little")
    key = content[head + 24 : head + 24 + length]
    try:
        found = ObjectCache(path.parent).get(key.decode())
    except UnicodeDecodeError:
        return False
    return found is not None
