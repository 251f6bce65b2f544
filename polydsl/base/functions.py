"""The one table of scalar operations: what the language calls functions and operators.

The checker reads the arity and the typing rule, the oracle the NumPy meaning, the
oracle's error bound and the code generator the promised error. The emission of each
row is in `polydsl.backend.scalar`, under the same name; a test holds them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np

from polydsl.base.dtypes import DType

Rule = Literal["arithmetic", "float", "keep", "compare", "logical", "test"]
"""How the result type follows from the operands' types.

* ``arithmetic``: the wider of the operands, at least f32 or i32 (`dtypes.promote`)
* ``float``: as arithmetic, but integers give f32
* ``keep``: the wider of the operands, kept narrow (`min`, `max`)
* ``compare``: operands meet as in arithmetic, the result is bool
* ``logical``: operands and result are bool
* ``test``: one float operand, the result is bool
"""

Numeric = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Function:
    """One scalar operation.

    `ulp` is the promised maximal error, in units in the last place of the result, of
    compiled code (0.5 is correctly rounded, 0 is exact). `symbol` is the operator's
    spelling, empty for a function that is called by its name. `jumps` says that the
    value is a discontinuous function of its operands. A `variadic` function takes
    `arity` arguments or more. An `internal` one is the compiler's own: no program can
    name it.

    `numpy` takes float64, int64 or bool arrays: the meaning in exact arithmetic, and
    that of integers before they wrap around; `integer` replaces it where integers
    need a meaning of their own. What an error of the operand does to the result of
    a function of one operand follows from its values at both ends and at its `turns`
    (where it stops rising or falling), or from `slope(x, e)`, a bound of the
    derivative's magnitude between x - e and x + e.
    """

    name: str
    arity: int
    rule: Rule
    numpy: Numeric
    ulp: float = 0.0
    symbol: str = ""
    jumps: bool = False
    variadic: bool = False
    internal: bool = False
    integer: Numeric | None = None
    turns: tuple[float, ...] = ()
    slope: Numeric | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it is written with its symbol."""
        return bool(self.symbol)

    @property
    def is_named(self) -> bool:
        """Whether programs call it by its name."""
        return not (self.symbol or self.internal)

    @property
    def is_long(self) -> bool:
        """Whether it takes dozens of instructions, most of which wait for another."""
        return self.rule == "float" and self.name not in ("div", "sqrt")


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(np.signbit(x), small, 1.0) / (1 + small)


def _gelu(x: Any) -> Any:
    """x/2 * erfc(-x / sqrt(2)); what rounding takes from the quotient, which counts
    2*z**2 times, is put back by the derivative."""
    exact = -np.asarray(x, np.longdouble) / np.sqrt(np.longdouble(2))
    z = exact.astype(np.float64)
    with np.errstate(invalid="ignore"):
        rest = (exact - z).astype(np.float64)
    slope = -2 / math.sqrt(math.pi) * np.exp(-z * z)
    return x * (0.5 * (_erfc(z) + slope * np.where(np.isfinite(rest), rest, 0.0)))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def _erf_slope(x: Any, e: Any) -> Any:
    nearest = np.maximum(np.abs(x) - e, 0.0)
    return 2 / math.sqrt(math.pi) * np.exp(-nearest * nearest)


def _integer_floor_divide(x: Any, y: Any) -> Any:
    """Floor division; a zero divisor gives 0, the least number by -1 wraps."""
    return np.where(y == 0, 0, np.floor_divide(x, np.where(y == 0, 1, y)))


def _integer_modulo(x: Any, y: Any) -> Any:
    """Python's remainder; a zero divisor gives 0."""
    return np.where(y == 0, 0, np.remainder(x, np.where(y == 0, 1, y)))


def _inside(x: Any, n: Any) -> Any:
    return np.where((x >= 0) & (x < n), x, n - 1)


def _integer_power(x: Any, y: Any) -> Any:
    """Powers that wrap; a negative one is 1 divided, so 0 unless x is 1 or -1."""
    raised = np.power(x, np.maximum(y, 0))
    odd = np.where(y % 2 == 0, 1, x)
    return np.where(y >= 0, raised, np.where(np.abs(x) == 1, odd, 0))


def _at_most_one(x: Any, e: Any) -> Any:
    return np.ones_like(x)


def _identity(x: Any) -> Any:
    return x


# The places of the minima of gelu and silu.
_GELU_TURN = -0.7517915246935645
_SILU_TURN = -1.2784645427610738


