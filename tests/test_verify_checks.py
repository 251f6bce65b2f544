"""The proofs about indirect subscripts and their checks refuse nests with a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from verify_harness import Case, case, in_body, once, run
from verify_kernels import KERNELS

from polydsl.base.dtypes import I64
from polydsl.loops.interpret import Outside, interpret
from polydsl.loops.nest import (
    Accumulate,
    Call,
    Check,
    Expr,
    Literal,
    Load,
    Loop,
    LoopNest,
    Node,
    Select,
    Store,
    Var,
    operands,
)
from polydsl.loops.render import render_node

Change = Callable[[Any], Any]
Move = Callable[[LoopNest], LoopNest]


def found(name: str) -> Case:
    text, shapes, constants = KERNELS[name]
    return case(text, shapes, constants)


def number(value: int) -> Literal:
    return Literal(value, I64)


def rewritten(expr: Any, change: Change) -> Any:
    """Return an expression with its first changed part."""
    after = change(expr)
    if after != expr:
        return after
    for part in operands(expr):
        new = rewritten(part, change)
        if new != part:
            return _replaced(expr, part, new)
    return expr


def _replaced(expr: Any, part: Expr, new: Expr) -> Any:
    def exchanged(parts: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return tuple(new if p is part else p for p in parts)

    match expr:
        case Load(index=index):
            return replace(expr, index=exchanged(index))
        case Call(arguments=arguments):
            return replace(expr, arguments=exchanged(arguments))
        case Select(condition, then, otherwise):
            a, b, c = exchanged((condition, then, otherwise))
            return Select(a, b, c, expr.dtype)
        case _:
            return replace(expr, operand=new)


def value(change: Change) -> Move:
    """Change the first statement whose value has such a part."""

    def apply(node: Any) -> Any:
        return replace(node, value=rewritten(node.value, change))

    return lambda nest: in_body(nest, once((Store, Accumulate), apply))


def check(change: Change) -> Move:
    return lambda nest: in_body(nest, once(Check, change))


def unkept(expr: Any) -> Any:
    is_kept = isinstance(expr, Call) and expr.function == "inside"
    return expr.arguments[0] if is_kept else expr


def clamped(lo: int, hi: int) -> Change:
    def apply(expr: Any) -> Any:
        if not isinstance(expr, Call) or expr.function != "inside":
            return expr
        return Call("clamp", (expr.arguments[0], number(lo), number(hi)), I64)

    return apply


def next_subscript(buffer: str) -> Change:
    """Read the element before in the first dimension, or the first one."""

    def apply(expr: Any) -> Any:
        if not isinstance(expr, Load) or expr.buffer != buffer:
            return expr
        before = Call("sub", (expr.index[0], number(1)), I64)
        first = Call("max", (before, number(0)), I64)
        return replace(expr, index=(first, *expr.index[1:]))

    return apply


def without(function: str) -> Change:
    """Let a comparison with 0 hold for one number less."""

    def apply(expr: Any) -> Any:
        if not isinstance(expr, Call) or expr.function != function:
            return expr
        return replace(expr, arguments=(expr.arguments[0], number(1)))

    return apply


def first_in_body(where: Callable[[Node], bool]) -> Move:
    """Move the first node of a kind to the front."""

    def apply(nest: LoopNest) -> LoopNest:
        place = next(n for n, node in enumerate(nest.body) if where(node))
        rest = (*nest.body[:place], *nest.body[place + 1 :])
        return replace(nest, body=(nest.body[place], *rest))

    return apply


def writes(buffer: str) -> Callable[[Node], bool]:
    """Whether a node, or what is in it, stores to a buffer."""

    def inside(node: Node) -> bool:
        if isinstance(node, Loop):
            return any(map(inside, node.body))
        return isinstance(node, Store) and node.buffer == buffer

    return inside


def into_loop(nest: LoopNest) -> LoopNest:
    def apply(node: Check) -> Loop:
        return Loop("once", number(0), number(1), (node,))

    return in_body(nest, once(Check, apply))


MISTAKES: tuple[tuple[str, str, Move, str], ...] = (
    ("gather", "a subscript is not kept inside", value(unkept), "may be|not the"),
    ("nested", "an inner one is not kept inside", value(unkept), "may be|not the"),
    ("gather", "one row too many", value(clamped(0, 8)), "may be 0 to 8"),
    ("gather", "one row before the first", value(clamped(-1, 7)), "may be -1 to 7"),
    ("gather", "a row is left out", value(clamped(0, 6)), "not the value"),
    ("gather", "another row is read", value(next_subscript("ids")), "not the value"),
    (
        "nested",
        "another inner one is read",
        value(next_subscript("j")),
        "not the value",
    ),
    ("gather", "row 0 passes as outside", value(without("lt")), "not the value"),
    ("gather", "row 0 is padded", value(without("ge")), "not the value"),
    ("gather", "a check is forgotten", check(lambda _: None), "its checks are"),
    ("gather", "a check is made twice", check(lambda n: (n, n)), "its checks are"),
    (
        "gather",
        "a check has another's number",
        check(lambda n: replace(n, number=n.number + 1)),
        "its checks are",
    ),
    ("gather", "a check is in a loop", into_loop, "inside a loop"),
    (
        "gather",
        "a check is made too early",
        first_in_body(lambda n: isinstance(n, Check)),
        "before it is finished",
    ),
    (
        "gather",
        "results are written before",
        first_in_body(writes("z")),
        "before an early check",
    ),
    (
        "nested",
        "a computed subscript is read too early",
        first_in_body(writes("y")),
        "before it is finished",
    ),
    (
        "gather",
        "a check has more positions",
        check(lambda n: replace(n, positions=n.positions + 1)),
        "another subscript",
    ),
    (
        "gather",
        "a check looks at another scalar",
        check(lambda n: replace(n, buffer="ids")),
        "another subscript",
    ),
    (
        "gather",
        "another value is reported",
        check(lambda n: replace(n, value=rewritten(n.value, next_subscript("ids")))),
        "not the value",
    ),
    (
        "gather",
        "a value is read outside",
        check(lambda n: replace(n, position="other'", value=Var("other'"))),
        "not the value",
    ),
)


@pytest.mark.parametrize(
    ("name", "mistake", "change", "match"),
    MISTAKES,
    ids=[f"{name}: {mistake}" for name, mistake, _, _ in MISTAKES],
)
def test_a_mistake_is_refused(
    name: str, mistake: str, change: Move, match: str
) -> None:
    kernel = found(name)
    kernel.verify()
    changed = change(kernel.nest)
    assert changed != kernel.nest, mistake
    with pytest.raises(Exception, match=match) as caught:
        kernel.verify(changed)
    assert type(caught.value).__name__ == "CompilerBug"


def test_the_interpreter_reports_the_first_subscript_outside() -> None:
    kernel = found("gather")
    arrays = run(kernel, kernel.nest)
    arrays["ids"][4, 3], arrays["ids"][7, 0] = 8, -1
    before = arrays["y"].copy()
    with pytest.raises(Outside) as outside:
        interpret(kernel.nest, arrays, shuffle=1)
    assert outside.value.args == (0, 19, 8)
    np.testing.assert_array_equal(arrays["y"], before)


def test_the_text_of_a_check() -> None:
    value = Load("ids", (Var("p'"),), I64)
    node = Check(2, "t_check", "p'", 9, value)
    assert render_node(node) == (
        "check 2: t_check is nowhere\n  else ids[p'] at p' = t_check"
    )
