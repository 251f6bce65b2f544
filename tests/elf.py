"""Reads the symbols of an ELF object: what it leaves undefined, what it exports."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_SYMTAB = 2


def symbols(image: bytes) -> dict[str, bool]:
    """Return the named symbols of a 64-bit little-endian object: is each defined?"""
    return {name: section != 0 for name, _, section in _entries(image)}


def undefined(image: bytes) -> frozenset[str]:
    """Return the symbols that the object needs from elsewhere."""
    return frozenset(name for name, is_here in symbols(image).items() if not is_here)


def exported(image: bytes) -> frozenset[str]:
    """Return the symbols that other objects can refer to."""
    return frozenset(
        name for name, info, section in _entries(image) if section and info >> 4
    )


def _entries(image: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield name, binding with type, and section of every named symbol."""
    assert image[:6] == b"\x7fELF\x02\x01"
    (table,) = struct.unpack_from("<Q", image, 0x28)
    entry_size, count = struct.unpack_from("<HH", image, 0x3A)
    headers = [
        struct.unpack_from("<IIQQQQII", image, table + i * entry_size)
        for i in range(count)
    ]
    for _, kind, _, _, offset, size, link, _ in headers:
        if kind != _SYMTAB:
            continue
        names = headers[link][4]
        for place in range(offset, offset + size, 24):
            name, info, _, section = struct.unpack_from("<IBBH", image, place)
            text = image[names + name : image.index(b"\0", names + name)].decode()
            if text:
                yield text, info, section
