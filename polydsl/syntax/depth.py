"""The depth of expressions: later passes recurse over them, so it is bounded."""

from __future__ import annotations

from polydsl.base.diagnostics import Diagnostics
from polydsl.syntax import ast
from polydsl.syntax.words import MAX_DEPTH


def check_depth(expr: ast.Expr, found: Diagnostics) -> None:
    """Report *expr* if it has more than `MAX_DEPTH` levels."""
    pending = [(expr, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            found.error(
                "E0014",
                f"the expression has more than {MAX_DEPTH} levels",
                expr.span,
                label="every operator, call and access is a level",
                hint="give parts of it names of their own",
            )
            return
        pending.extend((child, depth + 1) for child in ast.children(node))
