"""PyTorch's own for normalisations and activations, and their gradients."""

from typing import Any

import torch
import torch.nn.functional as F

from torch_peers.gradients import gradients
from torch_peers.images import Peer, first, last


def batch(x: Any, m: Any, v: Any, w: Any, b: Any, **k: Any) -> Any:
    return F.batch_norm(x, m, v, w, b, **k)


def batch_train(x: Any, w: Any, b: Any, **k: Any) -> Any:
    over = tuple(d for d in range(x.ndim) if d != 1)
    y = F.batch_norm(x, None, None, w, b, training=True, **k)
    return y, x.mean(over), x.var(over, correction=0)


def batch_train_last(x: Any, w: Any, b: Any, **k: Any) -> Any:
    y, m, v = batch_train(first(x), w, b, **k)
    return last(y), m, v


def batch_grad(dy: Any, x: Any, m: Any, v: Any, w: Any, **k: Any) -> Any:
    return gradients(
        lambda x, w, b: batch_train(x, w, b, **k)[0], dy, x, w, torch.zeros_like(w)
    )


def batch_grad_last(dy: Any, x: Any, m: Any, v: Any, w: Any, **k: Any) -> Any:
    return gradients(
        lambda x, w, b: batch_train_last(x, w, b)[0], dy, x, w, torch.zeros_like(w)
    )


def running(mean: Any, var: Any, m: Any, v: Any, count: int, momentum: float) -> Any:
    """What PyTorch keeps after a batch made to have this mean and variance."""
    z = torch.linspace(-1, 1, count, dtype=m.dtype)
    z = (z - z.mean()) / z.std(correction=0)
    x = (m + z[:, None] * v.sqrt())[:, :, None]
    mean, var = mean.clone(), var.clone()
    F.batch_norm(x, mean, var, training=True, momentum=momentum)
    return mean, var


