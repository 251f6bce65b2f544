"""Softmaxes in blocks of columns: which are, in which forms, and what of numbers that
are none; and that memory for scores does not grow with the length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program_builder import Builder, Program
from program_harness import ROWS, Case, run_case
from test_row_blocks import scratch

import polydsl
from polydsl.driver.stages import Compilation
from polydsl.loops.verify_buffers import is_contracted
from polydsl.schedule import softmax_blocks

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@contextmanager
def blocks(columns: int = 8, rows: int = 4, start: float = -1e9) -> Iterator[None]:
    """Compute softmaxes in blocks of about so many columns, as if rows were too long,
    and these in blocks of rows."""
    with ExitStack() as stack:
        for name, value in {
            "softmax_blocks.SHARE": -1.0,
            "softmax_blocks.COLUMNS": (columns, columns),
            "fusion_chain.ROWS": (rows,),
            "share.LEAST_PRODUCT": 0,
            "fusion_chain.START": start,
        }.items():
            stack.enter_context(patch(f"polydsl.schedule.{name}", value))
        yield


@dataclass(frozen=True, slots=True)
class Softmax:
    """A program, and the exponentials in it that are in blocks of 8 columns."""

    text: str
    arguments: Arguments
    found: str = "e along j"


def heads(h: int, t: int, s: int, d: int, dtype: str = "f32") -> Arguments:
    """Return the arguments of attention."""
    shapes = {"q": (h, t, d), "k": (h, s, d), "v": (h, s, d)}
    return tuple((name, dtype, shape) for name, shape in shapes.items())


HEADER = "kernel f(q: T[H, L, D], k: T[H, S, D], v: T[H, S, D]) -> "
SCORES = "    s[h, i, j] += q[h, i, d] * k[h, j, d]\n"
MAXIMUM = "    m[h, i] = max[j](s[h, i, j])\n"
PLAIN = HEADER + "T[H, L, D]:\n" + SCORES + MAXIMUM
EXPONENTIALS = "    e[h, i, j] = exp(s[h, i, j] - m[h, i])\n"
TOTAL = "    l[h, i] += e[h, i, j]\n"
SUM = "    o[h, i, d] += e[h, i, j] * v[h, j, d]\n"

SOFTMAXES = {
    "divided after the product": Softmax(
        PLAIN + EXPONENTIALS + TOTAL + SUM + "    y[h, i, d] = o[h, i, d] / l[h, i]\n"
        "    return y\n",
        heads(2, 12, 24, 16),
    ),
    "divided before it, and a rest": Softmax(
        PLAIN
        + EXPONENTIALS
        + TOTAL
        + "    p[h, i, j] = e[h, i, j] / l[h, i]\n"
        + "    y[h, i, d] += p[h, i, j] * v[h, j, d]\n    return y\n",
        heads(2, 11, 29, 16),
    ),
    "scaled inside": Softmax(
        PLAIN
        + "    e[h, i, j] = exp2(0.5 * (s[h, i, j] - m[h, i]) / sqrt(D))\n"
        + TOTAL
        + "    y[h, i, d] += v[h, j, d] * e[h, i, j] / l[h, i]\n    return y\n",
        heads(1, 8, 27, 16, "f64"),
    ),
    "scores that are computed": Softmax(
        """\
kernel f(q: f32[L, D], k: f32[S, D], v: f32[S, E], b: f32[L, S]) -> f32[L, E]:
    s[i, j] += q[i, d] * k[j, d]
    z[i, j] = tanh(s[i, j]) if b[i, j] > -0.2 else -inf
    m[i] = max[j](z[i, j])
    e[i, j] = exp(z[i, j] - m[i])
    l[i] += e[i, j]
    y[i, c] += e[i, j] / l[i] * v[j, c]
    return y
""",
        (
            ("q", "f32", (9, 16)),
            ("k", "f32", (31, 16)),
            ("v", "f32", (31, 24)),
            ("b", "f32", (9, 31)),
        ),
    ),
    "what others need, too": Softmax(
        HEADER
        + "(T[H, L, D], T[H, L], T[H, L]):\n"
        + SCORES
        + MAXIMUM
        + EXPONENTIALS
        + TOTAL
        + SUM
        + "    a[h, i] = m[h, i] + log(l[h, i])\n    return o, l, a\n",
        heads(2, 8, 26, 16),
    ),
    "two products": Softmax(
        PLAIN
        + EXPONENTIALS
        + SUM
        + "    w[h, i, d] += e[h, i, j] * k[h, j, d]\n"
        + "    y[h, i, d] = o[h, i, d] * w[h, i, d]\n    return y\n",
        heads(2, 8, 21, 16),
    ),
    "no product": Softmax(
        """\
