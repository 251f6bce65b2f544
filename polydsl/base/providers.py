"""Microkernel providers, as values: who computes the innermost block of a product.

A `Provider` says which products it serves and what they cost, so that a schedule can
be priced for it; it says nothing of how a library is found or called, which is the
matter of `polydsl.backend.providers`. The built-in generator is a provider like the
others. A new provider is a row here and an implementation there.
"""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import F32, F64, DType
from polydsl.base.inner_product import MULTIPLY_ADD, InnerProduct


@dataclass(frozen=True, slots=True)
class Product:
    """What one microkernel call computes, and how its operands lie.

        C[m, n] = (C[m, n] or nothing) + sum over t, k of A[t, m, k] * B[t, k, n]

    Steps count elements; one that is never taken, since there is one position only, is
    0, and None stands for a table of positions. B and C are contiguous along n.
    `batch` positions t lie anywhere. `inner` may put other operations in place of the
    product and the sum.
    """

    dtype: DType
    rows: int
    columns: int
    batch: int
    depth: int
    a_row: int | None
    a_depth: int
    b_depth: int
    c_row: int | None
    inner: InnerProduct = MULTIPLY_ADD


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of microkernels.

    `remedy` says how to get it. `is_general` holds for the built-in one, which serves
    every product whose tile fits the registers; libraries serve ordinary products in
    `dtypes` of which every operand is a matrix. The rest are prices on one core, in
    cycles: `call_cycles` of a call, `position_cycles` of each position of the batch;
    with `rereads_result` the result is loaded and stored at each of them.
    `block_rows` x `block_vectors` is the largest block worth one call: a library cuts
    it into register tiles itself.
    """

    name: str
    remedy: str
    is_general: bool = False
    dtypes: tuple[DType, ...] = ()
    call_cycles: float = 0.0
    position_cycles: float = 0.0
    rereads_result: bool = False
    block_rows: int = 0
    block_vectors: int = 0

    def refusal(self, product: Product) -> str:
        """Return why *product* is not served, in words; empty if it is."""
        if self.is_general:
            return ""
        reasons = (
            (product.inner != MULTIPLY_ADD, "its products are sums of products"),
            (
                product.dtype not in self.dtypes,
                f"it takes {' and '.join(map(str, self.dtypes))}, not {product.dtype}",
            ),
            (
                product.a_row is None or product.c_row is None,
                "its rows are a constant distance apart, and these come from a table",
            ),
            (
                min(product.rows, product.columns, product.batch, product.depth) < 1,
                "it takes no empty product",
            ),
            (
                broadcast_side(product) is None,
                "rows and depth of the broadcast side overlap or are both apart",
            ),
            (
                product.depth > 1 and product.b_depth < product.columns,
                "lines of the vector side overlap",
            ),
            (
                product.rows > 1 and (product.c_row or 0) < product.columns,
                "rows of the result overlap",
            ),
        )
        return next((f"{self.name}: {why}" for holds, why in reasons if holds), "")


@dataclass(frozen=True, slots=True)
class BroadcastSide:
    """The broadcast side as a matrix: its leading dimension, in elements, and whether
    it is the rows that are contiguous and not the depth."""

    leading: int
    is_transposed: bool


def broadcast_side(product: Product) -> BroadcastSide | None:
    """Return A as a matrix that is contiguous one way; None where it is none."""
    row, step = product.a_row, product.a_depth
    if row is None:
        return None
    if product.depth == 1 or step == 1:
        leading = row if product.rows > 1 else product.depth
        if leading >= product.depth:
            return BroadcastSide(leading, False)
    if product.rows == 1 or row == 1:
        leading = step if product.depth > 1 else product.rows
        if leading >= product.rows:
            return BroadcastSide(leading, True)
    return None


BUILT_IN = "llvm"
"""The name of the provider that is always there."""

PROVIDERS: tuple[Provider, ...] = (
    Provider(BUILT_IN, "nothing to do: it is a part of polydsl", is_general=True),
    Provider(
        "libxsmm",
        "on Debian: apt-get install libxsmm-dev, then make a shared library of it "
        "(polydsl's page on providers has the line) and set POLYDSL_LIBXSMM to it",
        dtypes=(F32, F64),
        call_cycles=15.0,
        position_cycles=3.0,
        block_rows=64,
        block_vectors=4,
    ),
    Provider(
        "mkl",
        "pip install mkl, or set POLYDSL_MKL to the path of libmkl_rt",
        dtypes=(F32, F64),
        call_cycles=60.0,
        position_cycles=60.0,
        rereads_result=True,
        block_rows=64,
        block_vectors=4,
    ),
)
"""The providers that polydsl knows. The prices of LIBXSMM are rough figures of
`tests/benchmarks/providers.py` on AVX-512; those of MKL are what a generated kernel
should cost, since on the machine at hand MKL generates none: the ordinary GEMM that it
gives instead runs blocks at a third of that. Prices compare the plans for one provider;
none is taken unless it is asked for."""

PROVIDER_NAMES: tuple[str, ...] = tuple(provider.name for provider in PROVIDERS)
"""Their names, as `microkernel=` takes them."""


def provider_named(name: str) -> Provider:
    """Return the provider called *name*."""
    found = next((p for p in PROVIDERS if p.name == name), None)
    return found or bug(f"there is no microkernel provider {name}")
