"""Deliberate bugs about indirect subscripts: see `mutations.py`."""

from __future__ import annotations

try:
    from tests.mutation import Mutation
except ModuleNotFoundError:
    from mutation import Mutation

GATHER_MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "gathers",
        "one row behind the last passes as inside",
        "polydsl/poly/indirect.py",
        "        ends = (0, extent - 1)\n",
        "        ends = (0, extent)\n",
        "gathers",
        unproved=True,
    ),
    Mutation(
        "gathers",
        "subscripts below zero are not checked",
        "polydsl/poly/terms.py",
        "    may_be_beyond = known[0] < wanted[0], known[1] > wanted[1]\n",
        "    may_be_beyond = False, known[1] > wanted[1]\n",
        "gathers",
    ),
    Mutation(
        "gathers",
        "the last subscript outside is named",
        "polydsl/poly/checks.py",
        'Draft(name, (), "min", value, dims, place.conditions, span)',
        'Draft(name, (), "max", value, dims, place.conditions, span)',
        "gathers",
    ),
    Mutation(
        "gathers",
        "what a condition excludes is checked",
        "polydsl/poly/indirect.py",
        "    return replace(place, conditions=place.conditions + conditions)\n",
        "    return place\n",
        "gathers",
    ),
    Mutation(
        "gathers",
        "the value of padding is checked everywhere",
        "polydsl/poly/indirect.py",
        "    return replace(place, guards=(*place.guards, outside))\n",
        "    return place\n",
        "gathers",
    ),
    Mutation(
        "gathers",
        "data are taken not to overflow",
        "polydsl/poly/terms.py",
        "    return ends if whole[0] <= ends[0] and ends[1] <= whole[1] else whole\n",
        "    return max(ends[0], whole[0]), min(ends[1], whole[1])\n",
        "gathers",
    ),
    Mutation(
        "gathers",
        "checks are made but not looked at",
        "polydsl/loops/generate.py",
        "after = tuple(checks) if step.updates else ()",
        "after = ()",
        "gathers",
        unproved=True,
    ),
    Mutation(
        "gathers",
        "checks come when results are written",
        "polydsl/poly/extract.py",
        "key=lambda d: d.tensor not in early)",
        "key=lambda d: d.tensor in early)",
        "gathers",
    ),
    Mutation(
        "gathers",
        "late checks leave what was written",
        "polydsl/driver/specialization.py",
        "        kept = () if self._is_safe else",
        "        kept = () if True else",
        "gathers",
    ),
    Mutation(
        "gathers",
        "an address is read for lanes that need none",
        "backend/emitter/lanes.py",
        "not isinstance(atom, Var) and not reads_inside(lanes.scope, atom)",
        "False",
        "gathers",
    ),
    Mutation(
        "gathers",
        "a padded address is read outside",
        "backend/emitter/padding.py",
        "    if not all(reads_inside(lanes.scope, expr) for expr in load.index):\n",
        "    if False:\n",
        "gathers",
    ),
)
