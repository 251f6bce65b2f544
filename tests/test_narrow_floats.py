"""f16 and bf16 through the whole compiler, on every ISA row, against the oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import verify_harness
from program_builder import Program
from program_harness import ROWS, Case, job_of, nest_of, run_case
from program_layouts import PLAIN
from verify_harness import in_body, once

import polydsl
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import BF16, DTYPES, F16, DType
from polydsl.driver.cli import main
from polydsl.loops.interpret import interpret
from polydsl.loops.nest import BatchReduceGemm, Cast, Load, Store
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.semantics import program as typed
from polydsl.semantics.oracle.compare import compare

rows = pytest.mark.parametrize("isa", ROWS)
narrow = pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
seeds = pytest.mark.parametrize(
    "shuffle",
    [None, *(pytest.param(n, marks=pytest.mark.thorough) for n in (1, 2))],
)

ACCESSES = """
kernel f(x: T[A, B], y: T[B], s: T):
    back[i, j] = x[A - 1 - i, B - 1 - j]
    turned[j, i] = x[i, j]
    other[j, i] = x[i, j] * y[j]
    every[i, j] = pad(x[i, 2*j], 0.1) - pad(y[3*j - 1]) + s
    apart[i, j] = pad(x[j, 7*i]) + pad(y[clamp(i + j, 0, 9)], 1.5)
    i in range(A)
    j in range(B)
    return back, turned, other, every, apart
"""
CHOICES = """
kernel f(x: T[A, B], y: T[A, B], m: bool[A, B], n: i16[B]):
    a[i, j] = x[i, j] if m[i, j] else 0.1
    b[i, j] = where(x[i, j] < y[i, j], y[i, j], 2)
    c[i, j] = max(x[i, j], y[i, j], 0.3)
    d[i, j] = clamp(x[i, j], -0.7, n[j])
    e[i, j] = x[i - 1, j] if i > 0 else pad(y[i, j + 1], 7)
    g[i, j] = x[i, j] == y[i, j] or isnan(x[i, j])
    h[i, j] = relu(x[i, j]) + abs(y[i, j]) * i - n[j]
    return a, b, c, d, e, g, h
"""
REDUCTIONS = """
kernel f(x: T[A, B], y: T[B]):
    most[i] = max[j](x[i, j])
    least[j] = min[i](x[i, j])
    whole = max[i, j](x[i, j] if i != j else y[j])
    total[i] = sum[j](x[i, j])
    scaled: T[A]
    scaled[i] += x[i, j] * y[j]
    grown: T[B]
    grown[j] *= 1 + 0.01 * x[i, j]
    middle[i] = mean[j](x[i, j])
    place[i] = argmax[j](x[i, j]) - argmin[j](y[j])
    some[i] = any[j](x[i, j] > y[j])
    local[i, j] = x[i, j]
    soft[i, j] = local[i, j] - most[i]
    return most, least, whole, total, scaled, grown, middle, place, some, soft
"""
PRODUCTS = """
kernel f(x: T[A, B], w: T[B, C], v: f32[B, C], u: f64[C, A], q: T[3, B, C]):
    same[i, j] += x[i, k] * w[k, j]
    kept: T[A, C]
    kept[i, j] += x[i, k] * q[2, k, j]
    mixed[i, j] += x[i, k] * v[k, j]
    turned[k, j] += x[i, k] * u[j, i]
    explicit[i, j] += f32(x[i, k]) * f32(q[1, k, j])
    window[i, j] += pad(x[i + r - 1, k], 0.5) * q[r, k, j]
    farthest[i, j] = max[k](abs(x[i, k] - w[k, j]))
    return same, kept, mixed, turned, explicit, window, farthest
"""
CONVOLUTION = """
kernel f(x: T[1, C, H, W], w: T[K, C, 3, 3], b: T[K]) -> T[1, K, H, W]:
    y[n, k, p, q] += pad(x[n, c, p + r - 1, q + s - 1]) * w[k, c, r, s]
    z[n, k, p, q] = relu(y[n, k, p, q] + b[k])
    return z
