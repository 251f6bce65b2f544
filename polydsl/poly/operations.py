"""How many operations a scop asks for: what GFLOP/s are counted in.

The count is that of the statements as they are written, whatever the compiler makes of
them, so that two schedules of one kernel, or two compilers, can be compared.
"""

from __future__ import annotations

from polydsl.poly.scop import Scop, Statement
from polydsl.semantics.program import Access, Call, Expr, accesses, children

_FREE = frozenset(("pos", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"))
_COSTS = {"fma": 2, "clamp": 2}


def count_operations(scop: Scop) -> int:
    """Return the number of arithmetic operations of one run of a kernel.

    Each operator or function of elements counts one (`fma` and `clamp` two), and so
    does each element that a sum or another reduction takes in. Subscripts, conversions,
    comparisons and arithmetic on sizes alone count nothing. A product of M x K and
    K x N elements has 2*M*N*K operations; the points of a convolution that lie in
    its padding count as all others do, as is the custom.
    """
    return sum(_of_statement(statement) for statement in scop.statements)


def _of_statement(statement: Statement) -> int:
    combining = 1 if statement.combine is not None else 0
    return statement.points * (combining + _of_expr(statement.value))


def _of_expr(expr: Expr) -> int:
    match expr:
        case Access():
            return 0
        case Call(function) if function not in _FREE and any(accesses(expr)):
            cost = _COSTS.get(function, 1)
        case _:
            cost = 0
    return cost + sum(_of_expr(child) for child in children(expr))
