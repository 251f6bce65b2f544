"""Lexemes and logical lines: what the parser is fed with."""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.source import Span


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A word of the text: `kind` is its name in the grammar."""

    kind: str
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line. `reported` says that an error in it is already known."""

    lexemes: tuple[Lexeme, ...]
    level: int
    reported: bool

    @property
    def span(self) -> Span:
        """The place from its first lexeme to its last."""
        return self.lexemes[0].span.to(self.lexemes[-1].span)


def end_of(span: Span) -> Span:
    """Return the empty place after *span*."""
    return Span(span.source, span.end, span.end)


def is_header(line: Line) -> bool:
    """Whether *line*, outside of every block, starts like a kernel definition."""
    return line.level == 0 and line.lexemes[0].kind in ("KERNEL", "DEF")
