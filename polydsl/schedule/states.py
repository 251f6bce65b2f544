"""States of recurrences, of which one step is in memory: `contracted_states(scop)`.

    for t: h[t, :] = a[t, :] * h[t - 1, :]       for t: h[:] = a[t, :] * h[:]
           y[t] = sum of h[t, :]             ->         y[t] = sum of h

A tensor that only the steps of a recurrence need, in the same step or in the next one,
has no memory for the other steps: an element takes the place of that of the step
before. So whatever needs the step before must have read it by then: what comes earlier
in the step has, and an assignment that reads nothing of it but its own element.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from polydsl.base.quantities import bytes_text
from polydsl.poly.scop import Group, Item, Recurrence, Scop, Statement
from polydsl.poly.substitute import resolve
from polydsl.poly.terms import Linear
from polydsl.schedule.decision import Decision
from polydsl.semantics.program import Access, Expr, reads


def contracted_states(scop: Scop) -> tuple[Scop, tuple[Decision, ...]]:
    """Return an ordered scop in which recurrences keep one step of what they can, and
    for each of their tensors that is no result how many are in memory, and why."""
    items: list[Item] = []
    decisions: list[Decision] = []
    for item in scop.items:
        if isinstance(item, Recurrence) and item.hi > item.lo:
            why = {t: objection(scop, item, t) for t in tensors_of(scop, item)}
            kept = tuple(tensor for tensor, reason in why.items() if not reason)
            local = (t for t in why if scop.tensor(t).role == "local")
            decisions += (_decision(scop, item, t, why[t]) for t in local)
            item = replace(item, contracted=kept)
        items.append(item)
    return replace(scop, items=tuple(items)), tuple(decisions)


def tensors_of(scop: Scop, item: Recurrence) -> tuple[str, ...]:
    """Return the tensors that a recurrence computes."""
    return tuple(dict.fromkeys(s.tensor for s in scop.statements_of((item,))))


def objection(scop: Scop, item: Recurrence, tensor: str) -> str:
    """Return why one step of a tensor in memory is not enough, or nothing."""
    if scop.tensor(tensor).role != "local":
        return "it is a result"
    if any(tensor == c.tensor or reads(c.value, tensor) for c in scop.checks):
        return "a check needs it"
    written = tuple(_written(scop, item, tensor))
    if len(written) != 1 or written[0] is None:
        return "its elements are not at one step each"
    return next(_late_reads(scop, item, tensor, written[0]), "")


def step_of(scop: Scop, item: Recurrence, tensor: str) -> Step | None:
    """Return which axis of a tensor tells the step that writes it, if one does."""
    written = tuple(_written(scop, item, tensor))
    return written[0] if len(written) == 1 else None


@dataclass(frozen=True, slots=True)
class Step:
    """How an element tells the step of a recurrence in which it is written, or read:
    its subscript along an axis is `sign * index + constant`."""

    axis: int
    sign: int
    constant: int


def _written(scop: Scop, item: Recurrence, tensor: str) -> Iterator[Step | None]:
    """Yield what the elements that each group in a recurrence writes tell; nothing of
    those in loops further in."""
    for inner in item.body:
        found = {
            _step(scop, item, s, s.subscripts)
            for s in scop.statements_of((inner,))
            if s.tensor == tensor
        }
        if found:
            yield found.pop() if len(found) == 1 and isinstance(inner, Group) else None


def _step(
    scop: Scop, item: Recurrence, statement: Statement, subscripts: tuple[Expr, ...]
) -> Step | None:
    """Return what subscripts tell of the step, None where no single one does."""
    found: list[Step] = []
    for axis, subscript in enumerate(subscripts):
        form = resolve(subscript, scop.sizes, statement.ranges)
        if form is None:
            return None
        if (factor := form.coefficient(item.index)) == 0:
            continue
        if abs(factor) > 1 or len(form.coefficients) > 1:
            return None
        found.append(Step(axis, factor, form.constant))
    return found[0] if len(found) == 1 else None


def _late_reads(
    scop: Scop, item: Recurrence, tensor: str, written: Step
) -> Iterator[str]:
    """Yield why reads of a tensor would find the element of a later step."""
    places = {
        name: place
        for place, group in enumerate(item.body)
        if isinstance(group, Group)
        for name in group.names
    }
    writers = [s for s in scop.statements_of((item,)) if s.tensor == tensor]
    for reader in scop.statements:
        for read in reader.reads:
            if read.access.tensor != tensor:
                continue
            if reader.name not in places:
                if not _is_last(scop, item, reader, read.access, written):
                    yield f"{reader.tensor} reads it in another loop"
                continue
            back = _steps_back(scop, item, reader, read.access, written)
            if back not in (0, 1):
                far = "any steps" if back is None else f"{back} steps"
                yield f"{reader.tensor} reads it {far} back"
            is_early = places[reader.name] < places[writers[0].name]
            is_own = _is_own(reader, read.access, writers, written)
            if back == 1 and not is_early and not is_own:
                yield f"{reader.tensor} reads the step before while it is replaced"


def _steps_back(
    scop: Scop, item: Recurrence, reader: Statement, access: Access, written: Step
) -> int | None:
    """Return how many steps before its own a statement reads; None if that varies."""
    form = resolve(access.subscripts[written.axis], scop.sizes, reader.ranges)
    if form is None or form.coefficients != ((item.index, written.sign),):
        return None
    return (written.constant - form.constant) * written.sign


def _is_last(
    scop: Scop, item: Recurrence, reader: Statement, access: Access, written: Step
) -> bool:
    """Whether what follows on a recurrence reads its last step, which stays."""
    form = resolve(access.subscripts[written.axis], scop.sizes, reader.ranges)
    return form == Linear((), written.sign * item.hi + written.constant)


def _is_own(
    reader: Statement, access: Access, writers: list[Statement], written: Step
) -> bool:
    """Whether an assignment reads, of the step before, just the element that it puts
    another one in the place of."""
    pairs = enumerate(zip(access.subscripts, reader.subscripts))
    same = all(a == b for axis, (a, b) in pairs if axis != written.axis)
    return writers == [reader] and reader.combine is None and same


def _decision(scop: Scop, item: Recurrence, tensor: str, reason: str) -> Decision:
    subject = f"{tensor} along {item.index}"
    if reason:
        return Decision(subject, "every step is in memory", reason)
    step = scop.tensor(tensor).bytes // (item.hi - item.lo + 1)
    return Decision(
        subject,
        "one step is in memory",
        f"nothing needs it later than in the next one; it takes {bytes_text(step)}",
    )
