"""Random statements whose points are no box, or that run in an order of their own:
ranges that depend on other indices, recurrences, scatters.

Every index keeps to the dimension that it is noted with, so that any access is in
bounds. What a recurrence takes from before is halved, so that errors stay small.
"""

from __future__ import annotations

from collections.abc import Sequence

from program_builder import INTEGERS, Builder, Kind, TensorInfo
from program_values import small, value


def dependent_index(b: Builder, outer: str, dim: str) -> str:
    """Return a new index whose range depends on another one: a triangle, a band, a
    fraction of it."""
    near, far = b.number(0, 3), b.number(1, 4)
    bounds = b.pick(
        (
            f"min({outer} + 1, {dim})",
            f"min({outer}, {dim}), {dim}",
            f"min({dim}, max(0, {outer} - {near})), min({dim}, {outer} + {far})",
            f"min({outer} // 2, {dim}), min({dim}, {outer} + {near})",
            f"max(0, min({dim}, {dim} - {outer} - {near}))",
            f"min({dim}, {outer} % {far + 1}), {dim}",
        )
    )
    return b.new_index(dim, bounds)


def triangle(b: Builder, name: str, kind: Kind) -> list[str]:
    """Define a tensor by a statement with a dependent range: on the points themselves,
    or summed over one of its two indices."""
    outer = b.new_index(dim := b.size(), dim)
    inner = dependent_index(b, outer, b.size([outer]))
    free = [b.index(b.size([outer, inner]), [outer, inner])] if b.chance(50) else []
    form = b.pick(("inside", "reduced", "rows", "columns"))
    order = b.shuffled([outer, inner, *free])
    if form == "reduced":
        kind = "int" if kind == "bool" else kind
        body = value(b, order, kind, 2)
        left = [d for d in order if d != inner]
        # The greatest of nothing is no number to go on with.
        forms = ("sum[{}]({})", "max(max[{}]({}), -9)", "min(min[{}]({}), 9)")
        text = b.pick(forms).format(inner, body)
        return _noted(b, name, kind, left, [f"{_at(name, left)} = {text}"])
    if form == "inside":
        lines = [f"{_at(name, order)} = {value(b, order, kind, 2)}"]
        return _partly(b, name, kind, order, lines)
    kind = "float" if kind == "bool" else kind
    summed = inner if form == "rows" else outer
    left = [d for d in order if d != summed]
    # Every statement with the inner index has the outer one, too.
    body = f"({value(b, order, kind, 2)} if {outer} >= 0 else {inner})"
    lines = [f"{_at(name, left)} += {body}"]
    if form == "columns":
        return _partly(b, name, kind, left, lines)
    return _noted(b, name, kind, left, lines)


def _at(name: str, indices: Sequence[str]) -> str:
    return f"{name}[{', '.join(indices)}]"


def _noted(
    b: Builder, name: str, kind: Kind, left: Sequence[str], lines: list[str]
) -> list[str]:
    b.tensors[name] = TensorInfo(kind, tuple(b.indices[i] for i in left))
    return lines


def _partly(
    b: Builder, name: str, kind: Kind, left: Sequence[str], lines: list[str]
) -> list[str]:
    """Note a tensor of which only a part is defined, and one that reads it padded."""
    dims = tuple(b.indices[i] for i in left)
    shape = ", ".join(dims)
    dtype = {"float": b.dtype, "bool": "bool"}.get(kind) or b.pick(INTEGERS)
    b.tensors[name] = TensorInfo(kind, dims, dtype, partial=True)
    plain = [b.new_index(dim, dim) for dim in dims]
    outside = {"float": ", 0.5", "int": ", 3", "bool": ""}[kind]
    b.tensors[f"{name}w"] = TensorInfo(kind, dims)
    return [
        f"{name}: {dtype}[{shape}]",
        *lines,
        f"{_at(f'{name}w', plain)} = pad({_at(name, plain)}{outside})",
    ]


def recurrence(b: Builder, name: str) -> list[str]:
    """Define floating-point tensors that need elements of each other."""
    time = b.new_index(dim := b.size(), dim)
    left = [time]
    if b.chance(60):
        left = b.shuffled([time, b.index(b.size(left), left)])
    forms = (_scan, _pair, _conditional, _substitution, _wavefront, _contracted)
    return b.pick(forms)(b, name, time, left)


def _shifted(left: Sequence[str], time: str, step: int) -> list[str]:
    sign = "+" if step > 0 else "-"
    return [f"{d} {sign} {abs(step)}" if d == time else d for d in left]


def _own(b: Builder, left: Sequence[str]) -> str:
    return small(value(b, left, "float", 2), "float")


def _scan(b: Builder, name: str, time: str, left: list[str]) -> list[str]:
    step = b.pick((-1, -2, 1, -3, 2))
    before = f"pad({_at(name, _shifted(left, time, step))}, {b.pick(('0', '1.5'))})"
    return _stored(
        b, name, left, [f"{_at(name, left)} = 0.5 * {before} + {_own(b, left)}"]
    )


def _pair(b: Builder, name: str, time: str, left: list[str]) -> list[str]:
    """Two tensors, of which one is a step ahead; its index may have another name, and
    may run the other way."""
    other = f"{name}g"
    dim = b.indices[time]
    second = b.new_index(dim, dim) if b.chance(60) else time
    renamed = [second if d == time else d for d in left]
    back = b.chance(25)
    here = [
        f"{dim} - 1 - {second}" if back and d == time else r
        for d, r in zip(left, renamed)
    ]
    before = _shifted(left, time, -1)
    if back:
        before = [f"{dim} - {time}" if d == time else d for d in left]
    ours = f"0.5 * pad({_at(other, before)}, 1) + {_own(b, left)}"
    theirs = f"tanh({_at(name, here)}) + {_own(b, renamed)}"
    return [
        *_stored(b, name, left, [f"{_at(name, left)} = {ours}"]),
        *_stored(b, other, renamed, [f"{_at(other, renamed)} = {theirs}"]),
    ]


