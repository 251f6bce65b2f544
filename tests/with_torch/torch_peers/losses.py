"""PyTorch's own for `stdlib.loss`."""

from typing import Any

import torch
import torch.nn.functional as F

from torch_peers.gradients import gradients
from torch_peers.images import Peer


def grad_of(peer: Peer) -> Peer:
    return lambda x, target, **k: gradients(lambda x: peer(x, target, **k), None, x)


def focal(x: Any, target: Any, alpha: float = 0.25, gamma: float = 2.0) -> Any:
    p = torch.where(target == 1, x.sigmoid(), 1 - x.sigmoid())
    weight = torch.where(target == 1, alpha, 1 - alpha)
    return (-weight * (1 - p) ** gamma * p.log()).mean()


def gaussian_kl(mu: Any, log_var: Any) -> Any:
    normal = torch.distributions.Normal
    given = normal(mu, (0.5 * log_var).exp())
    unit = normal(torch.zeros_like(mu), torch.ones_like(mu))
    return torch.distributions.kl_divergence(given, unit).sum() / len(mu)


def quantile(x: Any, target: Any, q: float) -> Any:
    e = target - x
    return torch.where(e > 0, q * e, (q - 1) * e).mean()


def dice(p: Any, target: Any) -> Any:
    return (1 - (2 * (p * target).sum(1) + 1) / ((p + target).sum(1) + 1)).mean()


def ctc(log_p: Any, target: Any, frames: Any, labels: Any, blank: int = 0) -> Any:
    return F.ctc_loss(log_p, target, frames, labels, blank, reduction="none")


def discrepancy(x: Any, y: Any, gamma: float) -> Any:
    def mean(a: Any, b: Any) -> Any:
        return torch.exp(-gamma * torch.cdist(a, b) ** 2).mean()

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


PEERS: dict[str, Peer] = {
    "mse": F.mse_loss,
    "mse_grad": grad_of(F.mse_loss),
    "l1": F.l1_loss,
    "l1_grad": grad_of(F.l1_loss),
    "huber": F.huber_loss,
    "huber_grad": grad_of(F.huber_loss),
    "smooth_l1": F.smooth_l1_loss,
    "log_cosh": lambda x, target: (x - target).cosh().log().mean(),
    "quantile": quantile,
    "nll": F.nll_loss,
    "nll_weighted": F.nll_loss,
    "cross_entropy": lambda x, t: F.cross_entropy(x, t.long()),
    "cross_entropy_grad": grad_of(F.cross_entropy),
    "cross_entropy_smoothed": lambda x, t, smoothing: F.cross_entropy(
        x, t, label_smoothing=smoothing
    ),
    "cross_entropy_ignoring": F.cross_entropy,
    "cross_entropy_pixels": F.cross_entropy,
    "cross_entropy_soft": F.cross_entropy,
    "binary_cross_entropy": F.binary_cross_entropy,
    "binary_cross_entropy_logits": F.binary_cross_entropy_with_logits,
    "binary_cross_entropy_logits_grad": grad_of(F.binary_cross_entropy_with_logits),
    "focal": focal,
    "dice": dice,
    "kl_divergence": lambda x, t: F.kl_div(x, t, reduction="batchmean"),
    "gaussian_kl": gaussian_kl,
    "hinge": lambda x, t: (1 - t * x).clamp(min=0).mean(),
    "squared_hinge": lambda x, t: (1 - t * x).clamp(min=0).square().mean(),
    "hinge_embedding": F.hinge_embedding_loss,
    "soft_margin": F.soft_margin_loss,
    "multi_margin": lambda x, t, margin: F.multi_margin_loss(x, t, margin=margin),
    "margin_ranking": F.margin_ranking_loss,
    "cosine_embedding": F.cosine_embedding_loss,
    "triplet": F.triplet_margin_loss,
    "poisson_nll": F.poisson_nll_loss,
    "gaussian_nll": F.gaussian_nll_loss,
    "info_nce": lambda x, y, temperature: F.cross_entropy(
        x @ y.T / temperature, torch.arange(len(x))
    ),
    "maximum_mean_discrepancy": discrepancy,
    "ctc": ctc,
}
