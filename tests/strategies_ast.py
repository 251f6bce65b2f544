"""Random syntax trees for Hypothesis: every node, every form that has a text."""

from __future__ import annotations

from hypothesis import strategies as st

from polydsl.base.dtypes import DTYPES
from polydsl.base.functions import REDUCTIONS
from polydsl.base.source import Source, Span
from polydsl.syntax import ast

SPAN = Span(Source("random.pdl", ""), 0, 0)

names = st.sampled_from(
    ("x", "y", "W", "i", "j", "N", "kernel", "int", "out", "value", "a_1", "_")
)
functions = st.sampled_from(("exp", "max", "where", "f32", "other", "clamp", "kernel"))
dtypes = st.sampled_from((*DTYPES, "T", "float"))
name_nodes = names.map(lambda name: ast.Name(name, SPAN))
name_lists = st.lists(name_nodes, min_size=1, max_size=3).map(tuple)
ellipses = st.just(ast.Ellipsis(SPAN))

floats = st.one_of(
    st.floats(min_value=0, allow_nan=False),
    st.sampled_from((0.0, 1e-5, 0.5, 1e16, 1.5e300, 5e-324)),
)
numbers = st.one_of(
    st.integers(0, 9), st.integers(0, 2**64 - 1), floats, st.booleans()
).map(lambda value: ast.Number(value, SPAN))


def subscripts(
    exprs: st.SearchStrategy[ast.Expr], least: int = 1
) -> st.SearchStrategy[tuple[ast.Expr | ast.Ellipsis, ...]]:
    """Subscripts or dimensions; an ellipsis stands first, if anywhere."""
    plain = st.lists(exprs, min_size=least, max_size=3).map(tuple)
    led = st.tuples(ellipses, st.lists(exprs, max_size=2)).map(
        lambda pair: (pair[0], *pair[1])
    )
    return st.one_of(plain, led)


@st.composite
def arguments(
    draw: st.DrawFn, exprs: st.SearchStrategy[ast.Expr]
) -> tuple[ast.Argument, ...]:
    """Positional arguments, then keyword arguments of different names."""
    positional = draw(st.lists(exprs, max_size=2))
    keywords = draw(st.lists(names, max_size=2, unique=True))
    return (
        *(ast.Argument(None, value, SPAN) for value in positional),
        *(ast.Argument(name, draw(exprs), SPAN) for name in keywords),
    )


def _larger(exprs: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Expr]:
    arithmetic = st.sampled_from(("+", "-", "*", "/", "//", "%", "**", "and", "or"))
    comparisons = st.sampled_from(("==", "!=", "<", "<=", ">", ">="))
    return st.one_of(
        st.builds(ast.Access, names, subscripts(exprs), st.just(SPAN), st.just(SPAN)),
        st.builds(ast.Pad, exprs, st.none() | exprs, st.just(SPAN)),
        st.builds(ast.Unary, st.sampled_from(("-", "+", "not")), exprs, st.just(SPAN)),
        st.builds(ast.Binary, arithmetic, exprs, exprs, st.just(SPAN)),
        st.lists(st.tuples(comparisons, exprs), min_size=1, max_size=3).flatmap(
            lambda pairs: exprs.map(
                lambda first: ast.Compare(
                    tuple(op for op, _ in pairs),
                    (first, *(operand for _, operand in pairs)),
                    SPAN,
                )
            )
        ),
        st.builds(ast.Conditional, exprs, exprs, exprs, st.just(SPAN)),
        st.builds(ast.Call, functions, arguments(exprs), st.just(SPAN), st.just(SPAN)),
        st.builds(
            ast.Reduce, st.sampled_from(REDUCTIONS), name_lists, exprs, st.just(SPAN)
        ),
    )


expressions: st.SearchStrategy[ast.Expr] = st.recursive(
    st.one_of(name_nodes, numbers), _larger, max_leaves=12
)
small = st.recursive(st.one_of(name_nodes, numbers), _larger, max_leaves=3)

types = st.builds(
    ast.TensorType,
    dtypes,
    st.one_of(st.just(()), subscripts(small)),
    st.just(SPAN),
    st.just(SPAN),
)
targets = st.one_of(
    name_nodes,
    st.builds(ast.Access, names, subscripts(small), st.just(SPAN), st.just(SPAN)),
)
statements: st.SearchStrategy[ast.Statement] = st.one_of(
    st.builds(
        ast.Assign,
        targets,
        st.sampled_from(("=", "+=", "*=")),
        expressions,
        st.just(SPAN),
    ),
    st.builds(
        ast.MultiAssign,
        st.lists(name_nodes, min_size=2, max_size=3).map(tuple),
        expressions,
        st.just(SPAN),
    ),
    st.builds(ast.Declare, name_nodes, types, st.just(SPAN)),
    st.builds(ast.InRange, name_nodes, st.none() | small, small, st.just(SPAN)),
    st.builds(ast.Return, name_lists, st.just(SPAN)),
)

docstrings = st.none() | st.text(max_size=30) | st.text("\"'\\\n nx\t\r", max_size=12)
parameters = st.builds(
    ast.Parameter,
    name_nodes,
    types.filter(lambda t: t.dtype != "float"),
    st.just(SPAN),
)
constants = st.builds(
    ast.Constant,
    name_nodes,
    st.sampled_from(("int", "float", "bool")),
    st.none() | small,
    st.just(SPAN),
)


@st.composite
def kernels(draw: st.DrawFn) -> ast.Kernel:
    """A definition; its block has a docstring or a statement."""
    docstring = draw(docstrings)
    least = 1 if docstring is None else 0
    return ast.Kernel(
        draw(name_nodes),
        draw(st.lists(parameters, max_size=3).map(tuple)),
        draw(st.lists(constants, max_size=3).map(tuple)),
        draw(st.none() | st.lists(types, min_size=1, max_size=3).map(tuple)),
        docstring,
        draw(st.lists(statements, min_size=least, max_size=4).map(tuple)),
        SPAN,
    )


imports = st.builds(
    ast.Import,
    st.integers(0, 4),
    st.lists(names, min_size=1, max_size=3).map(tuple),
    name_lists,
    st.just(SPAN),
)
modules = st.builds(
    ast.Module,
    docstrings,
    st.lists(imports, max_size=2).map(tuple),
    st.lists(kernels(), max_size=2).map(tuple),
    st.just(SPAN),
)
