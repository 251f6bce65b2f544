"""Which values of an index a value of another one needs: `Window`.

    p[i] = max of h[2*i + r - 1], 0 <= r < 3        i needs h from 2*i - 1 to 2*i + 1
    h[j] = sum of x[j + s - 1], 0 <= s < 3          and x from 2*i - 2 to 2*i + 2

So a block of values of i needs a block of each of the others: these overlap, since a
window may reach into that of the next one. What lies in several is computed for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polydsl.poly.substitute import bounds
from polydsl.poly.terms import Interval, Linear


@dataclass(frozen=True, slots=True)
class Window:
    """The values `step * i + lo` to `step * i + hi` of an index, for a value i of
    another one."""

    step: int = 1
    lo: int = 0
    hi: int = 0

    def block(self, first: int, size: int) -> Interval:
        """Return the first and the last of the values for *size* values from *first*
        on."""
        last = first + size - 1
        return self.step * first + self.lo, self.step * last + self.hi

    def through(
        self, form: Linear, index: str, ranges: Mapping[str, Interval]
    ) -> Window | None:
        """Return the window of a subscript, of which this one is the window of an
        index; None where that moves it backward or not at all."""
        step = form.coefficient(index)
        if step <= 0:
            return None
        others = tuple(c for c in form.coefficients if c[0] != index)
        lo, hi = bounds(Linear(others, form.constant), ranges)
        return Window(step * self.step, step * self.lo + lo, step * self.hi + hi)

    def union(self, other: Window) -> Window | None:
        """Return the window of all values of two; None where they move apart."""
        if self.step != other.step:
            return None
        return Window(self.step, min(self.lo, other.lo), max(self.hi, other.hi))


OWN = Window()
"""The window of what is used at the own value of an index only."""
