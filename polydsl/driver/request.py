"""What a kernel is specialised on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polydsl.backend.arrays import ArrayLayout
from polydsl.base.dtypes import DType
from polydsl.loops.nest import contiguous
from polydsl.poly.scop import Scop
from polydsl.schedule.point import Point
from polydsl.schedule.preference import PLAIN, Preference
from polydsl.semantics.library import Library
from polydsl.semantics.program import Value


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A kernel with the layouts of its arguments and the values of its constants.

    `results` are the layouts of `out=` arrays, empty where results are row-major.
    `bound` names the parameters whose elements are known before the first call;
    `preference` is what the user asks of the scheduler.
    """

    library: Library
    kernel: str
    arguments: Mapping[str, ArrayLayout]
    constants: Mapping[str, Value]
    results: tuple[ArrayLayout, ...] = ()
    bound: frozenset[str] = frozenset()
    preference: Preference = PLAIN

    @property
    def shapes(self) -> dict[str, tuple[DType, tuple[int, ...]]]:
        """The dtype and shape of every argument."""
        return {n: (a.dtype, a.shape) for n, a in self.arguments.items()}

    def layout(self, scop: Scop) -> dict[str, tuple[int, ...]]:
        """Return the strides of every tensor of the scop, in elements."""
        strides = {t.name: contiguous(t.shape) for t in scop.tensors}
        strides.update({n: a.strides for n, a in self.arguments.items()})
        if self.results:
            given = zip(scop.results, self.results)
            strides.update({n: a.strides for n, a in given if n not in self.arguments})
        return strides

    def choosing(self, points: Mapping[str, Point]) -> Request:
        """Return the request with points forced, by the subjects of decisions."""
        return replace(self, preference=self.preference.choosing(points))

    def untuned(self) -> Request:
        """Return the request without forced points."""
        return replace(self, preference=replace(self.preference, chosen=()))

    def identity(self) -> str:
        """Return a text that differs wherever the compiled code may."""
        arguments = [
            f"{n} {a.dtype} {a.shape} {a.strides}" for n, a in self.arguments.items()
        ]
        constants = [f"{n} {v!r}" for n, v in sorted(self.constants.items())]
        results = [f"{a.dtype} {a.shape} {a.strides}" for a in self.results]
        parts = [self.kernel, *arguments, *constants, *results, *sorted(self.bound)]
        asked = self.preference.identity()
        return "\n".join((*parts, asked, *_texts(self.library)))


def _texts(library: Library) -> tuple[str, ...]:
    """Return the source texts that a library's kernels come from."""
    texts: dict[str, None] = {}
    libraries = [library]
    for found in libraries:
        kernels = found.kernels.values()
        texts.update({kernel.span.source.text: None for kernel in kernels})
        imported = (i.library for i in found.imports.values())
        libraries += dict.fromkeys(i for i in imported if i not in libraries)
    return tuple(texts)
