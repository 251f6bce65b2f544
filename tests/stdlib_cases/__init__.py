"""Sizes and constants on which every kernel of the standard library is tried.

Extents are small and odd on purpose: primes, ones, zeros and sizes just above a vector,
so that tails, borders and empty sums all occur. There is one table for each module, in
a file of the same name.
"""

from stdlib_cases import (
    activation,
    activation_grad,
    attention,
    conv,
    conv_grad,
    conv_transpose,
    embedding,
    factored,
    linalg,
    loss,
    normalization,
    normalization_grad,
    novel,
    pooling,
    pooling_grad,
    recurrent,
    scan,
    sparse,
    state_space,
    statistics,
    triangular,
)
from stdlib_cases.case import Array, Case, arrays

__all__ = ["CASES", "MODULES", "Array", "Case", "arrays"]

TABLES = (
    linalg,
    triangular,
    scan,
    statistics,
    conv,
    conv_grad,
    conv_transpose,
    pooling,
    pooling_grad,
    normalization,
    normalization_grad,
    activation,
    activation_grad,
    attention,
    embedding,
    recurrent,
    state_space,
    loss,
    novel,
    factored,
    sparse,
)
MODULES = tuple(table.of.module for table in TABLES)
CASES = tuple(case for table in TABLES for case in table.CASES)
