"""What bound tensors alone decide is computed before the first call, and only that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from ahead_harness import library_of, verified

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.backend.isa import GENERIC
from polydsl.base.diagnostics import CompilerBug
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.loops.verify import verify_nest
from polydsl.schedule.once import computed_once

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """A program, the shapes of its tensors, those that are bound, and the tensors that
    are computed once, as they are fused and as they are written."""

    text: str
    shapes: dict[str, tuple[int, ...]]
    bound: tuple[str, ...]
    fused: tuple[str, ...]
    written: tuple[str, ...]


PRODUCTS = {"x": (5, 12), "w": (12, 20), "a": (12, 3), "b": (3, 20)}
ADAPTED = """\
kernel f(x: f32[N, I], w: f32[I, J], a: f32[I, R], b: f32[R, J]) -> f32[N, J]:
    d[i, j] += a[i, r] * b[r, j]
    m[i, j] = w[i, j] + d[i, j]
    y[n, j] += x[n, i] * m[i, j]
    return y
"""
PROGRAMS = {
    "a product, added to weights": Bound(
        ADAPTED,
        PRODUCTS,
        ("w", "a", "b"),
        ("d", "m"),
        ("d", "m"),
    ),
    "only a part is bound": Bound(
        ADAPTED,
        PRODUCTS,
        ("a", "b"),
        ("d",),
        ("d",),
    ),
    "norms of weights": Bound(
        """\
kernel f(x: f32[N, I], w: f32[I, J]) -> f32[N, J]:
    s[j] += w[i, j] ** 2
    r[j] = 1 / sqrt(s[j] + 1)
    y[n, j] += x[n, i] * w[i, j] * r[j]
    return y
""",
        {"x": (5, 12), "w": (12, 20)},
        ("w",),
        ("s", "r"),
        ("s", "r"),
    ),
    "a table of dear values": Bound(
        """\
kernel f(x: f32[T, D], f: f32[D]) -> f32[T, D]:
    c[t, d] = cos(t * f[d])
    h[t, d] = 2 * f[d]
    y[t, d] = x[t, d] * c[t, d] + x[t, D - 1 - d] * h[t, d]
    return y
""",
        {"x": (9, 19), "f": (19,)},
        ("f",),
        ("c",),
        ("c", "h"),
    ),
    "steps of a product": Bound(
        """\
kernel f(x: f32[N, I], a: f32[I, J], b: f32[J, K], c: f32[K, L]) -> f32[N, L]:
    y[n, l] += x[n, i] * a[i, j] * b[j, k] * c[k, l]
    return y
""",
        {"x": (2, 20), "a": (20, 19), "b": (19, 18), "c": (18, 17)},
        ("a", "b", "c"),
        ("a_b", "a_b_c"),
        (),
    ),
    "two products, one after the other": Bound(
        """\
kernel f(x: f32[N], a: f32[P, Q], b: f32[3, P, K]) -> f32[K, N]:
    r in range(3)
    q in range(Q)
    m[p, q] = max[r](pad(a[p, q + r - 1], -inf))
    d[k, q] += pad(m[p, q + r - 1]) * b[r, p, k]
    s[k] += d[k, q]
    y[k, n] = x[n] * s[k]
    return y
""",
        {"x": (4,), "a": (8, 13), "b": (3, 8, 3)},
        ("a", "b"),
        ("m_max", "m", "d", "s"),
        ("m_max", "m", "d", "s"),
    ),
    "a result is made in each call": Bound(
        """\
kernel f(x: f32[N], a: f32[N, M]) -> (f32[N], f32[N], f32[M]):
    s[i] += a[i, j]
    h[i] = exp(s[i])
    e[j] = exp(a[0, j])
    y[i] = x[i] * h[i]
    return y, h, e
""",
        {"x": (9,), "a": (9, 5)},
        ("a",),
        ("s",),
        ("s",),
    ),
    "recurrences stay": Bound(
        """\
