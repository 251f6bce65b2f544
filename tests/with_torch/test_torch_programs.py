"""Kernels translated to PyTorch, against the oracle: what `bench` times."""

from graphlib import CycleError, TopologicalSorter

import numpy as np
import pytest
import torch
from stdlib_cases import CASES, Case, arrays

import polydsl
from polydsl.backend.arrays import layout_of
from polydsl.base.diagnostics import VerificationError
from polydsl.driver import bench as benches
from polydsl.driver.bench import Bench, run_bench
from polydsl.driver.compiler import begin
from polydsl.driver.kernel import Kernel
from polydsl.driver.loading import load_standard
from polydsl.driver.pytorch import program as programs
from polydsl.driver.pytorch.box import Untranslatable
from polydsl.driver.pytorch.program import TorchProgram, translate
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.poly.scatters import is_plain as is_distinct
from polydsl.poly.scop import Scop
from polydsl.semantics.oracle.compare import Margins, compare
from polydsl.semantics.oracle.evaluate import evaluate
from polydsl.semantics.program import is_affine

pytestmark = pytest.mark.torch

EMPTY = ("softmax-3x0", "max_plus-3x0-0x4", "log_softmax-3x0")
UNTRANSLATED = ("autocorrelation", "unfold2d")
"""Windows that run backward, or that `//` and `%` take apart."""
INEXACT = (
    "gelu_layer",
    "silu_layer",
    "sigmoid_layer",
    "softplus_layer",
    "mish",
    "geglu",
    "geglu_grad",
)


def scop_of(kernel: Kernel, *values: np.ndarray, **constants) -> Scop:
    arrays = dict(zip(kernel.program(*values, **constants).parameters, values))
    layouts = {name: layout_of(np.asarray(value)) for name, value in arrays.items()}
    request = Request(kernel.library, kernel.name, layouts, constants)
    scop = compile_until(begin(request, toolchain()), "scop").scop
    assert scop is not None
    return scop


def is_plain(scop: Scop) -> bool:
    """Whether a scop has only boxes, no scatters and no indirect subscripts, and no
    tensor needs itself, also where it has but one element in this case."""
    return not _needs_itself(scop) and all(
        not s.conditions
        and is_distinct(s)
        and all(is_affine(e) for r in s.reads for e in r.access.subscripts)
        for s in scop.statements
    )


def _needs_itself(scop: Scop) -> bool:
    """Whether some tensors read each other in a circle."""
    needs: dict[str, set[str]] = {}
    for s in scop.statements:
        needs.setdefault(s.tensor, set()).update(r.access.tensor for r in s.reads)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return True
    return False


def translated(
    kernel: Kernel, *values: np.ndarray, known: tuple[str, ...] = (), **constants
) -> TorchProgram:
    arrays = dict(zip(kernel.program(*values, **constants).parameters, values))
    scop = scop_of(kernel, *values, **constants)
    return translate(torch, scop, {n: torch.from_numpy(arrays[n]) for n in known})


def check(kernel: Kernel, made: TorchProgram, *values: np.ndarray, **constants):
    typed = kernel.program(*values, **constants)
    given = dict(zip(typed.parameters, values, strict=True))
    results = made({name: torch.from_numpy(v) for name, v in given.items()})
    return compare(typed, evaluate(typed, given), [r.numpy() for r in results])


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if str(c) not in EMPTY],
    ids=str,
)
def test_the_standard_library(case: Case) -> None:
    kernel = getattr(load_standard(case.module), case.kernel)
    values = arrays(case, np.float32)
    try:
        made = translated(kernel, *values, **case.constants)
    except Untranslatable:
        scop = scop_of(kernel, *values, **case.constants)
        assert case.kernel in UNTRANSLATED or not is_plain(scop)
        return
    try:
        margins = check(kernel, made, *values, **case.constants)
    except VerificationError:
        assert case.kernel in INEXACT
    else:
        assert isinstance(margins, Margins)


@pytest.mark.parametrize(
    ("module", "name", "shapes", "constants", "form"),
    [
        ("linalg", "matmul_nt", ((3, 4), (5, 4)), {}, "c: einsum"),
        ("conv", "conv1d", ((1, 2, 9), (3, 2, 3)), {"stride": 2}, "y: conv1d"),
        ("conv", "conv2d_nhwc", ((1, 6, 5, 3), (3, 3, 3, 4)), {}, "y: conv2d"),
        ("conv", "conv3d", ((1, 2, 4, 5, 6), (3, 2, 2, 3, 3)), {}, "y: conv3d"),
        (
            "conv",
            "grouped_conv2d_nhwc",
            ((1, 5, 5, 8), (3, 3, 4, 6)),
            {"groups": 2, "padding": 1},
            "y: conv2d",
        ),
        ("conv", "depthwise_conv2d", ((1, 5, 7, 7), (5, 1, 3, 3)), {}, "y: conv2d"),
    ],
)
def test_products_are_what_a_user_would_call(
    module: str, name: str, shapes, constants: dict[str, int], form: str
) -> None:
    rng = np.random.default_rng(0)
    kernel = getattr(load_standard(module), name)
    values = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    made = translated(kernel, *values, **constants)
    assert made.forms == (form,)
    check(kernel, made, *values, **constants)


