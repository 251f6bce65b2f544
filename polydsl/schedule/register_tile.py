"""Which register tiles of a product a machine can hold, and how fast each runs.

A tile has `rows` broadcast values and `vectors` vectors: rows x vectors accumulators.
Beside them the registers hold the values of the side with fewer of them, and one value
of the other side. The estimate of speed counts what limits the microkernels that
`polydsl.backend` emits: the loads of each step, the latency of the multiply-adds, idle
lanes in the last vector, the addresses of each position of the batch, and the start
and end of a tile. Everything is a pure function of the machine's numbers.
"""

from __future__ import annotations

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType
from polydsl.base.machine import Machine

_LOADS_PER_CYCLE = 2.0
_MAX_SETS = 4
_MAX_ROWS = 28
_LONG_PRODUCT = 1024
_VECTORS = (1, 2, 3, 4, 6)
# Fitted to measured microkernels (AVX-512, operands in L1), in cycles: what a call
# and each row of the result cost, what each position of the batch and each row pointer
# of it cost.
_CALL_CYCLES = 4.0
_ROW_CYCLES = 2.0
_POSITION_CYCLES = 1.0
_POINTER_CYCLES = 0.5
_SPILLED_POINTER_CYCLES = 2.5
_ADDRESS_REGISTERS = 12
# A tile that does not fit the registers measured 0.2 to 0.5 of the speed of one that
# does; the lower end, since one that fits is always at hand.
_SPILLING = 0.2


def registers_needed(machine: Machine, rows: int, vectors: int) -> int:
    """Return how many vector registers a full tile occupies.

    `mv*n + mv + 1` as long as there are no more vectors than rows; the other way round
    the broadcasts are held and the vectors pass. Where rows have only one vector, a
    wide unit takes the broadcast as a memory operand of the multiply-add. Without a
    fused instruction the product needs a register of its own.
    """
    product = 0 if machine.has_fma else 1
    return rows * vectors + min(rows, vectors) + 1 + product


def fits_registers(machine: Machine, rows: int, vectors: int) -> bool:
    """Return whether a tile runs without spilling."""
    return registers_needed(machine, rows, vectors) <= machine.vector_registers


def max_rows(machine: Machine, vectors: int) -> int:
    """Return the largest number of rows that fits beside *vectors* vectors; 0 if none.

    At most 28: longer tiles bring no more reuse and need more row addresses than there
    are registers for them.
    """
    fitting = (
        n for n in range(_MAX_ROWS, 0, -1) if fits_registers(machine, n, vectors)
    )
    return next(fitting, 0)


def tile_shapes(machine: Machine, dtype: DType) -> tuple[tuple[int, int], ...]:
    """Return the tallest (rows, vectors) for each number of vectors, best first.

    Best is by the efficiency of a long product, in steps of a twentieth, then by loads
    for each multiply-add. Lower tiles of the same width always fit too.
    """
    lanes = machine.lanes(dtype)
    tallest = ((max_rows(machine, v), v) for v in _VECTORS)

    def rank(shape: tuple[int, int]) -> tuple[float, float, int]:
        rows, vectors = shape
        speed = tile_efficiency(
            machine, dtype, rows=rows, columns=vectors * lanes, products=_LONG_PRODUCT
        )
        loads = (rows + vectors) / (rows * vectors)
        return -round(speed * 20), loads, vectors

    return tuple(sorted((s for s in tallest if s[0] > 0), key=rank))


def tile_efficiency(
    machine: Machine,
    dtype: DType,
    *,
    rows: int,
    columns: int,
    products: int,
    batch: int = 1,
    has_row_table: bool = False,
) -> float:
    """Return the share of the machine's multiply-adds that a tile reaches, 0 to 1.

    *products* is the length of the whole reduction of one tile, over *batch* positions.
    *has_row_table* says that a table gives the rows of A. Operands are in L1.
    """
    if min(rows, columns, products, batch) < 1:
        return 0.0
    lanes = machine.lanes(dtype)
    vectors = -(-columns // lanes)
    step = _step_cycles(machine, rows, vectors)
    position = _position_cycles(rows, has_row_table=has_row_table)
    cycles = products * step + batch * position + _ends_cycles(machine, rows, vectors)
    # A partial vector costs as much as a whole one.
    useful = rows * columns / lanes * products / machine.fma_per_cycle
    share = useful / cycles
    return share if fits_registers(machine, rows, vectors) else share * _SPILLING


def accumulator_sets(machine: Machine, rows: int, vectors: int) -> int:
    """Return how many sets of accumulators a tile of few rows keeps: 1, 2 or 4.

    The sums must outnumber the multiply-adds in flight, by half to spare.
    """
    sums, sets = rows * vectors, 1
    wanted = 1.5 * machine.fma_latency * machine.fma_per_cycle
    others = min(rows, vectors) + 2
    while sets < _MAX_SETS and sets * sums < wanted:
        if 2 * sets * sums + others > machine.vector_registers:
            break
        sets *= 2
    return sets


def even_rows(total: int, most: int) -> tuple[int, ...]:
    """Split *total* rows into tiles of at most *most*, as evenly as can be.

    The tiles have at most two distinct heights, which differ by one, taller ones
    first: 20 rows at 6 are 5+5+5+5 and not 6+6+6+2; 13 rows at 6 are 5+4+4.
    """
    if most < 1 or total < 0:
        bug(f"cannot split {total} rows into tiles of {most}")
    if total == 0:
        return ()
    tiles = -(-total // most)
    height, taller = divmod(total, tiles)
    return (height + 1,) * taller + (height,) * (tiles - taller)


def _step_cycles(machine: Machine, rows: int, vectors: int) -> float:
    """Return the cycles of one step of the reduction: the scarcest resource decides."""
    multiply = rows * vectors / machine.fma_per_cycle
    load = (rows + vectors) / _LOADS_PER_CYCLE
    # A sum can take its next term after the latency; the sets take turns.
    latency = machine.fma_latency / accumulator_sets(machine, rows, vectors)
    return max(multiply, load, latency)


def _position_cycles(rows: int, *, has_row_table: bool) -> float:
    """Return the cycles that go into the addresses of one position of the batch."""
    if not has_row_table:
        return _POSITION_CYCLES
    spills = rows > _ADDRESS_REGISTERS
    pointer = _SPILLED_POINTER_CYCLES if spills else _POINTER_CYCLES
    return _POSITION_CYCLES + rows * pointer


def _ends_cycles(machine: Machine, rows: int, vectors: int) -> float:
    """Return the cycles of the call, of adding up the sets, and of storing the tile."""
    sets = accumulator_sets(machine, rows, vectors)
    adding = (sets - 1) * rows * vectors / machine.fma_per_cycle
    return _CALL_CYCLES + rows * _ROW_CYCLES + adding
