"""Chains with products share blocks of rows: what one takes from the other is in memory
for one block, whatever is left beside whole blocks, and results stay what they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

import polydsl
from polydsl.driver.stages import Compilation
from polydsl.loops.verify_buffers import is_contracted
from polydsl.schedule.fusion_chain import block_size

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A program, the tensors that are in memory for a block of rows, and the loops."""

    text: str
    arguments: Arguments
    contracted: tuple[str, ...]
    loops: str


TWO_PRODUCTS = """\
kernel f(x: f32[N, C], w: f32[C, K], u: f32[K, M]) -> f32[N, M]:
    h[i, k] += x[i, c] * w[c, k]
    e[i, k] = exp(h[i, k])
    y[i, m] += e[i, k] * u[k, m]
    return y
"""
ATTENTION = """\
kernel f(q: f32[H, T, D], k: f32[H, S, D], v: f32[H, S, D]) -> f32[H, T, D]:
    s[h, i, j] += q[h, i, d] * k[h, j, d]
    m[h, i] = max[j](s[h, i, j] / 4)
    e[h, i, j] = exp(s[h, i, j] / 4 - m[h, i])
    l[h, i] += e[h, i, j]
    o[h, i, d] += e[h, i, j] / l[h, i] * v[h, j, d]
    return o
"""


def factors(*extents: int) -> Arguments:
    """Return the arguments of a chain of two products."""
    n, c, k, m = extents
    return (("x", "f32", (n, c)), ("w", "f32", (c, k)), ("u", "f32", (k, m)))


def heads(h: int, t: int, s: int, d: int) -> Arguments:
    """Return the arguments of attention."""
    return (
        ("q", "f32", (h, t, d)),
        ("k", "f32", (h, s, d)),
        ("v", "f32", (h, s, d)),
    )


CHAINS = {
    "whole blocks": Blocked(
        TWO_PRODUCTS, factors(12, 9, 17, 10), ("e",), "i_block (of 4)"
    ),
    "a rest": Blocked(TWO_PRODUCTS, factors(11, 9, 17, 10), ("e",), "i_block (of 4)"),
    "one block and a rest": Blocked(
        TWO_PRODUCTS, factors(7, 9, 17, 10), (), "i_block (of 4)"
    ),
    "attention": Blocked(
        ATTENTION,
        heads(2, 8, 21, 16),
        ("s", "m_max", "e", "l"),
        "h, i_block (of 4)",
    ),
    "attention and a rest": Blocked(
        ATTENTION,
        heads(2, 11, 21, 16),
        ("s", "m_max", "e", "l", "s_rest", "m_max_rest", "e_rest", "l_rest"),
        "h, i_block (of 4)",
    ),
    "one head": Blocked(
        ATTENTION,
        heads(1, 8, 21, 16),
        ("s", "m_max", "e", "l"),
        "i_block (of 4)",
    ),
    "heads inside": Blocked(
        """\
kernel f(q: f32[T, H, D], k: f32[S, H, D], v: f32[S, H, D]) -> f32[T, H, D]:
    s[i, h, j] += q[i, h, d] * k[j, h, d]
    e[i, h, j] = exp(s[i, h, j])
    l[i, h] += e[i, h, j]
    o[i, h, d] += e[i, h, j] / l[i, h] * v[j, h, d]
    return o
""",
        (
            ("q", "f32", (8, 2, 16)),
            ("k", "f32", (11, 2, 16)),
            ("v", "f32", (11, 2, 16)),
        ),
        ("e", "l"),
        "h, i_block (of 4)",
    ),
    "images": Blocked(
        """\
kernel f(x: f32[N, H, W, C], w: f32[C, K], u: f32[K, M]) -> f32[N, H, W, M]:
    h[n, p, q, k] += x[n, p, q, c] * w[c, k]
    e[n, p, q, k] = exp(h[n, p, q, k])
    y[n, p, q, m] += e[n, p, q, k] * u[k, m]
    return y
""",
        (
            ("x", "f32", (2, 5, 3, 8)),
            ("w", "f32", (8, 16)),
            ("u", "f32", (16, 8)),
        ),
        ("e",),
        "n, p",
    ),
    "images with channels in front": Blocked(
        """\
kernel f(x: f32[N, C, P], w: f32[K, C], u: f32[M, K]) -> f32[N, M, P]:
    h[n, k, p] += x[n, c, p] * w[k, c]
    e[n, k, p] = exp(h[n, k, p])
    y[n, m, p] += e[n, k, p] * u[m, k]
    return y
""",
        (
            ("x", "f32", (2, 8, 23)),
            ("w", "f32", (16, 8)),
            ("u", "f32", (8, 16)),
        ),
        ("e", "e_rest"),
        "n, p_block (of 4)",
    ),
    "what others need, too": Blocked(
        """\
kernel f(x: f64[N, C], w: f64[C, K], u: f64[K, M]) -> (f64[N, M], f64[N, K], f64[K]):
    h[i, k] += x[i, c] * w[c, k]
    e[i, k] = exp(h[i, k])
    y[i, m] += e[i, k] * u[k, m]
    t[k] += e[i, k]
    return y, h, t
""",
        tuple((n, "f64", shape) for n, _, shape in factors(10, 9, 17, 10)),
        (),
        "i_block (of 4)",
    ),
    "rows that begin later": Blocked(
        """\
kernel f(x: f32[N, C], w: f32[C, K], u: f32[K, M]) -> f32[N, M]:
    i in range(2, N)
    h: f32[N, K]
    h[i, k] += x[i, c] * w[c, k]
    e: f32[N, K]
    e[i, k] = exp(h[i, k])
    z: f32[N, M]
    z[i, m] += e[i, k] * u[k, m]
    n in range(N)
    y[n, m] = pad(z[n, m])
    return y
""",
        factors(12, 9, 17, 10),
        ("z",),
        "m_block (of 4)",
    ),
    "many pieces of a triangle": Blocked(
        """\
kernel f(x: f64[M, N, C], w: f64[C, C], v: f64[M, N, C]) -> f64[M, N, M, N]:
    q in range(p + 1)
    j in range(i, N)
    h[p, i, k] += x[p, i, c] * w[c, k]
    s: f64[M, N, M, N]
    s[p, i, q, j] += h[p, i, c] * v[q, j, c]
    a in range(M)
    b in range(N)
    d in range(M)
    e in range(N)
    y[a, b, d, e] = pad(s[a, b, d, e])
    return y
""",
        (
            ("x", "f64", (8, 8, 2)),
            ("w", "f64", (2, 2)),
            ("v", "f64", (8, 8, 2)),
        ),
        ("h", "s"),
        "a, b_block (of 4)",
    ),
    "names that are taken": Blocked(
        """\
kernel f(x: f32[N, C], w: f32[C, K], u: f32[K, M]) -> f32[N, M]:
    h[i, k] += x[i, c] * w[c, k]
    e[i, k] = exp(h[i, k])
    y[i, i_block] += e[i, k] * u[k, i_block]
    return y
""",
        factors(12, 9, 17, 10),
        ("e",),
        "i_block_ (of 4)",
    ),
}


