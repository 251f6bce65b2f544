"""Numbers that must agree: extents that one index runs over, and declarations."""

from __future__ import annotations

from collections.abc import Iterator

from polydsl.semantics.building import BoundFrame, numbers
from polydsl.semantics.context import text_of
from polydsl.semantics.program import Access, Call, Definition, Expr, Select, walk
from polydsl.semantics.shapes import extent_of, is_same
from polydsl.semantics.sizes import evaluate, is_constant
from polydsl.semantics.typed import FindRange, RangeSource, TypedTensor


def check_agreement(frame: BoundFrame) -> None:
    """Report declarations, or sources of one rank, that give different numbers."""
    agree = [_check_declared(tensor, frame) for tensor in frame.typed.tensors]
    chosen = {s.index: s.source for s in frame.typed.steps if isinstance(s, FindRange)}
    for source in frame.typed.sources if all(agree) else ():
        first = chosen.get(source.index)
        if first is not None and first.rank == source.rank:
            _check_source(first, source, frame)


def _check_declared(tensor: TypedTensor, frame: BoundFrame) -> bool:
    found = frame.shapes[tensor.name]
    for shape in tensor.declared:
        wanted = tuple(
            extent_of(tensor, number, dim, frame)
            for number, dim in enumerate(shape.dims)
        )
        if not is_same(found, wanted):
            frame.error(
                "E0215",
                f"{tensor.name} is declared as {numbers(wanted)} and has the shape "
                f"{numbers(found)}",
                shape.span,
                label=f"{numbers(wanted)} here",
                hint="a tensor has one shape",
            )
            return False
    return True


def _check_source(first: RangeSource, other: RangeSource, frame: BoundFrame) -> None:
    extents = [frame.shapes[source.tensor][source.dim] for source in (first, other)]
    if extents[0].value == extents[1].value:
        return
    one = f"dimension {first.dim} of {first.tensor} has extent {extents[0].value}"
    two = f"dimension {other.dim} of {other.tensor} has extent {extents[1].value}"
    frame.error(
        "E0204",
        f"the index {other.index} has two ranges: {one}, but {two}",
        other.span,
        label=f"{other.index} would run to {extents[1].value} here, and to "
        f"{extents[0].value} in line {first.span.line}",
        hint=f"use two indices, or declare the range: {other.index} in range("
        f"{min(extents[0].value, extents[1].value)})",
    )


def check_divisors(definition: Definition, frame: BoundFrame) -> None:
    """Report `// 0` and `% 0` where the quotient has to be quasi-affine."""
    for part in _subscripts_and_conditions(definition):
        for inner in walk(part):
            _check_divisor(inner, frame)


def _subscripts_and_conditions(definition: Definition) -> Iterator[Expr]:
    yield from definition.subscripts
    for expr in (*definition.subscripts, definition.value):
        for node in walk(expr):
            match node:
                case Access(_, subscripts):
                    yield from subscripts
                case Select(condition):
                    yield condition


def _check_divisor(expr: Expr, frame: BoundFrame) -> None:
    match expr:
        case Call("floordiv" | "mod", (_, divisor), dtype) if not dtype.is_float:
            if not is_constant(divisor):
                return
            try:
                is_zero = evaluate(divisor, frame.builder.binding) == 0
            except ZeroDivisionError:
                is_zero = True
            if is_zero:
                frame.error(
                    "E0219",
                    "a subscript or condition divides by zero",
                    expr.span,
                    label=f"{text_of(divisor.span)} is 0 here",
                    hint="divide by a size or constant that is not 0",
                )
