"""What a user writes on the command line about a kernel's arguments, as values.

`Given` keeps the words of the options; `plan` turns them into a layout for every tensor
parameter (an array, where a file or a number was named) and values for the constants;
`fill` makes the arrays that are missing at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polydsl.backend.arrays import ArrayLayout, layout_of, read_argument, read_scalar
from polydsl.base.diagnostics import ArgumentError, bug
from polydsl.base.dtypes import BF16, DTYPES, F32, DType
from polydsl.driver.arguments import parse_spec
from polydsl.driver.kernel import Kernel
from polydsl.driver.random_arrays import Distribution, random_arguments
from polydsl.loops.nest import contiguous
from polydsl.semantics.elaborate import elaborate_kernel
from polydsl.semantics.frame import Session
from polydsl.semantics.instance import has_lead, representative
from polydsl.semantics.program import Expr, Size, Value, walk
from polydsl.semantics.scope import suggest
from polydsl.semantics.sizes import evaluate
from polydsl.semantics.specialize import specialize
from polydsl.semantics.typed import TypedKernel
from polydsl.syntax import ast

Array = np.ndarray[Any, Any]

_SEED = 0


@dataclass(frozen=True, slots=True)
class Given:
    """The words of `--size`, `--set`, `--dtype`, of `x=x.npy`, and `...=2x3`."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    lead: tuple[int, ...] | None = None
    constants: Mapping[str, Value] = field(default_factory=dict)
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Every tensor parameter with its layout, the arrays among them, the constants."""

    layouts: Mapping[str, ArrayLayout]
    arrays: Mapping[str, Array]
    constants: Mapping[str, Value]


def plan(kernel: Kernel, given: Given) -> Plan:
    """Return what a kernel is called with. Raises `ArgumentError` where words miss."""
    definition = _definition(kernel)
    _check_names(kernel, definition, given)
    layouts: dict[str, ArrayLayout] = {}
    arrays: dict[str, Array] = {}
    for parameter in definition.parameters:
        name = parameter.name.name
        text = given.inputs.get(name)
        if text is None:
            continue
        if text.partition("[")[0].strip() in DTYPES:
            layouts[name] = parse_spec(text, name)
        else:
            arrays[name] = _read_input(text, parameter, given)
            layouts[name] = layout_of(arrays[name])
    shapes = _Shapes.of(kernel, definition, given, layouts)
    for parameter in definition.parameters:
        if parameter.name.name not in layouts:
            layouts[parameter.name.name] = shapes.layout(parameter)
    order = [parameter.name.name for parameter in definition.parameters]
    return Plan({name: layouts[name] for name in order}, arrays, given.constants)


def fill(
    kernel: Kernel, wanted: Plan, distribution: Distribution = "normal"
) -> dict[str, Array]:
    """Return an array for every parameter: the ones given, random ones otherwise.

    The same words give the same numbers.
    """
    generator = np.random.default_rng(_SEED)
    shapes = {name: (a.dtype, a.shape) for name, a in wanted.layouts.items()}
    program = specialize(kernel.library, kernel.name, shapes, wanted.constants)
    missing = {n: a for n, a in wanted.layouts.items() if n not in wanted.arrays}
    found = random_arguments(program, missing, generator, distribution)
    return {n: wanted.arrays[n] if n in wanted.arrays else found[n] for n in shapes}


def _definition(kernel: Kernel) -> ast.Kernel:
    found = kernel.library.find(kernel.name)
    if found is None:
        bug(f"the library has no kernel {kernel.name}")
    return found[1]


def _check_names(kernel: Kernel, definition: ast.Kernel, given: Given) -> None:
    tensors = [p.name.name for p in definition.parameters]
    constants = [c.name.name for c in definition.constants]
    for name, text in given.inputs.items():
        if name in constants:
            raise ArgumentError(f"{name} is a constant: write --set {name}={text}")
        _check_known(kernel, "tensor parameter", name, tensors)
    for name, value in given.constants.items():
        if name in tensors:
            raise ArgumentError(
                f"{name} is a tensor: write {name}={value}, {name}=FILE.npy or "
                f"{name}=f32[sizes]"
            )
        _check_known(kernel, "constant", name, constants)


def _check_known(kernel: Kernel, kind: str, name: str, known: list[str]) -> None:
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "it has none"
        hint = suggest(name, known) or there
        raise ArgumentError(f"{kernel.name} has no {kind} {name}; {hint}")


def _read_input(text: str, parameter: ast.Parameter, given: Given) -> Array:
    """Return the array that `x=x.npy` or `a=0.5` stands for."""
    name = parameter.name.name
    dtype = DTYPES.get(parameter.type.dtype)
    if not parameter.type.dims and not text.endswith(".npy"):
        wanted = dtype or given.dtypes.get(parameter.type.dtype, F32)
        return read_scalar(read_number(text, name), name, wanted)
    values = _read_file(Path(text), name)
    if values.dtype == np.dtype("V2"):
        # NumPy's files do not know bfloat16: its elements come back as two bytes.
        values = values.view(BF16.numpy)
    return read_argument(values, name, parameter.type.span.text)


def _read_file(path: Path, name: str) -> Array:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ArgumentError(
            f"{name}: there is no file {path}; write a .npy file, or a spec such as "
            "f32[64,32] for random elements"
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise ArgumentError(f"{name}: {path} is no .npy file: {error}") from None
    if not isinstance(values, np.ndarray):
        raise ArgumentError(f"{name}: {path} holds several arrays; one is needed")
    return values


def read_number(text: str, name: str) -> Value:
    """Return the integer, float or bool that a word stands for."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ArgumentError(f"{name}: {text!r} is no number")


