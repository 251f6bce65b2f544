"""Statements that follow on a tensor at its own elements, and rows that go together."""

from __future__ import annotations

from program_builder import Builder, TensorInfo
from program_values import value

FORMS = (
    "max({0}, {1})",
    "{0} * 0.5 + {1}",
    "tanh({0})",
    "({0} if {0} > 0 else 0.5 * {0}) * {1}",
    "{0} - {0} * {0}",
)

SUMMED = """\
kernel f(x: f32[N, M]) -> (f32[N, M], f32[M], f32[N, M]):
    p[i, j] = tanh(x[i, j])
    l[j] += p[i, j]
    q[i, j] = exp(x[i, j])
    r[i] += q[i, j]
    y[i, j] = q[i, j] / r[i]
    return p, l, y
"""
"""What several need is computed in the loops of a sum, over lanes and in them."""


def followers(b: Builder, name: str) -> list[str]:
    """Draw what reads a tensor that is computed element by element: one or two
    assignments that may follow on it, or what a row of it, or of those, is divided by
    and its quotient. Nothing where there is no such tensor."""
    known = [n for n in b.of_kind("float") if n not in b.parameters]
    known = [n for n in known if b.tensors[n].dims and not b.tensors[n].partial]
    if not known:
        return []
    tensor = b.pick(known)
    dims = b.tensors[tensor].dims
    left: list[str] = []
    for dim in dims:
        left.append(b.index(dim, left))
    element = f"{tensor}[{', '.join(left)}]"
    target = ", ".join(left)
    lines: list[str] = []
    for number in range(b.number(1, 2)):
        own = f"{name}{number}"
        other = value(b, left, "float", 1)
        lines.append(f"{own}[{target}] = {b.pick(FORMS).format(element, other)}")
        b.tensors[own] = TensorInfo("float", dims)
    if b.chance(60):
        *rows, last = left
        of_rows = f"[{', '.join(rows)}]" if rows else ""
        if len(lines) > 1:
            # A sum of what an assignment makes, which the quotient needs, too.
            element = f"{name}1[{target}]"
        total, own = f"{name}s", f"{name}q"
        lines.append(f"{total}{of_rows} = sum[{last}](abs({element}))")
        lines.append(f"{own}[{target}] = {element} / (1 + {total}{of_rows})")
        b.tensors[total] = TensorInfo("float", dims[:-1])
        b.tensors[own] = TensorInfo("float", dims)
    return lines
