"""Sizes for `stdlib.loss`."""

import numpy as np

from stdlib_cases.case import Integers, Made, Of, Uniform

of = Of("loss")

REGRESSION = (
    "mse",
    "mse_grad",
    "l1",
    "l1_grad",
    "huber",
    "huber_grad",
    "smooth_l1",
    "log_cosh",
)
SIGNED = ("hinge", "squared_hinge", "hinge_embedding", "soft_margin")

LABELS = Integers((7,), 9)
HOLES = Made("7h", lambda rng: np.array([3, -100, 0, 8, -100, 5, 2]))
LOGARITHMS = Made("7x9l", lambda rng: np.log(rng.dirichlet(np.ones(9), 7)))
SHARES = Made("7x9p", lambda rng: rng.dirichlet(np.ones(9), 7))
BITS = Made("5x7b", lambda rng: rng.integers(0, 2, (5, 7)).astype(np.float64))
SIGNS = Made("5x7s", lambda rng: 2.0 * rng.integers(0, 2, (5, 7)) - 1)
SIGN = Made("5s", lambda rng: 2.0 * rng.integers(0, 2, 5) - 1)
FRAMES = Made("9x3x5l", lambda rng: np.log(rng.dirichlet(np.ones(5), (9, 3))))
REPEATED = Made(
    "3x4r", lambda rng: np.array([[1, 1, 2, 0], [0, 3, 3, 1], [2, 0, 2, 3]])
)

CASES = (
    *(of(name, (5, 7), (5, 7)) for name in REGRESSION),
    of("huber", (5, 7), (5, 7), delta=0.5),
    of("huber_grad", (5, 7), (5, 7), delta=0.5),
    of("smooth_l1", (5, 7), (5, 7), beta=0.5),
    of("quantile", (5, 7), (5, 7), q=0.25),
    of("nll", LOGARITHMS, LABELS),
    of("nll_weighted", LOGARITHMS, LABELS, Uniform((9,), 0.5)),
    of("cross_entropy", (7, 9), LABELS),
    of("cross_entropy", (1, 1), Integers((1,), 1, 0, "int32")),
    of("cross_entropy_grad", (7, 9), LABELS),
    of("cross_entropy_smoothed", (7, 9), LABELS, smoothing=0.1),
    of("cross_entropy_ignoring", (7, 9), HOLES),
    of("cross_entropy_pixels", (2, 5, 3, 4), Integers((2, 3, 4), 5)),
    of("cross_entropy_soft", (7, 9), SHARES),
    of("binary_cross_entropy", Uniform((5, 7), 0.01, 0.99), Uniform((5, 7))),
    of("binary_cross_entropy_logits", (5, 7), Uniform((5, 7))),
    of("binary_cross_entropy_logits_grad", (5, 7), Uniform((5, 7))),
    of("focal", (5, 7), BITS),
    of("focal", (5, 7), BITS, alpha=0.5, gamma=1.5),
    of("dice", Uniform((5, 7)), BITS),
    of("kl_divergence", LOGARITHMS, SHARES),
    of("gaussian_kl", (5, 7), (5, 7)),
    *(of(name, (5, 7), SIGNS) for name in SIGNED),
    of("multi_margin", (7, 9), LABELS, margin=0.5),
    of("margin_ranking", (5,), (5,), SIGN, margin=0.25),
    of("cosine_embedding", (5, 7), (5, 7), SIGN, margin=0.1),
    of("triplet", (5, 7), (5, 7), (5, 7)),
    of("poisson_nll", (5, 7), Uniform((5, 7), 0, 9)),
    of("gaussian_nll", (5, 7), (5, 7), Uniform((5, 7), 0.1)),
    of("info_nce", (5, 7), (5, 7), temperature=0.5),
    of("maximum_mean_discrepancy", (5, 3), (7, 3), gamma=0.25),
    of(
        "ctc",
        FRAMES,
        Integers((3, 4), 5, 1),
        Made("3l", lambda rng: np.array([9, 7, 8])),
        Made("3t", lambda rng: np.array([4, 2, 0])),
    ),
    of(
        "ctc",
        FRAMES,
        REPEATED,
        Made("3l", lambda rng: np.array([9, 5, 4])),
        Made("3t", lambda rng: np.array([3, 3, 3])),
        blank=4,
    ),
    of("transducer", Uniform((2, 5, 4), -3, -0.5), Uniform((2, 5, 3), -3, -0.5)),
    of("transducer", Uniform((1, 1, 1), -3, -0.5), Uniform((1, 1, 0), -3, -0.5)),
    of("dynamic_time_warping", (5, 3), (7, 3)),
    of("dynamic_time_warping", (1, 3), (1, 3)),
    of("soft_dynamic_time_warping", (5, 3), (7, 3), gamma=0.5),
    of("edit_distance", Integers((7,), 3), Integers((9,), 3)),
    of("edit_distance", Integers((0,), 3), Integers((4,), 3)),
)
