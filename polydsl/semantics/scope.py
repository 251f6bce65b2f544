"""Which name is what in a kernel: sizes, constants, tensors and indices.

`build_scope` reads a kernel once, before any expression is looked at. A name is one
thing; what is nothing else is an index if it is ever used as one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.dtypes import DTYPES
from polydsl.base.functions import FUNCTIONS
from polydsl.base.source import Span
from polydsl.semantics.mentions import (
    declared_indices,
    index_names,
    left_names,
    size_definitions,
    written,
)
from polydsl.syntax import ast

Kind = Literal["size", "constant", "tensor", "index"]

ARTICLES: dict[Kind, str] = {
    "size": "a size",
    "constant": "a constant",
    "tensor": "a tensor",
    "index": "an index",
}

FUNCTION_NAMES = frozenset(
    (*(n for n, row in FUNCTIONS.items() if row.is_named), *DTYPES, "where")
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
    definitions = size_definitions(kernel)
    sizes = _add_sizes(kernel, definitions, names)
    for target, statement in written(kernel):
        if definitions.get(target.name) is statement:
            names.add(target, "size")
    _add_locals(kernel, definitions, names)
    ranges = _add_indices(kernel, names)
    _check_variables(kernel, names)
    mentioned = frozenset(name.name for name in index_names(kernel))
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
    for target, statement in written(kernel):
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
    left = set(map(id, left_names(kernel).values()))
    for index in declared_indices(kernel):
        # A size may stand on the left of a scatter, so there it is no conflict.
        if index.name not in names.kinds or id(index) not in left:
            names.add(index, "index")
    return ranges


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