def layer(x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
    return F.layer_norm(x, w.shape, w, b, eps)


def layer_train(x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
    y, m, scale = torch.native_layer_norm(x, w.shape, w, b, eps)
    return y, m[..., 0], scale[..., 0]


def group(x: Any, w: Any, b: Any, groups: int, eps: float = 1e-5) -> Any:
    return F.group_norm(x, groups, w, b, eps)


def group_train(x: Any, w: Any, b: Any, groups: int, eps: float = 1e-5) -> Any:
    n, c, h, width = x.shape
    return torch.native_group_norm(x, w, b, n, c, h * width, groups, eps)


def group_grad(dy: Any, x: Any, m: Any, scale: Any, w: Any) -> Any:
    return gradients(
        lambda x, w, b: F.group_norm(x, m.shape[1], w, b), dy, x, w, torch.zeros_like(w)
    )


def instance(x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
    return F.instance_norm(x, weight=w, bias=b, eps=eps)


def adaptive(x: Any, style: Any, eps: float = 1e-5) -> Any:
    spread = (style.var((2, 3), correction=0, keepdim=True) + eps).sqrt()
    return F.instance_norm(x, eps=eps) * spread + style.mean((2, 3), keepdim=True)


def spectral(weight: Any, u: Any) -> Any:
    v = F.normalize(weight.T @ u, dim=0)
    u = F.normalize(weight @ v, dim=0)
    return weight / (u @ weight @ v), u, v


def standardized(weight: Any, eps: float = 1e-5) -> Any:
    flat = F.layer_norm(weight.flatten(1), (weight[0].numel(),), eps=eps)
    return flat.reshape(weight.shape)


def response(x: Any, w: Any, b: Any) -> Any:
    norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return w * (x * norm / (norm.mean(-1, keepdim=True) + 1e-6)) + b + x


NORMALIZATION: dict[str, Peer] = {
    "batch_norm1d": batch,
    "batch_norm2d": batch,
    "batch_norm3d": batch,
    "batch_norm2d_nhwc": lambda x, *rest, **k: last(batch(first(x), *rest, **k)),
    "batch_norm1d_train": batch_train,
    "batch_norm2d_train": batch_train,
    "batch_norm3d_train": batch_train,
    "batch_norm2d_nhwc_train": batch_train_last,
    "running_statistics": running,
    "layer_norm": layer,
    "layer_norm2d": layer,
    "layer_norm_train": layer_train,
    "add_layer_norm": lambda x, r, w, b: (layer(x + r, w, b), x + r),
    "rms_norm": lambda x, w, eps=1e-6: F.rms_norm(x, w.shape, w, eps),
    "scale_norm": lambda x, g: g * F.normalize(x, dim=-1, eps=1e-5),
    "group_norm": group,
    "group_norm1d": group,
    "group_norm_nhwc": lambda x, w, b, **k: last(group(first(x), w, b, **k)),
    "group_norm_train": group_train,
    "instance_norm1d": instance,
    "instance_norm2d": instance,
    "instance_norm3d": instance,
    "adaptive_instance_norm2d": adaptive,
    "l2_normalize": lambda x: F.normalize(x, dim=-1),
    "l1_normalize": lambda x: F.normalize(x, 1, -1),
    "standardize": lambda x: F.layer_norm(x, x.shape[-1:]),
    "local_response_norm": lambda x, size, alpha, k=1.0: F.local_response_norm(
        x, size, alpha, 0.75, k
    ),
    "weight_norm": lambda v, g: torch._weight_norm(v, g[:, None]),
    "spectral_norm": spectral,
    "weight_standardize": standardized,
    "global_response_norm": response,
    "batch_norm1d_grad": batch_grad,
    "batch_norm2d_grad": batch_grad,
    "batch_norm2d_nhwc_grad": batch_grad_last,
    "layer_norm_grad": lambda dy, x, m, s, w: gradients(
        layer, dy, x, w, torch.zeros_like(w)
    ),
    "rms_norm_grad": lambda dy, x, w: gradients(
        lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), dy, x, w
    ),
    "group_norm_grad": group_grad,
    "instance_norm2d_grad": lambda dy, x, w: gradients(
        instance, dy, x, w, torch.zeros_like(w)
    ),
    "l2_normalize_grad": lambda dy, x: gradients(
        lambda x: F.normalize(x, dim=-1), dy, x
    ),
    "weight_norm_grad": lambda dw, v, g: gradients(
        lambda v, g: torch._weight_norm(v, g[:, None]), dw, v, g
    ),
}


def glu_halves(x: Any) -> Any:
    gate, up = x.chunk(2, -1)
    return F.silu(gate) * up


def mlp(x: Any, w_gate: Any, w_up: Any, w_down: Any) -> Any:
    return F.linear(F.silu(F.linear(x, w_gate)) * F.linear(x, w_up), w_down)


def sparsemax(x: Any) -> Any:
    """The projection on the simplex, by sorting."""
    ordered = x.sort(-1, descending=True).values
    count = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    total = ordered.cumsum(-1) - 1
    support = (ordered * count > total).sum(-1, keepdim=True)
    return (x - total.gather(-1, support - 1) / support).clamp(min=0)


SIMPLE: dict[str, Peer] = {
    "relu_layer": F.relu,
    "gelu_layer": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu_layer": F.silu,
    "sigmoid_layer": torch.sigmoid,
    "tanh_layer": torch.tanh,
    "softplus_layer": lambda x, beta=1.0: F.softplus(x, beta, 50),
    "log_sigmoid": F.logsigmoid,
    "exponential": torch.exp,
    "relu6": F.relu6,
    "relu_squared": lambda x: F.relu(x) ** 2,
    "selu": F.selu,
    "celu": F.celu,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "softshrink": lambda x, threshold=0.5: F.softshrink(x, threshold),
    "hardshrink": lambda x, threshold=0.5: F.hardshrink(x, threshold),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "snake": lambda x, a=1.0: x + torch.sin(a * x) ** 2 / a,
    "elu": F.elu,
    "leaky_relu": lambda x, slope=0.01: F.leaky_relu(x, slope),
    "hardtanh": lambda x, low=-1.0, high=1.0: F.hardtanh(x, low, high),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "mish": F.mish,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
}

ACTIVATION: dict[str, Peer] = {
    **SIMPLE,
    "threshold": lambda x, limit, value: F.threshold(x, limit, value),
    "prelu": F.prelu,
    "prelu_last": lambda x, slope: last(F.prelu(first(x), slope)),
    "swiglu": lambda x, gate: F.silu(gate) * x,
    "geglu": lambda x, gate: F.gelu(gate) * x,
    "reglu": lambda x, gate: F.relu(gate) * x,
    "glu": F.glu,
    "swiglu_halves": glu_halves,
    "swiglu_mlp": mlp,
    "maxout": lambda x, pieces: x.unflatten(-1, (-1, pieces)).amax(-1),
    "softmin": lambda x: F.softmin(x, -1),
    "softmax_temperature": lambda x, temperature: F.softmax(x / temperature, -1),
    "softmax_masked": lambda x, mask: F.softmax(x.masked_fill(~mask, -torch.inf), -1),
    "softmax_channels": lambda x: F.softmax(x, 1),
    "sparsemax": sparsemax,
}


def grad_of(peer: Peer) -> Peer:
    return lambda dy, x, **k: gradients(lambda x: peer(x, **k), dy, x)


def grad_at_result(peer: Peer, inverse: Peer) -> Peer:
    return lambda dy, y: gradients(peer, dy, inverse(y))


WITH_GRADIENTS = (
    "gelu_tanh",
    "log_sigmoid",
    "relu6",
    "relu_squared",
    "selu",
    "celu",
    "softsign",
    "tanhshrink",
    "quick_gelu",
    "elu",
    "leaky_relu",
    "hardtanh",
    "hardswish",
    "mish",
)

ACTIVATION_GRAD: dict[str, Peer] = {
    "relu_grad": grad_of(F.relu),
    "gelu_grad": grad_of(F.gelu),
    "silu_grad": grad_of(F.silu),
    "softplus_grad": grad_of(SIMPLE["softplus_layer"]),
    "shrink_grad": grad_of(SIMPLE["hardshrink"]),
    **{f"{name}_grad": grad_of(SIMPLE[name]) for name in WITH_GRADIENTS},
    "sigmoid_grad": grad_at_result(torch.sigmoid, torch.logit),
    # PyTorch's own multiplies with a sixth in single precision.
    "hardsigmoid_grad": grad_of(lambda x: F.relu6(x + 3) / 6),
    "tanh_grad": grad_at_result(torch.tanh, torch.atanh),
    "softmax_grad": lambda dy, y: torch.ops.aten._softmax_backward_data(
        dy, y, -1, y.dtype
    ),
    "log_softmax_grad": grad_of(SIMPLE["log_softmax"]),
    "prelu_grad": lambda dy, x, slope: gradients(
        ACTIVATION["prelu_last"], dy, x, slope
    ),
    "glu_grad": grad_of(F.glu),
    "swiglu_grad": lambda dy, x, gate: gradients(ACTIVATION["swiglu"], dy, x, gate),
    "geglu_grad": lambda dy, x, gate: gradients(ACTIVATION["geglu"], dy, x, gate),
}
PEERS: dict[str, Peer] = {**NORMALIZATION, **ACTIVATION, **ACTIVATION_GRAD}
