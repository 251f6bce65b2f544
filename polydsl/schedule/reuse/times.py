"""How long work and the transfers that it needs take together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from polydsl.schedule.reuse.footprint import Counts

OVERLAP = 4.0
"""The exponent of the norm: 1 adds work and transfers, infinity hides all but the
longest. Fitted to 1,600 measured schedules of 20 convolutions."""


def overlapped(busy: Counts, transfers: Iterable[Counts]) -> Counts:
    """Return the cycles of work and of transfers that hardware starts ahead of it."""
    total = busy**OVERLAP
    for cycles in transfers:
        total = total + cycles**OVERLAP
    return np.asarray(total ** (1 / OVERLAP))
