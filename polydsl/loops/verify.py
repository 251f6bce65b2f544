"""The proofs about a loop nest that run on every compilation: `verify_nest`.

(a) every statement instance is executed exactly once (`verify_instances`);
(b) every read gets the value that the scop says (`verify_flow` and what it names);
(c) every access lies in its buffer (`verify_bounds`);
(d) every indirect subscript is checked before a call returns (`verify_checks`).

Nothing here calls the generator: the nest is read as it stands, with its final buffers,
and compared with the scop and with the copies that the schedule decided on. A failure
is a `CompilerBug` that names a point.
"""

from __future__ import annotations

from polydsl.loops.nest import LoopNest
from polydsl.loops.verify_bounds import check_bounds
from polydsl.loops.verify_buffers import check_buffers, check_memory
from polydsl.loops.verify_checks import check_checks
from polydsl.loops.verify_flow import check_flow
from polydsl.loops.verify_instances import check_instances
from polydsl.loops.verify_points import leaves
from polydsl.poly.scop import Scop
from polydsl.schedule.matrix_plan import Copy, MatrixPlan
from polydsl.schedule.schedule import Schedule


def verify_nest(scop: Scop, schedule: Schedule, nest: LoopNest) -> None:
    """Raise `CompilerBug` unless the nest computes what the scop says."""
    copies = copies_of(schedule)
    points = leaves(nest)
    check_instances(scop, copies, points)
    check_bounds(nest, points)
    check_buffers(scop, copies, nest)
    check_memory(nest, schedule.bound, points)
    check_flow(scop, copies, nest, points)
    check_checks(scop, nest, points)


def copies_of(schedule: Schedule) -> dict[str, Copy]:
    """Return every copy that the schedule makes, by the name of its buffer."""
    found: dict[str, Copy] = {}
    for plan in schedule.plans:
        if isinstance(plan, MatrixPlan):
            found |= {c.tensor: c for c in (*plan.a.copies, *plan.b.copies)}
    return found
