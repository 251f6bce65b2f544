"""The place at which a line stops to fit the grammar, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.source import Span
from polydsl.syntax.lexemes import Lexeme

QUOTED = -1
"""The level of the text inside a string."""

_OPENING = ("LPAR", "LSQB")
_CLOSING = ("RPAR", "RSQB")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said about a place; `span` is None for the word that stands there."""

    code: str
    message: str
    label: str = ""
    hint: str = ""
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The words of a line, the position of the first that does not fit, the names of
    those that would, and the level of the line.
    """

    lexemes: tuple[Lexeme, ...]
    position: int
    end: Lexeme
    accepted: frozenset[str]
    level: int

    @property
    def here(self) -> Lexeme:
        """The word that does not fit; behind the last word, the end of the line."""
        return self.ahead(0)

    def ahead(self, distance: int) -> Lexeme:
        """Return the word *distance* behind the one that does not fit."""
        position = self.position + distance
        return self.lexemes[position] if position < len(self.lexemes) else self.end

    @property
    def before(self) -> Lexeme | None:
        """The last word that fits."""
        return self.lexemes[self.position - 1] if self.position > 0 else None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the words that fit."""
        return tuple(lexeme.kind for lexeme in self.lexemes[: self.position])

    @property
    def first(self) -> str:
        """The kind of the first word of the line."""
        return self.lexemes[0].kind if self.lexemes else self.end.kind

    @property
    def in_header(self) -> bool:
        """Whether the line begins like a definition."""
        return self.level == 0 and self.first in ("KERNEL", "DEF")

    @property
    def wants_name(self) -> bool:
        """Whether a name could stand here, and no other expression."""
        return "NAME" in self.accepted and not self.wants_expression

    @property
    def wants_expression(self) -> bool:
        """Whether an expression could stand here."""
        return "NUMBER" in self.accepted

    @property
    def wants_operator(self) -> bool:
        """Whether an expression ends here and an operator could go on with it."""
        return "PLUS" in self.accepted and "NUMBER" not in self.accepted

    def bracket(self) -> tuple[str, str]:
        """Return the kinds of the innermost open bracket and of the word before it."""
        depth = 0
        kinds = self.kinds
        for position in range(len(kinds) - 1, -1, -1):
            if kinds[position] in _CLOSING:
                depth += 1
            elif kinds[position] in _OPENING and depth:
                depth -= 1
            elif kinds[position] in _OPENING:
                return kinds[position], kinds[position - 1] if position else ""
        return "", ""
