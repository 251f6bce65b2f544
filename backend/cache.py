"""The object cache: compiled kernels on disk, one file for each specialisation.

An entry holds object code and a payload of bytes with which the driver skips the
earlier stages. Object code that is damaged *loads* and then crashes, so every file
carries a SHA-256 of its content and the key it was made for, and its owner and mode
are checked before it is read. Whatever is wrong with an entry, or with the folder, is
a miss and never an error. Files appear by `rename` and so are whole or absent; any
number of processes may use one folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"polydsl object 1"
_DIGEST = hashlib.sha256().digest_size
_LENGTH = 8
_SUFFIX = ".object"
_UNFINISHED = ".unfinished"
_ABANDONED_SECONDS = 3600.0

DEFAULT_LIMIT_BYTES = 512 << 20
"""How many bytes of entries are kept where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What is kept for one specialisation: object code and the driver's payload."""

    object_code: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """The state of a cache. `problem` says why nothing can be stored, if so."""

    folder: Path
    entries: int
    bytes: int
    limit_bytes: int
    problem: str


@dataclass(frozen=True, slots=True)
class ObjectCache:
    """Compiled kernels in *folder*, at most *limit_bytes* of them."""

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    def get(self, key: str) -> CacheEntry | None:
        """Return what was stored under *key*, or None; an entry found is now young."""
        path = self._path(key)
        try:
            content = read_own(path)
            entry = _unpack(key, content)
        except (OSError, MemoryError):
            return None
        if entry is not None:
            _touch(path)
        return entry

    def put(self, key: str, object_code: bytes, payload: bytes = b"") -> bool:
        """Store an entry; return whether it is there now. Old entries may go."""
        content = _pack(key, object_code, payload)
        if len(content) > self.limit_bytes:
            return False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(key), content)
        except OSError:
            return False
        self._evict()
        return True

    def clear(self) -> int:
        """Remove every entry; return how many there were."""
        old = [file for file in self._files() if not file.is_being_written]
        return sum(_remove(file.path) and not file.is_unfinished for file in old)

    def statistics(self) -> CacheStatistics:
        """Count what is there, and say why storing fails, if it does."""
        entries = [found for found in self._files() if not found.is_unfinished]
        return CacheStatistics(
            self.folder,
            len(entries),
            sum(found.bytes for found in entries),
            self.limit_bytes,
            self._problem(),
        )

    def _path(self, key: str) -> Path:
        # Hashing once more keeps any text a file name, whoever made the key.
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / f"{name}{_SUFFIX}"

    def _files(self) -> Iterator[_File]:
        """The cache's own files, entries and unfinished ones; nobody else's."""
        try:
            with os.scandir(self.folder) as listing:
                names = [e for e in listing if e.name.endswith((_SUFFIX, _UNFINISHED))]
        except OSError:
            return
        for name in names:
            try:
                facts = name.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(facts.st_mode):
                yield _File(Path(name.path), facts.st_size, facts.st_mtime)

    def _evict(self) -> None:
        """Remove the entries not used for longest until the rest is in the limit."""
        found = sorted(self._files(), key=lambda file: file.used)
        total = sum(file.bytes for file in found)
        for file in found:
            if file.is_being_written:
                continue
            if file.is_unfinished or total > self.limit_bytes:
                _remove(file.path)
                total -= file.bytes

    def _problem(self) -> str:
        """Why an entry cannot be stored, or nothing."""
        probe = self.folder / f"{secrets.token_hex(8)}{_UNFINISHED}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(probe, _MAGIC)
        except OSError as error:
            return f"{self.folder}: {error.strerror}"
        finally:
            _remove(probe)
        return ""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    bytes: int
    used: float

    @property
    def is_unfinished(self) -> bool:
        return self.path.name.endswith(_UNFINISHED)

    @property
    def is_being_written(self) -> bool:
        """Whether another process may rename it soon; then it must stay."""
        return self.is_unfinished and time.time() - self.used < _ABANDONED_SECONDS


def _pack(key: str, object_code: bytes, payload: bytes) -> bytes:
    """Lay an entry out: magic, digest of the rest, lengths, key, code, payload."""
    parts = (key.encode(), object_code, payload)
    lengths = b"".join(len(part).to_bytes(_LENGTH, "little") for part in parts)
    body = lengths + b"".join(parts)
    return _MAGIC + hashlib.sha256(body).digest() + body


def _unpack(key: str, content: bytes) -> CacheEntry | None:
    """The entry in a file's content; None if it is damaged or of another key."""
    start = len(_MAGIC) + _DIGEST
    digest, body = content[len(_MAGIC) : start], memoryview(content)[start:]
    if not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    parts: list[bytes] = []
    position = 3 * _LENGTH
    for number in range(3):
        field = body[number * _LENGTH : (number + 1) * _LENGTH]
        end = position + int.from_bytes(field, "little")
        parts.append(bytes(body[position:end]))
        position = end
    found, object_code, payload = parts
    return CacheEntry(object_code, payload) if found == key.encode() else None


def read_own(path: Path) -> bytes:
    """Read a regular file that only this user can have written."""
    # O_NONBLOCK: a pipe under this name must not make us wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        others_write = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISREG(facts.st_mode) or others_write:
            raise PermissionError(f"{path} is not a file of this user alone")
        if facts.st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
        return file.read()


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def write_whole(path: Path, content: bytes) -> None:
    """Write under a name of its own, then rename: readers see all or nothing.

    There is no `fsync`: what a power cut tears apart is found by its digest.
    """
    unfinished = path.with_name(f"{secrets.token_hex(16)}{_UNFINISHED}")
    try:
        _write_new(unfinished, content)
        os.replace(unfinished, path)
    except BaseException:
        _remove(unfinished)
        raise


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _touch(path: Path) -> None:
    """Mark as just used; in a folder that cannot be written age is no matter."""
    try:
        os.utime(path)
    except OSError:
        return