kernel f(x: f32[N, C], w: f32[C]) -> f32[N]:
    e[n, c] = exp(x[n, c] - max[k](x[n, k]))
    l[n] += e[n, c]
    y[n] += e[n, c] * w[c]
    z[n] = y[n] / l[n]
    return z
""",
        (("x", "f32", (7, 43)), ("w", "f32", (43,))),
        "e along c",
    ),
    "one row": Softmax(
        """\
kernel f(x: f32[C], v: f32[C, D]) -> f32[D]:
    e[c] = exp(x[c] - max[k](x[k]))
    l = sum[c](e[c])
    y[d] += e[c] * v[c, d]
    z[d] = y[d] / l
    return z
""",
        (("x", "f32", (43,)), ("v", "f32", (43, 16))),
        "e along c",
    ),
}


def run(name: str, isa: int = 0, **changes: int) -> Compilation:
    softmax = SOFTMAXES[name]
    program = Program(softmax.text, softmax.arguments)
    return run_case(Case(program, ROWS[isa], **changes)).state


def decisions(state: Compilation) -> dict[str, str]:
    """Return what was decided about softmaxes."""
    assert state.schedule is not None
    found = {d.subject: d.chosen for d in state.schedule.decisions}
    return {s: c for s, c in found.items() if " along " in s and "column" in c}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_softmaxes_are_in_blocks_of_columns(name: str) -> None:
    with blocks():
        state = run(name)
    kernel = polydsl.loads(SOFTMAXES[name].text).f
    rng = np.random.default_rng(0)
    arguments = [
        rng.standard_normal(shape).astype("f8" if dtype == "f64" else "f4")
        for _, dtype, shape in SOFTMAXES[name].arguments
    ]
    with blocks():
        found = kernel.specialize(*arguments)(*arguments)
    wanted = kernel.reference(*arguments)
    pairs = zip(found, wanted) if isinstance(found, tuple) else [(found, wanted)]
    for one, other in pairs:
        np.testing.assert_allclose(one, other, 1e-4, 1e-5)
    chosen = decisions(state)
    assert [*chosen] == [SOFTMAXES[name].found]
    assert "in blocks of" in chosen[SOFTMAXES[name].found]
    assert state.nest is not None
    kept = {b.name for b in state.nest.buffers if is_contracted(b)}
    assert "e_block" in kept and not any(b.name == "e" for b in state.nest.buffers)


@pytest.mark.parametrize("name", ["what others need, too"])
def test_any_blocks_and_tiles(name: str) -> None:
    seed = [*SOFTMAXES].index(name)
    with blocks(3 + seed, 3, 0.0), patch("polydsl.schedule.schedule.LEAST_POINTS", 0):
        run(name, -1)
        run(name, seed % len(ROWS), points=seed)


# What stays as it is


REFUSED = {
    "the exponentials are returned": HEADER
    + "(T[H, L, D], T[H, L, S]):\n"
    + SCORES
    + MAXIMUM
    + EXPONENTIALS
    + SUM
    + "    return o, e\n",
    "a sum that needs another one": PLAIN
    + EXPONENTIALS
    + TOTAL
    + "    y[h, i] += e[h, i, j] * exp(-l[h, i] * v[h, j, 0])\n"
    + "    o[h, i, d] = y[h, i] * v[h, i, d]\n    return o\n",
    "a square of exponentials": PLAIN
    + EXPONENTIALS
    + SUM
    + "    l[h, i] += e[h, i, j] * e[h, i, j]\n"
    + "    y[h, i, d] = o[h, i, d] / l[h, i]\n    return y\n",
    "the maximum of something else": PLAIN
    + "    e[h, i, j] = exp(2 * s[h, i, j] - m[h, i])\n"
    + TOTAL
    + SUM
    + "    y[h, i, d] = o[h, i, d] / l[h, i]\n    return y\n",
    "scaled by a negative number": PLAIN
    + "    e[h, i, j] = exp((s[h, i, j] - m[h, i]) * -0.5)\n"
    + TOTAL
    + SUM
    + "    y[h, i, d] = o[h, i, d] / l[h, i]\n    return y\n",
    "another row's maximum": PLAIN
    + "    e[h, i, j] = exp(s[h, i, j] - m[h, L - 1 - i])\n"
    + TOTAL
    + SUM
    + "    y[h, i, d] = o[h, i, d] / l[h, i]\n    return y\n",
    "another row's exponentials": PLAIN
    + EXPONENTIALS
    + TOTAL
    + "    o[h, i, d] += e[h, L - 1 - i, j] * v[h, j, d]\n"
    + "    y[h, i, d] = o[h, i, d] / l[h, i]\n    return y\n",
    "sums along the rows": PLAIN
    + EXPONENTIALS
    + TOTAL
    + "    c[h, j, d] += e[h, i, j] * q[h, i, d]\n"
    + "    y[h, i, d] = c[h, i, d] / l[h, i]\n    return y\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_softmax_is_whole(name: str) -> None:
    program = Program(REFUSED[name], heads(2, 20, 20, 16))
    with blocks():
        state = run_case(Case(program, ROWS[0])).state
    assert not decisions(state)


def test_nothing_is_in_blocks_where_rows_fit() -> None:
    softmax = SOFTMAXES["divided after the product"]
    program = Program(softmax.text, heads(1, 64, 96, 16))
    with patch("polydsl.schedule.softmax_blocks.COLUMNS", (8, 8)):
        chosen = decisions(run_case(Case(program, ROWS[0])).state)
    assert chosen == {"e along j": softmax_blocks.WHOLE}


def test_a_triangle_of_scores_is_whole() -> None:
    text = PLAIN + EXPONENTIALS + TOTAL + SUM + "    return o, l\n"
    text = text.replace(
        "T[H, L, D]:\n", "(T[H, L, D], T[H, L]):\n    j in range(i + 1)\n"
    )
    with blocks():
        case = Case(Program(text, heads(1, 20, 20, 16)), ROWS[0])
        state = run_case(case).state
    assert decisions(state) == {"e along j": softmax_blocks.WHOLE}
    found = {d.subject: d.reason for d in state.fusions}
    assert found["e along j"] == "the domain of its rows is no box"


# Memory


def test_memory_for_scores_does_not_grow_with_the_length() -> None:
    """There are those of a block, and one more tensor like the result. No block of
    whole rows is near at such a length."""
    special = "f32[1,65536,64]"
    attention = polydsl.stdlib.attention.attention
    text = attention.specialize(special, special, special).explain()
    assert "softmax_1_e along softmax_1_i: in blocks of 512 columns" in text
    assert scratch(text) < 1.25 * 65536 * 64 * 4 / 1024


# Numbers that are none


def special_scores(rng: np.random.Generator, columns: int) -> np.ndarray:
    """Return rows of scores: blocks of -inf, infinities and NaN in some places."""
    rows = rng.standard_normal((12, columns)).astype(np.float32)
    rows[0, :8] = -np.inf
    rows[1, 8:16] = -np.inf
    rows[2, :-1] = -np.inf
    rows[3, :] = -np.inf
    rows[4, 3] = np.inf
    rows[5, 20] = np.inf
    rows[6, 2] = np.nan
    rows[7, :8], rows[7, 10] = -np.inf, np.nan
    rows[8, 1:], rows[8, 0] = -np.inf, -3e38
    rows[9, :8], rows[9, 8:] = -300.0, 300.0
    rows[10, ::2] = -np.inf
    return rows


@pytest.mark.parametrize("columns", [24, 29])
def test_infinities_and_nan_are_those_of_the_program(columns: int) -> None:
    kernel = polydsl.loads(
        """\
