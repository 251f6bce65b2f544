"""Which tensors have one definition and are computed once, and which do not; which dear
values are stored for several statements; and that the numbers stay right."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, combinations, permutations, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle_builder import SPAN
from program_builder import Program
from program_doubles import doubles
from program_harness import ROWS, Case, job_of, run_case, tools_for

from polydsl.base.dtypes import F32
from polydsl.driver.compiler import begin
from polydsl.driver.stages import Compilation, compile_until
from polydsl.poly.canonical import Texts, canonical
from polydsl.poly.extract import extract
from polydsl.schedule.decision import Decision
from polydsl.schedule.equal_tensors import equal_tensors
from polydsl.semantics.program import Literal
from polydsl.semantics.prune import drop_unused

ARGUMENTS = (
    ("x", "f32", (19, 19)),
    ("w", "f32", (19, 19)),
    ("u", "f64", (19, 19)),
    ("n", "i64", (19,)),
)
TEXT = """\
kernel f(x: f32[N, N], w: f32[N, N], u: f64[N, N], n: i64[N]):
    i in range(N)
    l in range(N - 1)
    {}
    return {}
"""
EXAMPLES = 8


def case_of(statements: str, results: str = "y, z", **named: Any) -> Case:
    text = TEXT.format("\n    ".join(statements.split("; ")), results)
    return Case(Program(text, ARGUMENTS, bounded=(("n", 19),)), ROWS[0], **named)


def run(statements: str, results: str = "y, z", **named: Any) -> Compilation:
    """Compile and run a program, and compare it with the oracle."""
    return run_case(case_of(statements, results, **named)).state


def looked_at(statements: str, near: int = 1 << 20) -> Compilation:
    """Compile a program as far as tensors are united, for caches of so many bytes."""
    begun = begin(job_of(case_of(statements)).request, tools_for(ROWS[0]))
    caches = tuple(replace(c, capacity=near) for c in begun.machine.caches)
    begun = replace(begun, machine=replace(begun.machine, caches=caches))
    return compile_until(begun, "scop")


def united(state: Compilation, head: str = "definition of ") -> dict[str, str]:
    """Return what became of each tensor that is computed no more."""

    def about(decision: Decision) -> bool:
        return decision.subject.startswith(head)

    decisions = filter(about, state.fusions)
    return {d.subject.removeprefix(head): d.chosen for d in decisions}


SAME = {
    "names of indices": ("y[i, j] = x[i, j] + 1", "z[k, p] = x[k, p] + 1"),
    "operands of a sum": ("y[i, j] = x[i, j] + w[i, j]", "z[i, j] = w[i, j] + x[i, j]"),
    "operands of a product": (
        "y[i, j] += x[i, k] * w[k, j]",
        "z[j, k] += w[i, k] * x[j, i]",
    ),
    "operands of a maximum": (
        "y[i, j] = max(x[i, j], n[i] * 0.5)",
        "z[i, j] = max(0.5 * n[i], x[i, j])",
    ),
    "indices that are summed": (
        "y[i] = sum[j, k](x[i, j] - w[j, k])",
        "z[i] = sum[p, q](x[i, q] - w[q, p])",
    ),
    "sums over indices in like places": (
        "y[i] = sum[j, k](x[i, j] * x[i, k] + w[j, k])",
        "z[i] = sum[k, j](x[i, j] * x[i, k] + w[k, j])",
    ),
    "one comparison turned round": (
        "y[i, j] = x[i, j] if x[i, j] < w[i, j] else 2",
        "z[i, j] = x[i, j] if w[i, j] > x[i, j] else 2",
    ),
    "subscripts": (
        "y[i, j] = pad(x[2 * i + j - 1, j])",
        "z[i, j] = pad(x[j - 1 + i * 2, j])",
    ),
    "sizes": ("y[i, j] = x[N - 1 - i, j] / N", "z[i, j] = x[18 - i, j] / 19"),
    "scatters": (
        "y: f32[N]; y[n[i]] += x[i, j]",
        "z: f32[N]; z[n[k]] += x[k, l2]; l2 in range(N)",
    ),
    "recurrences": (
        "y[t, d] = pad(y[t - 1, d]) * 0.5 + x[t, d]",
        "z[p, q] = x[p, q] + 0.5 * pad(z[p - 1, q])",
    ),
    "several statements": (
        "y[i] += x[i, k]; y[i] += w[i, i]",
        "z[i] += w[i, i]; z[i] += x[i, p]",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_equal_results_are_computed_once(name: str) -> None:
    found = run("; ".join(SAME[name]))
    assert united(found)["z"] == "that of y, which is copied"
    assert found.scop is not None
    (copy,) = (s for s in found.scop.statements if s.tensor == "z")
    assert [r.access.tensor for r in copy.reads] == ["y"]


DIFFERENT = {
    "a number": ("y[i, j] = x[i, j] + 1", "z[i, j] = x[i, j] + 2"),
    "a zero's sign": ("y[i, j] = 1 / (x[i, j] * 0)", "z[i, j] = 1 / (x[i, j] * -0.0)"),
    "the order of indices": ("y[i, j] = x[i, j] * 2", "z[i, j] = x[j, i] * 2"),
    "the order on the left": ("y[i, j] = x[i, j] * 2", "z[j, i] = x[i, j] * 2"),
    "which of two indices": (
        "y[i] = sum[j, k](x[i, j] * w[j, k])",
        "z[i] = sum[j, k](x[i, j] * w[k, j])",
    ),
    "operands of a difference": (
        "y[i, j] = x[i, j] - w[i, j]",
        "z[i, j] = w[i, j] - x[i, j]",
    ),
    "the other comparison": (
        "y[i, j] = x[i, j] if x[i, j] < w[i, j] else 2",
        "z[i, j] = x[i, j] if x[i, j] > w[i, j] else 2",
    ),
    "a bound": ("y[i] = sum[j](x[i, j])", "z[i] = sum[l](x[i, l])"),
    "a bound that moves": (
        "y[i] = sum[p](x[i, p]); p in range(i + 1)",
        "z[i] = sum[q](x[i, q]); q in range(i, N)",
    ),
    "a shape": ("y[i] = n[i] + 1", "z[l] = n[l] + 1"),
    "a type": ("y: f16[N, N]; y[i, j] = x[i, j] / 3", "z[i, j] = x[i, j] / 3"),
    "a cast": ("y[i, j] = x[i, j] / 3", "z[i, j] = f32(f16(x[i, j] / 3))"),
    "another cast": (
        "y[i, j] = f32(f16(x[i, j] / 3))",
        "z[i, j] = f32(bf16(x[i, j] / 3))",
    ),
    "a condition": (
        "y[i, j] = x[i, j] if i < j else 0",
        "z[i, j] = x[i, j] if i <= j else 0",
    ),
    "what is padded": ("y[i] = pad(x[i - 1, i], 1)", "z[i] = pad(x[i - 1, i], 2)"),
    "whether it is padded": ("y[i] = pad(x[i, i], 1)", "z[i] = x[i, i] + 1"),
    "what is combined": ("y[i] = max[j](x[i, j])", "z[i] = min[j](x[i, j])"),
    "where it is added": (
        "y: f32[N]; y[n[i]] += x[i, j]",
        "z: f32[N]; z[n[j]] += x[i, j]",
    ),
    "a step": (
        "y[t, d] = pad(y[t - 1, d]) * 0.5 + x[t, d]",
        "z[t, d] = pad(z[t - 2, d]) * 0.5 + x[t, d]",
    ),
    "whose step": (
        "y[t, d] = pad(y[t - 1, d]) * 0.5 + x[t, d]",
        "z[t, d] = pad(y[t - 1, d + 1]) * 0.5 + x[t, d]",
    ),
    "one of several statements": (
        "y[i] += x[i, k]; y[i] += w[i, i]",
        "z[i] += x[i, k]",
    ),
    "what they read": (
        "a[i] += x[i, k]; y[i] = exp(a[i] * 0.1)",
        "b[i] += x[k, i]; z[i] = exp(b[i] * 0.1)",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_near_duplicates_are_two_tensors(name: str) -> None:
    found = united(looked_at("; ".join(DIFFERENT[name])))
    assert [tensor for tensor in found if "check" not in tensor] == []


def test_chains_and_reductions_of_equal_tensors() -> None:
    found = run(
        "s[i] += x[i, k]**2; y[i, j] = x[i, j] / s[i] + max[k](x[i, k]); "
        "t[p] += x[p, q]**2; z[p, q] = max[k](x[p, k]) + x[p, q] / t[p]"
    )
    assert united(found) == {
        "t": "that of s",
        "z_max": "that of y_max",
        "z": "that of y, which is copied",
    }


def test_recurrences_of_several_tensors() -> None:
    step = (
        "{h}[t, d] = tanh(pad({c}[t - 1, d]) + x[t, d]); "
        "{c}[t, d] = {h}[t, d] * 0.5 + pad({c}[t - 1, d])"
    )
    both = [step.format(h=h, c=c) for h, c in (("h", "c"), ("g", "y"))]
    assert united(run("; ".join(both), "y, h")) == {"c": "that of y", "g": "that of h"}


def test_of_a_result_and_another_the_result_is_kept() -> None:
    found = run("b[i, k] += x[i, j] * w[j, k]; y[i, j] = relu(b[i, j]); "
                "z[i, k] += x[i, j] * w[j, k]")  # fmt: skip
    assert united(found) == {"b": "that of z"}


def test_a_sum_that_a_factor_has_left() -> None:
    """It is equal to another tensor only when the factor has left."""
    found = run("y[i, k] += x[i, j] * w[j, k]; "
                "z[i, k] += x[i, j] * w[j, k] / (1 + abs(w[i, k]))")  # fmt: skip
    assert united(found) == {"z_sum": "that of y"}


def test_with_no_fusion_all_are_computed() -> None:
    found = run("; ".join(SAME["operands of a product"]), fuse="none")
    assert found.fusions == ()


def test_equal_checks_are_made_once() -> None:
    found = run("y[i] = x[n[i], 0]; z[i] = w[n[i], 1]")
    assert united(found) == {"w_check": "that of x_check"}
    assert found.scop is not None and len(found.scop.checks) == 1


@pytest.mark.parametrize("outside", [-1, 19])
def test_equal_checks_name_the_first_tensor(outside: int) -> None:
    cases = (case_of("y[i] = x[n[i], 0]; z[i] = w[n[i], 1]", seed=n) for n in range(99))
    case = next(c for c in cases if outside in job_of(c).arrays["n"])
    assert run_case(case).failed


# Values of several statements

SHARED = {
    "a softmax in one line": (
        "y[i, j] = exp(x[i, j] - max[k](x[i, k])) "
        "/ sum[k](exp(x[i, k] - max[j](x[i, j]))); z[i] = x[i, 0]",
        {"y_sum, y": "computed once, in y_sum_exp"},
    ),
    "two results": (
        "y[i, j] = exp(x[i, j] * 0.5) * 2; z[p, q] = exp(0.5 * x[p, q]) + 1",
        {"y, z": "computed once, in y_exp"},
    ),
    "a value that is a result": (
        "z[p] += tanh(x[p, q]) * w[q, p]; y[i, j] = tanh(x[i, j])",
        {"z, y": "computed once, in y"},
    ),
    "a value and one in it": (
        "y[i, j] = tanh(exp(x[i, j])) + 1; z[i] += tanh(exp(x[i, j])) * exp(x[i, j])",
        {
            "y, z": "computed once, in y_tanh",
            "y_tanh, z": "computed once, in y_tanh_exp",
        },
    ),
    "at other indices": (
        "y[i, j] = exp(w[i, 0]) * exp(w[j, 0]); z[j] = x[j, 0]",
        {"y": "computed once, in y_exp"},
    ),
    "after a product": (
        "a[i, k] += x[i, j] * w[j, k]; y[i, j] = tanh(a[i, j]) + x[i, j]; "
        "z[i, j] = tanh(a[i, j]) * x[i, j]",
        {"y, z": "computed once, in y_tanh"},
    ),
}

APART = {
    "what is cheap": "y[i, j] = x[i, j] / w[i, j] + 1; z[i] += x[i, j] / w[i, j]",
    "one statement": "y[i, j] = exp(x[i, j]) + exp(x[i, j]) * 2; z[j] = x[j, 0]",
    "other numbers": "y[i, j] = exp(x[i, j] * 0) + 1; z[i] += exp(x[i, j] * -0.0)",
    "other ranges": "y[i] += exp(x[i, j]) * 2; z[i] += exp(x[i, l])",
    "where one is not evaluated": (
        "y[i, j] = exp(x[i - 1, j]) if i > 0 else 0; "
        "z[i, j] = 2 * exp(x[i - 1, j]) if i > 0 else 1"
    ),
    "a recurrence": (
        "y[t, d] = exp(pad(z[t - 1, d]) * 0.1) * 0.5; "
        "z[t, d] = exp(pad(z[t - 1, d]) * 0.1) * 0.25 + x[t, d] * 0.1"
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_dear_values_are_computed_once(name: str) -> None:
    statements, wanted = SHARED[name]
    assert united(run(statements), "value in ") == wanted


@pytest.mark.parametrize("name", APART)
def test_other_values_are_not_stored(name: str) -> None:
    assert united(looked_at(APART[name]), "value in ") == {}


ROWS_OF_VALUES = {
    "rows": ("y[i, j] = exp(x[i, j]) / sum[p](exp(x[i, p])); z[i] = x[i, 0]", True),
    "rows, and sums over them": ("y[i] += exp(x[i, j]); z[j] += exp(x[i, j])", True),
    "all rows before the first": (
        "y[i, j] = exp(x[i, j]) / sum[p](exp(x[p, j])); z[i] = x[i, 0]",
        False,
    ),
    "columns": ("y[i, j] = exp(x[i, j]) + 1; z[j, i] = exp(x[i, j]) + 2", False),
}


@pytest.mark.parametrize("name", ROWS_OF_VALUES)
def test_where_all_values_are_not_near_rows_are(name: str) -> None:
    statements, are_shared = ROWS_OF_VALUES[name]
    assert bool(united(looked_at(statements, near=19 * 4), "value in ")) == are_shared
    assert not united(looked_at(statements, near=18 * 4), "value in ")
    assert united(looked_at(statements, near=19 * 19 * 4), "value in ")


def test_zeros_of_both_signs_are_two_numbers() -> None:
    def text(number: float) -> str:
        return Texts({}, {}).of(Literal(number, F32, SPAN), {})

    assert text(0.0) != text(-0.0) and text(1) == text(1.0)


# By chance


def test_random_doubles(request: pytest.FixtureRequest) -> None:
    """What is said twice is computed once, and what is nearly said twice is right."""
    is_fuzz = request.config.getoption("--hypothesis-seed", default=None) is not None
    found: list[bool] = []

    @settings(
        max_examples=40 * EXAMPLES if is_fuzz else EXAMPLES,
        deadline=None,
        derandomize=not is_fuzz,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(doubles(), st.integers(0, 1 << 16))
    def check(drawn: tuple[Program, bool], seed: int) -> None:
        program, is_same = drawn
        case = Case(program, ROWS[0], seed=seed)
        found.append(is_same)
        if is_same:
            scop = extract(drop_unused(job_of(case).program))
            for name, first in equal_tensors(scop).items():
                assert not re.match(r"s\d", name) or not re.match(r"s\d", first), name
        run_case(case)

    check()
    assert 0.2 < sum(found) / len(found) < 0.9


def renamed(relation: Iterable[tuple[str, str]], names: Mapping[str, str]) -> str:
    return str(sorted((names[a], names[b]) for a, b in relation))


def test_a_canonical_text_tells_nothing_of_names() -> None:
    """Any two relations between four indices have one text if, and only if, one is the
    other, renamed."""
    dims = "ijkl"
    every = [dict(zip(dims, order)) for order in permutations(dims)]
    texts: dict[str, set[str]] = defaultdict(set)
    least: dict[str, set[str]] = defaultdict(set)
    pairs = [*product(dims, dims)]
    for relation in chain(combinations(pairs, 2), combinations(pairs, 3)):
        text = partial(renamed, relation)
        found, order = canonical(dims, text)
        assert text({d: f".{n}" for n, d in enumerate(order)}) == found
        first = min(map(text, every))
        texts[found].add(first)
        least[first].add(found)
    assert {len(same) for same in (*texts.values(), *least.values())} == {1}
