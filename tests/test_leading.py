"""Leading dimensions `...`: any number of them, the same in the whole kernel.

A program with `...` means what it means with that many indices written out. Both are
run natively and by the oracle, in both hosts.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polydsl

Array = np.ndarray[Any, Any]

HELPERS = """
kernel softmax(x: T[..., N]) -> T[..., N]:
    m[...] = max[i](x[..., i])
    e[..., i] = exp(x[..., i] - m[...])
    y[..., i] = e[..., i] / sum[j](e[..., j])
    return y

kernel matched(w: f32[M, N], x: f32[..., N], s: f32[...]) -> f32[..., M]:
    y[..., i] += w[i, j] * x[..., j] * s[...]
    return y

kernel total(x: T[...]) -> T[...]:
    y[...] = x[...] + x[...]
    return y
"""

STATEMENTS = (
    "a{n}[..., i] = x[..., i] * s[...] + b[i]",
    "a{n}[..., i] += x[..., i]",
    "a{n}: f32[..., N]\n    a{n}[..., i] = pad(x[..., i - 1], s[...])",
    "a{n}[..., i] = x[..., i] - max[k](x[..., k])",
    "a{n}[..., i] = x[..., i] if s[...] > 0 else b[i]",
    "a{n}[..., i] = where(i > 1, x[..., i], sum[k](x[..., k] * b[k]))",
    "a{n} = softmax(x)",
    "a{n} = matched(w, x, s)",
    "a{n} = total(x)",
    "t{n} = total(s)\n    a{n}[..., i] = t{n}[...] * b[i]",
    "t{n}[...] += x[..., i] * b[i]\n    a{n}[..., i] = t{n}[...] + x[..., i]",
    "t{n}[...] *= s[...]\n    a{n}[..., i] = t{n}[...] - b[i]",
    "t{n}[j] += x[..., j]\n    a{n}[..., i] = t{n}[i] + s[...]",
    "t{n} += s[...]\n    a{n}[..., i] = b[i] + t{n} * x[..., i]",
    "t{n}[..., i, j] = x[..., i] * b[j]\n    a{n}[..., i] = max[j](t{n}[..., i, j])",
    "t{n}[...] = argmax[k](x[..., k])\n    a{n}[..., i] = x[..., i] * t{n}[...]",
    "a{n}[..., i] = x[..., i] + pad(a{n}[..., i - 1], s[...]) / 2",
    "a{n}[..., i] = x[..., ids[i]]",
    "a{n}: f32[..., N]\n    a{n}[..., ids[i]] += x[..., i]",
)

HEADER = (
    "kernel f(x: f32[..., N], s: f32[...], b: f32[N], w: f32[N, N], ids: i32[N]) -> "
)


def program(statements: list[str]) -> str:
    """A kernel that returns what each of the statements gives for every x[..., i]."""
    types = ", ".join(["f32[..., N]"] * len(statements))
    lines = [f"{HEADER}({types}):"]
    lines += [f"    {text.format(n=n)}" for n, text in enumerate(statements)]
    names = ", ".join(f"a{n}" for n in range(len(statements)))
    return "\n".join([*lines, f"    return {names}", ""])


def written_out(text: str, lead: int) -> str:
    """Put indices and sizes for `...` in the kernel; helpers keep theirs."""
    sizes = [f"L{n}" for n in range(lead)]
    indices = [f"l{n}" for n in range(lead)]
    header, _, body = text.partition("\n")
    lines = [_replaced(header, sizes)]
    for line in body.splitlines():
        declared = re.match(r"\s+\w+: ", line)
        lines.append(_replaced(line, sizes if declared else indices))
    return "\n".join(lines) + "\n"


def _replaced(text: str, names: list[str]) -> str:
    """Write names for `...`; no bracket is left where there are none."""
    more = "".join(f"{name}, " for name in names)
    text = text.replace("..., ", more)
    return text.replace("[...]", f"[{', '.join(names)}]" if names else "")


def arguments(lead: tuple[int, ...], n: int, seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> Array:
        return np.asarray(generator.standard_normal(shape), np.float32)

    return {
        "x": np.moveaxis(draw(n, *lead), 0, -1),
        "s": draw(*lead),
        "b": draw(n),
        "w": draw(n, n),
        "ids": np.asarray(generator.integers(0, max(n, 1), n), np.int32),
    }


def in_both_forms(statements: list[str], lead: tuple[int, ...]) -> tuple[Any, Any]:
    """The program with `...`, and with an index for each leading dimension."""
    text = program(statements)
    long = written_out(text, len(lead))
    return polydsl.loads(HELPERS + text).f, polydsl.loads(HELPERS + long).f


def assert_same(found: Any, expected: Any, shape: tuple[int, ...]) -> None:
    for one, two in zip(_several(found), _several(expected), strict=True):
        assert one.shape == shape
        np.testing.assert_array_equal(one, two)


def _several(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=3),
    shapes,
    st.integers(1, 5),
    st.integers(0, 1000),
)
def test_they_are_that_many_more_indices(
    statements: list[str], lead: tuple[int, ...], n: int, seed: int
) -> None:
    short, long = in_both_forms(statements, lead)
    arrays = arguments(lead, n, seed)
    short.verify(**arrays)
    assert_same(short(**arrays), long(**arrays), (*lead, n))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=3),
    shapes,
    st.integers(1, 4),
    st.integers(0, 1000),
)
def test_they_are_so_to_the_oracle(
    statements: list[str], lead: tuple[int, ...], n: int, seed: int
) -> None:
    short, long = in_both_forms(statements, lead)
    arrays = arguments(lead, n, seed)
    assert_same(short.reference(**arrays), long.reference(**arrays), (*lead, n))


@pytest.mark.parametrize("lead", [(), (2,), (1, 3), (2, 1, 0), (1, 1, 2, 1, 1)])
def test_one_kernel_for_any_rank(lead: tuple[int, ...]) -> None:
    x = np.asarray(np.random.default_rng(0).standard_normal((*lead, 5)), np.float32)
    softmax = polydsl.loads(HELPERS).softmax
    e = np.exp(x - x.max(-1, keepdims=True)) if x.size else x
    out = np.empty_like(x)
    assert softmax(x, out=out) is out
    np.testing.assert_allclose(out, e / e.sum(-1, keepdims=True), rtol=1e-5)
    softmax.verify(x)


def test_a_decorated_kernel() -> None:
    @polydsl.kernel
    def norm(x: f32[..., N], g: f32[N]) -> f32[..., N]:
        m[...] = mean[i](x[..., i])
        y[..., i] = (x[..., i] - m[...]) * g[i]
        return y

    @polydsl.kernel
    def quoted(x: "f32[..., N]") -> "f32[...]":  # noqa: UP037
        y[...] = max[i](x[..., i])
        return y

    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    np.testing.assert_array_equal(
        norm(x, np.ones(3, np.float32)), x - x.mean(-1, keepdims=True)
    )
    np.testing.assert_array_equal(quoted(x), x.max(-1))
    assert quoted(x[0, 0]) == 2


def test_calls_with_other_numbers_of_leading_dimensions() -> None:
    """`...` of a called kernel stands for its own arguments' leading dimensions."""
    text = (
        "kernel g(x: f32[..., N]) -> f32[...]:\n"
        "    y[...] += x[..., i]\n    return y\n"
        "kernel f(x: f32[..., M, N]) -> (f32[..., M], f32[...]):\n"
        "    a = g(x)\n    b = g(a)\n    return a, b\n"
    )
    x = np.arange(24, dtype=np.float32).reshape(2, 1, 3, 4)
    kernel = polydsl.loads(text).f
    for array in (x, x[0], x[0, 0]):
        a, b = kernel(array)
        np.testing.assert_array_equal(a, array.sum(-1))
        np.testing.assert_array_equal(b, array.sum((-2, -1)))
        kernel.verify(array)


