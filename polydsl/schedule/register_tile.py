"""Which register tiles of a product a machine can hold, and how fast each runs.

A tile has `rows` broadcast values and `vectors` vectors: rows x vectors accumulators.
Beside them the registers hold the values of the side with fewer of them, one value of
the other side, and what the inner product's function needs between them. The estimate
of speed counts what limits the microkernels that `polydsl.backend` emits: the
instructions and loads of each step, the latency of the combination, idle lanes in the
last vector, the addresses of each position of the batch, and the start and end of a
tile. Everything is a pure function of the machine's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from polydsl.base.diagnostics import bug
from polydsl.base.dtypes import DType
from polydsl.base.inner_product import MULTIPLY_ADD, InnerProduct, work
from polydsl.base.machine import Machine

LOADS_PER_CYCLE = 2.0
"""Vector loads that one core starts in a cycle."""

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
_POINTER_CYCLES = 0.1
_SPILLED_POINTER_CYCLES = 4.0
_ADDRESS_REGISTERS = 12
# A tile that does not fit the registers measured 0.2 to 0.5 of the speed of one that
# does; the lower end, since one that fits is always at hand.
_SPILLING = 0.2


def registers_needed(
    machine: Machine, rows: int, vectors: int, inner: InnerProduct = MULTIPLY_ADD
) -> int:
    """Return how many vector registers a full tile occupies.

    `mv*n + mv + 1` as long as there are no more vectors than rows; the other way round
    the broadcasts are held and the vectors pass. Where rows have only one vector, a
    wide unit takes the broadcast as a memory operand of the multiply-add. What is not
    a fused instruction needs registers for values on their way and for constants.
    """
    needed = work(inner, has_fma=machine.has_fma)
    held, passing = vectors * needed.column_values, needed.row_values
    if rows < vectors:
        held, passing = rows * needed.row_values, needed.column_values
    return rows * vectors + held + passing + needed.registers


def fits_registers(
    machine: Machine, rows: int, vectors: int, inner: InnerProduct = MULTIPLY_ADD
) -> bool:
    """Return whether a tile runs without spilling."""
    return registers_needed(machine, rows, vectors, inner) <= machine.vector_registers


def max_rows(machine: Machine, vectors: int, inner: InnerProduct = MULTIPLY_ADD) -> int:
    """Return the largest number of rows that fits beside *vectors* vectors; 0 if none.

    At most 28: longer tiles bring no more reuse and need more row addresses than there
    are registers for them.
    """
    tall = range(_MAX_ROWS, 0, -1)
    fitting = (n for n in tall if fits_registers(machine, n, vectors, inner))
    return next(fitting, 0)


@cache
def tile_shapes(
    machine: Machine, dtype: DType, inner: InnerProduct = MULTIPLY_ADD
) -> tuple[tuple[int, int], ...]:
    """Return the tallest (rows, vectors) for each number of vectors, best first.

    Best is by the efficiency of a long product, in steps of a twentieth, then by loads
    for each multiply-add. Lower tiles of the same width always fit too.
    """
    lanes = machine.lanes(dtype)
    tallest = ((max_rows(machine, v, inner), v) for v in _VECTORS)
    most = _instructions_per_cycle(machine) / machine.fma_per_cycle
    most /= work(inner, has_fma=machine.has_fma).point

    def rank(shape: tuple[int, int]) -> tuple[float, float, int]:
        rows, vectors = shape
        speed = tile_efficiency(
            machine,
            dtype,
            rows=rows,
            columns=vectors * lanes,
            products=_LONG_PRODUCT,
            inner=inner,
        )
        loads = (rows + vectors) / (rows * vectors)
        return -round(speed / most * 20), loads, vectors

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
    inner: InnerProduct = MULTIPLY_ADD,
) -> float:
    """Return the share of the machine's multiply-adds that a tile reaches, 0 to 1.

    Other inner products are measured by the same rate: one that takes two instructions
    for each point reaches a half of it at most.

    *products* is the length of the whole reduction of one tile, over *batch* positions.
    *has_row_table* says that a table gives the rows of A. Operands are in L1.
    """
    if min(rows, columns, products, batch) < 1:
        return 0.0
    tile = tile_cycles(
        machine,
        dtype,
        rows=rows,
        columns=columns,
        has_row_table=has_row_table,
        inner=inner,
    )
    # A partial vector costs as much as a whole one.
    useful = rows * columns / machine.lanes(dtype) * products / machine.fma_per_cycle
    return useful / tile.total(products, batch)


@dataclass(frozen=True, slots=True)
class TileCycles:
    """The cycles of a tile, by what they are spent for: a `step` of the reduction, a
    `position` of the batch, and the start and end of a call."""

    step: float
    position: float
    ends: float

    def total(self, products: int, batch: int) -> float:
        """Return the cycles of a reduction of *products* over *batch* positions."""
        return products * self.step + batch * self.position + self.ends


def tile_cycles(
    machine: Machine,
    dtype: DType,
    *,
    rows: int,
    columns: int,
    has_row_table: bool = False,
    inner: InnerProduct = MULTIPLY_ADD,
) -> TileCycles:
    """Return the cycles of a tile with operands in L1."""
    vectors = -(-columns // machine.lanes(dtype))
    fits = fits_registers(machine, rows, vectors, inner)
    slower = 1.0 if fits else 1.0 / _SPILLING
    return TileCycles(
        step_limits(machine, rows, vectors, inner).cycles * slower,
        _position_cycles(rows, has_row_table=has_row_table) * slower,
        _ends_cycles(machine, rows, vectors, inner) * slower,
    )


def accumulator_sets(
    machine: Machine, rows: int, vectors: int, inner: InnerProduct = MULTIPLY_ADD
) -> int:
    """Return how many sets of accumulators a tile of few rows keeps: 1, 2 or 4.

    The sums must outnumber the combinations in flight, by half to spare.
    """
    sums, sets = rows * vectors, 1
    point = work(inner, has_fma=machine.has_fma).point
    wanted = 1.5 * machine.fma_latency * _instructions_per_cycle(machine) / point
    others = registers_needed(machine, rows, vectors, inner) - sums + 1
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


def _instructions_per_cycle(machine: Machine) -> float:
    """Return the vector instructions of a cycle: where a multiply-add is two, the rate
    of multiply-adds counts pairs."""
    return machine.fma_per_cycle * (1 if machine.has_fma else 2)


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What one step of the reduction takes of each resource, in cycles, where it has
    all the others for nothing."""

    arithmetic: float
    loads: float
    latency: float

    @property
    def cycles(self) -> float:
        """The cycles of the step: the scarcest resource decides."""
        return max(self.arithmetic, self.loads, self.latency)


