"""Kernels from `.pdl` files, texts and the standard library, as modules."""

from __future__ import annotations

from pathlib import Path

from polydsl.base.source import Source
from polydsl.driver.imports import (
    LoadError,
    check_source,
    check_standard,
    read_file,
    standard_file,
    standard_names,
)
from polydsl.driver.kernel_module import KernelModule
from polydsl.semantics.scope import suggest


def load(path: str | Path) -> KernelModule:
    """Return the kernels of a `.pdl` file. Raises `ProgramError` and `LoadError`."""
    file = Path(path)
    module, library = check_source(Source(str(path), read_file(file)), file)
    return KernelModule(file.stem, module.docstring, library, str(path))


def loads(text: str, name: str = "<string>") -> KernelModule:
    """Return the kernels of a text in the `.pdl` language. Raises `ProgramError`."""
    module, library = check_source(Source(name, text), None)
    return KernelModule(name, module.docstring, library)


def load_standard(name: str) -> KernelModule:
    """Return a module of the standard library, such as `activation`.

    Raises `LoadError` where there is none of this name.
    """
    file = standard_file(name)
    if file is None:
        known = standard_names()
        hint = suggest(name, known) or f"it has {', '.join(known)}"
        raise LoadError(f"the standard library has no module {name}; {hint}")
    module, library = check_standard(file)
    return KernelModule(f"stdlib.{name}", module.docstring, library, str(file))