FUNCTIONS: dict[str, Function] = {
    row.name: row
    for row in (
        # operators
        Function("add", 2, "arithmetic", np.add, 0.5, "+"),
        Function("sub", 2, "arithmetic", np.subtract, 0.5, "-"),
        Function("mul", 2, "arithmetic", np.multiply, 0.5, "*"),
        Function("div", 2, "float", np.true_divide, 0.5, "/"),
        Function(
            "floordiv",
            2,
            "arithmetic",
            np.floor_divide,
            1.5,
            "//",
            jumps=True,
            integer=_integer_floor_divide,
        ),
        Function(
            "mod",
            2,
            "arithmetic",
            np.remainder,
            0.5,
            "%",
            jumps=True,
            integer=_integer_modulo,
        ),
        Function("power", 2, "arithmetic", np.power, 1.0, "**", integer=_integer_power),
        Function("neg", 1, "arithmetic", np.negative, 0.0, "-"),
        Function("pos", 1, "arithmetic", np.positive, 0.0, "+"),
        Function("eq", 2, "compare", np.equal, 0.0, "==", jumps=True),
        Function("ne", 2, "compare", np.not_equal, 0.0, "!=", jumps=True),
        Function("lt", 2, "compare", np.less, 0.0, "<", jumps=True),
        Function("le", 2, "compare", np.less_equal, 0.0, "<=", jumps=True),
        Function("gt", 2, "compare", np.greater, 0.0, ">", jumps=True),
        Function("ge", 2, "compare", np.greater_equal, 0.0, ">=", jumps=True),
        Function("and", 2, "logical", np.logical_and, 0.0, "and"),
        Function("or", 2, "logical", np.logical_or, 0.0, "or"),
        Function("not", 1, "logical", np.logical_not, 0.0, "not"),
        # functions
        Function("abs", 1, "arithmetic", np.abs),
        Function("exp", 1, "float", np.exp, 1.0),
        Function("exp2", 1, "float", np.exp2, 1.0),
        Function("expm1", 1, "float", np.expm1, 1.1),
        Function("log", 1, "float", np.log, 1.0),
        Function("log2", 1, "float", np.log2, 1.2),
        Function("log1p", 1, "float", np.log1p, 1.0),
        Function("sqrt", 1, "float", np.sqrt, 0.5),
        Function("rsqrt", 1, "float", lambda x: 1 / np.sqrt(x), 1.5),
        Function("tanh", 1, "float", np.tanh, 2.6),
        Function("sigmoid", 1, "float", _sigmoid, 2.4),
        Function("erf", 1, "float", _erf, 1.3, slope=_erf_slope),
        Function("sin", 1, "float", np.sin, 1.0, slope=_at_most_one),
        Function("cos", 1, "float", np.cos, 1.0, slope=_at_most_one),
        Function("floor", 1, "arithmetic", np.floor, jumps=True, integer=_identity),
        Function("ceil", 1, "arithmetic", np.ceil, jumps=True, integer=_identity),
        Function("round", 1, "arithmetic", np.rint, jumps=True, integer=_identity),
        Function("sign", 1, "arithmetic", np.sign, jumps=True),
        Function("pow", 2, "float", np.power, 1.0),
        Function("relu", 1, "arithmetic", lambda x: np.maximum(x, 0)),
        Function("gelu", 1, "float", _gelu, 1.3, turns=(_GELU_TURN,)),
        Function(
            "silu", 1, "float", lambda x: x * _sigmoid(x), 3.0, turns=(_SILU_TURN,)
        ),
        Function("softplus", 1, "float", _softplus, 1.2),
        Function("min", 2, "keep", np.minimum, variadic=True),
        Function("max", 2, "keep", np.maximum, variadic=True),
        Function("clamp", 3, "keep", lambda x, a, b: np.minimum(np.maximum(x, a), b)),
        Function("fma", 3, "arithmetic", lambda x, y, z: x * y + z, 0.51),
        Function("isnan", 1, "test", np.isnan, jumps=True),
        # An integer if it is at least 0 and below n, else n - 1: one unsigned
        # comparison, where `clamp` takes two.
        Function("inside", 2, "keep", _inside, jumps=True, internal=True),
    )
}
"""All scalar operations by name. `where` is a form of its own (`Select`)."""

Combine = Literal["add", "mul", "max", "min", "and", "or"]
"""The functions that updates combine values with: associative and commutative."""


def identity(combine: Combine, dtype: DType) -> float:
    """Return the neutral element of a combining function; of bools, 1 or 0."""
    match combine:
        case "add" | "or":
            return 0
        case "mul" | "and":
            return 1
        case "max":
            return -math.inf if dtype.is_float else dtype.least
        case "min":
            return math.inf if dtype.is_float else dtype.greatest
        case _:
            assert_never(combine)


Reduction = Literal[
    "sum", "prod", "max", "min", "mean", "any", "all", "argmax", "argmin"
]
REDUCTIONS: tuple[Reduction, ...] = (
    "sum", "prod", "max", "min", "mean", "any", "all", "argmax", "argmin",
)  # fmt: skip
