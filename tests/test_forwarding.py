"""Element-wise values that are computed where they are read: which, and that nothing
else changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

import polydsl
from polydsl.schedule.decision import Decision

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A program, the tensors that are computed where they are read, and why another
    one is not."""

    text: str
    arguments: Arguments
    fused: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


X = (("x", "f32", (5, 19)),)

FUSIONS = {
    "a chain": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j] * 2
    b[i, j] = exp(a[i, j])
    c[i, j] = b[i, j] + a[i, j]
    return c
""",
        X,
        ("a", "b"),
    ),
    "a reduction of it": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N]:
    a[i, j] = exp(x[i, j])
    y[i] += a[i, j]
    return y
""",
        X,
        ("a",),
    ),
    "several readers of what is dear": Fusion(
        """\
kernel f(x: f32[N, M]) -> (f32[N], f32[N, M]):
    a[i, j] = exp(x[i, j])
    y[i] += a[i, j]
    z[i, j] = a[i, j] / y[i]
    return y, z
""",
        X,
        (),
        (("a", "would be computed 2 times"),),
    ),
    "padding": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j] + 1
    y[i, j] = pad(a[i - 1, j + 2], 7)
    return y
""",
        X,
        ("a",),
    ),
    "windows of what is padded itself": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = pad(x[i, j - 1], 3) * 2 if i > 1 else 5
    b[i, j] = pad(a[i, j + 1], -1) + pad(a[i, j - 1])
    y[i, j] = b[i, j] if j % 3 == 0 else a[i, M - 1 - j]
    return y
""",
        X,
        ("b",),
        (("a", "would be computed 3 times"),),
    ),
    "the factor of a product": Fusion(
        """\
kernel f(x: f32[N, M], w: f32[M, K]) -> f32[N, K]:
    a[i, j] = relu(x[i, j])
    y[i, k] += a[i, j] * w[j, k]
    return y
""",
        (*X, ("w", "f32", (19, 17))),
        (),
        (("a", "factor of the product y"),),
    ),
    "a subscript": Fusion(
        """\
kernel f(x: f32[N, M], n: i32[K]) -> f32[K, M]:
    a[k] = i64(n[k]) + 1
    y[k, j] = x[a[k], j]
    return y
""",
        (*X, ("n", "i32", (7,))),
        (),
        (("a", "subscript, or checked"),),
    ),
    "a subscript on the left": Fusion(
        """\
kernel f(x: f32[N], n: i32[N], *, V: int = 9) -> f32[V]:
    a[i] = i64(n[i]) + 1
    y[a[i]] += x[i]
    return y
""",
        (("x", "f32", (19,)), ("n", "i32", (19,))),
        (),
        (("a", "subscript, or checked"),),
    ),
    "at subscripts that depend on data": Fusion(
        """\
kernel f(x: f32[N, M], n: i32[K]) -> f32[K, M]:
    a[i, j] = x[i, j] + 1 if i > 0 else 0
    y[k, j] = a[n[k], j]
    return y
""",
        (*X, ("n", "i32", (7,))),
        (),
        (("a", "subscripts that depend on data"),),
    ),
    "at subscripts that are not linear": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a[i, j] = x[i, j // 2] + 1
    y[i, j] = a[i, j // 2]
    return y
""",
        X,
        (),
        (("a", "not linear"),),
    ),
    "a recurrence": Fusion(
        """\
kernel f(x: f32[T, N]) -> f32[T, N]:
    g[t, i] = 0.5 * pad(h[t - 1, i]) + x[t, i]
    h[t, i] = tanh(g[t, i])
    return h
""",
        (("x", "f32", (9, 19)),),
        ("g",),
    ),
    "narrow numbers are rounded as before": Fusion(
        """\
kernel f(x: i32[N], h: f16[N]) -> (i32[N], f32[N]):
    a: i8[N]
    a[i] = x[i] * 3
    y[i] = a[i] * 1000
    b: f16[N]
    b[i] = h[i] * 1.001
    z[i] = b[i] * 1000.0
    return y, z
""",
        (("x", "i32", (37,)), ("h", "f16", (37,))),
        ("a", "b"),
    ),
    "a result stays": Fusion(
        """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[N, M]):
    a[i, j] = x[i, j] + 1
    b[i, j] = a[i, j] * 2
    return a, b
""",
        X,
    ),
    "what is not defined everywhere stays": Fusion(
        """\
kernel f(x: f32[N, M]) -> f32[N, M]:
    a: f32[N, M]
    i in range(1, N)
    a[i, j] = x[i, j] + 1
    n in range(N)
    y[n, j] = pad(a[n, j], 9)
    return y
""",
        X,
    ),
}
names = pytest.mark.parametrize("name", FUSIONS)


def decisions(fusion: Fusion, fuse: str) -> dict[str, Decision]:
    """Return the decisions about tensors that may be fused, by tensor."""
    case = Case(Program(fusion.text, fusion.arguments), ROWS[0], fuse=fuse)
    schedule = run_case(case).state.schedule
    assert schedule is not None
    found = [d for d in schedule.decisions if " into " in d.subject]
    return {d.subject.partition(" ")[0]: d for d in found}


@names
@pytest.mark.parametrize("fuse", ["all", "elementwise"])
def test_values_are_computed_where_they_are_read(name: str, fuse: str) -> None:
    fusion = FUSIONS[name]
    found = decisions(fusion, fuse)
    fused = [t for t, d in found.items() if d.chosen.startswith("fused")]
    assert fused == list(fusion.fused)
    for tensor, reason in fusion.kept:
        assert found[tensor].chosen == "not fused"
        assert reason in found[tensor].reason
    assert len(found) == len(fusion.fused) + len(fusion.kept)


@names
def test_nothing_is_fused_for_who_wants_none(name: str) -> None:
    assert decisions(FUSIONS[name], "none") == {}


@names
def test_any_plan_of_what_is_fused(name: str) -> None:
    fusion = FUSIONS[name]
    program = Program(fusion.text, fusion.arguments)
    for number, isa in enumerate(ROWS):
        run_case(Case(program, isa, shuffle=number))


def test_explain_says_what_is_fused() -> None:
    kernel = polydsl.loads(FUSIONS["a chain"].text).f
    x = np.zeros((5, 19), np.float32)
    text = kernel.explain(x)
    assert "a into b, c: fused, computed where it is read" in text
    text = kernel.configure(fuse="none").explain(x)
    assert "asked for: fuse none" in text
    assert "into" not in text


def test_other_words_are_refused() -> None:
    kernel = polydsl.loads(FUSIONS["a chain"].text).f
    with pytest.raises(polydsl.ArgumentError, match="none, elementwise, all"):
        kernel.configure(fuse="some")
