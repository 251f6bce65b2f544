"""Processes that begin with the compiler read, for code that may crash or hang.

Each is a fork of one that has done nothing else: to start Python anew and to import
polydsl takes longer than most tests.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext

_READ_BEFORE = ("polydsl", "polydsl.loops.interpret", "hypothesis", "pytest")


def fresh_processes() -> ForkServerContext:
    """Return what starts them; they have nothing of this one's state."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_READ_BEFORE))
    return context


def crash_process() -> ProcessPoolExecutor:
    """Return one process that does what it is given."""
    return ProcessPoolExecutor(1, mp_context=fresh_processes())
