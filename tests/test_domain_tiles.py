"""Products whose ranges depend on others run in whole tiles, the rest of their points
in plain loops; and nothing is computed twice or left out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from program_builder import Program
from program_harness import ROWS, Case, run_case

import polydsl
from polydsl.driver.stages import Compilation
from polydsl.poly.extract import extract
from polydsl.poly.isl import Set, fixed
from polydsl.poly.whole_tiles import Tiling, tiled_domain
from polydsl.schedule.matrix_plan import MatrixPlan

Arguments = tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Ranged:
    """A program, and the statements that microkernels compute."""

    text: str
    arguments: Arguments
    products: tuple[str, ...]


ATTENTION = """\
kernel f(q: f32[H, T, D], k: f32[H, T, D], v: f32[H, T, E]) -> f32[H, T, E]:
    j in range({range})
    s[h, i, j] += q[h, i, d] * k[h, j, d]
    z[h, i, j] = s[h, i, j] / 4 + (j - i)
    m[h, i] = max[j](z[h, i, j])
    e[h, i, j] = exp(z[h, i, j] - m[h, i])
    l[h, i] += e[h, i, j]
    o[h, i, c] += e[h, i, j] * v[h, j, c]
    y[h, i, c] = o[h, i, c] / l[h, i]
    return y
"""


def attention(ranges: str, t: int, heads: int = 2) -> tuple[str, Arguments]:
    """Return attention in which a row sees the columns of a range."""
    shape = heads, t, 8
    arguments = tuple((name, "f32", shape) for name in "qkv")
    return ATTENTION.format(range=ranges), arguments


PROGRAMS = {
    "a triangle": Ranged(*attention("0, i + 1", 16), ("S1_tiles", "S10_tiles")),
    "a triangle and a rest": Ranged(
        *attention("0, i + 1", 19),
        (
            *("S1_tiles", "S1_rest_tiles", "S1_rest_tiles_rest"),
            *("S10_tiles", "S10_rest_tiles"),
        ),
    ),
    "a window": Ranged(
        *attention("max(0, i - 12), i + 1", 24), ("S1_tiles", "S10_tiles")
    ),
    "the other triangle": Ranged(*attention("i, T", 16, 1), ("S1_tiles", "S10_tiles")),
    "no whole tile": Ranged(*attention("max(0, i - 2), i + 1", 16), ()),
    "elements that somebody asks for": Ranged(
        """\
kernel f(x: f32[N, C], w: f32[N, C], v: f32[N, M]) -> (f32[N, M], f32[N, N]):
    j in range(i + 1)
    s: f32[N, N]
    s[i, j] += x[i, c] * w[j, c]
    e: f32[N, N]
    e[i, j] = exp(s[i, j])
    y[i, m] += e[i, j] * v[j, m]
    k in range(N)
    t[i, k] = pad(e[i, k])
    return y, t
""",
        (
            ("x", "f32", (16, 9)),
            ("w", "f32", (16, 9)),
            ("v", "f32", (16, 17)),
        ),
        ("S1_tiles", "S4_tiles"),
    ),
    "two indices": Ranged(
        """\
kernel f(x: f64[N, M, C], w: f64[N, M, C]) -> f64[N, M, C]:
    a in range(max(0, i - 6), min(i + 7, N))
    b in range(max(0, j - 6), min(j + 7, M))
    s[i, j, a, b] += x[i, j, c] * w[a, b, c]
    e[i, j, a, b] = exp(s[i, j, a, b])
    y[i, j, d] += e[i, j, a, b] * x[a, b, d]
    return y
""",
        (("x", "f64", (9, 8, 3)), ("w", "f64", (9, 8, 3))),
        (),
    ),
}


def run(name: str, isa: int = 0, **changes: int) -> Compilation:
    """Compile and run a program with every product in blocks of about four rows."""
    ranged = PROGRAMS[name]
    program = Program(ranged.text, ranged.arguments)
    with (
        patch("polydsl.schedule.fusion_chain.START", 0.0),
        patch("polydsl.schedule.fusion_chain.ROWS", (4,)),
        patch("polydsl.schedule.fusion_chain.SHORT_SIDE", 0.0),
        patch("polydsl.schedule.domain_tiles.RESULT", 0.0),
        patch("polydsl.schedule.group_plan.PLAIN_MARGIN", 1e9),
    ):
        return run_case(Case(program, ROWS[isa], **changes)).state


@pytest.mark.parametrize("name", PROGRAMS)
def test_whole_tiles_are_products(name: str) -> None:
    state = run(name)
    assert state.schedule is not None
    plans = [p for p in state.schedule.plans if isinstance(p, MatrixPlan)]
    found = sorted(p.contraction.statement for p in plans)
    assert found == sorted(PROGRAMS[name].products)
    with patch("polydsl.schedule.schedule.LEAST_POINTS", 0):
        run(name, -1)


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_tiles_of_what_is_whole(name: str) -> None:
    for seed in range(2):
        run(name, seed % len(ROWS), points=seed)


def is_in(points: Set, *place: int) -> bool:
    """Whether a set has a point."""
    return not fixed(points, place).is_empty()


DOMAINS = (
    "j in range(i + 1)",
    "j in range(max(0, i - 9), i + 1)",
    "j in range(i, 18)",
    "j in range(max(0, 2*i - 11), min(2*i + 3, 18))",
    "j in range(i // 2, 18 - i // 3)",
)


@pytest.mark.parametrize("text", DOMAINS)
@pytest.mark.parametrize("size", [2, 3, 5])
def test_tiles_are_those_of_all_points(text: str, size: int) -> None:
    """As told point by point."""
    kernel = polydsl.loads(
        f"kernel f(x: f32[18, 18]) -> f32[18]:\n    {text}\n"
        "    y[i] += x[i, j]\n    return y\n"
    ).f
    scop = extract(kernel.program(np.zeros((18, 18), np.float32)))
    statement = next(s for s in scop.statements if s.combine)
    tiling = Tiling("t", 0, size, 18 // size)
    found = tiled_domain(statement, ("i",), {"j": tiling})
    rest = found.rest
    for i, t in product(range(18), range(tiling.count)):
        points = [is_in(statement.domain, i, t * size + j) for j in range(size)]
        assert is_in(found.whole, i, t) == all(points)
        assert is_in(found.touched, i, t) == any(points)
    for i, j in product(range(18), range(18)):
        is_whole = j // size < tiling.count and is_in(found.whole, i, j // size)
        wanted = is_in(statement.domain, i, j) and not is_whole
        assert sum(is_in(part, i, j) for part in rest) == wanted
