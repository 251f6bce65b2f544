"""The files of a kernel that is compiled ahead of time: object, header, library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from polydsl.base.diagnostics import PolydslError
from polydsl.driver.ahead import Ahead
from polydsl.driver.linker import Linking, link_shared

SUFFIXES = (".o", ".h", ".so")
"""What is added to the name that is asked for."""


@dataclass(frozen=True, slots=True)
class Files:
    """What was written. `library` is None where nothing could link it."""

    object_file: Path
    header: Path
    library: Path | None
    linking: Linking

    @property
    def written(self) -> tuple[Path, ...]:
        """All files that are there now."""
        last = () if self.library is None else (self.library,)
        return (self.object_file, self.header, *last)


def write_files(ahead: Ahead, path: Path) -> Files:
    """Write *path*.o, *path*.h and, where a linker is found, *path*.so.

    A path that ends in one of these means the same. Raises `PolydslError` where a file
    cannot be written.
    """
    stem = path.name
    if path.suffix in SUFFIXES and path.stem:
        stem = path.stem
    object_file, header, library = (path.with_name(stem + end) for end in SUFFIXES)
    _write(object_file, ahead.object_code)
    _write(header, ahead.header.encode())
    try:
        linking = link_shared(object_file, library)
    except OSError as error:
        raise PolydslError(_unwritable(library, error)) from error
    return Files(object_file, header, library if linking.linker else None, linking)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise PolydslError(_unwritable(path, error)) from error


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} cannot be written: {error.strerror}; -o names another place"