def test_a_product_with_a_computed_factor_is_one_of_matrices() -> None:
    kernel = polydsl.loads(
        """
kernel f(x: f32[N, C], q: i8[C, K], s: f32[K]) -> f32[N, K]:
    w[c, k] = (q[c, k] - 3) * s[k]
    y[n, k] += x[n, c] * w[c, k]
    return y
"""
    ).f
    rng = np.random.default_rng(0)
    x, s = (rng.standard_normal(n).astype(np.float32) for n in ((5, 7), 9))
    q = rng.integers(-100, 100, (7, 9)).astype(np.int8)
    made = translated(kernel, x, q, s)
    assert made.forms == ("y: einsum",)
    check(kernel, made, x, q, s)


@pytest.mark.parametrize(
    ("name", "shapes", "constants"),
    [
        ("conv2d_nhwc", ((1, 6, 5, 3), (3, 3, 3, 4)), {"padding": 1}),
        ("conv2d", ((2, 3, 9, 7), (5, 3, 3, 2)), {"stride": 2, "dilation": 2}),
        ("grouped_conv2d", ((1, 6, 5, 5), (9, 2, 3, 3)), {"groups": 3}),
        ("conv1d", ((1, 4, 17), (7, 4, 5)), {"padding": 3}),
    ],
)
def test_weights_that_are_known_are_laid_out_before(
    name: str, shapes, constants: dict[str, int]
) -> None:
    rng = np.random.default_rng(3)
    kernel = getattr(polydsl.stdlib.conv, name)
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    made = translated(kernel, x, weight, known=("weight",), **constants)
    check(kernel, made, x, weight, **constants)
    # They are not read again.
    results = made({"x": torch.from_numpy(x), "weight": torch.zeros(shapes[1])})
    assert results[0].abs().max() > 0


KERNELS = polydsl.loads("""
kernel reverse(x: f32[N]) -> f32[N]:
    y[i] = x[N - 1 - i]
    return y

kernel mirrored(x: f32[N], w: f32[R]) -> f32[N - R + 1]:
    y[i] += x[i + R - 1 - r] * w[r]
    return y

kernel turned(x: f32[N], w: f32[R]) -> f32[N]:
    i in range(N)
    y[i] += pad(x[i - r]) * w[r]
    return y

kernel several(x: f32[N, M], y: f32[N, M]) -> f32[N]:
    z[i] += x[i, k] * y[i, k]
    z[i] += x[i, k]
    return z

kernel product(x: f32[N, M]) -> f32[N]:
    z[i] *= x[i, k]
    return z

kernel whole(x: i32[N, M]) -> i32[N]:
    z[i] += x[i, k]
    return z

kernel guarded(x: f32[N]) -> f32[N]:
    y[i] = x[i - 1] if i > 0 else 7.0
    return y

kernel filled(x: f32[N, M]) -> f32[N, M]:
    b: f32[N, M]
    b[i, j] = 2
    y[i, j] = b[i, j] + x[i, j]
    return y

kernel every(x: f32[N, M]) -> bool[N]:
    y[i] = all[k](x[i, k] > -2)
    return y

""")


@pytest.mark.parametrize(
    "name",
    [
        "reverse",
        "mirrored",
        "product",
        "whole",
        "guarded",
        "every",
        "several",
        "filled",
    ],
)
def test_forms_of_statements(name: str) -> None:
    kernel = getattr(KERNELS, name)
    rng = np.random.default_rng(1)
    dtype = np.int32 if name == "whole" else np.float32
    shapes = {"mirrored": [(9,), (3,)], "several": [(5, 4)] * 2}
    shapes |= {"reverse": [(9,)], "guarded": [(9,)]}
    values = [(3 * rng.random(s)).astype(dtype) for s in shapes.get(name, [(5, 4)])]
    check(kernel, translated(kernel, *values), *values)


def test_large_reductions_are_made_in_pieces(monkeypatch) -> None:
    monkeypatch.setattr(programs, "PIECE_POINTS", 60)
    kernel = polydsl.stdlib.novel.max_plus
    rng = np.random.default_rng(2)
    a = rng.standard_normal((7, 5), np.float32)
    b = rng.standard_normal((5, 11), np.float32)
    made = translated(kernel, a, b)
    largest = []
    cat = torch.cat

    def counted(parts, dim):
        largest.append(max(part.numel() for part in parts))
        return cat(parts, dim)

    monkeypatch.setattr(torch, "cat", counted)
    check(kernel, made, a, b)
    assert largest and max(largest) <= 60


def test_what_has_no_translation_is_named() -> None:
    with pytest.raises(Untranslatable, match=r"^`y_max.*|^`.*max.*`: it reduces no"):
        translated(polydsl.stdlib.activation.softmax, np.zeros((3, 0), np.float32))


def test_padding_that_runs_back_has_no_translation() -> None:
    with pytest.raises(Untranslatable, match=r"^`y\[i\] \+= pad.*`: its padding"):
        translated(KERNELS.turned, np.ones(9, np.float32), np.ones(3, np.float32))


def test_a_wrong_translation_is_not_timed(monkeypatch) -> None:
    kernel = polydsl.stdlib.linalg.matmul
    arrays = {"a": np.ones((8, 8), np.float32), "b": np.eye(8, dtype=np.float32)}
    bench = Bench(kernel, arrays, {}, ("b",), 1)
    good = run_bench(bench, ("torch",), None, seconds=0)
    assert good[1].timing is not None and good[1].note == "c: einsum"
    monkeypatch.setattr(
        benches, "translate", lambda *given: lambda tensors: (2 * tensors["a"],)
    )
    own, theirs = run_bench(bench, ("torch",), None, seconds=0)
    assert own.timing is not None and theirs.timing is None
    assert "differ from the oracle" in theirs.note
