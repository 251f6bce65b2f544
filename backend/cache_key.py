"""The key of a cache entry: a digest of everything that decides the object code.

Who compiles (polydsl's version and the text of its own sources, llvmlite and LLVM),
for what (the target) and what (the specialisation's identity, which the driver spells
out). A change of any of them is another key, so an entry is never out of date.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import llvmlite
from llvmlite import binding

import polydsl.base
import polydsl.grammar
from polydsl.backend.target import Target

_SOURCES = (".py", ".lark", ".json")


def object_key(target: Target, identity: str) -> str:
    """Return the key of the specialisation *identity* compiled for *target*."""
    return digest((compiler_identity(), repr(target), identity))


@functools.cache
def compiler_identity() -> str:
    """Return a digest of the compiler: versions and the text of all its sources."""
    versions = (llvmlite.__version__, ".".join(map(str, binding.llvm_version_info)))
    return digest((*versions, *source_texts(_source_folders())))


def _source_folders() -> tuple[Path, ...]:
    """The folders of the installed packages; they lie apart in a working tree."""
    inside = (polydsl.base.__file__, polydsl.grammar.__file__, __file__)
    base, grammar, own = (Path(file).parent for file in inside if file is not None)
    return tuple(sorted({base.parent, grammar, own}))


def source_texts(folders: Iterable[Path]) -> Iterator[str]:
    """Yield names and texts of all source files, in an order that does not change."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in _SOURCES and path.is_file():
                yield path.relative_to(folder).as_posix()
                yield path.read_text(encoding="utf-8", errors="replace")


def digest(parts: Iterable[str]) -> str:
    """Return a SHA-256 of the parts, each with its length: none runs into the next."""
    digest = hashlib.sha256()
    for part in parts:
        # Half a surrogate pair may stand in a comment of a text from Python.
        data = part.encode(errors="surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
