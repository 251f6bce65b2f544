"""The text form of a loop nest, for people: buffers, then indented loops.

    nest matmul(a, b, c)
      a: f32[64, 32] argument, read
      b: f32[32, 48] argument, read
      c: f32[64, 48] argument
    body:
      for i in 0..64 [parallel]:
        for j in 0..48 [vector 16]:
          c[i, j] = 0.0

The text is stable: the same nest has the same text in every version of Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from polydsl.base.functions import FUNCTIONS
from polydsl.base.inner_product import formula
from polydsl.base.providers import BUILT_IN
from polydsl.loops.nest import (
    Accumulate,
    BatchReduceGemm,
    Buffer,
    Call,
    Cast,
    Check,
    Columns,
    Expr,
    Guard,
    GuardedRows,
    Literal,
    Load,
    Loop,
    LoopNest,
    Node,
    Offsets,
    Rows,
    Select,
    Store,
    Strided,
    Table,
    Tile,
    Var,
    contiguous,
)

_BINDING = {
    "or": 1, "and": 2, "not": 3, "eq": 4, "ne": 4, "lt": 4, "le": 4, "gt": 4, "ge": 4,
    "add": 5, "sub": 5, "mul": 6, "div": 6, "floordiv": 6, "mod": 6, "neg": 7, "pos": 7,
    "power": 8,
}  # fmt: skip
"""How tightly an operator binds; Python's precedence."""

_CHOICE, _COMPARISON, _PREFIX, _POWER, _ATOM = 0, 4, 7, 8, 9

_COMBINE = {"add": "+=", "mul": "*="}
_REDUCTION = {"add": "sum", "mul": "prod"}


def render_nest(nest: LoopNest) -> str:
    """Return the text of *nest*, with a line end."""
    lines = [f"nest {nest.name}({', '.join(nest.arguments)})"]
    lines.extend(f"  {_buffer(buffer)}" for buffer in nest.buffers)
    for title, nodes in (("prepare", nest.prepare), ("body", nest.body)):
        if nodes:
            lines.append(f"{title}:")
            lines.extend(_nodes(nodes, "  "))
    return "\n".join(lines) + "\n"


def render_node(node: Node) -> str:
    """Return the text of one node and what is inside it, without a line end."""
    return "\n".join(_node(node, ""))


def render_expr(expr: Expr) -> str:
    """Return the text of an expression."""
    return _expr(expr)[0]


def _buffer(buffer: Buffer) -> str:
    shape = ", ".join(map(str, buffer.shape))
    words = ["private " * buffer.private + buffer.memory]
    if buffer.strides != contiguous(buffer.shape):
        words.append(f"strides [{', '.join(map(str, buffer.strides))}]")
    if buffer.memory == "argument" and not buffer.is_written:
        words.append("read")
    return f"{buffer.name}: {buffer.dtype}[{shape}] {', '.join(words)}"


# Nodes


def _nodes(nodes: tuple[Node, ...], indent: str) -> Iterator[str]:
    for node in nodes:
        yield from _node(node, indent)


def _node(node: Node, indent: str) -> Iterator[str]:
    match node:
        case Loop():
            yield indent + _loop_header(node)
            yield from _nodes(node.body, indent + "  ")
        case Guard(condition, body):
            yield f"{indent}if {render_expr(condition)}:"
            yield from _nodes(body, indent + "  ")
        case Store(buffer, index, value):
            yield f"{indent}{_element(buffer, index)} = {render_expr(value)}"
        case Accumulate(buffer, index, combine, value):
            operator = _COMBINE.get(combine, f"{combine}=")
            yield f"{indent}{_element(buffer, index)} {operator} {render_expr(value)}"
        case BatchReduceGemm():
            yield from (indent + line for line in _gemm(node))
        case Check(number, buffer, position, _, value):
            yield f"{indent}check {number}: {buffer} is nowhere"
            yield f"{indent}  else {render_expr(value)} at {position} = {buffer}"
        case _:
            assert_never(node)


def _loop_header(loop: Loop) -> str:
    header = f"for {loop.var} in {_bound(loop.lo)}..{_bound(loop.hi)}"
    if loop.step != 1:
        header += f" step {loop.step}"
    if loop.kind != "sequential":
        lanes = f" {loop.lanes}" if loop.kind == "vector" else ""
        lanes += f" by {loop.vectors}" if loop.vectors > 1 else ""
        header += f" [{loop.kind}{lanes}]"
    return header + ":" + (f"  # {loop.note}" if loop.note else "")


