"""Orders of statements, times of recurrences, turned scatters: every instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from program_builder import Program
from recurrence_programs import PROGRAMS as RECURRENCES
from scatter_programs import PROGRAMS as SCATTERS
from test_orders import ERRORS

from polydsl.base.dtypes import DTYPES
from polydsl.base.source import Source
from polydsl.poly.cycles import Instance, find_cycle
from polydsl.poly.extract import extract
from polydsl.poly.flows import flows
from polydsl.poly.ordering import Cycle, order_statements
from polydsl.poly.points import pairs_of
from polydsl.poly.scatters import colliding, gathered, is_plain
from polydsl.poly.scop import Group, Item, Scop, Statement
from polydsl.semantics.check import check_module
from polydsl.semantics.specialize import specialize
from polydsl.syntax.parser import parse

MANY = 100_000


def scop_of(program: Program) -> Scop:
    """Return the scop of a program's kernel `f`."""
    library = check_module(parse(Source("test.pdl", program.text)))
    types = {name: (DTYPES[dtype], shape) for name, dtype, shape in program.arguments}
    return extract(specialize(library, "f", types, {}))


def none_stays(scop: Scop, statement: Statement) -> bool:
    return False


Step = tuple[tuple[int, str], ...]
"""Places in items; beside each the index of the loop around what is there."""


def steps_of(items: tuple[Item, ...], before: Step = ()) -> Iterator[tuple[str, Step]]:
    """Yield every statement with its way from the outermost items."""
    for place, item in enumerate(items):
        if isinstance(item, Group):
            for number, name in enumerate(item.statements):
                yield name, (*before, (place, ""), (number, ""))
        else:
            yield from steps_of(item.body, (*before, (place, item.index)))


def time_of(statement: Statement, step: Step, point: tuple[int, ...]) -> list[int]:
    """Return when an instance runs, as numbers to compare one after the other."""
    values = dict(zip(statement.dims, point))
    return [n for place, index in step for n in (place, values.get(index, 0))]


@pytest.mark.parametrize("name", {**RECURRENCES, **SCATTERS})
def test_what_is_needed_runs_before(name: str) -> None:
    scop = order_statements(
        gathered(scop_of({**RECURRENCES, **SCATTERS}[name]), none_stays)
    )
    steps = dict(steps_of(scop.items))
    assert sorted(steps) == sorted(s.name for s in scop.statements)
    for flow in flows(scop.statements):
        source, target = scop.statement(flow.source), scop.statement(flow.target)
        pairs = pairs_of(flow.relation, MANY)
        for before, after in pairs or ():
            first = time_of(source, steps[flow.source], before)
            assert first < time_of(target, steps[flow.target], after), flow


@pytest.mark.parametrize("name", SCATTERS)
def test_a_turned_scatter_adds_the_same(name: str) -> None:
    """Every element gets as many values as before; points that are left where they are
    are known to collide only where they do."""
    scop = scop_of(SCATTERS[name])
    for old, new in zip(scop.statements, gathered(scop, none_stays).statements):
        before, after = pairs_of(old.write, MANY), pairs_of(new.write, MANY)
        assert before is not None and after is not None
        hits = Counter(element for _, element in before)
        assert hits == Counter(element for _, element in after)
        if not is_plain(new) and not new.reduced:
            assert bool(colliding(new)) == any(n > 1 for n in hits.values())


@pytest.mark.parametrize("name", ERRORS)
def test_instances_that_need_each_other(name: str) -> None:
    """Each of the two is reached from the other by needs."""
    body = ERRORS[name][0]
    declared = "".join(f"\n    {t}: f32[N]" for t in "yt" if f"{t}[" in body)
    text = (
        "kernel f(x: f32[N]) -> f32[N]:\n    i in range(N)\n    j in range(N)"
        f"{declared}\n    {body}\n    return y\n"
    )
    scop = gathered(scop_of(Program(text, (("x", "f32", (6,)),))), none_stays)
    with pytest.raises(Cycle) as caught:
        order_statements(scop)
    statements = caught.value.statements
    found = find_cycle(statements)
    assert found is not None
    one, other = found
    needs = _needs(statements)
    assert other in _reached(one, needs)
    assert one in _reached(other, needs)


Needs = dict[Instance, set[Instance]]


def _needs(statements: tuple[Statement, ...]) -> Needs:
    by_name = {s.name: s for s in statements}
    needs: Needs = {}
    for flow in flows(statements):
        for before, after in pairs_of(flow.relation, MANY) or ():
            target = Instance(by_name[flow.target], after)
            needs.setdefault(target, set()).add(Instance(by_name[flow.source], before))
    return needs


def _reached(start: Instance, needs: Needs) -> set[Instance]:
    found: set[Instance] = set()
    pending = [*needs.get(start, ())]
    while pending:
        if (instance := pending.pop()) not in found:
            found.add(instance)
            pending += needs.get(instance, ())
    return found
