"""The predicted time of product schedules: arithmetic, copies, and traffic.

The microkernel's cycles and those of making copies add up. What crosses each boundary
between caches is computed by the reuse analysis; its cycles overlap with the work that
needs the data, arithmetic or copying, as far as hardware fetches ahead: the norm of
all, with an exponent, is what they take together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import product
from math import ceil, prod
from typing import TypeAlias

import numpy as np

from polydsl.base.machine import Machine
from polydsl.base.providers import provider_named
from polydsl.poly.conditions import ordered_indices
from polydsl.schedule.copies import main_access
from polydsl.schedule.decision import Cost, LevelCost
from polydsl.schedule.inner_product import widened_access
from polydsl.schedule.matrix_array import Array
from polydsl.schedule.matrix_batch import Numbers, single
from polydsl.schedule.matrix_family import Family
from polydsl.schedule.matrix_plan import Copy, Factor, MatrixPlan
from polydsl.schedule.matrix_point import Axis, MatrixPoint
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.provider_cost import block_cycles
from polydsl.schedule.reuse.footprint import Counts
from polydsl.schedule.reuse.times import overlapped
from polydsl.schedule.reuse.traffic import Nest, Table, steady_traffic
from polydsl.schedule.setting import Setting
from polydsl.schedule.vector_access import step
from polydsl.schedule.vector_operands import value_instructions
from polydsl.semantics.program import Access, accesses

CopyCycles: TypeAlias = tuple[float, float, float]
"""The cycles of copying one element in tiles of less than a vector, and in others, and
those of each run."""

CALL_CYCLES = 10.0
"""The loops around a microkernel call."""
CONTIGUOUS_COPY_CYCLES = 0.3
"""Copying one element where source and copy are contiguous."""
STRIDED_COPY_CYCLES = 0.45
"""... where elements of the source are a few apart."""
TURNED_COPY_CYCLES = 1.5
"""... where blocks of vectors are transposed."""
GATHER_COPY_CYCLES = 1.8
"""... where the source has a long stride, or none."""
RUN_CYCLES = 3.5
"""Beginning a run of lanes that lie in one line of the source."""
STREAMS = 20
"""So many rows of memory hardware fetches ahead of at the same time."""
LOST = 2.5
"""What is not fetched ahead takes so many times as long to come from memory."""
LONGEST_STRIDE = 4
"""Elements that are no further apart are loaded in vectors."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Cycles of n candidates on one core, by cause.

    `parts` add up to `cycles`. `level_names` are the levels that data come from;
    `moved` and `transfer` the bytes and the cycles of each, shape (levels, n).
    """

    parts: tuple[tuple[str, Counts], ...]
    level_names: tuple[str, ...]
    moved: Table
    transfer: Table

    @property
    def cycles(self) -> Counts:
        """The predicted cycles of each candidate."""
        return np.asarray(sum(cycles for _, cycles in self.parts))

    def cost(self, number: int, machine: Machine) -> Cost:
        """Return one candidate's cost, with the levels beyond L1."""
        parts = tuple((name, float(cycles[number])) for name, cycles in self.parts)
        levels = tuple(
            LevelCost(name, float(moved[number]), machine.seconds(float(took[number])))
            for name, moved, took in zip(self.level_names, self.moved, self.transfer)
        )
        return Cost(parts, levels)


def predict(reuse: Reuse) -> Prediction:
    """Return the predicted time of every candidate of a batch."""
    machine = reuse.setting.machine
    arithmetic, calls, stores = _compute(reuse, machine)
    copies = _copies(reuse, reuse.setting)
    moved, transfer = _transfers(reuse, machine)
    is_source = np.array([array.name == "source" for array in reuse.arrays])
    busy = arithmetic + calls + stores
    waits = overlapped(busy, transfer[:, ~is_source].sum(axis=1)) - busy
    waits += overlapped(copies, transfer[:, is_source].sum(axis=1)) - copies
    return Prediction(
        (
            ("multiply-adds", arithmetic),
            ("calls", calls),
            ("loads and stores of the result", stores),
            ("copies", copies),
            ("waiting for data", waits),
            ("address translation", _translation(reuse, machine)),
        ),
        ("L2", "L3", "memory"),
        moved.sum(axis=1),
        transfer.sum(axis=1),
    )


def cost_of(setting: Setting, family: Family, point: MatrixPoint) -> Cost:
    """Return the predicted cost of one point of a family."""
    prediction = predict(Reuse(single(family, point), setting))
    return prediction.cost(0, setting.machine)


# Arithmetic


@dataclass(frozen=True, slots=True)
class _Tiling:
    """All register tiles of one point of the outer loops, full ones and those at the
    ends: cycles of each step of the reduction, of each position, of each block; and the
    vectors of the result."""

    step: float
    position: float
    ends: float
    vectors: float


