"""PyTorch's own for `stdlib.pooling` and `stdlib.pooling_grad`."""

from typing import Any

import torch
import torch.nn.functional as F

from torch_peers.gradients import gradients
from torch_peers.images import SIZES, Peer, first, last, taken

MAX: tuple[Peer, ...] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
AVERAGE: tuple[Peer, ...] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
UNPOOL: tuple[Peer, ...] = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)
SUFFIX = ("_nlc", "_nhwc", "_ndhwc")


def of(peer: Peer) -> Peer:
    return lambda x, window, **k: peer(x, window, **k)


def of_last(peer: Peer) -> Peer:
    return lambda x, window, **k: last(peer(first(x), window, **k))


def average_grad(peer: Peer) -> Peer:
    def grad(dy: Any, **k: Any) -> Any:
        x = dy.new_zeros(*dy.shape[:2], *taken(k, SIZES))
        window = k.pop("window")
        return gradients(lambda x: peer(x, window, **k), dy, x)

    return grad


def adaptive_grad(peer: Peer) -> Peer:
    def grad(dy: Any, **k: Any) -> Any:
        x = dy.new_zeros(*dy.shape[:2], *taken(k, SIZES))
        return gradients(lambda x: peer(x, dy.shape[2:]), dy, x)

    return grad


def max_grad(dy: Any, index: Any, **k: Any) -> Any:
    """The definition: what flattened places were taken gets dy."""
    size = taken(k, SIZES)
    flat = dy.new_zeros(*dy.shape[:2], int(torch.tensor(size).prod()))
    flat.scatter_add_(2, index.flatten(2), dy.flatten(2))
    return flat.reshape(*dy.shape[:2], *size)


def unpool(peer: Peer) -> Peer:
    def call(x: Any, index: Any, **k: Any) -> Any:
        size = taken(k, SIZES)
        return peer(x, index, 2, output_size=(*x.shape[:2], *size))

    return call


PEERS: dict[str, Peer] = {
    "max_pool2d_ceil": lambda x, window, **k: F.max_pool2d(
        x, window, ceil_mode=True, **k
    ),
    "avg_pool2d_nhwc": of_last(F.avg_pool2d),
    "global_max_pool2d": lambda x: x.amax((2, 3)),
    "global_avg_pool2d": lambda x: x.mean((2, 3)),
    "global_avg_pool2d_nhwc": lambda x: x.mean((1, 2)),
    "global_avg_pool1d": lambda x: x.mean(2),
    "global_avg_pool3d": lambda x: x.mean((2, 3, 4)),
    "adaptive_avg_pool1d": lambda x, length: F.adaptive_avg_pool1d(x, length),
    "adaptive_avg_pool2d": lambda x, **k: F.adaptive_avg_pool2d(x, tuple(k.values())),
    "adaptive_avg_pool3d": lambda x, **k: F.adaptive_avg_pool3d(x, tuple(k.values())),
    "adaptive_max_pool1d": lambda x, length: F.adaptive_max_pool1d(x, length),
    "adaptive_max_pool2d": lambda x, **k: F.adaptive_max_pool2d(x, tuple(k.values())),
    "lp_pool2d": lambda x, p, window, stride: F.lp_pool2d(x, p, window, stride),
    "global_avg_pool2d_grad": lambda dy, height, width: gradients(
        lambda x: x.mean((2, 3)), dy, dy.new_zeros(*dy.shape, height, width)
    ),
    "adaptive_avg_pool1d_grad": adaptive_grad(F.adaptive_avg_pool1d),
    "adaptive_avg_pool2d_grad": adaptive_grad(F.adaptive_avg_pool2d),
}

for _d in range(3):
    PEERS[f"max_pool{_d + 1}d"] = of(MAX[_d])
    PEERS[f"max_pool{_d + 1}d{SUFFIX[_d]}"] = of_last(MAX[_d])
    PEERS[f"max_pool{_d + 1}d_indices"] = lambda x, window, peer=MAX[_d], **k: peer(
        x, window, return_indices=True, **k
    )
    PEERS[f"max_pool{_d + 1}d_grad"] = max_grad
    PEERS[f"max_unpool{_d + 1}d"] = unpool(UNPOOL[_d])
    PEERS[f"avg_pool{_d + 1}d"] = of(AVERAGE[_d])
    PEERS[f"avg_pool{_d + 1}d_grad"] = average_grad(AVERAGE[_d])
