"""Points that are given for decisions: taken as they are, or refused in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.base.diagnostics import ArgumentError
from polydsl.driver import tuned
from polydsl.driver.cli import main
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.driver.tuned import specialize_tuned
from polydsl.driver.tuning_store import Entry, TuningWarning, tuning_key
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop
from polydsl.schedule.point import Point

RNG = np.random.default_rng(0)
A = RNG.standard_normal((13, 9), np.float32)
B = RNG.standard_normal((9, 33), np.float32)

POINT = MatrixPoint(
    is_swapped=False,
    rows=("i",),
    columns=("j",),
    depth=("k",),
    row_tile=4,
    column_tile=16,
    depth_block=4,
    taps_block=1,
    loops=(TileLoop("depth"), TileLoop("rows"), TileLoop("columns")),
    a=Reading("in place"),
    b=Reading("packed", 1),
)
SUBJECT = "S1 (c)"
WINDOWS = """
kernel windows(x: f32[N], f: f32[R, K]) -> f32[N - R + 1, K]:
    P = N - R + 1
    y[p, k] += x[p + r] * f[r, k]
    return y
"""


def request(points: dict[str, Point]) -> Request:
    kernel = polydsl.stdlib.linalg.matmul
    layouts = {"a": layout_of(A), "b": layout_of(B)}
    return Request(kernel.library, "matmul", layouts, {}).choosing(points)


def test_a_given_point_is_what_is_compiled() -> None:
    asked = request({SUBJECT: POINT})
    schedule = compile_until(begin(asked, toolchain()), "tree").schedule
    assert schedule is not None
    (decision,) = schedule.decisions
    assert decision.subject == SUBJECT
    assert decision.reason == "its schedule was given"
    assert "4x16" in decision.chosen and "4x16" in schedule.decisions[0].chosen
    result = Specialization(asked, toolchain(), {})(A, B)
    np.testing.assert_allclose(result, A @ B, rtol=1e-5, atol=1e-5)
    other = replace(POINT, row_tile=6)
    assert request({SUBJECT: other}).identity() != asked.identity()


def test_a_loop_over_an_index_of_one_point_may_be_given() -> None:
    """Such a loop is left out of the plan, and of what the model prices."""
    text = """
kernel product(a: f32[N, M, K], b: f32[K, L]) -> f32[N, M, L]:
    c[n, i, j] += a[n, i, k] * b[k, j]
    return c
