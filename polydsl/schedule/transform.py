"""Transformations of schedule trees: functions from node to node.

Each refuses a node that it does not fit, with `IllegalSchedule`. Whether its result
keeps the dependences is for `legality.check_order` to say, on the tree that it makes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from polydsl.poly.scop import Scop, Statement
from polydsl.schedule.legality import IllegalSchedule
from polydsl.schedule.tree import (
    Axis,
    Band,
    Kind,
    Leaf,
    Mark,
    Member,
    Microkernel,
    RegisterTile,
    Sequence,
    Tree,
    parts,
    whole,
)

Tiling = tuple[str, int, str]
"""A member's name, the size of its tiles, and the name of the loop over the tiles."""


def initial_tree(scop: Scop) -> Sequence:
    """Return the tree of an ordered scop: its statements in order, each in loops over
    its dimensions.

        S0, S1    ->    sequence
                        ├─ band i: S0
                        └─ band i, j: S1
    """
    return Sequence(tuple(statement_tree(s, ()) for s in scop.statements))


def statement_tree(statement: Statement, fixed: tuple[str, ...]) -> Tree:
    """Return a statement in loops over its dimensions, but those that are *fixed* by
    loops further out.

    S    ->    band i, j: S
    """
    leaf = Leaf(statement.name, statement.tensor, statement.dims, statement.reduced)
    members = (
        Member(d, (whole(d, lo, max(hi - lo + 1, 0)),))
        for d, (lo, hi) in statement.ranges.items()
        if d not in fixed
    )
    return wrapped(tuple(members), leaf)


def wrapped(members: tuple[Member, ...], child: Tree) -> Tree:
    """Return the child in a band, or the child where there are no members."""
    return Band(members, child) if members else child


def reorder(sequence: Sequence, order: tuple[int, ...]) -> Sequence:
    """Run the children in another order, given by their old places.

    sequence: A, B    ->    sequence: B, A
    """
    if sorted(order) != list(range(len(sequence.children))):
        raise IllegalSchedule(f"{order} is no order of the sequence's children")
    return Sequence(tuple(sequence.children[place] for place in order))


def interchange(band: Band, order: tuple[str, ...]) -> Band:
    """Put the members of a band into another order. (Permute, reorder.)

    band i, j: S    ->    band j, i: S
    """
    if sorted(order) != sorted(band.vars):
        raise IllegalSchedule(
            f"{', '.join(order)} is no order of the loops {', '.join(band.vars)}"
        )
    return replace(band, members=tuple(band.member(var) for var in order))


def to_front(band: Band, names: tuple[str, ...]) -> Band:
    """Move loops to the front of a band.

    band i, j, k: S    ->    band k, i, j: S
    """
    others = (var for var in band.vars if var not in names)
    return interchange(band, (*names, *others))


def to_back(band: Band, names: tuple[str, ...]) -> Band:
    """Move loops to the back of a band; a name that is no loop is passed over.

    band i, j, k: S    ->    band i, k, j: S
    """
    last = tuple(var for var in names if var in band.vars)
    others = (var for var in band.vars if var not in last)
    return interchange(band, (*others, *last))


def tile(band: Band, tilings: tuple[Tiling, ...]) -> Band:
    """Run over tiles, in the given order, and inside over the points of a tile.

        band i, j: S    ->    band i_tile = i/4, j_tile = j/16, i, j: S

    The loops over tiles stand in front of the first member that is tiled. One member
    may be tiled at several levels. (Strip-mine and interchange; "blocking", "divide".)
    """
    tiles = tuple(_tiles(band, *tiling) for tiling in tilings)
    place = min(band.vars.index(var) for var, _, _ in tilings)
    members = (*band.members[:place], *tiles, *band.members[place:])
    return _named(Band(members, band.child))


def _tiles(band: Band, var: str, size: int, name: str) -> Member:
    member = _find(band, var)
    if size < 1 or member.kind != "sequential":
        raise IllegalSchedule(f"the loop {member} cannot be cut into tiles of {size}")
    return replace(member, var=name, tile=member.tile * size)


