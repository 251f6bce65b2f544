"""PyTorch's own for attention, embedding and recurrent layers."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from torch_peers.gradients import gradients
from torch_peers.images import Peer

attention = F.scaled_dot_product_attention


def masked(keep: Any) -> Any:
    return torch.zeros(keep.shape).double().masked_fill(~keep, -torch.inf)


def difference(n: int) -> Any:
    """j - i."""
    return torch.arange(n) - torch.arange(n)[:, None]


def window(q: Any, k: Any, v: Any, window: int) -> Any:
    d = difference(q.shape[-2])
    return attention(q, k, v, masked((d <= 0) & (d > -window)))


def alibi(q: Any, k: Any, v: Any, slope: Any) -> Any:
    d = difference(q.shape[-2])
    return attention(q, k, v, masked(d <= 0) + slope[:, None, None] * d)


def relative_bias(q: Any, k: Any, v: Any, bias: Any) -> Any:
    n = q.shape[-2]
    return attention(q, k, v, bias[:, difference(n) + n - 1])


def relative(q: Any, k: Any, v: Any, keys: Any, values: Any, radius: int) -> Any:
    at = difference(q.shape[-2]).clamp(-radius, radius) + radius
    scores = (q @ k.mT + torch.einsum("nid,ijd->nij", q, keys[at])) / q.shape[-1] ** 0.5
    p = scores.softmax(-1)
    return p @ v + torch.einsum("nij,ije->nie", p, values[at])


def paged(q: Any, keys: Any, values: Any, pages: Any, length: Any) -> Any:
    """Every sequence gathered from its pages, and cut."""
    found = []
    for n, count in enumerate(length.tolist()):
        k, v = (t[pages[n]].flatten(0, 1)[:count].movedim(1, 0) for t in (keys, values))
        found.append(attention(q[n, :, None], k, v, enable_gqa=True)[:, 0])
    return torch.stack(found)


def linear(q: Any, k: Any, v: Any) -> Any:
    q, k = F.elu(q) + 1, F.elu(k) + 1
    weights = q @ k.mT
    return weights / weights.sum(-1, keepdim=True) @ v


def turned(x: Any, angle: Any) -> Any:
    """The pairs of the last dimension as complex numbers, multiplied."""
    z = torch.view_as_complex(x.contiguous()) * torch.exp(1j * angle)
    return torch.view_as_real(z)


def angles(x: Any, base: float, start: int) -> Any:
    length, width = x.shape[-2:]
    place = torch.arange(start, start + length).double()
    return place[:, None] * base ** (-torch.arange(0, width, 2).double() / width)


def rotary(x: Any, base: float = 1e4, start: int = 0, sign: int = 1) -> Any:
    halves = torch.stack(x.chunk(2, -1), -1)
    y = turned(halves, sign * angles(x, base, start))
    return torch.cat((y[..., 0], y[..., 1]), -1)


def rotary_interleaved(x: Any, base: float = 1e4, start: int = 0) -> Any:
    pairs = x.unflatten(-1, (-1, 2))
    return turned(pairs, angles(x, base, start)).flatten(-2)


def by_table(x: Any, cosine: Any, sine: Any) -> Any:
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


def multi_head(x: Any, w_qkv: Any, b_qkv: Any, w: Any, b: Any, heads: int) -> Any:
    peer = torch.nn.MultiheadAttention(len(w), heads, batch_first=True).double()
    given = (w_qkv, b_qkv, w, b)
    named = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    state = dict(zip(named, given, strict=True))
    return torch.func.functional_call(peer, state, (x, x, x))[0]


def cross(x: Any, m: Any, q: Any, k: Any, v: Any, w: Any, b: Any, heads: int) -> Any:
    width = m.shape[-1]
    peer = torch.nn.MultiheadAttention(
        len(w), heads, batch_first=True, kdim=width, vdim=width
    ).double()
    state = {
        "q_proj_weight": q,
        "k_proj_weight": k,
        "v_proj_weight": v,
        "in_proj_bias": torch.zeros(3 * len(w)).double(),
        "out_proj.weight": w,
        "out_proj.bias": b,
    }
    return torch.func.functional_call(peer, state, (x, m, m))[0]


ATTENTION: dict[str, Peer] = {
    "attention": attention,
    "attention_masked": attention,
    "attention_causal": lambda q, k, v: attention(q, k, v, is_causal=True),
    "attention_window": window,
    "attention_alibi": alibi,
    "attention_biased": attention,
    "attention_relative_bias": relative_bias,
    "attention_relative": relative,
    "attention_grouped": lambda q, k, v: attention(q, k, v, enable_gqa=True),
    "attention_grouped_causal": lambda q, k, v: attention(
        q, k, v, is_causal=True, enable_gqa=True
    ),
    "attention_paged": paged,
    "linear_attention": linear,
    "attention_grad": lambda do, q, k, v: gradients(attention, do, q, k, v),
    "rotary": rotary,
    "rotary_by_table": by_table,
    "rotary_interleaved": rotary_interleaved,
    "rotary_grad": lambda dy: gradients(rotary, dy, torch.zeros_like(dy)),
    "split_heads": lambda x, heads: x.unflatten(-1, (heads, -1)).transpose(1, 2),
    "join_heads": lambda x: x.transpose(1, 2).flatten(-2),
    "multi_head_attention": multi_head,
    "multi_head_cross_attention": cross,
}


def bag(mode: str) -> Peer:
    """PyTorch's bags are pieces of a list: sorted by segment, with offsets."""

    def call(ids: Any, segments: Any, *rest: Any, bags: int) -> Any:
        order = torch.sort(segments, stable=True).indices
        count = torch.bincount(segments, minlength=bags)
        offsets = count.cumsum(0) - count
        weights = rest[0][order] if len(rest) == 2 else None
        return F.embedding_bag(
            ids[order], rest[-1], offsets, mode=mode, per_sample_weights=weights
        )

    return call


