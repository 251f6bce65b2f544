"""The table of wrong and right programs of the checker, for tests and for the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from polydsl.base.diagnostics import ArgumentError, ProgramError
from polydsl.base.dtypes import DTYPES, DType
from polydsl.base.source import Source
from polydsl.semantics.check import check_module
from polydsl.semantics.program import Program, Value
from polydsl.semantics.specialize import specialize
from polydsl.semantics.verify import verify_program
from polydsl.syntax.parser import parse

TABLE = Path(__file__).with_name("check_errors.txt")

_CASE = re.compile(
    r"^==== (.*?)\n(.*?)^----\n(.*?)^\+\+\+\+ ?(.*?)\n(.*?)(?=^====|\Z)", re.M | re.S
)


@dataclass(frozen=True)
class Case:
    """A wrong program with the text of its errors, and a right one beside it."""

    name: str
    wrong: str
    wrong_arguments: str
    text: str
    right: str
    right_arguments: str

    @property
    def code(self) -> str:
        return self.name.split()[0]


def cases() -> list[Case]:
    """Read the table of the checker."""
    return read_cases(TABLE)


def read_cases(table: Path) -> list[Case]:
    """Read a table."""
    found = _CASE.findall(table.read_text(encoding="utf-8"))
    return [
        Case(
            name.partition("|")[0].strip(),
            wrong,
            name.partition("|")[2].strip(),
            text.rstrip("\n"),
            right,
            arguments.strip(),
        )
        for name, wrong, text, arguments, right in found
    ]


Arguments = tuple[dict[str, tuple[DType, tuple[int, ...]]], dict[str, Value]]


def read_arguments(text: str) -> Arguments:
    """Read `x=f32[3, 4], stride=2`: the tensors and the constants."""
    tensors: dict[str, tuple[DType, tuple[int, ...]]] = {}
    constants: dict[str, Value] = {}
    for name, value in re.findall(r"(\w+)=([-.\w]+(?:\[[^]]*\])?)", text):
        dtype, _, dims = value.rstrip("]").partition("[")
        if dtype in DTYPES:
            shape = tuple(int(dim) for dim in dims.split(",") if dim.strip())
            tensors[name] = DTYPES[dtype], shape
        elif value in ("True", "False"):
            constants[name] = value == "True"
        else:
            constants[name] = float(value) if "." in value else int(value)
    return tensors, constants


def typed(text: str, arguments: str) -> Program:
    """Check a file and specialise its last kernel."""
    library = check_module(parse(Source("k.pdl", text)))
    program = specialize(library, list(library.kernels)[-1], *read_arguments(arguments))
    verify_program(program)
    return program


def outcome(text: str, arguments: str) -> str:
    """Return the text of everything that is wrong with a program, or nothing."""
    try:
        library = check_module(parse(Source("k.pdl", text)))
        found = library.warnings
        if arguments.strip():
            typed(text, arguments)
    except ProgramError as error:
        found = error.diagnostics
    except ArgumentError as error:
        return f"ArgumentError: {error}"
    return "\n".join(finding.render() for finding in found)
