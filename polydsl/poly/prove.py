"""Proofs that every access is inside its tensor and reads what has been defined.

Most accesses are proved by intervals over the box of indices; what intervals cannot
decide goes to isl, under a budget. A failure is a diagnostic with one such point.
"""

from __future__ import annotations

from collections.abc import Iterator

from polydsl.base.diagnostics import Diagnostics
from polydsl.base.source import Span
from polydsl.poly.enumerate import outside_point
from polydsl.poly.isl import BudgetExceeded, Map, Set, budget, domain_text, parse_set
from polydsl.poly.points import sample
from polydsl.poly.scop import Read, Scop, Statement, TensorInfo
from polydsl.poly.terms import (
    Interval,
    condition_text,
    interval,
    isl_name,
    term_text,
)
from polydsl.semantics.program import (
    Access,
    Expr,
    Index,
    is_affine,
    walk,
)


def prove(scop: Scop) -> None:
    """Raise `ProgramError` unless every access is in bounds and defined.

    E0311: a written subscript outside its tensor; E0312: a read one; E0313: an element
    that is read and never defined; E0316: a result, or a tensor passed to a kernel,
    with an undefined element; E0317: a question beyond isl's budget.
    """
    found = Diagnostics()
    for statement in scop.statements:
        left = Access(
            statement.tensor,
            statement.subscripts,
            scop.tensor(statement.tensor).dtype,
            statement.span,
        )
        _check_bounds(scop, statement, left, (), "E0311", found)
        for read in statement.reads:
            if not read.is_padded:
                _check_bounds(
                    scop, statement, read.access, read.conditions, "E0312", found
                )
    found.raise_errors()
    _check_definedness(scop, found)
    found.raise_errors()


def _check_bounds(
    scop: Scop,
    statement: Statement,
    access: Access,
    conditions: tuple[Expr, ...],
    code: str,
    found: Diagnostics,
) -> None:
    tensor = scop.tensor(access.tensor)
    for axis, subscript in enumerate(access.subscripts):
        if not is_affine(subscript) or any(lo > hi for lo, hi in statement.box):
            continue
        extent = tensor.shape[axis]
        lo, hi = interval(subscript, scop.sizes, statement.ranges)
        if lo >= 0 and hi < extent:
            continue
        try:
            point = _outside_point(scop, statement, subscript, conditions, extent)
        except OverflowError:
            _unproved(statement, access.span, found)
            continue
        if point is not None:
            _report_bounds(scop, statement, access, axis, point, code, found)


def _outside_point(
    scop: Scop,
    statement: Statement,
    subscript: Expr,
    conditions: tuple[Expr, ...],
    extent: int,
) -> dict[str, int] | None:
    """Return a point at which a subscript leaves its dimension, by isl's names.

    Beyond isl's budget the indices that matter are enumerated; where they are too many,
    OverflowError is raised.
    """
    try:
        with budget():
            return sample(_outside(scop, statement, subscript, conditions, extent))
    except BudgetExceeded:
        every = (*conditions, *statement.conditions)
        point = outside_point(subscript, extent, every, statement.ranges, scop.sizes)
        return point and {isl_name(name): value for name, value in point.items()}


def _outside(
    scop: Scop,
    statement: Statement,
    subscript: Expr,
    conditions: tuple[Expr, ...],
    extent: int,
) -> Set:
    """Return the points of the domain at which a subscript leaves its dimension."""
    text = term_text(subscript, scop.sizes)
    where = [condition_text(c, scop.sizes) for c in conditions]
    where.append(f"{text} < 0 or {text} >= {extent}")
    names = [isl_name(d) for d in statement.dims]
    outside = parse_set(domain_text(statement.name, names, where))
    return outside.intersect(statement.domain)


def _report_bounds(
    scop: Scop,
    statement: Statement,
    access: Access,
    axis: int,
    point: dict[str, int],
    code: str,
    found: Diagnostics,
) -> None:
    subscript = access.subscripts[axis]
    extent = scop.tensor(access.tensor).shape[axis]
    box = {d: (point[isl_name(d)],) * 2 for d in statement.dims}
    value = interval(subscript, scop.sizes, box)[0]
    used = _written_names(subscript)
    where = ", ".join(f"{text} = {point[isl_name(d)]}" for d, text in used.items())
    is_read = code == "E0312"
    verb = "read" if is_read else "written"
    gives = f"{where} gives {value}" if where else f"the subscript is {value}"
    found.error(
        code,
        f"{access.span.text if is_read else _left_text(access)} is {verb} outside its "
        f"bounds{_called(statement)}",
        subscript.span,
        label=f"{gives}, but dimension {axis} of {_tensor_text(access)} has extent "
        f"{extent}",
        hint=_bounds_hint(value, extent, is_read, tuple(used.values())),
    )


def _called(statement: Statement) -> str:
    """Return from where an inlined kernel was called, for the end of a message."""
    return f" (called at {statement.calls[-1]})" if statement.calls else ""


