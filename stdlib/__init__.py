"""The standard library of layers, one `.pdl` file a theme.

`polydsl.stdlib.activation.softmax(x)`: a module is loaded when it is first used.
"""

from __future__ import annotations

from polydsl.driver.imports import LoadError, standard_names
from polydsl.driver.kernel_module import KernelModule
from polydsl.driver.loading import load_standard


def __getattr__(name: str) -> KernelModule:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        module = load_standard(name)
    except LoadError as error:
        raise AttributeError(str(error)) from None
    globals()[name] = module
    return module


def __dir__() -> list[str]:
    return list(standard_names())
