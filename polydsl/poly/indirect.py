"""Indirect subscripts: they are kept inside their tensors, and checked by statements.

    y[n, d] = table[ids[n], d]
        ->  table_check min= n if ids[n] < 0 or ids[n] >= V else NOWHERE
            y[n, d] = table[inside(ids[n], V), d]

So no load can leave its tensor, whatever the data are, and the check is a reduction
like any other: it runs over the indices that its subscript and the conditions around
it need, and finds the same point for every number of threads. Inside `pad` nothing is
checked; the value is chosen instead:

    pad(table[ids[n], d], v)
        ->  pad(table[inside(ids[n], V), d], v) if 0 <= ids[n] < V else v

What the interval of a subscript decides is left out.
"""

from __future__ import annotations

from dataclasses import replace

from polydsl.base.dtypes import BOOL, I64
from polydsl.poly.checks import Place, draft_check
from polydsl.poly.conditions import (
    arm_conditions,
    conjunction,
    disjunction,
    ordered_indices,
)
from polydsl.poly.defined import Defined
from polydsl.poly.drafts import Drafts
from polydsl.poly.projections import defined_by
from polydsl.poly.substitute import substitute
from polydsl.poly.terms import Interval, beyond, interval, within
from polydsl.semantics.program import (
    Access,
    Call,
    Cast,
    Definition,
    Expr,
    Index,
    Literal,
    Pad,
    Reduce,
    Select,
    Size,
    accesses,
    is_affine,
)


def kept_inside(drafts: Drafts, definition: Definition) -> Expr:
    """Return the value of a statement with its indirect subscripts inside their
    tensors, and draft their checks."""
    if not is_indirect(definition.value):
        return definition.value
    left = ordered_indices(*definition.subscripts)
    place = Place(tuple(dict.fromkeys((*left, *definition.reduced))))
    return _inside(drafts, definition.value, place)


def left_inside(drafts: Drafts, definition: Definition) -> tuple[Expr, ...] | None:
    """Return the left side of a statement with its indirect subscripts inside the
    tensor, and draft their checks; None where they have no place to be in."""
    left, span = definition.subscripts, definition.span
    if all(is_affine(s) for s in left):
        return left
    indices = ordered_indices(*left)
    place = Place(tuple(dict.fromkeys((*indices, *definition.reduced))))
    dtype = drafts.tensors[definition.tensor].dtype
    found = _inside(drafts, Access(definition.tensor, left, dtype, span), place)
    return found.subscripts if isinstance(found, Access) else None


def is_indirect(expr: Expr) -> bool:
    """Whether a subscript in *expr* depends on a tensor."""
    return any(not is_affine(s) for a in accesses(expr) for s in a.subscripts)


def _inside(drafts: Drafts, expr: Expr, place: Place) -> Expr:
    match expr:
        case Literal() | Size() | Index():
            return expr
        case Access(_, subscripts):
            kept = _each(drafts, subscripts, place)
            return _checked(drafts, replace(expr, subscripts=kept), place)
        case Pad():
            return _padded(drafts, expr, place)
        case Call(_, arguments):
            return replace(expr, arguments=_each(drafts, arguments, place))
        case Select(condition, then, otherwise):
            yes, no = arm_conditions(condition)
            return replace(
                expr,
                condition=_condition(drafts, condition, place),
                then=_inside(drafts, then, _under(place, yes)),
                otherwise=_inside(drafts, otherwise, _under(place, no)),
            )
        case Cast(operand):
            return replace(expr, operand=_inside(drafts, operand, place))
        case Reduce(_, indices, body):
            inner = replace(place, indices=(*place.indices, *indices))
            return replace(expr, body=_inside(drafts, body, inner))


def _each(drafts: Drafts, exprs: tuple[Expr, ...], place: Place) -> tuple[Expr, ...]:
    return tuple(_inside(drafts, e, place) for e in exprs)


def _under(place: Place, conditions: tuple[Expr, ...]) -> Place:
    return replace(place, conditions=place.conditions + conditions)


