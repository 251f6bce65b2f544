"""The command `polydsl`: what its words mean, and its exit codes.

Each command is a few lines: it reads its options and calls a function of the modules
beside this one. Exit codes: 0 done; 1 the program or the arguments are wrong; 2 usage;
3 a check failed; 70 a bug in polydsl.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from polydsl.base.diagnostics import PolydslError, ProgramError, VerificationError
from polydsl.base.options import Options
from polydsl.driver.cli_bench import BenchOptions, bench_kernel
from polydsl.driver.cli_doctor import (
    clear_cache,
    forget_calibration,
    measure_machine,
    report,
)
from polydsl.driver.cli_input import fill, plan
from polydsl.driver.cli_kernels import (
    check_files,
    list_kernels,
    list_library,
    open_kernel,
)
from polydsl.driver.cli_options import given_of, kernel_arguments, words_of
from polydsl.driver.cli_output import Screen
from polydsl.driver.cli_run import RunOptions, run_kernel
from polydsl.driver.kernel import Kernel
from polydsl.driver.specialization import Specialization
from polydsl.driver.stages import STAGE_NAMES

DONE, WRONG, USAGE, FAILED, BUG = 0, 1, 2, 3, 70
"""Exit codes. Those of click (2 for usage) agree."""

INTERRUPTED = 130
"""What shells give a command that was interrupted from the keyboard."""


@dataclass(slots=True)
class Session:
    """What all commands share. `--traceback` is noted here for the end."""

    screen: Screen
    shows_traceback: bool = False


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="polydsl", message="polydsl %(version)s")
@click.option(
    "--traceback", is_flag=True, help="Show the traceback of a bug in polydsl."
)
@click.pass_obj
def commands(session: Session, *, traceback: bool) -> None:
    """Compile layers written as index formulas to fast native code.

    FILE is a .pdl file, or a module of the standard library: stdlib.conv.
    """
    session.shows_traceback = traceback


def _force_isa(isa: str | None) -> None:
    """Ask for an ISA row before anything is compiled: the option of one process."""
    if isa:
        os.environ["POLYDSL_ISA"] = isa


@commands.command("list")
@click.argument("file", required=False)
@click.pass_obj
def list_command(session: Session, file: str | None) -> None:
    """Show kernels with signatures and docstrings.

    Without FILE, the modules of the standard library.
    """
    if file is None:
        list_library(session.screen)
    else:
        list_kernels(session.screen, file)


@commands.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def check_command(session: Session, files: tuple[str, ...]) -> int:
    """Parse and type check files; every error with its place."""
    return DONE if check_files(session.screen, files) else WRONG


@commands.command("run")
@kernel_arguments
@click.option(
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.npy",
    help="Save a result; one -o for each, in the order of return.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads of a call."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    metavar="S",
    default=1.0,
    show_default=True,
    help="How long to repeat the call for its best time.",
)
@click.option(
    "--random",
    "distribution",
    type=click.Choice(["normal", "uniform"]),
    default="normal",
    show_default=True,
    help="Random floats: standard normal, or uniform from 0 to 1.",
)
@click.option(
    "--check/--no-check",
    "is_checked",
    default=True,
    help="Compare the results with the oracle (the default).",
)
@click.pass_obj
def run_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Run a kernel: time, GFLOP/s, % of peak, checked against the oracle.

    NAME=VALUE gives an input: x=x.npy, a number for a scalar, or a spec such as
    x=f32[64,32]. Inputs that are not given are random, with the sizes of --size.
    """
    _force_isa(isa)
    options = RunOptions(
        outputs=words["outputs"],
        bound=words_of(words["bound"]),
        threads=words["threads"],
        seconds=words["seconds"],
        distribution=words["distribution"],
        is_checked=words["is_checked"],
    )
    run_kernel(session.screen, _opened(file, kernel, words), given_of(words), options)


@commands.command("explain")
@kernel_arguments
@click.pass_obj
def explain_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Show the chosen schedule, why it was chosen, and what was rejected."""
    _force_isa(isa)
    special = _specialized(session, _opened(file, kernel, words), words)
    session.screen.text(special.explain())


@commands.command("emit")
@kernel_arguments
@click.option(
    "--stage",
    type=click.Choice(STAGE_NAMES),
    default="nest",
    show_default=True,
    help="The stage whose text is shown.",
)
@click.pass_obj
def emit_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Show the text of a compiler stage."""
    _force_isa(isa)
    special = _specialized(session, _opened(file, kernel, words), words)
    text = special.emit(words["stage"])
    session.screen.text(text if text.endswith("\n") else f"{text}\n")


