"""Kernels as values of Python: names, attributes, modules, calls by plain name."""

from __future__ import annotations

import functools
import inspect
import pydoc
import types
from collections.abc import Callable
from typing import Any

import kernels_elsewhere
import numpy as np
import pytest
from kernels_elsewhere import doubled, inc, layers
from kernels_elsewhere import half as halved

import polydsl

X = np.arange(1, 4, dtype=np.float32)

TEXT = '''"""Some layers."""
from stdlib.activation import softmax

kernel warnings(x: f32[N]) -> f32[N]:
    y = softmax(x)
    return y

kernel scaled(x: f32[N], s: f32) -> f32[N]:
    """s times x."""
    y[i] = x[i] * s
    return y
'''

number = 3


@polydsl.kernel
def of_others(x: T[N]) -> T[N]:
    h = halved(x)
    y = inc(h)
    return y


@polydsl.kernel
def of_own(x: T[N]) -> T[N]:
    h = of_others(x)
    y[i] = h[i] * 2
    return y


def test_kernels_are_called_by_their_names_here() -> None:
    np.testing.assert_array_equal(of_others(X), X / 2 + 1)
    np.testing.assert_array_equal(of_own(X), X + 2)


def test_kernels_around_the_function_are_seen() -> None:
    inner = kernels_elsewhere.layers.inc

    @polydsl.kernel
    def f(x: T[N]) -> T[N]:
        y = inner(x)
        return y

    inner = halved
    np.testing.assert_array_equal(f(X), X + 1)


def test_the_innermost_name_counts() -> None:
    halved = inc

    @polydsl.kernel
    def f(x: T[N]) -> T[N]:
        y = halved(x)
        return y

    np.testing.assert_array_equal(f(X), X + 1)


def test_a_wrapped_function_sees_what_it_saw() -> None:
    inner = halved

    def f(x: T[N]) -> T[N]:
        y = inner(x)
        return y

    @functools.wraps(f)
    def wrapper(*arguments: object) -> object:
        return f(*arguments)

    np.testing.assert_array_equal(polydsl.kernel(wrapper)(X), X / 2)


def test_words_of_the_language_stay() -> None:
    relu = inc

    @polydsl.kernel
    def f(x: f32) -> f32:
        y = relu(x)
        return y

    assert relu is inc
    assert f(-3.0) == 0


def test_a_kernel_in_a_class() -> None:
    class Net:
        inner = inc

        @polydsl.kernel
        def f(x: T[N]) -> T[N]:
            y[i] = x[i] * 3
            return y

    np.testing.assert_array_equal(Net.f(X), X * 3)
    np.testing.assert_array_equal(Net().f(X), X * 3)
    assert Net.f.__qualname__.endswith("Net.f")


def refused(define: Callable[[], object]) -> str:
    with pytest.raises(polydsl.ProgramError) as caught:
        define()
    (found,) = caught.value.diagnostics
    assert found.span.source.name == __file__
    return f"{found.code}: {found.hint}"


def test_other_values_are_not_seen() -> None:
    def function() -> None:
        @polydsl.kernel
        def f(x: T[N]) -> T[N]:
            y = doubled(x)
            return y

    def module() -> None:
        @polydsl.kernel
        def f(x: T[N]) -> T[N]:
            y = layers(x)
            return y

    def constant() -> None:
        @polydsl.kernel
        def f(x: T[N]) -> T[N]:
            y = number(x)
            return y

    def nothing() -> None:
        @polydsl.kernel
        def f(x: T[N]) -> T[N]:
            y = defined_later(x)
            return y

    assert refused(function) == (
        "E0401: it is a Python function: make it a kernel with @polydsl.kernel"
    )
    assert refused(module) == (
        "E0401: it is a module of kernels; give one of them a name: g = layers.g"
    )
    assert refused(constant) == "E0401: it is a int of Python, and no kernel"
    assert refused(nothing) == ("E0401: define the kernel defined_later, or import it")


def test_globals_are_no_constants() -> None:
    def define() -> None:
        @polydsl.kernel
        def f(x: T[N]) -> T[N]:
            y[i] = x[i] * number
            return y

    assert refused(define).startswith("E0103: ")


def test_recursion_is_refused() -> None:
    def define() -> None:
        @polydsl.kernel
        def inc(x: T[N]) -> T[N]:
            y = inc(x)
            return y

    assert refused(define).startswith("E0408: ")


# Modules of kernels


def module() -> polydsl.KernelModule:
    return polydsl.loads(TEXT, "layers")


def test_a_module_shows_its_own_kernels() -> None:
    found = module()
    assert isinstance(found, types.ModuleType)
    assert dir(found) == ["scaled", "warnings"]
    assert [kernel.name for kernel in found] == ["warnings", "scaled"]
    assert repr(found) == "<polydsl kernels of layers: warnings, scaled>"
    assert found.__name__ == "layers"
    assert found.__doc__ == "Some layers."
    assert [name for name, _ in inspect.getmembers(found)] == dir(found)
    assert found.scaled is found.scaled


def test_a_kernel_may_have_any_name() -> None:
    """Also one that the module would like to use itself."""
    found = module().warnings
    assert isinstance(found, polydsl.Kernel)
    np.testing.assert_allclose(found(X).sum(), 1, rtol=1e-6)
    text = "kernel _library(x: T[N]) -> T[N]:\n    y[i] = x[i]\n    return y\n"
    other = polydsl.loads(text)
    assert dir(other) == ["_library"]
    assert other.warnings == ()


def test_warnings_are_those_of_the_file() -> None:
    found = polydsl.loads(
        "kernel f(a: f32[M, K], c: f32[M]) -> f32[M]:\n"
        "    y[i] += a[i, k] + c[i]\n    return y\n"
    )
    assert [warning.code for warning in found.warnings] == ["W0101"]


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError) as caught:
        module().scale
    message = "layers has no kernel scale; did you mean scaled?"
    assert str(caught.value) == message
    assert not hasattr(module(), "__path__")
    assert not hasattr(module(), "softmax")


def help_of(value: Any) -> str:
    return pydoc.render_doc(value, renderer=pydoc.plaintext)


def test_help() -> None:
    text = help_of(module())
    assert "layers - Some layers." in text
    assert (
        "scaled = <polydsl kernel scaled(x: f32[N], s: f32) -> f32[N]>\n"
        "        s times x." in text
    )
    assert "softmax" not in text
    text = help_of(module().scaled)
    assert "scaled(x: f32[N], s: f32) -> f32[N]" in text
    assert "s times x." in text
    library = help_of(polydsl.stdlib.activation)
    assert "softmax = <polydsl kernel softmax(x: T[..., N]) -> T[..., N]>" in library


def test_the_file_of_a_module(tmp_path: Any) -> None:
    path = tmp_path / "layers.pdl"
    path.write_text(TEXT, encoding="utf-8")
    found = polydsl.load(path)
    assert found.__file__ == str(path)
    assert str(path) in help_of(found)
    assert dir(found) == ["scaled", "warnings"]
    for loaded in (polydsl.load(str(path)), polydsl.load(path)):
        assert repr(loaded) == repr(found)
