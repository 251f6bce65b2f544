"""What the elaboration of a kernel knows while it looks at an expression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.dtypes import DType
from polydsl.base.source import Span
from polydsl.semantics.scope import Scope
from polydsl.semantics.typed import Copy, Shape


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What is known of a tensor before its shape: `text` is its type as written."""

    dtype: DType
    weak: bool
    rank: int
    text: str = ""


@dataclass(slots=True)
class Notes:
    """What one pass over a kernel gathers: findings, new names, copied indices.

    `reported_elsewhere` says that a called kernel is wrong itself, so that statements
    may be incomplete although nothing was found here.
    """

    found: Diagnostics
    names: set[str]
    copies: list[Copy] = field(default_factory=list)
    reported_elsewhere: bool = False

    def fresh(self, base: str) -> str:
        """Return a new name `base_1`, `base_2`, ..."""
        number = 1
        while f"{base}_{number}" in self.names:
            number += 1
        self.names.add(f"{base}_{number}")
        return f"{base}_{number}"


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of an expression.

    A tensor that *tensors* does not hold is wrong already: reading it is no new error.
    `lead` are the indices that `...` stands for, None where it stands for nothing.
    `outer` are the index names bound around the expression, `renamed` the new names
    of those that hide an outer one, `shapes` the declared shapes. `follows` gives for
    every index those whose declared ranges depend on it.
    """

    scope: Scope
    sizes: Mapping[str, DType]
    tensors: Mapping[str, TensorInfo]
    lead: tuple[str, ...] | None
    kernels: frozenset[str]
    follows: Mapping[str, frozenset[str]]
    notes: Notes
    outer: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[Shape, ...]] = field(default_factory=dict)

    def error(
        self, code: str, message: str, span: Span, *, label: str = "", hint: str = ""
    ) -> None:
        """Record an error."""
        self.notes.found.error(code, message, span, label=label, hint=hint)

    def names(self) -> Iterable[str]:
        """Return the names that a misspelt one may have meant."""
        return self.scope.kinds


def text_of(span: Span) -> str:
    """Return the source text of a span on one line."""
    return " ".join(span.text.split())
