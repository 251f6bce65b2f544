"""What lives in registers and in memory at once: nothing misses the other's changes."""

from __future__ import annotations

from collections.abc import Sequence

from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Accumulate, BatchReduceGemm
from polydsl.loops.verify_points import Leaf
from polydsl.loops.verify_products import Memory
from polydsl.loops.verify_registers import Chain
from polydsl.loops.verify_scopes import reads, touched, writes


def check_alone(found: Sequence[Chain], leaves: Sequence[Leaf]) -> None:
    """Raise where a tensor is written while a register holds what it held before."""
    for chain in found:
        if chain.starts:
            continue
        for leaf in leaves:
            between = chain.fill.path < leaf.path < chain.last.path
            if between and leaf is not chain.store and writes(leaf, chain.tensor):
                bug(f"{chain.tensor} is written in between, {leaf.place({})}")


def check_kept(memory: Memory, found: Sequence[Chain], leaves: Sequence[Leaf]) -> None:
    """Raise where something needs a value that is left in a register, which the life
    that follows does not know."""
    left = {chain.tensor for chain in found if chain.store is None}
    fills = {id(chain.fill) for chain in found}
    for name in left:
        if memory.scop.tensor(name).role != "local":
            bug(f"{name} is a result and is not stored")
        if name not in memory.buffers and any(
            chain.tensor == name and not chain.starts for chain in found
        ):
            bug(f"{name} is left in registers and continued")
    for leaf in leaves:
        for name in left & {*touched(leaf)}:
            is_own = id(leaf) in fills or _combines(leaf, name)
            if reads(leaf, name) and not is_own:
                bug(f"{name} is read and was not stored, {leaf.place({})}")


def _combines(leaf: Leaf, name: str) -> bool:
    """Whether a leaf reads a tensor only to combine into it, in memory."""
    node = leaf.node
    return isinstance(node, BatchReduceGemm | Accumulate) and writes(leaf, name)
