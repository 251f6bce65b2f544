"""Comments of C, whatever they are to say."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 76
"""How long a line of a comment may become."""


def comment(lines: Iterable[str]) -> str:
    """Return lines as a comment, with the end of its last line."""
    safe = [safe_line(line) for line in lines]
    if len(safe) == 1:
        return f"/* {safe[0]} */\n"
    body = "\n".join(f" * {line}".rstrip() for line in safe[1:])
    return f"/* {safe[0]}\n{body}\n */\n"


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """Return sentences as lines."""
    return textwrap.wrap(text, width, break_long_words=False)


def safe_line(line: str) -> str:
    """Return a line that neither ends nor opens a comment, and hides nothing."""
    plain = "".join(c if c.isprintable() else "?" for c in line.expandtabs())
    # Such as "**/" and "????" hold a pair again when the first is taken apart.
    for pair in ("*/", "/*", "??", "*/", "??"):
        plain = plain.replace(pair, f"{pair[0]} {pair[1]}")
    return plain
