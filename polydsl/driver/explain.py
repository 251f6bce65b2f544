"""`explain`: the chosen schedule, why, and what was rejected, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from polydsl.base.quantities import bytes_text, count_text, seconds_text
from polydsl.driver.compiler import Compiled
from polydsl.driver.explain_indices import describe_indices
from polydsl.driver.stages import Compilation
from polydsl.loops.touched import touched_bytes
from polydsl.schedule.decision import Decision, Rejected
from polydsl.schedule.decision import render as render_decision
from polydsl.schedule.preference import Preference
from polydsl.schedule.tree import render as render_tree

SHOWN = 5
"""So many schedules stand beside one that was given."""


def explain(
    state: Compilation,
    compiled: Compiled,
    measured: float | None = None,
    own: Sequence[Decision] = (),
) -> str:
    """Return the explanation of a compilation that reached its loop nest.

    *measured* is the best time of a call on one thread in seconds, None where it was
    not measured. *own* are the decisions that the model takes by itself, where some
    were given.
    """
    assert state.schedule is not None and state.scop is not None
    lines = [
        *_heading(state),
        "",
        *describe_indices(state.scop),
        "",
        render_tree(state.schedule.tree).rstrip(),
        "",
    ]
    for decision in _beside(state.schedule.decisions, own):
        lines += [render_decision(decision, state.machine), ""]
    lines += _times(state, measured)
    lines += _memory(state, compiled)
    origin = "loaded from the cache" if compiled.from_cache else "compiled"
    lines.append(f"{origin} in {compiled.seconds * 1e3:.1f} ms")
    return "\n".join(lines) + "\n"


def _beside(
    decisions: Sequence[Decision], own: Sequence[Decision]
) -> Iterator[Decision]:
    """Yield decisions, those that were given beside what the model would choose."""
    by_subject = {decision.subject: decision for decision in own}
    for decision in decisions:
        model = by_subject.get(decision.subject)
        if model is None or decision.rejected or model.chosen == decision.chosen:
            yield decision
            continue
        first = Rejected(model.chosen, model.cost, "it is the model's own choice")
        rest = (r for r in model.rejected if r.candidate != decision.chosen)
        yield replace(decision, rejected=tuple(islice((first, *rest), SHOWN)))


def _heading(state: Compilation) -> Iterator[str]:
    machine, request = state.machine, state.request
    sizes = ", ".join(f"{n}={v}" for n, v in sorted(request.constants.items()))
    shapes = ", ".join(f"{n}: {a}" for n, a in request.arguments.items())
    yield f"{request.kernel}({shapes}{'; ' + sizes if sizes else ''})"
    yield (
        f"machine: {machine.isa}, {machine.vector_bytes * 8} bits, "
        f"{machine.vector_registers} registers, {count_text(machine.cores, 'core')}"
    )
    asked = _asked(request.preference)
    if asked:
        yield f"asked for: {asked}"


def _asked(preference: Preference) -> str:
    """Return what differs from the preference of who has none."""
    words = []
    if preference.ranker != "reuse":
        words.append(f"ranker {preference.ranker}")
    if preference.microkernel:
        words.append(f"microkernel {preference.microkernel}")
    if preference.fuse != "all":
        words.append(f"fuse {preference.fuse}")
    if preference.chosen:
        subjects = ", ".join(subject for subject, _ in preference.chosen)
        words.append(f"certain schedules (by tuning, or by hand) of {subjects}")
    return "; ".join(words)


def _times(state: Compilation, measured: float | None) -> Iterator[str]:
    """Yield the predicted time of a call on one thread, beside the measured one."""
    assert state.schedule is not None
    cycles = sum(decision.cycles for decision in state.schedule.decisions)
    predicted = state.machine.seconds(cycles)
    if measured is None:
        yield f"predicted on one thread: {seconds_text(predicted)}"
        return
    yield (
        f"on one thread: predicted {seconds_text(predicted)}, measured "
        f"{seconds_text(measured)}: {_error(predicted, measured)}"
    )


def _memory(state: Compilation, compiled: Compiled) -> Iterator[str]:
    """Yield how much memory the steps of a call touch, and how much it takes for what
    is no argument."""
    assert state.nest is not None
    interface = compiled.interface
    shared, own = interface.shared_bytes, interface.thread_bytes
    each = f", and {bytes_text(own)} for each thread" if own else ""
    yield f"its steps touch {bytes_text(touched_bytes(state.nest))}"
    yield f"scratch: {bytes_text(shared)}{each}"
    if interface.prepared:
        yield f"kept from call to call: {bytes_text(sum(interface.prepared))}"


def _error(predicted: float, measured: float) -> str:
    if measured <= 0:
        return "too short to tell"
    share = predicted / measured - 1
    return f"the prediction is {abs(share):.0%} {'more' if share > 0 else 'less'}"
