"""A kernel compiled ahead of time: from a request to an object and a C header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from polydsl.backend.ahead.interface import (
    Argument,
    Interface,
    Version,
    check_row_major,
    version_of,
)
from polydsl.backend.ahead.object import (
    makes,
    measured_target,
    object_code,
    portable_target,
)
from polydsl.backend.isa import ISAS, VectorISA, isa_named
from polydsl.backend.providers.table import foreign_symbols
from polydsl.backend.target import host_rows
from polydsl.base.diagnostics import ArgumentError, PolydslError, bug
from polydsl.base.providers import BUILT_IN
from polydsl.driver.c_header.header import Written, header_text
from polydsl.driver.c_header.names import checked_symbol
from polydsl.driver.calibration import calibrated_machine
from polydsl.driver.compiler import dumper
from polydsl.driver.request import Request
from polydsl.driver.stages import Compilation, compile_until
from polydsl.driver.toolchain import Toolchain
from polydsl.driver.tuning_store import tuning_key
from polydsl.loops.nest import contiguous
from polydsl.semantics.context import text_of
from polydsl.semantics.program import Program, Size, Value, walk
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class Ahead:
    """A compiled kernel as it goes into files."""

    interface: Interface
    isas: tuple[VectorISA, ...]
    object_code: bytes
    header: str


def rows_named(names: Sequence[str]) -> tuple[VectorISA, ...]:
    """Return rows of the ISA table by their names, best first.

    Raises `PolydslError` for a name that does not exist or that is no row of this kind
    of CPU.
    """
    for name in names:
        isa = isa_named(name)
        known = ", ".join(row.name for row in ISAS if makes(row))
        if isa is None:
            raise PolydslError(
                f"there is no ISA row called {name!r}; code is made for {known}"
            )
        if not makes(isa):
            raise PolydslError(
                f"the ISA row {name} is for CPUs of another architecture than this "
                f"one; code is made for {known}"
            )
    return tuple(row for row in ISAS if row.name in names)


def compile_ahead(
    request: Request,
    tools: Toolchain,
    isas: Sequence[VectorISA] = (),
    symbol: str = "",
) -> Ahead:
    """Compile a request for some rows, else for the one of this process.

    Arguments are row-major, whatever their layouts in the request. *symbol* is the name
    of the C function, that of the kernel if it is empty. Raises `ArgumentError`,
    `ProgramError`.
    """
    name = checked_symbol(symbol or request.kernel)
    if request.preference.microkernel not in ("", BUILT_IN):
        raise ArgumentError(
            "an object that is compiled ahead of time calls no library: leave out "
            f"the microkernel {request.preference.microkernel!r}"
        )
    rows = tuple(isas) or (tools.target.isa,)
    plain = _row_major(request)
    states = [_compiled(plain, tools, isa) for isa in rows]
    program = states[0].program
    if program is None:
        bug("the stages ended early")
    definition = _definition(request)
    interface = _interface(name, plain, program, definition)
    versions = [_version(interface, state) for state in states]
    header = header_text(interface, rows, _written(definition, program))
    return Ahead(interface, rows, object_code(interface, versions), header)


def _row_major(request: Request) -> Request:
    layouts = {
        name: replace(layout, strides=contiguous(layout.shape))
        for name, layout in request.arguments.items()
    }
    return replace(request.untuned(), arguments=layouts, results=())


def _compiled(request: Request, tools: Toolchain, isa: VectorISA) -> Compilation:
    """Return the nest for one row: as tuning left it, if it was tuned here."""
    measured = measured_target(isa)
    machine = calibrated_machine(tools.options.cache_folder, measured).machine
    plain = Compilation(request, machine, portable_target(isa))
    entry = None
    if isa in host_rows():
        entry = tools.tuning.get(tuning_key(request, measured))
    if entry is not None and entry.points:
        try:
            chosen = request.choosing(dict(entry.points))
            state = compile_until(replace(plain, request=chosen), "nest")
        except ArgumentError:
            # A result of another version of polydsl, whose schedules differ.
            return compile_until(plain, "nest", dumper(tools))
        if state.nest is not None and not foreign_symbols(state.nest):
            return state
    return compile_until(plain, "nest", dumper(tools))


def _version(interface: Interface, state: Compilation) -> Version:
    if state.nest is None:
        bug("the stages ended early")
    check_row_major(interface, state.nest)
    return version_of(state.nest, state.target)


def _definition(request: Request) -> ast.Kernel:
    found = request.library.find(request.kernel)
    if found is None:
        bug(f"no kernel {request.kernel}")
    return found[1]


def _interface(
    symbol: str, request: Request, program: Program, definition: ast.Kernel
) -> Interface:
    parameters = tuple(
        Argument(name, layout.dtype, layout.shape, is_bound=name in request.bound)
        for name, layout in request.arguments.items()
    )
    results = tuple(
        Argument(name, program.tensor(name).dtype, program.extents(name), True)
        for name in program.results
    )
    sizes = dict(_sizes(program, definition))
    return Interface(symbol, (*parameters, *results), tuple(sizes.items()))


def _sizes(program: Program, definition: ast.Kernel) -> Iterator[tuple[str, Value]]:
    """Yield the sizes that arguments bind, and the constants."""
    binding = dict(program.binding)
    worked_out = {
        statement.target.name
        for statement in definition.body
        if isinstance(statement, ast.Assign) and isinstance(statement.target, ast.Name)
    }
    for parameter in program.parameters:
        for dim in program.tensor(parameter).shape:
            for node in walk(dim):
                if isinstance(node, Size) and node.name not in worked_out:
                    yield node.name, binding[node.name]
    for constant in definition.constants:
        yield constant.name.name, binding[constant.name.name]


def _written(definition: ast.Kernel, program: Program) -> Written:
    """Return what the user wrote about the kernel."""
    types = {p.name.name: text_of(p.type.span) for p in definition.parameters}
    declared = definition.results or ()
    types.update(
        {name: text_of(kind.span) for name, kind in zip(program.results, declared)}
    )
    floats = frozenset(c.name.name for c in definition.constants if c.type == "float")
    return Written(definition.docstring or "", types, floats)
