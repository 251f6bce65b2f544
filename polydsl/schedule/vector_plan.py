"""How a statement that is no product is computed: a `VectorPlan`.

    for outer indices
      for chunk of the vector index               (where it is not reduced)
        accumulators = initial value
        for reduced indices: accumulators = combine(accumulators, value)
        tensor = accumulators

The statements of one plan define one tensor: an assignment, or an initialisation and
the updates that share its left-hand indices. The vector index is the one along which
the accesses are contiguous: a left-hand index (lanes are elements of the result), or a
reduced one (lanes are partial results).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from polydsl.base.dtypes import widen
from polydsl.base.machine import Machine
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.decision import Cost, Decision, Rejected
from polydsl.schedule.operand import Layout
from polydsl.schedule.vector_access import step
from polydsl.semantics.program import Access, Call, walk

GATHER_CYCLES = 2.0
"""A load or store of one lane whose step is neither 0 nor 1."""
HORIZONTAL_CYCLES = 14.0
"""Combining the lanes of one accumulator."""
FUNCTION_CYCLES = 12.0
"""A transcendental function, for one vector."""
PARALLEL_POINTS = 32_768
"""Below so many points a second thread costs more than it saves."""
CHUNK = 8_192
"""Points of a one-dimensional statement that one thread takes at a time."""


@dataclass(frozen=True, slots=True)
class VectorPlan:
    """The loops of one tensor's statements. See the module's docstring.

    `initialize` is the statement that gives the first value, `updates` combine into
    it. An assignment has no updates; a plan without `initialize` continues from what
    is in the tensor. `chunk` cuts the vector index for threads; 0 where it is whole.
    """

    tensor: str
    initialize: str | None
    updates: tuple[str, ...]
    outer: tuple[str, ...]
    vector: str | None
    lanes: int
    unroll: int
    chunk: int
    parallel: str | None
    scalar_reason: str = ""

    def describe(self) -> str:
        """Return the plan in one line."""
        how = f"vector {self.vector} x{self.lanes}" if self.vector else "scalar"
        if self.unroll > 1:
            how += f", {self.unroll} accumulators"
        if self.scalar_reason:
            how += f" ({self.scalar_reason})"
        loops = ", ".join(self.outer) or "none"
        threads = f"; parallel {self.parallel}" if self.parallel else ""
        return f"loops {loops}; {how}{threads}"


def choose_vector_plan(
    scop: Scop,
    layout: Layout,
    machine: Machine,
    tensor: str,
    initialize: Statement | None,
    updates: tuple[Statement, ...],
) -> tuple[VectorPlan, Decision]:
    """Return the plan of one tensor's statements and the record of the choice."""
    statements = tuple(s for s in (initialize, *updates) if s is not None)
    priced = sorted(
        (
            (_cost(scop, layout, machine, statements, dim), number, dim)
            for number, dim in enumerate(_vector_candidates(statements))
        ),
        key=lambda entry: (entry[0].cycles, entry[1]),
    )
    cost, _, vector = priced[0]
    plan = _plan(scop, layout, machine, tensor, initialize, updates, vector)
    rejected = tuple(
        Rejected(f"vector {dim}" if dim else "scalar", other, _why(other))
        for other, _, dim in priced[1:6]
    )
    names = ", ".join(s.name for s in statements)
    reason = "its accesses are contiguous along the vector index at the least cost"
    if vector is None:
        reason = plan.scalar_reason or "it has no loop"
    return plan, Decision(
        f"{names} ({tensor})", plan.describe(), reason, cost, rejected
    )


def _why(cost: Cost) -> str:
    name, _ = max(cost.parts, key=lambda part: part[1])
    return f"most of its time goes to {name}"


def _vector_candidates(statements: tuple[Statement, ...]) -> Iterator[str | None]:
    """Yield every index that may be the vector, innermost first; none if none may."""
    last = statements[-1]
    limited = {i for s in statements for c in s.conditions for i in ordered_indices(c)}
    shared = last.left
    found = False
    for dim in (*reversed(shared), *reversed(last.reduced)):
        one_update = dim in shared or sum(1 for s in statements if s.reduced) == 1
        if dim not in limited and one_update:
            found = True
            yield dim
    if not found:
        yield None


