"""What reads others through a window shares blocks of lines with them: each block of
the others is larger than its own, by a halo that is computed again, except at borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from unittest.mock import patch

import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

from polydsl.driver.stages import Compilation
from polydsl.loops.verify_buffers import is_contracted
from polydsl.schedule.block_parts import parts_of
from polydsl.schedule.shared_indices import Member, Shared
from polydsl.schedule.windows import Window

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Halo:
    """A program, the tensors that are in memory for a block of lines, and the loops."""

    text: str
    arguments: Arguments
    contracted: tuple[str, ...]
    loops: str


CONV_POOL = """\
kernel f(x: f32[N, H, W, C], w: f32[3, 3, C, K], b: f32[K]) -> f32[N, P, Q, K]:
    P = (H + 1) // 2
    Q = (W + 1) // 2
    c[n, y, z, k] += pad(x[n, y + r - 1, z + s - 1, d]) * w[r, s, d, k]
    y in range(H)
    z in range(W)
    h[n, y, z, k] = tanh(c[n, y, z, k] + b[k])
    u in range(3)
    v in range(3)
    p[n, i, j, k] = max[u, v](pad(h[n, 2*i + u - 1, 2*j + v - 1, k], -inf))
    i in range(P)
    j in range(Q)
    return p
"""


def images(n: int, h: int, w: int, c: int, k: int) -> Arguments:
    """Return the arguments of a convolution with channels last."""
    return (
        ("x", "f32", (n, h, w, c)),
        ("w", "f32", (3, 3, c, k)),
        ("b", "f32", (k,)),
    )


STENCIL = """\
kernel f(x: f64[H, W]) -> f64[P, W]:
    P = H - 6
    a[u, z] = exp(x[u, z])
    b: f64[H, W]
    y in range(1, H - 1)
    b[y, z] = sin(a[y - 1, z] + a[y + 1, z])
    c: f64[H, W]
    v in range(3, H - 3)
    c[v, z] = b[v - 2, z] / b[v + 2, z]
    i in range(P)
    d[i, z] = c[i + 3, z]
    return d
"""

CHAINS = {
    "convolution, pooling": Halo(
        CONV_POOL,
        images(2, 20, 6, 8, 16),
        ("h", "h_rest", "h_rest_", "p_max", "p_max_rest", "p_max_rest_"),
        "n, i_block (of 2)",
    ),
    "one image": Halo(
        CONV_POOL, images(1, 21, 6, 8, 16), ("h", "p_max"), "i_block (of 2)"
    ),
    "channels in front": Halo(
        """\
kernel f(x: f32[C, H, W], w: f32[K, C, 3, 3]) -> f32[K, P, Q]:
    P = H // 2
    Q = W // 2
    y in range(H)
    z in range(W)
    c[k, y, z] += pad(x[d, y + r - 1, z + s - 1]) * w[k, d, r, s]
    h[k, y, z] = tanh(c[k, y, z])
    u in range(2)
    v in range(2)
    p[k, i, j] = max[u, v](h[k, 2*i + u, 2*j + v])
    i in range(P)
    j in range(Q)
    return p
""",
        (("x", "f32", (8, 17, 8)), ("w", "f32", (16, 8, 3, 3))),
        ("c",),
        "i_block (of 2)",
    ),
    "two convolutions": Halo(
        """\
kernel f(x: f32[H, W, C], w: f32[3, 3, C, K], t: f32[3, 3, K, M]) -> f32[H, W, M]:
    h[y, z, k] += pad(x[y + r - 1, z + s - 1, c]) * w[r, s, c, k]
    a[y, z, k] = tanh(h[y, z, k])
    o[y, z, m] += pad(a[y + r - 1, z + s - 1, k]) * t[r, s, k, m]
    y in range(H)
    z in range(W)
    return o
""",
        (
            ("x", "f32", (11, 5, 8)),
            ("w", "f32", (3, 3, 8, 16)),
            ("t", "f32", (3, 3, 16, 8)),
        ),
        ("a",),
        "y_block (of 2)",
    ),
    "a bottleneck": Halo(
        """\
kernel f(x: f32[N, H, W, C], a: f32[C, K], b: f32[3, 3, K, K], d: f32[K, C]
         ) -> f32[N, H, W, C]:
    e[n, y, z, k] += x[n, y, z, c] * a[c, k]
    f[n, y, z, k] = tanh(e[n, y, z, k])
    g[n, y, z, j] += pad(f[n, y + r - 1, z + s - 1, k]) * b[r, s, k, j]
    h[n, y, z, j] = tanh(g[n, y, z, j])
    o[n, y, z, c] += h[n, y, z, k] * d[k, c]
    p[n, y, z, c] = o[n, y, z, c] + x[n, y, z, c]
    return p