def _compute(reuse: Reuse, machine: Machine) -> tuple[Counts, Counts, Counts]:
    """Return the cycles of the microkernels, of the calls, and of the result."""
    batch, totals, tiles = reuse.batch, reuse.totals, reuse.tiles
    depth, taps = float(totals["depth"]), float(totals["taps"])
    blocks_depth = np.ceil(depth / tiles["depth"])
    blocks = blocks_depth * np.ceil(taps / tiles["taps"])
    outer = float(prod(totals[d] for d in batch.plan.outer))
    # Few tiles differ among many candidates.
    plans = [family.plan for family in batch.families]
    tables = np.array([plan.a.rows != "strided" for plan in plans])[batch.member]
    codes = (batch.row_tile * (totals["columns"] + 1) + batch.column_tile) * 2 + tables
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    tilings = []
    for number in first.tolist():
        plan = plans[int(batch.member[number])]
        tile = int(batch.row_tile[number]), int(batch.column_tile[number])
        tilings.append(_tiling(plan, machine, *tile))
    step, position, ends, vectors = np.array([astuple(t) for t in tilings])[inverse].T
    each = depth * taps * step + taps * blocks_depth * position + blocks * ends
    stores = outer * vectors * (blocks - 1)
    return outer * each, reuse.calls * CALL_CYCLES, stores


def _tiling(plan: MatrixPlan, machine: Machine, rows: int, columns: int) -> _Tiling:
    """Return the cost of cutting a result into tiles of so many rows and columns."""
    lanes = machine.lanes(plan.contraction.dtype)
    step = position = ends = vectors = 0.0
    for (tall, high), (wide, across) in product(
        _parts(plan.side("rows").extent, rows),
        _parts(plan.side("columns").extent, columns),
    ):
        tile = block_cycles(
            provider_named(plan.microkernel),
            machine,
            plan.contraction.dtype,
            rows=tall,
            columns=wide,
            has_row_table=plan.a.rows != "strided",
            inner=plan.contraction.inner,
        )
        tiles = high * across
        step += tiles * tile.step
        position += tiles * tile.position
        ends += tiles * tile.ends
        vectors += tiles * tall * ceil(wide / lanes)
    return _Tiling(step, position, ends, vectors)


def _parts(total: int, tile: int) -> tuple[tuple[int, int], ...]:
    """Return (length, number) of the full tiles and of a last, shorter one."""
    full, rest = divmod(total, min(tile, total))
    return ((min(tile, total), full), *(((rest, 1),) if rest else ()))


# Copies


def _copies(reuse: Reuse, setting: Setting) -> Counts:
    """Return the cycles of making copies."""
    batch, running = reuse.batch, reuse.batch.running
    plans = [family.plan for family in batch.families]
    total = np.zeros(len(batch))
    sides: tuple[tuple[Axis, list[Factor], Numbers], ...] = (
        ("rows", [plan.a for plan in plans], running.a_loops),
        ("columns", [plan.b for plan in plans], running.b_loops),
    )
    for axis, factors, loops in sides:
        padding = np.array([_padding_cycles(f, setting) for f in factors])
        total = total + padding[batch.member]
        packing = np.array([_packing_cycles(f, setting) for f in factors])
        if packing.any():
            lanes = setting.machine.lanes(plans[0].contraction.dtype)
            short, whole, begin = packing[batch.member].T
            per = np.where(reuse.tiles[axis] < lanes, short, whole)
            # Families of a batch have the same axes, and so the same lines.
            line = next(f.pack.line for f in factors if f.pack is not None)
            per += begin / _run(reuse.tiles[axis], line)
            axes = next(a.axes for a in reuse.arrays if axis in a.axes)
            held = np.asarray(prod(reuse.held(name, loops) for name in axes))
            total = total + reuse.executions(loops) * held * per
    return total


def _padding_cycles(factor: Factor, setting: Setting) -> float:
    """Return the cycles of making the padded copy of a factor, if it has one."""
    if factor.padded is None or factor.padded.prepared:
        return 0.0
    _, whole, begin = _copy_cycles(factor.padded, setting)
    return prod(factor.padded.extents) * (whole + begin / factor.padded.extents[-1])


def _packing_cycles(factor: Factor, setting: Setting) -> CopyCycles:
    """Return the cycles of packing; 0 for what is not packed in every call."""
    if factor.pack is None or factor.pack.prepared:
        return 0.0, 0.0, 0.0
    return _copy_cycles(factor.pack, setting)


