"""The command `polydsl compile`: a kernel for programs in C, without Python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from polydsl.base.diagnostics import ArgumentError
from polydsl.driver.ahead import Ahead, compile_ahead, rows_named
from polydsl.driver.ahead_files import Files, write_files
from polydsl.driver.cli_input import Plan, plan
from polydsl.driver.cli_kernels import open_kernel
from polydsl.driver.cli_options import (
    Session,
    given_of,
    isa_option,
    kernel_arguments,
    words_of,
)
from polydsl.driver.cli_output import Fact
from polydsl.driver.kernel import Kernel
from polydsl.driver.request import Request
from polydsl.driver.settings import DEFAULTS
from polydsl.driver.toolchain import toolchain
from polydsl.semantics.scope import suggest


@click.command("compile")
@partial(
    kernel_arguments,
    isa=isa_option(
        "avx2,generic",
        "Rows of the ISA table, all in one object: the best that the CPU has runs. "
        "The one of this machine otherwise.",
    ),
)
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write PATH.o, PATH.h and PATH.so; the kernel's name otherwise.",
)
@click.option(
    "--name", metavar="NAME", help="The name in C; the kernel's name otherwise."
)
@click.pass_obj
def compile_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Compile a kernel ahead of time: an object, a C header, a shared library.

    The code needs neither Python nor this program. The header says how it is called.
    For tensors of --bind there is a function that packs them once.
    """
    screen = session.screen
    opened = open_kernel(file, kernel)
    wanted = plan(opened, given_of(words))
    settings = DEFAULTS.changed(
        words["ranker"], words["microkernel"], fuse=words["fuse"]
    )
    request = Request(
        opened.library,
        opened.name,
        wanted.layouts,
        wanted.constants,
        bound=_bound(opened, wanted, words_of(words["bound"])),
        preference=settings.preference,
    )
    rows = rows_named(words_of((isa or "",)))
    with screen.progress(f"compiling {kernel}"):
        ahead = compile_ahead(request, toolchain(), rows, words["name"] or "")
        files = write_files(ahead, words["output"] or Path(ahead.interface.symbol))
    screen.line(ahead.interface.symbol)
    screen.facts(_facts(ahead, files, wanted))


def _bound(kernel: Kernel, wanted: Plan, names: tuple[str, ...]) -> frozenset[str]:
    for name in names:
        if name not in wanted.layouts:
            known = ", ".join(wanted.layouts) or "none"
            hint = suggest(name, wanted.layouts) or f"it has {known}"
            raise ArgumentError(f"{kernel.name} has no tensor parameter {name}; {hint}")
    return frozenset(names)


def _facts(ahead: Ahead, files: Files, wanted: Plan) -> Iterator[Fact]:
    arguments = [f"{name}: {layout}" for name, layout in wanted.layouts.items()]
    constants = [f"{name}={value}" for name, value in wanted.constants.items()]
    yield "arguments", ", ".join((*arguments, *constants)) or "none"
    rows = ", ".join(isa.name for isa in ahead.isas)
    yield "code", f"{rows}; {len(ahead.object_code):,} bytes"
    yield "object", str(files.object_file)
    yield "header", str(files.header)
    if files.library is not None:
        yield "library", f"{files.library}, linked by {files.linking.linker}"
    else:
        yield "library", f"not made: {files.linking.reason}"