def bag_grad(mode: str) -> Peer:
    def call(dy: Any, ids: Any, segments: Any, rows: int) -> Any:
        table = dy.new_zeros(rows, dy.shape[1])
        return gradients(lambda t: bag(mode)(ids, segments, t, bags=len(dy)), dy, table)

    return call


def table_grad(dy: Any, ids: Any, rows: int, padding: int | None = None) -> Any:
    table = dy.new_zeros(rows, dy.shape[-1])
    return gradients(lambda t: F.embedding(ids, t, padding), dy, table)


def padded(ids: Any, table: Any, padding: int) -> Any:
    table = table.clone()
    table[padding] = 0
    return F.embedding(ids, table)


def lenient(ids: Any, table: Any) -> Any:
    inside = (ids >= 0) & (ids < len(table))
    return F.embedding(ids.clamp(0, len(table) - 1), table) * inside[..., None]


def bag_numbers(offsets: Any, length: int) -> Any:
    return torch.bucketize(torch.arange(length), offsets, right=True) - 1


def segment_softmax(x: Any, segments: Any, count: int) -> Any:
    y = torch.empty_like(x)
    for s in range(count):
        y[segments == s] = x[segments == s].softmax(0)
    return y


def nearest(x: Any, codes: Any) -> Any:
    index = torch.cdist(x, codes).argmin(-1)
    return codes[index], index


def hashed(ids: Any, weight: Any, table: Any) -> Any:
    shares = torch.stack([weight[ids[..., h], h] for h in range(ids.shape[-1])], -1)
    return (shares[..., None] * table[ids]).sum(-2)


def sinusoidal(length: int, width: int, dtype: Any = torch.float32) -> Any:
    even = 2 * (torch.arange(width) // 2)
    angle = torch.arange(length)[:, None] / 10000 ** (even.double() / width)
    return torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos())