def _bound(expr: Expr) -> str:
    text, binding = _expr(expr)
    return text if binding == _ATOM else f"({text})"


def _gemm(node: BatchReduceGemm) -> Iterator[str]:
    combine = node.inner.combine
    update = _COMBINE.get(combine, f"{combine}=")
    operator = update if node.accumulate else "="
    reduction = _REDUCTION.get(combine, combine)
    extents = f"m {node.rows}, n {node.columns}, t {node.batch}, k {node.depth}"
    by = "" if node.provider == BUILT_IN else f" by {node.provider}"
    term = formula(node.inner.function, "A[t, m, k]", "B[t, k, n]")
    yield f"gemm {node.dtype} [{extents}]{by}"
    yield f"  {_tile(node.c)} {operator} {reduction}[t, k] {term}"
    yield f"  A = {_rows(node.a)}"
    yield f"  B = {_columns(node.b)}"


def _tile(c: Tile) -> str:
    return f"{c.buffer}@({_sum(render_expr(c.base), _offset(c.row, 'm'), 'n')})"


def _rows(a: Rows | GuardedRows) -> str:
    base, depth = render_expr(a.base), _step(a.depth_step, "k")
    match a:
        case Rows(batch=batch, row=row):
            place = _sum(base, _offset(batch, "t"), _offset(row, "m"), depth)
            return f"{a.buffer}@({place})"
        case GuardedRows(table=table, start=start, zeros=zeros):
            entry = f"{table}[{_sum(render_expr(start), 't, m')}]"
            return (
                f"{a.buffer}@({_sum(base, entry, depth)}) else {zeros}@({depth or 0})"
            )
        case _:
            assert_never(a)


def _columns(b: Columns) -> str:
    batch, depth = _offset(b.batch, "t"), _step(b.depth_step, "k")
    return f"{b.buffer}@({_sum(render_expr(b.base), batch, depth, 'n')})"


def _offset(offsets: Offsets, position: str) -> str:
    match offsets:
        case Strided(step):
            return _step(step, position)
        case Table(buffer, start):
            return f"{buffer}[{_sum(render_expr(start), position)}]"
        case _:
            assert_never(offsets)


def _step(step: int, position: str) -> str:
    if step in (0, 1):
        return position * step
    return f"{position}*{step}"


def _sum(*terms: str) -> str:
    return " + ".join(term for term in terms if term not in ("", "0")) or "0"


# Expressions


def _element(buffer: str, index: tuple[Expr, ...]) -> str:
    return f"{buffer}[{', '.join(map(render_expr, index))}]"


def _expr(expr: Expr) -> tuple[str, int]:
    """Return the text of *expr* and how tightly its outermost operator binds."""
    match expr:
        case Literal(value):
            text = str(value)
            return text, _PREFIX if text.startswith("-") else _ATOM
        case Var(name):
            return name, _ATOM
        case Load(buffer, index):
            return _element(buffer, index), _ATOM
        case Select(condition, then, otherwise):
            taken, test = _operand(then, 1), _operand(condition, 1)
            return f"{taken} if {test} else {_operand(otherwise, 0)}", _CHOICE
        case Cast(operand, dtype):
            return f"{dtype}({render_expr(operand)})", _ATOM
        case Call():
            return _call(expr)
        case _:
            assert_never(expr)


def _operand(expr: Expr, least: int) -> str:
    text, binding = _expr(expr)
    return text if binding >= least else f"({text})"


def _call(call: Call) -> tuple[str, int]:
    symbol = FUNCTIONS[call.function].symbol
    if not symbol:
        return f"{call.function}({', '.join(map(render_expr, call.arguments))})", _ATOM
    binding = _BINDING[call.function]
    if len(call.arguments) == 1:
        space = " " if symbol.isalpha() else ""
        return f"{symbol}{space}{_operand(call.arguments[0], binding)}", binding
    left, right = call.arguments
    # Comparisons do not chain here, and only a power binds to the right.
    tighter_left = binding in (_COMPARISON, _POWER)
    lhs = _operand(left, binding + tighter_left)
    rhs = _operand(right, binding + (binding != _POWER))
    return f"{lhs} {symbol} {rhs}", binding
