"""How the command line speaks: consoles, diagnostics in colour, aligned facts.

Results go to stdout, everything about the work (errors, warnings, progress) to stderr.
Colour and progress are for terminals; `NO_COLOR` turns colour off there too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.text import Text

from polydsl.base.diagnostics import Diagnostic

_HEAD = re.compile(r"^(?P<place>.*?:\d+:\d+): (?P<kind>error|warning)(?P<code>\[\w+\])")
_CARET = re.compile(r"^(?P<bar> +\|) +(?P<caret>\^+.*)$")
_HINT = re.compile(r"^  (?P<hint>hint):")
_STYLES = {
    "place": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "bar": "blue",
    "caret": "bold red",
    "hint": "bold cyan",
}

_EXPLAINED = (
    ("bold", r"(?m)^\S[^\n:]*(?=:)"),
    ("cyan", r"(?m)^ +(rows|columns|depth|batch|left|reduced)(?= )"),
    ("green", r"(?m)^  (because|predicted)(?= )"),
    ("yellow", r"(?m)^  not(?= )"),
    ("bold magenta", r"<- bound|bound by \w+"),
    ("blue", r"(?m)^ *[├└│─ ]+(?=\S)"),
)

_WIDTH = 190
"""How wide tables are where no terminal says it. Other text is never broken."""

Fact = tuple[str, str]
"""A label and what is to be said about it."""


class _Pipe(Console):
    """A console whose reader may go away: that is for the command to decide about."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class Screen:
    """Where results and messages go."""

    out: Console
    err: Console

    @staticmethod
    def of_process(*, color: bool) -> Screen:
        """Return the screen of this process's stdout and stderr."""
        plain = not color
        width = None if sys.stdout.isatty() else _WIDTH
        return Screen(
            _Pipe(no_color=plain, highlight=False, soft_wrap=True, width=width),
            _Pipe(no_color=plain, highlight=False, soft_wrap=True, stderr=True),
        )

    def text(self, text: str | Text) -> None:
        """Print a result exactly as it is."""
        self.out.print(text, markup=False, end="")

    def line(self, text: str | Text) -> None:
        """Print a line of a result."""
        self.out.print(text, markup=False)

    def facts(self, facts: Iterable[Fact]) -> None:
        """Print labels and what belongs to them in two columns."""
        rows = tuple(facts)
        width = max((len(label) for label, _ in rows), default=0)
        for label, value in rows:
            first, *more = value.splitlines() or [""]
            line = Text(f"  {label:<{width}}  ", style="bold cyan")
            self.out.print(line.append(first, style="not bold default"))
            for rest in more:
                self.out.print(f"  {'':<{width}}  {rest}", markup=False)

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Print findings on stderr."""
        for diagnostic in found:
            self.err.print(colored(diagnostic.render()))

    def error(self, message: str) -> None:
        """Print what went wrong on stderr, in one sentence or a few lines."""
        self.err.print(Text.assemble(("error", "bold red"), f": {message}"))

    @contextmanager
    def progress(self, what: str) -> Iterator[None]:
        """Show on a terminal that something is going on."""
        if not self.err.is_terminal:
            yield
            return
        with self.err.status(Text(what)):
            yield

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[float], None]]:
        """Show on a terminal how much is done: what is yielded is told the share."""
        if not self.err.is_terminal:
            yield lambda share: None
            return
        with Progress(console=self.err, transient=True) as progress:
            task = progress.add_task(escape(what), total=1.0)
            yield lambda share: progress.update(task, completed=share)


def colored(rendered: str) -> Text:
    """Return the text of a diagnostic with its parts in colour."""
    text = Text(rendered)
    start = 0
    for line in rendered.splitlines(keepends=True):
        for pattern in (_HEAD, _CARET, _HINT):
            found = pattern.match(line.rstrip("\n"))
            for group in found.groupdict() if found else ():
                assert found is not None
                style = _STYLES.get(found[group], _STYLES.get(group, "dim"))
                text.stylize(
                    style, start + found.start(group), start + found.end(group)
                )
        start += len(line)
    return text


def explained(text: str) -> Text:
    """Return an explanation with its parts in colour."""
    colored_text = Text(text)
    for style, pattern in _EXPLAINED:
        colored_text.highlight_regex(pattern, style)
    return colored_text