def time_embedding(t: Any, width: int) -> Any:
    half = torch.arange(width // 2).double() / (width // 2)
    angle = t[:, None] * torch.exp(-math.log(10000) * half)
    return torch.cat((angle.cos(), angle.sin()), -1)


def fourier(x: Any, b: Any) -> Any:
    angle = 2 * math.pi * x @ b.T
    return torch.cat((angle.cos(), angle.sin()), -1)


EMBEDDING: dict[str, Peer] = {
    "embedding": F.embedding,
    "embedding_grad": table_grad,
    "embedding_padded": padded,
    "embedding_padded_grad": table_grad,
    "embedding_lenient": lenient,
    "embedding_with_position": lambda ids, t, p: (
        F.embedding(ids, t) + p[: ids.shape[1]]
    ),
    "embedding_bag_sum": bag("sum"),
    "embedding_bag_weighted": bag("sum"),
    "embedding_bag_mean": bag("mean"),
    "embedding_bag_max": bag("max"),
    "embedding_bag_sum_grad": bag_grad("sum"),
    "embedding_bag_mean_grad": bag_grad("mean"),
    "segments_of_offsets": bag_numbers,
    "segment_sum": lambda x, s, count: x.new_zeros(count, x.shape[1]).index_add(
        0, s, x
    ),
    "segment_softmax": segment_softmax,
    "gather_rows": lambda x, ids: x.index_select(0, ids),
    "gather_last": lambda x, ids: x.gather(-1, ids),
    "scatter_add": lambda x, ids, y: x.index_add(0, ids, y),
    "scatter_add_last": lambda y, ids, size: y.new_zeros(
        *y.shape[:-1], size
    ).scatter_add(-1, ids, y),
    "one_hot": lambda ids, classes: F.one_hot(ids, classes),
    "nearest_code": nearest,
    "hash_embedding": hashed,
    "sinusoidal_positions": sinusoidal,
    "add_sinusoidal_positions": lambda x: x + sinusoidal(*x.shape[-2:]),
    "time_embedding": time_embedding,
    "fourier_features": fourier,
}


def run(kind: Any, reverse: bool = False, **options: Any) -> Peer:
    """A layer of `torch.nn` with these weights; the state is given first."""

    def call(x: Any, h0: Any, *rest: Any) -> Any:
        long = kind is torch.nn.LSTM
        states = (h0, rest[0]) if long else (h0,)
        weights = rest[1:] if long else rest
        hidden = states[-1].shape[-1]
        peer = kind(x.shape[-1], hidden, **options).double()
        names = [name for name, _ in peer.named_parameters()]
        lead = [s if s.ndim == 3 else s[None] for s in states]
        given = x.flip(0) if reverse else x
        state = tuple(lead) if long else lead[0]
        y = torch.func.functional_call(
            peer, dict(zip(names, weights, strict=True)), (given, state)
        )[0]
        return y.flip(0) if reverse else y

    return call


def with_cells(reverse: bool = False, **options: Any) -> Peer:
    """The LSTM one step at a time, since PyTorch returns the last cells only."""
    layer = run(torch.nn.LSTM, **options)

    def call(x: Any, h0: Any, c0: Any, *weights: Any) -> Any:
        x = x.flip(0) if reverse else x
        hs, cs = layer(x, h0, c0, *weights), []
        w_ih, w_hh, b_ih, b_hh = weights[:4]
        for before, now in zip(torch.cat((h0[None], hs[:-1])), x):
            gates = F.linear(now, w_ih, b_ih) + F.linear(before, w_hh, b_hh)
            i, f, g, _ = gates.chunk(4, -1)
            c0 = f.sigmoid() * c0 + i.sigmoid() * g.tanh()
            cs.append(c0)
        found = (hs, torch.stack(cs))
        return tuple(t.flip(0) for t in found) if reverse else found

    return call


def cell(x: Any, h: Any, *weights: Any) -> Any:
    return torch.rnn_tanh_cell(x, h, *weights)


RECURRENT: dict[str, Peer] = {
    "rnn_cell": cell,
    "rnn": run(torch.nn.RNN),
    "rnn_relu": run(torch.nn.RNN, nonlinearity="relu"),
    "rnn_reverse": run(torch.nn.RNN, reverse=True),
    "gru": run(torch.nn.GRU),
    "gru_reverse": run(torch.nn.GRU, reverse=True),
    "lstm": with_cells(),
    "lstm_reverse": with_cells(reverse=True),
    "lstm_projected": with_cells(proj_size=3),
    "flip_time": lambda x: x.flip(0),
    "join_directions": lambda x, y: torch.cat((x, y), -1),
    "bidirectional_lstm": run(torch.nn.LSTM, bidirectional=True),
}

PEERS: dict[str, Peer] = {**ATTENTION, **EMBEDDING, **RECURRENT}
