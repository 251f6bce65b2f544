"""Source texts and the places in them.

A `Source` is a text with a name and, for a kernel inside a Python file, the line
and column at which that text begins there. A `Span` is a half-open range of
character offsets into one source; it turns into `file:line:column`, from 1.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """A text to compile: `name` is shown in errors, `text` is what is parsed.

    `first_line` is the line of the file (from 1) at which `text` starts, and
    `dedent` the number of columns removed from the front of each of its lines.
    """

    name: str
    text: str = field(repr=False)
    first_line: int = 1
    dedent: int = 0
    line_starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        object.__setattr__(self, "line_starts", tuple(starts))

    def position(self, offset: int) -> tuple[int, int]:
        """Return (line, column) of a character offset, from 1, in the user's file."""
        row = bisect_right(self.line_starts, offset) - 1
        column = offset - self.line_starts[row] + 1 + self.dedent
        return self.first_line + row, column

    def line_text(self, line: int) -> str:
        """Return the text of a line of the user's file, without its line end."""
        row = line - self.first_line
        start = self.line_starts[row]
        end = self.text.find("\n", start)
        return " " * self.dedent + self.text[start : end if end >= 0 else None]


@dataclass(frozen=True, slots=True)
class Span:
    """The characters `start` up to, not including, `end` of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line of its first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The column of its first character, from 1."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of *other*."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


def span_field() -> Any:
    """Return the field of a node for its place, which no comparison looks at."""
    return field(compare=False, repr=False)
