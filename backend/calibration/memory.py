"""Memory to measure in: mapped afresh, in huge or in plain pages, and rings in it.

A ring is a cycle of pointers through its places in a random order, so that no
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
        order = offsets.astype(np.uint64)
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


def dense(size: int, step: int) -> np.ndarray:
    """Return every multiple of *step* below *size*, in random order."""
    return np.random.default_rng(_SEED).permutation(np.arange(0, size, step))


def by_page(size: int, step: int, page: int) -> np.ndarray:
    """Return every multiple of *step* below *size*, page by page, both the pages and
    the places in each in random order: few steps need another translation."""
    places = np.arange(0, size, step).reshape(-1, page // step)
    random = np.random.default_rng(_SEED)
    return random.permutation(random.permuted(places, axis=1)).ravel()


def one_a_page(pages: int, page: int, line: int) -> np.ndarray:
    """Return a line of each page in random order, such that all cache sets are used."""
    number = np.random.default_rng(_SEED).permutation(pages)
    return number * page + number * line % page
