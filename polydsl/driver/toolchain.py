"""The options, the target and the run time of this process, made at first use."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

from polydsl.backend.cache import ObjectCache
from polydsl.backend.providers.table import Libraries
from polydsl.backend.runtime import Runtime
from polydsl.backend.target import Target, host_target
from polydsl.backend.threads import default_threads
from polydsl.base.diagnostics import PolydslError
from polydsl.base.machine import Machine
from polydsl.base.options import Options
from polydsl.driver.calibration import calibrated_machine
from polydsl.driver.stages import STAGE_NAMES
from polydsl.driver.tuning_store import TuningStore

CACHE_LIMIT = 1 << 30
"""The object cache holds at most so many bytes."""

TUNING_FOLDER = "tuning"
"""The folder of tuning results, inside that of the object cache."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What kernels are compiled and run with."""

    options: Options
    target: Target
    machine: Machine
    cache: ObjectCache
    tuning: TuningStore
    runtime: Runtime
    threads: int
    libraries: Libraries


@functools.cache
def toolchain() -> Toolchain:
    """Return the toolchain of this process, as the environment asks for it."""
    options = Options.from_environment(os.environ)
    for name in options.dump:
        if name not in STAGE_NAMES:
            raise PolydslError(
                f"POLYDSL_DUMP names no stage {name!r}: the stages are "
                f"{', '.join(STAGE_NAMES)}"
            )
    target = host_target(options.isa)
    cache = ObjectCache(options.cache_folder, CACHE_LIMIT)
    return Toolchain(
        options,
        target,
        calibrated_machine(options.cache_folder, target).machine,
        cache,
        TuningStore(options.cache_folder / TUNING_FOLDER),
        Runtime(target, cache),
        default_threads(options.threads),
        Libraries(options.libraries),
    )
