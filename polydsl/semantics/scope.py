"""Which name is what in a kernel: sizes, constants, tensors and indices.

`build_scope` reads a kernel once, before any expression is looked at. A name is one
thing; what is nothing else is an index if it is ever used as one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.dtypes import DTYPES
from polydsl.base.functions import FUNCTIONS
from polydsl.base.source import Span
from polydsl.syntax import ast

Kind = Literal["size", "constant", "tensor", "index"]

ARTICLES: dict[Kind, str] = {
    "size": "a size",
    "constant": "a constant",
    "tensor": "a tensor",
    "index": "an index",
}

FUNCTION_NAMES = frozenset(
    (*(n for n, row in FUNCTIONS.items() if not row.is_operator), *DTYPES, "where")
)
"""What is called by its name in an expression: functions, casts and `where`."""

PARAMETERS_TAKEN = frozenset(("out", "threads"))
"""Names that a call uses itself, so that no parameter may have them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of one kernel. `places` says where each was first seen.

    `sizes` are bound by arguments; `definitions` are the size definitions.
    `mentioned` are the names used as an index somewhere: declared in a range, on the
    left of a statement, bound by a reduction, or inside a subscript. `conflicts` are
    reported already: they are two things.
    """

    kinds: Mapping[str, Kind]
    places: Mapping[str, Span]
    sizes: tuple[str, ...]
    definitions: Mapping[str, ast.Assign]
    constants: Mapping[str, ast.Constant]
    ranges: Mapping[str, ast.InRange]
    mentioned: frozenset[str]
    conflicts: frozenset[str]

    def kind(self, name: str) -> Kind:
        """Return what a name is; a name that is nothing else is an index."""
        return self.kinds.get(name, "index")

    def is_known(self, name: str) -> bool:
        """Whether a name is defined, or used as an index anywhere."""
        return name in self.kinds or name in self.mentioned


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean x?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def join_hints(*hints: str) -> str:
    """Join hints, leaving out those that are empty."""
    return "; ".join(hint for hint in hints if hint)


@dataclass(slots=True)
class _Names:
    """The names gathered so far, each with its kind and first place."""

    found: Diagnostics
    kinds: dict[str, Kind]
    places: dict[str, Span]
    conflicts: set[str]

    def add(self, name: ast.Name, kind: Kind) -> None:
        """Record a name; report it if it is something else already."""
        before = self.kinds.setdefault(name.name, kind)
        place = self.places.setdefault(name.name, name.span)
        if before != kind:
            self.conflicts.add(name.name)
            self.found.error(
                "E0102",
                f"{name.name} is {ARTICLES[before]} and {ARTICLES[kind]}",
                name.span,
                label=f"{ARTICLES[kind]} here, but {ARTICLES[before]} in line "
                f"{place.line}",
                hint="give one of the two another name",
            )


def build_scope(kernel: ast.Kernel, found: Diagnostics) -> Scope:
    """Find out what each name of a kernel is; report names that are two things."""
    names = _Names(found, {}, {}, set())
    _add_parameters(kernel, names)
    definitions = _size_definitions(kernel)
    sizes = _add_sizes(kernel, definitions, names)
    for target, statement in _written(kernel):
        if definitions.get(target.name) is statement:
            names.add(target, "size")
    _add_locals(kernel, definitions, names)
    ranges = _add_indices(kernel, names)
    _check_variables(kernel, names)
    mentioned = frozenset(name.name for name in _index_names(kernel))
    return Scope(
        names.kinds,
        names.places,
        sizes,
        definitions,
        {constant.name.name: constant for constant in kernel.constants},
        ranges,
        mentioned,
        frozenset(names.conflicts),
    )


def _add_parameters(kernel: ast.Kernel, names: _Names) -> None:
    pairs: list[tuple[ast.Name, Kind]] = []
    pairs += [(parameter.name, "tensor") for parameter in kernel.parameters]
    pairs += [(constant.name, "constant") for constant in kernel.constants]
    for name, kind in pairs:
        if name.name in PARAMETERS_TAKEN:
            names.found.error(
                "E0101",
                f"a parameter may not be called {name.name}",
                name.span,
                label=f"a call has its own {name.name}= argument",
                hint=f"choose another name, for example {name.name}_",
            )
        if name.name in names.kinds:
            names.found.error(
                "E0102",
                f"two parameters are called {name.name}",
                name.span,
                label="the second one",
                hint="give one of the two another name",
            )
            continue
        names.add(name, kind)


_SIZE_OPERATORS = frozenset(("+", "-", "*", "//", "%"))


def _is_size_expression(expr: ast.Expr) -> bool:
    """Whether an expression is made as a size expression is, whatever its names."""
    match expr:
        case ast.Number(value):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name():
            return True
        case ast.Unary(op, operand):
            return op in _SIZE_OPERATORS and _is_size_expression(operand)
        case ast.Binary(op, left, right):
            parts = (left, right)
            return op in _SIZE_OPERATORS and all(map(_is_size_expression, parts))
        case ast.Call("min" | "max", arguments):
            values = (argument.value for argument in arguments)
            return all(map(_is_size_expression, values))
        case _:
            return False


def _size_definitions(kernel: ast.Kernel) -> dict[str, ast.Assign]:
    """Find the statements `P = e` whose `e` holds only sizes, constants and integers.

    A name that is a tensor or an index makes the statement one about a scalar tensor;
    so does a second statement for the same name, or a declaration of it.
    """
    counts: dict[str, int] = {}
    candidates: dict[str, ast.Assign] = {}
    for target, statement in _written(kernel):
        counts[target.name] = counts.get(target.name, 0) + 1
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.target, ast.Name)
            and statement.op == "="
            and _is_size_expression(statement.value)
        ):
            candidates[target.name] = statement
    others = {parameter.name.name for parameter in kernel.parameters}
    others |= {name.name for name in _declared_indices(kernel)} - set(candidates)
    others |= set(counts) - set(candidates)
    others |= {name for name, count in counts.items() if count > 1}
    return _settle(candidates, others)


def _settle(
    candidates: dict[str, ast.Assign], others: set[str]
) -> dict[str, ast.Assign]:
    """Drop candidates that mention a tensor or an index, until none is left."""
    while True:
        kept = {
            name: statement
            for name, statement in candidates.items()
            if name not in others
            and not any(
                isinstance(node, ast.Name) and node.name in others
                for node in ast.walk(statement.value)
            )
        }
        if len(kept) == len(candidates):
            return kept
        others = others | (set(candidates) - set(kept))
        candidates = kept


def _written(kernel: ast.Kernel) -> Iterator[tuple[ast.Name, ast.Statement]]:
    """Yield the names that statements define or declare, with the statement."""
    for statement in kernel.body:
        match statement:
            case ast.Assign(ast.Name() as target):
                yield target, statement
            case ast.Assign(ast.Access(tensor, _, _, tensor_span)):
                yield ast.Name(tensor, tensor_span), statement
            case ast.MultiAssign(targets):
                for target in targets:
                    yield target, statement
            case ast.Declare(name):
                yield name, statement
            case _:
                pass


def _add_sizes(
    kernel: ast.Kernel, definitions: Mapping[str, ast.Assign], names: _Names
) -> tuple[str, ...]:
    """Record the sizes that parameters bind: bare names that are nothing else."""
    sizes: dict[str, None] = {}
    constants = {constant.name.name for constant in kernel.constants}
    for parameter in kernel.parameters:
        for dim in parameter.type.dims:
            if not isinstance(dim, ast.Name) or dim.name in constants:
                continue
            if dim.name not in definitions:
                names.add(dim, "size")
                sizes[dim.name] = None
    return tuple(sizes)


def _add_locals(
    kernel: ast.Kernel, definitions: Mapping[str, ast.Assign], names: _Names
) -> None:
    for target, statement in _written(kernel):
        if definitions.get(target.name) is not statement:
            names.add(target, "tensor")


def _add_indices(kernel: ast.Kernel, names: _Names) -> dict[str, ast.InRange]:
    """Record the names that can only be indices: in ranges and under reductions."""
    ranges: dict[str, ast.InRange] = {}
    for statement in kernel.body:
        if isinstance(statement, ast.InRange):
            names.add(statement.index, "index")
            if statement.index.name in ranges:
                first = ranges[statement.index.name]
                names.found.error(
                    "E0119",
                    f"the range of {statement.index.name} is declared twice",
                    statement.index.span,
                    label=f"first declared in line {first.span.line}",
                    hint="an index has one range in the whole kernel; "
                    "use another index name",
                )
            ranges.setdefault(statement.index.name, statement)
    left = set(map(id, _left_names(kernel).values()))
    for index in _declared_indices(kernel):
        # A size may stand on the left of a scatter, so there it is no conflict.
        if index.name not in names.kinds or id(index) not in left:
            names.add(index, "index")
    return ranges


def _values(kernel: ast.Kernel) -> Iterator[ast.Expr]:
    for statement in kernel.body:
        if isinstance(statement, ast.Assign):
            yield statement.value
            if isinstance(statement.target, ast.Access):
                yield statement.target
        elif isinstance(statement, ast.MultiAssign):
            yield statement.value


def _left_names(kernel: ast.Kernel) -> dict[str, ast.Name]:
    """Return the bare names among left-hand subscripts."""
    found: dict[str, ast.Name] = {}
    for statement in kernel.body:
        match statement:
            case ast.Assign(ast.Access(_, subscripts)):
                for subscript in subscripts:
                    if isinstance(subscript, ast.Name):
                        found.setdefault(subscript.name, subscript)
            case _:
                pass
    return found


def _declared_indices(kernel: ast.Kernel) -> Iterator[ast.Name]:
    """Yield the names in ranges, under reductions and alone on the left."""
    for statement in kernel.body:
        if isinstance(statement, ast.InRange):
            yield statement.index
    for expr in _values(kernel):
        for node in ast.walk(expr):
            if isinstance(node, ast.Reduce):
                yield from node.indices
    yield from _left_names(kernel).values()


def _index_names(kernel: ast.Kernel) -> Iterator[ast.Name]:
    """Yield names where they stand as an index does: some may be sizes after all."""
    yield from _declared_indices(kernel)
    for expr in _values(kernel):
        for node in ast.walk(expr):
            if isinstance(node, ast.Access):
                for subscript in ast.children(node):
                    yield from _names_outside_accesses(subscript)


def _names_outside_accesses(expr: ast.Expr) -> Iterator[ast.Name]:
    if isinstance(expr, ast.Name):
        yield expr
    elif not isinstance(expr, ast.Access):
        for child in ast.children(expr):
            yield from _names_outside_accesses(child)


def _check_variables(kernel: ast.Kernel, names: _Names) -> None:
    """A dtype variable may share the name of a size, but of nothing else."""
    for parameter in kernel.parameters:
        name, span = parameter.type.dtype, parameter.type.dtype_span
        kind = names.kinds.get(name, "size")
        if is_variable(name) and kind != "size":
            names.found.error(
                "E0102",
                f"{name} is {ARTICLES[kind]} and a dtype variable",
                span,
                label="a dtype variable here",
                hint="give one of the two another name",
            )


def is_variable(dtype: str) -> bool:
    """Whether the name of a dtype is a variable: it starts with a capital."""
    return dtype[:1].isupper()