def _condition(drafts: Drafts, condition: Expr, place: Place) -> Expr:
    """Keep the accesses of a condition inside: affine conjuncts restrict those that
    stand to the right of them."""
    match condition:
        case Call("and", (left, right)):
            leading, _ = arm_conditions(left)
            first = _condition(drafts, left, place)
            second = _condition(drafts, right, _under(place, leading))
            return replace(condition, arguments=(first, second))
        case _:
            return _inside(drafts, condition, place)


# Checked accesses


def _checked(drafts: Drafts, access: Access, place: Place) -> Expr:
    """Keep the subscripts of an access inside, and check those that may be outside."""
    shape = drafts.tensors[access.tensor].shape
    subscripts = list(access.subscripts)
    for axis, (subscript, extent) in enumerate(zip(access.subscripts, shape)):
        if is_affine(subscript):
            continue
        ends = (0, extent - 1)
        outside = disjunction(beyond(subscript, ends, _known(drafts, subscript)))
        if outside is not None:
            draft_check(drafts, access, axis, outside, place)
            subscripts[axis] = _kept(subscript, ends)
            if extent == 0:
                # The check fails at every point: nothing is made of the value.
                return _nothing(access)
    return replace(access, subscripts=tuple(subscripts))


def _nothing(access: Access) -> Literal:
    zero = access.dtype.numpy.type(0).item()
    return Literal(zero, access.dtype, access.span)


def _kept(subscript: Expr, ends: Interval) -> Expr:
    """Return a subscript where it is within *ends*, elsewhere another that is."""
    span, (lo, hi) = subscript.span, ends
    if lo == 0:
        return Call("inside", (subscript, Literal(hi + 1, I64, span)), I64, span)
    # Counting from another start might overflow.
    least, greatest = (Literal(end, I64, span) for end in ends)
    return Call("clamp", (subscript, least, greatest), I64, span)


def _known(drafts: Drafts, subscript: Expr) -> Interval:
    return interval(subscript, drafts.binding, drafts.box)


# Padded accesses


def _padded(drafts: Drafts, pad: Pad, place: Place) -> Expr:
    """Choose between an access kept inside and the value, evaluated only there."""
    kept = _each(drafts, pad.access.subscripts, place)
    access = replace(pad.access, subscripts=kept)
    value = pad.value
    if is_indirect(value):
        value = _inside(drafts, value, _outside(drafts, access, place))
    if all(is_affine(s) for s in kept):
        return replace(pad, access=access, value=value)
    found = _defined(drafts, access.tensor)
    if any(lo > hi for lo, hi in found.box):
        return value
    inside: list[Expr] = []
    subscripts = list(kept)
    for axis, (subscript, ends) in enumerate(zip(kept, found.box)):
        if not is_affine(subscript):
            conditions = within(subscript, ends, _known(drafts, subscript))
            inside += conditions
            if conditions:
                subscripts[axis] = _kept(subscript, ends)
    where = conjunction(inside)
    kept_access = replace(access, subscripts=tuple(subscripts))
    chosen = replace(pad, access=kept_access, value=value)
    if where is None:
        return chosen
    return Select(where, chosen, value, pad.dtype, pad.span)


def _outside(drafts: Drafts, access: Access, place: Place) -> Place:
    """Return where the value of a padded access is needed."""
    found = _defined(drafts, access.tensor)
    inside: list[Expr] = []
    for subscript, ends in zip(access.subscripts, found.box):
        inside += within(subscript, ends, _known(drafts, subscript))
    terms = dict(zip(found.indices, access.subscripts))
    inside += [substitute(c, terms) for c in found.conditions]
    where = conjunction(inside)
    if where is None:
        where = Literal(True, BOOL, access.span)
    outside = Call("not", (where,), BOOL, access.span)
    if is_affine(outside):
        return _under(place, (outside,))
    return replace(place, guards=(*place.guards, outside))


def _defined(drafts: Drafts, tensor: str) -> Defined:
    """Return where a tensor is defined in the end."""
    group = [d for d in drafts.definitions if d.tensor == tensor]
    if group:
        return defined_by(drafts, group)
    return Defined(tuple((0, n - 1) for n in drafts.tensors[tensor].shape))