"""
SHAPES = {"A": 5, "B": 37, "C": 19, "H": 9, "W": 11, "K": 13}


def case(text: str, dtype: DType, isa: str, shuffle: int | None = None, **sizes: int):
    """Return a case of a kernel whose `T` is *dtype*."""
    text = text.replace("T[", f"{dtype}[").replace("s: T)", f"s: {dtype})")
    kernel = polydsl.loads(text).f
    definition = kernel.library.find("f")
    assert definition is not None
    extents = {**SHAPES, **sizes}
    arguments = []
    for parameter in definition[1].parameters:
        dims = parameter.type.span.text.partition("[")[2].rstrip("]")
        shape = tuple(extents.get(d.strip()) or int(d) for d in dims.split(",") if d)
        arguments.append((parameter.name.name, parameter.type.dtype, shape))
    return Case(Program(text, tuple(arguments)), isa, (PLAIN,), shuffle=shuffle)


@rows
@narrow
@seeds
@pytest.mark.parametrize(
    "text",
    [ACCESSES, CHOICES, REDUCTIONS, PRODUCTS, CONVOLUTION],
    ids=["accesses", "choices", "reductions", "products", "convolution"],
)
def test_kernels_agree_with_the_oracle(text, dtype, isa, shuffle) -> None:
    assert run_case(case(text, dtype, isa, shuffle)).decided


@narrow
@pytest.mark.parametrize("text", [ACCESSES, CHOICES, REDUCTIONS, PRODUCTS])
def test_interpreted_loops_agree_with_the_oracle(text, dtype) -> None:
    job = job_of(case(text, dtype, ROWS[0], A=4, B=9, C=6))
    nest = nest_of(job)
    arrays = dict(job.arrays)
    for name in nest.arguments[len(arrays) :]:
        buffer = nest.buffer(name)
        arrays[name] = np.zeros(buffer.shape, buffer.dtype.numpy)
    interpret(nest, arrays)
    found = [arrays[name] for name in job.program.results]
    compare(job.program, job.expected, found)


@rows
@narrow
@pytest.mark.parametrize("bound", ["x", "w"])
def test_factors_that_are_bound(bound, dtype, isa) -> None:
    given = case(CONVOLUTION, dtype, isa)
    run = run_case(Case(given.program, isa, bound=frozenset({bound})))
    assert run.decided


@narrow
def test_a_product_of_narrow_factors_is_a_product(dtype) -> None:
    run = run_case(case(PRODUCTS, dtype, ROWS[0], A=40, B=64, C=48))
    assert run.state.schedule is not None
    plans = [p for p in run.state.schedule.plans if isinstance(p, MatrixPlan)]
    assert len(plans) == 7
    for plan in plans:
        for factor in (plan.a, plan.b):
            types = {copy.dtype for copy in factor.copies}
            assert types <= {plan.contraction.dtype}
    widened = [
        copy
        for plan in plans
        for copy in (*plan.a.copies, *plan.b.copies)
        if isinstance(copy.value, typed.Cast)
    ]
    assert len(widened) == 12


def _unwidened(found: verify_harness.Case) -> verify_harness.Case:
    """Return a case whose first copy holds the bits of narrow floats."""

    def plain(copy: Copy | None) -> Copy | None:
        if copy is None or not isinstance(copy.value, typed.Cast):
            return copy
        return replace(copy, value=copy.value.operand)

    def change(plan: MatrixPlan) -> MatrixPlan:
        a = replace(plan.a, padded=plain(plan.a.padded), pack=plain(plan.a.pack))
        return replace(plan, a=a)

    return found.planned(change)


def test_what_is_not_widened_is_refused() -> None:
    text = "kernel f(x: bf16[M, K], w: bf16[K, N]):\n    y[i, j] += x[i, k] * w[k, j]\n"
    shapes = {"x": ("bf16", (12, 40)), "w": ("bf16", (40, 32))}
    found = verify_harness.case(f"{text}    return y\n", shapes)
    found.verify()

    def bare(store: Store) -> Store:
        is_copy = isinstance(store.value, Cast) and isinstance(
            store.value.operand, Load
        )
        return replace(store, value=store.value.operand) if is_copy else store

    found.refuses(in_body(found.nest, once(Store, bare)), "is not the value")
    found.refuses(
        in_body(
            found.nest,
            once(BatchReduceGemm, lambda n: replace(n, a=replace(n.a, buffer="x"))),
        ),
        "a product mixes types",
    )
    _unwidened(found).refuses(_unwidened(found).nest, "in another type")


@rows
@pytest.mark.parametrize("source", DTYPES.values(), ids=str)
def test_a_cast_between_any_two_types(source, isa) -> None:
    lines = [f"y{n}[i] = {t}(x[i])" for n, t in enumerate(DTYPES)]
    lines += [f"z{n}[i] = {t}(pad(x[2*i]))" for n, t in enumerate(DTYPES)]
    names = [line.partition("[")[0] for line in lines]
    body = "\n    ".join([*lines, f"return {', '.join(names)}"])
    text = f"kernel f(x: {source}[N]):\n    {body}\n"
    program = Program(text, (("x", str(source), (43,)),), large=True)
    assert run_case(Case(program, isa)).decided


@rows
@narrow
def test_every_number_passes_through_a_kernel(dtype, isa, monkeypatch) -> None:
    monkeypatch.setenv("POLYDSL_ISA", isa)
    kernel = polydsl.loads(
        f"kernel f(x: {dtype}[N]) -> ({dtype}[N], f32[N], {dtype}[N], {dtype}[N]):\n"
        "    same[i] = x[i]\n"
        "    wide[i] = f32(x[i])\n"
        "    back[i] = wide[i]\n"
        "    most[i] = max(x[i], x[i])\n"
        "    return same, wide, back, most\n"
    ).f
    for count in (1 << 16, (1 << 16) - 3):
        x = np.arange(count).astype(np.uint16).view(dtype.numpy)
        with np.errstate(invalid="ignore"):
            expected = x.astype(np.float32)
        for result in kernel(x):
            with np.errstate(invalid="ignore"):
                found = result.astype(np.float32)
            is_nan = np.isnan(expected)
            assert np.array_equal(np.isnan(found), is_nan)
            assert found[~is_nan].tobytes() == expected[~is_nan].tobytes()


def test_an_integer_rounds_once() -> None:
    text = "kernel f(x: i64[N]):\n    y[i] = bf16(x[i])\n    return y\n"
    # Half a step above 2**62, and one more: f64 takes the two for equal.
    x = np.array([2**62 + 2**54, 2**62 + 2**54 + 1, -(2**62) - 2**54 - 1])
    found = polydsl.loads(text).f(x).astype(np.float64)
    assert found.tolist() == [2.0**62, 2.0**62 + 2**55, -(2.0**62) - 2**55]


# From NumPy and on the command line


@narrow
def test_arrays_of_numpy_go_in_and_out(dtype) -> None:
    kernel = polydsl.loads(ACCESSES.replace("T", str(dtype))).f
    x = np.arange(12).reshape(3, 4).astype(dtype.numpy)
    y, s = np.ones(4, dtype.numpy), dtype.numpy.type(0.5)
    back, turned, *_ = kernel(x, y, s)
    assert back.dtype == dtype.numpy and np.array_equal(back, x[::-1, ::-1])
    assert np.array_equal(kernel(x[::-1, ::-1], y, 0.5)[0], x)
    out = [np.empty_like(r) for r in kernel(x, y, s)]
    kernel(x, y, s, out=tuple(out))
    assert np.array_equal(out[1], x.T) and np.array_equal(turned, x.T)
    wrong = F16 if dtype == BF16 else BF16
    with pytest.raises(ArgumentError, match=f"its dtype is {wrong}, not {dtype}"):
        kernel(x.astype(wrong.numpy), y, s)


@pytest.mark.parametrize("declared", ["T", "bf16"])
def test_files_with_bfloat16_are_read_and_written(declared, tmp_path: Path) -> None:
    text = "kernel f(x: T[N]) -> T[N]:\n    y[i] = 2 * x[i]\n    return y\n"
    (tmp_path / "k.pdl").write_text(text.replace("T", declared))
    np.save(tmp_path / "x.npy", np.arange(5).astype(ml_dtypes.bfloat16))
    words = (f"x={tmp_path}/x.npy", "-o", f"{tmp_path}/y.npy")
    assert main(("run", str(tmp_path / "k.pdl"), "f", *words)) == 0
    found = np.load(tmp_path / "y.npy").view(ml_dtypes.bfloat16)
    assert found.astype(int).tolist() == [0, 2, 4, 6, 8]


def test_a_file_with_bfloat16_is_nothing_else(tmp_path: Path, capsys) -> None:
    text = "kernel f(x: f32[N]) -> f32[N]:\n    y[i] = 2 * x[i]\n    return y\n"
    (tmp_path / "k.pdl").write_text(text)
    np.save(tmp_path / "x.npy", np.arange(5).astype(ml_dtypes.bfloat16))
    assert main(("run", str(tmp_path / "k.pdl"), "f", f"x={tmp_path}/x.npy")) == 1
    assert "x: f32[N], and bf16[5] came" in capsys.readouterr().err


@narrow
def test_random_inputs_on_the_command_line(dtype, tmp_path: Path, capsys) -> None:
    (tmp_path / "k.pdl").write_text(CONVOLUTION)
    sizes = ",".join(f"{n}={SHAPES[n]}" for n in "CHWK")
    words = ("--size", sizes, "--dtype", f"T={dtype}")
    assert main(("run", str(tmp_path / "k.pdl"), "f", *words)) == 0
    found = capsys.readouterr().out
    assert f"{dtype}[1,19,9,11]" in found and "within the oracle's error bound" in found