def _conditional(b: Builder, name: str, time: str, left: list[str]) -> list[str]:
    """By degree, as Chebyshev polynomials are."""
    one, two = (_at(name, _shifted(left, time, -n)) for n in (1, 2))
    later = f"0.5 * {one} - 0.25 * {two}"
    text = f"{_own(b, left)} if {time} < 2 else {later} + {_own(b, left)}"
    return _stored(b, name, left, [f"{_at(name, left)} = {text}"])


def _substitution(b: Builder, name: str, time: str, left: list[str]) -> list[str]:
    """Forward or backward substitution: each element needs all before it."""
    dim = b.indices[time]
    bounds = b.pick((time, f"{time} + 1, {dim}"))
    inner = b.new_index(dim, bounds)
    there = [inner if d == time else d for d in left]
    body = f"{_at(name, there)} * clamp({value(b, [time, inner], 'float', 1)}, -1, 1)"
    text = f"{_own(b, left)} - 0.1 * sum[{inner}]({body})"
    return _stored(b, name, left, [f"{_at(name, left)} = {text}"])


def _wavefront(b: Builder, name: str, time: str, left: list[str]) -> list[str]:
    if len(left) < 2:
        return _scan(b, name, time, left)
    i, j = left
    first, second = b.pick((((-1, 0), (0, -1)), ((-2, 1), (1, -2)), ((-1, 1), (-1, -1)),
                            ((0, 1), (-1, 2)), ((1, 0), (0, 1))))  # fmt: skip
    reads = [f"pad({name}[{i} + {a}, {j} + {c}])".replace("+ -", "- ")
             for a, c in (first, second)]  # fmt: skip
    text = f"0.4 * {reads[0]} + 0.4 * {reads[1]} + {_own(b, left)}"
    return _stored(b, name, left, [f"{_at(name, left)} = {text}"])


def _contracted(b: Builder, name: str, time: str, left: list[str]) -> list[str]:
    """A step that sums over the state before, as in a recurrent layer."""
    if len(left) < 2:
        return _scan(b, name, time, left)
    state = next(d for d in left if d != time)
    summed = b.new_index(b.indices[state], b.indices[state])
    before = [summed if d == state else d for d in _shifted(left, time, -1)]
    other = f"{name}s"
    weight = f"clamp({value(b, [state, summed], 'float', 1)}, -1, 1) * 0.02"
    return [
        f"{_at(other, left)} += pad({_at(name, before)}, 0.5) * {weight}",
        *_stored(b, name, left, [
            f"{_at(name, left)} = tanh({_at(other, left)}) + {_own(b, left)}"]),
    ]  # fmt: skip


def _stored(b: Builder, name: str, left: Sequence[str], lines: list[str]) -> list[str]:
    """Declare the tensor: its type may not depend on its own reads."""
    dims = tuple(b.indices[i] for i in left)
    b.tensors[name] = TensorInfo("float", dims, b.dtype)
    return [f"{name}: {b.dtype}[{', '.join(dims)}]", *lines]


def scatter(b: Builder, name: str, kind: Kind) -> list[str]:
    """Add values to elements given by affine terms."""
    kind = "float" if kind == "bool" else kind
    first = b.index(b.size())
    second = b.index(b.size([first]), [first])
    dims = [b.indices[first], b.indices[second]]
    stride = b.pick((1, 1, 2, 3))
    forms = {
        "window": (
            [f"{first} * {stride} + {second}"],
            [f"{stride}*{dims[0]} + {dims[1]}"],
        ),
        "stride": ([f"2 * {first} + 1", second], [f"2*{dims[0]} + 1", dims[1]]),
        "diagonal": ([first, first], [dims[0], dims[0]]),
        "blocks": ([f"{first} // 2", second], [f"{dims[0]} // 2 + 1", dims[1]]),
        "cycle": ([f"{first} % 3"], ["3"]),
        "sum of three": ([f"{first} + {second}", f"{first} + 1"],
                         [f"{dims[0]} + {dims[1]}", f"{dims[0]} + 1"]),
        "back": ([f"{dims[0]} - 1 - {first} + {second}"], [f"{dims[0]} + {dims[1]}"]),
        "coarse": ([f"2 * {first} + 3 * {second}"], [f"2*{dims[0]} + 3*{dims[1]}"]),
    }  # fmt: skip
    subscripts, shape = b.pick(list(forms.values()))
    left = list(dict.fromkeys([first, second]))
    extra = b.index(b.size(left), left) if b.chance(40) else None
    if extra is not None:
        left.append(extra)
        if b.chance(60):
            subscripts, shape = [*subscripts, extra], [*shape, b.indices[extra]]
    dtype = b.dtype if kind == "float" else b.pick(("i32", "i64"))
    lines = [f"{name}: {dtype}[{', '.join(shape)}]"]
    for _ in range(b.number(1, 2)):
        lines.append(f"{_at(name, subscripts)} += {value(b, left, kind, 2)}")
    b.tensors[name] = TensorInfo(kind, tuple(shape), dtype)
    return lines
