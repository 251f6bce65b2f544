"""From a grammar rule and the nodes of its parts to a node: the table of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polydsl.base.source import Span
from polydsl.syntax import build_definitions as definitions
from polydsl.syntax import build_expressions as expressions
from polydsl.syntax.context import Children, Context

_RULES: dict[str, Callable[[Context, Span, Children], Any]] = {
    "module": definitions.module,
    "imports": definitions.several,
    "kernels": definitions.several,
    "docstring": definitions.docstring,
    "import_names": definitions.import_names,
    "dots": definitions.dots,
    "path": definitions.several,
    "kernel": definitions.kernel,
    "body": definitions.several,
    "signature": definitions.several,
    "parameter": definitions.parameter,
    "constant": definitions.constant,
    "results": definitions.results,
    "annotation": definitions.annotation,
    "quoted_annotation": definitions.quoted_annotation,
    "tensor_type": definitions.tensor_type,
    "dimensions": expressions.subscripts,
    "assign": definitions.assign,
    "target": definitions.target,
    "assign_operator": definitions.assign_operator,
    "multi_assign": definitions.multi_assign,
    "targets": definitions.several,
    "declare": definitions.declare,
    "in_range": definitions.in_range,
    "return_names": definitions.return_names,
    "conditional": expressions.conditional,
    "disjunction": expressions.disjunction,
    "conjunction": expressions.conjunction,
    "inversion": expressions.inversion,
    "comparison": expressions.comparison,
    "comparison_operator": expressions.comparison_operator,
    "binary": expressions.binary,
    "unary": expressions.unary,
    "number": expressions.number,
    "true": expressions.true,
    "false": expressions.false,
    "value": expressions.value,
    "group": expressions.group,
    "access": expressions.access,
    "reduce": expressions.reduce,
    "call": expressions.call,
    "arguments": expressions.arguments,
    "argument": expressions.argument,
    "keyword_argument": expressions.keyword_argument,
    "subscripts": expressions.subscripts,
    "ellipsis": expressions.ellipsis,
    "name": expressions.name,
}


def build_node(rule: str, context: Context, span: Span, children: Children) -> Any:
    """Return the node of *rule*: innermost rules first, each called once."""
    return _RULES[rule](context, span, children)
