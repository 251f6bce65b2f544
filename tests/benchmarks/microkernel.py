"""Percent of the measured peak that batch-reduce GEMM microkernels reach, by tile.

    python tests/benchmarks/microkernel.py [avx512 | avx2 | generic]

Operands are in L1 or L2. Rounds of every tile alternate with rounds of the pure
register loop; the best of each counts. The last columns are the time to emit and to
compile one microkernel, and the share that the scheduler's estimate expects.
"""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass, field

import numpy as np
from llvmlite import ir

from polydsl.backend.carried_loop import Values, carried_loop
from polydsl.backend.jit import NativeKernel, compile_object, load
from polydsl.backend.microkernel import define_microkernel
from polydsl.backend.microkernel_spec import GUARDED, TABLE, Microkernel
from polydsl.backend.peak import arithmetic_probe
from polydsl.backend.target import Target, host_target, machine_of
from polydsl.base.dtypes import F32, F64, DType
from polydsl.loops.nest import OUTSIDE
from polydsl.schedule.register_tile import tile_efficiency

ENTRY = "polydsl_benchmark"
ROUNDS = 60
OPERATIONS = 60e6
"""Of one round: well above the cost of a call, well below a scheduler's time slice."""

Tile = tuple[int, int, int, int, str, bool]
"""Rows, vectors, batch, depth, mode of A's rows, accumulate."""

TILES: dict[str, tuple[Tile, ...]] = {
    "avx512": (
        (6, 4, 1, 64, "strided", False),
        (6, 4, 1, 256, "strided", False),
        (6, 4, 1, 64, "strided", True),
        (6, 4, 9, 64, "strided", False),
        (6, 4, 9, 64, TABLE, False),
        (6, 4, 9, 64, GUARDED, False),
        (6, 4, 9, 3, GUARDED, False),
        (9, 3, 9, 64, GUARDED, False),
        (14, 2, 1, 128, "strided", False),
        (14, 2, 9, 64, GUARDED, False),
        (14, 2, 9, 2, GUARDED, False),
        (28, 1, 1, 128, "strided", False),
        (28, 1, 9, 64, GUARDED, False),
        (1, 1, 1, 96, "strided", False),
        (1, 4, 1, 96, "strided", False),
        (2, 4, 1, 96, "strided", False),
        (4, 2, 1, 96, "strided", False),
        (6, 1, 1, 96, "strided", False),
    ),
    "avx2": (
        (6, 2, 1, 128, "strided", False),
        (6, 2, 9, 64, GUARDED, False),
        (4, 3, 9, 64, TABLE, False),
        (3, 4, 9, 64, GUARDED, False),
        (12, 1, 1, 128, "strided", False),
        (2, 4, 1, 128, "strided", False),
    ),
    "generic": (
        (6, 2, 1, 128, "strided", False),
        (6, 2, 9, 64, GUARDED, False),
        (3, 3, 1, 128, "strided", False),
        (12, 1, 1, 128, "strided", False),
    ),
}


@dataclass(slots=True, eq=False)
class Timed:
    """A compiled microkernel that runs `calls` times in a round."""

    spec: Microkernel
    kernel: NativeKernel
    arrays: dict[str, np.ndarray]
    calls: int
    compile_ms: float
    best: float = field(default=0.0)

    def round(self) -> None:
        """Run one round and keep the best speed in GFLOP/s."""
        spec = self.spec
        pointers = [self.arrays[name].ctypes.data for name in spec.parameters]
        kinds = [ctypes.c_void_p] * len(pointers)
        entry = ctypes.CFUNCTYPE(None, *kinds)(self.kernel.address(ENTRY))
        start = time.perf_counter()
        entry(*pointers)
        seconds = time.perf_counter() - start
        self.best = max(self.best, operations(spec) * self.calls / seconds / 1e9)


def operations(spec: Microkernel) -> int:
    return 2 * spec.rows * spec.columns * spec.batch * spec.depth


