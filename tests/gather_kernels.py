"""Kernels with indirect subscripts: text, arguments that fit, and arguments that hold a
subscript outside, with the error that names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from polydsl.base.dtypes import DTYPES

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)
GREATEST, LEAST = np.iinfo(np.int64).max, np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Gather:
    """A kernel `f` with arguments; `wrong` ones raise an error of this text."""

    text: str
    given: dict[str, Array]
    wrong: dict[str, Array] | None = None
    error: str = ""


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def below(extent: int, *shape: int) -> Array:
    return RNG.integers(0, extent, shape)


def changed(values: Array, place: Any, value: int) -> Array:
    copy = values.copy()
    copy[place] = value
    return copy


def gather(header: str, *lines: str) -> str:
    body = "\n    ".join(lines)
    return f"kernel f({header}):\n    {body}\n    return y\n"


def embedding(dtype: str) -> Gather:
    """Rows of a table, by subscripts of a type."""
    text = gather(f"t: f32[V, D], ids: {dtype}[N]", "y[n, d] = t[ids[n], d]")
    kind = DTYPES[dtype].numpy
    ids, table = below(7, 37).astype(kind), floats(7, 19)
    value = 7 if dtype == "u8" else -1
    wrong = {"t": table, "ids": changed(ids, 30, value)}
    return Gather(text, {"t": table, "ids": ids}, wrong, _outside("t", value, "n = 30"))


def _outside(
    tensor: str, value: int, place: str, axis: int = 0, extent: int = 7
) -> str:
    where = f" at ({place})" if place else ""
    return (
        f"subscript {axis} of {tensor} is {value}{where}, "
        f"but the dimension has extent {extent}"
    )


T, LINE, IDS = floats(7, 9), floats(7), below(7, 37)

ROWS: dict[str, Gather] = {d: embedding(d) for d in ("i64", "i32", "i16", "i8", "u8")}

CHECKED: dict[str, Gather] = {
    "lanes": Gather(
        gather("t: f32[V], ids: i32[N]", "y[n] = t[ids[n]]"),
        {"t": LINE, "ids": IDS.astype(np.int32)},
        {"t": LINE, "ids": changed(IDS.astype(np.int32), 36, 2**31 - 1)},
        _outside("t", 2**31 - 1, "n = 36"),
    ),
    "arithmetic": Gather(
        gather(
            "t: f32[V, D], ids: i64[N]",
            "d in range(4)",
            "y[n, d] = t[ids[n] + 1, 2*d]",
        ),
        {"t": T, "ids": IDS % 6},
        {"t": T, "ids": changed(IDS % 6, 5, GREATEST)},
        _outside("t", LEAST, "n = 5"),
    ),
    "magnitude": Gather(
        gather("t: f32[V, D], ids: i64[N]", "y[n, d] = t[abs(ids[n]), d]"),
        {"t": T, "ids": -IDS},
        {"t": T, "ids": changed(-IDS, 0, LEAST)},
        _outside("t", LEAST, "n = 0"),
    ),
    "two axes": Gather(
        gather("t: f32[V, D], i: i64[N], j: u8[N]", "y[n] = t[i[n], j[n]]"),
        {"t": T, "i": IDS, "j": below(9, 37).astype(np.uint8)},
        {"t": T, "i": IDS, "j": changed(IDS.astype(np.uint8), 3, 9)},
        _outside("t", 9, "n = 3", 1, 9),
    ),
    "nested": Gather(
        gather("t: f32[V], ids: i64[N], j: i64[M]", "y[m] = t[ids[j[m]]]"),
        {"t": LINE, "ids": IDS, "j": below(37, 50)},
        {"t": LINE, "ids": IDS, "j": changed(below(37, 50), 49, -3)},
        _outside("ids", -3, "m = 49", 0, 37),
    ),
    "bag": Gather(
        gather("t: f32[V, D], ids: i32[N, K]", "y[n, d] += t[ids[n, k], d]"),
        {"t": T, "ids": below(7, 5, 4).astype(np.int32)},
        {"t": T, "ids": changed(below(7, 5, 4).astype(np.int32), (2, 3), 7)},
        _outside("t", 7, "n = 2, k = 3"),
    ),
    "scalar": Gather(
        gather("t: f32[V], p: i64", "n in range(3)", "y[n] = t[p + 2*n - 1]"),
        {"t": LINE, "p": np.array(1)},
        {"t": LINE, "p": np.array(4)},
        _outside("t", 7, "n = 2"),
    ),
    "no index": Gather(
        gather("t: f32[V], p: i64", "y: f32[]", "y = t[p]"),
        {"t": LINE, "p": np.array(6)},
        {"t": LINE, "p": np.array(7)},
        _outside("t", 7, ""),
    ),
    "computed": Gather(
        gather(
            "t: f32[V, D], x: f32[N]",
            "i[n] = i32(floor(x[n]))",
            "y[n, d] = t[i[n], d]",
        ),
        {"t": T, "x": np.arange(6, dtype=np.float32) + 0.5},
        {"t": T, "x": np.arange(6, dtype=np.float32) - 1.5},
        _outside("t", -2, "n = 0"),
    ),
    "argument of an extremum": Gather(
        gather(
            "t: f32[2, D], x: f32[N, V]",
            "i[n] = argmax[v](x[n, v])",
            "y[n, d] = t[i[n], d]",
        ),
        {"t": T[:2], "x": np.eye(2, 5, dtype=np.float32)},
        {"t": T[:2], "x": np.eye(5, dtype=np.float32)},
        _outside("t", 2, "n = 2", 0, 2),
    ),
    "under a condition": Gather(
        gather(
            "t: f32[V, D], ids: i64[N]",
            "n in range(N)",
            "y[n, d] = t[ids[n - 1], d] if n > 0 and d < 4 else 0",
        ),
        {"t": T, "ids": changed(IDS, 36, 99)},
        {"t": T, "ids": changed(changed(IDS, 36, 99), 20, -1)},
        _outside("t", -1, "n = 21"),
    ),
    "a row under a condition": Gather(
        gather(
            "t: f32[V, D], ids: i64[N]",
            "n in range(N)",
            "y[n, d] = t[ids[n - 1], d] if n > 0 else 0.5",
        ),
        {"t": T, "ids": IDS},
        {"t": T, "ids": changed(IDS, 0, -1)},
        _outside("t", -1, "n = 1"),
    ),
    "neighbours under a condition": Gather(
        gather(
            "t: f32[V, D], ids: i32[N]",
            "n in range(N)",
            "d in range(4)",
            "y[n, d] = t[ids[n + 1], 2*d] if n < N - 1 and d + n < 39 else 0",
        ),
        {"t": T, "ids": IDS.astype(np.int32)},
        {"t": T, "ids": changed(IDS.astype(np.int32), 36, -1)},
        _outside("t", -1, "n = 35"),
    ),
    "in both arms": Gather(
        gather(
            "t: f32[V], ids: i64[N], m: bool[N]",
            "y[n] = t[ids[n]] if m[n] else 0",
        ),
        {"t": LINE, "ids": IDS, "m": IDS > 3},
        {"t": LINE, "ids": changed(IDS, 9, 8), "m": IDS > 9},
        _outside("t", 8, "n = 9"),
    ),
    "in a condition": Gather(
        gather("t: f32[V], ids: i64[N]", "y[n] = 1 if t[ids[n]] > 0 else t[ids[n]]"),
        {"t": LINE, "ids": IDS},
        {"t": LINE, "ids": changed(IDS, 9, 8)},
        _outside("t", 8, "n = 9"),
    ),
    "value of a padded gather": Gather(
        gather(
            "t: f32[V], i: i64[N], j: i64[N], u: f32[M]",
            "y[n] = pad(t[i[n]], u[j[n]])",
        ),
        {"t": LINE, "i": np.r_[1, 8, 2, 9], "j": np.r_[99, 0, -1, 1], "u": LINE[:2]},
        {"t": LINE, "i": np.r_[1, 8, 2, 9], "j": np.r_[99, 0, -1, 2], "u": LINE[:2]},
        _outside("u", 2, "n = 3", 0, 2),
    ),
    "value of padding": Gather(
        gather("x: f32[N], j: i64[N], u: f32[M]", "y[n] = pad(x[n - 2], u[j[n]])"),
        {"x": LINE[:4], "j": np.r_[1, 0, 98, 11], "u": LINE[:2]},
        {"x": LINE[:4], "j": np.r_[1, 4, 98, 11], "u": LINE[:2]},
        _outside("u", 4, "n = 1", 0, 2),
    ),
    "subscript inside pad": Gather(
        gather("t: f32[V], ids: i64[N], j: i64[M]", "y[m] = pad(t[ids[j[m]]])"),
        {"t": LINE, "ids": IDS - 3, "j": below(37, 50)},
        {"t": LINE, "ids": IDS, "j": changed(below(37, 50), 1, 37)},
        _outside("ids", 37, "m = 1", 0, 37),
    ),
    "factor of a product": Gather(
        gather(
            "a: f32[M, K], t: f32[V, N], ids: i64[K]",
            "y[i, j] += a[i, k] * t[ids[k], j]",
        ),
        {"a": floats(5, 37), "t": T, "ids": IDS},
        {"a": floats(5, 37), "t": T, "ids": changed(IDS, 0, 7)},
        _outside("t", 7, "k = 0"),
    ),
    "range from 2": Gather(
        gather(
            "t: f32[V], ids: i64[N, M]",
            "n in range(2, N)",
            "w[n] = max[m](t[ids[n, m]])",
            "k in range(N)",
            "y[k] = pad(w[k], -1)",
        ),
        {"t": LINE, "ids": changed(below(7, 5, 6), (1, 0), 7)},
        {"t": LINE, "ids": changed(below(7, 5, 6), (2, 5), 7)},
        _outside("t", 7, "n = 2, m = 5"),
    ),
    "the first of several": Gather(
        gather("t: f32[V], ids: i64[N, M]", "y[m, n] = t[ids[n, m]]"),
        {"t": LINE, "ids": below(7, 4, 5)},
        {"t": LINE, "ids": changed(changed(below(7, 4, 5), (3, 0), 7), (1, 2), -1)},
        _outside("t", 7, "m = 0, n = 3"),
    ),
    "no element": Gather(
        gather("t: f32[V], ids: i64[N]", "y[n] = t[ids[n]]"),
        {"t": LINE[:0], "ids": IDS[:0]},
        {"t": LINE[:0], "ids": IDS[:1] * 0},
        _outside("t", 0, "n = 0", 0, 0),
    ),
}
CHECKED |= {f"rows by {name}": found for name, found in ROWS.items()}

BILINEAR = gather(
    "x: f32[C, H, W], off: f32[2, P, Q]",
    "ty[p, q] = p + off[0, p, q]",
    "tx[p, q] = q + off[1, p, q]",
    "iy[p, q] = i32(floor(ty[p, q]))",
    "ix[p, q] = i32(floor(tx[p, q]))",
    "wy[p, q] = ty[p, q] - floor(ty[p, q])",
    "wx[p, q] = tx[p, q] - floor(tx[p, q])",
    "y[c, p, q] = (pad(x[c, iy[p, q], ix[p, q]]) * (1 - wy[p, q]) * (1 - wx[p, q]) +",
    "    pad(x[c, iy[p, q] + 1, ix[p, q]]) * wy[p, q] * (1 - wx[p, q]) +",
    "    pad(x[c, iy[p, q], ix[p, q] + 1]) * (1 - wy[p, q]) * wx[p, q] +",
    "    pad(x[c, iy[p, q] + 1, ix[p, q] + 1]) * wy[p, q] * wx[p, q])",
)
WILD = np.r_[IDS - 3, GREATEST, LEAST]

UNCHECKED: dict[str, Gather] = {
    "a row of those that are defined": Gather(
        gather(
            "x: i32[A], z: i32[B], ids: u8[A]",
            "i in range(min(k + 1, A))",
            "t: i16[A, A]",
            "t[i, j] += x[j] * z[k]",
            "y[n] = pad(t[ids[n], n])",
        ),
        {
            "x": below(9, 5).astype(np.int32),
            "z": below(9, 1).astype(np.int32),
            "ids": below(7, 5).astype(np.uint8),
        },
    ),
    "every row": Gather(
        gather("t: f32[256], ids: u8[N]", "y[n] = t[ids[n]]"),
        {"t": floats(256), "ids": below(256, 90).astype(np.uint8)},
    ),
    "remainder": Gather(
        gather("t: f32[V, D], ids: i64[N]", "y[n, d] = t[ids[n] % V, d]"),
        {"t": T, "ids": WILD},
    ),
    "border": Gather(
        gather(
            "t: f32[V, D], ids: i64[N]",
            "y[n, d] = t[min(max(ids[n] - 3, 0), V - 1), d]",
        ),
        {"t": T, "ids": IDS},
    ),
    "padded rows": Gather(
        gather("t: f32[V, D], ids: i64[N]", "y[n, d] = pad(t[ids[n] * 3 + 1, d], 2)"),
        {"t": T, "ids": WILD},
    ),
    "padded lanes": Gather(
        gather("t: f32[V], ids: i64[N]", "y[n] = pad(t[ids[n]])"),
        {"t": LINE, "ids": WILD},
    ),
    "padded on both axes": Gather(
        gather(
            "t: f32[V, D], ids: i64[N]", "y[n, d] = pad(t[ids[n], d - 1], t[n % V, d])"
        ),
        {"t": T, "ids": WILD},
    ),
    "padded, every second": Gather(
        gather(
            "t: f32[V, 40], ids: i64[N]",
            "d in range(21)",
            "y[n, d] = pad(t[ids[n], 2*d - 1])",
        ),
        {"t": floats(7, 40), "ids": WILD},
    ),
    "defined in part": Gather(
        gather(
            "t: f32[V], ids: i64[N]",
            "v in range(2, 5)",
            "u[v] = t[v] * 2",
            "y[n] = pad(u[ids[n]], 7)",
        ),
        {"t": LINE, "ids": WILD},
    ),
    "bilinear": Gather(BILINEAR, {"x": floats(3, 6, 19), "off": floats(2, 6, 19) * 2}),
    "padded nothing": Gather(
        gather("t: f32[V], ids: i64[N]", "y[n] = pad(t[ids[n]], 3)"),
        {"t": LINE[:0], "ids": IDS},
    ),
    "a sum of nothing": Gather(
        gather("t: f32[V], ids: i64[N], x: f32[M]", "y[n] += x[m] * t[ids[n]]"),
        {"t": LINE, "ids": WILD, "x": LINE[:0]},
    ),
    "nobody asks": Gather(
        gather("t: f32[V, D], ids: i64[N]", "y[n, d] = t[ids[n], d]"),
        {"t": T[:, :0], "ids": WILD},
    ),
}
