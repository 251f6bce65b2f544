"""Sizes for `stdlib.statistics`."""

import numpy as np

from stdlib_cases.case import Integers, Made, Of

of = Of("statistics")

EDGES = Made("5r", lambda rng: np.sort(rng.standard_normal(5)))

CASES = (
    of("norm_l1", (2, 3, 17)),
    of("norm_l2", (5, 17)),
    of("norm_max", (5, 17)),
    of("norm_p", (5, 17), p=3.0),
    of("norm_frobenius", (2, 5, 7)),
    of("norm_rows", (2, 5, 7)),
    of("norm_columns", (2, 5, 7)),
    of("log_sum_exp", (5, 17)),
    of("log_sum_exp", (17,)),
    of("squared_distances", (5, 3), (17, 3)),
    of("distances", (5, 3), (17, 3)),
    of("cosine_similarities", (5, 3), (17, 3)),
    of("cosine_similarity", (2, 5, 3), (2, 5, 3)),
    of("gaussian_kernel", (5, 3), (7, 3), gamma=0.25),
    of("variance", (5, 17)),
    of("variance", (2, 3, 7), correction=0),
    of("covariance", (9, 5)),
    of("covariance", (9, 5), correction=0),
    of("correlation_matrix", (9, 5)),
    of("autocorrelation", (2, 9), lags=4),
    of("moments", (3, 17)),
    of("histogram", Integers((101,), 7), bins=9),
    of("histogram", Integers((0,), 7, 0, "int32"), bins=3),
    of("weighted_histogram", Integers((101,), 7, 0, "uint8"), (101,), bins=7),
    of("bucketize", (3, 17), EDGES),
)
