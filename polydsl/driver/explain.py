"""`explain`: the chosen schedule, why, and what was rejected, as text."""

from __future__ import annotations

from polydsl.driver.compiler import Compiled
from polydsl.driver.stages import Compilation
from polydsl.schedule.decision import render as render_decision
from polydsl.schedule.tree import render as render_tree


def explain(state: Compilation, compiled: Compiled) -> str:
    """Return the explanation of a compilation that reached its loop nest."""
    assert state.schedule is not None
    machine = state.machine
    sizes = ", ".join(f"{n}={v}" for n, v in sorted(state.request.constants.items()))
    shapes = ", ".join(f"{n}: {a}" for n, a in state.request.arguments.items())
    lines = [
        f"{state.request.kernel}({shapes}{'; ' + sizes if sizes else ''})",
        f"machine: {machine.isa}, {machine.vector_bytes * 8} bits, "
        f"{machine.vector_registers} registers, {machine.cores} cores",
        "",
        render_tree(state.schedule.tree).rstrip(),
        "",
    ]
    for decision in state.schedule.decisions:
        lines += [render_decision(decision), ""]
    origin = "loaded from the cache" if compiled.from_cache else "compiled"
    lines.append(f"{origin} in {compiled.seconds * 1e3:.1f} ms")
    return "\n".join(lines) + "\n"
