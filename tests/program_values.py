"""Random expressions over some indices, of a wanted kind: float, int or bool.

What jumps (floor, comparisons, casts to integers) gets operands that are moved off the
places where values gather, such as 0 and the ends of a clamp: an operand within its
error of a jump would leave the element undecided.
"""

from __future__ import annotations

from collections.abc import Sequence

from program_builder import FLOATS, Builder, Kind

Indices = Sequence[str]

BOUNDED = ("exp", "exp2", "expm1", "sin", "cos", "gelu")
SMOOTH = ("tanh", "sigmoid", "erf", "silu", "softplus", "relu", "abs", "-", "+")
POSITIVE = ("log", "log2", "log1p", "sqrt", "rsqrt")
JUMPING = ("floor", "ceil", "round", "sign")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def value(b: Builder, indices: Indices, kind: Kind, depth: int) -> str:
    """Draw an expression."""
    match kind:
        case "float":
            return floats(b, indices, depth)
        case "int":
            return integers(b, indices, depth)
        case _:
            return booleans(b, indices, depth)


def floats(b: Builder, indices: Indices, depth: int) -> str:
    """Draw an expression of a floating-point type."""
    if depth == 0:
        return _leaf(b, indices, "float")
    form = b.pick(
        (
            *("leaf", "binary", "binary", "function", "function", "jump", "minmax"),
            *("conditional", "conditional", "where", "reduce", "reduce", "cast"),
            "divide",
        )
    )
    match form:
        case "binary":
            left, right = (floats(b, indices, depth - 1) for _ in range(2))
            return f"({left} {b.pick(('+', '-', '*'))} {right})"
        case "function":
            return _function(b, floats(b, indices, depth - 1))
        case "jump":
            inner = f"clamp({floats(b, indices, depth - 1)}, -9, 9) + 0.37"
            named = [f"{f}({inner})" for f in JUMPING]
            return b.pick([*named, f"({inner}) // 1.5", f"({inner}) % 2.5"])
        case "minmax":
            left, right = (floats(b, indices, depth - 1) for _ in range(2))
            return f"{b.pick(('min', 'max'))}({left}, {right})"
        case "divide":
            below = floats(b, indices, depth - 1)
            return f"{floats(b, indices, depth - 1)} / (abs({below}) + 1)"
        case "cast":
            inner = value(b, indices, b.pick(("float", "int")), depth - 1)
            return f"{b.pick(FLOATS)}({inner})"
        case "conditional" | "where":
            return _choice(b, indices, "float", depth)
        case "reduce":
            return _reduction(b, indices, "float", depth)
        case _:
            return _leaf(b, indices, "float")


def _function(b: Builder, inner: str) -> str:
    near, positive = f"clamp({inner}, -3, 3)", f"(abs({inner}) + 1)"
    return b.pick(
        [
            *(f"{f}({near})" for f in BOUNDED),
            *(f"{f}({inner})" for f in SMOOTH),
            *(f"{f}{positive}" for f in POSITIVE),
            *(f"fma({near}, {near}, 0.5)", f"pow({positive}, 1.5)", f"({near})**2"),
            *(f"{positive} ** 0.5", f"({near})**3"),
        ]
    )


def integers(b: Builder, indices: Indices, depth: int) -> str:
    """Draw an expression of an integer type."""
    if depth == 0:
        return _leaf(b, indices, "int")
    form = b.pick(
        (
            *("leaf", "binary", "binary", "unary", "minmax", "conditional", "where"),
            *("reduce", "reduce", "cast", "float", "argument"),
        )
    )
    match form:
        case "binary":
            operator = b.pick(("+", "-", "*", "//", "%"))
            left, right = (integers(b, indices, depth - 1) for _ in range(2))
            return f"({left} {operator} {right})"
        case "unary":
            inner = integers(b, indices, depth - 1)
            named = [f"{f}({inner})" for f in ("abs", "-", "relu", "sign", "+")]
            return b.pick([*named, f"clamp({inner}, -5, 9)", f"({inner})**2"])
        case "minmax":
            left, right = (integers(b, indices, depth - 1) for _ in range(2))
            return f"{b.pick(('min', 'max'))}({left}, {right})"
        case "cast":
            dtype = b.pick(("i32", "i64", "i8", "u8", "i16"))
            return f"{dtype}({value(b, indices, b.pick(('int', 'bool')), depth - 1)})"
        case "float":
            dtype = b.pick(("i32", "i64", "i8", "u8", "i16"))
            inner = floats(b, indices, depth - 1)
            return f"{dtype}(clamp({inner}, -300, 300) * 1.5 + 0.37)"
        case "conditional" | "where":
            return _choice(b, indices, "int", depth)
        case "reduce":
            return _reduction(b, indices, "int", depth)
        case "argument":
            return _arg_extremum(b, indices)
        case _:
            return _leaf(b, indices, "int")


