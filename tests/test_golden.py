"""The life of some kernels, stage by stage, as text: tests/golden/<kernel>/<stage>.txt.

The machine is made up here, so that the files do not depend on where they are written.
`make golden` writes them anew; the difference is part of the review.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from llvmlite import ir
from machines import machine

from polydsl.backend.isa import AVX2, AVX512, VectorISA
from polydsl.backend.microkernel import define_microkernel
from polydsl.backend.microkernel_spec import Microkernel
from polydsl.backend.target import target_for
from polydsl.base.dtypes import F32
from polydsl.driver.arguments import parse_spec
from polydsl.driver.loading import load_standard, loads
from polydsl.driver.request import Request
from polydsl.driver.stages import Compilation, Stage, compile_until

TRIPLE = "x86_64-unknown-linux-gnu"
STAGES = ("ast", "typed", "scop", "dependences", "tree", "nest")

MACHINE = machine()


@dataclass(frozen=True, slots=True)
class Life:
    """A kernel and what it is specialised on. `module` is of the standard library."""

    kernel: str
    specs: tuple[str, ...]
    constants: dict[str, int] = field(default_factory=dict)
    module: str = ""
    bound: frozenset[str] = frozenset()


MATMUL_RELU = """
kernel matmul_relu(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    d[i, j] = relu(c[i, j])
    return d
"""

EMBEDDING = """
kernel embedding_bag(table: f32[V, D], ids: i32[N, K]) -> (f32[N, D], f32[N]):
    y[n, d] += table[ids[n, k], d]
    z[n] = pad(table[ids[n, 0], ids[n, 1]], -1)
    return y, z
"""

RNN = """
kernel rnn(x: f32[T, D], w: f32[H, D], u: f32[H, H], b: f32[H]) -> f32[T, H]:
    p[t, i] += w[i, d] * x[t, d]
    q[t, i] += u[i, j] * pad(h[t - 1, j])
    h[t, i] = tanh(p[t, i] + q[t, i] + b[i])
    return h
"""

CAUSAL_SOFTMAX = """
kernel causal_softmax(s: f32[N, N], *, window: int) -> f32[N, N]:
    j in range(max(0, i - window + 1), i + 1)
    k in range(max(0, i - window + 1), i + 1)
    e[i, j] = exp(s[i, j] - max[k](s[i, k]))
    p[i, j] = e[i, j] / sum[k](e[i, k])
    y[i, c] = pad(p[i, c])
    return y
"""

OVERLAP_ADD = """
kernel overlap_add(x: f32[P, R]) -> f32[M]:
    M = 2*(P - 1) + R
    y[2*p + r] += x[p, r]
    return y
"""

CONV_TRANSPOSE = """
kernel conv_transpose(x: f32[P, C], w: f32[C, R, K], *, stride: int) -> f32[L, K]:
    L = (P - 1) * stride + R
    y[p*stride + r, k] += x[p, c] * w[c, r, k]
    return y
"""

TEXTS = MATMUL_RELU + EMBEDDING + RNN + CAUSAL_SOFTMAX + OVERLAP_ADD + CONV_TRANSPOSE

LIVES = (
    Life("matmul_relu", ("f32[37,64]", "f32[64,80]")),
    Life("rnn", ("f32[9,24]", "f32[40,24]", "f32[40,40]", "f32[40]")),
    Life("causal_softmax", ("f32[50,50]",), {"window": 20}),
    Life("overlap_add", ("f32[9,5]",)),
    Life("conv_transpose", ("f32[9,24]", "f32[24,3,40]"), {"stride": 2}),
    Life(
        "conv2d_nhwc_bias_relu",
        ("f32[1,14,14,32]", "f32[3,3,32,64]", "f32[64]"),
        {"padding": 1},
        "conv",
        frozenset(("weight", "bias")),
    ),
    Life(
        "conv2d",
        ("f32[2,8,15,15]", "f32[16,8,3,3]"),
        {"padding": 1, "stride": 2},
        "conv",
    ),
    Life("max_plus", ("f32[37,64]", "f32[64,80]"), {}, "novel"),
    Life(
        "depthwise_conv2d_nhwc",
        ("f32[1,9,9,48]", "f32[3,3,48]"),
        {"padding": 1},
        "conv",
    ),
    Life("embedding_bag", ("f32[50,40]", "i32[9,4]")),
    Life("max_pool2d", ("f32[1,4,12,12]",), {"window": 3, "stride": 2}, "pooling"),
    Life("softmax", ("f32[6,50]",), {}, "activation"),
    Life("layer_norm", ("f32[6,50]", "f32[50]", "f32[50]"), {}, "normalization"),
    Life(
        "involution",
        ("f32[1,8,8,32]", "f32[1,8,8,3,3,4]"),
        {"padding": 1},
        "novel",
    ),
)


def compilation(life: Life) -> Compilation:
    module = load_standard(life.module) if life.module else loads(TEXTS)
    kernel = getattr(module, life.kernel)
    (definition,) = (d for n, d in kernel.library.kernels.items() if n == life.kernel)
    names = [parameter.name.name for parameter in definition.parameters]
    layouts = {n: parse_spec(s, n) for n, s in zip(names, life.specs, strict=True)}
    request = Request(
        kernel.library, life.kernel, layouts, life.constants, (), life.bound
    )
    return Compilation(request, MACHINE, target_for(AVX512, TRIPLE))


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.kernel)
def test_stages(golden, life: Life) -> None:
    texts: dict[str, str] = {}

    def listen(stage: Stage, state: Compilation) -> None:
        texts[stage.name] = stage.render(state)

    compile_until(compilation(life), "nest", listen)
    assert tuple(texts) == STAGES
    for stage, text in texts.items():
        golden(
            f"{life.kernel}/{stage}.txt", text if text.endswith("\n") else f"{text}\n"
        )


def microkernel(rows: int, columns: int) -> Microkernel:
    return Microkernel(
        rows=rows,
        columns=columns,
        batch=9,
        depth=16,
        accumulate=False,
        dtype=F32,
        a_batch="table",
        a_row=32,
        a_depth=1,
        b_batch=16 * columns,
        b_depth=columns,
        c_row=columns,
    )


@pytest.mark.parametrize(
    ("isa", "rows", "columns"), [(AVX512, 6, 64), (AVX2, 4, 20)], ids=["avx512", "avx2"]
)
def test_microkernels(golden, isa: VectorISA, rows: int, columns: int) -> None:
    module = ir.Module("golden")
    module.triple = TRIPLE
    define_microkernel(module, microkernel(rows, columns), target_for(isa, TRIPLE))
    golden(f"microkernel/{isa.name}_{rows}x{columns}.ll", f"{module}\n")
