"""A kernel under elaboration, and what one run of the checker remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from polydsl.base.diagnostics import Diagnostic
from polydsl.base.dtypes import DType
from polydsl.semantics.calls import CallStatement, call_statement
from polydsl.semantics.instance import Instance
from polydsl.semantics.library import Library
from polydsl.semantics.typed import TypedKernel
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Elaboration:
    """A typed kernel, or None where it is wrong, and everything that was found."""

    kernel: TypedKernel | None
    findings: tuple[Diagnostic, ...]


@dataclass(slots=True)
class Session:
    """What has been typed in one run, and the kernels that are being typed."""

    done: dict[tuple[int, str, Instance], Elaboration] = field(default_factory=dict)
    active: list[tuple[int, str]] = field(default_factory=list)


Elaborate: TypeAlias = Callable[[Library, ast.Kernel, Instance, Session], Elaboration]


@dataclass(frozen=True, slots=True)
class Frame:
    """A kernel under elaboration, with what its header says.

    `elaborate` types a called kernel; it is given here because calls and kernels are
    elaborated by each other.
    """

    library: Library
    kernel: ast.Kernel
    session: Session
    elaborate: Elaborate
    variables: Mapping[str, DType]
    lead: int | None
    lead_sizes: tuple[str, ...]

    def call(self, statement: ast.Statement) -> CallStatement | None:
        """Return the kernel call that a statement is, if it is one."""
        return call_statement(statement, self.library.names())

    def calls(self) -> list[CallStatement]:
        """Return the kernel calls of the body, in order."""
        found = (self.call(statement) for statement in self.kernel.body)
        return [call for call in found if call is not None]