def booleans(b: Builder, indices: Indices, depth: int) -> str:
    """Draw a condition that depends on data."""
    if depth == 0:
        return _leaf(b, indices, "bool")
    form = b.pick(("compare", "compare", "int", "not", "and", "isnan", "any", "leaf"))
    match form:
        case "compare":
            left, right = (floats(b, indices, depth - 1) for _ in range(2))
            return f"{left} {b.pick(COMPARISONS[:4])} {right} + 0.37"
        case "int":
            left, right = (integers(b, indices, depth - 1) for _ in range(2))
            return f"{left} {b.pick(COMPARISONS)} {right}"
        case "not":
            return f"not ({booleans(b, indices, depth - 1)})"
        case "and":
            left, right = (booleans(b, indices, depth - 1) for _ in range(2))
            return f"({left} {b.pick(('and', 'or'))} {right})"
        case "isnan":
            return f"isnan(0.5 * {floats(b, indices, depth - 1)})"
        case "any":
            over = _over(b, indices)
            if not over:
                return _leaf(b, indices, "bool")
            body = booleans(b, [*indices, *over], depth - 1)
            return f"{b.pick(('any', 'all'))}[{', '.join(over)}]({body})"
        case _:
            return _leaf(b, indices, "bool")


def _choice(b: Builder, indices: Indices, kind: Kind, depth: int) -> str:
    then, otherwise = (value(b, indices, kind, depth - 1) for _ in range(2))
    inside = _inside(b, indices, kind)
    form = b.pick(("affine", "data", "both", "inside"))
    if form == "inside" and inside:
        return f"({inside[0]} if {inside[1]} else {otherwise})"
    condition = affine_condition(b, indices)
    if form in ("data", "both"):
        data = booleans(b, indices, depth - 1)
        condition = f"{condition} and {data}" if form == "both" else data
    if b.chance(30):
        return f"where({condition}, {then}, {otherwise})"
    return f"({then} if {condition} else {otherwise})"


def _inside(b: Builder, indices: Indices, kind: Kind) -> tuple[str, str] | None:
    """Return an access that a condition keeps inside its tensor, and the condition."""
    for name in b.of_kind(kind):
        info = b.tensors[name]
        own = [i for i in indices if b.indices[i] in info.dims[:1]]
        if len(info.dims) == 1 and own and not info.partial:
            i = b.pick(own)
            if b.chance(50):
                return f"{name}[{i} - 1]", f"{i} > 0"
            return f"{name}[{i} + 1]", f"{i} < {info.dims[0]} - 1"
    return None


def affine_condition(b: Builder, indices: Indices) -> str:
    """Draw a condition of indices alone."""
    if not indices:
        return b.pick(("1 < 2", "True", "False"))
    i, j = b.pick(indices), b.pick(indices)
    return b.pick(
        (
            *(f"{i} > 0", f"{i} <= {j}", f"0 < {i} < 5", f"{i} % 2 == 0"),
            *(f"({i} == {j} or {i} > 3)", f"not {i} // 2 == 1"),
            *(f"{i} + {j} >= 4", f"{i} != {j}"),
        )
    )


def _over(b: Builder, indices: Indices) -> list[str]:
    """Return one or two further indices to reduce over."""
    over: list[str] = []
    for _ in range(1 + b.chance(30)):
        index = b.reduced([*indices, *over])
        if index not in indices and index not in over:
            over.append(index)
    return over


def _reduction(b: Builder, indices: Indices, kind: Kind, depth: int) -> str:
    over = _over(b, indices)
    if not over:
        return _leaf(b, indices, kind)
    body = value(b, [*indices, *over], kind, depth - 1)
    bound = ", ".join(over)
    match b.pick(("sum", "max", "min", "prod", "mean")):
        case "prod":
            return f"prod[{bound}]({small(body, kind)})"
        case "mean" if kind == "float" and all(_is_filled(b, i) for i in over):
            return f"mean[{bound}]({body})"
        case "max" | "min" as op:
            # An empty one is infinite, and infinities soon are NaN: keep them apart.
            return f"clamp({op}[{bound}]({body}), -100, 100)"
        case _:
            return f"sum[{bound}]({body})"


def small(body: str, kind: Kind) -> str:
    """Return a factor of a product of many."""
    return f"clamp({body}, {'-1.5, 1.5' if kind == 'float' else '-2, 2'})"


