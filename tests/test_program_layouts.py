"""Layouts of arguments through the whole driver: the cache, `bind`, and the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_layouts import FORMS, Placing, placed

import polydsl

MATMUL = """\
kernel matmul(a: f32[M, K], b: f32[K, N]) -> f32[M, N]:
    c[i, j] += a[i, k] * b[k, j]
    return c
"""


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20, deadline=None, database=None)
@given(shape=st.lists(st.integers(0, 4), max_size=3), axis=st.integers(0, 2))
def test_placed_arrays_have_the_same_elements(
    form: str, shape: list[int], axis: int
) -> None:
    array = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    moved = placed(array, Placing(form, axis), written=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved, array)
    assert moved.flags.writeable


def test_the_forms_are_different_layouts() -> None:
    array = np.ones((3, 5), np.float32)
    found = {form: placed(array, Placing(form, 0)).strides for form in FORMS}
    assert found == {
        "plain": (20, 4),
        "transposed": (4, 12),
        "reversed": (-20, 4),
        "step 2": (40, 4),
        "zero": (0, 4),
        "shifted": (20, 4),
        "mixed": (40, -8),
    }


def test_the_object_cache_tells_layouts_apart() -> None:
    rng = np.random.default_rng(0)
    a = np.asarray(rng.standard_normal((17, 17)), np.float32)
    b = np.asarray(rng.standard_normal((17, 17)), np.float32)
    for left in (a, np.asfortranarray(a), a[::-1], a):
        # A new kernel each time: only the object cache is shared.
        kernel = polydsl.loads(MATMUL).matmul
        np.testing.assert_allclose(kernel(left, b), left @ b, rtol=1e-5, atol=1e-5)


def test_bound_arrays_are_copies() -> None:
    a, b = np.ones((5, 3), np.float32), np.ones((3, 37), np.float32)
    fast = polydsl.loads(MATMUL).matmul.bind(b=b)
    b[...] = 7
    np.testing.assert_array_equal(fast(a), np.full((5, 37), 3, np.float32))
    b[...] = 9
    np.testing.assert_array_equal(fast(a), np.full((5, 37), 3, np.float32))
