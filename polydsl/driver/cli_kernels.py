"""Finding kernels for the command line, and the commands that only read them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from polydsl.base.diagnostics import ArgumentError, PolydslError, ProgramError
from polydsl.base.quantities import count_text
from polydsl.driver.cli_output import Screen
from polydsl.driver.imports import standard_names
from polydsl.driver.kernel import Kernel
from polydsl.driver.kernel_module import KernelModule, library_of
from polydsl.driver.loading import load, load_standard
from polydsl.semantics.scope import suggest

_LIBRARY = "stdlib."


def open_module(name: str) -> KernelModule:
    """Return the kernels of a file, or of `stdlib.conv`."""
    if name.startswith(_LIBRARY) and not Path(name).is_file():
        return load_standard(name.removeprefix(_LIBRARY))
    return load(name)


def open_kernel(file: str, name: str) -> Kernel:
    """Return a kernel of a file by its name."""
    module = open_module(file)
    kernels = {kernel.name: kernel for kernel in module}
    if name in kernels:
        return kernels[name]
    hint = suggest(name, kernels) or f"it has {', '.join(kernels) or 'none'}"
    raise ArgumentError(f"{file} has no kernel {name}; {hint}")


def list_kernels(screen: Screen, file: str) -> None:
    """Print the kernels of a file: signatures and docstrings."""
    module = open_module(file)
    screen.diagnostics(library_of(module).warnings)
    blocks = [
        [Text(line) for line in _document(module.__doc__)],
        *([_signature(kernel), *_indented(kernel.__doc__)] for kernel in module),
    ]
    for number, block in enumerate(block for block in blocks if block):
        if number:
            screen.line("")
        for line in block:
            screen.line(line)


def list_library(screen: Screen) -> None:
    """Print the modules of the standard library with their kernels."""
    for name in standard_names():
        module = load_standard(name)
        names = ", ".join(kernel.name for kernel in module)
        heading = Text(f"{_LIBRARY}{name}", style="bold")
        screen.line(heading.append(f": {names}", style="not bold"))


def check_files(screen: Screen, files: Sequence[str]) -> bool:
    """Parse and type check files; print every error; return whether there is none."""
    is_right = True
    for file in files:
        try:
            module = open_module(file)
        except ProgramError as error:
            screen.diagnostics(error.diagnostics)
            count = len(error.diagnostics)
            screen.error(f"{file}: {count_text(count, 'error')}")
            is_right = False
        except PolydslError as error:
            screen.error(str(error))
            is_right = False
        else:
            screen.diagnostics(library_of(module).warnings)
            kernels = count_text(len(tuple(module)), "kernel")
            found = library_of(module).warnings
            more = f", {count_text(len(found), 'warning')}" if found else ""
            screen.line(f"{file}: {kernels}, no errors{more}")
    return is_right


def _signature(kernel: Kernel) -> Text:
    name, bracket, rest = kernel.signature.partition("(")
    return Text(name, style="bold").append(bracket + rest, style="not bold")


def _document(docstring: str | None) -> list[str]:
    return inspect.cleandoc(docstring or "").splitlines()


def _indented(docstring: str | None) -> Iterator[Text]:
    return (Text(f"    {line}".rstrip()) for line in _document(docstring))