"""
    kernel = polydsl.loads(text).product
    a = A[None]
    point = replace(POINT, loops=(TileLoop("n"), *POINT.loops), b=Reading("packed", 2))
    asked = Request(
        kernel.library, "product", {"a": layout_of(a), "b": layout_of(B)}, {}
    ).choosing({SUBJECT: point})
    result = Specialization(asked, toolchain(), {})(a, B)
    np.testing.assert_allclose(result, a @ B, rtol=1e-5, atol=1e-5)


def test_an_impossible_point_is_refused() -> None:
    wrong = replace(POINT, rows=("j",))
    with pytest.raises(ArgumentError, match=r"given for S1 \(c\) is not possible: "):
        Specialization(request({SUBJECT: wrong}), toolchain(), {})


@pytest.mark.parametrize(
    ("microkernel", "reason"),
    [
        ("libxsmm", "libxsmm: its products are sums of products; without a given one"),
        ("onednn", "there is no microkernel 'onednn'; the providers are llvm, libxsmm"),
    ],
)
def test_a_provider_that_does_not_serve_a_point(microkernel: str, reason: str) -> None:
    """As an imported result of tuning may ask for it; wherever libraries are."""
    kernel = polydsl.stdlib.novel.max_plus
    layouts = {"a": layout_of(A), "b": layout_of(B)}
    asked = Request(kernel.library, "max_plus", layouts, {})
    point = replace(POINT, microkernel=microkernel)
    with pytest.raises(ArgumentError, match=reason):
        Specialization(asked.choosing({"S1 (c_max)": point}), toolchain(), {})


def test_rows_that_a_library_cannot_reach_are_refused() -> None:
    """Rows of a window overlap: no matrix has them."""
    library = polydsl.loads(WINDOWS).windows.library
    x, f = np.ones(40, np.float32), np.ones((5, 32), np.float32)
    asked = Request(library, "windows", {"x": layout_of(x), "f": layout_of(f)}, {})
    point = replace(
        POINT,
        rows=("p",),
        columns=("k",),
        depth=("r",),
        loops=(TileLoop("depth"), TileLoop("rows"), TileLoop("columns")),
        b=Reading("in place"),
    )
    own = Specialization(asked.choosing({"S1 (y)": point}), toolchain(), {})
    np.testing.assert_array_equal(own(x, f), np.full((36, 32), 5.0, np.float32))
    served = replace(point, microkernel="libxsmm")
    with pytest.raises(ArgumentError, match="rows and depth of the broadcast side"):
        Specialization(asked.choosing({"S1 (y)": served}), toolchain(), {})


def test_a_point_for_nothing_is_refused() -> None:
    message = r"given for S7 \(d\), .* the decisions are about S1 \(c\)"
    with pytest.raises(ArgumentError, match=message):
        Specialization(request({"S7 (d)": POINT}), toolchain(), {})


def entry(points: dict[str, Point]) -> Entry:
    key = tuning_key(request({}), toolchain().target)
    return Entry(key, "matmul", "", "", 1, 2.0, 1.0, tuple(points.items()))


@pytest.fixture
def tools():
    """The toolchain with no results of tuning; those of the test are removed."""
    path = toolchain().tuning.folder / f"{entry({}).key}.json"
    path.unlink(missing_ok=True)
    yield toolchain()
    path.unlink(missing_ok=True)


def test_what_tuning_found_is_taken_later(tools) -> None:
    plain = specialize_tuned(request({}), tools, {}, 0.0)
    assert plain.request.preference.chosen == ()
    tools.tuning.put(entry({SUBJECT: POINT}))
    found = specialize_tuned(request({}), tools, {}, 0.0)
    assert found.request.preference.chosen == ((SUBJECT, POINT),)
    explained = found.explain()
    assert "certain schedules (by tuning, or by hand) of S1 (c)" in explained
    own = plain.explain()
    chosen = next(line for line in own.splitlines() if line.startswith(f"{SUBJECT}: "))
    chosen = chosen.removeprefix(f"{SUBJECT}: ")
    assert f"\n  not {chosen}: it is the model's own choice, " in explained
    assert explained.count("\n  not ") == own.count("\n  not ") == 5
    kernel = polydsl.stdlib.linalg.matmul.configure()
    assert kernel.specialize(A, B).request.preference.point(SUBJECT) == POINT
    np.testing.assert_allclose(kernel(A, B), A @ B, rtol=1e-5, atol=1e-5)


def test_a_result_of_another_version_is_not_taken(tools) -> None:
    tools.tuning.put(entry({SUBJECT: replace(POINT, rows=("j",))}))
    with pytest.warns(TuningWarning, match="matmul: .* is not possible"):
        found = specialize_tuned(request({}), tools, {}, 0.0)
    assert found.request.preference.chosen == ()


def test_tuning_is_asked_for_once(tools, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = polydsl.stdlib.linalg.matmul.configure(tune=0.05)
    first = kernel.specialize(A, B)
    stored = tools.tuning.get(entry({}).key)
    assert stored is not None and stored.arguments == "a: f32[13,9], b: f32[9,33]"
    monkeypatch.setattr(tuned, "tune", lambda *_, **__: pytest.fail("again"))
    assert kernel.configure().specialize(A, B).request.identity() == (
        first.request.identity()
    )


def test_the_command_tunes_and_keeps(tools, tmp_path, capsys) -> None:
    path = tmp_path / "result.json"
    words = ("stdlib.linalg", "matmul", "--size", "M=13,K=9,N=33", "--seconds", "0.05")
    assert main(("tune", *words, "-o", str(path))) == 0
    printed = capsys.readouterr()
    assert "  outcome    measured " in printed.out and printed.err == ""
    assert tools.tuning.get(entry({}).key) is not None
    assert polydsl.tuning.import_results(path) == 1
