"""What tuning found, on disk: one small JSON file for each specialisation and machine.

Files appear by renaming and so are whole or absent; one that cannot be read is left
alone, with a warning, and the model's own choice holds. A result file holds any number
of entries, to be carried to other machines with the same CPU.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polydsl.backend.cache_key import digest
from polydsl.backend.target import Target
from polydsl.base.diagnostics import PolydslError
from polydsl.driver.request import Request
from polydsl.schedule.point import Point
from polydsl.schedule.point_text import from_plain, to_plain

FORMAT = 1
"""The version of the files; others are not read."""


class TuningWarning(UserWarning):
    """A stored result of tuning cannot be used; the model's own choice is taken."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What tuning found for one specialisation on one kind of CPU.

    `points` are those that were better than the model's choice, by the subject of their
    decision. `before` and `after` are the best seconds of the model's choice and of the
    winner on `threads` threads. `kernel`, `arguments` and `machine` are for people.
    """

    key: str
    kernel: str
    arguments: str
    machine: str
    threads: int
    before: float
    after: float
    points: tuple[tuple[str, Point], ...]


def tuning_key(request: Request, target: Target) -> str:
    """Return the key of a specialisation, whatever was tuned before, on a CPU."""
    return digest((request.untuned().identity(), target.cpu, target.isa.name))


@dataclass(frozen=True, slots=True)
class TuningStore:
    """Entries in *folder*, each in a file of its own."""

    folder: Path

    def get(self, key: str) -> Entry | None:
        """Return the entry of a key; None where there is none that can be read."""
        path = self._path(key)
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            _warn(path, error)
            return None
        try:
            entry = _read_entry(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            _warn(path, error)
            return None
        if entry.key != key:
            _warn(path, "it belongs to another specialisation")
            return None
        return entry

    def put(self, entry: Entry) -> None:
        """Store an entry over the one there is. Raises `PolydslError`."""
        path = self._path(entry.key)
        text = json.dumps(_plain(entry), indent=1)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PolydslError(f"{self.folder} cannot be made: {error}") from None
        write_whole(path, text)

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry that can be read, in the order of kernels' names."""
        keys = [path.stem for path in self.folder.glob("*.json")]
        found = [entry for key in keys if (entry := self.get(key)) is not None]
        return tuple(sorted(found, key=lambda entry: (entry.kernel, entry.key)))

    def export_to(self, path: Path) -> int:
        """Write all entries into one file and return how many there are."""
        entries = self.entries()
        write_entries(path, entries)
        return len(entries)

    def import_from(self, path: Path) -> int:
        """Store the entries of a file and return how many there are.

        Raises `PolydslError` for a file that is damaged or of another format.
        """
        entries = tuple(read_entries(path))
        for entry in entries:
            self.put(entry)
        return len(entries)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _warn(path: Path, reason: object) -> None:
    message = f"{path}: this result of tuning is not used: {reason}"
    warnings.warn(message, TuningWarning, stacklevel=2)


def write_entries(path: Path, entries: Iterable[Entry]) -> None:
    """Write a result file."""
    content = {"format": FORMAT, "entries": [_plain(entry) for entry in entries]}
    write_whole(path, json.dumps(content, indent=1))


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a result file. Raises `PolydslError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise PolydslError(f"{path} cannot be read: {reason}") from None
    except ValueError as error:
        raise PolydslError(f"{path} is no file of tuning results: {error}") from None
    try:
        if content["format"] != FORMAT:
            found = content["format"]
            raise ValueError(f"its format is {found}, and {FORMAT} is understood")
        yield from [_read_entry(entry) for entry in content["entries"]]
    except (ValueError, KeyError, TypeError) as error:
        raise PolydslError(f"{path} is no file of tuning results: {error}") from None


def write_whole(path: Path, text: str) -> None:
    """Write a file under another name, then rename it. Raises `PolydslError`."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        reason = error.strerror or error
        raise PolydslError(f"{path} cannot be written: {reason}") from None


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "key": entry.key,
        "kernel": entry.kernel,
        "arguments": entry.arguments,
        "machine": entry.machine,
        "threads": entry.threads,
        "before": entry.before,
        "after": entry.after,
        "points": {subject: to_plain(point) for subject, point in entry.points},
    }


def _read_entry(content: Any) -> Entry:
    """Return an entry. Raises ValueError, KeyError and TypeError for others."""
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']}, not {FORMAT}")
    key = str(content["key"])
    if not (key.isascii() and key.isalnum()):
        raise ValueError("its key is no digest")
    points = {str(s): from_plain(p) for s, p in content["points"].items()}
    return Entry(
        key,
        str(content["kernel"]),
        str(content["arguments"]),
        str(content["machine"]),
        int(content["threads"]),
        float(content["before"]),
        float(content["after"]),
        tuple(sorted(points.items(), key=lambda entry: entry[0])),
    )
