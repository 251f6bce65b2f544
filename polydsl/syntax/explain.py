"""Syntax errors in the user's words.

The rules are asked in their order, the special ones first; the last one says what
could stand at the place and what stands there.
"""

from __future__ import annotations

from polydsl.base.diagnostics import Diagnostics
from polydsl.syntax.explain_foreign import (
    foreign_operator,
    foreign_word,
    other_value,
    word_as_name,
)
from polydsl.syntax.explain_forms import explain_form
from polydsl.syntax.explain_general import (
    broken_number,
    mismatch,
    missing_expression,
    missing_operator,
)
from polydsl.syntax.lexemes import Line, end_of
from polydsl.syntax.place import Place

_RULES = (
    foreign_operator,
    word_as_name,
    foreign_word,
    broken_number,
    explain_form,
    other_value,
    missing_expression,
    missing_operator,
    mismatch,
)


def explain(place: Place, found: Diagnostics) -> None:
    """Report the first word of a line that does not fit."""
    findings = (rule(place) for rule in _RULES)
    finding = next(finding for finding in findings if finding is not None)
    found.error(
        finding.code,
        finding.message,
        finding.span or place.here.span,
        label=finding.label,
        hint=finding.hint,
    )


def explain_indent(line: Line, found: Diagnostics) -> None:
    """Report a line that is indented though no block opens before it."""
    found.error(
        "E0007",
        "the line is indented more than its block",
        line.lexemes[0].span,
        label="only a line that ends in ':' opens a block",
        hint="indent it as the line above, or close a bracket of the line above",
    )


def explain_missing_block(header: Line, found: Diagnostics) -> None:
    """Report a definition without statements, unless its header is in error."""
    if header.reported:
        return
    found.error(
        "E0008",
        "the kernel has no block",
        end_of(header.span),
        label="an indented line has to follow",
        hint="indent its statements by four spaces",
    )
