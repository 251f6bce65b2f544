"""Whether a copy holds a factor of a product: two expressions of the program, one.

A copy's value is an expression over the names of the copy, the factor one over the
dimensions of the statement; in a product both are forms of the same counters. The two
are compared node by node, as `verify_values` does, terms as forms at every point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polydsl.loops.verify_conditions import Condition
from polydsl.loops.verify_forms import Form
from polydsl.loops.verify_values import Source
from polydsl.semantics import program


@dataclass(frozen=True, slots=True)
class Comparison:
    """A copy's expressions, whose names `held` explains, and those of the program.

    `equal(left, right, message)` and `always(condition, message)` raise where something
    does not hold at every point, `differ(message)` at once; `name` is the copy's.
    """

    held: Source
    source: Source
    name: str
    equal: Callable[[Form, Form, str], None]
    always: Callable[[Condition, str], None]
    differ: Callable[[str], None]

    def values(self, have: program.Expr, want: program.Expr) -> None:
        """Raise unless a copied value is the wanted one; both accesses are padded, or
        never outside."""
        if isinstance(have, program.Pad) != isinstance(want, program.Pad):
            self._once_padded(have, want)
            return
        if have.dtype != want.dtype:
            self.differ(f"{self.name} holds {_label(want)} in another type")
        ours, theirs = self.held.form(have), self.source.form(want)
        if ours is not None and theirs is not None:
            self.equal(ours, theirs, f"{self.name} holds another term")
            return
        if _label(have) != _label(want):
            self.differ(f"{self.name} holds {_label(have)}, not {_label(want)}")
        if isinstance(have, program.Access) and isinstance(want, program.Access):
            self._access(have, want)
            return
        parts = program.children(have), program.children(want)
        if len(parts[0]) != len(parts[1]):
            self.differ(f"{self.name} holds another value")
        for ours_, theirs_ in zip(*parts):
            self.values(ours_, theirs_)

    def _access(self, have: program.Access, want: program.Access) -> None:
        for ours, theirs in zip(have.subscripts, want.subscripts, strict=True):
            left, right = self.held.form(ours), self.source.form(theirs)
            if left is None or right is None:
                # It depends on data: the same operations on the same elements.
                self.values(ours, theirs)
                continue
            message = f"{self.name} holds another element of {have.tensor}"
            self.equal(left, right, message)

    def _once_padded(self, have: program.Expr, want: program.Expr) -> None:
        padded, plain = (have, want) if isinstance(have, program.Pad) else (want, have)
        if not isinstance(padded, program.Pad) or padded.dtype != plain.dtype:
            self.differ(f"{self.name} is padded in another type")
            return
        source = self.held if padded is have else self.source
        message = f"padding of {padded.access.tensor} is read"
        self.always(source.inside(padded.access), message)
        inner = (padded.access, want) if padded is have else (have, padded.access)
        self.values(*inner)


def _label(expr: program.Expr) -> str:
    """Return what a node is, without its parts."""
    match expr:
        case program.Literal(value):
            # Text tells -0.0 from 0.0 and finds NaN equal to itself.
            return f"the number {value!r}"
        case program.Size(name):
            return f"the size {name}"
        case program.Index():
            return "an index"
        case program.Access(tensor):
            return tensor
        case program.Call(function):
            return f"a {function}"
        case program.Pad() | program.Select() | program.Cast():
            return type(expr).__name__.lower()
        case program.Reduce():
            return "a reduction"
