"""Planted bugs of fusion: epilogues, shared loops, contracted tensors, scratch."""

from __future__ import annotations

try:
    from tests.mutation import Mutation
except ModuleNotFoundError:
    from mutation import Mutation

FUSION_MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "fusion",
        "what comes in between is not asked",
        "polydsl/schedule/item_order.py",
        "            if roots & reached(other, needs):\n",
        "            if roots & reached(other, needs) & {-1}:\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "another element than the own one is read",
        "polydsl/schedule/epilogues.py",
        "                if found not in (None, terms):\n",
        "                if found not in (None, terms) and not terms:\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "an epilogue follows on other points",
        "polydsl/schedule/epilogues.py",
        "if any(reader.ranges[d] != first.ranges[e] for d, e in terms.items()):\n",
        "if any(d not in reader.ranges for d, e in terms.items()):\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "an epilogue follows on a plan of some elements",
        "polydsl/schedule/group_plan.py",
        "        if plan.initialize is None and last.conditions:\n",
        "        if plan.initialize is None and last.conditions and not last:\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "what others need is left in registers",
        "polydsl/schedule/epilogues.py",
        "        if s.name not in group.names\n",
        "        if s.name not in group.names and s.combine is None\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "an epilogue follows on every block of a sum",
        "polydsl/loops/matrix.py",
        "is_last = ends and all(n == (side.rest or side.tile) for side, n in pairs)\n",
        "is_last = ends\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "what earlier blocks have summed is lost",
        "polydsl/loops/matrix.py",
        "self.epilogue.fill(tile.rows, tile.columns) if tile.accumulate else ()\n",
        "()\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "an index is shared that is read at another value",
        "polydsl/schedule/shared_indices.py",
        "                if names.setdefault(edge.writer, name) != name:\n",
        "                if not names.setdefault(edge.writer, name):\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "a tensor that is needed outside is contracted",
        "polydsl/schedule/fusion_groups.py",
        "                if not is_read_outside(self.scop, Group(tensor, names)):\n",
        '                if self.scop.tensor(tensor).role == "local":\n',
        "fusion",
    ),
    Mutation(
        "fusion",
        "threads share a row",
        "polydsl/loops/generate.py",
        "            yield from step.contracted if threads else ()\n",
        "            yield from ()\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "quotient and rest are put together wherever they stand",
        "backend/emitter/ranges.py",
        "                if terms.get(whole) == factor * divisor:\n",
        "                if whole in terms:\n",
        "fusion",
    ),
    Mutation(
        "fusion",
        "scratch that is needed at once shares memory",
        "backend/emitter/layout.py",
        "    return first[0] <= second[1] and second[0] <= first[1]\n",
        "    return first[0] < second[1] and second[0] < first[1]\n",
        "scratch",
    ),
    Mutation(
        "fusion",
        "an index is summed that another factor has",
        "polydsl/schedule/contraction_tree.py",
        "            if moved & some and (moved & ~some or d in self.left)\n",
        "            if moved & some and (moved & ~some > some or d in self.left)\n",
        "order of contraction",
    ),
    Mutation(
        "fusion",
        "a step is shared by sums over different indices",
        "polydsl/schedule/contraction_steps.py",
        "frozenset(ranges), network.kept(some)\n",
        "frozenset(ranges)\n",
        "order of contraction",
    ),
    Mutation(
        "fusion",
        "products in recurrences are computed in steps",
        "polydsl/schedule/contraction_order.py",
        "    if update.tensor in _needed(scop, {access.tensor for access in read}):\n",
        "    if update.tensor in {access.tensor for access in read}:\n",
        "order of contraction",
    ),
)
