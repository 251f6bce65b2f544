"""The microkernel providers that this machine has, beside each other.

    python -m tests.benchmarks.providers [blocks] [kernels]

`blocks` times single blocks with operands in L1 and L2, beside what the scheduler's
model expects of them; `kernels` times whole products and convolutions, one thread, f32.
All providers of a row take turns, and the best round of each counts, as percent of the
measured peak.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from llvmlite import ir

import polydsl
from polydsl.backend.carried_loop import Values, carried_loop
from polydsl.backend.jit import NativeKernel, compile_object, load
from polydsl.backend.microkernel import define_microkernel
from polydsl.backend.microkernel_spec import Microkernel
from polydsl.backend.peak import measure_peak
from polydsl.backend.providers.table import implementation
from polydsl.base.dtypes import F32
from polydsl.base.providers import PROVIDER_NAMES, provider_named
from polydsl.driver.loading import load_standard
from polydsl.driver.toolchain import toolchain
from polydsl.schedule.provider_cost import microkernel_efficiency
from tests.benchmarks.timing import Run, interleave

ENTRY = "polydsl_benchmark"
OPERATIONS = 4e6
"""Of one timed round of a block."""

BLOCKS = (
    (6, 64, 1, 64),
    (6, 64, 1, 16),
    (6, 64, 9, 64),
    (6, 64, 9, 16),
    (14, 32, 1, 128),
    (64, 64, 1, 64),
    (64, 64, 1, 256),
    (64, 64, 9, 64),
    (32, 48, 4, 32),
)
"""Rows, columns, batch, depth."""


def found() -> tuple[str, ...]:
    """Return the providers that are here."""
    return tuple(name for name in PROVIDER_NAMES if toolchain().libraries.has(name))


# Single blocks


def specification(
    provider: str, rows: int, columns: int, batch: int, depth: int
) -> Microkernel:
    """Return a block whose operands are packed."""
    return Microkernel(
        rows=rows,
        columns=columns,
        batch=batch,
        depth=depth,
        accumulate=True,
        dtype=F32,
        a_batch=rows * depth if batch > 1 else 0,
        a_row=depth,
        a_depth=1,
        b_batch=columns * depth if batch > 1 else 0,
        b_depth=columns,
        c_row=columns,
        provider=provider,
    )


def loaded(spec: Microkernel, calls: int) -> NativeKernel:
    """Compile a function that runs a microkernel *calls* times."""
    tools = toolchain()
    module = ir.Module("benchmark")
    module.triple = tools.target.triple
    function = define_microkernel(module, spec, tools.target)
    entry = ir.Function(module, function.ftype, ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())

    def call(_: ir.Value, none: Values) -> Values:
        builder.call(function, entry.args)
        return none

    carried_loop(builder, calls, 1, (), call)
    builder.ret_void()
    symbols = [k.symbol for k in implementation(spec.provider).kernels(spec)]
    linked = tools.libraries.link(symbols)
    assert linked is not None, f"{spec.provider} does not make {spec.name}"
    code = compile_object(str(module), tools.target)
    return load(code, linked.addresses, (ENTRY,), linked.owners)


def block_run(spec: Microkernel, calls: int) -> Run:
    """Return a call of *calls* blocks on operands of their own."""
    rng = np.random.default_rng(0)
    kernel = loaded(spec, calls)
    sizes = {
        "c": spec.rows * spec.columns,
        "a": spec.rows * spec.batch * spec.depth,
        "b": spec.columns * spec.batch * spec.depth,
    }
    arrays = [rng.random(sizes[name], dtype=np.float32) for name in spec.parameters]
    kinds = [ctypes.c_void_p] * len(arrays)
    entry = ctypes.CFUNCTYPE(None, *kinds)(kernel.address(ENTRY))

    def run(_: object = (kernel, arrays)) -> None:
        entry(*(array.ctypes.data for array in arrays))

    return run


def blocks(peak: float) -> Iterator[str]:
    """Yield a line for each block: percent of peak, and what the model expects."""
    names, machine = found(), toolchain().machine
    for rows, columns, batch, depth in BLOCKS:
        operations = 2.0 * rows * columns * batch * depth
        calls = max(1, int(OPERATIONS / operations))
        specs = [specification(name, rows, columns, batch, depth) for name in names]
        times = interleave([block_run(s, calls) for s in specs], seconds=0.5)
        cells = []
        for name, seconds in zip(names, times):
            share = operations * calls / seconds / 1e9 / peak
            expected = microkernel_efficiency(
                provider_named(name),
                machine,
                F32,
                rows=rows,
                columns=columns,
                products=batch * depth,
                batch=batch,
            )
            cells.append(f"{name} {100 * share:5.1f} % ({100 * expected:3.0f})")
        shape = f"{rows}x{columns} batch {batch} depth {depth}"
        yield f"  {shape:26} {'   '.join(cells)}"


# Whole kernels


def problems() -> Iterator[tuple[str, polydsl.Kernel, tuple[np.ndarray, ...], float]]:
    """Yield a name, a kernel with its weights bound, its arrays, its operations."""
    rng = np.random.default_rng(0)
    matmul = load_standard("linalg").matmul
    for m, n, k in ((256, 256, 256), (1024, 1024, 1024), (64, 4096, 512)):
        a, b = (rng.random(s, dtype=np.float32) for s in ((m, k), (k, n)))
        yield f"matmul {m}x{n}x{k}", matmul, (a, b), 2.0 * m * n * k
    conv = load_standard("conv").conv2d_nhwc
    for size, c, k, r in ((56, 64, 64, 3), (14, 256, 256, 3), (28, 512, 128, 1)):
        x = rng.random((1, size, size, c), dtype=np.float32)
        w = rng.random((r, r, c, k), dtype=np.float32)
        bound = conv.bind(weight=w, padding=r // 2)
        operations = 2.0 * size * size * c * k * r * r
        yield f"conv {r}x{r} {c}->{k} at {size}", bound, (x,), operations


def kernels(peak: float) -> Iterator[str]:
    """Yield a line for each kernel: percent of peak by provider."""
    names = found()
    for title, kernel, arrays, operations in problems():
        runs: list[Callable[[], object]] = []
        for name in names:
            forced = kernel.configure(microkernel=name)
            runs.append(partial(forced, *arrays, threads=1))
        times = interleave(runs, seconds=1.0)
        shares = (operations / seconds / 1e9 / peak for seconds in times)
        cells = (f"{n} {100 * share:5.1f} %" for n, share in zip(names, shares))
        yield f"  {title:26} {'   '.join(cells)}"


TABLES = {"blocks": blocks, "kernels": kernels}


def main(arguments: list[str]) -> None:
    """Print the tables that are asked for, all of them if none is."""
    tools = toolchain()
    peak = measure_peak(tools.target, F32)
    print(f"{tools.machine.isa}, f32, measured peak {peak:.1f} GFLOP/s")
    for name in set(PROVIDER_NAMES) - set(found()):
        print(f"{name} is not here: {provider_named(name).remedy}")
    for title in arguments or TABLES:
        print(f"{title}: percent of peak" + " (expected)" * (title == "blocks"))
        for line in TABLES[title](peak):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
