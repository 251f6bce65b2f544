"""From lexemes to logical lines: brackets, line ends and indentation.

`logical_lines` joins the lines inside brackets, drops blank lines and measures
indentation, all as Python does. The first line of a text sets the outermost level,
so an indented method or an indented string literal is taken as it is. Every finding
is reported here, and the lines go on, so that the parser can report the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Source, Span
from polydsl.syntax.lexemes import Lexeme, Line
from polydsl.syntax.strings import string_opening
from polydsl.syntax.words import MAX_BRACKETS

CLOSES = {"(": ")", "[": "]", "{": "}"}
"""What closes each opening bracket."""

_REFUSED = "REFUSED"
_ASSIGNMENTS = ("EQUAL", "PLUS_EQUAL", "STAR_EQUAL")


def logical_lines(
    source: Source, lexemes: Sequence[Lexeme], found: Diagnostics
) -> tuple[Line, ...]:
    """Return the lines of a text, with the level of each, from 0."""
    kept = tuple(_refuse_strays(lexemes, found))
    groups = _split(kept, found, recover=not _balanced(kept))
    return tuple(_indent(source, groups, found))


def one_line(
    lexemes: Sequence[Lexeme], found: Diagnostics
) -> tuple[tuple[Lexeme, ...], bool]:
    """Return the lexemes of a text in which lines do not count, and whether an error
    in it is already reported.
    """
    kept = [word for word in _refuse_strays(lexemes, found) if word.kind != "NL"]
    refused = any(word.kind in (_REFUSED, "OPEN_STRING") for word in kept)
    for line, reported in _split(kept, found, recover=False):
        return tuple(line), reported
    return (), refused


def _refuse_strays(lexemes: Sequence[Lexeme], found: Diagnostics) -> Iterator[Lexeme]:
    """Report what cannot stand anywhere, and pass on the rest."""
    continued = False
    for lexeme in lexemes:
        if lexeme.kind == "NL" and continued:
            continued = False
            continue
        continued = lexeme.text == "\\"
        if not _is_stray(lexeme, found):
            yield lexeme
            continue
        yield lexeme if lexeme.kind == "OPEN_STRING" else replace(lexeme, kind=_REFUSED)
        if lexeme.text == ";":
            yield replace(lexeme, kind="NL")


def _is_stray(lexeme: Lexeme, found: Diagnostics) -> bool:
    match lexeme.kind, lexeme.text:
        case "PYTHON_OPERATOR", "\\":
            found.error(
                "E0009",
                "a line cannot be continued with '\\'",
                lexeme.span,
                hint="inside brackets lines go on: put the expression in parentheses",
            )
        case "PYTHON_OPERATOR", ";":
            found.error(
                "E0009",
                "a statement ends at the end of its line, not with ';'",
                lexeme.span,
                hint="put each statement on its own line",
            )
        case "UNKNOWN", text:
            found.error(
                "E0002",
                f"the character {_character(text)} has no meaning in polydsl",
                lexeme.span,
                label=f"U+{ord(text):04X}",
                hint="remove it",
            )
        case "OPEN_STRING", text:
            prefix, quote = string_opening(text)
            opening = lexeme.span.start + len(prefix) + len(quote)
            found.error(
                "E0005",
                "the string is never closed",
                replace(lexeme.span, end=opening),
                label="it opens here",
                hint=f"end it with {quote}",
            )
        case _:
            return False
    return True


def _character(text: str) -> str:
    return f"'{text}'" if text.isprintable() else repr(text)


def _balanced(lexemes: Sequence[Lexeme]) -> bool:
    """Whether every bracket closes the one that was opened last."""
    awaited: list[str] = []
    for lexeme in lexemes:
        if lexeme.text in CLOSES:
            awaited.append(CLOSES[lexeme.text])
        elif lexeme.text in (")", "]", "}") and (
            not awaited or awaited.pop() != lexeme.text
        ):
            return False
    return not awaited


def _split(
    lexemes: Sequence[Lexeme], found: Diagnostics, *, recover: bool
) -> Iterator[tuple[list[Lexeme], bool]]:
    """Yield the lexemes of each logical line and whether an error in it is known.

    With *recover*, a bracket is missing somewhere, and a line that looks like the
    begin of a statement ends the one before it.
    """
    line: list[Lexeme] = []
    opened: list[Lexeme] = []
    reported = False
    for position, lexeme in enumerate(lexemes):
        if lexeme.kind == "NL":
            cut = recover and line and _begins_statement(lexemes, position + 1, line)
            if opened and not cut:
                continue
            if line:
                yield line, reported or _report_open(opened, found)
            line, opened, reported = [], [], False
        elif lexeme.kind in (_REFUSED, "OPEN_STRING"):
            reported = True
            if lexeme.kind == "OPEN_STRING" and not line:
                line.append(replace(lexeme, kind="STRING"))
        else:
            line.append(lexeme)
            reported |= _track(lexeme, opened, found)
    if line:
        yield line, reported or _report_open(opened, found)


def _track(lexeme: Lexeme, opened: list[Lexeme], found: Diagnostics) -> bool:
    """Note a bracket in *opened*; return whether it is in error."""
    if lexeme.text in CLOSES:
        opened.append(lexeme)
        if len(opened) == MAX_BRACKETS + 1:
            found.error(
                "E0014",
                f"more than {MAX_BRACKETS} brackets are open at one place",
                lexeme.span,
                hint="give parts of the expression names of their own",
            )
            return True
        return False
    if lexeme.text not in (")", "]", "}"):
        return False
    if not opened:
        found.error(
            "E0004",
            f"'{lexeme.text}' closes no bracket",
            lexeme.span,
            hint="remove it, or open a bracket before it",
        )
        return True
    if CLOSES[opened[-1].text] == lexeme.text:
        opened.pop()
        return False
    return _close_wrongly(lexeme, opened, found)


def _close_wrongly(lexeme: Lexeme, opened: list[Lexeme], found: Diagnostics) -> bool:
    """Report the bracket that *lexeme* leaves open; close those it can have meant."""
    last = opened[-1]
    line, column = lexeme.span.line, lexeme.span.column
    found.error(
        "E0003",
        f"'{last.text}' is never closed",
        last.span,
        label=f"'{lexeme.text}' at {line}:{column} does not close it",
        hint=f"put '{CLOSES[last.text]}' in its place",
    )
    opened.pop()
    while opened and CLOSES[opened[-1].text] != lexeme.text:
        opened.pop()
    if opened:
        opened.pop()
    return True


def _report_open(opened: list[Lexeme], found: Diagnostics) -> bool:
    if not opened:
        return False
    last = opened[-1]
    found.error(
        "E0003",
        f"'{last.text}' is never closed",
        last.span,
        label="it opens here",
        hint=f"close it with '{CLOSES[last.text]}'",
    )
    return True


def _begins_statement(
    lexemes: Sequence[Lexeme], position: int, line: Sequence[Lexeme]
) -> bool:
    """Whether the line from *position* looks like a statement of its own."""
    words = _until_line_end(lexemes, position)
    if not words:
        return False
    kinds = [word.kind for word in words]
    if kinds[0] in ("DEF", "RETURN", "FROM") or kinds[:2] == ["KERNEL", "NAME"]:
        return True
    if kinds[0] != "NAME" or words[0].span.column > line[0].span.column:
        return False
    if len(kinds) > 1 and kinds[1] == "LSQB" and "RSQB" in kinds:
        rest = kinds[kinds.index("RSQB") + 1 :]
    else:
        rest = kinds[1:]
    return bool(rest) and rest[0] in (*_ASSIGNMENTS, "IN", "COLON")


def _until_line_end(lexemes: Sequence[Lexeme], position: int) -> list[Lexeme]:
    words = []
    for lexeme in lexemes[position : position + 40]:
        if lexeme.kind == "NL":
            break
        words.append(lexeme)
    return words


def _indent(
    source: Source, groups: Iterable[tuple[list[Lexeme], bool]], found: Diagnostics
) -> Iterator[Line]:
    """Give every line its level."""
    columns: list[int] = []
    tabs = False
    for lexemes, reported in groups:
        indentation = _indentation(source, lexemes[0].span)
        if indentation is not None:
            if "\t" in indentation.text and not tabs:
                tabs = True
                _report_tab(indentation, found)
            # A form feed starts the count anew, as in Python.
            column = len(indentation.text.rpartition("\f")[2].expandtabs(8))
            _enter_column(column, columns, lexemes[0], found)
        elif not columns:
            columns.append(0)
        yield Line(tuple(lexemes), len(columns) - 1, reported)


def _indentation(source: Source, first: Span) -> Span | None:
    """Return the blanks before the first word of a line; None if a word stands there,
    as after a semicolon.
    """
    start = source.text.rfind("\n", 0, first.start) + 1
    if start == 0 and source.text.startswith("\ufeff"):
        start = 1
    blank = Span(source, start, first.start)
    return None if blank.text.strip() else blank


def _report_tab(indentation: Span, found: Diagnostics) -> None:
    found.error(
        "E0006",
        "a tab indents this line",
        indentation,
        label="tab",
        hint="indent with spaces",
    )


def _enter_column(
    column: int, columns: list[int], first: Lexeme, found: Diagnostics
) -> None:
    """Move to *column*; report it if no line of an open block stands there."""
    if not columns or column > columns[-1]:
        columns.append(column)
        return
    before = columns[-1]
    while len(columns) > 1 and column < columns[-1]:
        columns.pop()
    if column == columns[-1]:
        return
    found.error(
        "E0007",
        f"the line is indented by {column}, its block by {before}",
        first.span,
        label="no line above stands in this column",
        hint=f"indent it by {columns[-1]} or by {before}",
    )
    # It counts as a line of the block that it leaves.
    if column > columns[-1]:
        columns.append(column)
    else:
        columns[-1] = column
