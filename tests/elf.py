"""Reads the symbol table of an ELF object, enough to see what it leaves undefined."""

from __future__ import annotations

import struct

_SYMTAB = 2


def symbols(image: bytes) -> dict[str, bool]:
    """Return the named symbols of a 64-bit little-endian object: is each defined?"""
    assert image[:6] == b"\x7fELF\x02\x01"
    (table,) = struct.unpack_from("<Q", image, 0x28)
    entry_size, count = struct.unpack_from("<HH", image, 0x3A)
    headers = [
        struct.unpack_from("<IIQQQQII", image, table + i * entry_size)
        for i in range(count)
    ]
    found: dict[str, bool] = {}
    for _, kind, _, _, offset, size, link, _ in headers:
        if kind != _SYMTAB:
            continue
        names = headers[link][4]
        for place in range(offset, offset + size, 24):
            name, _, _, section = struct.unpack_from("<IBBH", image, place)
            text = image[names + name : image.index(b"\0", names + name)].decode()
            if text:
                found[text] = section != 0
    return found


def undefined(image: bytes) -> frozenset[str]:
    """Return the symbols that the object needs from elsewhere."""
    return frozenset(name for name, is_here in symbols(image).items() if not is_here)
