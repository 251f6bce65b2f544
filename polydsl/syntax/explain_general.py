"""Errors that belong to no special form: an operand or an operator is missing."""

from __future__ import annotations

from polydsl.base.diagnostics import Diagnostics
from polydsl.syntax.explain_forms import FORMS, HEADER
from polydsl.syntax.lexemes import Lexeme
from polydsl.syntax.numbers import number_value
from polydsl.syntax.place import QUOTED, Finding, Place

_SPELLING = {
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "COLON": ":",
    "EQUAL": "=",
    "PLUS_EQUAL": "+=",
    "STAR_EQUAL": "*=",
    "ARROW": "->",
    "STAR": "*",
    "IN": "in",
    "RANGE": "range",
    "ELSE": "else",
    "IF": "if",
    "IMPORT": "import",
    "FROM": "from",
    "DEF": "def",
    "DOT": ".",
    "ELLIPSIS": "...",
    "RETURN": "return",
}
_ARITHMETIC = {
    *("PLUS", "MINUS", "STAR", "SLASH", "DOUBLE_SLASH", "PERCENT", "DOUBLE_STAR"),
    *("EQUAL_EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"),
    *("AND", "OR", "NOT", "IF"),
}


def mismatch(place: Place) -> Finding:
    """Say what could stand here and what stands here."""
    expected = _expected(place.accepted)
    message = f"expected {expected}, found {_described(place.here)}"
    if "STRING" in place.accepted or place.level == QUOTED:
        hint = "a type is written f32[N, M]"
    elif place.in_header:
        hint = "a header has the form " + HEADER
    else:
        hint = FORMS
    return Finding("E0001", message, hint=hint)


def broken_number(place: Place) -> Finding | None:
    """Explain `2x[i]`: what stands before this place is not a number."""
    before = place.before
    if before is None or before.kind != "NUMBER":
        return None
    found = Diagnostics()
    number_value(before.text, before.span, found)
    return next(
        (Finding(e.code, e.message, e.label, e.hint, e.span) for e in found), None
    )


def missing_expression(place: Place) -> Finding | None:
    """Explain an operator, a comma or a bracket that nothing follows."""
    if not place.wants_expression:
        return None
    after = place.before.text if place.before is not None else ""
    return Finding(
        "E0001",
        f"expected an expression, found {_described(place.here)}",
        label=f"a value has to follow '{after}'" if after else "",
        hint="write a number, a name, x[i], f(x) or sum[k](e)",
    )


def missing_operator(place: Place) -> Finding | None:
    """Explain two values side by side, and an `if` without its `else`."""
    if not place.wants_operator:
        return None
    if "ELSE" in place.accepted:
        return Finding(
            "E0001",
            "an if in an expression needs its else",
            label=f"found {_described(place.here)}",
            hint="a choice is written a if c else b",
        )
    operands = ("NAME", "NUMBER", "TRUE", "FALSE", "LPAR", "KERNEL")
    hint = "remove it, or put it into a line of its own"
    if place.here.kind in operands:
        hint = "put an operator or a comma before it; a product is written 2*x"
    accepted = place.accepted - {"LPAR", "LSQB"}
    message = f"expected {_expected(accepted)}, found {_described(place.here)}"
    return Finding("E0001", message, hint=hint)


def _described(lexeme: Lexeme) -> str:
    match lexeme.kind:
        case "_NEWLINE":
            return "the end of the line"
        case "$END":
            return "the end of the string"
        case "NAME":
            return f"the name {lexeme.text}"
        case "NUMBER":
            return f"the number {lexeme.text}"
        case "STRING":
            return "a string"
        case _:
            return f"'{lexeme.text}'"


def _expected(accepted: frozenset[str]) -> str:
    """Return in words what could stand at a place."""
    rest = set(accepted)
    words = []
    if "NAME" in rest:
        words.append("a type" if "STRING" in rest else "a name")
        rest -= {"NAME", "KERNEL", "STRING"}
    spelled = sorted(rest - (_ARITHMETIC - {"STAR"}) - {"_NEWLINE", "$END", "STRING"})
    words.extend(f"'{_SPELLING[kind]}'" for kind in spelled if kind in _SPELLING)
    if "PLUS" in rest:
        words = [word for word in words if word != "'*'"]
        words.append("an operator")
    if "_NEWLINE" in rest:
        words.append("the end of the line")
    if "$END" in rest:
        words.append("the end of the string")
    return _joined(words)


def _joined(words: list[str]) -> str:
    if len(words) < 2:
        return words[0] if words else "nothing more"
    return f"{', '.join(words[:-1])} or {words[-1]}"