kernel f(x: f32[N, C], v: f32[C, D]) -> (f32[N, D], f32[N, D], f32[N], f32[N]):
    m[n] = max[c](x[n, c])
    e[n, c] = exp(x[n, c] - m[n])
    l[n] += e[n, c]
    o[n, d] += e[n, c] * v[c, d]
    p[n, d] = o[n, d] / l[n]
    a[n] = m[n] + log(l[n])
    return o, p, l, a
"""
    ).f
    rng = np.random.default_rng(0)
    x = special_scores(rng, columns)
    v = rng.standard_normal((columns, 16)).astype(np.float32)
    # Two factors that are none, one of them where some exponentials are 0.
    v[1, 3], v[9, 5], v[20, 7] = np.nan, np.inf, -np.inf
    with blocks():
        special = kernel.configure(fuse="all").specialize(x, v)
        assert "e along c: in blocks of" in special.explain()
        found = special(x, v)
    wanted = kernel.reference(x, v)
    for name, one, other in zip("opla", found, wanted):
        np.testing.assert_allclose(one, other, 1e-5, 1e-6, err_msg=name)


# Random programs


@st.composite
def programs(draw: Any) -> Program:
    """Draw scores, exponentials of differences from their maximum, and sums of these:
    indices in any order, with what else reads the sums."""
    b = Builder(draw)
    batch = [name for name in ("g", "h") if b.chance(40)]
    rows = b.shuffled([*batch, "i"])
    axes = ", ".join(b.shuffled([*rows, "j"]))
    row = ", ".join(rows)
    sizes = {"g": 2, "h": 3, "i": b.pick((1, 5, 9)), "j": b.pick((7, 16, 23)), "d": 16}
    dtype = b.pick(("f32", "f64"))
    inputs: dict[str, str] = {}

    def tensor(name: str, indices: str) -> str:
        inputs[name] = indices
        return f"{name}[{indices}]"

    lines: list[str] = []
    if b.chance(70):
        lines.append(f"t[{axes}] += {tensor('q', row + ', d')} * {tensor('k', 'j, d')}")
        score = f"t[{axes}]"
    else:
        score = tensor("t", axes)
    if b.chance(40):
        mask = tensor("b", b.pick((axes, "i, j", "j")))
        lines.append(f"s[{axes}] = {score} + 1 if {mask} > -0.3 else -inf")
        score = f"s[{axes}]"
    lines.append(f"m[{row}] = max[j]({score})")
    difference = b.pick(("{} - m[{}]", "({} - m[{}]) / 3", "0.25 * ({} - m[{}])"))
    function = b.pick(("exp", "exp", "exp2"))
    lines.append(f"e[{axes}] = {function}({difference.format(score, row)})")
    # Of one sum alone, the exponentials are computed where they are read.
    chosen = [f"l[{row}] += e[{axes}]", f"o[{row}, c] += e[{axes}] * v[j, c]"]
    if b.chance(40):
        chosen.append(f"u[{row}] += -(e[{axes}] * w[j]) / 2")
    sizes["c"] = b.pick((3, 16))
    for name, indices in (("v", "j, c"), ("w", "j")):
        if any(f"{name}[" in s for s in chosen):
            tensor(name, indices)
    lines += b.shuffled(chosen)
    names = [s[0] for s in chosen]
    if b.chance(60):
        lines.append(f"y[{row}, c] = o[{row}, c] / l[{row}]")
        names = ["y", *(n for n in names if n not in "ol" or b.chance(30))]
    if b.chance(20):
        lines.append(f"a[{row}] = m[{row}] + 1")
        names.append("a")
    typed = ", ".join(
        f"{n}: {dtype}[{indices.upper()}]" for n, indices in inputs.items()
    )
    body = "\n    ".join((*lines, f"return {', '.join(names)}"))
    arguments = tuple(
        (n, dtype, tuple(sizes[d] for d in indices.split(", ")))
        for n, indices in inputs.items()
    )
    return Program(f"kernel f({typed}):\n    {body}\n", arguments)


@st.composite
def cases(draw: Any) -> Case:
    chance = st.one_of(st.none(), st.integers(0, 1 << 16))
    row = draw(st.sampled_from(ROWS))
    return Case(draw(programs()), row, shuffle=draw(chance), points=draw(chance))


SIZES = st.tuples(st.integers(2, 8), st.integers(2, 5), st.sampled_from((-1e9, 0.0)))


def test_random_softmaxes(request: pytest.FixtureRequest) -> None:
    is_fuzz = request.config.getoption("--hypothesis-seed", default=None) is not None
    found: list[bool] = []

    @settings(
        max_examples=400 if is_fuzz else 4,
        deadline=None,
        derandomize=not is_fuzz,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(cases(), SIZES)
    def check(case: Case, sizes: tuple[int, int, float]) -> None:
        with blocks(*sizes):
            chosen = decisions(run_case(case).state)
        found.append(any("in blocks" in c for c in chosen.values()))

    check()
    assert sum(found) > len(found) / 2
