"""Sizes for `stdlib.activation_grad`."""

import numpy as np

from stdlib_cases.case import Made, Of, Uniform

of = Of("activation_grad")

GRADIENTS = (
    "relu_grad",
    "relu6_grad",
    "relu_squared_grad",
    "leaky_relu_grad",
    "gelu_grad",
    "gelu_tanh_grad",
    "quick_gelu_grad",
    "silu_grad",
    "mish_grad",
    "elu_grad",
    "selu_grad",
    "celu_grad",
    "softplus_grad",
    "log_sigmoid_grad",
    "softsign_grad",
    "tanhshrink_grad",
    "shrink_grad",
    "hardtanh_grad",
    "hardsigmoid_grad",
    "hardswish_grad",
)

OF_RESULTS = ("sigmoid_grad", "tanh_grad", "softmax_grad")

LOGARITHMS = Made("3x17l", lambda rng: np.log(rng.dirichlet(np.ones(17), 3)))

CASES = (
    *(of(name, (3, 19), (3, 19)) for name in GRADIENTS),
    *(of(name, (3, 19), Uniform((3, 19), 0.05, 0.95)) for name in OF_RESULTS),
    of("leaky_relu_grad", (19,), (19,), slope=0.25),
    of("elu_grad", (19,), (19,), alpha=0.5),
    of("celu_grad", (19,), (19,), alpha=0.5),
    of("softplus_grad", (19,), (19,), beta=2.5),
    of("shrink_grad", (19,), (19,), threshold=0.25),
    of("hardtanh_grad", (19,), (19,), low=-0.5, high=0.25),
    of("relu6_grad", (19,), Uniform((19,), -9, 9)),
    of("hardsigmoid_grad", (19,), Uniform((19,), -9, 9)),
    of("hardswish_grad", (19,), Uniform((19,), -9, 9)),
    of("prelu_grad", (2, 3, 5), (2, 3, 5), (5,)),
    of("glu_grad", (3, 5), (3, 10)),
    of("swiglu_grad", (3, 19), (3, 19), (3, 19)),
    of("geglu_grad", (3, 19), (3, 19), (3, 19)),
    of("log_softmax_grad", (3, 17), LOGARITHMS),
)
