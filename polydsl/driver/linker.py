"""From an object to a shared library, by whatever linker the system has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LINKERS = ("cc", "gcc", "clang", "ld", "ld.lld")
"""Programs that link, in the order in which they are tried."""

REMEDY = (
    "install a C compiler or a linker (Debian: apt install gcc; Fedora: dnf install "
    "gcc; macOS: xcode-select --install)"
)
"""What to do where there is none."""

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Linking:
    """What came of it: the program that linked, or why there is no library."""

    linker: str = ""
    reason: str = ""


def link_shared(object_file: Path, library: Path) -> Linking:
    """Link an object into a shared library that needs no other.

    Without a program that can do it nothing is left at *library*: an older one would
    not be that of the object.
    """
    library.unlink(missing_ok=True)
    refusals: list[str] = []
    for program in _found():
        command = [program, *_options(Path(program).name, library), str(object_file)]
        failure = _failure(command)
        if not failure and library.is_file():
            return Linking(linker=program)
        library.unlink(missing_ok=True)
        refusals.append(f"{program} failed: {failure or 'it made no file'}")
    if refusals:
        return Linking(reason="; ".join(refusals))
    return Linking(reason=f"none of {', '.join(LINKERS)} was found; {REMEDY}")


def _found() -> Iterator[str]:
    for name in LINKERS:
        program = shutil.which(name)
        if program is not None:
            yield program


def _options(program: str, library: Path) -> tuple[str, ...]:
    """Return the options before the object. A relocation in the text is an error."""
    place = ("-o", str(library))
    if sys.platform == "darwin":
        return ("-shared", *place)
    if program.startswith("ld"):
        return ("-shared", "-soname", library.name, "-z", "text", *place)
    named = f"-Wl,-soname,{library.name}"
    return ("-shared", "-nostdlib", named, "-Wl,-z,text", *place)


def _failure(command: list[str]) -> str:
    """Run a linker; return what it says on its first line if it fails."""
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if not ran.returncode:
        return ""
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    return lines[0] if lines else f"exit code {ran.returncode}"
