"""The checked kernels of one file, with those that it may call from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polydsl.base.diagnostics import Diagnostic
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A kernel of another file: its name there, and that file's library."""

    kernel: str
    library: Library


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """A file's own kernels by name, and the imported ones by the name they have here.

    `warnings` are what the check of the file found that is no error.
    """

    kernels: Mapping[str, ast.Kernel]
    imports: Mapping[str, Imported] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()

    def names(self) -> frozenset[str]:
        """Return the names of the kernels that may be called in this file."""
        return frozenset((*self.kernels, *self.imports))

    def find(self, name: str) -> tuple[Library, ast.Kernel] | None:
        """Return a kernel in scope with the library in which its body is read."""
        if name in self.kernels:
            return self, self.kernels[name]
        found = self.imports.get(name)
        return None if found is None else found.library.find(found.kernel)
