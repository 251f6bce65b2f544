"""Which softmaxes are computed in blocks of columns: `online(scop, machine)`."""

from __future__ import annotations

from dataclasses import replace

from polydsl.base.machine import Machine
from polydsl.poly.scop import Scop
from polydsl.schedule.decision import Decision
from polydsl.schedule.item_order import units_of
from polydsl.schedule.online_softmax import in_blocks
from polydsl.schedule.softmax import softmax_sums

COLUMNS = 512


def online(scop: Scop, machine: Machine) -> tuple[Scop, tuple[Decision, ...]]:
    units = units_of(scop, scop.items)
    decisions = []
    for softmax in [*softmax_sums(scop, units)]:
        places = [c.place for c in softmax.columns]
        if not all(p in units.by_place for p in places):
            continue
        made = in_blocks(scop, softmax, COLUMNS)
        scop = made.scop
        first, *after = made.items
        units.merge(min(places), places, first, *after)
    items = units.ordered()
    statements = scop.statements_of(items)
    written = {s.tensor for s in statements}
    tensors = tuple(t for t in scop.tensors if t.name in written or t.role == "input")
    return replace(scop, items=items, statements=statements, tensors=tensors), tuple(decisions)