""",
        (
            ("x", "f32", (2, 9, 4, 16)),
            ("a", "f32", (16, 8)),
            ("b", "f32", (3, 3, 8, 8)),
            ("d", "f32", (8, 16)),
        ),
        ("f", "f_rest", "f_rest_", "h", "h_rest", "h_rest_"),
        "n, y_block (of 2)",
    ),
    "strides, dilation, what is skipped": Halo(
        """\
kernel f(x: f32[C, L], w: f32[K, C, 3], t: f32[M, K, 2]) -> f32[M, P]:
    P = (L - 1) // 6
    h[k, i] += pad(x[c, 2*i + 3*r - 3]) * w[k, c, r]
    i in range((L + 1) // 2)
    p in range(P)
    a[k, i] = tanh(h[k, i])
    o[m, p] += a[k, 3*p + 2*s] * t[m, k, s]
    return o
""",
        (
            ("x", "f32", (4, 61)),
            ("w", "f32", (8, 4, 3)),
            ("t", "f32", (4, 8, 2)),
        ),
        ("a",),
        "p_block (of 2)",
    ),
    "ranges that begin later": Halo(
        STENCIL, (("x", "f64", (23, 5)),), ("a", "b", "c"), "i_block (of 2)"
    ),
}


def run(text: str, arguments: Arguments, isa: int = 0, **changes: int) -> Compilation:
    """Compile and run a program with blocks of about two lines."""
    with (
        patch("polydsl.schedule.fusion_chain.START", -1e9),
        patch("polydsl.schedule.fusion_chain.LINES", (2,)),
        patch("polydsl.schedule.fusion_chain.ROWS", (4,)),
    ):
        return run_case(Case(Program(text, arguments), ROWS[isa], **changes)).state


def chosen(state: Compilation) -> dict[str, str]:
    """Return what was chosen for each pair of tensors, and why."""
    assert state.schedule is not None
    found = state.schedule.decisions
    return {d.subject: f"{d.chosen}: {d.reason}" for d in found if "into" in d.subject}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_share_blocks_of_lines(name: str) -> None:
    """As if it always paid: small images fit the nearest cache anyway."""
    chain = CHAINS[name]
    state = run(chain.text, chain.arguments)
    assert state.nest is not None
    loops = {
        text.partition("in loops over ")[2].partition(":")[0]
        for text in chosen(state).values()
        if "in loops over" in text
    }
    assert loops == {chain.loops}
    kept = [b.name for b in state.nest.buffers if is_contracted(b)]
    assert sorted(kept) == sorted(chain.contracted)


@pytest.mark.parametrize("name", [*CHAINS][::2])
def test_any_tiles_and_threads_in_blocks_of_lines(name: str) -> None:
    chain, seed = CHAINS[name], [*CHAINS].index(name)
    with patch("polydsl.schedule.schedule.LEAST_POINTS", 0):
        run(chain.text, chain.arguments, seed // 2 % len(ROWS), points=seed)


def test_what_others_need_is_not_computed_twice() -> None:
    chain = CHAINS["two convolutions"]
    text = chain.text.replace("-> f32[H, W, M]", "-> (f32[H, W, K], f32[H, W, M])")
    state = run(text.replace("return o", "return a, o"), chain.arguments)
    reason = "a is needed elsewhere, and blocks would overlap"
    assert reason in chosen(state)["a into o"]


def test_lines_that_are_read_backward_share_no_blocks() -> None:
    text = """\
kernel f(x: f32[H, W]) -> f32[H, W]:
    a[y, z] = exp(x[y, z])
    b[y, z] += pad(a[H - y - r, z])
    r in range(3)
    return b
"""
    found = chosen(run(text, (("x", "f32", (17, 8)),)))
    assert "in loops over z: " in found["a into b"]


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize(
    "window", [(1, -1, 1), (2, -1, 1), (2, 0, 1), (3, -4, 2), (1, -2, 7), (4, 0, 0)]
)
def test_parts_hold_what_is_needed(window: tuple[int, int, int], size: int) -> None:
    """Every value once, and of the others what is from the first to the last window and
    in their range; blocks of the loop never reach beyond that."""
    step, lo, hi = window
    for extent, least, greatest in product((5, 8, 19), (0, 3), (18, 40)):
        ends = Member(0, "a", least, greatest, Window(step, lo, hi))
        own = Member(1, "b", 2, 1 + extent)
        found = parts_of(Shared((ends, own), size=size))
        values: list[int] = []
        for part in found:
            of_own, of_ends = (part.strip(m, "block") for m in (own, ends))
            for block in range(part.count or 1):
                first = of_own.first + block * size
                values += range(first, first + of_own.size)
                start = of_ends.first + block * step * size
                last = first + of_own.size - 1
                needed = {*range(step * first + lo, step * last + hi + 1)}
                if not part.count:
                    needed &= {*range(least, greatest + 1)}
                held = range(start, start + of_ends.size)
                assert needed == {*held} and least <= held[0] <= held[-1] <= greatest
        assert not found or sorted(values) == [*range(2, 2 + extent)]
