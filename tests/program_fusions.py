"""Random fusions out of those that are legal.

What follows on a tensor in its loops, what is computed where it is read or copied,
which tensors share loops, in blocks of which size, and which softmaxes are in blocks of
columns: the compiler asks first whether it may be and then whether it pays. Here chance
says what pays. A number and the names of the tensors decide, so that a program has the
same fusions whenever it is compiled.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from polydsl.base.machine import Machine
from polydsl.poly.scop import Group, Scop, Statement
from polydsl.schedule import copied_values, epilogues, forwarding, fusion_groups
from polydsl.schedule.fusion_chain import Chain, Profit, profit_of
from polydsl.schedule.softmax import Softmax

REFUSED = "chance is against it"
ROWS = (2, 5), (3,), (1, 4), (16, 64)
"""How many rows of products a block may have, out of which some are drawn."""
LINES = (2, 3, 5), (2,), (4,), (1, 3)
"""The same for lines that are read through windows."""


def fusions(seed: int) -> dict[str, Any]:
    """Return what to patch, by its name, for the fusions of a number."""
    rng = np.random.default_rng(seed)
    # A chain has several variants, of which the best is taken: often none may pay.
    against = float(rng.choice([0.0, 0.0, 0.5, 0.9]))
    apart, stored = rng.choice([0.0, 0.0, 0.3, 0.7], 2)
    shorter = float(rng.choice([0.0, 0.0, 0.3]))
    whole, columns = float(rng.choice([0.0, 0.4])), int(rng.choice([2, 3, 5, 16]))
    may_follow = epilogues._Joining._objection
    may_be_forwarded = forwarding._objection
    may_be_copied = copied_values._Copying.objection
    may_be_longer = fusion_groups._Grouping._joined

    def chance(*names: object) -> float:
        own = zlib.crc32(f"{seed} {names}".encode())
        return float(np.random.default_rng(own).random())

    def profit(scop: Scop, machine: Machine, chain: Chain) -> Profit:
        # The true one is worked out, too: it must be possible for every chain.
        profit_of(scop, machine, chain)
        tensors = [group.tensor for group in chain.groups.values()]
        shared = [(each.members, each.size) for each in chain.shared]
        return Profit(0.0, chance("shared", tensors, shared), against)

    def follows(joining: Any, root: Group, group: Group) -> str:
        if reason := may_follow(joining, root, group):
            return reason
        return REFUSED if chance("follows", root.names, group.names) < apart else ""

    def is_forwarded(
        scop: Scop, producer: Statement, readers: Sequence[Statement]
    ) -> str:
        if reason := may_be_forwarded(scop, producer, readers):
            return reason
        return REFUSED if chance("forwarded", producer.tensor) < stored else ""

    def is_copied(copying: Any) -> str:
        if reason := may_be_copied(copying):
            return reason
        return REFUSED if chance("copied", copying.producer.tensor) < stored else ""

    def longer(grouping: Any, found: Any, place: int, *given: Any, **named: Any) -> Any:
        groups = [*found.chain.groups]
        if chance("longer", groups, place) < shorter:
            return found
        return may_be_longer(grouping, found, place, *given, **named)

    def is_whole(
        scop: Scop, machine: Any, units: Any, found: Softmax, size: int
    ) -> str:
        own = chance("columns", found.exponentials.group.tensor)
        return REFUSED if own < whole or size >= found.length(scop) else ""

    return {
        "polydsl.schedule.softmax_blocks.COLUMNS": (columns, columns),
        "polydsl.schedule.softmax_blocks._objection": is_whole,
        "polydsl.schedule.fusion_chain.ROWS": ROWS[rng.choice(len(ROWS))],
        "polydsl.schedule.fusion_chain.LINES": LINES[rng.choice(len(LINES))],
        "polydsl.schedule.fusion_groups.profit_of": profit,
        "polydsl.schedule.epilogues._Joining._objection": follows,
        "polydsl.schedule.forwarding._objection": is_forwarded,
        "polydsl.schedule.copied_values._Copying.objection": is_copied,
        "polydsl.schedule.fusion_groups._Grouping._joined": longer,
    }
