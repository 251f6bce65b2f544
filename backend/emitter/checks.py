"""Checks of indirect subscripts: where one fails, the call reports it and ends.

What it reports, `{number, position, value}` as three i64, stands at the beginning of
the scratch arena (`layout.REPORT_BYTES`); its status is one more than the number.
"""

from __future__ import annotations

from llvmlite import ir

from polydsl.backend.emitter.access import load_element
from polydsl.backend.emitter.expressions import emit_place, emit_value
from polydsl.backend.emitter.scope import Scope
from polydsl.backend.emitter.types import I32, I64, number
from polydsl.base.checks import NOWHERE
from polydsl.base.diagnostics import bug
from polydsl.loops.nest import Check


def emit_check(scope: Scope, check: Check) -> None:
    """Emit a check; it stands where nothing is around it."""
    if scope.variables or scope.is_parallel or scope.kernel.part != "main":
        bug(f"{scope.nest.name}: check {check.number} is not at the top of the body")
    builder = scope.builder
    buffer = scope.kernel.buffer(check.buffer)
    found = load_element(scope, buffer, emit_place(scope, check.buffer, (), {}))
    failed = builder.icmp_signed("!=", found, number(NOWHERE))
    with builder.if_then(failed, likely=False):
        last = max(check.positions - 1, 0)
        # A position is never outside; that what it reads is inside rests on this alone.
        inside = _clamped(builder, found, last)
        place = scope.bind(check.position, inside, (0, max(last, 1)))
        report = (number(check.number), inside, emit_value(place, check.value, {}))
        for slot, word in enumerate(report):
            at = builder.gep(scope.function.scratch, [I64(slot)], source_etype=I64)
            builder.store(word, at, align=8)
        builder.ret(I32(1 + check.number))


def _clamped(builder: ir.IRBuilder, value: ir.Value, last: int) -> ir.Value:
    """Return *value*, or the nearer of 0 and *last*."""
    low = builder.select(builder.icmp_signed("<", value, number(0)), number(0), value)
    is_high = builder.icmp_signed(">", low, number(last))
    return builder.select(is_high, number(last), low)
