"""Chains of products and of windows against the oracle: with any fusions, in blocks of
any rows or lines, with any tiles; and chance does give several fusions of one program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program_builder import Program
from program_chains import chains
from program_fusions import fusions
from program_harness import ROWS, Case, job_of, run_case, tools_for
from program_layouts import PLAIN, placings
from program_windows import windows

from polydsl.driver.compiler import begin
from polydsl.driver.stages import compile_until

EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class Blocks:
    """How products share blocks of rows, and what is read through windows of lines, and
    what is enough for threads."""

    rows: tuple[int, ...]
    lines: tuple[int, ...]
    start: float
    margin: float
    threads: bool

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Let chains be cut like that."""
        changed = {
            "fusion_chain.ROWS": self.rows,
            "fusion_chain.LINES": self.lines,
            "fusion_chain.START": self.start,
            "group_plan.PLAIN_MARGIN": self.margin,
            **({"schedule.LEAST_POINTS": 0} if self.threads else {}),
        }
        with ExitStack() as stack:
            for name, value in changed.items():
                stack.enter_context(patch(f"polydsl.schedule.{name}", value))
            yield


BLOCKS = st.builds(
    Blocks,
    st.sampled_from(((4,), (3,), (2, 5), (1,))),
    st.sampled_from(((2,), (3,), (1, 4))),
    st.sampled_from((-1e9, 0.0)),
    st.sampled_from((1e9, 2.0)),
    st.booleans(),
)


PROGRAMS = {"products": chains(), "windows": windows()}


@st.composite
def cases(draw: Any, name: str) -> Case:
    """Draw a chain and the way it is called."""
    chance = st.one_of(st.none(), st.integers(0, 1 << 16))
    program = draw(PROGRAMS[name])
    names = [name for name, _, _ in program.arguments]
    return Case(
        program,
        draw(st.sampled_from(ROWS)),
        draw(st.one_of(st.just((PLAIN,)), st.tuples(placings))),
        bound=draw(st.frozensets(st.sampled_from(names), max_size=2)),
        shuffle=draw(chance),
        seed=draw(st.integers(0, 1 << 16)),
        points=draw(chance),
        fuse=draw(st.sampled_from(("all", "all", "all", "elementwise", "none"))),
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_random_chains(name: str, request: pytest.FixtureRequest) -> None:
    is_fuzz = request.config.getoption("--hypothesis-seed", default=None) is not None

    @settings(
        max_examples=40 * EXAMPLES if is_fuzz else EXAMPLES,
        deadline=None,
        derandomize=not is_fuzz,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(cases(name), BLOCKS)
    def check(case: Case, blocks: Blocks) -> None:
        with blocks.asked():
            run_case(case)

    check()


# Random fusions

MIXED = Program(
    """\
kernel f(x: f32[N, C], w: f32[C, K], u: f32[K, M], g: f32[M]) -> f32[N, M]:
    h[i, k] += x[i, c] * w[c, k]
    e[i, k] = exp(h[i, k])
    l[i] += e[i, k]
    y[i, m] += e[i, k] * u[k, m]
    d[i, m] = y[i, m] / l[i]
    r[i, m] = d[i, m] * g[m]
    return r
""",
    (
        ("x", "f32", (11, 9)),
        ("w", "f32", (9, 17)),
        ("u", "f32", (17, 10)),
        ("g", "f32", (10,)),
    ),
)


def chosen(seed: int) -> dict[str, str]:
    """Return what is fused with the fusions of a number, and with nothing else that is
    left to chance."""
    state = begin(job_of(Case(MIXED, ROWS[0])).request, tools_for(ROWS[0]))
    with ExitStack() as stack:
        for name, value in fusions(seed).items():
            stack.enter_context(patch(name, value))
        found = compile_until(state, "scop").fusions
    return {d.subject: d.chosen for d in found}


def test_one_program_has_several_fusions() -> None:
    """Whatever may be fused is and is not, and in blocks of several sizes."""
    found = [chosen(seed) for seed in range(60)]
    for pair in ("d into r", "e into l", "e into y", "h into e", "y into r"):
        ways = {each.get(pair, "").partition(" (of")[0] for each in found}
        assert "not fused" in ways and len(ways) > 1, pair
    sizes = {each["e into y"] for each in found}
    assert len({tuple(each.items()) for each in found}) > 10 and len(sizes) > 3


def test_a_number_has_always_the_same_fusions() -> None:
    assert [chosen(seed) for seed in range(4)] == [chosen(seed) for seed in range(4)]
