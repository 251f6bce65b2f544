"""The arguments of a call: which value belongs to which parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydsl.backend.arrays import ArrayLayout, read_argument, read_scalar
from polydsl.base.diagnostics import ArgumentError, bug
from polydsl.base.dtypes import DTYPES, DType
from polydsl.loops.nest import contiguous
from polydsl.semantics.library import Library
from polydsl.semantics.program import Value
from polydsl.semantics.scope import suggest
from polydsl.syntax import ast

Array = np.ndarray[Any, Any]

_SPEC = re.compile(r"\s*(\w+)\s*(?:\[\s*([\d\s,]*)\])?\s*\Z")


def parse_spec(text: str, parameter: str) -> ArrayLayout:
    """Return the row-major layout that a spec such as `f32[64,32]` stands for."""
    found = _SPEC.match(text)
    if found is None or found[1] not in DTYPES:
        raise ArgumentError(
            f"{parameter}: {text!r} is no spec; write a dtype and sizes: 'f32[64,32]'"
        )
    shape = tuple(int(n) for n in (found[2] or "").split(",") if n.strip())
    return ArrayLayout(DTYPES[found[1]], shape, contiguous(shape))


@dataclass(frozen=True, slots=True)
class Parameters:
    """The tensors and constants of a kernel, and what of them is bound."""

    kernel: ast.Kernel
    bound: Mapping[str, Array]
    given: Mapping[str, Value]

    @staticmethod
    def of(
        library: Library,
        name: str,
        bound: Mapping[str, Array],
        given: Mapping[str, Value],
    ) -> Parameters:
        """Return the parameters of a kernel of a library."""
        found = library.find(name)
        if found is None:
            bug(f"the library has no kernel {name}")
        return Parameters(found[1], bound, given)

    @property
    def docstring(self) -> str | None:
        """The docstring of the definition."""
        return self.kernel.docstring

    @property
    def signature(self) -> str:
        """The header as it is written, on one line."""
        text = self.kernel.span.text
        header = re.split(r":\s*(?:#[^\n]*)?\n", text, maxsplit=1)[0]
        header = re.sub(r"^(kernel|def)\s+", "", header.strip())
        return re.sub(r"\s+", " ", header)

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all tensor parameters."""
        return tuple(p.name.name for p in self.kernel.parameters)

    @property
    def constants(self) -> tuple[str, ...]:
        """The names of all constants."""
        return tuple(c.name.name for c in self.kernel.constants)

    def match(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Value]]:
        """Return the value of every tensor, in order, and the constants."""
        name = self.kernel.name.name
        free = [t for t in self.tensors if t not in self.bound]
        if len(args) > len(free):
            raise ArgumentError(
                f"{name} takes {len(free)} tensors ({', '.join(free)}), and "
                f"{len(args)} came; constants are keyword arguments"
            )
        values: dict[str, Any] = {**self.bound, **dict(zip(free, args))}
        constants: dict[str, Value] = dict(self.given)
        for key, value in kwargs.items():
            if key in self.constants and key not in self.given:
                constants[key] = _plain(value)
            elif key in free and key not in values:
                values[key] = value
            else:
                raise ArgumentError(self._unknown(key, values))
        for tensor in self.kernel.parameters:
            if tensor.name.name not in values:
                needed = " ".join(tensor.span.text.split())
                raise ArgumentError(f"{name} needs {needed}, which is missing")
        return {t: values[t] for t in self.tensors}, constants

    def _unknown(self, key: str, values: Mapping[str, Any]) -> str:
        name = self.kernel.name.name
        if key in self.bound or key in self.given:
            return f"{name}: {key} is bound already"
        if key in values:
            return f"{name}: {key} came twice"
        known = [*self.tensors, *self.constants]
        hint = suggest(key, known) or f"it has {', '.join(known)}"
        return f"{name} has no parameter {key}; {hint}"

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, Value]]:
        """Return every tensor as an array, in order, and the constants."""
        values, constants = self.match(args, kwargs)
        return self.arrays(values), constants

    def arrays(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """Return tensors as arrays. A Python number for a scalar tensor takes the
        dtype that its parameter names, or that other arrays give to its variable."""
        plain = [t for t, v in values.items() if self._is_number(t, v)]
        found = {t: self.array(t, v) for t, v in values.items() if t not in plain}
        types = {self._parameter(t).type.dtype: _dtype(a) for t, a in found.items()}
        for tensor in plain:
            variable = self._parameter(tensor).type.dtype
            dtype = DTYPES.get(variable) or types.get(variable)
            found[tensor] = self.array(tensor, values[tensor], dtype)
        return {t: found[t] for t in values}

    def _is_number(self, name: str, value: Any) -> bool:
        is_scalar = name not in self.bound and not self._parameter(name).type.dims
        return is_scalar and isinstance(value, bool | int | float)

    def _parameter(self, name: str) -> ast.Parameter:
        return next(p for p in self.kernel.parameters if p.name.name == name)

    def split(
        self, given: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, Value]]:
        """Return the tensors and the constants among keyword arguments."""
        tensors: dict[str, Array] = {}
        constants: dict[str, Value] = {}
        for key, value in given.items():
            if key in self.bound or key in self.given:
                raise ArgumentError(self._unknown(key, {}))
            if key in self.tensors:
                tensors[key] = self.array(key, value)
                self._check_rank(key, tensors[key])
            elif key in self.constants:
                constants[key] = _plain(value)
            else:
                raise ArgumentError(self._unknown(key, {}))
        return tensors, constants

    def _check_rank(self, name: str, array: Array) -> None:
        """Raise unless a tensor that is bound has the dimensions that it needs."""
        dims = self._parameter(name).type.dims
        least = sum(1 for d in dims if not isinstance(d, ast.Ellipsis))
        if array.ndim == least or (least < len(dims) and array.ndim > least):
            return
        needed = " ".join(self._parameter(name).span.text.split())
        raise ArgumentError(
            f"{self.kernel.name.name} needs {needed}, and an array with {array.ndim} "
            "dimensions came"
        )

    def array(self, name: str, value: Any, dtype: DType | None = None) -> Array:
        """Return an argument as an array; a Python number for a scalar tensor."""
        if name in self.bound:
            return self.bound[name]
        parameter = self._parameter(name)
        dtype = DTYPES.get(parameter.type.dtype, dtype)
        label = f"{self.kernel.name.name}: {name}"
        if not parameter.type.dims and dtype is not None:
            return read_scalar(value, label, dtype)
        return read_argument(value, label, parameter.type.span.text)

    def first_tensor(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> object:
        """Return the first tensor argument of a call, whose kind results have."""
        if args:
            return args[0]
        return next((kwargs[t] for t in self.tensors if t in kwargs), None)


def _dtype(array: Array) -> DType | None:
    return next((d for d in DTYPES.values() if d.numpy == array.dtype), None)


def _plain(value: Any) -> Value:
    """Return a constant as a Python value: NumPy's scalars are as good."""
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, bool | int | float):
        raise ArgumentError(f"a constant is a number, and {value!r} came")
    return plain
