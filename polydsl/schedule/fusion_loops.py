"""A chain of groups put in the loops that it shares: `Changed.put(chain, units)`.

An index that is shared value by value has one name in all of its statements; one that
is shared in blocks is strip-mined, and what is left beside those of the loop is
computed after it, by statements of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from polydsl.poly.scop import Fused, Group, Item, Scop, Statement, TensorInfo
from polydsl.poly.statements import rebuilt
from polydsl.poly.substitute import linear_term, substitute, with_parts
from polydsl.schedule.block_parts import Part, parts_of
from polydsl.schedule.domain_tiles import in_tiles
from polydsl.schedule.fusion_chain import Chain
from polydsl.schedule.item_order import Units
from polydsl.schedule.shared_indices import Shared, form_of
from polydsl.schedule.strip_mining import Moved, moved_tensor, strip_mined
from polydsl.schedule.tree import fresh
from polydsl.semantics.program import Access, Expr, Index


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
            if shared.is_cut or d != shared[place]
        }
        name = f"{shared[last]}_block" if shared.is_cut else shared[last]
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
            terms = {s[place]: name for s, name in names.items() if not s.is_cut}
            plain = self._with_own_rows(statement, {*contracted})
            self.statements[statement.name] = self._renamed(plain, terms)
        body = Units({p: units.by_place[p] for p in chain.groups}).ordered()
        for shared, name in reversed(names.items()):
            if not shared.is_cut:
                body = (Fused(name, shared.lo, shared.hi, body, contracted),)
                continue
            around = tuple(names.values())
            whole, *ends = parts_of(shared)
            beside = [self._beside(chain, shared, p, body, contracted) for p in ends]
            items = (item for each in beside for item in each.items)
            after = self._in_tiles(items, around[:-1], shared.size)
            own = dict(zip(contracted, contracted))
            self._mined(chain, shared, _Cut(whole, name, own))
            body = self._in_tiles(body, around, shared.size)
            assert whole.count is not None
            body = (Fused(name, 0, whole.count - 1, body, contracted), *after)
            contracted = (*contracted, *(t for b in beside for t in b.tensors))
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
        self, items: Iterable[Item], around: tuple[str, ...], size: int
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

    def _with_own_rows(self, statement: Statement, rows: Set[str]) -> Statement:
        """Return a statement that reads rows at plain indices where it reads them at
        no more than that, as `t[i + r]` is where 0 is the only value of r."""

        def subscript(expr: Expr) -> Expr:
            form = form_of(self.before, statement, expr)
            return expr if form is None else linear_term(form, expr.span)

        def changed(expr: Expr) -> Expr:
            if isinstance(expr, Access) and expr.tensor in rows:
                return replace(expr, subscripts=tuple(map(subscript, expr.subscripts)))
            return with_parts(expr, changed)

        value = changed(statement.value)
        if value == statement.value:
            return statement
        made = replace(statement, value=value)
        return rebuilt(self.before, made, {}, made.ranges, made.conditions)

    def _renamed(self, statement: Statement, names: Mapping[str, str]) -> Statement:
        """Return a statement with other names of indices."""
        if all(old == new for old, new in names.items()):
            return statement
        terms = {old: Index(new, statement.span) for old, new in names.items()}
        box = {names.get(d, d): ends for d, ends in statement.ranges.items()}
        conditions = tuple(substitute(c, terms) for c in statement.conditions)
        return rebuilt(self.before, statement, terms, box, conditions)

    def _beside(
        self,
        chain: Chain,
        shared: Shared,
        part: Part,
        body: tuple[Item, ...],
        contracted: tuple[str, ...],
    ) -> _Beside:
        """Add statements for values beside the blocks of the loop, and tensors for
        those that nothing outside needs."""
        scop = self._scop()
        taken = [t.name for t in scop.tensors]
        tensors = {name: fresh(f"{name}_rest", taken) for name in contracted}
        taken = [s.name for s in scop.statements]
        own = [s.name for _, s in chain.group_statements(self.before)]
        statements = {name: fresh(f"{name}_rest", taken) for name in own}
        self._mined(chain, shared, _Cut(part, None, tensors, statements))
        items = (
            replace(
                item.renamed(statements),
                tensor=tensors.get(item.tensor, item.tensor),
            )
            for item in body
            if isinstance(item, Group)
        )
        return _Beside(tuple(items), tuple(tensors.values()))

    def _mined(self, chain: Chain, shared: Shared, cut: _Cut) -> None:
        """Strip-mine the statements of a chain."""
        scop = self._scop()
        strips = {m.place: cut.part.strip(m, cut.block) for m in shared.members}
        writers = {
            scop.statement(s.name).tensor: (place, scop.statement(s.name))
            for place, s in chain.group_statements(self.before)
        }
        moved: dict[str, Moved] = {}
        for old, new in cut.tensors.items():
            place, writer = writers[old]
            subscripts = [s.name for s in writer.subscripts if isinstance(s, Index)]
            axis = subscripts.index(shared[place])
            moved[old] = moved_tensor(scop.tensor(old), axis, strips[place], new)
        self.tensors.update({m.tensor.name: m.tensor for m in moved.values()})
        whole = self._scop()
        for place, before in chain.group_statements(self.before):
            statement = scop.statement(before.name)
            name = cut.statements.get(statement.name, statement.name)
            statement = replace(statement, name=name)
            made = strip_mined(whole, statement, shared[place], strips[place], moved)
            self.statements[name] = made


@dataclass(frozen=True, slots=True)
class _Cut:
    """A part of a shared index, with the index for the number of a block; `tensors` are
    the new names of those that are cut, `statements` of all, where they are others than
    before."""

    part: Part
    block: str | None
    tensors: Mapping[str, str]
    statements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Beside:
    """The groups for what is beside the blocks of the loop, and the tensors that only
    these need."""

    items: tuple[Group, ...] = ()
    tensors: tuple[str, ...] = ()
