"""Factors that do not depend on what is summed leave the sum: `factored(scop) -> Scop`.

    h[i, j] += x[i, k] / n[i] * w[k, j]    ->    h_sum[i, j] += x[i, k] * w[k, j]
                                                 h[i, j] = h_sum[i, j] / n[i]

What is left is a product of two tensors, which a microkernel computes; what has left is
an assignment that follows on its registers. In exact arithmetic nothing changes, which
is what the language asks for; sums that are products without it stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from polydsl.base.inner_product import MULTIPLY_ADD
from polydsl.poly.scop import Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.schedule.constants import inverse
from polydsl.schedule.contraction import Contraction, match_stored
from polydsl.schedule.decision import Decision
from polydsl.schedule.elements import is_alike, is_neutral, is_whole
from polydsl.schedule.tree import fresh
from polydsl.schedule.vector_operands import value_instructions
from polydsl.semantics.program import Access, Call, Expr, Index, Literal, walk

STORED = 3.0
"""What a vector costs that is stored and loaded again, in instructions: it takes places
in caches, and loops of its own."""

Wrap: TypeAlias = Callable[[Expr], Expr]


@dataclass(frozen=True, slots=True)
class Split:
    """The summed part of a value, and what is done to the sum of it."""

    inside: Expr
    after: Wrap


def factored(scop: Scop) -> tuple[Scop, tuple[Decision, ...]]:
    """Return the scop with sums that become plain products when factors leave them, and
    a decision about each of these."""
    decisions: list[Decision] = []
    for statement in scop.statements:
        split = leaving(scop, statement)
        if split is not None:
            scop = _apart(scop, statement, split)
            reason = "what is left is a product of two tensors"
            chosen = "factors that it does not sum over are applied to the sum"
            decisions.append(Decision(statement.tensor, chosen, reason))
    return scop, tuple(decisions)


def leaving(scop: Scop, statement: Statement) -> Split | None:
    """Return how a sum is split so that a plain product is left; None where it is one
    already, or does not become one."""
    value = statement.value
    is_sum = statement.combine == "add" and value.dtype.is_float
    if not is_sum or not statement.reduced or statement.conditions:
        return None
    if _is_plain_product(scop, statement) or zeroing(scop, statement) is None:
        return None
    split = take_out(value, frozenset(statement.reduced))
    inside = replace(statement, value=split.inside)
    return split if _is_plain_product(scop, inside) else None


def _is_plain_product(scop: Scop, statement: Statement) -> bool:
    found = match_stored(scop, statement)
    return isinstance(found, Contraction) and found.inner == MULTIPLY_ADD


def zeroing(scop: Scop, update: Statement) -> Statement | None:
    """Return the assignment of zero to the elements of a sum, if these two statements
    alone define its tensor."""
    tensor = scop.tensor(update.tensor)
    writers = [s for s in scop.statements if s.tensor == tensor.name]
    others = [s for s in writers if s.name != update.name]
    if len(writers) != 2 or len(others) != 1 or tensor.dtype != update.value.dtype:
        return None
    (first,) = others
    starts = is_whole(first) and is_neutral(first, update)
    return first if starts and is_alike(first, update) else None


def take_out(value: Expr, summed: frozenset[str]) -> Split:
    """Take from a value what does not depend on the summed indices."""
    match value:
        case Call("mul", (left, right)) if is_one_type(value):
            if _is_free(left, summed):
                part = take_out(right, summed)
                return Split(part.inside, _then(part, value, left, first=True))
            if _is_free(right, summed):
                part = take_out(left, summed)
                return Split(part.inside, _then(part, value, right, first=False))
            one, other = take_out(left, summed), take_out(right, summed)
            inside = replace(value, arguments=(one.inside, other.inside))
            return Split(inside, lambda total: other.after(one.after(total)))
        case Call("div", (left, right)) if is_one_type(value):
            if _is_free(right, summed):
                part = take_out(left, summed)
                # Each term would be rounded by the division: the sum may be twice.
                by = inverse(right) if isinstance(right, Literal) else None
                if by is not None:
                    value, right = replace(value, function="mul"), by
                return Split(part.inside, _then(part, value, right, first=False))
        case Call("neg", (operand,)):
            part = take_out(operand, summed)
            after = part.after
            return Split(
                part.inside, lambda total: replace(value, arguments=(after(total),))
            )
        case _:
            pass
    return Split(value, lambda total: total)


def _then(part: Split, call: Call, free: Expr, *, first: bool) -> Wrap:
    """Return what is done to a sum, followed by an operation with a free operand."""

    def after(total: Expr) -> Expr:
        inner = part.after(total)
        return replace(call, arguments=(free, inner) if first else (inner, free))

    return after


def is_one_type(call: Call) -> bool:
    """Whether a function takes and gives numbers of one type."""
    return all(argument.dtype == call.dtype for argument in call.arguments)


def _is_free(expr: Expr, summed: frozenset[str]) -> bool:
    """Whether an expression does not depend on the summed indices."""
    names = {node.name for node in walk(expr) if isinstance(node, Index)}
    return not names & summed


def _apart(scop: Scop, update: Statement, split: Split) -> Scop:
    """Return the scop with the sum in a tensor of its own, and an assignment of what is
    done to it."""
    first = zeroing(scop, update)
    assert first is not None
    tensor = scop.tensor(update.tensor)
    scop, total = with_tensor(scop, f"{tensor.name}_sum", tensor, update.subscripts)
    names = [s.name for s in scop.statements]
    zero_name = fresh(f"{first.name}_sum", names)
    zero = replace(first, name=zero_name, tensor=total.tensor)
    summed = replace(update, tensor=total.tensor, value=split.inside)
    after = replace(first, value=split.after(total), span=update.span)
    rows = _Rows(scop, after, [])
    after = replace(after, value=rows.apart(after.value))
    scop = rows.scop
    made = {
        old.name: tuple(rebuilt(scop, s, {}, s.ranges, ()) for s in new)
        for old, new in ((first, (zero,)), (update, (summed, *rows.found, after)))
    }
    statements = (s for old in scop.statements for s in made.get(old.name, (old,)))
    return replace(scop, statements=tuple(statements))


def with_tensor(
    scop: Scop, name: str, like: TensorInfo, subscripts: tuple[Expr, ...]
) -> tuple[Scop, Access]:
    """Return the scop with one more local tensor, and the access to its element."""
    name = fresh(name, [t.name for t in scop.tensors])
    own = TensorInfo(name, like.dtype, like.shape, "local", like.span)
    access = Access(name, subscripts, like.dtype, like.span)
    return replace(scop, tensors=(*scop.tensors, own)), access


@dataclass(slots=True)
class _Rows:
    """What is dear in an assignment and the same along some of its indices: it is found
    and gets a tensor of its own, of which `found` are the statements."""

    scop: Scop
    after: Statement
    found: list[Statement]

    def apart(self, expr: Expr) -> Expr:
        """Return an expression that reads those of its parts."""
        names = {n.name for n in walk(expr) if isinstance(n, Index)}
        dims = tuple(d for d in self.after.dims if d in names)
        if len(dims) < len(self.after.dims):
            is_dear = value_instructions(expr, None) > STORED
            return self._row(expr, dims) if is_dear else expr
        if isinstance(expr, Call):
            return replace(expr, arguments=tuple(map(self.apart, expr.arguments)))
        return expr

    def _row(self, expr: Expr, dims: tuple[str, ...]) -> Access:
        after = self.after
        box = tuple(after.ranges[d] for d in dims)
        shape = tuple(hi + 1 for _, hi in box)
        like = TensorInfo("", expr.dtype, shape, "local", after.span)
        places = tuple(Index(d, after.span) for d in dims)
        name = f"{after.tensor}_row"
        self.scop, access = with_tensor(self.scop, name, like, places)
        row = replace(
            after,
            name=f"{after.name}_row{len(self.found)}",
            dims=dims,
            box=box,
            tensor=access.tensor,
            subscripts=places,
            value=expr,
        )
        self.found.append(row)
        return access
