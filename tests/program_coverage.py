"""What a compiled program has been through: names of productions, nodes, plans, loops.

`seen` gives the names that one run has covered, `WANTED` those that all runs together
must cover. A name says what it is: "rule conditional", "function erf", "matrix rows
guarded", "loop parallel".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from order_coverage import ORDERS, orders
from program_harness import Case, Run
from program_layouts import FORMS

from polydsl.base.functions import FUNCTIONS, REDUCTIONS
from polydsl.base.inner_product import MULTIPLY_ADD, formula
from polydsl.loops import nest
from polydsl.loops.nest import BatchReduceGemm, GuardedRows, Loop, LoopNest
from polydsl.loops.verify_buffers import is_contracted
from polydsl.poly.conditions import ordered_indices
from polydsl.poly.indirect import is_indirect
from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.contraction_order import AT_ONCE
from polydsl.schedule.inner_product import widened_access
from polydsl.schedule.matrix_plan import MatrixPlan
from polydsl.schedule.matrix_point import AXES
from polydsl.schedule.schedule import Schedule
from polydsl.schedule.vector_plan import VectorPlan
from polydsl.semantics import program as typed
from polydsl.semantics.prune import indices_of
from polydsl.syntax import build, parser

RULES_LEFT_OUT = ("import_names", "dots", "path")
"""Imports need files beside the program; tests of loading have them."""

_TYPED = (
    "Literal",
    "Size",
    "Index",
    "Access",
    "Pad",
    "Call",
    "Select",
    "Reduce",
    "Cast",
)
_DTYPES = ("f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool")
_MATRIX = (
    "rows strided", "rows table", "rows guarded", "rows packed", "rows prepared",
    "rows from a padded copy", "rows from a prepared padded copy",
    "columns in place", "columns packed for each panel", "columns prepared",
    "columns from a padded copy", "columns from a prepared padded copy",
    "rows widened", "columns widened", "rows from a widened copy",
    "columns from a widened copy", "rows computed", "columns computed",
    "rows gathered", "columns gathered",
    "depth blocks", "depth blocks with a tail", "depth blocks of several taps",
    "tap blocks", "tap blocks with a tail", "several taps",
    "row tail", "column tail", "outer loops", "split group", "batch",
    "flattened rows", "flattened columns", "flattened depth",
    "scatter", "shared scatter",
    "sets to zero", "continues", "parallel outer", "parallel columns", "parallel rows",
    "add", "mul", "max", "min", "another function", "exchanged function",
)  # fmt: skip
_VECTOR = (
    "assignment", "reduction over lanes", "reduction in lanes", "scalar",
    "several vectors", "unrolled index", "unrolled index with a second tile",
    "two unrolled indices", "rows reduced together", "unrolled assignment", "taps",
    "cut borders", "chunks", "parallel outer",
    "guard", "several updates", "continues",
)  # fmt: skip
_NODES = ("Loop", "Guard", "Store", "Accumulate", "BatchReduceGemm", "Check")
_GATHERS = (
    "plain", "padded", "over lanes", "along lanes", "two axes", "nested",
    "checked early", "checked late", "failed",
)  # fmt: skip
_EXPRESSIONS = ("Literal", "Var", "Load", "Call", "Select", "Cast")
_LOOPS = ("sequential", "parallel", "vector", "unrolled")
_MEMORY = ("argument", "prepared", "scratch", "register", "constant")
_OTHERS = (
    "table of result rows", "table of row taps", "table of column taps",
    "private scratch", "prepared by threads", "cheapest plan", "any plan",
    "bound", "not bound", "all bound", "fresh results", "given results",
    "extent 0", "extent 1", "prime extent", "scalar argument", "large integers",
    "several results", "constants", "partial tensor",
    "fuse none", "fuse elementwise", "fuse all",
    "not fused", "fused, computed where it is read",
    "follows a sum", "follows a sum in lanes", "follows an assignment",
    "follows a product", "follows the last of several blocks", "follows twice",
    "left in registers", "stored before what follows",
    "made where it is summed", "made where it is summed in lanes",
    "shared loops", "blocks of rows", "one row in memory", "factors moved out of a sum",
    "product in steps",
)  # fmt: skip

WANTED = frozenset(
    [f"rule {name}" for name in build._RULES if name not in RULES_LEFT_OUT]
    + [f"typed {name}" for name in _TYPED]
    + [f"function {name}" for name, row in FUNCTIONS.items() if not row.internal]
    + [f"reduction {name}" for name in REDUCTIONS]
    + [f"statement {name}" for name in ("=", "+=", "*=")]
    + [f"dtype {name}" for name in _DTYPES]
    + [f"matrix {name}" for name in _MATRIX]
    + [f"vector {name}" for name in _VECTOR]
    + [f"order {name}" for name in ORDERS]
    + [f"node {name}" for name in _NODES]
    + [f"expression {name}" for name in _EXPRESSIONS]
    + [f"loop {name}" for name in _LOOPS]
    + [f"memory {name}" for name in _MEMORY]
    + [f"argument {name}" for name in FORMS]
    + [f"result {name}" for name in FORMS if name != "zero"]
    + [f"gather {name}" for name in _GATHERS]
    + list(_OTHERS)
)


@contextmanager
def rules(found: set[str]) -> Iterator[None]:
    """Note the rules of the grammar that are parsed."""

    def noted(rule: str, *given: Any) -> Any:
        found.add(f"rule {rule}")
        return build.build_node(rule, *given)

    with patch.object(parser, "build_node", noted):
        yield


def seen(run: Run) -> set[str]:
    """Return what a run has covered."""
    state = run.state
    assert state.program and state.scop and state.schedule and state.nest
    found = {*_case(run.case), *_program(state.program), *_nest(state.nest)}
    found |= {f"order {name}" for name in orders(state.scop, state.program)}
    found |= {f"gather {name}" for name in _gathers(run)}
    found |= {d.chosen for d in state.schedule.decisions if " into " in d.subject}
    found.update(_fusion(state.scop, state.schedule, state.nest))
    for plan in state.schedule.plans:
        if isinstance(plan, VectorPlan) and plan.point.vector in plan.bounded:
            found.add("order bounded vector")
        match plan:
            case MatrixPlan():
                found |= {f"matrix {name}" for name in _matrix(plan)}
            case VectorPlan():
                last = (plan.initialize, *plan.updates)[-1]
                assert last is not None
                statement = state.scop.statement(last)
                found |= {f"vector {name}" for name in _vector(plan, statement)}
    return found


def _fusion(scop: Scop, schedule: Schedule, found: LoopNest) -> Iterator[str]:
    """Name the ways in which tensors are fused, but those that decisions say."""
    for plan in schedule.plans:
        if isinstance(plan, VectorPlan) and plan.prologue:
            is_in = plan.point.vector in scop.statement(plan.updates[-1]).reduced
            yield f"made where it is summed{' in lanes' if is_in else ''}"
        if len(plan.epilogue) > 1:
            yield "follows twice"
        if not plan.epilogue:
            continue
        yield "stored before what follows" if plan.is_stored else "left in registers"
        match plan:
            case MatrixPlan():
                yield "follows a product"
                if plan.side("depth").tiles * plan.side("taps").tiles > 1:
                    yield "follows the last of several blocks"
            case VectorPlan(updates=()):
                yield "follows an assignment"
            case VectorPlan():
                summed = scop.statement(plan.updates[-1]).reduced
                in_lanes = plan.point.vector in summed
                yield "follows a sum in lanes" if in_lanes else "follows a sum"
    if any(is_contracted(buffer) for buffer in found.buffers):
        yield "one row in memory"
    for decision in schedule.decisions:
        if "in loops over" in decision.chosen:
            yield "shared loops"
            if "_block" in decision.chosen:
                yield "blocks of rows"
        if "does not sum over" in decision.chosen:
            yield "factors moved out of a sum"
        if "order of " in decision.subject and decision.chosen != AT_ONCE:
            yield "product in steps"


def _case(case: Case) -> Iterator[str]:
    yield "cheapest plan" if case.shuffle is None else "any plan"
    program = case.program
    yield "bound" if case.bound else "not bound"
    yield f"fuse {case.fuse}"
    if len(case.bound) == len(program.arguments):
        yield "all bound"
    if program.large:
        yield "large integers"
    if program.constants:
        yield "constants"
    yield "given results" if case.out else "fresh results"
    yield from (f"result {p.form}" for p in case.out if p.form != "zero")
    for position, (_, dtype, shape) in enumerate(program.arguments):
        yield f"dtype {dtype}"
        yield f"argument {case.placing(position).form}"
        if not shape:
            yield "scalar argument"
        for n in shape:
            if n < 2:
                yield f"extent {n}"
            elif all(n % d for d in range(2, n)):
                yield "prime extent"


def _program(program: typed.Program) -> Iterator[str]:
    if len(program.results) > 1:
        yield "several results"
    for definition in program.definitions:
        yield f"statement {definition.op}"
        for expr in typed.walk(definition.value):
            yield f"typed {type(expr).__name__}"
            if isinstance(expr, typed.Call):
                yield f"function {expr.function}"
            if isinstance(expr, typed.Reduce):
                yield f"reduction {expr.op}"
    yield from (
        "partial tensor"
        for r in program.ranges
        if not ordered_indices(r.lo)
        and typed.evaluate_size(r.lo, dict(program.binding)) > 0
    )


def _gathers(run: Run) -> Iterator[str]:
    """Name the indirect reads of a run."""
    state = run.state
    assert state.scop and state.schedule
    if run.failed:
        yield "failed"
    for check in state.scop.checks:
        yield f"checked {'early' if check.subject.early else 'late'}"
    vectors = {
        name: plan.point.vector
        for plan in state.schedule.plans
        if isinstance(plan, VectorPlan)
        for name in plan.updates or (plan.initialize,)
    }
    for statement in state.scop.statements:
        for read in statement.reads:
            found = [s for s in read.access.subscripts if not typed.is_affine(s)]
            if not found:
                continue
            yield "padded" if read.is_padded else "plain"
            vector = vectors.get(statement.name)
            lanes = [s for s in read.access.subscripts if vector in indices_of(s)]
            if lanes:
                is_along = any(s in found for s in lanes)
                yield "along lanes" if is_along else "over lanes"
            if len(found) > 1:
                yield "two axes"
            if any(_is_nested(s) for s in found):
                yield "nested"


def _is_nested(subscript: typed.Expr) -> bool:
    return any(
        not typed.is_affine(s) for a in typed.accesses(subscript) for s in a.subscripts
    )


def _matrix(plan: MatrixPlan) -> Iterator[str]:
    sizes = plan.contraction.sizes
    a, b = plan.a, plan.b
    yield f"rows {a.rows if a.pack is None else 'packed'}"
    if b.pack is None:
        yield "columns in place"
    elif b.pack.loops:
        yield "columns packed for each panel"
    for side, factor in (("rows", a), ("columns", b)):
        if factor.pack is not None and factor.pack.prepared:
            yield f"{side} prepared"
        if any(isinstance(copy.value, typed.Cast) for copy in factor.copies):
            yield f"{side} widened"
            if factor.padded is not None:
                yield f"{side} from a widened copy"
        values = [copy.value for copy in factor.copies]
        if any(widened_access(value) is None for value in values):
            yield f"{side} computed"
        if any(map(is_indirect, values)):
            yield f"{side} gathered"
        if factor.padded is not None:
            prepared = "prepared " if factor.padded.prepared else ""
            yield f"{side} from a {prepared}padded copy"
    yield from _blocks(plan)
    tails = (
        ("row tail", plan.extent(plan.rows) % plan.row_tile),
        ("column tail", plan.extent(plan.columns) % plan.column_tile),
        ("outer loops", plan.outer),
        (
            "split group",
            any(d not in dict(plan.contraction.coordinates) for d in sizes),
        ),
        ("batch", any(sizes[d] > 1 for d in plan.contraction.batch)),
        ("flattened rows", sum(sizes[d] > 1 for d in plan.rows) > 1),
        ("flattened columns", sum(sizes[d] > 1 for d in plan.columns) > 1),
        ("flattened depth", sum(sizes[d] > 1 for d in plan.depth) > 1),
        ("scatter", plan.contraction.clashes),
        ("shared scatter", plan.contraction.clashes and plan.parallel >= 0),
        ("continues", plan.initialize is None),
        ("sets to zero", plan.initialize is not None),
    )
    yield from (name for name, is_so in tails if is_so)
    inner = plan.contraction.inner
    yield inner.combine
    if inner.function != MULTIPLY_ADD.function:
        yield "another function"
        # As written, A comes first.
        text = formula(inner.function, "A", "B")
        is_exchanged = text.index("B") < text.index("A")
        yield "exchanged function" if is_exchanged else "function as written"
    if plan.parallel >= 0:
        axis = plan.loops[plan.parallel].axis
        yield f"parallel {axis if axis in AXES else 'outer'}"


def _blocks(plan: MatrixPlan) -> Iterator[str]:
    depth, taps = plan.extent(plan.depth), plan.extent(plan.taps)
    if taps > 1:
        yield "several taps"
    if depth > plan.depth_block:
        yield "depth blocks"
        if depth % plan.depth_block:
            yield "depth blocks with a tail"
        if taps > 1:
            yield "depth blocks of several taps"
    if taps > plan.taps_block:
        yield "tap blocks"
        if taps % plan.taps_block:
            yield "tap blocks with a tail"


def _vector(plan: VectorPlan, statement: Statement) -> Iterator[str]:
    point = plan.point
    is_chunked = any(loop.tiles > 1 for loop in point.loops)
    if not plan.updates:
        yield "assignment"
    elif point.vector in statement.left:
        yield "reduction over lanes"
        yield from _tile(plan)
    elif point.vector is not None:
        yield "reduction in lanes"
        if point.unrolled:
            yield "rows reduced together"
    if point.vector is None:
        yield "scalar"
    names = (
        ("guard", statement.conditions),
        ("several updates", len(plan.updates) > 1),
        ("continues", plan.initialize is None),
        ("unrolled assignment", point.unrolled and not plan.updates),
        ("chunks", is_chunked),
        ("parallel outer", plan.parallel and not is_chunked),
        ("taps", point.taps),
        ("cut borders", any(len(plan.runs_of(d)) > 1 for d in point.cut)),
    )
    yield from (name for name, is_so in names if is_so)


def _tile(plan: VectorPlan) -> Iterator[str]:
    """Name what a register tile whose lanes are elements of the result has."""
    if plan.point.vectors > 1:
        yield "several vectors"
    for unrolled in plan.point.unrolled:
        yield "unrolled index"
        if len({run.size for run in plan.runs_of(unrolled.index)}) > 1:
            yield "unrolled index with a second tile"
    if len(plan.point.unrolled) > 1:
        yield "two unrolled indices"


def _nest(found: LoopNest) -> Iterator[str]:
    for buffer in found.buffers:
        yield f"memory {buffer.memory}"
        if buffer.private:
            yield "private scratch"
        for ending, name in (
            ("_result_rows", "result rows"),
            ("_tap_table", "row taps"),
            ("_column_taps", "column taps"),
        ):
            if buffer.memory == "constant" and buffer.name.endswith(ending):
                yield f"table of {name}"
    if any(
        isinstance(n, Loop) and n.kind == "parallel" for n in nest.walk(found.prepare)
    ):
        yield "prepared by threads"
    for node in nest.walk((*found.prepare, *found.body)):
        yield f"node {type(node).__name__}"
        match node:
            case Loop():
                yield f"loop {node.kind}"
            case nest.Store() | nest.Accumulate():
                for expr in nest.subexpressions(node.value):
                    yield f"expression {type(expr).__name__}"
            case BatchReduceGemm(a=GuardedRows()):
                yield "matrix rows guarded"
            case _:
                pass
