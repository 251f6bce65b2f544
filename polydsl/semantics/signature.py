"""The signature of a kernel, for callers, listings and headers."""

from __future__ import annotations

from dataclasses import dataclass

from polydsl.base.dtypes import DTYPES, DType
from polydsl.semantics.context import text_of
from polydsl.semantics.elaborate import elaborate_kernel
from polydsl.semantics.frame import Session
from polydsl.semantics.instance import representative
from polydsl.semantics.library import Library
from polydsl.semantics.program import Value
from polydsl.syntax import ast


@dataclass(frozen=True, slots=True)
class TensorParameter:
    """`name: dtype[dims]`: `dtype` is None for a dtype variable.

    `dims` are the dimensions as they are written; `...` may be the first.
    """

    name: str
    dtype: DType | None
    dtype_name: str
    dims: tuple[str, ...]

    @property
    def is_scalar(self) -> bool:
        """Whether a number will do as the argument."""
        return not self.dims

    def __str__(self) -> str:
        return f"{self.name}: {_type(self.dtype_name, self.dims)}"


@dataclass(frozen=True, slots=True)
class ConstantParameter:
    """`name: type = default`; `default` is None where there is none."""

    name: str
    type: str
    default: Value | None

    def __str__(self) -> str:
        text = f"{self.name}: {self.type}"
        return text if self.default is None else f"{text} = {self.default}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a kernel takes and gives. `results` are types as they are written."""

    name: str
    tensors: tuple[TensorParameter, ...]
    constants: tuple[ConstantParameter, ...]
    results: tuple[str, ...]
    result_names: tuple[str, ...]
    docstring: str | None

    def __str__(self) -> str:
        parameters = [str(tensor) for tensor in self.tensors]
        if self.constants:
            parameters += ["*", *(str(constant) for constant in self.constants)]
        text = f"{self.name}({', '.join(parameters)})"
        if not self.results:
            return text
        results = ", ".join(self.results)
        return f"{text} -> " + (results if len(self.results) == 1 else f"({results})")


def signature(library: Library, kernel: ast.Kernel) -> Signature:
    """Return the signature of a checked kernel."""
    typed = elaborate_kernel(library, kernel, representative(kernel), Session()).kernel
    defaults = {} if typed is None else {c.name: c.default for c in typed.constants}
    returned = next((s for s in kernel.body if isinstance(s, ast.Return)), None)
    return Signature(
        kernel.name.name,
        tuple(_parameter(parameter) for parameter in kernel.parameters),
        tuple(
            ConstantParameter(c.name.name, c.type, defaults.get(c.name.name))
            for c in kernel.constants
        ),
        tuple(_type(t.dtype, _dims(t)) for t in kernel.results or ()),
        tuple(name.name for name in returned.names) if returned else (),
        kernel.docstring,
    )


def _parameter(parameter: ast.Parameter) -> TensorParameter:
    type = parameter.type
    dtype = DTYPES.get(type.dtype)
    return TensorParameter(parameter.name.name, dtype, type.dtype, _dims(type))


def _dims(type: ast.TensorType) -> tuple[str, ...]:
    return tuple(
        "..." if isinstance(dim, ast.Ellipsis) else text_of(dim.span)
        for dim in type.dims
    )


def _type(dtype: str, dims: tuple[str, ...]) -> str:
    return f"{dtype}[{', '.join(dims)}]" if dims else dtype