def specification(tile: Tile, target: Target, dtype: DType, tail: int) -> Microkernel:
    rows, vectors, batch, depth, mode, accumulate = tile
    columns = vectors * target.isa.lanes(dtype) - tail
    return Microkernel(
        rows=rows,
        columns=columns,
        batch=batch,
        depth=depth,
        accumulate=accumulate,
        dtype=dtype,
        a_batch=rows * depth if mode == "strided" else TABLE if mode == TABLE else 0,
        a_row=depth if mode == "strided" else mode,
        a_depth=1,
        b_batch=depth * columns if mode == "strided" else TABLE,
        b_depth=columns,
        c_row=columns,
    )


def timed(spec: Microkernel, target: Target) -> Timed:
    start = time.thread_time()
    module = ir.Module("benchmark")
    module.triple = target.triple
    function = define_microkernel(module, spec, target)
    calls = max(1, int(OPERATIONS / operations(spec)))
    entry = ir.Function(module, function.ftype, ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())

    def call(_: ir.Value, none: Values) -> Values:
        builder.call(function, entry.args)
        return none

    carried_loop(builder, calls, 1, (), call)
    builder.ret_void()
    code = compile_object(str(module), target)
    milliseconds = (time.thread_time() - start) * 1e3
    kernel = load(code, exports=(ENTRY,))
    return Timed(spec, kernel, operands(spec), calls, milliseconds)


def operands(spec: Microkernel) -> dict[str, np.ndarray]:
    rng, dtype = np.random.default_rng(0), spec.dtype.numpy
    rows, batch, depth = np.arange(spec.rows), np.arange(spec.batch), spec.depth
    a_row = rows * depth
    if spec.a_row == GUARDED:
        a_row = batch[:, None] * spec.rows * depth + a_row
        a_row.flat[:: 3 * spec.rows] = OUTSIDE
    return {
        "c": aligned(np.zeros(spec.rows * spec.columns, dtype)),
        "a": aligned(rng.random(spec.rows * spec.batch * depth).astype(dtype)),
        "b": aligned(rng.random(spec.columns * spec.batch * depth).astype(dtype)),
        "a_rows": a_row.astype(np.int32),
        "a_batch": (batch * spec.rows * depth).astype(np.int32),
        "b_batch": (batch * spec.columns * depth).astype(np.int32),
        "zeros": np.zeros(depth, dtype),
    }


def aligned(array: np.ndarray) -> np.ndarray:
    """Return a copy that starts at a cache line, as scratch and packed buffers do."""
    memory = np.zeros(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


def report(target: Target, dtype: DType) -> None:
    tails = (0, 3) if dtype == F32 else (0,)
    specs = [
        specification(tile, target, dtype, tail)
        for tail in tails
        for tile in TILES[target.isa.name][: None if tail == 0 else 4]
    ]
    tiles = [timed(spec, target) for spec in specs]
    probe = arithmetic_probe(target, dtype)
    peak = 0.0
    for _ in range(ROUNDS):
        for tile in tiles:
            peak = max(peak, probe.round())
            tile.round()
    print(f"{target}, {dtype}: measured peak {peak:.1f} GFLOP/s")
    for tile in tiles:
        print(line(tile, target, peak))


def line(tile: Timed, target: Target, peak: float) -> str:
    spec = tile.spec
    expected = tile_efficiency(
        machine_of(target),
        spec.dtype,
        rows=spec.rows,
        columns=spec.columns,
        products=spec.batch * spec.depth,
        batch=spec.batch,
        has_row_table=not isinstance(spec.a_row, int),
    )
    mode = spec.a_row if isinstance(spec.a_row, str) else "strided"
    shape = f"{spec.rows}x{spec.columns}"
    length = f"{spec.batch}x{spec.depth}"
    return (
        f"  {shape:>6} batch x depth {length:<6} {mode:<8}"
        f"{'add' if spec.accumulate else 'set'}"
        f" {100 * tile.best / peak:6.1f} % of peak {tile.compile_ms:5.1f} ms"
        f" (estimate {100 * expected:.0f} %)"
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or ("avx512", "avx2", "generic"):
        for dtype in (F32, F64):
            report(host_target(name), dtype)
