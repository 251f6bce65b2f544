"""The environment variables that polydsl reads, as one frozen value.

`Options.from_environment` is called once, by the driver, and its value is passed down
by name: nothing else reads the environment. `VARIABLES` describes every variable in
one line; the reference page and `polydsl doctor` are made from it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polydsl.base.providers import BUILT_IN, PROVIDER_NAMES


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: what it holds, what holds without it, what it does."""

    name: str
    value: str
    default: str
    meaning: str


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "POLYDSL_CACHE_DIR",
        "a folder",
        "`$XDG_CACHE_HOME/polydsl`, else `~/.cache/polydsl`",
        "Where compiled kernels and results of tuning are kept.",
    ),
    Variable(
        "XDG_CACHE_HOME",
        "an absolute path",
        "`~/.cache`",
        "The folder of caches; polydsl uses its subfolder `polydsl`.",
    ),
    Variable(
        "POLYDSL_ISA",
        "a row of the ISA table",
        "the best row that the CPU has",
        "Compiles for a lesser instruction set than the best: `avx2`, `generic`.",
    ),
    Variable(
        "POLYDSL_LIBXSMM",
        "the path of `libxsmm.so`",
        "the usual folders",
        "Where LIBXSMM is, a provider of microkernels.",
    ),
    Variable(
        "POLYDSL_MKL",
        "the path of `libmkl_rt.so`",
        "the package `mkl`, then the usual folders",
        "Where MKL is, a provider of microkernels.",
    ),
    Variable(
        "POLYDSL_DUMP",
        "stages, separated by commas",
        "none",
        "Prints the text of these stages on stderr for every kernel compiled.",
    ),
    Variable(
        "OMP_NUM_THREADS",
        "a positive integer",
        "the cores that this process may use",
        "How many threads a call uses that does not say `threads=`.",
    ),
    Variable(
        "NO_COLOR",
        "anything but nothing",
        "colour where the terminal has it",
        "Prints without colour.",
    ),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the environment asks for.

    `isa` is empty for the best one, `threads` is None for the cores there are. Names
    of ISA rows and of stages are checked where those tables are known. `libraries`
    are pairs of a microkernel provider and the path of its library.
    """

    cache_folder: Path
    isa: str = ""
    dump: tuple[str, ...] = ()
    threads: int | None = None
    color: bool = True
    libraries: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def from_environment(environ: Mapping[str, str]) -> Options:
        """Read the options from *environ*, usually `os.environ`."""
        return Options(
            cache_folder=_cache_folder(environ),
            isa=environ.get("POLYDSL_ISA", "").strip().lower(),
            dump=_words(environ.get("POLYDSL_DUMP", "")),
            threads=_threads(environ.get("OMP_NUM_THREADS", "")),
            color=not environ.get("NO_COLOR"),
            libraries=_libraries(environ),
        )


def _libraries(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    names = (name for name in PROVIDER_NAMES if name != BUILT_IN)
    given = ((name, environ.get(f"POLYDSL_{name.upper()}", "")) for name in names)
    return tuple((name, path) for name, path in given if path)


def _cache_folder(environ: Mapping[str, str]) -> Path:
    own = environ.get("POLYDSL_CACHE_DIR", "")
    if own:
        return Path(os.path.abspath(os.path.expanduser(own)))
    # The XDG specification says that a relative path is to be ignored.
    shared = environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):
        return Path(shared, "polydsl")
    home = environ.get("HOME", "") or os.path.expanduser("~")
    if os.path.isabs(home):
        return Path(home, ".cache", "polydsl")
    return Path(tempfile.gettempdir(), f"polydsl-{os.getuid()}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _threads(text: str) -> int | None:
    """The outermost level of OpenMP's list; what OpenMP would ignore is ignored."""
    first = text.split(",")[0].strip()
    if not (first.isascii() and first.isdigit()):
        return None
    return int(first) or None
