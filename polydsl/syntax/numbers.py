"""Numeric literals: Python's integers and floats, within 64 bits."""

from __future__ import annotations

import math
import re

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Span

_INTEGER = re.compile(
    r"0[xX](_?[0-9a-fA-F])+|0[oO](_?[0-7])+|0[bB](_?[01])+|[1-9](_?[0-9])*|0(_?0)*",
    re.ASCII,
)
_FLOAT = re.compile(
    r"([0-9](_?[0-9])*\.([0-9](_?[0-9])*)?|\.[0-9](_?[0-9])*|[0-9](_?[0-9])*(?=[eE]))"
    r"([eE][+-]?[0-9](_?[0-9])*)?",
    re.ASCII,
)
_PRODUCT = re.compile(r"([0-9]+(?:\.[0-9]*)?)([A-Za-z_]\w*)", re.ASCII)
_ZEROS = re.compile(r"0[0-9_]+", re.ASCII)
_LONGEST = 100
_LIMIT = 2**64


def number_value(text: str, span: Span, found: Diagnostics) -> int | float:
    """Return the value of a literal; report one that is no number or too large."""
    if _INTEGER.fullmatch(text):
        value = int(text, 0) if len(text) <= _LONGEST else _LIMIT
        if value < _LIMIT:
            return value
        _report(
            found,
            span,
            "the integer does not fit into 64 bits",
            label="2**64 or more",
            hint="write it as a float, for example 1e30",
        )
    elif _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
        _report(
            found,
            span,
            f"{text} is too large for f64",
            label="the greatest f64 is 1.7976931348623157e308",
            hint="write inf for infinity",
        )
    else:
        _report_form(text, span, found)
    return 0


def _report_form(text: str, span: Span, found: Diagnostics) -> None:
    product = _PRODUCT.fullmatch(text)
    if _ZEROS.fullmatch(text):
        label = "an integer does not start with 0"
        hint = f"write {text.strip('_').lstrip('0_') or '0'}"
    elif product and product[2] in ("j", "J"):
        label = "a complex number"
        hint = "there are no complex numbers; compute both parts as tensors"
    elif product:
        label = "a number runs into a name"
        hint = f"a product is written {product[1]}*{product[2]}"
    else:
        label = "a number such as 2, 0.5, 1e-5 or 0xff stands here"
        hint = "mend or remove it"
    _report(found, span, f"{text} is not a number", label=label, hint=hint)


def _report(
    found: Diagnostics, span: Span, message: str, *, label: str, hint: str
) -> None:
    found.error("E0020", message, span, label=label, hint=hint)
