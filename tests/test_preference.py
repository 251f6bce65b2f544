"""What users ask of the scheduler: names, where they are given, and the cache key."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from point_samples import POINT

import polydsl
from polydsl.base.diagnostics import ArgumentError
from polydsl.base.providers import BUILT_IN
from polydsl.driver.cli import WRONG, main
from polydsl.schedule.preference import MICROKERNELS, PLAIN, RANKERS, Preference
from polydsl.schedule.vector_point import VectorPoint

TEXT = """
kernel double(x: f32[N]) -> f32[N]:
    y[i] = 2 * x[i]
    return y
"""


def asked(kernel: polydsl.Kernel) -> Preference:
    return kernel.specialize("f32[8]").request.preference


@polydsl.kernel(ranker="polyrank", microkernel="llvm")
def half(x: "f32[N]") -> "f32[N]":
    y[i] = x[i] / 2
    return y


def test_a_decorator_with_options_still_makes_a_kernel() -> None:
    assert asked(half) == Preference("polyrank", "llvm")
    assert half(np.ones(3, np.float32)).tolist() == [0.5] * 3


def test_configure_keeps_what_is_not_given() -> None:
    kernel = polydsl.loads(TEXT).double
    assert asked(kernel) == PLAIN
    first = kernel.configure(ranker="pairwise-net")
    second = first.configure(microkernel="llvm")
    assert asked(second) == Preference("pairwise-net", "llvm")
    assert asked(second.configure(microkernel="")) == Preference("pairwise-net")
    assert asked(kernel) == PLAIN


def test_bind_keeps_the_settings_and_configure_what_is_bound() -> None:
    array = np.arange(8, dtype=np.float32)
    kernel = polydsl.loads(TEXT).double
    for bound in (
        kernel.configure(ranker="polyrank").bind(x=array),
        kernel.bind(x=array).configure(ranker="polyrank"),
    ):
        assert bound.specialize().request.preference == Preference("polyrank")
        assert bound().tolist() == (2 * array).tolist()


@pytest.mark.parametrize(
    ("options", "known"),
    [({"ranker": "polyrnk"}, RANKERS), ({"microkernel": "mlk"}, MICROKERNELS)],
)
def test_a_wrong_name_lists_what_exists(options, known: tuple[str, ...]) -> None:
    kernel = polydsl.loads(TEXT).double
    with pytest.raises(ArgumentError, match=", ".join(known)):
        kernel.configure(**options)
    with pytest.raises(ArgumentError, match=", ".join(known)):
        polydsl.kernel(**options)


@pytest.mark.parametrize("command", ["run", "explain", "emit"])
def test_a_wrong_name_on_the_command_line(command: str, capsys) -> None:
    words = ("stdlib.activation", "softmax")
    assert main([command, *words, "--ranker", "best"]) == WRONG
    assert ", ".join(RANKERS) in capsys.readouterr().err
    assert main([command, *words, "--microkernel", "best"]) == WRONG
    assert ", ".join(MICROKERNELS) in capsys.readouterr().err


def test_every_field_belongs_to_the_identity() -> None:
    request = polydsl.loads(TEXT).double.specialize("f32[8]").request
    other = replace(POINT, row_tile=POINT.row_tile + 1)
    preferences = [
        PLAIN,
        Preference("polyrank"),
        Preference(microkernel="llvm"),
        PLAIN.choosing({"S (y)": POINT}),
        PLAIN.choosing({"T (y)": POINT}),
        PLAIN.choosing({"S (y)": other}),
    ]
    texts = {replace(request, preference=p).identity() for p in preferences}
    assert len(texts) == len(preferences)


def test_the_last_point_of_a_subject_counts_and_order_does_not() -> None:
    other = replace(POINT, row_tile=POINT.row_tile + 1)
    twice = PLAIN.choosing({"b": POINT}).choosing({"a": POINT, "b": other})
    assert twice == PLAIN.choosing({"a": POINT}).choosing({"b": other})
    assert (twice.point("a"), twice.point("b")) == (POINT, other)
    assert twice.point("c") is None


def test_without_libraries_the_built_in_generator_decides_anew() -> None:
    loops = VectorPoint("i")
    for microkernel in ("", "mkl"):
        preference = Preference("polyrank", microkernel)
        forced = preference.choosing({"S0 (y)": loops, "S1 (y)": POINT})
        assert forced.without_libraries() == Preference("polyrank", BUILT_IN)


def test_a_preference_can_be_sent() -> None:
    preference = Preference("polyrank", "mkl").choosing({"S (y)": POINT})
    assert pickle.loads(pickle.dumps(preference)) == preference
