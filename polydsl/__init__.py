"""polydsl: deep-learning layers written as index formulas, compiled to native code.

import polydsl
layers = polydsl.load("conv.pdl")          # kernels from a file
y = layers.conv2d_relu(x, w, b, stride=2)   # compiled at the first call

@polydsl.kernel                             # or from a Python function
def scale(x: "f32[N]", a: "f32") -> "f32[N]":
    y[i] = a * x[i]
    return y
"""

from polydsl import stdlib
from polydsl.base.diagnostics import (
    ArgumentError,
    CompilerBug,
    NotCompiledError,
    PolydslError,
    ProgramError,
    SubscriptError,
    VerificationError,
)
from polydsl.driver import tuning
from polydsl.driver.decorator import kernel
from polydsl.driver.einsum import einsum, einsum_kernel
from polydsl.driver.imports import LoadError
from polydsl.driver.kernel import Kernel
from polydsl.driver.kernel_module import KernelModule
from polydsl.driver.loading import load, loads
from polydsl.driver.pickling import register
from polydsl.driver.specialization import Specialization

register()

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "CompilerBug",
    "Kernel",
    "KernelModule",
    "LoadError",
    "NotCompiledError",
    "PolydslError",
    "ProgramError",
    "Specialization",
    "SubscriptError",
    "VerificationError",
    "einsum",
    "einsum_kernel",
    "kernel",
    "load",
    "loads",
    "stdlib",
    "tuning",
]
