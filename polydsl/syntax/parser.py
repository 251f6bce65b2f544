"""From text to the abstract syntax tree: `parse`.

Lark reads the words and builds a tree line by line; the lines come from
`polydsl.syntax.layout`, the nodes from `polydsl.syntax.build`. A line that does not
fit is reported and left out, so one run reports the errors of all lines. This is the
only module that imports Lark.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import lark
from lark.exceptions import UnexpectedToken
from lark.grammar import Rule
from lark.lexer import TerminalDef

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Source, Span
from polydsl.grammar import grammar_text, load_tables
from polydsl.syntax import ast
from polydsl.syntax.build import build_node
from polydsl.syntax.context import Context, Word
from polydsl.syntax.explain import explain, explain_indent, explain_missing_block
from polydsl.syntax.layout import logical_lines, one_line
from polydsl.syntax.lexemes import Lexeme, Line, end_of, is_header
from polydsl.syntax.place import QUOTED, Place
from polydsl.syntax.strings import quoted_span

TABLE_MAKER = f"lark {lark.__version__}"
"""What makes the tables; saved tables of another version are not used."""

_STARTS = ("module", "annotation", "results", "outside")


def parse(source: Source) -> ast.Module:
    """Return the syntax tree of a `.pdl` text or of a Python function's text.

    Raises `ProgramError` with everything that is wrong in the text.
    """
    found = Diagnostics()
    lines = logical_lines(source, _lex(source, 0, len(source.text)), found)
    feeder = _LineParser(source, found)
    for line in lines:
        feeder.feed(line)
    module: ast.Module = _build(feeder.finish(), Context(source, found, _quoted))
    found.raise_errors()
    return module


def build_tables() -> dict[str, Any]:
    """Return the LALR tables of the grammar, as values that JSON can hold."""
    data, memo = _build_parser().memo_serialize([TerminalDef, Rule])
    return {"data": data, "memo": memo}


def _build_parser() -> lark.Lark:
    return lark.Lark(
        grammar_text(),
        start=list(_STARTS),
        parser="lalr",
        lexer="basic",
        maybe_placeholders=True,
        propagate_positions=True,
    )


@cache
def _parser() -> lark.Lark:
    # Given a dict, `load` takes it as the tables themselves; it has no annotations.
    load: Any = lark.Lark.load
    tables = load_tables(TABLE_MAKER)
    loaded: lark.Lark = _build_parser() if tables is None else load(tables)
    return loaded


def _start(symbol: str, text: str = "") -> Any:
    """Return a parser at the begin of *symbol* that is fed word by word."""
    return _parser().parse_interactive(text, start=symbol)


def _accepted_after(cursor: Any, lexemes: tuple[Lexeme, ...]) -> frozenset[str]:
    """Return what could stand after *lexemes*.

    Lark reduces before it finds that a word does not fit, and what it accepts after
    that is less than what could stand there. So the words are fed once more.
    """
    for lexeme in lexemes:
        _feed(cursor, lexeme.kind, lexeme.text, lexeme.span)
    return frozenset(cursor.accepts())


def _lex(source: Source, start: int, end: int) -> list[Lexeme]:
    """Return the words of a part of the text; the terminals match any character."""
    session = _start("outside", source.text[start:end])
    lexemes = []
    for token in session.lexer_thread.lex(session.parser_state):
        at = start + token.start_pos
        span = Span(source, at, at + len(token))
        lexemes.append(Lexeme(token.type, str(token), span))
    return lexemes


def _feed(cursor: Any, kind: str, text: str, span: Span) -> Any:
    # Lark copies all six numbers into a tree's place; only the offsets are used.
    return cursor.feed_token(lark.Token(kind, text, span.start, 1, 1, 1, 1, span.end))


_SOME_HEADER = (
    ("KERNEL", "kernel"),
    ("NAME", "_"),
    ("LPAR", "("),
    ("RPAR", ")"),
    ("COLON", ":"),
    ("_NEWLINE", ""),
)


_CONTINUATIONS = ("else", "elif", "except", "finally")


class _LineParser:
    """Feeds lines to Lark. A line that does not fit is reported and left out."""

    def __init__(self, source: Source, found: Diagnostics) -> None:
        self._found = found
        self._cursor = _start("module")
        self._level = 0
        self._end = Span(source, 0, 0)
        # The header whose block has to come next.
        self._header: Line | None = None
        # Lines deeper than this one belong to a line that was left out.
        self._skipped: int | None = None
        # Whether the last line was left out.
        self._left_out = False
        # Whether the lines of a block come that are not indented.
        self._not_indented = False

    def feed(self, line: Line) -> None:
        """Take the next line."""
        if self._skipped is not None and line.level > self._skipped:
            return
        self._skipped = None
        if self._header is not None:
            self._open_block(line.level)
        elif line.level > self._level:
            if not line.reported:
                explain_indent(line, self._found)
            self._skipped = self._level
            return
        self._close_blocks(line.level)
        self._not_indented &= line.level == 0 and not is_header(line)
        if not self._not_indented:
            self._feed_words(line)

    def finish(self) -> lark.Tree[lark.Token]:
        """Return the tree of all lines that fit."""
        if self._header is not None:
            self._open_block(0)
        self._close_blocks(0)
        tree: lark.Tree[lark.Token] = _feed(self._cursor, "$END", "", self._end)
        return tree

    def _open_block(self, level: int) -> None:
        if self._header is not None and level <= self._level:
            explain_missing_block(self._header, self._found)
            self._not_indented = True
        self._header = None
        _feed(self._cursor, "_INDENT", "", self._end)
        self._level += 1

    def _close_blocks(self, level: int) -> None:
        for _ in range(self._level - level):
            _feed(self._cursor, "_DEDENT", "", self._end)
            self._level -= 1

    def _feed_words(self, line: Line) -> None:
        before = self._cursor.copy(deepcopy_values=False)
        end = Lexeme("_NEWLINE", "", end_of(line.span))
        for position, lexeme in enumerate((*line.lexemes, end)):
            try:
                _feed(self._cursor, lexeme.kind, lexeme.text, lexeme.span)
            except UnexpectedToken:
                self._cursor = before
                if not (line.reported or self._belongs_to_left_out(line)):
                    self._explain(line.lexemes, position, end)
                self._leave_out(line)
                return
        self._left_out = False
        self._end = end.span
        if is_header(line):
            self._header = line

    def _explain(self, lexemes: tuple[Lexeme, ...], position: int, end: Lexeme) -> None:
        cursor = self._cursor.copy(deepcopy_values=False)
        accepted = _accepted_after(cursor, lexemes[:position])
        explain(Place(lexemes, position, end, accepted, self._level), self._found)

    def _belongs_to_left_out(self, line: Line) -> bool:
        """Whether *line* goes with the line left out before it, as else with if."""
        return self._left_out and line.lexemes[0].text in _CONTINUATIONS

    def _leave_out(self, line: Line) -> None:
        """Go on as if *line* were not there, or as if it were a header that fits."""
        self._left_out = True
        if not is_header(line):
            self._skipped = self._level
            return
        start = Span(line.span.source, line.span.start, line.span.start)
        for kind, text in _SOME_HEADER:
            _feed(self._cursor, kind, text, start)
        self._header = replace(line, reported=True)


def _quoted(start: str, word: Word, found: Diagnostics) -> Any:
    """Return the node for the text inside a string literal, or None if it is wrong."""
    source = word.span.source
    inner = quoted_span(word)
    lexemes, reported = one_line(_lex(source, inner.start, inner.end), found)
    end = Lexeme("$END", "", end_of(inner))
    cursor = _start(start)
    tree = None
    for position, lexeme in enumerate((*lexemes, end)):
        try:
            tree = _feed(cursor, lexeme.kind, lexeme.text, lexeme.span)
        except UnexpectedToken:
            if not reported:
                accepted = _accepted_after(_start(start), lexemes[:position])
                explain(Place(lexemes, position, end, accepted, QUOTED), found)
            return None
    return None if tree is None else _build(tree, Context(source, found, None))


def _build(tree: lark.Tree[lark.Token], context: Context) -> Any:
    """Return the node of a tree; without recursion, so depth is no matter."""
    built: dict[int, Any] = {}
    for subtree in tree.iter_subtrees():
        children = [_child(child, built, context.source) for child in subtree.children]
        meta = subtree.meta
        start, end = (0, 0) if meta.empty else (meta.start_pos, meta.end_pos)
        span = Span(context.source, start, end)
        built[id(subtree)] = build_node(str(subtree.data), context, span, children)
    return built[id(tree)]


def _child(
    child: lark.Tree[lark.Token] | lark.Token | None,
    built: dict[int, Any],
    source: Source,
) -> Any:
    if isinstance(child, lark.Tree):
        return built[id(child)]
    if child is None or child.start_pos is None or child.end_pos is None:
        return None
    return Word(str(child), Span(source, child.start_pos, child.end_pos))
