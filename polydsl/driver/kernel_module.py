"""The kernels of one file as a Python module."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from types import ModuleType

from polydsl.base.diagnostics import Diagnostic
from polydsl.driver.kernel import Kernel
from polydsl.driver.shared import Shared
from polydsl.semantics.library import Library
from polydsl.semantics.scope import suggest


class KernelModule(Shared, ModuleType):
    """The kernels of one file, as attributes; `dir` and iteration have nothing else.

    `help` shows the file's docstring and the signatures of its kernels.
    """

    # Behind a mangled name, so that it never hides a kernel.
    __slots__ = ("__library",)

    def __init__(
        self,
        name: str,
        docstring: str | None,
        library: Library,
        file: str | None = None,
    ) -> None:
        super().__init__(name, docstring)
        self.__library = library
        if file is not None:
            self.__file__ = file
        self.__dict__.update({n: Kernel(library, n) for n in library.kernels})

    def __getattr__(self, name: str) -> Kernel:
        known = self.__library.kernels
        hint = suggest(name, known)
        more = f"; {hint}" if hint else ""
        raise AttributeError(f"{self.__name__} has no kernel {name}{more}")

    def __dir__(self) -> list[str]:
        return sorted(self.__library.kernels)

    def __iter__(self) -> Iterator[Kernel]:
        return (self.__dict__[name] for name in self.__library.kernels)

    def __repr__(self) -> str:
        names = ", ".join(self.__library.kernels) or "none"
        return f"<polydsl kernels of {self.__name__}: {names}>"

    # Not a property, which would hide a kernel of this name.
    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What the check of the file found that is no error."""
        return self.__library.warnings


def library_of(module: KernelModule) -> Library:
    """Return the checked kernels that a module shows."""
    # The name is mangled, so that no kernel can be called like it.
    library: Library = getattr(module, "_KernelModule__library")  # noqa: B009
    return library
