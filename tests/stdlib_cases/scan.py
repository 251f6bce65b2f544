"""Sizes for `stdlib.scan`."""

from stdlib_cases.case import Of, Uniform

of = Of("scan")


CASES = (
    of("cumulative_sum", (37,)),
    of("cumulative_sum", (2, 3, 5)),
    of("cumulative_sum", (3, 0)),
    of("exclusive_sum", (3, 17)),
    of("reverse_cumulative_sum", (3, 17)),
    of("cumulative_product", Uniform((3, 9), 0.5, 1.5)),
    of("cumulative_max", (3, 17)),
    of("cumulative_min", (3, 17)),
    of("cumulative_log_sum_exp", (3, 17)),
    of("segment_sums", (2, 7)),
    of("linear_recurrence", Uniform((3, 17)), (3, 17)),
    of("exponential_moving_average", (3, 17), alpha=0.25),
    of("discounted_return", (3, 17), discount=0.9),
    of("polynomial", (5,), (2, 7)),
    of("polynomial", (1,), (3,)),
    of("integral_image", (2, 5, 7)),
    of("box_sum", (2, 5, 7), radius=1),
    of("box_sum", (3, 4), radius=5),
    of("differences", (2, 9)),
)
