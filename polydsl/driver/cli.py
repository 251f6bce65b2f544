"""The command `polydsl`: what its words mean, and its exit codes.

Each command is a few lines: it reads its options and calls a function of the modules
beside this one. Exit codes: 0 done; 1 the program or the arguments are wrong; 2 usage;
3 a check failed; 70 a bug in polydsl.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from polydsl.base.diagnostics import PolydslError, ProgramError, VerificationError
from polydsl.base.options import Options
from polydsl.driver.cli_ahead import compile_command
from polydsl.driver.cli_compile import KERNEL_COMMANDS
from polydsl.driver.cli_doctor import (
    clear_cache,
    forget_calibration,
    measure_machine,
    report,
)
from polydsl.driver.cli_kernels import (
    check_files,
    list_kernels,
    list_library,
)
from polydsl.driver.cli_options import Session, force_isa, seconds_option
from polydsl.driver.cli_output import Screen

DONE, WRONG, USAGE, FAILED, BUG = 0, 1, 2, 3, 70
"""Exit codes. Those of click (2 for usage) agree."""

INTERRUPTED = 130
"""What shells give a command that was interrupted from the keyboard."""


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


@commands.command("doctor")
@click.option("--isa", metavar="ROW", help="As if only this row could be used.")
@click.option(
    "--calibrate",
    "is_calibrating",
    is_flag=True,
    help="Measure this machine and keep the numbers, to choose schedules by.",
)
@seconds_option(10.0, "How long --calibrate repeats its rounds.")
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
    force_isa(isa)
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


for command in (*KERNEL_COMMANDS, compile_command):
    commands.add_command(command)


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
