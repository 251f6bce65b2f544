"""A process for code that may crash or hang: `crash_process`.

Each is a fork of one that has read the compiler: to start Python anew takes longer than
most tests.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

_READ_BEFORE = ("polydsl", "polydsl.loops.interpret", "hypothesis", "pytest")


def crash_process() -> ProcessPoolExecutor:
    """Return a process that does what it is given, and nothing of this one's state."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_READ_BEFORE))
    return ProcessPoolExecutor(1, mp_context=context)
