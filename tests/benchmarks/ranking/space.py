"""The decisions of a kernel with the spaces that their schedules are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol

import numpy as np

from polydsl.base.machine import Machine
from polydsl.driver.compiler import begin
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.poly.scop import Scop
from polydsl.schedule import vector_choice
from polydsl.schedule.contraction import Contraction, NoContraction, match
from polydsl.schedule.matrix_batch import single
from polydsl.schedule.matrix_builder import build
from polydsl.schedule.matrix_choice import subject_of
from polydsl.schedule.matrix_family import Family, families, family_of
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import MatrixPoint
from polydsl.schedule.matrix_space import Space
from polydsl.schedule.operand import Layout
from polydsl.schedule.point import Point
from polydsl.schedule.setting import Setting
from polydsl.schedule.vector_builder import VectorSetting
from polydsl.schedule.vector_builder import build as build_loops
from polydsl.schedule.vector_candidates import counts_of, point_of
from polydsl.schedule.vector_candidates import families as families_of_loops
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.schedule.vector_point import VectorPoint


class DecisionSpace(Protocol):
    """All schedules of one decision."""

    @property
    def subject(self) -> str:
        """What the decision is about."""
        ...

    def draw(self, rng: np.random.Generator) -> Point | None:
        """Return a schedule drawn over the space; None where it is not legal."""
        ...

    def neighbours(self, point: Point) -> tuple[Point, ...]:
        """Return legal schedules that differ in a single respect."""
        ...


@dataclass(frozen=True)
class ProductSpace:
    """The schedules of a product."""

    setting: Setting
    contraction: Contraction
    initialize: str | None
    families: tuple[Family, ...]

    @property
    def subject(self) -> str:
        """What the decision is about."""
        return subject_of(self.setting)

    def draw(self, rng: np.random.Generator) -> Point | None:
        """Return a schedule drawn over the families, then over one of them."""
        family = self.families[int(rng.integers(len(self.families)))]
        point = Space(self.setting, family).draw(rng, 1).point(0)
        return point if self._is_legal(point) else None

    def neighbours(self, point: Point) -> tuple[Point, ...]:
        """Return the neighbours in the family of a point."""
        assert isinstance(point, MatrixPoint)
        family = family_of(self.setting, self.contraction, point, self.initialize)
        assert family is not None
        space = Space(self.setting, family)
        near = space.neighbours([space.column(single(family, point), 0)])
        found = (near.point(n) for n in range(len(near)))
        legal = dict.fromkeys(p for p in found if p != point and self._is_legal(p))
        return tuple(legal)

    def _is_legal(self, point: Point) -> bool:
        assert isinstance(point, MatrixPoint)
        plan = build(self.setting, self.contraction, point, self.initialize)
        return isinstance(plan, MatrixPlan)


@dataclass(frozen=True)
class LoopSpace:
    """The schedules of what is no product."""

    setting: VectorSetting

    @property
    def subject(self) -> str:
        """What the decision is about."""
        return vector_choice.subject_of(self.setting)

    def draw(self, rng: np.random.Generator) -> Point | None:
        """Return a schedule drawn over the forms of a register tile, its sizes and the
        order of the loops."""
        found = list(families_of_loops(self.setting))
        family = found[int(rng.integers(len(found)))]
        counts = counts_of(self.setting, family)
        size = counts[int(rng.integers(len(counts)))].tolist()
        point = point_of(self.setting, family, tuple(size))
        order = rng.permutation(len(point.loops)).tolist()
        point = replace(
            point,
            loops=tuple(point.loops[n] for n in order),
            parallel=order.index(point.parallel) if point.parallel >= 0 else -1,
        )
        return point if self._is_legal(point) else None

    def neighbours(self, point: Point) -> tuple[Point, ...]:
        """Return points with other sizes, another index unrolled or not, or two loops
        exchanged."""
        assert isinstance(point, VectorPoint)
        found = [
            replace(point_of(self.setting, family, tuple(size)), loops=point.loops)
            for family in families_of_loops(self.setting)
            if family.vector == point.vector
            for size in counts_of(self.setting, family).tolist()
        ]
        for a, b in combinations(range(len(point.loops)), 2):
            loops = list(point.loops)
            loops[a], loops[b] = loops[b], loops[a]
            found.append(replace(point, loops=tuple(loops), parallel=-1))
        legal = dict.fromkeys(p for p in found if p != point and self._is_legal(p))
        return tuple(legal)

    def _is_legal(self, point: VectorPoint) -> bool:
        return isinstance(build_loops(self.setting, point), VectorPlan)


def spaces(request: Request) -> Iterator[DecisionSpace]:
    """Yield the space of every decision of a kernel that has more than one choice."""
    tools = toolchain()
    state = compile_until(begin(request, tools), "tree")
    scop, schedule = state.scop, state.schedule
    assert scop is not None and schedule is not None
    layout = request.layout(scop)
    for plan in schedule.plans:
        if isinstance(plan, VectorPlan):
            yield LoopSpace(_loops(scop, layout, state.machine, plan))
            continue
        statement = scop.statement(plan.contraction.statement)
        matched = match(scop, statement)
        assert not isinstance(matched, NoContraction)
        setting = Setting(scop, statement, layout, state.machine, request.bound)
        found = families(setting, matched, plan.initialize)
        yield ProductSpace(setting, matched, plan.initialize, found)


def _loops(
    scop: Scop, layout: Layout, machine: Machine, plan: VectorPlan
) -> VectorSetting:
    """Return the setting in which a plan was chosen."""
    first = None if plan.initialize is None else scop.statement(plan.initialize)
    updates = tuple(scop.statement(name) for name in plan.updates)
    return VectorSetting(scop, layout, machine, plan.tensor, first, updates)
