"""A chain of groups put in the loops that it shares: `Changed.put(chain, units)`.

An index that is shared value by value has one name in all of its statements; one that
is shared in blocks is strip-mined, and what is left beside whole blocks is computed
after the loop, by statements of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from polydsl.poly.scop import Fused, Group, Item, Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import substitute
from polydsl.schedule.domain_tiles import in_tiles
from polydsl.schedule.fusion_chain import Chain
from polydsl.schedule.item_order import Units
from polydsl.schedule.shared_indices import Shared
from polydsl.schedule.strip_mining import Moved, Strip, moved_tensor, strip_mined
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import Index


def loop_names(scop: Scop, chain: Chain) -> dict[Shared, str]:
    """Return a name for the loop over each shared index that nothing else in its chain
    has; as the last group calls the index, if possible."""
    last = [*chain.groups][-1]
    taken: set[str] = set()
    found: dict[Shared, str] = {}
    for shared in chain.shared:
        others = {
            d
            for place, statement in chain.group_statements(scop)
            for d in statement.dims
            if shared.size > 1 or d != shared[place]
        }
        name = shared[last] if shared.size == 1 else f"{shared[last]}_block"
        found[shared] = fresh(name, others | taken)
        taken.add(found[shared])
    return found


@dataclass(frozen=True, slots=True)
class Changed:
    """A scop with some of its statements and tensors changed, and others added."""

    before: Scop
    statements: dict[str, Statement] = field(default_factory=dict)
    tensors: dict[str, TensorInfo] = field(default_factory=dict)

    def ordered(self, items: tuple[Item, ...]) -> Scop:
        """Return the scop with the statements of some items."""
        scop = self._scop()
        return replace(scop, items=items, statements=scop.statements_of(items))

    def put(self, chain: Chain, units: Units) -> None:
        """Put a chain in loops over what it shares, in place of its units."""
        contracted = chain.contracted(self.before)
        names = loop_names(self.before, chain)
        for place, statement in chain.group_statements(self.before):
            terms = {s[place]: name for s, name in names.items() if s.size == 1}
            self.statements[statement.name] = self._renamed(statement, terms)
        body = Units({p: units.by_place[p] for p in chain.groups}).ordered()
        for shared, name in reversed(names.items()):
            if shared.size == 1:
                body = (Fused(name, shared.lo, shared.hi, body, contracted),)
                continue
            around = tuple(names.values())
            rest = self._rest(chain, shared, body, contracted)
            after = self._in_tiles(rest.items, around[:-1], shared.size)
            strip = Strip(name, shared.lo, shared.size, shared.extent // shared.size)
            self._mined(chain, shared, strip, dict(zip(contracted, contracted)), {})
            body = self._in_tiles(body, around, shared.size)
            body = (Fused(name, 0, strip.count - 1, body, contracted), *after)
            contracted = (*contracted, *rest.tensors)
        first, *_ = chain.groups
        units.merge(first, chain.groups, *body)

    def _scop(self) -> Scop:
        statements = {s.name: s for s in self.before.statements} | self.statements
        tensors = {t.name: t for t in self.before.tensors} | self.tensors
        return replace(
            self.before,
            statements=tuple(statements.values()),
            tensors=tuple(tensors.values()),
        )

    def _in_tiles(
        self, items: tuple[Item, ...], around: tuple[str, ...], size: int
    ) -> tuple[Item, ...]:
        """Return items with products whose ranges depend on others in tiles."""
        found: list[Item] = []
        for item in items:
            made = None
            if isinstance(item, Group):
                made = in_tiles(self._scop(), item, around, size)
            if made is not None:
                self.statements.update({s.name: s for s in made.statements})
            found += [item] if made is None else made.items
        return tuple(found)

    def _renamed(self, statement: Statement, names: Mapping[str, str]) -> Statement:
        """Return a statement with other names of indices."""
        if all(old == new for old, new in names.items()):
            return statement
        terms = {old: Index(new, statement.span) for old, new in names.items()}
        box = {names.get(d, d): ends for d, ends in statement.ranges.items()}
        conditions = tuple(substitute(c, terms) for c in statement.conditions)
        return rebuilt(self.before, statement, terms, box, conditions)

    def _rest(
        self,
        chain: Chain,
        shared: Shared,
        body: tuple[Item, ...],
        contracted: tuple[str, ...],
    ) -> _Rest:
        """Add statements for the values beside whole blocks, and tensors for those that
        nothing outside needs."""
        if not shared.rest:
            return _Rest()
        scop = self._scop()
        taken = [t.name for t in scop.tensors]
        tensors = {name: fresh(f"{name}_rest", taken) for name in contracted}
        taken = [s.name for s in scop.statements]
        own = [s.name for _, s in chain.group_statements(self.before)]
        statements = {name: fresh(f"{name}_rest", taken) for name in own}
        strip = Strip(None, shared.hi + 1 - shared.rest, shared.rest)
        self._mined(chain, shared, strip, tensors, statements)
        items = (
            replace(
                item.renamed(statements),
                tensor=tensors.get(item.tensor, item.tensor),
            )
            for item in body
            if isinstance(item, Group)
        )
        return _Rest(tuple(items), tuple(tensors.values()))

    def _mined(
        self,
        chain: Chain,
        shared: Shared,
        strip: Strip,
        tensors: Mapping[str, str],
        statements: Mapping[str, str],
    ) -> None:
        """Strip-mine the statements of a chain: `tensors` are the new names of those
        that are cut, `statements` of all, where they are others than before."""
        scop = self._scop()
        writers = {
            scop.statement(s.name).tensor: (place, scop.statement(s.name))
            for place, s in chain.group_statements(self.before)
        }
        moved: dict[str, Moved] = {}
        for old, new in tensors.items():
            place, writer = writers[old]
            subscripts = [s.name for s in writer.subscripts if isinstance(s, Index)]
            axis = subscripts.index(shared[place])
            moved[old] = moved_tensor(scop.tensor(old), axis, strip, new)
        self.tensors.update({m.tensor.name: m.tensor for m in moved.values()})
        whole = self._scop()
        for place, before in chain.group_statements(self.before):
            statement = scop.statement(before.name)
            name = statements.get(statement.name, statement.name)
            statement = replace(statement, name=name)
            made = strip_mined(whole, statement, shared[place], strip, moved)
            self.statements[name] = made


@dataclass(frozen=True, slots=True)
class _Rest:
    """The groups for what is beside whole blocks, and the tensors that only these
    need."""

    items: tuple[Group, ...] = ()
    tensors: tuple[str, ...] = ()