def _copy_cycles(copy: Copy, setting: Setting) -> CopyCycles:
    """Return what an element of a copy takes: the access that moves most, what is
    loaded beside it, and what is computed."""
    main = main_access(copy.value)
    short, whole, begin = _moved_cycles(copy, main, setting)
    if widened_access(copy.value) is not None:
        return short, whole, begin
    rate = setting.machine.fma_per_cycle * setting.machine.lanes(copy.dtype)
    own = value_instructions(copy.value, copy.along) / rate
    for access in dict.fromkeys(accesses(copy.value)):
        if access != main and copy.along in ordered_indices(access):
            # A load more, if it is one, and no store.
            _, moved, _ = _moved_cycles(copy, access, setting)
            own += 1 / rate + moved - CONTIGUOUS_COPY_CYCLES
    return short + own, whole + own, begin


def _moved_cycles(copy: Copy, access: Access, setting: Setting) -> CopyCycles:
    """Return what an element takes that is loaded and stored in another place."""
    along = step(access, copy.along, setting.layout, {}, copy.box)
    if along is not None and abs(along) == 1:
        return CONTIGUOUS_COPY_CYCLES, CONTIGUOUS_COPY_CYCLES, RUN_CYCLES
    if along is not None and 1 < abs(along) <= LONGEST_STRIDE:
        return STRIDED_COPY_CYCLES, STRIDED_COPY_CYCLES, RUN_CYCLES
    whole = TURNED_COPY_CYCLES if copy.turned else GATHER_COPY_CYCLES
    return GATHER_COPY_CYCLES, whole, 0.0


def _run(lanes: Counts, line: int) -> Counts:
    """Return the mean length of a run, lanes of a tile that are in one line: tiles and
    lines begin a run, and where both begin, they begin the same one."""
    both = np.lcm(lanes.astype(np.int64), line)
    begun: Counts = 1 / lanes + 1 / line - 1 / both
    return 1 / begun


# Transfers


def refilled(reuse: Reuse, nest: Nest, capacity: Table | float) -> Table:
    """Return the lines of each array that leave a cache of so many lines between being
    packed and being read: of copies that do not fit. Shape (arrays, n) for one cache,
    for more of them see `steady_traffic`."""
    found = np.zeros((2, *nest.footprint[0].shape))
    for number, array in enumerate(reuse.arrays):
        if array.is_filled.any():
            held = nest.footprint[:, number]
            filled = np.take_along_axis(held, array.anew[None], axis=0)[0]
            again = np.where(array.is_filled, reuse.executions(array.anew), 0.0)
            found[:, number] = filled, again * filled
    filled, moved = found
    return np.where(filled > capacity, moved, 0.0)


def _transfers(reuse: Reuse, machine: Machine) -> tuple[Table, Table]:
    """Return the bytes that come from L2, L3 and memory for each array, and their
    cycles, shape (levels, arrays, n). What is written comes in and goes out again."""
    line = machine.caches[0].line
    nest = reuse.nest(line)
    is_written = np.array([array.is_written for array in reuse.arrays])[:, None]
    far, memory = machine.caches[1:], machine.memory
    load = _per_level((*(cache.load for cache in far), memory.load))
    store = _per_level((*(cache.store for cache in far), memory.store))
    lines = _per_level(cache.capacity / line for cache in machine.caches)
    entered = (steady_traffic(nest, lines) + refilled(reuse, nest, lines)) * line
    moved = np.where(is_written, 2 * entered, entered)
    took = entered / np.where(is_written, store, load)
    for number, array in enumerate(reuse.arrays):
        if array.name == "operand" and array.axes[0] == "rows":
            took[-1, number] += _late(reuse, array, entered[-1, number], machine)
    return moved, took


def _late(reuse: Reuse, array: Array, entered: Counts, machine: Machine) -> Counts:
    """Return the cycles more that rows take which come from memory in place.

    The rows of a register tile are read side by side. Hardware fetches ahead only of so
    many, and it begins anew wherever a row does not go on.
    """
    if not entered.any():
        return np.zeros(len(reuse.batch))
    line = machine.caches[0].line
    runs = entered / np.maximum(reuse.run_bytes(array, line), line)
    begun = np.where(array.is_packed, 0.0, runs * 2 * machine.memory.latency)
    is_lost = (reuse.batch.row_tile > STREAMS) & ~array.is_packed
    lost = np.where(is_lost, (LOST - 1.0) * entered / machine.memory.load, 0.0)
    return np.asarray(begun + lost)


def _per_level(numbers: Iterable[float]) -> Table:
    """Return one number for each level, shape (levels, 1, 1)."""
    return np.array([*numbers])[:, None, None]


def _translation(reuse: Reuse, machine: Machine) -> Counts:
    """Return the cycles of waiting for addresses of pages to be translated."""
    nest = reuse.nest(machine.page)
    pages = steady_traffic(nest, _per_level(float(t.entries) for t in machine.tlbs))
    misses = _per_level(tlb.miss for tlb in machine.tlbs)
    return np.asarray((pages * misses).sum(axis=(0, 1)))
