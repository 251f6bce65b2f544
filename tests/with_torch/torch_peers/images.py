"""PyTorch's own for convolutions and pooling, in both layouts, and their gradients."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from torch_peers.gradients import gradients

Peer = Callable[..., Any]

CONV: tuple[Peer, ...] = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED: tuple[Peer, ...] = (
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.conv_transpose3d,
)
SUFFIX = ("_nlc", "_nhwc", "_ndhwc")
SIZES = ("length", "depth", "height", "width")
TAPS = ("taps", "planes", "rows", "columns")


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels from last to first."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """Channels from first to last."""
    return x.movedim(1, -1)


def filters(weight: torch.Tensor) -> torch.Tensor:
    """[R, S, C, K] to [K, C, R, S]."""
    return weight.movedim((-1, -2), (0, 1))


def filters_last(weight: torch.Tensor) -> torch.Tensor:
    """[K, C, R, S] to [R, S, C, K]."""
    return weight.movedim((0, 1), (-1, -2))


def channels_last(peer: Peer) -> Peer:
    return lambda x, w, **k: last(peer(first(x), filters(w), **k))


def depthwise(peer: Peer) -> Peer:
    return lambda x, w, **k: peer(x, w, groups=x.shape[1], **k)


def depthwise_last(peer: Peer) -> Peer:
    return lambda x, w, **k: last(
        peer(first(x), w.movedim(-1, 0)[:, None], groups=x.shape[-1], **k)
    )


def with_bias(peer: Peer) -> Peer:
    return lambda x, w, b, **k: peer(x, w, b, **k)


def with_bias_last(peer: Peer) -> Peer:
    return lambda x, w, b, **k: last(peer(first(x), filters(w), b, **k))


def with_relu(peer: Peer) -> Peer:
    return lambda *tensors, **k: F.relu(peer(*tensors, **k))


def taken(constants: dict[str, Any], names: tuple[str, ...]) -> list[int]:
    """Take a size out of the constants of a gradient."""
    return [constants.pop(name) for name in names if name in constants]


def data_grad(peer: Peer, layout: Peer) -> Peer:
    def grad(dy: Any, weight: Any, **k: Any) -> Any:
        size = taken(k, SIZES)
        groups = k.get("groups", 1)
        w = filters(weight) if layout is last else weight
        given = first(dy) if layout is last else dy
        x = dy.new_zeros(dy.shape[0], w.shape[1] * groups, *size)
        return layout(gradients(lambda x: peer(x, w, **k), given, x))

    return grad


def weight_grad(peer: Peer, layout: Peer) -> Peer:
    def grad(dy: Any, x: Any, **k: Any) -> Any:
        size = taken(k, TAPS)
        groups = k.get("groups", 1)
        given, image = (first(dy), first(x)) if layout is last else (dy, x)
        w = dy.new_zeros(given.shape[1], image.shape[1] // groups, *size)
        found = gradients(lambda w: peer(image, w, **k), given, w)
        return filters_last(found) if layout is last else found

    return grad


def same(x: torch.Tensor) -> torch.Tensor:
    return x


def depthwise_data(dy: Any, weight: Any, **k: Any) -> Any:
    size = taken(k, SIZES)
    x = dy.new_zeros(dy.shape[0], *size, dy.shape[-1])
    return gradients(lambda x: depthwise_last(F.conv2d)(x, weight, **k), dy, x)


def depthwise_weight(dy: Any, x: Any, **k: Any) -> Any:
    w = dy.new_zeros(*taken(k, TAPS), dy.shape[-1])
    return gradients(lambda w: depthwise_last(F.conv2d)(x, w, **k), dy, w)


def causal(x: Any, weight: Any, dilation: int) -> Any:
    return F.conv1d(
        F.pad(x, ((weight.shape[-1] - 1) * dilation, 0)), weight, None, 1, 0, dilation
    )


def causal_depthwise(x: Any, weight: Any) -> Any:
    w = weight.T[:, None]
    padded = F.pad(first(x), (len(weight) - 1, 0))
    return last(F.conv1d(padded, w, groups=len(w)))


def separable(x: Any, spatial: Any, mix: Any, bias: Any, **k: Any) -> Any:
    return F.conv2d(
        F.conv2d(x, spatial, groups=len(spatial), **k), mix[..., None, None], bias
    )


PEERS: dict[str, Peer] = {
    "conv1d_bias": with_bias(F.conv1d),
    "conv2d_bias": with_bias(F.conv2d),
    "conv2d_relu": with_relu(F.conv2d),
    "conv2d_bias_relu": with_relu(F.conv2d),
    "conv2d_nhwc_bias": with_bias_last(F.conv2d),
    "conv2d_nhwc_bias_relu": with_relu(with_bias_last(F.conv2d)),
    "conv3d_bias": with_bias(F.conv3d),
    "conv1d_causal": causal,
    "depthwise_conv1d_causal": causal_depthwise,
    "conv2d_pointwise": lambda x, w, b: F.conv2d(x, w[..., None, None], b),
    "conv2d_separable": separable,
    "depthwise_conv2d_nhwc_data_grad": depthwise_data,
    "depthwise_conv2d_nhwc_weight_grad": depthwise_weight,
    "conv_bias_grad": lambda dy: dy.sum((0, 2)),
    "conv_nhwc_bias_grad": lambda dy: dy.flatten(0, -2).sum(0),
    "frames": lambda x, window, stride: x.unfold(-1, window, stride),
    "unfold2d": lambda x, rows, columns, **k: F.unfold(x, (rows, columns), **k),
    "fold2d": lambda x, height, width, rows, columns, **k: F.fold(
        x, (height, width), (rows, columns), **k
    ),
    "pixel_shuffle": lambda x, factor: F.pixel_shuffle(x, factor),
    "pixel_unshuffle": lambda x, factor: F.pixel_unshuffle(x, factor),
}

for _d, (_conv, _transposed) in enumerate(zip(CONV, TRANSPOSED)):
    _plain, _last = f"conv{_d + 1}d", f"conv{_d + 1}d{SUFFIX[_d]}"
    PEERS[f"depthwise_{_plain}"] = depthwise(_conv)
    PEERS[f"depthwise_{_last}"] = depthwise_last(_conv)
    for _group in ("", "grouped_"):
        PEERS[_group + _plain] = _conv
        PEERS[_group + _last] = channels_last(_conv)
        PEERS[f"{_group}conv_transpose{_d + 1}d"] = _transposed
        PEERS[f"{_group}conv_transpose{_d + 1}d{SUFFIX[_d]}"] = channels_last(
            _transposed
        )
        for _name, _layout in ((_plain, same), (_last, last)):
            PEERS[f"{_group}{_name}_data_grad"] = data_grad(_conv, _layout)
            PEERS[f"{_group}{_name}_weight_grad"] = weight_grad(_conv, _layout)
