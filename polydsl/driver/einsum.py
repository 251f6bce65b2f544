"""`polydsl.einsum`: one product in NumPy's notation, as a kernel of one statement.

An equation such as `ij,jk->ik` becomes kernel text, each operand with a dtype of its
own, and goes the way of every kernel; the kernel is kept. A letter is an index, `...`
stands for leading dimensions that all operands with `...` share, and a letter that is
not in the output is summed over. Errors show the equation with a caret.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from polydsl.backend.arrays import read_argument, read_scalar
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.dtypes import F32, F64, I64, DType, from_numpy, promote
from polydsl.base.quantities import count_text
from polydsl.driver.kernel import Kernel
from polydsl.driver.loading import loads

Array = np.ndarray[Any, Any]

_KEPT = 4096
"""So many equations are kept with their kernels; the least used ones go first."""

_LONGEST = 16
"""So many factors are written in one row."""

_NUMBERS = frozenset((bool, int, float))
_ELLIPSIS = "..."
_WORD = re.compile(r"[a-zA-Z]|\.\.\.|,|->")


@dataclass(frozen=True, slots=True)
class Label:
    """A letter or `...`, and its place in the equation."""

    name: str
    place: int


Term = tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """The subscripts of every operand and of the result. `starts` are the places at
    which the operands begin in the text."""

    text: str
    operands: tuple[Term, ...]
    output: Term
    starts: tuple[int, ...]

    @property
    def is_summed(self) -> bool:
        """Whether an operand has a letter that the output has not."""
        inner = {label.name for term in self.operands for label in term}
        return bool(inner - {label.name for label in self.output})


def einsum(
    subscripts: str, *operands: Any, out: Any = None, threads: int | None = None
) -> Any:
    """Return a product of arrays, summed over what the output does not name.

    `polydsl.einsum("ij,jk->ik", a, b)`. Without `->` the output has the letters that
    occur once, in alphabetical order. It is NumPy's notation with the numbers of the
    language: `i8` products are `i32`, nothing is stretched from extent 1, and `...`
    stands first and for the same dimensions in all operands that have it. A Python
    number is a scalar operand. Raises `ArgumentError`.
    """
    kernel = einsum_kernel(subscripts)
    if not _NUMBERS.isdisjoint(map(type, operands)):
        operands = _typed(operands)
    try:
        return kernel(*operands, out=out, threads=threads)
    except ArgumentError:
        _check_operands(_parse(subscripts), operands)
        raise


def einsum_kernel(subscripts: str) -> Kernel:
    """Return the kernel that computes an equation, with operands `x0`, `x1` and so on:
    to verify, explain, bind or tune it. Raises `ArgumentError`."""
    if not isinstance(subscripts, str):
        came = type(subscripts).__name__
        raise ArgumentError(
            f"einsum needs its subscripts as a text such as 'ij,jk->ik', and {came} "
            "came; operands with lists of numbers are not served"
        )
    return _kernel_of(subscripts)


@functools.lru_cache(maxsize=_KEPT)
def _kernel_of(subscripts: str) -> Kernel:
    return _kernel(_kernel_text(_parse(subscripts)))


@functools.lru_cache(maxsize=_KEPT)
def _kernel(text: str) -> Kernel:
    return loads(text, "<einsum>").einsum


# From the equation to the kernel


@functools.lru_cache(maxsize=_KEPT)
def _parse(text: str) -> Equation:
    operands: list[list[Label]] = [[]]
    starts = [0]
    output: list[Label] | None = None
    for word, place in _words(text):
        target = operands[-1] if output is None else output
        if word == "," and output is None:
            operands.append([])
            starts.append(place + 1)
        elif word == "->" and output is None:
            output = []
        elif word in ",->":
            _refuse(text, place, "the output is one term after one '->'")
        elif word == _ELLIPSIS and target:
            _refuse(text, place, "'...' stands for leading dimensions: write it first")
        else:
            target.append(Label(word, place))
    terms = tuple(map(tuple, operands))
    found = _implicit(terms) if output is None else tuple(output)
    equation = Equation(text, terms, found, tuple(starts))
    return _with_known_output(equation)


def _words(text: str) -> Iterator[tuple[str, int]]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        word = _WORD.match(text, place)
        if word is None:
            remedy = "subscripts are the letters a-z and A-Z, '...', ',' and '->'"
            _refuse(text, place, f"{text[place]!r} is no subscript; {remedy}")
        yield word[0], place
        place = word.end()


def _implicit(operands: tuple[Term, ...]) -> Term:
    """Return the output of an equation that names none."""
    labels = [label for term in operands for label in term]
    counts = Counter(label.name for label in labels)
    once = sorted((a for a in labels if counts[a.name] == 1), key=lambda a: a.name)
    leading = [label for label in labels if label.name == _ELLIPSIS]
    return (*leading[:1], *(a for a in once if a.name != _ELLIPSIS))


def _with_known_output(equation: Equation) -> Equation:
    """Check the output; leave out a `...` that stands for nothing."""
    text, output = equation.text, equation.output
    inner = {label.name for term in equation.operands for label in term}
    counts: Counter[str] = Counter()
    for label in output:
        counts[label.name] += 1
        if counts[label.name] > 1:
            _refuse(text, label.place, f"the output has {label.name} twice")
        if label.name not in inner and label.name != _ELLIPSIS:
            message = f"the output has {label.name}, and no operand has it"
            _refuse(text, label.place, message)
    if _ELLIPSIS in inner and not counts[_ELLIPSIS]:
        terms = (label for term in equation.operands for label in term)
        place = next(label.place for label in terms if label.name == _ELLIPSIS)
        message = "the output has no '...'; give what is summed over a letter"
        _refuse(text, place, message)
    known = tuple(label for label in output if label.name in inner)
    return Equation(text, equation.operands, known, equation.starts)


def _kernel_text(equation: Equation) -> str:
    """Return a kernel of one statement: the letters are its indices."""
    parameters, factors = [], []
    for number, term in enumerate(equation.operands):
        names = [label.name for label in term]
        sizes = [name if name == _ELLIPSIS else f"N_{name}" for name in names]
        parameters.append(f"x{number}: T{number}{_brackets(sizes)}")
        factors.append(f"x{number}{_brackets(names)}")
    target = _brackets([label.name for label in equation.output])
    operator = "+=" if equation.is_summed else "="
    return (
        f"kernel einsum({', '.join(parameters)}):\n"
        f"    result{target} {operator} {_product(factors)}\n"
        "    return result\n"
    )


def _product(factors: Sequence[str]) -> str:
    """Multiply in pairs of groups where there are many: depth is bounded."""
    if len(factors) <= _LONGEST:
        return " * ".join(factors)
    half = len(factors) // 2
    return f"({_product(factors[:half])}) * ({_product(factors[half:])})"


def _brackets(names: Sequence[str]) -> str:
    return f"[{', '.join(names)}]" if names else ""


# Operands


def _typed(operands: Sequence[Any]) -> tuple[Any, ...]:
    """Give Python numbers the type that a number takes beside the other operands."""
    arrays = [
        read_argument(value, f"{number} of einsum", "an array")
        for number, value in enumerate(operands)
        if type(value) not in _NUMBERS
    ]
    dtypes = [d for d in (from_numpy(a.dtype) for a in arrays) if d is not None]
    met = functools.reduce(promote, dtypes) if dtypes else None
    return tuple(
        read_scalar(value, f"{number} of einsum", _weak(value, met))
        if type(value) in _NUMBERS
        else value
        for number, value in enumerate(operands)
    )


def _weak(value: float, met: DType | None) -> DType:
    if met is None:
        return F64 if isinstance(value, float) else I64
    return F32 if isinstance(value, float) and not met.is_float else met


def _check_operands(equation: Equation, operands: Sequence[Any]) -> None:
    """Raise `ArgumentError` with the equation for operands that do not fit it."""
    text, terms = equation.text, equation.operands
    if len(operands) != len(terms):
        place = equation.starts[min(len(operands), len(terms) - 1)]
        message = f"the equation has {count_text(len(terms), 'operand')}"
        _refuse(text, place, f"{message}, and {len(operands)} came")
    sizes: dict[str, tuple[object, int]] = {}
    for number, (term, operand) in enumerate(zip(terms, operands)):
        array = read_argument(operand, f"{number} of einsum", "an array")
        _check_rank(equation, number, array)
        _check_sizes(text, number, _dimensions(term, array), sizes)


def _check_rank(equation: Equation, number: int, array: Array) -> None:
    term = equation.operands[number]
    has_leading = bool(term) and term[0].name == _ELLIPSIS
    least = len(term) - has_leading
    if array.ndim == least or (has_leading and array.ndim > least):
        return
    place = term[0].place if term else equation.starts[number]
    came = f"operand {number} has {count_text(array.ndim, 'dimension')}"
    more = " or more" if has_leading else ""
    message = f"{came}, and its subscripts are for {least}{more}"
    _refuse(equation.text, place, message)


def _dimensions(term: Term, array: Array) -> Iterator[tuple[Label, object]]:
    """Yield each label of an operand with its extent; `...` with several."""
    has_leading = bool(term) and term[0].name == _ELLIPSIS
    if has_leading:
        leading = array.ndim - (len(term) - 1)
        yield term[0], array.shape[:leading]
        yield from zip(term[1:], array.shape[leading:])
    else:
        yield from zip(term, array.shape)


def _check_sizes(
    text: str,
    number: int,
    dimensions: Iterator[tuple[Label, object]],
    sizes: dict[str, tuple[object, int]],
) -> None:
    for label, extent in dimensions:
        before, where = sizes.setdefault(label.name, (extent, number))
        if before != extent:
            told = f"{label.name} is {extent} in operand {number}"
            message = f"{told}, and {before} in operand {where}"
            if 1 in (before, extent):
                message += "; nothing is stretched from extent 1"
            _refuse(text, label.place, message)


def _refuse(text: str, place: int, message: str) -> NoReturn:
    shown = "".join(" " if char.isspace() else char for char in text)
    caret = " " * place + "^"
    raise ArgumentError(f"einsum: {message}\n    {shown}\n    {caret}")
