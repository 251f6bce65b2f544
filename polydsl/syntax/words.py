"""The words that a program cannot use as names, and the limits of its nesting."""

from __future__ import annotations

from polydsl.base.dtypes import DTYPES
from polydsl.base.functions import FUNCTIONS, REDUCTIONS

MAX_BRACKETS = 100
"""How many brackets may be open at one place."""

MAX_DEPTH = 100
"""How many levels an expression may have; later passes recurse over them."""

CONSTANT_TYPES = ("int", "float", "bool")
"""The types of constant parameters."""

VALUE_FUNCTIONS = frozenset(
    {name for name, row in FUNCTIONS.items() if row.is_named} | {"where"}
)
"""The functions that are called by their names."""


def reserved_as(name: str) -> str:
    """Return what the language keeps *name* for, or an empty string."""
    if name in ("pad", "range", "inf"):
        return {"pad": "the border form", "range": "a word of the language"}.get(
            name, "the number infinity"
        )
    if name in REDUCTIONS:
        both = name in VALUE_FUNCTIONS
        return "a function and a reduction" if both else "a reduction"
    if name in VALUE_FUNCTIONS:
        return "a function"
    return "a dtype" if name in DTYPES else ""