def _cost(
    scop: Scop,
    layout: Layout,
    machine: Machine,
    statements: tuple[Statement, ...],
    dim: str | None,
) -> Cost:
    loads = arithmetic = horizontal = 0.0
    for statement in statements:
        points = float(prod(max(hi - lo + 1, 0) for lo, hi in statement.box))
        lanes = lanes_of(statement, machine) if dim in statement.dims else 1
        lo, hi = statement.ranges.get(dim or "", (0, 0))
        trip = max(hi - lo + 1, 1)
        vectors = points / trip * -(-trip // lanes)
        for access in _accesses(scop, statement, dim):
            moved = _step(scop, layout, statement, access, dim)
            loads += vectors * _access_cycles(moved, lanes)
        calls = [n for n in walk(statement.value) if isinstance(n, Call)]
        arithmetic += vectors * sum(_call_cycles(c) for c in calls)
        if dim in statement.reduced:
            horizontal += points / trip * HORIZONTAL_CYCLES
    return Cost(
        (
            ("loads and stores", loads),
            ("arithmetic", arithmetic),
            ("combining lanes", horizontal),
        )
    )


def _access_cycles(moved: int | None, lanes: int) -> float:
    """Return the cycles of loading or storing one vector whose lanes step by *moved*
    elements: whole, through a few loads and shuffles, or lane by lane."""
    if moved is None or abs(moved) > 4:
        return GATHER_CYCLES * lanes
    return 0.5 if moved in (0, 1) else 1.0 + abs(moved)


def _call_cycles(call: Call) -> float:
    cheap = {"add", "sub", "mul", "neg", "max", "min", "abs", "relu", "fma", "clamp"}
    cheap |= {"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "pos"}
    return 0.5 if call.function in cheap else FUNCTION_CYCLES


def _accesses(scop: Scop, statement: Statement, dim: str | None) -> list[Access]:
    """Return the accesses made for each point: the store only where it is not kept in
    a register over the reduction."""
    found = [read.access for read in statement.reads]
    if statement.combine is None or (dim in statement.left and not statement.reduced):
        found.append(written(scop, statement))
    return found


def written(scop: Scop, statement: Statement) -> Access:
    """Return the left side of a statement as an access."""
    dtype = scop.tensor(statement.tensor).dtype
    return Access(statement.tensor, statement.subscripts, dtype, statement.span)


def _step(
    scop: Scop, layout: Layout, statement: Statement, access: Access, dim: str | None
) -> int | None:
    if dim is None:
        return 1
    return step(access, dim, layout, scop.sizes, statement.ranges)


def lanes_of(statement: Statement, machine: Machine) -> int:
    """Return the vector length for a statement: of the type it computes in."""
    return machine.lanes(widen(statement.value.dtype))


def _plan(
    scop: Scop,
    layout: Layout,
    machine: Machine,
    tensor: str,
    initialize: Statement | None,
    updates: tuple[Statement, ...],
    vector: str | None,
) -> VectorPlan:
    last = updates[-1] if updates else initialize
    assert last is not None
    lanes = lanes_of(last, machine) if vector else 1
    lo, hi = last.ranges.get(vector or "", (0, 0))
    trip = hi - lo + 1
    unroll = 1
    if updates and vector in last.left and last.reduced:
        unroll = max(1, min(4, trip // lanes))
    store = written(scop, last)
    outer = sorted(
        (d for d in last.left if d != vector),
        key=lambda d: -abs(step(store, d, layout, scop.sizes, last.ranges) or 0),
    )
    points = prod(max(b - a + 1, 0) for a, b in last.box)
    parallel, chunk = _parallel(last, tuple(outer), vector, points, machine)
    reason = ""
    if vector is None and last.dims:
        reason = "every index is in a condition of its domain"
    return VectorPlan(
        tensor,
        initialize.name if initialize else None,
        tuple(u.name for u in updates),
        tuple(outer),
        vector,
        lanes,
        unroll,
        chunk,
        parallel,
        reason,
    )


def _parallel(
    statement: Statement,
    outer: tuple[str, ...],
    vector: str | None,
    points: int,
    machine: Machine,
) -> tuple[str | None, int]:
    """Return the loop that threads share, and the chunk of the vector index."""
    if points < PARALLEL_POINTS:
        return None, 0
    for d in outer:
        lo, hi = statement.ranges[d]
        if hi - lo + 1 >= machine.cores:
            return d, 0
    if vector in statement.left and not outer:
        return vector, CHUNK
    return None, 0
