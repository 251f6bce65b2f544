"""String literals: docstrings and quoted annotations."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Span
from polydsl.syntax.context import Word

_LITERAL = re.compile(r"([a-zA-Z]*)(\"\"\"|'''|\"|')", re.ASCII)
_ESCAPE = re.compile(
    r"\\(?:(\n)|([\\'\"abfnrtv])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})"
    r"|U([0-9a-fA-F]{8})|N\{([^}]+)\}|([0-7]{1,3}))"
)
_SIMPLE = dict(zip("\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v", strict=True))


def string_opening(text: str) -> tuple[str, str]:
    """Return the prefix and the opening quotes of a string literal."""
    match = _LITERAL.match(text)
    return (match[1], match[2]) if match else ("", "")


def quoted_span(literal: Word) -> Span:
    """Return the place of the text between the quotes of a string literal."""
    prefix, quote = string_opening(literal.text)
    start = literal.span.start + len(prefix) + len(quote)
    return replace(literal.span, start=start, end=literal.span.end - len(quote))


def docstring_value(literal: Word, found: Diagnostics) -> str:
    """Return the value of a docstring, as Python has it; report a wrong prefix."""
    prefix = string_opening(literal.text)[0]
    text = quoted_span(literal).text.replace("\r\n", "\n")
    if prefix.lower() not in ("", "r", "u"):
        found.error(
            "E0011",
            f"a docstring is a plain string, not {_article(prefix)}-string",
            replace(literal.span, end=literal.span.start + len(prefix)),
            label=f"the prefix {prefix}",
            hint=f"remove the {prefix}",
        )
    return text if prefix.lower() == "r" else _ESCAPE.sub(_unescape, text)


def check_annotation(literal: Word, found: Diagnostics) -> bool:
    """Report a literal whose characters are not those of the annotation it holds."""
    prefix = string_opening(literal.text)[0]
    odd = None
    if prefix.lower() not in ("", "r", "u"):
        odd = replace(literal.span, end=literal.span.start + len(prefix))
    elif "\\" in literal.text:
        at = literal.span.start + literal.text.index("\\")
        odd = replace(literal.span, start=at, end=at + 2)
    if odd is None:
        return True
    found.error(
        "E0016",
        "an annotation in a string is plain text",
        odd,
        label="a prefix" if odd.start == literal.span.start else "an escape",
        hint='write it as it would stand without quotes: "f32[N, M]"',
    )
    return False


def _article(prefix: str) -> str:
    return f"an {prefix}" if prefix[0] in "fF" else f"a {prefix}"


def _unescape(match: re.Match[str]) -> str:
    newline, simple, two, four, eight, name, octal = match.groups()
    if newline:
        return ""
    if simple:
        return _SIMPLE[simple]
    if name:
        return _named(name, match[0])
    number = int(octal, 8) if octal else int(two or four or eight, 16)
    return chr(number) if number <= 0x10FFFF else match[0]


def _named(name: str, written: str) -> str:
    try:
        return unicodedata.lookup(name)
    except KeyError:
        return written
