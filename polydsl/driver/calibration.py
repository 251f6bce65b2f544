"""Where the measured numbers of this machine are kept: a file beside the object cache.

`calibration.json` holds one entry for each CPU and ISA row that was calibrated, so that
a folder that several machines share serves each of them. A file that is damaged or of
another format, and numbers that do not fit, are as if they were not there; the note
says so. Numbers are part of the machine's identity: what was compiled under others is
compiled anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from polydsl.backend.cache import read_own, write_whole
from polydsl.backend.calibration.numbers import Numbers, fit, with_numbers
from polydsl.backend.target import Target, machine_of, processor
from polydsl.base.diagnostics import PolydslError
from polydsl.base.machine import Machine

FILE = "calibration.json"
FORMAT = 1

_Entries = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A machine, and whether its speeds are built in or measured, in words."""

    machine: Machine
    note: str


def calibrated_machine(folder: Path, target: Target) -> Calibrated:
    """Return this machine with the numbers that are kept in *folder*, if they are."""
    machine, path = machine_of(target), folder / FILE
    try:
        entries = _entries(path)
    except FileNotFoundError:
        return Calibrated(machine, "built in; polydsl doctor --calibrate measures")
    except (OSError, ValueError) as error:
        return Calibrated(machine, f"built in; {path} is ignored: {error}")
    numbers = entries.get(_name(target))
    if numbers is None:
        others = f"{path} is of another CPU or ISA row"
        return Calibrated(machine, f"built in; {others}")
    if not fit(machine, numbers):
        damaged = f"{path} is ignored: its numbers do not fit this machine"
        return Calibrated(machine, f"built in; {damaged}")
    return Calibrated(with_numbers(machine, numbers), f"measured; {path}")


def keep_numbers(folder: Path, target: Target, numbers: Numbers) -> Path:
    """Keep the numbers of this machine for *target*; return the file.

    Raises PolydslError where nothing can be written.
    """
    path = folder / FILE
    try:
        entries = _entries(path)
    except (OSError, ValueError):
        entries = {}
    entries[_name(target)] = dict(numbers)
    text = json.dumps({"format": FORMAT, "machines": entries}, indent=1)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, f"{text}\n".encode())
    except OSError as error:
        raise PolydslError(
            f"the calibration cannot be kept in {path}: {error.strerror}; "
            "POLYDSL_CACHE_DIR names another folder"
        ) from error
    return path


def forget_numbers(folder: Path) -> bool:
    """Remove the file of numbers; return whether there was one."""
    path = folder / FILE
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise PolydslError(f"{path} cannot be removed: {error.strerror}") from error
    return True


def _name(target: Target) -> str:
    return f"{processor()}, {target.isa.name}"


def _entries(path: Path) -> _Entries:
    """Return what the file holds; ValueError says what is wrong with it."""
    try:
        content = json.loads(read_own(path))
    except (ValueError, RecursionError) as error:
        raise ValueError("it is damaged") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    entries = content.get("machines")
    if not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
        raise ValueError("it is damaged")
    return entries


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in entry.values()
    )
