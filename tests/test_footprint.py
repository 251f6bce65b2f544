"""What loops touch, in closed form, against enumerated addresses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polydsl.schedule.reuse.footprint import (
    PAGE,
    Axis,
    Progression,
    Reference,
    lines,
    progressions,
    spread,
    subscripts,
)
from polydsl.schedule.reuse.traffic import Nest, steady_traffic, traffic

ELEMENT, LINE = 4, 64

SMALL = st.integers(1, 9)


def extents(**widths: int) -> dict[str, np.ndarray]:
    return {name: np.array([float(width)]) for name, width in widths.items()}


def along(*places: tuple[int, int]) -> tuple[Progression, ...]:
    """Return progressions of (count, bytes between two)."""
    return tuple((np.array([float(n)]), np.array([float(gap)])) for n, gap in places)


def addresses(*places: tuple[int, int]) -> list[int]:
    steps = product(*(range(0, n * gap, gap) for n, gap in places))
    return [sum(found) for found in steps]


@pytest.mark.random
@settings(deadline=None, max_examples=100)
@given(SMALL, SMALL, st.integers(1, 3), st.integers(1, 4))
def test_subscripts_that_slide(p: int, r: int, fine: int, ratio: int) -> None:
    """`fine * r + fine * ratio * p`, as a window with a stride or a dilation has it."""
    axis = Axis(4, 1000, (("p", fine * ratio), ("r", fine)))
    count, step = subscripts(axis, extents(p=p, r=r))
    touched = {fine * (i * ratio + j) for i in range(p) for j in range(r)}
    assert count == len(touched)
    if r > 1:
        assert step == fine


def test_subscripts_end_with_the_axis() -> None:
    axis = Axis(4, 10, (("p", 1), ("r", 1)))
    assert subscripts(axis, extents(p=9, r=3))[0] == 10


def test_the_nearest_axis_comes_first() -> None:
    rows = Axis(400, 8, (("i", 2),))
    columns = Axis(4, 100, (("j", 1),))
    fixed = Axis(3200, 5, ())
    found = progressions(
        Reference("x", ELEMENT, (fixed, rows, columns)), extents(i=3, j=7)
    )
    assert [(float(n[0]), float(gap[0])) for n, gap in found] == [(7, 4), (3, 800)]


@pytest.mark.random
@settings(deadline=None, max_examples=100)
@given(st.integers(1, 60), SMALL, st.sampled_from((16, 32, 48, 64, 128, 320)))
def test_lines_of_rows(width: int, rows: int, pitch: int) -> None:
    """Apart, side by side, overlapping, and several on one line."""
    places = (width, ELEMENT), (rows, pitch)
    exact = len({at // LINE for at in addresses(*places)})
    assert lines(along(*places), ELEMENT, LINE) == exact


def test_rows_that_begin_anywhere_touch_part_of_a_line_more() -> None:
    places = (5, ELEMENT), (200, 84)
    exact = len({at // LINE for at in addresses(*places)})
    assert lines(along(*places), ELEMENT, LINE) == pytest.approx(exact, rel=0.05)


def test_nothing_lies_in_some_set_all_the_same() -> None:
    """A share of no sets would divide by zero."""
    assert spread(along((0, 4), (3, 4096)), ELEMENT, LINE) > 0


@pytest.mark.random
@settings(deadline=None, max_examples=100)
@given(st.integers(1, 200), st.integers(1, 200))
def test_sets_of_lines_that_are_some_lines_apart(count: int, apart: int) -> None:
    assert spread(along((count, apart * LINE)), LINE, LINE) == sets(
        (count, apart * LINE)
    )


@pytest.mark.parametrize("pitch", [256, 1024, 4096, 4096 + 256, 3 * 4096])
def test_sets_of_a_block(pitch: int) -> None:
    """Rows of two lines: a pitch of whole pages leaves two sets to all of them."""
    places = (32, ELEMENT), (12, pitch)
    assert spread(along(*places), ELEMENT, LINE) == sets(*places)


def sets(*places: tuple[int, int]) -> float:
    """Return the share of a page's sets that addresses lie in."""
    found = {at % PAGE // LINE for at in addresses(*places)}
    return len(found) / (PAGE // LINE)


# Traffic of real caches


def nest(
    trips: Sequence[int], footprint: Sequence[float], moves: Sequence[bool]
) -> Nest:
    """Return loops around one reference, for one candidate."""
    depth = len(trips)
    column = np.array(footprint, float).reshape(depth + 1, 1, 1)
    return Nest(
        np.array(trips, float).reshape(depth, 1, 1),
        column,
        np.ones_like(column),
        np.array(moves).reshape(depth, 1, 1),
        np.full((1, 1), depth),
    )


@pytest.mark.parametrize(
    ("capacity", "entering"), [(100, 0), (99, 109), (80, 325), (50, 1000), (10, 1000)]
)
def test_a_real_cache_gives_way_softly(capacity: int, entering: int) -> None:
    """A hundred lines, ten times over: all lost where twice the capacity is touched,
    and in proportion before."""
    loops = nest((10, 100), (100, 100, 1), (False, True))
    found = steady_traffic(loops, float(capacity))
    assert found == pytest.approx(entering, abs=1.0)
    exact = traffic(loops, np.full(1, float(capacity)))
    assert exact == (100 if capacity >= 100 else 1000)


def test_lines_that_share_few_sets_do_not_stay() -> None:
    """A sixteenth of the sets is a cache of a sixteenth of the capacity."""
    loops = nest((10, 100), (100, 100, 1), (False, True))
    few = Nest(
        loops.trips, loops.footprint, loops.spread / 16, loops.moves, loops.place
    )
    room = np.full(1, 800.0)
    assert (traffic(loops, room), traffic(few, room)) == (100, 1000)


def test_what_a_loop_renews_takes_room() -> None:
    """`for i: for j: a[j], b[i]` with a line for each: between two uses of a line of a
    lie all others of it, the b that goes and the one that comes."""
    a = nest((10, 50), (50, 50, 1), (False, True))
    b = nest((10, 50), (10, 1, 1), (True, False))
    loops = together(a, b)
    assert traffic(loops, np.full(1, 52.0))[:, 0].tolist() == [50, 10]
    assert traffic(loops, np.full(1, 51.0))[:, 0].tolist() == [500, 10]


def test_arrays_need_room_together() -> None:
    """Each would still be there when the loops run again, but not both."""
    one = nest((10, 60), (60, 60, 1), (False, True))
    both = together(one, one)
    assert steady_traffic(both, 120.0).tolist() == [[0.0], [0.0]]
    assert (steady_traffic(both, 100.0) > 60.0).all()


def together(*nests: Nest) -> Nest:
    """Return the same loops around the references of all."""
    return Nest(
        np.concatenate([n.trips for n in nests], axis=1),
        np.concatenate([n.footprint for n in nests], axis=1),
        np.concatenate([n.spread for n in nests], axis=1),
        np.concatenate([n.moves for n in nests], axis=1),
        np.concatenate([n.place for n in nests], axis=0),
    )
