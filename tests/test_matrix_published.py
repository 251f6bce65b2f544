"""Products scheduled by published rankers: right results, and whose choice it was."""

from __future__ import annotations

import numpy as np
import pytest

import polydsl

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("ranker", ["polyrank", "pairwise-net"])
def test_a_published_ranker_chooses_a_right_schedule(ranker: str) -> None:
    kernel = polydsl.stdlib.linalg.matmul.configure(ranker=ranker)
    a = RNG.standard_normal((70, 130), np.float32)
    b = RNG.standard_normal((130, 100), np.float32)
    kernel.verify(a, b)
    assert f"ranked first by {ranker}" in kernel.explain(a, b)


def test_the_rankers_do_not_agree_on_everything() -> None:
    a = RNG.standard_normal((300, 500), np.float32)
    b = RNG.standard_normal((500, 400), np.float32)
    chosen = {
        polydsl.stdlib.linalg.matmul.configure(ranker=ranker).emit("tree", a, b)
        for ranker in ("reuse", "polyrank", "pairwise-net")
    }
    assert len(chosen) > 1
