"""The compiler as a table of stages: name, run, verify, render.

Each stage adds its result to a `Compilation`. The table drives compiling, `emit`,
dumps and the verification between stages; reading it aloud is reading the compiler.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from polydsl.backend.emitter.module import emit_module
from polydsl.backend.jit import assembly
from polydsl.backend.target import Target
from polydsl.base.diagnostics import bug
from polydsl.base.garbage import uncollected
from polydsl.base.machine import Machine
from polydsl.driver.request import Request
from polydsl.loops.generate import generate
from polydsl.loops.nest import LoopNest
from polydsl.loops.render import render_nest
from polydsl.loops.verify import verify_nest
from polydsl.poly import dependences as poly_dependences
from polydsl.poly import scop as poly_scop
from polydsl.poly.dependences import Dependences
from polydsl.poly.extract import extract
from polydsl.poly.ordered import ordered_scop
from polydsl.poly.prove import prove
from polydsl.poly.scop import Scop
from polydsl.schedule.constants import folded
from polydsl.schedule.contracted import contracted_layout
from polydsl.schedule.contraction import (
    is_product_in_place,
    is_stored_product_in_place,
)
from polydsl.schedule.contraction_order import paired
from polydsl.schedule.copied_values import copied
from polydsl.schedule.decision import Decision, settled
from polydsl.schedule.epilogues import joined
from polydsl.schedule.equal_tensors import united
from polydsl.schedule.factors import factored
from polydsl.schedule.followers import followed
from polydsl.schedule.forwarding import forwarded
from polydsl.schedule.fusion_groups import grouped
from polydsl.schedule.once import known_tensors, once
from polydsl.schedule.operand import Layout
from polydsl.schedule.prologues import preceded
from polydsl.schedule.schedule import Schedule, schedule
from polydsl.schedule.shared_values import shared
from polydsl.schedule.softmax_blocks import online
from polydsl.schedule.states import contracted_states
from polydsl.schedule.tree import render as render_tree
from polydsl.semantics.program import Program
from polydsl.semantics.prune import drop_unused
from polydsl.semantics.render import render as render_program
from polydsl.semantics.specialize import specialize
from polydsl.semantics.verify import verify_program
from polydsl.syntax import ast
from polydsl.syntax.unparse import unparse


@dataclass(frozen=True, slots=True)
class Compilation:
    """What is known of a kernel so far: the results of the stages that have run."""

    request: Request
    machine: Machine
    target: Target
    module: ast.Module | None = None
    program: Program | None = None
    scop: Scop | None = None
    fusions: tuple[Decision, ...] = ()
    dependences: Dependences | None = None
    schedule: Schedule | None = None
    nest: LoopNest | None = None
    llvm: str | None = None


Step = Callable[[Compilation], Compilation]


@dataclass(frozen=True, slots=True)
class Stage:
    """One row: how the stage runs, what it promises, and its text for people."""

    name: str
    run: Step
    verify: Callable[[Compilation], None]
    render: Callable[[Compilation], str]


def _ast(state: Compilation) -> Compilation:
    request = state.request
    found = request.library.find(request.kernel)
    if found is None:
        bug(f"no kernel {request.kernel}")
    kernel = found[1]
    return replace(state, module=ast.Module(None, (), (kernel,), kernel.span))


def _typed(state: Compilation) -> Compilation:
    request = state.request
    program = specialize(
        request.library, request.kernel, request.shapes, request.constants
    )
    return replace(state, program=program)


def _scop(state: Compilation) -> Compilation:
    assert state.program is not None
    scop = extract(state.program)
    prove(scop)
    fuse, bound = state.request.preference.fuse, state.request.bound
    # To compute a factor while it is copied is to fuse.
    in_place = is_stored_product_in_place if fuse == "none" else is_product_in_place
    ordered = ordered_scop(scop, in_place)
    needed = drop_unused(state.program)
    final = folded(scop if needed == state.program else extract(needed))
    fusions: tuple[Decision, ...] = ()
    if fuse != "none":
        final, equal = united(final)
        final, values = forwarded(final, bound)
        final, again = shared(final, state.machine)
        final, orders = paired(final, state.machine, bound)
        final, moved = factored(final)
        final, more = united(final)
        fusions = (*equal, *values, *again, *orders, *moved, *more)
        final, pairs = copied(final, known_tensors(final, bound))
        fusions = settled(fusions, pairs)
    if final is not scop:
        ordered = ordered_scop(final, in_place)
    ordered, before = once(ordered, known_tensors(final, bound))
    if fuse != "none":
        ordered, pairs = joined(ordered)
        fusions = settled(fusions, pairs)
    if fuse == "all":
        ordered, pairs = followed(ordered, state.machine)
        fusions = settled(fusions, pairs)
        ordered, pairs = online(ordered, state.machine)
        fusions = settled(fusions, pairs)
        ordered, pairs = contracted_states(ordered)
        fusions = settled(fusions, pairs)
        ordered, pairs = grouped(ordered, state.machine)
        fusions = settled(fusions, pairs)
    if fuse != "none":
        ordered, pairs = preceded(ordered)
        fusions = settled(fusions, pairs)
    return replace(state, scop=ordered, fusions=(*before, *fusions))


def _dependences(state: Compilation) -> Compilation:
    assert state.scop is not None
    return replace(state, dependences=poly_dependences.analyze(state.scop))


def _tree(state: Compilation) -> Compilation:
    assert state.scop is not None and state.dependences is not None
    chosen = schedule(
        state.scop,
        state.dependences,
        _layout(state, state.scop),
        state.machine,
        state.request.bound,
        state.request.preference,
    )
    decisions = settled(state.fusions, chosen.decisions)
    return replace(state, schedule=replace(chosen, decisions=decisions))


def _layout(state: Compilation, scop: Scop) -> Layout:
    return contracted_layout(scop, state.request.layout(scop))


def _nest(state: Compilation) -> Compilation:
    assert state.scop is not None and state.schedule is not None
    layout = _layout(state, state.scop)
    return replace(state, nest=generate(state.scop, state.schedule, layout))


def _verify_typed(state: Compilation) -> None:
    assert state.program is not None
    verify_program(state.program)


def _verify_nest(state: Compilation) -> None:
    assert state.scop and state.schedule and state.nest
    verify_nest(state.scop, state.schedule, state.nest)


def _llvm(state: Compilation) -> Compilation:
    assert state.nest is not None
    return replace(state, llvm=emit_module(state.nest, state.target))


def _nothing(state: Compilation) -> None:
    """Promise nothing beyond what the stage checks while it runs."""


def _rendered(state: Compilation, stage: str) -> str:
    module, program, scop = state.module, state.program, state.scop
    match stage:
        case "ast" if module is not None:
            return unparse(module)
        case "typed" if program is not None:
            return render_program(program)
        case "scop" if scop is not None:
            return poly_scop.render(scop)
        case "dependences" if state.dependences is not None:
            return poly_dependences.render(state.dependences)
        case "tree" if state.schedule is not None:
            return render_tree(state.schedule.tree)
        case "nest" if state.nest is not None:
            return render_nest(state.nest)
        case "llvm" if state.llvm is not None:
            return state.llvm
        case "asm" if state.llvm is not None:
            return assembly(state.llvm, state.target)
        case _:
            bug(f"stage {stage} has not run")


def _stage(name: str, run: Step, verify: Callable[[Compilation], None]) -> Stage:
    return Stage(name, run, verify, lambda state: _rendered(state, name))


STAGES: tuple[Stage, ...] = (
    _stage("ast", _ast, _nothing),
    _stage("typed", _typed, _verify_typed),
    _stage("scop", _scop, _nothing),
    _stage("dependences", _dependences, _nothing),
    _stage("tree", _tree, _nothing),
    _stage("nest", _nest, _verify_nest),
    _stage("llvm", _llvm, _nothing),
    _stage("asm", lambda state: state, _nothing),
)
STAGE_NAMES = tuple(stage.name for stage in STAGES)

Listener = Callable[[Stage, Compilation], None]


def ignore(stage: Stage, state: Compilation) -> None:
    """Listen to nothing."""


# A fork waits until no thread compiles: in the child, the locks that such a thread held
# (those of `cached_property` in Python 3.11, for one) would be held for ever.
_compiling = threading.RLock()
os.register_at_fork(
    before=_compiling.acquire,
    after_in_parent=_compiling.release,
    after_in_child=_compiling.release,
)


def compile_until(
    state: Compilation, last: str, after: Listener = ignore
) -> Compilation:
    """Run the stages up to and including *last*; *after* listens to each."""
    with _compiling, uncollected():
        for stage in STAGES:
            state = stage.run(state)
            stage.verify(state)
            after(stage, state)
            if stage.name == last:
                break
    return state


def emit(state: Compilation, stage_name: str) -> str:
    """Return the text of a stage."""
    texts: list[str] = []

    def listen(stage: Stage, reached: Compilation) -> None:
        if stage.name == stage_name:
            texts.append(stage.render(reached))

    compile_until(state, stage_name, listen)
    return texts[0]
