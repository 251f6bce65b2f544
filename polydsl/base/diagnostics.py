"""What is wrong with a user's program, said so that it can be mended.

A `Diagnostic` holds the code, one sentence that says what is wrong, the place,
what is there (the label under the caret) and what to do (the hint). Stages gather
diagnostics in a `Diagnostics` list and raise all of them at once, sorted by place.
Everything that a user can cause derives from `PolydslError`; a mistake of the
compiler itself is a `CompilerBug`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from polydsl.base.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: its code (listed on the page of errors), one sentence that says what
    is wrong, the place in the source, what is there (`label`), and what to do (`hint`).
    """

    code: str
    message: str
    span: Span
    label: str = ""
    hint: str = ""
    severity: Severity = "error"

    def render(self) -> str:
        """Return the text that a user sees, several lines, without a line end."""
        lines = [f"{self.span}: {self.severity}[{self.code}]: {self.message}"]
        lines.extend(self._excerpt())
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def _excerpt(self) -> list[str]:
        line, column = self.span.line, self.span.column
        text = self.span.source.line_text(line)
        width = max(1, min(self.span.end - self.span.start, len(text) - column + 1))
        caret = " " * (column - 1) + "^" * width
        label = f" {self.label}" if self.label else ""
        return [f"{line:>6} | {text}".rstrip(), f"{'':>6} | {caret}{label}"]


def errors_in(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the findings that are errors."""
    return tuple(f for f in findings if f.severity == "error")


class PolydslError(Exception):
    """The base of every error that a user of polydsl can cause."""


class ProgramError(PolydslError):
    """A kernel definition is wrong, by itself or for the sizes of a call.

    `diagnostics` holds a `Diagnostic` for each mistake; the message is their text.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(d.render() for d in diagnostics))

    def __reduce__(self) -> tuple[type, tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)


class NotCompiledError(ProgramError):
    """A correct program uses a part of the language that is not compiled yet."""


class ArgumentError(PolydslError, TypeError, ValueError):
    """An argument does not fit. The message names the parameter, what it needs and what
    came: a missing or extra argument, a wrong rank, dtype, size, or option."""


class SubscriptError(PolydslError, IndexError):
    """An indirect subscript left its tensor when the kernel ran. The message names the
    tensor, the position and the value; there are no results."""


class VerificationError(PolydslError):
    """A compiled kernel and the oracle disagree by more than the error bound. The
    message shows the worst element, both values, and the bound."""


class CompilerBug(Exception):
    """polydsl itself is wrong: an invariant between two stages does not hold. Please
    report it with the program; no wrong result is returned."""


def bug(message: str) -> NoReturn:
    """Raise `CompilerBug`; never for anything that a user can cause."""
    raise CompilerBug(message)


class Diagnostics:
    """Gathers the findings of one stage."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    def error(
        self, code: str, message: str, span: Span, *, label: str = "", hint: str = ""
    ) -> None:
        """Record an error at *span*."""
        self._found.append(Diagnostic(code, message, span, label, hint))

    def warning(
        self, code: str, message: str, span: Span, *, label: str = "", hint: str = ""
    ) -> None:
        """Record a warning at *span*."""
        self._found.append(Diagnostic(code, message, span, label, hint, "warning"))

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted())

    def sorted(self) -> tuple[Diagnostic, ...]:
        """Return the findings by place, each once."""
        unique = dict.fromkeys(self._found)
        return tuple(
            sorted(unique, key=lambda d: (d.span.source.name, d.span.start, d.code))
        )

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return bool(errors_in(self._found))

    def raise_errors(self) -> None:
        """Raise `ProgramError` with all errors, if there are any."""
        errors = errors_in(self.sorted())
        if errors:
            raise ProgramError(errors)
