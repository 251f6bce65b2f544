"""The elements of a tensor that `+=` or `*=` define, while terms are added."""

from __future__ import annotations

import numpy as np

from polydsl.base.dtypes import DType
from polydsl.base.functions import Reduction
from polydsl.semantics.oracle.numbers import EXACT, NO, Array, Bools, Floats, Ints, Num
from polydsl.semantics.oracle.reductions import Partial, finish, finite_part


class Accumulator:
    """Sums (or products) of one element each, over all statements of a tensor."""

    def __init__(self, op: Reduction, extents: tuple[int, ...], dtype: DType) -> None:
        start = 1 if op == "prod" else 0
        kind = np.float64 if dtype.is_float else np.int64
        self._op, self._dtype = op, dtype
        self._value: Array = np.full(extents, start, kind)
        self._count: Ints = np.zeros(extents, np.int64)
        self._size: Floats = EXACT
        self._error: Floats = EXACT
        self._rest: Floats = EXACT
        if dtype.is_float:
            self._size = np.full(extents, float(start))
            self._error = np.full(extents, float(start))
            self._rest = np.full(extents, float(start))
        self._undecided: Bools = np.zeros(extents, np.bool_)
        self._whole = True

    def add_block(self, at: tuple[slice, ...], partial: Partial) -> None:
        """Add what a block of one statement contributes."""
        join = np.multiply if self._op == "prod" else np.add
        for own, new in self._pairs(partial):
            block = own[at] if at else own
            join(block, new, out=block)
        self._count[at] += partial.count
        self._undecided[at] |= partial.undecided
        self._whole = self._whole and partial.whole

    def add_flat(self, at: Ints, partial: Partial) -> None:
        """Add to distinct single elements, by their row-major numbers."""
        join = np.multiply if self._op == "prod" else np.add
        for own, new in self._pairs(partial):
            flat = own.reshape(-1)
            flat[at] = join(flat[at], new)
        self._count.reshape(-1)[at] += partial.count
        self._undecided.reshape(-1)[at] |= partial.undecided
        self._whole = self._whole and partial.whole

    def _pairs(self, partial: Partial) -> list[tuple[Array, Array]]:
        """Return the sums so far, each with what there is to add."""
        pairs = [(self._value, partial.value)]
        if self._dtype.is_float:
            pairs += [(self._size, partial.size), (self._error, partial.error)]
            pairs += [(self._rest, partial.rest)]
        return pairs

    def scatter(self, at: Ints, terms: Num, *, unsure: bool) -> None:
        """Add terms to elements that may repeat; all are in doubt if a target is."""
        np.add.at(self._value.reshape(-1), at, terms.value)
        np.add.at(self._count.reshape(-1), at, 1)
        if self._dtype.is_float:
            finite = finite_part(terms.value)
            np.add.at(self._size.reshape(-1), at, np.abs(finite))
            np.add.at(self._rest.reshape(-1), at, finite)
            np.add.at(self._error.reshape(-1), at, terms.error)
            exact = terms.is_exact and np.all(np.rint(terms.value) == terms.value)
            self._whole = self._whole and bool(exact)
        lost = terms.undecided | terms.overflow
        np.logical_or.at(self._undecided.reshape(-1), at, lost)
        if unsure:
            self._undecided[...] = True

    def partial(self, at: Ints | None = None) -> Partial:
        """Return what is known, of all elements or of single ones."""
        parts = [self._value, self._size, self._error, self._rest, self._count]
        undecided = self._undecided
        if at is not None:
            parts = [p if p is EXACT else p.reshape(-1)[at] for p in parts]
            undecided = undecided.reshape(-1)[at]
        undecided = undecided if undecided.any() else NO
        value, size, error, rest, count = parts
        return Partial(value, size, error, rest, count, undecided, whole=self._whole)

    def finished(self, at: Ints | None = None) -> Num:
        """Return the elements, all or single ones."""
        return finish(self._op, self.partial(at), self._dtype)
