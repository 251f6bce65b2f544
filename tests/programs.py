"""Random programs of what compiles, as texts with the shapes of their arguments.

A program is a chain of statements over a few sizes. Every index runs over one size, so
that a bare index is in bounds wherever the size stands; any other subscript is padded
or under a condition that keeps it inside. Products are drawn often: they take the most
different paths through the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy], object]  # type: ignore[type-arg]

EXTENTS = (0, 1, 1, 2, 3, 5, 7, 8, 11, 16, 17, 19, 33)
FLOATS = ("f32", "f32", "f32", "f64")
INTEGERS = ("i32", "i64", "i8", "u8", "i16")


@dataclass(frozen=True, slots=True)
class Program:
    """A text with one kernel `f`, and for each argument its dtype and shape."""

    text: str
    arguments: tuple[tuple[str, str, tuple[int, ...]], ...]


@dataclass(slots=True)
class _Builder:
    """What a program has so far: sizes with their indices, and tensors."""

    draw: Draw
    sizes: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)

    def pick(self, options: object) -> object:
        return self.draw(st.sampled_from(list(options)))  # type: ignore[call-overload]

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) < percent)  # type: ignore[operator]

    def index(self, size: str, number: int = 0) -> str:
        """Return an index that runs over a size; its range will be declared."""
        name = f"{size.lower()}{number}"
        self.used[name] = size
        return name

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))  # type: ignore[call-overload]


@st.composite
def programs(draw: Draw) -> Program:
    """Draw a program."""
    b = _Builder(draw)
    for name in ("A", "B", "C", "D")[: b.number(2, 4)]:
        b.sizes[name] = int(b.pick(EXTENTS))  # type: ignore[call-overload]
    kind = b.pick(("float", "float", "float", "integer"))
    dtypes = FLOATS if kind == "float" else INTEGERS
    dtype = str(b.pick(dtypes))
    lines: list[str] = []
    for n in range(b.number(1, 3)):
        _parameter(b, f"x{n}", dtype if b.chance(80) else str(b.pick(dtypes)))
    parameters = dict(b.tensors)
    for n in range(b.number(1, 3)):
        lines += _statement(b, f"t{n}", kind == "float")
    results = [t for t in b.tensors if t not in parameters]
    chosen = results[-b.number(1, min(2, len(results))) :]
    ranges = [f"{i} in range({s})" for i, s in b.used.items()]
    header = ", ".join(f"{n}: {_type(*t)}" for n, t in parameters.items())
    # Sizes are bound by a tensor that shows them all.
    header += f", z: i8[{', '.join(b.sizes)}]"
    body = "\n    ".join([*ranges, *lines, f"return {', '.join(chosen)}"])
    arguments = [
        (n, d, tuple(b.sizes[s] for s in dims)) for n, (d, dims) in parameters.items()
    ]
    arguments.append(("z", "i8", tuple(b.sizes.values())))
    return Program(f"kernel f({header}):\n    {body}\n", tuple(arguments))


def _type(dtype: str, dims: tuple[str, ...]) -> str:
    return f"{dtype}[{', '.join(dims)}]" if dims else dtype


def _parameter(b: _Builder, name: str, dtype: str) -> None:
    rank = b.number(0, 3)
    b.tensors[name] = (dtype, tuple(str(b.pick(b.sizes)) for _ in range(rank)))


def _statement(b: _Builder, name: str, is_float: bool) -> list[str]:
    form = b.pick(("product", "product", "assign", "assign", "accumulate", "twice"))
    if form == "product":
        return [_product(b, name)]
    left = _left(b)
    target = f"{name}[{', '.join(left)}]" if left else name
    dims = tuple(b.used[i] for i in left)
    value = _value(b, left, 3, is_float)
    lines = [f"{target} = {value}"]
    if form in ("accumulate", "twice"):
        summed = _extra(b, left)
        symbol = "+=" if b.chance(85) else "*="
        body = _value(b, [*left, *summed], 2, is_float)
        lines = [f"{target} {symbol} {body}"]
        if form == "twice":
            lines.append(f"{target} {symbol} {_value(b, left, 1, is_float)}")
    b.tensors[name] = ("?", dims)
    return lines


def _left(b: _Builder) -> list[str]:
    dims = [str(b.pick(b.sizes)) for _ in range(b.number(0, 3))]
    return list(dict.fromkeys(b.index(s, dims[:n].count(s)) for n, s in enumerate(dims)))


def _extra(b: _Builder, left: list[str]) -> list[str]:
    """Return one or two indices to reduce over."""
    found: list[str] = []
    for _ in range(b.number(1, 2)):
        size = str(b.pick(b.sizes))
        found.append(b.index(size, 3 + len(found)))
    return [i for i in dict.fromkeys(found) if i not in left]


def _product(b: _Builder, name: str) -> str:
    """Draw a contraction: matrix products, windows, groups, batches, any order."""
    sizes = list(b.sizes)
    rows = [b.index(str(b.pick(sizes)), n) for n in range(b.number(1, 2))]
    columns = [b.index(str(b.pick(sizes)), 4 + n) for n in range(b.number(1, 2))]
    depth = [b.index(str(b.pick(sizes)), 7 + n) for n in range(b.number(1, 2))]
    batch = [b.index(str(b.pick(sizes)), 9)] if b.chance(25) else []
    left = list(b.draw(st.permutations([*batch, *rows, *columns])))  # type: ignore[call-overload]
    first = _factor(b, [*batch, *rows, *depth], rows, depth)
    second = _factor(b, [*batch, *columns, *depth], columns, depth)
    if b.chance(50):
        first, second = second, first
    b.tensors[name] = ("?", tuple(b.used[i] for i in left))
    return f"{name}[{', '.join(left)}] += {first} * {second}"


def _factor(b: _Builder, indices: list[str], own: list[str], depth: list[str]) -> str:
    """Return an access that moves with *indices*: to an input of its own shape, or a
    padded window of one."""
    order = list(b.draw(st.permutations(indices)))  # type: ignore[call-overload]
    window = own and depth and b.chance(45)
    dims = tuple(b.used[i] for i in order)
    subscripts = list(order)
    if window:
        slide = order.index(own[0])
        stride, dilation, shift = b.number(1, 2), b.number(1, 2), b.number(-1, 2)
        subscripts[slide] = f"{stride}*{own[0]} + {dilation}*{depth[0]} - {shift}"
        if len(depth) > 1 or b.chance(60):
            place = order.index(depth[0])
            subscripts.pop(place)
            dims = dims[:place] + dims[place + 1 :]
    tensor = f"p{len(b.tensors)}"
    while tensor in b.tensors:
        tensor += "x"
    known = [t for t, (d, s) in b.tensors.items() if s == dims and d != "?"]
    name = str(b.pick(known)) if known and b.chance(70) else None
    if name is None:
        same = [t for t, (_, s) in b.tensors.items() if len(s) == len(dims)]
        name = str(b.pick(same)) if same else None
    if name is None:
        return f"({_leaf(b, indices, True)} + {' + '.join(indices)})"
    access = f"{name}[{', '.join(subscripts)}]"
    plain = b.tensors[name][1] == dims and not window
    if plain and b.chance(80):
        return access
    value = "" if b.chance(70) else f", {b.number(-2, 2)}"
    return f"pad({access}{value})"


def _value(b: _Builder, indices: list[str], depth: int, is_float: bool) -> str:
    """Return an expression over *indices*."""
    if depth == 0:
        return _leaf(b, indices, is_float)
    form = b.pick(
        ("leaf", "binary", "binary", "unary", "minmax", "select", "where", "reduce")
        + ("compare", "cast")
    )
    below = lambda: _value(b, indices, depth - 1, is_float)  # noqa: E731
    match form:
        case "binary":
            return f"({below()} {b.pick(('+', '-', '*'))} {below()})"
        case "unary":
            return _unary(b, below(), is_float)
        case "minmax":
            return f"{b.pick(('min', 'max'))}({below()}, {below()})"
        case "select":
            return f"({below()} if {_condition(b, indices)} else {below()})"
        case "where":
            return f"where({below()} < {below()}, {below()}, {below()})"
        case "reduce":
            return _reduction(b, indices, depth, is_float)
        case "compare":
            return f"(1 if {below()} >= 0 and not {below()} > 2 else 0)"
        case "cast":
            kind = b.pick(("f32", "f64") if is_float else ("i32", "i64", "f32", "i8"))
            inner = f"{kind}({below()})"
            return inner if is_float else f"i32(clamp({inner}, -9, 9))"
        case _:
            return _leaf(b, indices, is_float)


def _unary(b: _Builder, inner: str, is_float: bool) -> str:
    if not is_float:
        return str(b.pick((f"abs({inner})", f"-({inner})", f"({inner}) // 3",
                           f"({inner}) % 4", f"relu({inner})", f"sign({inner})")))  # fmt: skip
    bounded = f"clamp({inner}, -3, 3)"
    positive = f"(abs({inner}) + 1)"
    return str(
        b.pick(
            [f"{f}({bounded})" for f in ("exp", "exp2", "expm1", "sin", "cos", "gelu")]
            + [f"{f}({inner})" for f in ("tanh", "sigmoid", "erf", "silu", "softplus")]
            + [f"{f}({inner})" for f in ("relu", "abs", "-", "floor", "round", "sign")]
            + [f"{f}{positive}" for f in ("log", "log2", "log1p", "sqrt", "rsqrt")]
            + [f"({inner}) / {positive}", f"fma({bounded}, {bounded}, 0.5)"]
            + [f"pow({positive}, 1.5)", f"({bounded})**2"]
        )
    )


def _condition(b: _Builder, indices: list[str]) -> str:
    if not indices:
        return "1 < 2"
    i, j = str(b.pick(indices)), str(b.pick(indices))
    return str(
        b.pick((f"{i} > 0", f"{i} <= {j}", f"0 < {i} < 5", f"{i} % 2 == 0",
                f"{i} == {j} or {i} > 3", f"not {i} // 2 == 1"))
    )  # fmt: skip


def _reduction(b: _Builder, indices: list[str], depth: int, is_float: bool) -> str:
    """Return a reduction over one or two further indices."""
    sizes = list(b.sizes)
    over = [b.index(str(b.pick(sizes)), 5 - depth)]
    if b.chance(30):
        over.append(b.index(str(b.pick(sizes)), 20 + depth))
    over = [i for i in dict.fromkeys(over) if i not in indices]
    if not over:
        return _leaf(b, indices, is_float)
    body = _value(b, [*indices, *over], depth - 1, is_float)
    op = str(b.pick(("sum", "max", "min", "mean", "prod", "any", "argmax")))
    if op == "argmax" and any(b.sizes[b.used[i]] == 0 for i in over):
        op = "sum"
    if op == "any":
        return f"(1 if any[{', '.join(over)}](({body}) > 1) else 0)"
    result = f"{op}[{', '.join(over)}]({body})"
    if op == "mean" and not is_float:
        return f"i32(clamp({result}, -9, 9))"
    if op in ("max", "min"):
        # An empty one is infinite, and infinities soon are NaN: keep them apart.
        return f"clamp({result}, -100, 100)"
    return result


def _leaf(b: _Builder, indices: list[str], is_float: bool) -> str:
    form = b.pick(("access", "access", "access", "number", "index"))
    if form == "number" or (form == "index" and not indices):
        return str(b.pick(("0.5", "2", "1", "-1.5") if is_float else ("1", "2", "3")))
    if form == "index":
        return str(b.pick(indices))
    tensor = str(b.pick(b.tensors))
    dims = b.tensors[tensor][1]
    if not dims:
        return tensor
    subscripts: list[str] = []
    padded = False
    for size in dims:
        own = [i for i in indices if b.used[i] == size]
        if own and b.chance(75):
            subscripts.append(str(b.pick(own)))
            continue
        padded = True
        subscripts.append(_subscript(b, indices))
    access = f"{tensor}[{', '.join(subscripts)}]"
    if not padded:
        return access
    value = "" if b.chance(60) else f", {b.number(0, 3)}"
    return f"pad({access}{value})"


def _subscript(b: _Builder, indices: list[str]) -> str:
    if not indices:
        return str(b.number(0, 2))
    i, j = str(b.pick(indices)), str(b.pick(indices))
    return str(
        b.pick((f"{i} - 1", f"{i} + 1", f"2*{i}", f"{i} + {j}", f"2*{i} - {j}",
                f"{i} // 2", f"{i} % 3", f"3 - {i}", f"abs({i} - 2)",
                f"clamp({i} + {j}, 0, 4)", f"min({i}, {j})", "0"))
    )  # fmt: skip
