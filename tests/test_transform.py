"""Each transformation of schedule trees, before and after, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tree_harness import scop_of

from polydsl.schedule.legality import IllegalSchedule
from polydsl.schedule.transform import (
    drop_single,
    flatten,
    fuse,
    initial_tree,
    interchange,
    keep_in_registers,
    mark,
    microkernel,
    nest,
    parallelize,
    reorder,
    sink,
    split,
    tile,
    to_back,
    to_front,
    unroll,
    vectorize,
)
from polydsl.schedule.tree import Band, Member, Sequence, Tree, render, whole

MATMUL = initial_tree(
    scop_of(
        """
kernel mm(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
""",
        a=(12, 32),
        b=(32, 40),
    )
)


def band_of(tree: Tree) -> Band:
    assert isinstance(tree, Band)
    return tree


ZERO, UPDATE = map(band_of, MATMUL.children)


def assert_text(tree: Tree, expected: str) -> None:
    assert render(tree) == expected.lstrip("\n")


def test_the_initial_tree_has_a_band_for_each_statement() -> None:
    expected = """
sequence
├─ band i in 0..12, j in 0..40
│  └─ S0[i, j] -> c
└─ band i in 0..12, j in 0..40, k in 0..32
   └─ S1[i, j, k] -> c
"""
    assert_text(MATMUL, expected)


def test_a_statement_without_dimensions_has_no_band() -> None:
    scop = scop_of("kernel f(x: f32) -> f32:\n    y = x + 1\n    return y\n", x=())
    assert_text(initial_tree(scop), "sequence\n└─ S0[] -> y\n")


def test_ranges_count_from_their_least_value() -> None:
    scop = scop_of(
        """
kernel f(x: f32[N]) -> f32:
    s = sum[i](x[i])
    i in range(2, 9)
    return s
""",
        x=(9,),
    )
    (_, update, _) = initial_tree(scop).children
    assert band_of(update).members == (Member("i", (whole("i", 2, 7),)),)


BANDS: dict[str, tuple[Callable[[Band], Tree], str]] = {
    "interchange": (
        lambda band: interchange(band, ("k", "i", "j")),
        "k in 0..32, i in 0..12, j in 0..40",
    ),
    "to_front": (
        lambda band: to_front(band, ("j",)),
        "j in 0..40, i in 0..12, k in 0..32",
    ),
    "to_back": (
        lambda band: to_back(band, ("x", "k", "i")),
        "j in 0..40, k in 0..32, i in 0..12",
    ),
    "tile": (
        lambda band: tile(band, (("j", 16, "j_tile"), ("k", 8, "k_tile"))),
        "i in 0..12, j_tile = j/16 in 0..3, k_tile = k/8 in 0..4, "
        "j in 0..40, k in 0..32",
    ),
    "tile at two levels": (
        lambda band: tile(band, (("i", 6, "outer"), ("i", 2, "inner"))),
        "outer = i/6 in 0..2, inner = i/2 in 0..6, i in 0..12, j in 0..40, k in 0..32",
    ),
    "tile tiles": (
        lambda band: tile(tile(band, (("i", 3, "t"),)), (("t", 2, "tt"),)),
        "tt = i/6 in 0..2, t = i/3 in 0..4, i in 0..12, j in 0..40, k in 0..32",
    ),
    "split": (
        lambda band: split(band, "j", 8),
        "i in 0..12, j_o = j/8 in 0..5, j_i = j%8 in 0..8, k in 0..32",
    ),
    "split twice": (
        lambda band: split(split(band, "j", 8), "j_i", 2),
        "i in 0..12, j_o = j/8 in 0..5, j_i_o = j/2%4 in 0..4, j_i_i = j%2 in 0..2, "
        "k in 0..32",
    ),
    "flatten": (
        lambda band: flatten(band, ("j", "k"), "jk"),
        "i in 0..12, jk = j.k in 0..1280",
    ),
    "tile flattened": (
        lambda band: tile(flatten(band, ("j", "k"), "jk"), (("jk", 100, "t"),)),
        "i in 0..12, t = (j.k)/100 in 0..13, jk = j.k in 0..1280",
    ),
    "parallelize": (
        lambda band: parallelize(band, "i"),
        "i in 0..12 [parallel], j in 0..40, k in 0..32",
    ),
    "unroll": (
        lambda band: unroll(band, "k"),
        "i in 0..12, j in 0..40, k in 0..32 [unrolled]",
    ),
    "vectorize": (
        lambda band: vectorize(band, "j", 16),
        "i in 0..12, j_vector = j/16 in 0..3, j in 0..40 [vector], k in 0..32",
    ),
}


@pytest.mark.parametrize("name", BANDS)
def test_a_transformation_of_a_band(name: str) -> None:
    change, members = BANDS[name]
    assert_text(change(UPDATE), f"band {members}\n└─ S1[i, j, k] -> c\n")


def test_reorder() -> None:
    expected = """
sequence
├─ band i in 0..12, j in 0..40, k in 0..32
│  └─ S1[i, j, k] -> c
└─ band i in 0..12, j in 0..40
   └─ S0[i, j] -> c
"""
    assert_text(reorder(MATMUL, (1, 0)), expected)


def test_fuse() -> None:
    expected = """
band i in 0..12, j in 0..40
└─ sequence
   ├─ S0[i, j] -> c
   └─ band k in 0..32
      └─ S1[i, j, k] -> c
"""
    assert_text(fuse(MATMUL, 2), expected)


def test_fuse_a_part() -> None:
    expected = """
band i in 0..12
└─ sequence
   ├─ band j in 0..40
   │  └─ S0[i, j] -> c
   └─ band j in 0..40, k in 0..32
      └─ S1[i, j, k] -> c
"""
    assert_text(fuse(MATMUL, 1), expected)


def test_sink() -> None:
    expected = """
band i in 0..12, j in 0..40, k in 0..32
└─ sequence
   ├─ S0[i, j] -> c
   └─ S1[i, j, k] -> c
"""
    assert_text(sink(fuse(MATMUL, 2)), expected)


def test_nest() -> None:
    expected = """
band i in 0..12
└─ band j in 0..40, k in 0..32
   └─ S1[i, j, k] -> c
"""
    assert_text(nest(UPDATE, 1), expected)


def test_drop_single() -> None:
    one = tile(ZERO, (("i", 12, "all"), ("j", 64, "panel")))
    tree = mark(Sequence((one, UPDATE)), "here")
    assert drop_single(tree) == mark(MATMUL, "here")


def test_dropping_every_loop_leaves_the_child() -> None:
    leaf = UPDATE.child
    assert drop_single(Band((Member("i", (whole("i", 0, 1),)),), leaf)) == leaf


def test_a_loop_that_never_runs_stays() -> None:
    never = Band((Member("i", (whole("i", 0, 0),)),), UPDATE.child)
    assert drop_single(never) == never


def test_mark_and_registers() -> None:
    tree = mark(keep_in_registers(UPDATE.child, "c"), "pack b into b_pack")
    expected = """
mark pack b into b_pack
└─ registers c
   └─ S1[i, j, k] -> c
"""
    assert_text(tree, expected)


def test_microkernel() -> None:
    band = sink(fuse(MATMUL, 2))
    tiled = tile(band, (("j", 16, "panel"), ("i", 6, "row_tile")))
    inner = to_back(tiled, ("k", "i", "j"))
    expected = """
band panel = j/16 in 0..3, row_tile = i/6 in 0..2
└─ microkernel depth k, rows i, columns j: S0[i, j] -> c, S1[i, j, k] -> c
"""
    assert_text(microkernel(inner, ("taps", "k", "i", "j")), expected)


def test_a_microkernel_may_be_the_whole_tree() -> None:
    tree = microkernel(to_back(UPDATE, ("i", "j")), ("taps", "k", "i", "j"))
    expected = "microkernel depth k, rows i, columns j: S1[i, j, k] -> c\n"
    assert_text(tree, expected)


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "interchange": (
        lambda: interchange(UPDATE, ("i", "j")),
        "i, j is no order of the loops i, j, k",
    ),
    "reorder": (
        lambda: reorder(MATMUL, (0, 0)),
        "(0, 0) is no order of the sequence's children",
    ),
    "tile": (
        lambda: tile(UPDATE, (("x", 2, "t"),)),
        "x is none of the loops i, j, k",
    ),
    "tile of nothing": (
        lambda: tile(UPDATE, (("i", 0, "t"),)),
        "the loop i in 0..12 cannot be cut into tiles of 0",
    ),
    "tile of lanes": (
        lambda: tile(vectorize(UPDATE, "j", 16), (("j", 2, "t"),)),
        "the loop j in 0..40 [vector] cannot be cut into tiles of 2",
    ),
    "tile name": (
        lambda: tile(UPDATE, (("i", 2, "k"),)),
        "the band has a loop k already",
    ),
    "tile names": (
        lambda: tile(UPDATE, (("i", 2, "t"), ("j", 2, "t"))),
        "the band has a loop t already",
    ),
    "split": (
        lambda: split(UPDATE, "j", 16),
        "the loop j in 0..40 has no groups of 16",
    ),
    "split by nothing": (
        lambda: split(UPDATE, "j", 0),
        "the loop j in 0..40 has no groups of 0",
    ),
    "flatten": (
        lambda: flatten(UPDATE, ("i", "k"), "ik"),
        "i, k are no neighbouring plain loops",
    ),
    "flatten tiles": (
        lambda: flatten(tile(UPDATE, (("i", 2, "t"),)), ("t", "i"), "ti"),
        "t, i are no neighbouring plain loops",
    ),
    "parallelize": (
        lambda: parallelize(unroll(UPDATE, "i"), "i"),
        "the loop i in 0..12 [unrolled] is not sequential",
    ),
    "nest": (lambda: nest(UPDATE, 3), "a band of 3 has no outer 3"),
    "fuse": (
        lambda: fuse(MATMUL, 3),
        "a child of the sequence has no outer 3 loops",
    ),
    "fuse other loops": (
        lambda: fuse(Sequence((ZERO, to_front(UPDATE, ("k",)))), 1),
        "no common loops: i in 0..12 and k in 0..32",
    ),
    "fuse other tiles": (
        lambda: fuse(Sequence((ZERO, parallelize(UPDATE, "i"))), 1),
        "no common loops: i in 0..12 and i in 0..12 [parallel]",
    ),
    "sink": (
        lambda: sink(UPDATE),
        "the band is not around statements and one band",
    ),
    "sink over its own loops": (
        lambda: sink(Band(UPDATE.members[:1], Sequence((ZERO.child, UPDATE)))),
        "S0 has loops over i, j itself",
    ),
    "microkernel": (
        lambda: microkernel(UPDATE, ("taps", "k", "i", "j")),
        "taps, k, i, j are not the innermost plain loops",
    ),
    "microkernel around bands": (
        lambda: microkernel(fuse(MATMUL, 2), ("taps", "depth", "i", "j")),
        "the microkernel's loops are not around plain statements",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_node_that_does_not_fit_is_refused(name: str) -> None:
    change, message = REFUSALS[name]
    with pytest.raises(IllegalSchedule, match=f"^{re.escape(message)}$"):
        change()
