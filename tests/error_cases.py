"""Wrong and right programs of every code: the cases of two files, and running them.

`check_errors.txt` holds those of the checker; `documented_errors.txt` the others, with
several files in a program, programs in Python, and errors of all later stages.
`python tests/error_cases.py` writes the texts of the latter anew, for review.
"""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from check_cases import Case, cases, read_arguments, read_cases

from polydsl.backend.arrays import ArrayLayout
from polydsl.base.diagnostics import ProgramError
from polydsl.driver.compiler import begin
from polydsl.driver.loading import load
from polydsl.driver.request import Request
from polydsl.driver.stages import compile_until
from polydsl.driver.toolchain import toolchain
from polydsl.loops.nest import contiguous

DOCUMENTED = Path(__file__).with_name("documented_errors.txt")

WITHOUT_CASE = {
    "E0317": "A subscript such as `x[(7*(i // 3) + 5*(j % 7)) % N]` asks for more "
    "steps of the proof than there is time for, and has more than 20 million points to "
    "be looked at one by one. No small program is known for which both holds. Put "
    "right, a subscript nests fewer `//` and `%`, or the access stands in `pad(...)`.",
    "E0426": "More than 40 files import from one another in a row. Put right, a file "
    "imports what it needs from where that is defined.",
}
"""Codes without a program, with what the page of errors says instead."""


def documented_cases() -> list[Case]:
    """Return the cases of `documented_errors.txt`."""
    return read_cases(DOCUMENTED)


def all_cases() -> list[Case]:
    """Return every case, by code."""
    return sorted([*cases(), *documented_cases()], key=lambda case: case.code)


def is_python(case: Case) -> bool:
    return "python" in case.name.split()


def outcome(case: Case, text: str, arguments: str) -> str:
    """Return what is wrong with a program that may have several files, or nothing."""
    python = is_python(case)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for file, content in files_of(text, "k.py" if python else "k.pdl"):
            (folder / file).write_text(content, encoding="utf-8")
        try:
            if python:
                runpy.run_path(str(folder / "k.py"))
            else:
                is_run = "reference" in case.name.split()
                _specialize(folder / "k.pdl", arguments, is_run=is_run)
        except ProgramError as error:
            return (
                str(error).replace(f"{folder}/", "").replace(str(folder), "its folder")
            )
    return ""


def files_of(text: str, first: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a program with their names."""
    start, *others = text.split("\n>>>> ")
    yield first, start
    for other in others:
        name, _, content = other.partition("\n")
        yield name.strip(), content


def _specialize(path: Path, arguments: str, *, is_run: bool) -> None:
    """Compile the last kernel of a file, or run it in the oracle."""
    *_, kernel = load(path)
    if not arguments:
        return
    tensors, constants = read_arguments(arguments)
    if is_run:
        arrays = {n: np.zeros(shape, t.numpy) for n, (t, shape) in tensors.items()}
        kernel.reference(**arrays, **constants)
        return
    layouts = {
        name: ArrayLayout(dtype, shape, contiguous(shape))
        for name, (dtype, shape) in tensors.items()
    }
    request = Request(kernel.library, kernel.name, layouts, constants)
    compile_until(begin(request, toolchain()), "nest")


def rewrite() -> None:
    """Write the texts of the wrong programs into the file."""
    text = DOCUMENTED.read_text(encoding="utf-8")
    head = text[: text.index("==== ")]
    parts = [head]
    for case in documented_cases():
        found = outcome(case, case.wrong, case.wrong_arguments)
        wrong = f" | {case.wrong_arguments}" if case.wrong_arguments else ""
        right = f" {case.right_arguments}" if case.right_arguments else ""
        parts.append(f"==== {case.name}{wrong}\n{case.wrong}----\n{found}\n")
        parts.append(f"++++{right}\n{case.right}")
    DOCUMENTED.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
