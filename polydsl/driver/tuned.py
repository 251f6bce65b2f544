"""A specialisation as tuning left it: results are found, or made if asked for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from polydsl.base.diagnostics import ArgumentError, PolydslError
from polydsl.driver.request import Request
from polydsl.driver.specialization import Specialization
from polydsl.driver.toolchain import Toolchain
from polydsl.driver.tuner import tune
from polydsl.driver.tuning_store import TuningWarning, tuning_key

Array = np.ndarray[Any, Any]


def specialize_tuned(
    request: Request, tools: Toolchain, bound: Mapping[str, Array], seconds: float
) -> Specialization:
    """Return native code by the schedule that tuning found for a request.

    With *seconds* it is tuned now, if it never was. A request with forced points is
    left as it is.
    """
    if request.preference.chosen:
        return Specialization(request, tools, bound)
    entry = tools.tuning.get(tuning_key(request, tools.target))
    if entry is None and seconds > 0:
        entry = tune(request, tools, seconds=seconds, threads=tools.threads).entry
        try:
            tools.tuning.put(entry)
        except PolydslError as error:
            warnings.warn(
                f"the result of tuning is not kept: {error}",
                TuningWarning,
                stacklevel=2,
            )
    if entry is None or not entry.points:
        return Specialization(request, tools, bound)
    try:
        return Specialization(request.choosing(dict(entry.points)), tools, bound)
    except ArgumentError as error:
        warnings.warn(
            f"{request.kernel}: the result of tuning is of another version of polydsl "
            f"and not used: {error}",
            TuningWarning,
            stacklevel=2,
        )
    return Specialization(request, tools, bound)
