"""Which softmaxes are computed in blocks of columns: `online(scop, machine)`.

A block of rows has all of its scores in memory at a time, in shared loops
(`fusion_groups.py`). Where none stays in a cache with what is summed, blocks of columns
take the place of whole rows (`online_softmax.py`), and for each of these, rows share
loops again.
"""

from __future__ import annotations

from dataclasses import replace

from polydsl.base.machine import Machine
from polydsl.base.quantities import bytes_text
from polydsl.poly.scop import Group, Scop
from polydsl.schedule.decision import Decision
from polydsl.schedule.epilogues import is_read_outside
from polydsl.schedule.fusion_chain import block_size
from polydsl.schedule.fusion_groups import least_rows
from polydsl.schedule.item_order import Units, units_of
from polydsl.schedule.online_softmax import in_blocks
from polydsl.schedule.softmax import Softmax, bounded_columns, is_one_item, softmax_sums

SHARE = 0.5
"""The part of the last cache that rows may take."""

ROWS = 64
"""For so many rows, the scores of a block take half of a core's own cache."""

COLUMNS = (64, 1024)
"""The fewest and the most columns that a block has."""

WHOLE = "all columns of a row at a time"
"""How a softmax is computed that is not in blocks."""


def online(scop: Scop, machine: Machine) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop with softmaxes in blocks of columns where rows do not fit,
    and for each of them whether it is, and why."""
    units = units_of(scop, scop.items)
    decisions = [
        Decision(f"{tensor} along {index}", WHOLE, "the domain of its rows is no box")
        for tensor, index in bounded_columns(scop)
    ]
    changed = scop
    for softmax in [*softmax_sums(scop, units)]:
        places = {column.place for column in softmax.columns}
        if not places <= units.by_place.keys() or not is_one_item(units, places):
            # It shares a sum with another one that is in blocks, or needs a sum of it.
            continue
        tensor, index = softmax.exponentials.group.tensor, softmax.exponentials.index
        size = _columns(scop, machine, softmax)
        if reason := _objection(scop, machine, units, softmax, size):
            chosen = WHOLE
        else:
            made = in_blocks(changed, softmax, size)
            changed, (first, *after) = made.scop, made.items
            units.merge(min(places), places, first, *after)
            chosen = f"in blocks of {size} columns, one after the other"
            whole = bytes_text(scop.tensor(tensor).bytes)
            reason = f"{tensor} takes {whole}, and no block of rows stays in a cache"
        decisions.append(Decision(f"{tensor} along {index}", chosen, reason))
    return _ordered(changed, units), tuple(decisions)


def _ordered(scop: Scop, units: Units) -> Scop:
    """Return a scop with the statements of some items, and their tensors."""
    items = units.ordered()
    statements = scop.statements_of(items)
    computed = {s.tensor for s in statements}
    tensors = (t for t in scop.tensors if t.role != "local" or t.name in computed)
    return replace(scop, items=items, statements=statements, tensors=tuple(tensors))


def _objection(
    scop: Scop, machine: Machine, units: Units, softmax: Softmax, size: int
) -> str:
    """Return why a softmax is not in blocks of columns, or nothing."""
    if size >= softmax.length(scop):
        return "there are no more than in one block"
    places = {column.place for column in softmax.columns}
    row: float = sum(scop.tensor(name).bytes for name in _stored(scop, softmax))
    if row > _most(machine):
        row = least_rows(scop, machine, units, places) or row
    if row > _most(machine):
        return ""
    return f"what is needed at a time, {bytes_text(row)}, stays in a cache"


def _most(machine: Machine) -> float:
    """Return how many bytes stay in a cache."""
    return SHARE * machine.caches[-1].capacity


def _columns(scop: Scop, machine: Machine, softmax: Softmax) -> int:
    """Return the columns of a block: of some rows, what is stored of their elements
    stays in the cache that is a core's own."""
    each = sum(scop.tensor(name).dtype.bytes for name in _stored(scop, softmax))
    own = [c.capacity for c in machine.caches if not c.is_shared]
    most = int((own or [machine.caches[0].capacity])[-1] / 2 / each / ROWS)
    least, greatest = COLUMNS
    return block_size(softmax.length(scop), min(max(most, least), greatest))


def _stored(scop: Scop, softmax: Softmax) -> tuple[str, ...]:
    """Return the tensors of a softmax that have all columns and are in memory."""
    groups = (c.group for c in (*softmax.scores, softmax.exponentials))
    return tuple(
        name
        for group in groups
        for name in dict.fromkeys(scop.statement(n).tensor for n in group.names)
        if is_read_outside(scop, Group(name, group.names))
    )