def step_limits(
    machine: Machine, rows: int, vectors: int, inner: InnerProduct = MULTIPLY_ADD
) -> StepLimits:
    """Return what limits one step of a tile whose values fit the registers."""
    needed = work(inner, has_fma=machine.has_fma)
    instructions = rows * vectors * needed.point
    instructions += rows * needed.row + vectors * needed.column
    # A sum can take its next term after the latency; the sets take turns.
    sets = accumulator_sets(machine, rows, vectors, inner)
    return StepLimits(
        instructions / _instructions_per_cycle(machine),
        (rows + vectors) / LOADS_PER_CYCLE,
        machine.fma_latency / sets,
    )


def _position_cycles(rows: int, *, has_row_table: bool) -> float:
    """Return the cycles that go into the addresses of one position of the batch."""
    if not has_row_table:
        return _POSITION_CYCLES
    spilled = max(rows - _ADDRESS_REGISTERS, 0)
    pointers = rows * _POINTER_CYCLES + spilled * _SPILLED_POINTER_CYCLES
    return _POSITION_CYCLES + pointers


def _ends_cycles(
    machine: Machine, rows: int, vectors: int, inner: InnerProduct
) -> float:
    """Return the cycles of the call, of adding up the sets, and of storing the tile."""
    sets = accumulator_sets(machine, rows, vectors, inner)
    adding = (sets - 1) * rows * vectors / machine.fma_per_cycle
    return _CALL_CYCLES + rows * _ROW_CYCLES + adding
