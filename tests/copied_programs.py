"""Programs whose products have factors that are computed while they are copied, and
some that look like them."""

from __future__ import annotations

from dataclasses import dataclass

from program_builder import Program


@dataclass(frozen=True)
class Value:
    """A program, the pairs that are fused in a copy, and what subscripts keep to.

    `bounded` are the extents of what arguments subscript."""

    text: str
    arguments: tuple[tuple[str, str, tuple[int, ...]], ...]
    fused: tuple[str, ...]
    products: int = 1
    bounded: tuple[tuple[str, int], ...] = ()

    @property
    def program(self) -> Program:
        """The program as the harness runs it."""
        return Program(self.text, self.arguments, bounded=self.bounded)


X = ("x", "f32", (37, 29))
W = ("w", "f32", (29, 43))
VALUES = {
    "rows of a table": Value(
        """\
kernel f(ids: i32[N], e: f32[V, C], w: f32[C, K]) -> f32[N, K]:
    h[i, c] = e[ids[i], c]
    y[i, k] += h[i, c] * w[c, k]
    return y
""",
        (("ids", "i32", (37,)), ("e", "f32", (11, 29)), W),
        ("h into y",),
        bounded=(("ids", 11),),
    ),
    "columns of a table, some of them outside": Value(
        """\
kernel f(x: f32[N, C], e: f32[V, C], ids: i64[K]) -> f32[N, K]:
    y[i, k] += x[i, c] * pad(e[ids[k] - 1, c], 0.5)
    return y
""",
        (X, ("e", "f32", (11, 29)), ("ids", "i64", (43,))),
        (),
        bounded=(("ids", 11),),
    ),
    "a table of narrow floats by three": Value(
        """\
kernel f(ids: u8[B, N], e: bf16[V, C], s: f16[C], w: f32[B, C, K]) -> f32[B, N, K]:
    h[b, i, c] = e[ids[b, i], c] * s[c]
    y[b, i, k] += h[b, i, c] * w[b, c, k]
    return y
""",
        (
            ("ids", "u8", (2, 9)),
            ("e", "bf16", (11, 29)),
            ("s", "f16", (29,)),
            ("w", "f32", (2, 29, 43)),
        ),
        ("h into y",),
        bounded=(("ids", 11),),
    ),
    "weights with zero points and scales": Value(
        """\
kernel f(x: f32[N, C], q: i8[C, K], z: i8[K], s: f32[G, K]) -> f32[N, K]:
    h[c, k] = (q[c, k] - z[k]) * s[c // 8, k]
    y[i, k] += x[i, c] * h[c, k]
    return y
""",
        (X, ("q", "i8", (29, 43)), ("z", "i8", (43,)), ("s", "f32", (4, 43))),
        ("h into y",),
    ),
    "weights that lie the other way": Value(
        """\
kernel f(x: f64[N, C], q: u8[K, C], z: f32[K]) -> f64[N, K]:
    h[k, c] = f64(q[k, c]) - z[k]
    y[i, k] += x[i, c] * h[k, c]
    return y
""",
        (("x", "f64", (37, 29)), ("q", "u8", (43, 29)), ("z", "f32", (43,))),
        ("h into y",),
    ),
    "both factors": Value(
        """\
kernel f(x: i16[N, C], w: f16[C, K]) -> f32[N, K]:
    a[i, c] = tanh(f32(x[i, c]) / 3)
    b[c, k] = exp(w[c, k])
    y[i, k] += a[i, c] * b[c, k]
    return y
""",
        (("x", "i16", (37, 29)), ("w", "f16", (29, 43))),
        ("a into y", "b into y"),
    ),
    "a mask, in a batch": Value(
        """\
kernel f(x: f32[B, N, C], m: bool[B, C], w: f32[B, C, K]) -> f32[B, N, K]:
    h[b, i, c] = x[b, i, c] if c <= i + 3 and m[b, c] else -0.5
    y[b, i, k] = max[c](h[b, i, c] + w[b, c, k])
    return y
""",
        (("x", "f32", (2, 17, 29)), ("m", "bool", (2, 29)), ("w", "f32", (2, 29, 43))),
        ("h into y_max",),
    ),
    "neighbours, padded": Value(
        """\
kernel f(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    h[i, c] = pad(x[i, c - 1]) + x[i, c] / 3 + pad(x[i - 2, c + 1], 2)
    y[i, k] += h[i, c] * w[c, k]
    return y
""",
        (X, W),
        ("h into y",),
    ),
    "borders that are repeated": Value(
        """\
kernel f(x: f32[N, C], w: f32[R, C, K]) -> f32[N, K]:
    y[i, k] += x[clamp(i + r - 1, 0, N - 1), c] * w[r, c, k]
    return y
""",
        (X, ("w", "f32", (3, 29, 43))),
        (),
    ),
    "a factor of what is summed": Value(
        """\
kernel f(x: f32[N, C], w: f32[C, K], g: f32[C], r: f32[N]) -> f32[N, K]:
    y[i, k] += x[i, c] * g[c] * w[c, k] / r[i]
    return y
""",
        (X, W, ("g", "f32", (29,)), ("r", "f32", (37,))),
        ("x_g into y_sum",),
    ),
    "a scatter": Value(
        """\
kernel f(x: f32[P, C], s: f32[C], w: f32[R, C, K]) -> f32[2*P + R - 2, K]:
    h[p, c] = exp(x[p, c] * s[c])
    y[2*p + r, k] += h[p, c] * w[r, c, k]
    return y
""",
        (("x", "f32", (13, 29)), ("s", "f32", (29,)), ("w", "f32", (3, 29, 43))),
        ("h into y",),
    ),
    "the weights of a recurrence": Value(
        """\
kernel f(x: f32[T, B, C], q: i8[C, C], s: f32[C]) -> f32[T, B, C]:
    u[c, k] = q[c, k] * s[k] / 64
    h[t, b, k] += pad(y[t - 1, b, c]) * u[c, k]
    y[t, b, k] = tanh(h[t, b, k] + x[t, b, k])
    return y
""",
        (("x", "f32", (3, 33, 47)), ("q", "i8", (47, 47)), ("s", "f32", (47,))),
        ("u into h",),
    ),
    "a factor of each step": Value(
        """\
kernel f(x: f32[T, B, C], u: f32[C, C]) -> f32[T, B, C]:
    q[t, b, k] += (pad(h[t - 1, b, c]) + x[t, b, c]) * u[c, k]
    h[t, b, k] = cos(q[t, b, k])
    return h
""",
        (("x", "f32", (3, 33, 47)), ("u", "f32", (47, 47))),
        (),
    ),
    "between two products": Value(
        """\
kernel f(x: f32[N, C], s: f32[C], w: f32[C, K], v: f32[K, C]) -> f32[N, C]:
    h[i, c] = relu(x[i, c] * s[c])
    y[i, k] += h[i, c] * w[c, k]
    g[i, k] = gelu(y[i, k])
    z[i, c] += g[i, k] * v[k, c]
    return z
""",
        (X, ("s", "f32", (29,)), W, ("v", "f32", (43, 29))),
        ("h into y",),
        products=2,
    ),
    "what several products read is stored": Value(
        """\
kernel f(x: f32[N, C], w: f32[C, K], u: f32[C, K]) -> (f32[N, K], f32[N, K]):
    h[i, c] = relu(x[i, c])
    y[i, k] += h[i, c] * w[c, k]
    z[i, k] += h[i, c] * u[c, k]
    return y, z
""",
        (X, W, ("u", "f32", (29, 43))),
        (),
        products=2,
    ),
    "what a window would compute again is stored": Value(
        """\
kernel f(x: f32[N, C], w: f32[R, C, K]) -> f32[N, K]:
    h[i, c] = exp(x[i, c])
    y[i, k] += pad(h[i + r - 2, c]) * w[r, c, k]
    return y
""",
        (X, ("w", "f32", (5, 29, 43))),
        (),
    ),
    "what follows on a sum stays with it": Value(
        """\
kernel f(x: f32[N, C], w: f32[C, K]) -> f32[N, K]:
    e[i, c] = exp(x[i, c] - max[d](x[i, d]))
    y[i, k] += e[i, c] * w[c, k]
    return y
""",
        (X, W),
        (),
    ),
}
