"""Random contractions: products of two factors in any order of indices, with batches,
windows (stride, dilation, padding) and groups, and with any inner product; now and then
with a third factor, with one that is computed or with rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from program_builder import Builder

_TERMS = (
    "{a} + {b}", "{a} - {b}", "{b} - 2 * {a}", "abs({a} - {b})", "({a} - {b})**2",
    "max({a}, {b})", "min({a}, 0.5 * {b}, 1)", "relu({a} - 3 * {b})", "-{a} * {b}",
    "clamp({a} * {b}, -1, 1)", "{a} * {b} * {a}", "+{a} * {b} * 2", "exp(-{a}) * {b}",
)  # fmt: skip
"""Functions of two factors; not all of them are for a microkernel."""
_VALUES = (
    "relu({f})", "({f} + {g})", "({f} * {g})", "({f} - {g}) * {g}", "exp(-abs({f}))",
    "({f} if {i} <= {j} else 0.5)", "({f} if {g} > 0 or {i} > 1 else {g})",
)  # fmt: skip
"""Values of a factor and of another access that moves with some of its indices."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product: its left-hand indices, its symbol, its right-hand side."""

    left: tuple[str, ...]
    symbol: str
    value: str


def product(b: Builder) -> Product:
    """Draw a contraction."""
    used: list[str] = []

    def some(least: int, most: int) -> list[str]:
        return [_fresh(b, used) for _ in range(b.number(least, most))]

    rows, columns = some(1, 2), some(1, 2)
    depth = some(1, 3)
    batch = some(0, 1) if b.chance(35) else []
    group = ""
    if b.chance(25):
        group = _grouped(b, used)
        columns.append(group)
    windows = b.number(1, 2) if b.chance(55) else 0
    first = _factor(b, [*batch, *rows, *depth], rows, depth, windows, group)
    second = _factor(b, [*batch, *columns, *depth], columns, depth, 0, "")
    left = tuple(b.shuffled([*batch, *rows, *columns]))
    first = _computed(b, first, [*batch, *rows, *depth])
    second = _computed(b, second, [*batch, *columns, *depth])
    if b.chance(50):
        first, second = second, first
    if b.chance(60):
        value = f"{first} * {second}"
        if b.chance(25):
            some = [i for i in used if b.chance(50)] or used[:1]
            value += f" * {_factor(b, some, [], [], 0, '')}"
        return Product(left, "+=", value)
    value = b.pick(_TERMS).format(a=first, b=second)
    symbol = b.pick(("+=", "+=", "*=", "max", "min"))
    if symbol in ("max", "min"):
        return Product(left, "=", f"{symbol}[{', '.join(depth)}]({value})")
    return Product(left, symbol, value)


def _fresh(b: Builder, used: list[str]) -> str:
    index = b.index(b.size(used), used)
    used.append(index)
    return index


def _grouped(b: Builder, used: list[str]) -> str:
    """Return an index over groups of two or three; the last one may be partial."""
    size = b.size([*used, *used[:1]])
    dim = b.pick((f"2*{size}", f"3*{size}", f"3*{size}", f"2*{size} + 1"))
    index = b.index(dim, used)
    used.append(index)
    return index


def _factor(
    b: Builder,
    indices: Sequence[str],
    own: Sequence[str],
    depth: Sequence[str],
    windows: int,
    group: str,
) -> str:
    """Return an access that moves with *indices*, to a tensor of the right shape."""
    places = {i: (i, b.indices[i]) for i in indices}
    padded = False
    for p, r in list(zip(own, depth))[:windows]:
        subscript, dim, leaves = _window(b, p, r)
        places[p] = (subscript, dim)
        padded = padded or leaves
        if b.chance(85):
            del places[r]
    if group:
        dim = b.indices[group]
        count = dim[0]
        number = f"({dim} + {count} - 1) // {count}"
        part = (f"{group} // {count}", number), (f"{group} % {count}", count)
        places[group] = b.pick((part[0], part[0], part[1]))
    if not group and not padded and b.chance(10):
        index = b.pick([i for i in indices if i in places])
        places[index] = _gathered(b, index)
    order = b.shuffled(list(places.values()))
    dims = tuple(dim for _, dim in order)
    access = f"{_tensor(b, dims)}[{', '.join(s for s, _ in order)}]"
    if not padded and b.chance(85):
        return access
    value = "" if b.chance(70) else f", {b.pick((1.5, -2, 0.25))}"
    return f"pad({access}{value})"


def _computed(b: Builder, factor: str, indices: Sequence[str]) -> str:
    """Return a factor as it is, or a value of it."""
    if not b.chance(25):
        return factor
    some = [i for i in indices if b.chance(50)] or indices[:1]
    other = _factor(b, some, [], [], 0, "")
    form = b.pick(_VALUES)
    return form.format(f=factor, g=other, i=b.pick(indices), j=b.pick(indices))


def _gathered(b: Builder, index: str) -> tuple[str, str]:
    """Return a subscript that an index looks up, and the dimension that it reads."""
    name, dim = b.parameter("int", [b.indices[index]]), b.size()
    b.bounded[name] = dim
    return f"{name}[{index}]", dim


def _window(b: Builder, p: str, r: str) -> tuple[str, str, bool]:
    """Return a window subscript, the dimension it reads, and whether it leaves it."""
    stride, dilation, shift = b.pick((1, 1, 2, 3)), b.pick((1, 1, 2)), b.number(0, 2)
    outer, inner = b.indices[p], b.indices[r]
    subscript = f"{stride}*{p} + {dilation}*{r}"
    if b.chance(40):
        whole = f"{stride}*({outer} - 1) + {dilation}*({inner} - 1) + 1"
        return subscript, f"max(0, {whole})", False
    dim = b.pick((outer, f"{stride}*{outer}", b.size()))
    return f"{subscript} - {shift}", dim, True


def _tensor(b: Builder, dims: tuple[str, ...]) -> str:
    """Return a tensor of a shape: one that is there, or a new parameter."""
    known = [
        n for n, t in b.tensors.items()
        if t.dims == dims and t.kind == "float" and not t.partial
    ]  # fmt: skip
    if known and b.chance(60):
        return b.pick(known)
    return b.parameter("float", dims, b.dtype if b.chance(95) else "")
