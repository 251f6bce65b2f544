"""The predicted time of product schedules: arithmetic, copies, and traffic.

The microkernel's cycles and those of making copies add up. What crosses each boundary
between caches is computed by the reuse analysis; its cycles overlap with the work that
needs the data, arithmetic or copying, as far as hardware fetches ahead: the norm of
all, with an exponent, is what they take together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.inner_product import InnerProduct
from polydsl.base.machine import Machine
from polydsl.base.providers import provider_named
from polydsl.schedule.decision import Cost, LevelCost
from polydsl.schedule.matrix_batch import single
from polydsl.schedule.matrix_family import Family
from polydsl.schedule.matrix_plan import Factor
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_reuse import Reuse
from polydsl.schedule.provider_cost import block_cycles
from polydsl.schedule.register_tile import TileCycles
from polydsl.schedule.reuse.footprint import Counts
from polydsl.schedule.reuse.times import overlapped
from polydsl.schedule.reuse.traffic import Nest, Table, steady_traffic
from polydsl.schedule.setting import Setting
from polydsl.schedule.vector_access import steps

Kind: TypeAlias = tuple[str, DType, InnerProduct]
"""What a microkernel computes, and who provides it."""

CALL_CYCLES = 10.0
"""The loops around a microkernel call."""
CONTIGUOUS_COPY_CYCLES = 0.4
"""Copying one element where source and copy are contiguous."""
TURNED_COPY_CYCLES = 1.5
"""... where blocks of vectors are transposed."""
GATHER_COPY_CYCLES = 1.8
"""... where the source has a stride, or runs are shorter than a vector."""


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
        """Return one candidate's cost."""
        parts = tuple((name, float(cycles[number])) for name, cycles in self.parts)
        levels = tuple(
            LevelCost(name, float(moved[number]), machine.seconds(float(took[number])))
            for name, moved, took in zip(self.level_names, self.moved, self.transfer)
        )
        arithmetic = machine.seconds(dict(parts)["multiply-adds"])
        bound = max(levels, key=lambda level: level.seconds)
        name = bound.name if bound.seconds > arithmetic else "arithmetic"
        return Cost(parts, levels, name)


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


@lru_cache(maxsize=4096)
def _block(
    machine: Machine, kind: Kind, rows: int, columns: int, *, has_table: bool
) -> TileCycles:
    name, dtype, inner = kind
    return block_cycles(
        provider_named(name),
        machine,
        dtype,
        rows=rows,
        columns=columns,
        has_row_table=has_table,
        inner=inner,
    )


def _compute(reuse: Reuse, machine: Machine) -> tuple[Counts, Counts, Counts]:
    """Return the cycles of the microkernels, of the calls, and of the result."""
    batch, plan = reuse.batch, reuse.batch.family.plan
    totals = reuse.totals
    depth, taps = float(totals["depth"]), float(totals["taps"])
    blocks_depth = np.ceil(depth / reuse.tiles["depth"])
    blocks = blocks_depth * np.ceil(taps / reuse.tiles["taps"])
    outer = float(np.prod([totals[d] for d in plan.outer]))
    lanes = machine.lanes(plan.contraction.dtype)
    has_table = plan.a.rows != "strided"
    kind = (plan.microkernel, plan.contraction.dtype, plan.contraction.inner)
    arithmetic = stores = np.zeros(len(batch))
    for rows, many_rows in _parts(totals["rows"], reuse.tiles["rows"]):
        for columns, many_columns in _parts(totals["columns"], reuse.tiles["columns"]):
            shapes = np.stack([rows, columns]).astype(np.int64)
            unique, inverse = np.unique(shapes, axis=1, return_inverse=True)
            known = [
                _block(machine, kind, r, c, has_table=has_table)
                for r, c in unique.T.tolist()
            ]
            step, position, ends = (
                np.array([getattr(t, name) for t in known])[inverse.ravel()]
                for name in ("step", "position", "ends")
            )
            tiles = outer * many_rows * many_columns
            each = depth * taps * step + taps * blocks_depth * position + blocks * ends
            arithmetic = arithmetic + tiles * each
            vectors = np.ceil(columns / lanes)
            stores = stores + tiles * rows * vectors * (blocks - 1)
    return arithmetic, reuse.calls * CALL_CYCLES, stores