kernel f(x: f32[N], a: f32[N]) -> f32[N]:
    s[i] = pad(s[i - 1]) * 0.5 + a[i]
    y[i] = x[i] + s[i]
    return y
""",
        {"x": (9,), "a": (9,)},
        ("a",),
        (),
        (),
    ),
}


def arrays_of(program: Bound) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    drawn = {n: rng.standard_normal(s) for n, s in program.shapes.items()}
    return {name: array.astype(np.float32) for name, array in drawn.items()}


@pytest.mark.parametrize("fuse", ["all", "none"])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_values_and_what_is_computed_once(program: Bound, fuse: str) -> None:
    arrays = arrays_of(program)
    bound = {name: arrays[name] for name in program.bound}
    free = {name: array for name, array in arrays.items() if name not in bound}
    plain = polydsl.loads(program.text).f.configure(fuse=fuse)
    kernel = plain.bind(**bound)
    state = compile_until(begin(kernel.specialize(**free).request, toolchain()), "scop")
    assert state.scop is not None
    made = program.fused if fuse == "all" else program.written
    assert {*computed_once(state.scop)} == {*made}
    text = kernel.explain(**free)
    assert all(f"{name} once: computed before the first call" in text for name in made)
    assert "once: computed" not in plain.explain(**arrays)
    for _ in range(2):
        # What is kept must not wear out.
        kernel.verify(**free)
    for array in bound.values():
        array[...] = np.nan
    kernel.verify(**free)


def test_a_subscript_of_bound_tensors_is_checked_in_each_call() -> None:
    text = """\
kernel f(x: f32[N], t: f32[V], ids: i64[N]) -> f32[N]:
    e[i] = exp(t[ids[i]])
    y[i] += e[j] * x[i]
    return y
"""
    t, ids = np.ones(5, np.float32), np.array([1, 4, 0])
    kernel = polydsl.loads(text).f
    x = np.ones(3, np.float32)
    good = kernel.bind(t=t, ids=ids)
    good.verify(x)
    wrong = kernel.bind(t=t, ids=ids + 1)
    for _ in range(2):
        with pytest.raises(polydsl.SubscriptError):
            wrong(x)


def test_ahead_of_time_too(tmp_path: Any) -> None:
    program = PROGRAMS["a product, added to weights"]
    arrays = arrays_of(program)
    kernel = polydsl.loads(program.text).f.bind(
        **{name: arrays[name] for name in program.bound}
    )
    special = kernel.specialize(x=arrays["x"])
    library = library_of(special, tmp_path, (GENERIC,))
    verified(special, arrays, library.run(arrays))


def test_the_proof_does_not_take_the_word_of_who_planned() -> None:
    program = PROGRAMS["norms of weights"]
    layouts = {n: layout_of(a) for n, a in arrays_of(program).items()}
    library = polydsl.loads(program.text).f.library
    request = Request(library, "f", layouts, {}, (), frozenset({"w"}))
    state = compile_until(begin(request, toolchain()), "nest")
    scop, schedule, nest = state.scop, state.schedule, state.nest
    assert scop is not None and schedule is not None and nest is not None
    verify_nest(scop, schedule, nest)
    with pytest.raises(CompilerBug, match="w is not known before a call"):
        verify_nest(scop, replace(schedule, bound=frozenset()), nest)
    fleeting = [
        replace(b, memory="scratch") if b.memory == "prepared" and b.name == "r" else b
        for b in nest.buffers
    ]
    assert fleeting != [*nest.buffers]
    with pytest.raises(CompilerBug, match="r does not last until a call"):
        verify_nest(scop, schedule, replace(nest, buffers=tuple(fleeting)))
    late = replace(nest, prepare=(), body=(*nest.prepare, *nest.body))
    with pytest.raises(CompilerBug, match="is not written here"):
        verify_nest(scop, schedule, late)
