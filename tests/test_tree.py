"""The nodes of schedule trees."""

from __future__ import annotations

from polydsl.schedule.tree import (
    Axis,
    Band,
    Leaf,
    Mark,
    Member,
    Microkernel,
    Sequence,
    children,
    leaves,
    whole,
)


def test_an_axis_is_a_part_of_a_dimension() -> None:
    axis = Axis("k", 10, 24, 2, 4)
    assert [axis.value(10 + n) for n in range(24)] == [n // 2 % 4 for n in range(24)]
    assert str(axis) == "k/2%4"
    assert not axis.is_first
    assert str(Axis("k", 10, 24, 8, 3)) == "k/8"
    assert str(whole("k", 10, 24)) == "k"


def test_a_member_runs_over_the_tiles_of_its_positions() -> None:
    member = Member("t", (whole("p", 0, 3), whole("q", 0, 5)), 4, "parallel")
    assert (member.positions, member.trips) == (15, 4)
    assert str(member) == "t = (p.q)/4 in 0..4 [parallel]"
    assert str(Member("one", ())) == "one = 0 in 0..1"


def test_leaves_come_in_order_with_their_steps() -> None:
    first, second = Leaf("A", "x", ("i",), ()), Leaf("B", "x", ("i",), ())
    i, none = Member("i", (whole("i", 0, 4),)), Member("none", ())
    kernel = Microkernel(none, none, i, none, (first, second))
    tree = Sequence((Band((i,), Mark("m", first)), kernel))
    inner = (none, none, i, none)
    assert [(leaf.statement, steps) for leaf, steps in leaves(tree)] == [
        ("A", (0, i)),
        ("A", (1, *inner, 0)),
        ("B", (1, *inner, 1)),
    ]
    assert [len(children(node)) for node in (tree, *tree.children, first)] == [
        2,
        1,
        2,
        0,
    ]
