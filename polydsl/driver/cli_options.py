"""The options that commands share, and words such as `--size N=1,C=64` as values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from polydsl.base.dtypes import DTYPES, DType
from polydsl.driver.cli_input import Given, read_number
from polydsl.driver.cli_output import Screen
from polydsl.semantics.program import Value

LEAD = "..."
"""The name under which `--size` gives the leading dimensions."""

Reader = Callable[[str, str], Any]
F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Pairs = tuple[tuple[str, Any], ...]


@dataclass(slots=True)
class Session:
    """What all commands share. `--traceback` is noted here for the end."""

    screen: Screen
    shows_traceback: bool = False


def force_isa(isa: str | None) -> None:
    """Ask for an ISA row before anything is compiled: the option of one process."""
    if isa:
        os.environ["POLYDSL_ISA"] = isa


def _pairs(read: Reader, example: str, separator: str | None) -> Callable[[str], Pairs]:
    """Return what reads `NAME=VALUE`, several of them where there is a separator."""

    def convert(text: str) -> Pairs:
        words = text.split(separator) if separator else [text]
        return tuple(_pair(word.strip(), read, example) for word in words)

    convert.__name__ = example
    return convert


def _pair(word: str, read: Reader, example: str) -> tuple[str, Any]:
    name, equals, text = (part.strip() for part in word.partition("="))
    if not (equals and text and (name.isidentifier() or name == LEAD)):
        raise click.BadParameter(f"{word!r} is not of the form {example}")
    try:
        return name, read(name, text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _size(name: str, text: str) -> int | tuple[int, ...]:
    parts = text.split("x") if name == LEAD else [text]
    try:
        numbers = tuple(int(part) for part in parts)
    except ValueError:
        raise ValueError(f"{name}={text}: sizes are integers") from None
    return numbers if name == LEAD else numbers[0]


def _constant(name: str, text: str) -> Value:
    return read_number(text, name)


def _dtype(name: str, text: str) -> DType:
    if text not in DTYPES:
        raise ValueError(f"{name}={text}: the dtypes are {', '.join(DTYPES)}")
    return DTYPES[text]


def _input(name: str, text: str) -> str:
    return text


SIZES = _pairs(_size, "N=64", ",")
CONSTANTS = _pairs(_constant, "stride=2", ",")
DTYPE_NAMES = _pairs(_dtype, "T=f64", ",")
INPUTS = _pairs(_input, "x=x.npy", None)


def isa_option(metavar: str, explanation: str) -> Callable[[F], F]:
    """Return the option `--isa`."""
    return click.option("--isa", metavar=metavar, help=explanation)


LESSER_ISA = isa_option(
    "ROW", "Compile for a lesser row of the ISA table: avx2, generic."
)
"""The option of commands that run on this machine."""


def kernel_arguments(
    function: F, *, required: bool = True, isa: Callable[[F], F] = LESSER_ISA
) -> F:
    """Add what every command about one kernel and its arguments takes."""
    decorators = (
        click.argument("file", required=required),
        click.argument("kernel", required=required),
        click.argument("inputs", nargs=-1, type=INPUTS, metavar="[NAME=VALUE]..."),
        click.option(
            "--size",
            "sizes",
            multiple=True,
            type=SIZES,
            metavar="N=1,C=64",
            help="Sizes by name; ...=2x3 gives the leading dimensions.",
        ),
        click.option(
            "--set",
            "constants",
            multiple=True,
            type=CONSTANTS,
            metavar="stride=2",
            help="Values of constants.",
        ),
        click.option(
            "--dtype",
            "dtypes",
            multiple=True,
            type=DTYPE_NAMES,
            metavar="T=f64",
            help="Dtypes of dtype variables; f32 otherwise.",
        ),
        click.option(
            "--bind",
            "bound",
            multiple=True,
            metavar="w,b",
            help="Tensors known once and for all, packed before the first call.",
        ),
        isa,
        click.option(
            "--ranker",
            metavar="NAME",
            help="Who orders the schedules: reuse, polyrank, pairwise-net.",
        ),
        click.option(
            "--microkernel",
            metavar="NAME",
            help="Who provides the innermost loops: llvm, libxsmm, mkl.",
        ),
        click.option(
            "--fuse",
            metavar="HOW",
            help="How far statements are fused: none, elementwise, all.",
        ),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


RESULT_FILE = click.Path(path_type=Path, dir_okay=False)
"""A file of tuning results."""

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads of a call."
)
"""The option of commands that run a kernel."""

tune_option = click.option(
    "--tune",
    type=click.FloatRange(min=0),
    metavar="S",
    help="Measure schedules for so many seconds, unless that was done before.",
)
"""The option of commands that compile a kernel."""


def seconds_option(default: float, explanation: str) -> Decorator:
    """Return the option `--seconds S` of a command that measures."""
    return click.option(
        "--seconds",
        type=click.FloatRange(min=0),
        metavar="S",
        default=default,
        show_default=True,
        help=explanation,
    )


def words_of(values: Sequence[str]) -> tuple[str, ...]:
    """Return the words of an option that may hold several, separated by commas."""
    return tuple(w.strip() for v in values for w in v.split(",") if w.strip())


def given_of(words: Mapping[str, Any]) -> Given:
    """Return what the options of a command say about a kernel's arguments."""
    sizes = _merged(words["sizes"], "--size")
    lead = sizes.pop(LEAD, None)
    return Given(
        sizes,
        lead,
        _merged(words["constants"], "--set"),
        _merged(words["dtypes"], "--dtype"),
        _merged(words["inputs"], "NAME=VALUE"),
    )


def _merged(groups: tuple[Pairs, ...], option: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, value in (pair for group in groups for pair in group):
        if merged.setdefault(name, value) != value:
            raise click.UsageError(f"{option} gives {name} twice")
    return merged