def _written_names(expr: Expr) -> dict[str, str]:
    """Return the indices in an expression, each as it is written there: in an inlined
    kernel they have names of their own."""
    found = (n for n in walk(expr) if isinstance(n, Index))
    return {
        n.name: n.span.text if n.span.text.isidentifier() else n.name for n in found
    }


def _tensor_text(access: Access) -> str:
    """Return the name of an access's tensor as it is written there."""
    name = access.span.text.partition("[")[0].strip()
    return name if name.isidentifier() else access.tensor


def _left_text(access: Access) -> str:
    inner = ", ".join(s.span.text for s in access.subscripts)
    return f"{_tensor_text(access)}[{inner}]"


def _bounds_hint(value: int, extent: int, is_read: bool, used: tuple[str, ...]) -> str:
    wrap = "wrap the access in pad(...)" if is_read else ""
    shorten = f"use a subscript from 0 to {extent - 1}"
    if used:
        shorten = f"shorten the range of {used[0]} with `{used[0]} in range(...)`"
    if not is_read and value >= extent:
        wrap = "declare the tensor larger"
    return f"{wrap}, or {shorten}" if wrap else shorten


def _unproved(statement: Statement, span: Span, found: Diagnostics) -> None:
    found.error(
        "E0317",
        "it could not be proved in time that this access is inside its tensor"
        f"{_called(statement)}",
        span,
        hint="use fewer nested // and % in one subscript, or wrap it in pad(...)",
    )


def _check_definedness(scop: Scop, found: Diagnostics) -> None:
    for tensor in scop.tensors:
        if tensor.role == "input":
            continue
        writers = [s for s in scop.statements if s.tensor == tensor.name]
        if any(_covers(scop, s, tensor) for s in writers):
            continue
        defined = _image(writers)
        for statement, read in _readers(scop, tensor.name):
            if not read.is_padded:
                _check_defined(tensor, statement, read, defined, found)
        if tensor.name in scop.results:
            _check_whole(tensor, defined, tensor.span, "returned", found)
        for name, span in scop.read_whole:
            if name == tensor.name:
                _check_whole(tensor, defined, span, "passed to a kernel", found)


def _covers(scop: Scop, statement: Statement, tensor: TensorInfo) -> bool:
    """Whether a statement plainly writes the whole tensor: bare indices from 0."""
    if statement.conditions:
        return False
    box = statement.ranges
    plain = [s.name for s in statement.subscripts if isinstance(s, Index)]
    whole: list[Interval] = [(0, n - 1) for n in tensor.shape]
    distinct = len(set(plain)) == len(statement.subscripts)
    return distinct and [box[name] for name in plain] == whole


def _image(writers: list[Statement]) -> Set | None:
    """Return the elements that statements write, or None if there are none."""
    image: Set | None = None
    for statement in writers:
        written = statement.write.range()
        image = written if image is None else image.union(written)
    return image


def _readers(scop: Scop, tensor: str) -> Iterator[tuple[Statement, Read]]:
    for statement in scop.statements:
        for read in statement.reads:
            if read.access.tensor == tensor:
                yield statement, read


def _check_defined(
    tensor: TensorInfo,
    statement: Statement,
    read: Read,
    defined: Set | None,
    found: Diagnostics,
) -> None:
    relation: Map = read.relation
    undefined = relation if defined is None else relation.subtract_range(defined)
    try:
        with budget():
            point = sample(undefined.domain())
            element = None if point is None else sample(_at(undefined))
    except BudgetExceeded:
        _unproved(statement, read.access.span, found)
        return
    if point is None or element is None:
        return
    used = ", ".join(f"{d} = {point[isl_name(d)]}" for d in statement.dims)
    place = ", ".join(str(v) for v in element.values())
    found.error(
        "E0313",
        f"{read.access.span.text} reads an element of {tensor.name} that is never "
        f"defined{_called(statement)}",
        read.access.span,
        label=(f"{used} reads " if used else "reads ") + f"{tensor.name}[{place}]",
        hint=f"define {tensor.name} there, or wrap the access in pad(...)",
    )


def _at(relation: Map) -> Set:
    """Return the elements related to the least point of a map's domain."""
    return relation.intersect_domain(relation.domain().lexmin()).range()


def _check_whole(
    tensor: TensorInfo, defined: Set | None, span: Span, use: str, found: Diagnostics
) -> None:
    dims = [f"d{axis}" for axis in range(len(tensor.shape))]
    where = [f"0 <= {d} < {n}" for d, n in zip(dims, tensor.shape)]
    whole = parse_set(domain_text(isl_name(tensor.name), dims, where))
    missing = sample(whole if defined is None else whole.subtract(defined))
    if missing is None:
        return
    place = ", ".join(str(v) for v in missing.values())
    found.error(
        "E0316",
        f"{tensor.name} is {use}, but not all of it is defined",
        span,
        label=f"{tensor.name}[{place}] is never defined",
        hint="define it at every point of its shape",
    )
