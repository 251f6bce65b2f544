"""Which parts of a statement the two sides of a product stand for.

The function of a `BatchReduceGemm` is laid over the value of the statement: where it
has A or B, the value has a part, everywhere the same one. So for these parts the
function computes the value. Operands of a commutative function may change places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

from polydsl.base.inner_product import COMMUTATIVE, Apply, Factor, Number, Side, Term
from polydsl.schedule.inner_product import number
from polydsl.semantics import program

Binding = Mapping[Side, program.Expr]


def bindings(
    function: Term, value: program.Expr, sizes: Mapping[str, program.Value]
) -> Iterator[Binding]:
    """Yield every way to put parts for A and B so that the function is the value."""
    for bound in _bindings(((function, value),), {}, sizes):
        if len(bound) == 2:
            yield bound


def _bindings(
    pairs: tuple[tuple[Term, program.Expr], ...],
    bound: Binding,
    sizes: Mapping[str, program.Value],
) -> Iterator[Binding]:
    """Yield the bindings that extend *bound* and make every pair equal."""
    if not pairs:
        yield bound
        return
    (term, value), *rest = pairs
    others = tuple(rest)
    match term, value:
        case Factor(side), _:
            if bound.get(side, value) == value:
                yield from _bindings(others, {**bound, side: value}, sizes)
        case Number(found), _:
            # Text tells -0.0 from 0.0 and finds NaN equal to itself.
            if repr(found) == repr(number(value, sizes)):
                yield from _bindings(others, bound, sizes)
        case Apply(function, operands), program.Call(wanted, arguments):
            if function != wanted or len(operands) != len(arguments):
                return
            orders: Iterable[tuple[program.Expr, ...]] = (arguments,)
            if function in COMMUTATIVE:
                orders = permutations(arguments)
            for order in orders:
                inside = (*zip(operands, order), *others)
                yield from _bindings(inside, bound, sizes)
        case _:
            return
