"""Tensors with one definition are computed once: `united(scop) -> Scop`.

    s[i] += x[i, k]**2        y[i, j] = x[i, j] / s[i]        s[i] += x[i, k]**2
    t[p] += x[p, q]**2        z[p, q] = x[p, q] / t[p]   ->   y[i, j] = x[i, j] / s[i]
                                                              z[i, j] = y[i, j]

Names of indices, the order of what is summed and that of the operands of commutative
functions tell nothing apart; everything else does. All tensors that are computed are
first taken to be equal, and then told apart by their definitions until nothing changes,
in which equal tensors have one name: so chains of equal tensors are found, and
recurrences (Alpern, Wegman and Zadeck, *Detecting equality of variables in programs*,
1988). What is left is equal, for each element is computed in an order in which equal
ones come first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from polydsl.poly.canonical import Names, Texts, canonical
from polydsl.poly.scop import Scop, Statement
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import with_parts
from polydsl.schedule.decision import Decision
from polydsl.schedule.elements import taken_names
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import Access, Expr, Index


def united(scop: Scop) -> tuple[Scop, tuple[Decision, ...]]:
    """Return the scop with one tensor for all that have one definition, and a decision
    about each of the others.

    Results are kept, as copies of the first of them.
    """
    kept = _kept(scop)
    gone = {name for name, own in kept.items() if name != own}
    if not gone:
        return scop, ()
    copied = [name for name in scop.results if name in gone]
    statements: list[Statement] = []
    for statement in scop.statements:
        name = statement.tensor
        if name in copied:
            copied.remove(name)
            statements.append(_copy(scop, statement, kept[name]))
        elif name not in gone:
            statements.append(_reading(scop, statement, kept))
    decisions = (_decision(scop, n, own) for n, own in kept.items() if n != own)
    found = replace(
        scop,
        tensors=tuple(
            t for t in scop.tensors if t.name not in gone or t.role == "result"
        ),
        statements=tuple(statements),
        read_whole=tuple((kept.get(n, n), span) for n, span in scop.read_whole),
        checks=tuple(
            replace(check, value=_renamed(check.value, kept))
            for check in scop.checks
            if check.tensor not in gone
        ),
    )
    return found, tuple(decisions)


def _decision(scop: Scop, name: str, kept: str) -> Decision:
    chosen = f"that of {kept}"
    if scop.tensor(name).role == "result":
        chosen += ", which is copied"
    return Decision(
        f"definition of {name}",
        chosen,
        "names of indices and the order of operands are all that differs",
    )


# Which tensors are equal


def _kept(scop: Scop) -> dict[str, str]:
    """Return for each tensor that is computed the one that is kept of its equals: a
    result if there is one, else the first."""
    classes: dict[str, list[str]] = defaultdict(list)
    for name, first in equal_tensors(scop).items():
        classes[first].append(name)
    return {
        name: next((n for n in scop.results if n in names), names[0])
        for names in classes.values()
        for name in names
    }


def equal_tensors(scop: Scop) -> dict[str, str]:
    """Return for each tensor that is computed the first of those that are equal."""
    writers: dict[str, list[Statement]] = defaultdict(list)
    for statement in scop.statements:
        writers[statement.tensor].append(statement)
    checked = {check.tensor for check in scop.checks}
    first = dict.fromkeys(writers, "")
    while True:
        sizes = Counter(first.values())
        texts = Texts(scop.sizes, first)
        found: dict[tuple[object, ...], str] = {}
        then: dict[str, str] = {}
        for name, statements in writers.items():
            key: tuple[object, ...] = (first[name],)
            if sizes[first[name]] > 1:
                # Names cost most; where they need not be told, none are.
                is_named = first[name] != ""
                key += tuple(sorted(_text(texts, s, is_named) for s in statements))
                key += _kind(scop, name), name in checked
            then[name] = found.setdefault(key, name)
        if then == first:
            return then
        first = then


def _kind(scop: Scop, name: str) -> tuple[object, ...]:
    tensor = scop.tensor(name)
    return tensor.dtype, tensor.shape


def _text(texts: Texts, statement: Statement, is_named: bool) -> str:
    """Return a statement's definition: of what it writes, only where."""
    boxes = statement.ranges

    def text(names: Names) -> str:
        box = sorted(f"{names[d]} {lo}:{hi}" for d, (lo, hi) in boxes.items())
        where = sorted(texts.of(c, names) for c in statement.conditions)
        left = [texts.of(s, names) for s in statement.subscripts]
        value = texts.of(statement.value, names)
        return f"{box} {where} {left} {statement.combine} {value}"

    return canonical(statement.dims, text)[0] if is_named else text(_alike(statement))


def _alike(statement: Statement) -> Names:
    return dict.fromkeys(statement.dims, "_")


# One of them is kept


def _reading(scop: Scop, statement: Statement, kept: Mapping[str, str]) -> Statement:
    """Return a statement that reads what is kept."""
    read = {access.access.tensor for access in statement.reads}
    if all(kept.get(name, name) == name for name in read):
        return statement
    changed = replace(
        statement,
        subscripts=tuple(_renamed(s, kept) for s in statement.subscripts),
        value=_renamed(statement.value, kept),
    )
    return rebuilt(scop, changed, {}, statement.ranges, statement.conditions)


def _renamed(expr: Expr, kept: Mapping[str, str]) -> Expr:
    """Return an expression that reads what is kept."""
    if isinstance(expr, Access):
        expr = replace(expr, tensor=kept.get(expr.tensor, expr.tensor))
    return with_parts(expr, lambda part: _renamed(part, kept))


def _copy(scop: Scop, first: Statement, kept: str) -> Statement:
    """Return the assignment of a tensor's elements to another one, which *first* began
    to define."""
    tensor = scop.tensor(first.tensor)
    taken = taken_names(scop)
    dims = [fresh(f"{tensor.name}_{n}", taken) for n in range(len(tensor.shape))]
    places = tuple(Index(d, first.span) for d in dims)
    copy = replace(
        first,
        subscripts=places,
        combine=None,
        value=Access(kept, places, tensor.dtype, first.span),
    )
    box = dict(zip(dims, ((0, extent - 1) for extent in tensor.shape)))
    return rebuilt(scop, copy, {}, box, ())
