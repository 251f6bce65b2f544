"""Memory to measure in: mapped afresh, in huge or in plain pages, and rings in it.

A ring is a cycle of pointers through all its places in random order, so that no
prefetcher knows the next one. Where the system has no huge pages all are plain.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

_HUGE = 2 << 20
_SEED = 1


class Region:
    """So many bytes of private memory, every page of it written.

    It begins at a multiple of a huge page and lives as long as this value.
    """

    def __init__(self, size: int, *, huge: bool) -> None:
        self._map = mmap.mmap(-1, size + _HUGE)
        # Constants of Linux; other systems choose their pages themselves.
        advice = "MADV_HUGEPAGE" if huge else "MADV_NOHUGEPAGE"
        if hasattr(mmap, advice):
            self._advise(getattr(mmap, advice))
        whole = np.frombuffer(self._map, np.uint8)
        start = -whole.ctypes.data % _HUGE
        self.bytes = whole[start : start + size]
        self.bytes.fill(1)
        self.address: int = self.bytes.ctypes.data

    def _advise(self, advice: int) -> None:
        try:
            self._map.madvise(advice)
        except OSError:
            # A kernel without huge pages.
            return


class Ring:
    """A cycle of pointers through a region, and where a chase along it has come to."""

    def __init__(self, region: Region, offsets: np.ndarray) -> None:
        order = np.random.default_rng(_SEED).permutation(offsets).astype(np.uint64)
        addresses = order + np.uint64(region.address)
        words = region.bytes.view(np.uint64)
        words[order // np.uint64(8)] = np.roll(addresses, -1)
        self.places = len(offsets)
        self.region = region
        self._current = ctypes.c_uint64(int(addresses[0]))

    @property
    def state(self) -> int:
        """The address of the pointer to the next place."""
        return ctypes.addressof(self._current)


def dense(size: int, line: int) -> np.ndarray:
    """Return the offset of every line of *size* bytes."""
    return np.arange(0, size, line)


def one_a_page(pages: int, page: int, line: int) -> np.ndarray:
    """Return the offset of one line in each page, so that all cache sets are used."""
    number = np.arange(pages)
    return number * page + number * line % page
