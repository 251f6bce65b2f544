"""Quantities for people: times, bytes and counts with the unit that suits them."""

from __future__ import annotations

_SMALL_UNITS = ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"))


def seconds_text(seconds: float) -> str:
    """Return a time with the unit that suits it."""
    for limit, factor, unit in _SMALL_UNITS:
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def bytes_text(count: float) -> str:
    """Return a number of bytes with the unit that suits it."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def count_text(count: int, noun: str) -> str:
    """Return `1 kernel`, `3 kernels`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
