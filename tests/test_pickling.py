"""Kernels, specialisations and modules of kernels in other processes."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import polydsl

Array = np.ndarray[Any, Any]

START_METHODS = ("spawn", "fork", "forkserver")


@polydsl.kernel
def double(x: "T[N]", *, c: int = 2) -> "T[N]":  # noqa: UP037
    """c times x."""
    y[i] = x[i] * c
    return y


@polydsl.kernel
def quadruple(x: "f32[N]") -> "f32[N]":  # noqa: UP037
    h = double(x)
    y[i] = 2 * h[i]
    return y


TEXT = '''"""Some layers."""
from stdlib.activation import softmax

kernel warnings(x: f32[N]) -> f32[N]:
    y = softmax(x)
    return y

kernel product(a: f32[M, K], b: f32[K, N], s: f32) -> f32[M, N]:
    """A product."""
    c[i, j] += a[i, k] * b[k, j]
    d[i, j] = c[i, j] * s
    return d
'''

X = np.arange(5, dtype=np.float32)
A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.arange(12, dtype=np.float32).reshape(3, 4)


def layers() -> polydsl.KernelModule:
    return polydsl.loads(TEXT, "layers")


def sent(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


# In this process


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_kernel_comes_back(protocol: int) -> None:
    found = sent(quadruple, protocol)
    assert isinstance(found, polydsl.Kernel)
    assert found is not quadruple
    assert found.signature == quadruple.signature
    assert found.__module__ == __name__
    assert found.__qualname__ == "quadruple"
    np.testing.assert_array_equal(found(X), 4 * X)


def test_what_came_once_is_kept() -> None:
    assert sent(double) is sent(double)
    assert sent(double).configure(tune=0.0) is not sent(double)
    bound = layers().product.bind(b=B)
    assert sent(bound) is sent(bound)
    assert sent(bound) is not sent(layers().product.bind(b=B + 1))
    assert sent(double.bind(c=1)) is not sent(double.bind(c=2))
    special = double.specialize(X)
    assert sent(special) is sent(special)


def test_a_bound_kernel_comes_back() -> None:
    bound = layers().product.bind(b=B).bind(s=2.0)
    found = sent(bound)
    np.testing.assert_array_equal(found(A), 2 * A @ B)
    with pytest.raises(polydsl.ArgumentError, match="b is bound already"):
        found(A, b=B)
    np.testing.assert_array_equal(sent(double.bind(c=5))(X), 5 * X)
    assert type(sent(double.bind(c=5)).state.constants["c"]) is int


def test_bound_arrays_are_not_those_of_the_pickle() -> None:
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(
        layers().product.bind(b=B, s=1.0), 5, buffer_callback=buffers.append
    )
    memory = [bytearray(buffer.raw()) for buffer in buffers]
    found = pickle.loads(content, buffers=memory)
    for block in memory:
        block[:] = bytes(len(block))
    np.testing.assert_array_equal(found(A), A @ B)


@pytest.mark.parametrize(
    "array",
    [
        np.array(3, np.float32),
        np.zeros((0, 3), np.float32),
        np.ones((2, 2), ml_dtypes.bfloat16),
        np.asfortranarray(A),
    ],
)
def test_arrays_of_any_kind_are_bound(array: Array) -> None:
    kernel = polydsl.loads(
        "kernel f(x: T[...], k: i32) -> i32:\n    y = k\n    return y\n"
    ).f.bind(x=array)
    found = sent(kernel).state.bound["x"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert not found.flags.writeable


def test_settings_come_along() -> None:
    found = sent(layers().product.configure(ranker="polyrank", tune=0.5))
    assert found.state.settings.preference.ranker == "polyrank"
    assert found.state.settings.tune == 0.5


def test_a_specialisation_comes_back() -> None:
    special = layers().product.specialize("f32[2,3]", "f32[3,4]", s="f32")
    found = sent(special)
    assert found is not special
    assert found.compiled.from_cache
    np.testing.assert_array_equal(found(A, B, np.array(3, np.float32)), 3 * A @ B)
    bound = layers().product.bind(b=B).specialize(A, s=1.0)
    assert found.tensors == ("a", "b", "s")
    assert sent(bound).tensors == ("a", "s")
    np.testing.assert_array_equal(sent(bound)(A, np.array(1, np.float32)), A @ B)


def test_a_module_comes_back() -> None:
    module = layers()
    found = sent(module)
    assert repr(found) == repr(module)
    assert found.__doc__ == "Some layers."
    np.testing.assert_array_equal(found.product(A, B, 1.0), A @ B)
    assert sent(polydsl.stdlib.activation).softmax.name == "softmax"
    empty = sent(polydsl.loads('"""Nothing."""\n', "empty"))
    assert list(empty) == []


def test_a_deep_program_comes_back() -> None:
    deep = "(" * 60 + "x[i]" + " + 1.0)" * 60
    module = polydsl.loads(
        f"kernel f(x: f32[N]) -> f32[N]:\n    y[i] = {deep}\n    return y\n"
    )
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        content = pickle.dumps(module)
    finally:
        sys.setrecursionlimit(limit)
    np.testing.assert_array_equal(pickle.loads(content).f(X), X + 60)


def test_copies_are_the_same() -> None:
    module = layers()
    for value in (double, module.product.bind(b=B), double.specialize(X), module):
        assert copy.copy(value) is value
        assert copy.deepcopy([value]) == [value]


def test_errors_come_back() -> None:
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.loads("kernel f(x: f32[N]) -> f32[N]:\n    return z\n")
    assert str(sent(caught.value)) == str(caught.value)
    with pytest.raises(polydsl.ArgumentError) as refused:
        double()
    assert str(sent(refused.value)) == str(refused.value)


# In other processes


def run(kernel: Callable[..., Array], *arrays: Array) -> tuple[Array, int]:
    return kernel(*arrays), os.getpid()


def jobs() -> list[tuple[Any, tuple[Array, ...], Array]]:
    module = layers()
    scalar = np.array(2, np.float32)
    return [
        (quadruple, (X,), 4 * X),
        (double.bind(c=7), (X,), 7 * X),
        (module.product, (A, B, scalar), 2 * A @ B),
        (module.product.bind(b=B, s=1.0), (A,), A @ B),
        (module.product.specialize(A, B, scalar), (A, B, scalar), 2 * A @ B),
    ]


def check(results: list[tuple[Array, int]], expected: list[Array]) -> None:
    for (found, process), right in zip(results, expected, strict=True):
        assert process != os.getpid()
        np.testing.assert_array_equal(found, right)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_pool(method: str) -> None:
    context = multiprocessing.get_context(method)
    work = jobs()
    with context.Pool(2) as pool:
        results = pool.starmap(run, [(k, *arrays) for k, arrays, _ in work])
    check(results, [right for *_, right in work])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_pool_executor(method: str) -> None:
    context = multiprocessing.get_context(method)
    work = jobs()
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        futures = [executor.submit(run, k, *arrays) for k, arrays, _ in work]
        results = [future.result(timeout=300) for future in futures]
        direct = executor.submit(double, X).result(timeout=300)
    check(results, [right for *_, right in work])
    np.testing.assert_array_equal(direct, 2 * X)


def test_kernels_of_main_are_sent_by_value(tmp_path: Path) -> None:
    """The worker is another program: it has neither this file nor these kernels."""
    sender = tmp_path / "sender.py"
    sender.write_text(
        textwrap.dedent("""
            import pickle, sys
            import numpy as np
            import polydsl

            @polydsl.kernel
            def inner(x: "f32[N]") -> "f32[N]":
                y[i] = x[i] + 1
                return y

            @polydsl.kernel
            def outer(x: "f32[N]") -> "f32[N]":
                h = inner(x)
                y[i] = h[i] * 3
                return y

            layers = polydsl.load("own.pdl")
            values = (outer, layers, layers.four.specialize("f32[3]"))
            pickle.dump(values, open("sent.pickle", "wb"))
        """)
    )
    other, own = tmp_path / "other.pdl", tmp_path / "own.pdl"
    other.write_text(
        "kernel twice(x: f32[N]) -> f32[N]:\n    y[i] = 2 * x[i]\n    return y\n"
    )
    own.write_text(
        "from .other import twice\n\n"
        "kernel four(x: f32[N]) -> f32[N]:\n    h = twice(x)\n    y = twice(h)\n"
        "    return y\n"
    )
    environment = {**os.environ, "POLYDSL_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, sender], cwd=tmp_path, env=environment, check=True)
    for file in (sender, other, own):
        file.unlink()
    x = np.ones(3, np.float32)
    outer, module, special = pickle.loads((tmp_path / "sent.pickle").read_bytes())
    np.testing.assert_array_equal(outer(x), 6 * x)
    np.testing.assert_array_equal(module.four(x), 4 * x)
    np.testing.assert_array_equal(special(x), 4 * x)