@dataclass(frozen=True, slots=True)
class _Shapes:
    """The dimensions of a kernel's parameters, and the numbers known so far."""

    kernel: Kernel
    typed: TypedKernel
    given: Given
    numbers: Mapping[str, Value]
    lead: tuple[int, ...]

    @staticmethod
    def of(
        kernel: Kernel,
        definition: ast.Kernel,
        given: Given,
        layouts: Mapping[str, ArrayLayout],
    ) -> _Shapes:
        typed = _typed(kernel, definition)
        lead = given.lead
        sizes: dict[str, Value] = dict(given.sizes)
        for parameter in definition.parameters:
            layout = layouts.get(parameter.name.name)
            if layout is None:
                continue
            dims = _explicit(typed, parameter)
            extra = len(layout.shape) - len(dims)
            if lead is None and has_lead(parameter.type) and extra >= 0:
                lead = layout.shape[:extra]
            for dim, extent in zip(dims, layout.shape[max(extra, 0) :]):
                if isinstance(dim, Size) and extra >= 0:
                    sizes.setdefault(dim.name, extent)
        _check_sizes(kernel, typed, definition, given)
        numbers = _numbers(typed, {**sizes, **given.constants})
        return _Shapes(kernel, typed, given, numbers, lead or ())

    def layout(self, parameter: ast.Parameter) -> ArrayLayout:
        """Return the row-major layout of a parameter of which nothing was said."""
        shape = tuple(
            self._extent(d, parameter) for d in _explicit(self.typed, parameter)
        )
        if has_lead(parameter.type):
            shape = (*self.lead, *shape)
        dtype = DTYPES.get(parameter.type.dtype)
        if dtype is None:
            dtype = self.given.dtypes.get(parameter.type.dtype, F32)
        return ArrayLayout(dtype, shape, contiguous(shape))

    def _extent(self, dim: Expr, parameter: ast.Parameter) -> int:
        needed = f"{parameter.name.name}: {parameter.type.span.text}"
        for name in _names(dim):
            if name not in self.numbers:
                option = "--size"
                if any(constant.name == name for constant in self.typed.constants):
                    option = "--set"
                raise ArgumentError(
                    f"{self.kernel.name} needs {name} for {needed}: "
                    f"write {option} {name}=..."
                )
        try:
            extent = int(evaluate(dim, self.numbers))
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise ArgumentError(f"{needed} has no extents: {error}") from None
        if extent < 0:
            raise ArgumentError(f"{needed} has a negative extent, {extent}")
        return extent


def _typed(kernel: Kernel, definition: ast.Kernel) -> TypedKernel:
    """Return the kernel as it was typed when it was loaded: `...` is one dimension."""
    instance = representative(definition)
    typed = elaborate_kernel(kernel.library, definition, instance, Session()).kernel
    if typed is None:
        bug(f"{kernel.name} was not checked when it was loaded")
    return typed


def _explicit(typed: TypedKernel, parameter: ast.Parameter) -> tuple[Expr, ...]:
    """Return the dimensions of a parameter behind `...`."""
    dims = typed.tensor(parameter.name.name).declared[0].dims
    return dims[1:] if has_lead(parameter.type) else dims


def _names(expr: Expr) -> Iterator[str]:
    return (node.name for node in walk(expr) if isinstance(node, Size))


def _check_sizes(
    kernel: Kernel, typed: TypedKernel, definition: ast.Kernel, given: Given
) -> None:
    defined = {size.name for size in typed.size_definitions}
    constants = {constant.name for constant in typed.constants}
    dims = (dim for p in definition.parameters for dim in _explicit(typed, p))
    names = dict.fromkeys(name for dim in dims for name in _names(dim))
    known = [name for name in names if name not in defined | constants]
    for name, value in given.sizes.items():
        if name in constants:
            raise ArgumentError(f"{name} is a constant: write --set {name}={value}")
        if name in defined:
            raise ArgumentError(
                f"{kernel.name} works {name} out itself, from {', '.join(known)}"
            )
        _check_known(kernel, "size", name, known)
        if value < 0:
            raise ArgumentError(f"the size {name} is negative: {value}")


def _numbers(typed: TypedKernel, given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the numbers of all sizes, constants and size definitions that follow."""
    numbers: dict[str, Value] = {
        c.name: c.default for c in typed.constants if c.default is not None
    }
    numbers.update(given)
    pending = list(typed.size_definitions)
    while pending:
        ready = [d for d in pending if all(n in numbers for n in _names(d.expr))]
        if not ready:
            break
        for definition in ready:
            pending.remove(definition)
            try:
                numbers[definition.name] = evaluate(definition.expr, numbers)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
    return numbers