def _parts(total: int, tile: Counts) -> tuple[tuple[Counts, Counts], ...]:
    """Return (length, number) of the full tiles and of the last, shorter one."""
    rest = np.mod(total, tile)
    full = np.floor(total / tile)
    return (tile, full), (np.maximum(rest, 1), (rest > 0).astype(float))


# Copies


def _copies(reuse: Reuse, setting: Setting) -> Counts:
    """Return the cycles of making copies."""
    plan, batch = reuse.batch.family.plan, reuse.batch
    total = np.zeros(len(batch))
    for axis, factor, loops in (
        ("rows", plan.a, batch.a_loops),
        ("columns", plan.b, batch.b_loops),
    ):
        if factor.padded is not None and not factor.padded.prepared:
            elements = float(np.prod(factor.padded.extents))
            total = total + elements * _copy_cycles(factor, setting, None)
        if factor.pack is None or factor.pack.prepared:
            continue
        names = next(
            a.axes for a in reuse.arrays if a.name == "packed" and axis in a.axes
        )
        held = np.ones(len(batch))
        for name in names:
            held = held * reuse.held(name, loops)
        per = _copy_cycles(factor, setting, reuse.tiles[axis])
        total = total + reuse.executions(loops) * held * per
    return total


def _copy_cycles(factor: Factor, setting: Setting, lanes: Counts | None) -> Counts:
    """Return the cycles of copying one element, in tiles of so many lanes."""
    copy = factor.padded if lanes is None else factor.pack
    assert copy is not None
    box = {d: (0, n - 1) for d, n in zip(copy.dims, copy.extents)}
    along = steps(copy.value, copy.dims[-1], setting.layout, {}, box)
    plain = GATHER_COPY_CYCLES
    if along == (1,):
        plain = CONTIGUOUS_COPY_CYCLES
    elif copy.turned:
        plain = TURNED_COPY_CYCLES
    if lanes is None:
        return np.full(1, plain)
    return np.where(lanes < copy.lanes, GATHER_COPY_CYCLES, plain)


# Transfers


def refilled(reuse: Reuse, nest: Nest, capacity: float) -> Table:
    """Return the lines of each array that leave a cache of so many lines between being
    packed and being read: of copies that do not fit; shape (arrays, n)."""
    lines = np.zeros(nest.footprint[0].shape)
    for number, array in enumerate(reuse.arrays):
        if array.is_filled:
            filled = np.take_along_axis(
                nest.footprint[:, number], array.anew[None], axis=0
            )[0]
            again = reuse.executions(array.anew) * filled
            lines[number] = np.where(filled > capacity, again, 0.0)
    return lines


def _transfers(reuse: Reuse, machine: Machine) -> tuple[Table, Table]:
    """Return the bytes that come from L2, L3 and memory for each array, and their
    cycles, shape (levels, arrays, n). What is written comes in and goes out again."""
    line = machine.caches[0].line
    nest = reuse.nest(line)
    is_written = np.array([array.is_written for array in reuse.arrays])[:, None]
    loads = (*(c.load for c in machine.caches[1:]), machine.memory.load)
    stores = (*(c.store for c in machine.caches[1:]), machine.memory.store)
    moved, took = [], []
    for cache, load, store in zip(machine.caches, loads, stores):
        capacity = cache.capacity / line
        entered = steady_traffic(nest, capacity) + refilled(reuse, nest, capacity)
        entered *= line
        moved.append(np.where(is_written, 2 * entered, entered))
        took.append(entered / np.where(is_written, store, load))
    return np.array(moved), np.array(took)


def _translation(reuse: Reuse, machine: Machine) -> Counts:
    """Return the cycles of waiting for addresses of pages to be translated."""
    nest = reuse.nest(machine.page)
    total = np.zeros(len(reuse.batch))
    for tlb in machine.tlbs:
        pages = steady_traffic(nest, float(tlb.entries)).sum(axis=0)
        total = total + pages * tlb.miss
    return total
