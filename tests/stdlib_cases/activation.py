"""Sizes for `stdlib.activation`."""

from stdlib_cases.case import Made, Of

of = Of("activation")

ELEMENTWISE = (
    "relu_layer",
    "gelu_layer",
    "gelu_tanh",
    "silu_layer",
    "sigmoid_layer",
    "tanh_layer",
    "softplus_layer",
    "elu",
    "leaky_relu",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "mish",
    "softmax",
    "log_softmax",
)

MORE = (
    "log_sigmoid",
    "exponential",
    "relu6",
    "relu_squared",
    "selu",
    "celu",
    "softsign",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "quick_gelu",
    "snake",
    "softmin",
)

MASK = Made("3x17b", lambda rng: rng.random((3, 17)) < 0.5)

CASES = (
    *(of(name, (101,)) for name in ELEMENTWISE),
    *(of(name, (2, 3, 17)) for name in ELEMENTWISE),
    *(of(name, (2, 3, 7)) for name in MORE),
    of("relu_layer", ()),
    of("relu_layer", (0, 3)),
    of("softmax", (1, 1)),
    of("softmax", (3, 0)),
    of("softplus_layer", (19,), beta=2.5),
    of("elu", (19,), alpha=0.5),
    of("leaky_relu", (19,), slope=0.25),
    of("hardtanh", (19,), low=-0.5, high=0.25),
    of("prelu", (2, 3, 5, 7), (3,)),
    of("swiglu", (3, 19), (3, 19)),
    of("celu", (19,), alpha=0.5),
    of("softshrink", (19,), threshold=0.25),
    of("hardshrink", (19,), threshold=0.25),
    of("threshold", (2, 19), limit=0.1, value=-2.0),
    of("snake", (19,), a=2.0),
    of("prelu_last", (2, 5, 7), (7,)),
    of("geglu", (3, 19), (3, 19)),
    of("reglu", (3, 19), (3, 19)),
    of("glu", (3, 10)),
    of("glu", (34,)),
    of("swiglu_halves", (3, 10)),
    of("swiglu_mlp", (2, 3, 5), (7, 5), (7, 5), (3, 7)),
    of("maxout", (3, 12), pieces=3),
    of("softmax_temperature", (3, 17), temperature=0.5),
    of("softmax_masked", (3, 17), MASK),
    of("softmax_channels", (2, 5, 3, 4)),
    of("sparsemax", (3, 7)),
    of("sparsemax", (1,)),
)
