"""Casts between integers that the user writes: they wrap around, as in NumPy.

A conversion in the scop and below saturates, which is what storing does. So an explicit
cast to a type that does not hold all numbers is written out:

    i8(x)  ->  (x + 128) % 256 - 128
"""

from __future__ import annotations

from polydsl.base.dtypes import I64, widen
from polydsl.poly.drafts import converted
from polydsl.semantics.program import Call, Cast, Expr, Literal


def cast(expr: Cast) -> Expr:
    """Return the cast, or what stands for it."""
    source, target, span = expr.operand.dtype, expr.dtype, expr.span
    holds_all = target.least <= source.least and source.greatest <= target.greatest
    if not (expr.explicit and source.is_int and target.is_int) or holds_all:
        return expr
    # Where the sum overflows, it wraps at a multiple of the modulus.
    wide = I64 if target.bits == 32 else widen(source)
    least = Literal(target.least, wide, span)
    modulus = Literal(1 << target.bits, wide, span)
    shifted = Call("sub", (converted(expr.operand, wide), least), wide, span)
    rest = Call("mod", (shifted, modulus), wide, span)
    return Cast(Call("add", (rest, least), wide, span), target, False, span)
