"""Products inside of loops over some of their indices: a step of a recurrence, or one
value of an index that a chain shares.

What is searched is the product of one iteration, in which those indices have a single
value (`one_iteration`). The schedule that is found is then put inside of the loops
(`inside_loops`): a copy is made before the first of them that does not decide what it
holds, for all iterations further in; of what these loops compute, in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from polydsl.poly.terms import Linear
from polydsl.schedule.contraction import Contraction, NoContraction
from polydsl.schedule.decision import Candidate, Decision
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_choice import forced_matrix_plan
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint, Reading, TileLoop, point_axis
from polydsl.schedule.operand import Operand
from polydsl.schedule.refused import Refused
from polydsl.schedule.setting import Setting


def whole_product(
    found: Contraction, fixed: tuple[str, ...]
) -> Contraction | NoContraction:
    """Return a product with the indices of the loops around it in no side of a tile,
    or why it is none inside of them."""
    if not fixed:
        return found
    coordinates = dict(found.coordinates)
    for d in fixed:
        if coordinates.get(d) != Linear(((d, 1),), 0):
            return NoContraction(f"the loop over {d} around it does not begin at 0")
    rows, columns, depth = (
        tuple(d for d in side if d not in fixed)
        for side in (found.rows, found.columns, found.depth)
    )
    if not all(_is_moving(found, side) for side in (rows, columns, depth)):
        return NoContraction("inside of the loops around it nothing is reused")
    batch = (*fixed, *(d for d in found.batch if d not in fixed))
    return replace(found, rows=rows, columns=columns, depth=depth, batch=batch)


def _is_moving(found: Contraction, side: tuple[str, ...]) -> bool:
    return any(found.sizes[d] > 1 for d in side)


def one_iteration(whole: Contraction, fixed: tuple[str, ...]) -> Contraction:
    """Return the product of one iteration of the loops around it."""
    extents = tuple((d, 1 if d in fixed else n) for d, n in whole.extents)
    return replace(whole, extents=extents)


def inside_loops(
    setting: Setting,
    whole: Contraction,
    initialize: str | None,
    decision: Decision,
    made_inside: frozenset[str],
    threads: int,
) -> tuple[MatrixPlan, Decision] | NoContraction:
    """Return the best of a decision's schedules that is possible inside of the loops.

    `made_inside` are the tensors that the loops compute; `threads` is the place of the
    loop among them that threads share, -1 for none.
    """
    found: list[tuple[float, MatrixPlan, Candidate]] = []
    for candidate in decision.alternatives:
        for variant in _variants(setting, whole, candidate, initialize):
            assert isinstance(variant.point, MatrixPoint)
            moved = _moved(setting, whole, variant.point, made_inside, threads)
            plan = build(setting, whole, moved, initialize)
            if isinstance(plan, MatrixPlan):
                found.append((variant.cost.cycles, plan, variant))
                break
    if not found:
        return NoContraction("no schedule is possible inside of the loops around it")
    # By another ranker, the first one is the best.
    by_cost = setting.ranker == "reuse"
    _, plan, best = min(found, key=lambda entry: entry[0] if by_cost else 0.0)
    return plan, _about(decision, plan, best)


def _about(decision: Decision, plan: MatrixPlan, first: Candidate) -> Decision:
    others = (c for c in decision.alternatives if c is not first)
    return replace(
        decision,
        chosen=plan.describe(),
        cost=first.cost,
        alternatives=(first, *others),
    )


def _variants(
    setting: Setting, whole: Contraction, candidate: Candidate, initialize: str | None
) -> Iterator[Candidate]:
    """Yield a candidate, and what it is with factors packed: where they are padded
    depends on the loops around it."""
    point, packed = candidate.point, Reading("packed")
    assert isinstance(point, MatrixPoint)
    yield candidate
    product = one_iteration(whole, setting.fixed)
    for changed in (
        replace(point, a=packed),
        replace(point, b=packed),
        replace(point, a=packed, b=packed),
    ):
        forced = forced_matrix_plan(setting, product, initialize, changed)
        if not isinstance(forced, Refused):
            yield from forced[1].alternatives


def _moved(
    setting: Setting,
    whole: Contraction,
    point: MatrixPoint,
    made_inside: frozenset[str],
    threads: int,
) -> MatrixPoint:
    """Return a point of one iteration inside of the loops around it."""
    fixed = setting.fixed
    oriented = whole.swapped() if point.is_swapped else whole
    loops = tuple(TileLoop(point_axis(d)) for d in fixed)
    parallel = threads
    if threads < 0 <= point.parallel:
        parallel = point.parallel + len(fixed)
    return replace(
        point,
        loops=(*loops, *point.loops),
        a=_placed(point.a, oriented.a, fixed, made_inside),
        b=_placed(point.b, oriented.b, fixed, made_inside),
        parallel=parallel,
    )


def _placed(
    reading: Reading,
    operand: Operand,
    fixed: tuple[str, ...],
    made_inside: frozenset[str],
) -> Reading:
    """Return how a factor is read inside of the loops around it."""
    if reading.how == "in place":
        return reading
    others = (n for n, d in enumerate(fixed) if d not in operand.dims)
    place = next(others, len(fixed))
    if any(read.tensor in made_inside for read in operand.reads):
        place = len(fixed)
    if reading.loops and place == len(fixed):
        return replace(reading, loops=place + reading.loops)
    return replace(reading, loops=place)