ONE = np.ones(3, np.float32)
TWO = np.ones((2, 3), np.float32)
THREE = np.ones((4, 2, 3), np.float32)


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        (
            "x: f32[..., N], y: f32[..., N]",
            (TWO, np.ones((5, 3), np.float32)),
            "f needs y: f32[..., N], and f32[5, 3] came: its dimension 0 is 5, but "
            "that of ... is 2 (dimension 0 of x)",
        ),
        (
            "x: f32[..., N], y: f32[..., N]",
            (THREE, TWO),
            "f needs y: f32[..., N], and f32[2, 3] came: it has 2 dimensions, not 3 "
            "(... is 2 in an argument before it)",
        ),
        (
            "x: f32[..., N], y: f32[..., N, N]",
            (ONE, ONE),
            "f needs y: f32[..., N, N], and f32[3] came: it has 1 dimension, not 2 "
            "(... is 0 in an argument before it)",
        ),
        (
            "x: f32[..., M, N], y: f32",
            (ONE, np.float32(1)),
            "f needs x: f32[..., M, N], and f32[3] came: it has 1 dimension, not 2 or "
            "more",
        ),
    ],
)
def test_arguments_that_do_not_fit(
    header: str, arrays: tuple[Any, ...], message: str
) -> None:
    text = f"kernel f({header}) -> f32:\n    r: f32\n    r = 1.0\n    return r\n"
    with pytest.raises(polydsl.ArgumentError) as caught:
        polydsl.loads(text).f(*arrays)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (
            "y[...] = x[i]",
            "x has 1 dimension behind ... and 1 subscript is given",
            "write x[..., i]",
        ),
        (
            "y[..., i] = x[..., i] * s",
            "s has no dimensions behind ... and no subscripts are given",
            "write s[...]",
        ),
        (
            "y[..., i] = x[..., i, 0]",
            "x has 1 dimension behind ... and 2 subscripts are given behind ...",
            "write x[..., i]",
        ),
        (
            "y[..., i] = b[..., i]",
            "b has 1 dimension and 1 subscript is given behind ...",
            "write b[i]",
        ),
        (
            "y[i, ...] = x[..., i]",
            "'...' stands for leading dimensions only",
            "put it first: x[..., i]",
        ),
        (
            "y[..., i] = x[..., i] + ...",
            "'...' stands for leading dimensions only",
            "write it first in a subscript or a type: x[..., i]",
        ),
    ],
)
def test_wrong_subscripts(body: str, message: str, hint: str) -> None:
    text = (
        f"kernel f(x: f32[..., N], s: f32[...], b: f32[N]):\n    {body}\n    return y\n"
    )
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.loads(text)
    found = caught.value.diagnostics[0]
    assert (found.message, found.hint) == (message, hint)