def _opened(file: str, name: str, words: Mapping[str, Any]) -> Kernel:
    """Return the kernel, to be compiled as the options say."""
    kernel = open_kernel(file, name)
    return kernel.configure(ranker=words["ranker"], microkernel=words["microkernel"])


def _specialized(
    session: Session, kernel: Kernel, words: Mapping[str, Any]
) -> Specialization:
    wanted = plan(kernel, given_of(words))
    names = words_of(words["bound"])
    if names:
        arrays = fill(wanted)
        kernel = kernel.bind(**{n: arrays[n] for n in names if n in arrays})
    specs = [str(a) for n, a in wanted.layouts.items() if n not in names]
    with session.screen.progress(f"compiling {kernel.name}"):
        return kernel.specialize(*specs, **wanted.constants)


@commands.command("bench")
@kernel_arguments
@click.option(
    "--against",
    multiple=True,
    default=("torch",),
    metavar="torch,libxsmm,mkl",
    help="Peers: PyTorch, or this kernel with the microkernels of a library.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads of a call."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    metavar="S",
    default=2.0,
    show_default=True,
    help="How long all sides together run.",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_obj
def bench_command(
    session: Session, /, file: str, kernel: str, isa: str | None, **words: Any
) -> None:
    """Time a kernel beside PyTorch and library microkernels.

    All run in one process and take turns with each other and with a probe of the
    machine's peak; the best of many rounds counts. The ratio is the time of a side over
    that of the kernel as it is compiled.
    """
    _force_isa(isa)
    options = BenchOptions(
        against=words_of(words["against"]),
        bound=words_of(words["bound"]),
        threads=words["threads"],
        seconds=words["seconds"],
        is_json=words["is_json"],
    )
    bench_kernel(session.screen, _opened(file, kernel, words), given_of(words), options)


@commands.command("doctor")
@click.option("--isa", metavar="ROW", help="As if only this row could be used.")
@click.option(
    "--calibrate",
    "is_calibrating",
    is_flag=True,
    help="Measure this machine and keep the numbers, to choose schedules by.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    metavar="S",
    default=10.0,
    show_default=True,
    help="How long --calibrate repeats its rounds.",
)
@click.option(
    "--forget-calibration",
    "is_forgetting",
    is_flag=True,
    help="Go back to the numbers that are built in.",
)
@click.pass_obj
def doctor_command(
    session: Session,
    *,
    isa: str | None,
    is_calibrating: bool,
    seconds: float,
    is_forgetting: bool,
) -> None:
    """Show the machine, its measured peak, the cache, and what is missing."""
    _force_isa(isa)
    if is_calibrating and is_forgetting:
        raise click.UsageError("--calibrate or --forget-calibration, not both")
    if is_calibrating:
        measure_machine(session.screen, seconds)
    elif is_forgetting:
        forget_calibration(session.screen)
    else:
        report(session.screen)


@commands.group("cache")
def cache_command() -> None:
    """Look after the folder of compiled kernels."""


@cache_command.command("clear")
@click.pass_obj
def clear_command(session: Session) -> None:
    """Remove all compiled kernels."""
    clear_cache(session.screen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = Options.from_environment(os.environ)
    session = Session(Screen.of_process(color=options.color))
    try:
        result = commands.main(
            args=None if arguments is None else list(arguments),
            prog_name="polydsl",
            standalone_mode=False,
            obj=session,
        )
    except BrokenPipeError:
        # Who reads the output has seen enough; nothing may be flushed at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except BaseException as error:
        return _failed(session, error)
    return result if isinstance(result, int) else DONE


def _failed(session: Session, error: BaseException) -> int:
    """Say what went wrong and return the exit code."""
    screen = session.screen
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            screen.error("interrupted")
            return INTERRUPTED
        case ProgramError():
            screen.diagnostics(error.diagnostics)
            return WRONG
        case VerificationError():
            screen.error(str(error))
            return FAILED
        case PolydslError():
            screen.error(str(error))
            return WRONG
        case MemoryError():
            screen.error(f"there is not enough memory: {error or 'no more is free'}")
            return WRONG
        case _:
            return _bug(session, error)


def _bug(session: Session, error: BaseException) -> int:
    if session.shows_traceback:
        session.screen.err.print(
            "".join(traceback.format_exception(error)), markup=False
        )
    session.screen.error(
        f"this is a bug in polydsl, not in your program: {type(error).__name__}: "
        f"{error}\nPlease report it to the project, with this command, the file, and "
        "what it prints with --traceback:\n"
        "  polydsl --traceback COMMAND ..."
    )
    return BUG


if __name__ == "__main__":
    sys.exit(main())
