"""What a product does with two elements, and with what comes of them.

    C[i, j] = combine over k of function(A[i, k], B[k, j])

The inner product of APL: matrix multiplication is (add, A * B), the product of tropical
algebra (max, A + B), the L1 distance (add, abs(A - B)). The function is an expression
over one element of each factor and numbers; all of it is in the type of the product.

Only functions that are a vector instruction or two are admitted (`INSTRUCTIONS`): what
a register tile saves are loads, and beside a division, a root or an exponential the
loads of a plain vector loop cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal as OneOf
from typing import TypeAlias, TypeVar, assert_never

from polydsl.base.functions import FUNCTIONS, Combine

Side = OneOf["A", "B"]


@dataclass(frozen=True, slots=True)
class Factor:
    """The element of a factor: of the broadcast side A or of the vector side B."""

    side: Side


@dataclass(frozen=True, slots=True)
class Number:
    """A number, the same for all elements."""

    value: float


@dataclass(frozen=True, slots=True)
class Apply:
    """A row of `INSTRUCTIONS` on operands."""

    function: str
    arguments: tuple[Term, ...]


Term: TypeAlias = Factor | Number | Apply

A, B = Factor("A"), Factor("B")

INSTRUCTIONS = {
    "pos": 0,
    "add": 1,
    "sub": 1,
    "mul": 1,
    "neg": 1,
    "abs": 1,
    "min": 1,
    "max": 1,
    "relu": 1,
    "clamp": 2,
}
"""The functions of a product with their vector instructions; `min` and `max` take one
for each operand after the first."""

COMMUTATIVE = frozenset(("add", "mul", "min", "max"))
"""Functions of two operands whose order makes no difference."""

_WITH_CONSTANT = frozenset(("abs", "neg", "relu"))
"""Functions that need a constant in a register: a mask of signs, or zero."""

_COMBINES: frozenset[Combine] = frozenset(("add", "mul", "max", "min"))


@dataclass(frozen=True, slots=True)
class InnerProduct:
    """How a product combines its terms, and the function that makes them."""

    combine: Combine
    function: Term

    def exchanged(self) -> InnerProduct:
        """Return the same for exchanged factors: A and B change places."""
        return InnerProduct(self.combine, ordered(_exchange(self.function)))

    @property
    def has_sided_part(self) -> bool:
        """Whether a part of the function is one of a single factor, but not it."""
        parts = (t for t in _terms(self.function) if isinstance(t, Apply))
        return any(len(_sides(part)) == 1 for part in parts)

    @property
    def adds_products(self) -> bool:
        """Whether a multiply-add does the last multiplication and the sum at once."""
        root = self.function
        is_product = isinstance(root, Apply) and root.function == "mul"
        return self.combine == "add" and is_product


MULTIPLY_ADD = InnerProduct("add", Apply("mul", (A, B)))
"""The inner product of linear algebra."""


def can_combine(combine: Combine | None) -> bool:
    """Return whether a product may combine its terms so: a sum, product or extremum."""
    return combine in _COMBINES


T = TypeVar("T")


def fold(
    term: Term,
    factor: Callable[[Side], T],
    number: Callable[[float], T],
    apply: Callable[[str, tuple[T, ...]], T],
) -> T:
    """Return the value of a term, given those of its leaves and of its functions."""
    match term:
        case Factor(side):
            return factor(side)
        case Number(value):
            return number(value)
        case Apply(function, arguments):
            values = (fold(a, factor, number, apply) for a in arguments)
            return apply(function, tuple(values))
        case _:
            assert_never(term)


def ordered(term: Term) -> Term:
    """Return the term with the operands of commutative functions in one order, so that
    A * B and B * A are equal."""

    def apply(function: str, arguments: tuple[Term, ...]) -> Term:
        if function in COMMUTATIVE:
            arguments = tuple(sorted(arguments, key=label))
        return Apply(function, arguments)

    return fold(term, Factor, Number, apply)


def _exchange(term: Term) -> Term:
    def other(side: Side) -> Term:
        return B if side == "A" else A

    return fold(term, other, Number, Apply)


def label(term: Term) -> str:
    """Return a name for a term, of letters, digits, dots and lines; different terms
    have different names."""

    def apply(function: str, arguments: tuple[str, ...]) -> str:
        return "_".join((f"{function}{len(arguments)}", *arguments))

    return fold(term, str, _number_label, apply)


def _number_label(value: float) -> str:
    return repr(value).replace("-", "m").replace("+", "p")


def formula(term: Term, a: str, b: str) -> str:
    """Return the text of a term, with texts for the elements."""
    return fold(term, lambda side: (a if side == "A" else b, False), _number, _text)[0]


_Text = tuple[str, bool]
"""A text, and whether it needs brackets inside an operator."""


def _number(value: float) -> _Text:
    return repr(value), False


def _text(function: str, arguments: tuple[_Text, ...]) -> _Text:
    symbol = FUNCTIONS[function].symbol
    if not symbol:
        return f"{function}({', '.join(text for text, _ in arguments)})", False
    operands = [f"({text})" if is_open else text for text, is_open in arguments]
    if len(operands) == 1:
        return symbol + operands[0], False
    return f" {symbol} ".join(operands), True


# What it costs


@dataclass(frozen=True, slots=True)
class Work:
    """What one step of a register tile takes, in vector instructions and registers.

    `point` instructions for each vector of results, the combination among them; `row`
    for each broadcast and `column` for each vector of B, whatever they meet. A
    broadcast is held as `row_values` values, a vector of B as `column_values`. Beside
    these and the accumulators, `registers` hold intermediate values and constants.
    """

    point: int
    row: int
    column: int
    row_values: int
    column_values: int
    registers: int


@cache
def work(inner: InnerProduct, *, has_fma: bool) -> Work:
    """Return the work of an inner product. What occurs twice is computed once."""
    terms = frozenset(_terms(inner.function))
    mixed = frozenset(t for t in terms if _sides(t) == {"A", "B"})
    point = 1 + sum(_instructions(t) for t in mixed)
    live = _intermediate(inner.function)
    if inner.adds_products and has_fma:
        point -= 1
        live = _intermediates(inner.function)
    constants = {t for t in terms if isinstance(t, Number)} | {
        t.function
        for t in terms
        if isinstance(t, Apply) and t.function in _WITH_CONSTANT
    }
    held = frozenset(o for t in mixed for o in _operands(t))
    return Work(
        point=point,
        row=sum(_instructions(t) for t in terms if _sides(t) == {"A"}),
        column=sum(_instructions(t) for t in terms if _sides(t) == {"B"}),
        row_values=sum(1 for t in held if _sides(t) == {"A"}),
        column_values=sum(1 for t in held if _sides(t) == {"B"}),
        registers=live + len(constants),
    )


def _terms(term: Term) -> Iterator[Term]:
    yield term
    for operand in _operands(term):
        yield from _terms(operand)


def _operands(term: Term) -> tuple[Term, ...]:
    return term.arguments if isinstance(term, Apply) else ()


def _sides(term: Term) -> frozenset[Side]:
    return frozenset(t.side for t in _terms(term) if isinstance(t, Factor))


def _instructions(term: Term) -> int:
    match term:
        case Apply("min" | "max", arguments):
            return len(arguments) - 1
        case Apply(function):
            return INSTRUCTIONS[function]
        case _:
            return 0


def _intermediate(term: Term) -> int:
    """Return the registers for a term that is computed at each point (Sethi and
    Ullman, 1970); other values are there already."""
    return max(1, _intermediates(term)) if len(_sides(term)) == 2 else 0


def _intermediates(term: Term) -> int:
    """Return the registers for a term's operands, the most demanding first."""
    needs = sorted({o: _intermediate(o) for o in _operands(term)}.values())
    return max((n + i for i, n in enumerate(reversed(needs)) if n), default=0)