def test_a_type_without_a_parameter_that_binds_it() -> None:
    text = "kernel f(x: f32[N]) -> f32[..., N]:\n    y[..., i] = x[i]\n    return y\n"
    with pytest.raises(polydsl.ProgramError) as caught:
        polydsl.loads(text)
    assert [d.code for d in caught.value.diagnostics] == ["E0213", "E0213"]


@pytest.mark.parametrize("lead", [(), (2,), (2, 1)])
def test_places_are_shown_with_all_dimensions(lead: tuple[int, ...]) -> None:
    x = np.ones((*lead, 4), np.float32)
    header = "kernel f(x: f32[..., N]) -> f32[..., N]:\n"
    outside = polydsl.loads(header + "    y[..., i] = x[..., i + 1]\n    return y\n")
    with pytest.raises(polydsl.ProgramError) as caught:
        outside.f(x)
    (found,) = caught.value.diagnostics
    assert found.label == (
        f"i = 3 gives 4, but dimension {len(lead)} of x has extent 4"
    )
    partly = polydsl.loads(
        header + "    i in range(0, N - 1)\n    y[..., i] = x[..., i]\n    return y\n"
    )
    with pytest.raises(polydsl.ProgramError) as caught:
        partly.f(x)
    (found,) = caught.value.diagnostics
    place = ", ".join(["0"] * len(lead) + ["3"])
    assert found.label == f"y[{place}] is never defined"
