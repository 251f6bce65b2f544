"""Sizes for `stdlib.recurrent`."""

from stdlib_cases.case import Given, Of, Uniform

of = Of("recurrent")


def layer(gates: int, states: int = 1) -> tuple[Given, ...]:
    """x, the states before, and the weights and biases of some gates."""
    height = 5 * gates
    return (
        (6, 2, 4),
        *states * ((2, 5),),
        (height, 4),
        (height, 5),
        (height,),
        (height,),
    )


CASES = (
    of("rnn_cell", (3, 4), (3, 5), (5, 4), (5, 5), (5,), (5,)),
    of("rnn", *layer(1)),
    of("rnn", (1, 1, 1), (1, 1), (1, 1), (1, 1), (1,), (1,)),
    of("rnn_relu", *layer(1)),
    of("rnn_reverse", *layer(1)),
    of("gru", *layer(3)),
    of("gru_reverse", *layer(3)),
    of("lstm", *layer(4, 2)),
    of("lstm_reverse", *layer(4, 2)),
    of(
        "lstm_projected",
        (6, 2, 4),
        (2, 3),
        (2, 5),
        (20, 4),
        (20, 3),
        (20,),
        (20,),
        (3, 5),
    ),
    of("flip_time", (5, 2, 3)),
    of("join_directions", (5, 2, 3), (5, 2, 3)),
    of(
        "bidirectional_lstm",
        (6, 2, 4),
        (2, 2, 5),
        (2, 2, 5),
        *2 * ((20, 4), (20, 5), (20,), (20,)),
    ),
    of("minimal_gru", (6, 2, 4), (2, 5), (5, 4), (5,), (5, 4), (5,)),
    of("independent_rnn", (6, 2, 4), (2, 5), (5, 4), Uniform((5,), -1), (5,)),
    of("quasi_rnn", (6, 2, 5), Uniform((6, 2, 5)), Uniform((6, 2, 5)), (2, 5)),
    of("moving_average", (6, 2, 5), (2, 5), Uniform((5,))),
    of(
        "linear_recurrent_unit",
        (6, 2, 3),
        Uniform((5,), -1),
        Uniform((5,), -1),
        (5,),
        (5, 3),
        (5, 3),
        (2, 5),
        (2, 5),
        (2, 3),
    ),
)