def run(name: str, isa: int = 0, **changes: int) -> Compilation:
    """Compile and run a chain with every product in blocks of about four rows."""
    chain = CHAINS[name]
    program = Program(chain.text, chain.arguments)
    with (
        patch("polydsl.schedule.fusion_chain.START", -1e9),
        patch("polydsl.schedule.fusion_chain.ROWS", (4,)),
    ):
        return run_case(Case(program, ROWS[isa], **changes)).state


@pytest.mark.parametrize("name", CHAINS)
def test_chains_share_blocks_of_rows(name: str) -> None:
    """As if it always paid: small programs fit the nearest cache anyway."""
    state = run(name)
    chain = CHAINS[name]
    assert state.schedule is not None and state.nest is not None
    loops = {
        d.chosen.partition("in loops over ")[2]
        for d in state.schedule.decisions
        if "in loops over" in d.chosen
    }
    assert loops == {chain.loops}
    kept = [b.name for b in state.nest.buffers if is_contracted(b)]
    assert sorted(kept) == sorted(chain.contracted)
    with patch("polydsl.schedule.schedule.LEAST_POINTS", 0):
        run(name, -1)


@pytest.mark.parametrize("name", CHAINS)
def test_any_tiles_in_blocks_of_rows(name: str) -> None:
    seed = [*CHAINS].index(name)
    run(name, seed % len(ROWS), points=seed)


def test_a_normalisation_is_computed_with_the_rows_of_a_product() -> None:
    kernel = polydsl.loads(
        """\
kernel f(x: f32[N, C], w: f32[C, K], b: f32[K], z: f32[N, K]) -> f32[N, K]:
    s[i] = max[c](x[i, c])
    e[i, c] = exp(x[i, c] - s[i])
    y[i, k] += e[i, c] * w[c, k]
    r[i, k] = max(y[i, k] + b[k] + z[i, k], 0)
    return r
"""
    ).f
    shapes = "f32[4096,2048]", "f32[2048,32]", "f32[32]", "f32[4096,32]"
    text = kernel.specialize(*shapes).explain()
    assert "s_max into e: fused, in loops over i_block (of" in text
    assert "e into y: fused, in loops over i_block (of" in text


def scratch(text: str) -> float:
    """Return the KiB of scratch memory that an explanation names."""
    line = text.partition("scratch: ")[2].splitlines()[0]
    amounts = re.findall(r"([0-9.]+) (bytes|KiB|MiB)", line)
    return sum(
        float(n) * {"bytes": 1 / 1024, "KiB": 1, "MiB": 1024}[u] for n, u in amounts
    )


def test_attention_takes_memory_in_proportion_to_the_length() -> None:
    kernel = polydsl.loads(ATTENTION).f
    x, y = (np.zeros((1, t, 64), np.float32) for t in (8192, 16384))
    one, two = scratch(kernel.explain(x, x, x)), scratch(kernel.explain(y, y, y))
    assert two < 2.1 * one < 8192 * 8192 * 4 / 1024 / 10


@pytest.mark.parametrize(
    ("extent", "most", "size"),
    [(512, 64, 64), (512, 96, 64), (197, 64, 50), (40, 16, 14), (3, 16, 3), (7, 1, 1)],
)
def test_blocks_are_alike_if_possible(extent: int, most: int, size: int) -> None:
    assert block_size(extent, most) == size