def _is_filled(b: Builder, index: str) -> bool:
    """Whether an index has a point; the ranges that leave out an end have one less."""
    dim = b.indices[index]
    return b.extent(dim) - (b.ranges[index] != dim) > 0


def _arg_extremum(b: Builder, indices: Indices) -> str:
    """Draw a position of an extremum of values that are exact: ties are decided."""
    over = [i for i in _over(b, indices) if _is_filled(b, i)]
    if not over:
        return _leaf(b, indices, "int")
    kind: Kind = b.pick(("float", "int"))
    exact = [n for n in b.of_kind(kind) if n in b.parameters]
    body = (
        access(b, b.pick(exact), [*indices, *over])
        if exact
        else _leaf(b, [*indices, *over], "int")
    )
    return f"{b.pick(('argmax', 'argmin'))}[{', '.join(over)}]({body})"


def _leaf(b: Builder, indices: Indices, kind: Kind) -> str:
    form = b.pick(("access", "access", "access", "access", "number", "index"))
    tensors = b.of_kind(kind)
    if form == "access" and tensors:
        return access(b, b.pick(tensors), indices)
    if form == "index" and indices and kind != "bool":
        return b.pick(indices)
    numbers = {"float": ("0.5", "2.0", "-1.5", "1e-3"), "int": ("2", "1", "3", "-1")}
    return b.pick(numbers.get(kind, ("True", "False")))


def access(b: Builder, tensor: str, indices: Indices) -> str:
    """Draw an access to a tensor: padded, wherever it might leave it."""
    info = b.tensors[tensor]
    if not info.dims:
        return tensor
    subscripts: list[str] = []
    padded = info.partial
    for dim in info.dims:
        if b.chance(8):
            indirect, is_inside = _indirect(b, indices, dim)
            padded = padded or not is_inside
            subscripts.append(indirect)
            continue
        own = [i for i in indices if b.indices[i] == dim]
        if own and b.chance(80):
            i = b.pick(own)
            plain = i if b.chance(80) else b.pick((f"{dim} - 1 - {i}", f"{i} // 2"))
            subscripts.append(plain)
            continue
        padded = True
        subscripts.append(_subscript(b, indices))
    text = f"{tensor}[{', '.join(subscripts)}]"
    if not padded:
        return text
    value = "" if b.chance(60) or info.kind == "bool" else f", {b.number(0, 3)}"
    return f"pad({text}{value})"


def _indirect(b: Builder, indices: Indices, dim: str) -> tuple[str, bool]:
    """Return a subscript that is read from a tensor, and whether it may stand without
    padding: it holds what is below the extent, which is checked, or is cut off."""
    known = [n for n in b.of_kind("int") if _has_own(b, n, indices)]
    form = b.pick(("checked", "checked", "nested", "padded", "cut", "remainder"))
    if form == "checked" or not known:
        name = b.parameter("int", [b.indices[i] for i in indices[:2]])
        b.bounded[name] = dim
        return _bare(name, indices[:2]), True
    name = b.pick(known)
    read = _bare(name, [_own(b, d, indices) for d in b.tensors[name].dims])
    if form == "nested" and b.extent(dim):
        outer = b.parameter("int", [dim])
        b.bounded[outer] = dim
        return f"{outer}[{read} % {dim}]", True
    if form == "cut" and b.extent(dim):
        return f"clamp({read} + 1, 0, {dim} - 1)", True
    if form == "remainder" and b.extent(dim):
        return f"abs({read}) % {dim}", True
    return b.pick((read, f"{read} - 1", f"2*{read}")), False


def _has_own(b: Builder, name: str, indices: Indices) -> bool:
    """Whether a tensor may be read with bare indices."""
    info = b.tensors[name]
    own = {b.indices[i] for i in indices}
    return not info.partial and {*info.dims} <= own


def _own(b: Builder, dim: str, indices: Indices) -> str:
    return next(i for i in indices if b.indices[i] == dim)


def _bare(name: str, indices: Indices) -> str:
    return f"{name}[{', '.join(indices)}]" if indices else name


def _subscript(b: Builder, indices: Indices) -> str:
    if not indices:
        return str(b.number(0, 2))
    i, j = b.pick(indices), b.pick(indices)
    return b.pick(
        (
            *(f"{i} - 1", f"{i} + 1", f"2*{i}", f"{i} + {j}", f"2*{i} - {j}", "0"),
            *(f"{i} // 2", f"{i} % 3", f"3 - {i}", f"abs({i} - 2)"),
            *(f"clamp({i} + {j}, 0, 4)", f"min({i}, {j})", f"max({i} - {j}, -1)"),
            f"({i} + 1) // 2 - {j}",
        )
    )
