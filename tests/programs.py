"""Random programs of what compiles, as texts with the shapes of their arguments.

A program is a chain of statements over a few sizes. Every index runs over one size, so
that a bare index is in bounds wherever the size stands; any other subscript is padded
or under a condition that keeps it inside. Products are drawn often: they take the most
different paths through the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from program_builder import (
    EXTENTS,
    FLOATS,
    INTEGERS,
    KINDS,
    SMALL,
    Builder,
    Kind,
    Program,
    TensorInfo,
)
from program_followers import followers
from program_orders import recurrence, scatter, triangle
from program_products import product
from program_values import small, value

SCALE = """
kernel scale(u: T[..., N], *, s: float = 0.5, on: bool = True) -> T[..., N]:
    v[..., i] = u[..., i] * s if on else u[..., i]
    return v
"""
MOMENTS = """
kernel moments(u: T[..., N]) -> (T[...], T[...]):
    m[...] = clamp(max[i](u[..., i]), -100, 100)
    q[...] += u[..., i] * u[..., i]
    return m, q
"""


@st.composite
def programs(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Program:
    """Draw a program."""
    b = Builder(draw)
    for name in ("A", "B", "C", "D")[: b.number(2, 4)]:
        b.sizes[name] = b.pick(EXTENTS if b.sizes else SMALL)
    b.dtype = b.pick(("f32", "f32", "f32", *FLOATS))
    main: Kind = b.pick(("float", "float", "float", "int", "bool"))
    for _ in range(b.number(1, 2)):
        _some_parameter(b, main)
    if b.chance(50):
        _some_parameter(b, b.pick(("float", "int", "bool")))
    lines: list[str] = []
    for n in range(b.number(1, 3)):
        lines += _statement(b, f"t{n}", "float" if main == "bool" else main)
        if b.chance(35):
            lines += followers(b, f"t{n}f")
    # A read sees the finished tensor, wherever it stands in the text.
    return _finished(b, b.shuffled(lines) if b.chance(25) else lines)


def _some_parameter(b: Builder, kind: Kind) -> None:
    dims: list[str] = []
    for _ in range(b.number(0, 3)):
        room = 20_000 // max(1, _points(b, dims))
        fitting = [s for s, n in b.sizes.items() if n <= room]
        dims.append(b.pick(fitting or list(b.sizes)))
    b.parameter(kind, dims)


def _points(b: Builder, dims: list[str]) -> int:
    total = 1
    for dim in dims:
        total *= max(1, b.extent(dim))
    return total


def _finished(b: Builder, lines: list[str]) -> Program:
    """Put the header, the ranges and the result around the statements."""
    results = [
        n for n, t in b.tensors.items() if n not in b.parameters and not t.partial
    ]
    chosen = results[-b.number(1, 2) :]
    if b.chance(4):
        chosen.append(b.pick(list(b.parameters)))
    parameters = {**b.parameters, "z": TensorInfo("int", tuple(b.sizes), "i8")}
    header = ", ".join(f"{n}: {_type(b, t)}" for n, t in parameters.items())
    types = [_type(b, b.tensors[n]) for n in chosen]
    arrow = ""
    if all(b.tensors[n].dtype for n in chosen):
        arrow = f" -> {types[0]}" if len(types) == 1 else f" -> ({', '.join(types)})"
    ranges = [f"{i} in range({r})" for i, r in b.ranges.items()]
    body = "\n    ".join([*ranges, *lines, f"return {', '.join(chosen)}"])
    text = f"kernel f({header}){arrow}:\n    {body}\n"
    text += "".join(h for h in (SCALE, MOMENTS) if h[8:13] in body)
    arguments = tuple(
        (n, t.dtype, tuple(b.extent(d) for d in t.dims)) for n, t in parameters.items()
    )
    bounded = tuple((n, b.extent(dim)) for n, dim in b.bounded.items())
    return Program(text, arguments, large=b.chance(15), bounded=bounded)


def _type(b: Builder, info: TensorInfo) -> str:
    text = f"{info.dtype}[{', '.join(info.dims)}]"
    if not info.dims:
        text = b.pick((info.dtype, text))
    return text if b.chance(90) else f'"{text}"'


def _statement(b: Builder, name: str, main: Kind) -> list[str]:
    """Draw the statements that define a tensor."""
    forms = ("product", "assign", "accumulate", "twice", "partial", "call")
    orders = ("triangle", "recurrence", "scatter")
    weights = (6 if main == "float" else 1, 4, 3, 1, 1, 1, 2, 2, 2)
    form = b.pick([f for f, w in zip(forms + orders, weights) for _ in range(w)])
    kind: Kind = main if b.chance(85) else b.pick(("float", "int", "bool"))
    match form:
        case "product":
            found = product(b)
            summed = found.value
            if found.symbol == "+=" and b.chance(20):
                summed = f"({summed}) * ({value(b, found.left, 'float', 1)})"
            lines = [_line(name, found.left, found.symbol, summed)]
            if found.symbol == "+=" and b.chance(15):
                extra = _line(name, found.left, "+=", value(b, found.left, "float", 1))
                lines.insert(b.number(0, 1), extra)
            return _declared(b, name, "float", list(found.left), lines, True)
        case "call":
            return _call(b, name)
        case "triangle":
            return triangle(b, name, kind)
        case "recurrence":
            return recurrence(b, name)
        case "scatter":
            return scatter(b, name, kind)
        case "partial" if b.tensors:
            return _partial(b, name, kind)
        case "accumulate" | "twice":
            return _accumulate(b, name, "float" if kind == "bool" else kind, form)
        case _:
            left = _left(b)
            lines = [_line(name, left, "=", value(b, left, kind, 3))]
            return _declared(b, name, kind, left, lines, False)


def _line(name: str, left: list[str] | tuple[str, ...], symbol: str, text: str) -> str:
    target = f"{name}[{', '.join(left)}]" if left else name
    return f"{target} {symbol} {text}"


def _left(b: Builder) -> list[str]:
    left: list[str] = []
    for _ in range(b.number(0, 3)):
        left.append(b.index(b.size(left), left))
    return left


def _declared(
    b: Builder, name: str, kind: Kind, left: list[str], lines: list[str], product: bool
) -> list[str]:
    """Note the tensor; sometimes with a declaration of its type, often a narrower one.

    A scalar is declared where its right side might be taken for a size.
    """
    dims = tuple(b.indices[i] for i in left)
    must = not left
    dtype = ""
    if must or b.chance(8 if product else 25):
        dtype = {"float": b.dtype, "bool": "bool"}.get(kind) or b.pick(INTEGERS)
        assert KINDS[dtype] == kind
        text = f"{dtype}[{', '.join(dims)}]" if dims else dtype
        lines = [f"{name}: {text}", *lines]
    b.tensors[name] = TensorInfo(kind, dims, dtype)
    return lines


def _accumulate(b: Builder, name: str, kind: Kind, form: str) -> list[str]:
    left = _left(b)
    summed: list[str] = []
    for _ in range(b.number(1, 2)):
        index = b.reduced([*left, *summed])
        if index not in left and index not in summed:
            summed.append(index)
    symbol = b.pick(("+=", "+=", "+=", "*="))
    body = value(b, [*left, *summed], kind, 2)
    second = value(b, left, kind, 1)
    if symbol == "*=":
        body, second = small(body, kind), small(second, kind)
    lines = [_line(name, left, symbol, body)]
    if form == "twice":
        lines.append(_line(name, left, symbol, second))
    return _declared(b, name, kind, left, lines, False)


def _partial(b: Builder, name: str, kind: Kind) -> list[str]:
    """Define a tensor from 1 on; a second tensor reads it, padded."""
    dim = b.size()
    index = b.new_index(dim, f"min(1, {dim}), {dim}")
    lines = [_line(name, [index], "=", value(b, [index], kind, 2))]
    b.tensors[name] = TensorInfo(kind, (dim,), partial=True)
    i = b.index(dim)
    outside = {"float": ", 0.5", "int": ", 3", "bool": ""}[kind]
    b.tensors[f"{name}w"] = TensorInfo(kind, (dim,))
    return [*lines, f"{name}w[{i}] = pad({name}[{i}]{outside})"]


def _call(b: Builder, name: str) -> list[str]:
    """Pass a tensor to another kernel."""
    known = [n for n in b.of_kind("float") if b.tensors[n].dims]
    known = [n for n in known if not b.tensors[n].partial]
    tensor = b.pick(known) if known else b.parameter("float", [b.size()])
    info = b.tensors[tensor]
    if b.chance(50):
        constants = b.pick(("", ", s=2.5", ", on=False", ", s=2, on=True"))
        b.tensors[name] = TensorInfo("float", info.dims, info.dtype)
        return [f"{name} = scale({tensor}{constants})"]
    for result in (name, f"{name}q"):
        b.tensors[result] = TensorInfo("float", info.dims[:-1], info.dtype)
    return [f"{name}, {name}q = moments({b.pick((tensor, f'u={tensor}'))})"]