def _find(band: Band, var: str) -> Member:
    if var not in band.vars:
        raise IllegalSchedule(f"{var} is none of the loops {', '.join(band.vars)}")
    return band.member(var)


def split(band: Band, var: str, divisor: int) -> Band:
    """Make two members of one, its groups of `divisor` points and its points in those.

        band k: S    ->    band k_o = k/16, k_i = k%16: S

    Unlike the loops of `tile`, each of the two can be flattened with others.
    """
    member = _find(band, var)
    is_plain = len(member.axes) == 1 and member.tile == 1
    if not is_plain or divisor < 1 or member.axes[0].extent % divisor:
        raise IllegalSchedule(f"the loop {member} has no groups of {divisor}")
    axis = member.axes[0]
    outer = replace(axis, divisor=axis.divisor * divisor, extent=axis.extent // divisor)
    inner = replace(axis, extent=divisor)
    members = (
        replace(member, var=f"{var}_o", axes=(outer,)),
        replace(member, var=f"{var}_i", axes=(inner,)),
    )
    return _substitute(band, (var,), members)


def flatten(band: Band, names: tuple[str, ...], name: str) -> Band:
    """Make one member of neighbours, over their positions in row-major order.

    band p, q: S    ->    band pixel = p.q: S
    """
    place = band.vars.index(_find(band, names[0]).var)
    members = band.members[place : place + len(names)]
    plain = all(m.tile == 1 and m.kind == "sequential" for m in members)
    if tuple(m.var for m in members) != names or not plain:
        raise IllegalSchedule(f"{', '.join(names)} are no neighbouring plain loops")
    axes: tuple[Axis, ...] = tuple(axis for m in members for axis in m.axes)
    return _substitute(band, names, (Member(name, axes),))


def _substitute(
    band: Band, names: tuple[str, ...], members: tuple[Member, ...]
) -> Band:
    """Return the band with neighbours replaced."""
    place = band.vars.index(names[0])
    after = band.members[place + len(names) :]
    return _named(Band((*band.members[:place], *members, *after), band.child))


def _named(band: Band) -> Band:
    """Return the band, whose members must have names of their own."""
    for place, var in enumerate(band.vars):
        if var in band.vars[:place]:
            raise IllegalSchedule(f"the band has a loop {var} already")
    return band


def drop_single(tree: Tree) -> Tree:
    """Leave out the loops of one iteration, here and below.

    band n in 0..1, i in 0..8: S    ->    band i in 0..8: S
    """
    match tree:
        case Band(members, child):
            kept = tuple(m for m in members if m.trips != 1)
            return wrapped(kept, drop_single(child))
        case Sequence(below):
            return Sequence(tuple(drop_single(child) for child in below))
        case Mark(_, child) | RegisterTile(_, child):
            return replace(tree, child=drop_single(child))
        case Microkernel() | Leaf():
            return tree
        case _:
            assert_never(tree)


def parallelize(band: Band, var: str) -> Band:
    """Let threads share a loop.

    band i: S    ->    band i [parallel]: S
    """
    return _marked(band, var, "parallel")


def unroll(band: Band, var: str) -> Band:
    """Write out every iteration of a loop.

    band i: S    ->    band i [unrolled]: S
    """
    return _marked(band, var, "unrolled")


def vectorize(band: Band, var: str, lanes: int, name: str = "") -> Band:
    """Run so many iterations of a loop at a time, as the lanes of vectors.

        band i, j: S    ->    band i, j_vector = j/16, j [vector]: S

    The loop over vectors is called *name*, if one is given.
    """
    tiled = tile(band, ((var, lanes, name or f"{var}_vector"),))
    return _marked(tiled, var, "vector")


def _marked(band: Band, var: str, kind: Kind) -> Band:
    member = _find(band, var)
    if member.kind != "sequential":
        raise IllegalSchedule(f"the loop {member} is not sequential")
    return _substitute(band, (var,), (replace(member, kind=kind),))


def nest(band: Band, count: int) -> Band:
    """Make two bands of one, with the first `count` members in the outer one.

    band i, j: S    ->    band i
                          └─ band j: S
    """
    if not 0 < count < len(band.members):
        raise IllegalSchedule(f"a band of {len(band.members)} has no outer {count}")
    inner = Band(band.members[count:], band.child)
    return Band(band.members[:count], inner)


def fuse(sequence: Sequence, count: int) -> Band:
    """Make one band of the first `count` members that all children begin with.

    sequence                    band i
    ├─ band i: A         ->     └─ sequence
    └─ band i, j: B                ├─ A
                                   └─ band j: B
    """
    first, *others = (_leading(child, count) for child in sequence.children)
    for other in others:
        if other != first:
            names = (", ".join(str(m) for m in members) for members in (first, other))
            raise IllegalSchedule(f"no common loops: {' and '.join(names)}")
    return Band(first, Sequence(tuple(_inside(c, count) for c in sequence.children)))


def _leading(tree: Tree, count: int) -> tuple[Member, ...]:
    if not isinstance(tree, Band) or not 0 < count <= len(tree.members):
        raise IllegalSchedule(f"a child of the sequence has no outer {count} loops")
    return tree.members[:count]


def _inside(tree: Tree, count: int) -> Tree:
    assert isinstance(tree, Band)
    return wrapped(tree.members[count:], tree.child)


def sink(band: Band) -> Band:
    """Run statements in the first iteration of the loops of the one after them, or in
    the last iteration of those of the one before them.

        band i                         band i, k
        └─ sequence                    └─ sequence
           ├─ A               ->          ├─ A            (where k is at its beginning)
           ├─ band k: B                   ├─ B
           └─ C                           └─ C            (where k is at its end)

    The loops must be over dimensions that A and C do not have.
    """
    below = parts(band.child)
    bands = [child for child in below if isinstance(child, Band)]
    if len(bands) != 1:
        raise IllegalSchedule("the band is not around statements and one band")
    (inner,) = bands
    place = below.index(inner)
    sunk: list[Tree] = []
    for number, child in enumerate(below):
        if child is inner:
            sunk.append(inner.child)
            continue
        if not isinstance(child, Leaf):
            raise IllegalSchedule("what is beside the inner band is no statement")
        clash = {d for m in inner.members for d in m.dims} & {*child.dims}
        if clash:
            names = ", ".join(sorted(clash))
            raise IllegalSchedule(f"{child.statement} has loops over {names} itself")
        sunk.append(replace(child, at_end=number > place))
    return Band((*band.members, *inner.members), Sequence(tuple(sunk)))


def mark(tree: Tree, text: str) -> Mark:
    """Remark something about a node.

    S    ->    mark text: S
    """
    return Mark(text, tree)


def keep_in_registers(tree: Tree, tensor: str) -> RegisterTile:
    """Keep the elements of a tensor that a node touches in registers.

    S    ->    registers c: S
    """
    return RegisterTile(tensor, tree)


def microkernel(band: Band, names: tuple[str, str, str, str]) -> Tree:
    """Leave the innermost members to the microkernel: taps, depth, rows and columns.

        band j_tile, i_tile, k, i, j: S
            ->  band j_tile, i_tile
                └─ microkernel depth k, rows i, columns j: S

    A name without a member stands for a side of one point.
    """
    used = tuple(name for name in names if name in band.vars)
    outer = band.members[: len(band.members) - len(used)]
    inner = {m.var: m for m in band.members[len(outer) :]}
    if used != tuple(inner) or any(m.tile != 1 for m in inner.values()):
        raise IllegalSchedule(f"{', '.join(names)} are not the innermost plain loops")
    taps, depth, rows, columns = (inner.get(n) or Member(n, ()) for n in names)
    leaves = parts(band.child)
    statements = tuple(leaf for leaf in leaves if isinstance(leaf, Leaf))
    if len(statements) != len(leaves):
        raise IllegalSchedule("the microkernel's loops are not around plain statements")
    rows = replace(rows, kind="unrolled")
    columns = replace(columns, kind="vector")
    return wrapped(outer, Microkernel(taps, depth, rows, columns, statements))
