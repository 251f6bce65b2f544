"""Microkernel providers: what they serve, and that all give the same results.

Tests run every provider that this machine has; the report's header names those that it
lacks. The built-in one is always among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
from crash_process import crash_process
from hypothesis import given, settings
from hypothesis import strategies as st
from microkernel_cases import Case, compare, libraries, problem

import polydsl
from polydsl.backend.cache import ObjectCache
from polydsl.backend.microkernel_spec import microkernel_of
from polydsl.backend.providers.foreign import ForeignKernel, product_of
from polydsl.backend.providers.table import (
    IMPLEMENTATIONS,
    Libraries,
    Linked,
    foreign_symbols,
)
from polydsl.backend.target import host_target, machine_of
from polydsl.base.diagnostics import ArgumentError, CompilerBug
from polydsl.base.dtypes import F32, F64, I32
from polydsl.base.inner_product import A, Apply, B, InnerProduct
from polydsl.base.providers import (
    BUILT_IN,
    PROVIDER_NAMES,
    PROVIDERS,
    Product,
    broadcast_side,
    provider_named,
)
from polydsl.driver.compiler import compile_request
from polydsl.driver.loading import load_standard
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import Toolchain, toolchain
from polydsl.schedule.preference import Preference
from polydsl.schedule.provider_cost import block_cycles, block_shapes, register_tiles
from polydsl.schedule.register_tile import tile_cycles
from polydsl.schedule.vector_point import IndexLoop, VectorPoint

FOUND = tuple(name for name in PROVIDER_NAMES if libraries().has(name))
FOREIGN = tuple(name for name in PROVIDER_NAMES if name != BUILT_IN)
BEST = host_target().isa.name

KERNELS = polydsl.loads(
    """
kernel matmul(a: T[M, K], b: T[K, N]) -> T[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c

kernel turned(a: T[M, K], b: T[N, K]) -> T[M, N]:
    c[i, j] += a[i, k] * b[j, k]
    return c

kernel batched(a: T[B, K, M], b: T[B, K, N]) -> T[B, M, N]:
    c[n, i, j] += a[n, k, i] * b[n, k, j]
    return c

kernel added(a: T[M, K], x: T[K, N], start: T[M, N]) -> T[M, N]:
    y[i, j] += start[i, j]
    y[i, j] += a[i, k] * x[k, j]
    return y
"""
)

# One tile


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Tiles of every form, some of which libraries do not serve."""
    modes = st.sampled_from(("strided", "table"))
    return Case(
        rows=draw(st.integers(1, 40)),
        columns=draw(st.integers(1, 70)),
        batch=draw(st.integers(1, 6)),
        depth=draw(st.integers(1, 40)),
        accumulate=draw(st.booleans()),
        dtype=draw(st.sampled_from(("f32", "f64"))),
        a_row=draw(st.sampled_from(("strided", "contiguous", "strided", "table"))),
        a_batch=draw(modes),
        b_batch=draw(modes),
        a_depth=draw(st.sampled_from((1, 1, 2))),
        gap=draw(st.integers(0, 2)),
        seed=draw(st.integers(0, 99)),
    )


def served(case: Case) -> bool:
    product = product_of(microkernel_of(problem(case).node))
    return not provider_named(case.provider).refusal(product)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Another process, so that a crash is a finding and not the end."""
    with crash_process() as running:
        yield running


@pytest.mark.parametrize("provider", FOUND)
def test_random_tiles_are_exact(pool: ProcessPoolExecutor, provider: str) -> None:
    """Between guard pages: nothing is read or written outside the operands."""
    seen: Counter[str] = Counter()

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(cases())
    def check(case: Case) -> None:
        mine = replace(case, provider=provider)
        if not served(mine):
            seen["refused"] += 1
            return
        seen.update((case.a_row, case.a_batch, case.dtype, f"add {case.accumulate}"))
        assert pool.submit(compare, mine, BEST).result() == ""

    check()
    wanted = ("strided", "contiguous", "table", "f32", "f64", "add True", "add False")
    assert all(seen[kind] >= 3 for kind in wanted), seen
    assert (seen["refused"] > 0) == (provider != BUILT_IN), seen


@pytest.mark.parametrize("provider", FOUND)
def test_blocks_larger_than_the_registers(
    pool: ProcessPoolExecutor, provider: str
) -> None:
    for rows, columns, batch, depth in ((64, 64, 1, 256), (50, 61, 3, 33)):
        case = Case(rows, columns, batch, depth, batch == 3, provider=provider)
        assert pool.submit(compare, case, BEST).result() == "", case


def test_what_a_library_refuses() -> None:
    plain = Product(F32, 6, 64, 1, 32, 32, 1, 64, 64)
    refused = (
        ("f32 and f64, not i32", replace(plain, dtype=I32)),
        ("a table", replace(plain, a_row=None)),
        ("a table", replace(plain, c_row=None)),
        (
            "sums of products",
            replace(plain, inner=InnerProduct("max", Apply("add", (A, B)))),
        ),
        ("overlap or are both apart", replace(plain, a_row=16)),
        ("overlap or are both apart", replace(plain, a_depth=2)),
        ("vector side overlap", replace(plain, b_depth=63)),
        ("result overlap", replace(plain, c_row=63)),
        ("no empty product", replace(plain, depth=0)),
    )
    for name in FOREIGN:
        provider = provider_named(name)
        assert provider.refusal(plain) == ""
        assert provider.refusal(replace(plain, dtype=F64)) == ""
        for words, product in refused:
            assert words in provider.refusal(product)
            assert provider_named(BUILT_IN).refusal(product) == ""


def test_the_broadcast_side_is_contiguous_along_rows_or_depth() -> None:
    plain = Product(F32, 6, 64, 1, 32, 40, 1, 64, 64)
    side = broadcast_side(plain)
    assert side and (side.leading, side.is_transposed) == (40, False)
    side = broadcast_side(replace(plain, a_row=1, a_depth=8))
    assert side and (side.leading, side.is_transposed) == (8, True)
    side = broadcast_side(replace(plain, rows=1, a_row=0))
    assert side and (side.leading, side.is_transposed) == (32, False)
    side = broadcast_side(replace(plain, rows=1, a_row=0, a_depth=9))
    assert side and (side.leading, side.is_transposed) == (9, True)


@given(
    st.builds(
        ForeignKernel,
        st.sampled_from(FOREIGN),
        st.sampled_from(("f32", "f64")),
        *(st.integers(0, 1 << 40),) * 8,
        form=st.sampled_from(("one", "strd", "addr")),
    )
)
def test_a_symbol_spells_out_its_kernel(kernel: ForeignKernel) -> None:
    assert ForeignKernel.of_symbol(kernel.symbol) == kernel
    assert kernel.symbol.isidentifier()


@pytest.mark.parametrize("symbol", ["memcpy", "polydsl_mkl", "polydsl_mkl_f32_x" * 9])
def test_another_symbol_is_no_kernel(symbol: str) -> None:
    assert ForeignKernel.of_symbol(symbol) is None
    assert Libraries().link((symbol,)) is None


def test_a_tile_that_is_not_served_is_not_emitted() -> None:
    case = Case(3, 16, 1, 8, a_row="table", provider="libxsmm")
    with pytest.raises(CompilerBug, match="come from a table"):
        foreign_symbols(problem(case).nest)


def test_every_provider_is_implemented() -> None:
    assert tuple(i.provider for i in IMPLEMENTATIONS) == PROVIDERS


# Whole kernels


def arrays(seed: int, dtype: str, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("provider", FOUND)
def test_products(provider: str) -> None:
    module = KERNELS
    problems = (
        (module.matmul, arrays(0, "f4", (130, 96), (96, 75))),
        (module.matmul, arrays(1, "f4", (37, 1300), (1300, 131))),
        (module.turned, arrays(2, "f8", (33, 70), (50, 70))),
        (module.batched, arrays(3, "f4", (3, 40, 29), (3, 40, 64))),
    )
    for kernel, given_arrays in problems:
        forced = kernel.configure(microkernel=provider)
        forced.verify(*given_arrays)
        summary = forced.specialize(*given_arrays).compiled.interface.summary
        assert (f"brgemm by {provider} " in summary[0]) == (provider != BUILT_IN)
        two, one = (forced(*given_arrays, threads=n) for n in (2, 1))
        assert np.array_equal(two, one)


@pytest.mark.parametrize("provider", FOUND)
@pytest.mark.parametrize("padding", [0, 1])
def test_convolutions(provider: str, padding: int) -> None:
    conv = load_standard("conv").conv2d_nhwc
    for stride, channels in ((1, 16), (2, 16), (1, 3)):
        x, w = arrays(stride, "f4", (2, 15, 17, channels), (3, 3, channels, 40))
        forced = conv.configure(microkernel=provider)
        constants = {"stride": stride, "padding": padding}
        forced.verify(x, w, **constants)
        bound = forced.bind(weight=w)
        expected = forced(x, w, **constants)
        assert np.allclose(bound(x, **constants), expected, atol=1e-4)
        special = forced.specialize(x, w, **constants)
        foreign = special.compiled.interface.foreign
        assert bool(foreign) == (provider != BUILT_IN)
        if provider != BUILT_IN and channels == 16:
            # Rows read in place, one call for all taps: no window is copied.
            assert "x packed" not in special.compiled.interface.summary[0]


@pytest.mark.parametrize("provider", FOUND)
def test_object_code_from_the_cache_is_linked_again(provider: str, tmp_path) -> None:
    a, b = arrays(5, "f4", (21, 30), (30, 32))
    first, second = (
        specialization(tools_at(tmp_path), provider) for _ in ("made", "found")
    )
    assert not first.compiled.from_cache and second.compiled.from_cache
    assert np.array_equal(first(a, b), second(a, b))
    assert np.allclose(second(a, b), a @ b, atol=1e-4)


# A provider that is missing


@dataclass(frozen=True, slots=True)
class Lost(Libraries):
    """Libraries that are there while code is made, and make no kernel of theirs."""

    def has(self, provider: str) -> bool:
        return True

    def link(self, symbols: Iterable[str]) -> Linked | None:
        return None if tuple(symbols) else Linked({}, ())


def tools_at(folder, libraries: Libraries | None = None) -> Toolchain:
    """Return the toolchain with a cache of its own."""
    tools = replace(toolchain(), cache=ObjectCache(folder))
    return tools if libraries is None else replace(tools, libraries=libraries)


def request(provider: str) -> Request:
    special = KERNELS.matmul.specialize("f32[21,30]", "f32[30,32]")
    return replace(special.request, preference=Preference(microkernel=provider))


def specialization(tools: Toolchain, provider: str) -> Specialization:
    return Specialization(request(provider), tools, {})


@pytest.mark.parametrize("provider", FOREIGN)
def test_a_kernel_that_a_library_does_not_make_is_built_in(
    provider: str, tmp_path
) -> None:
    """Twice: what is compiled, and what the cache holds of another time."""
    a, b = arrays(6, "f4", (21, 30), (30, 32))
    for is_known in (False, True):
        special = specialization(tools_at(tmp_path, Lost()), provider)
        assert special.compiled.from_cache == is_known
        assert special.compiled.interface.foreign == ()
        assert special.request.preference.microkernel == BUILT_IN
        assert np.allclose(special(a, b), a @ b, atol=1e-4)
        assert "by " + provider not in special.explain()


def test_points_beside_a_kernel_that_is_not_made_are_left_out(tmp_path) -> None:
    """Without the library's product plain loops are cheapest, for all statements of its
    tensor together: a point for the others alone has no decision left."""
    asked = KERNELS.added.specialize("f32[8,7]", "f32[7,1]", "f32[8,1]").request
    preference = Preference(microkernel="libxsmm")
    preference = preference.choosing(
        {"S1 (y)": VectorPoint("i", loops=(IndexLoop("i"), IndexLoop("j")))}
    )
    wanted = replace(asked, preference=preference)
    special = Specialization(wanted, tools_at(tmp_path, Lost()), {})
    assert special.request.preference == Preference(microkernel=BUILT_IN)
    a, x, start = arrays(8, "f4", (8, 7), (7, 1), (8, 1))
    assert np.allclose(special(a, x, start), start + a @ x, atol=1e-5)


@pytest.mark.parametrize("provider", FOREIGN)
def test_a_missing_library_that_is_asked_for(provider: str, tmp_path) -> None:
    tools = tools_at(tmp_path, Libraries(((provider, "/no/such/library.so"),)))
    with pytest.raises(ArgumentError) as caught:
        compile_request(request(provider), tools)
    assert f"microkernel='{provider}'" in str(caught.value)
    assert provider_named(provider).remedy in str(caught.value)


def test_a_product_that_is_not_served_says_so_and_is_built_in() -> None:
    kernel = polydsl.loads(
        """
kernel diagonal(x: f32[N], f: f32[R, K]) -> f32[N - R + 1, K]:
    P = N - R + 1
    y[p, k] += x[p + r] * f[r, k]
    return y
"""
    ).diagonal
    x, f = arrays(7, "f4", (70,), (5, 32))
    for provider in FOUND:
        forced = kernel.configure(microkernel=provider)
        forced.verify(x, f)
        assert "brgemm" in forced.explain(x, f)


def test_nobody_gets_a_library_without_asking() -> None:
    """Which sums are taken in which order must not depend on what is installed."""
    special = KERNELS.matmul.specialize("f32[64,64]", "f32[64,64]")
    assert special.compiled.interface.foreign == ()


# Prices


def test_prices_of_libraries() -> None:
    """A library reaches no more than the peak, and a call of it costs something."""
    machine = machine_of(host_target())
    block = {"rows": 48, "columns": 4 * machine.lanes(F32)}
    least = 48 * 4 / machine.fma_per_cycle
    for name in FOREIGN:
        cycles = block_cycles(provider_named(name), machine, F32, **block)
        assert least <= cycles.step < 2 * least
        provider = provider_named(name)
        tiles = [
            tile_cycles(machine, F32, rows=rows, columns=columns)
            for rows, columns in register_tiles(provider, machine, F32, **block)
        ]
        ends = sum(tile.ends for tile in tiles)
        assert cycles.ends == provider.call_cycles + ends
        again = 48 * 4 if provider.rereads_result else 0
        position = sum(tile.position for tile in tiles)
        assert cycles.position == provider.position_cycles + again + position
    own = block_cycles(PROVIDERS[0], machine, F32, **block)
    assert own == tile_cycles(machine, F32, **block)


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
@pytest.mark.parametrize("columns", [1, 48, 1000])
def test_blocks_stay_in_the_result(rows: int, columns: int) -> None:
    machine = machine_of(host_target())
    for provider in PROVIDERS:
        shapes = tuple(block_shapes(provider, machine, F32, rows=rows, columns=columns))
        assert shapes and len({*shapes}) == len(shapes)
        assert all(1 <= r <= rows and 1 <= c <= columns for r, c in shapes)
        if rows >= 64 and not provider.is_general:
            assert max(r for r, _ in shapes) > 28
