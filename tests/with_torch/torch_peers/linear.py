"""PyTorch's own for `stdlib.linalg`, `triangular`, `scan` and `statistics`."""

import torch
import torch.nn.functional as F

from torch_peers.gradients import gradients

lower = torch.tril
upper = torch.triu
solve = torch.linalg.solve
triangular = torch.linalg.solve_triangular


def tridiagonal(a, b, c):
    return torch.diag(b) + torch.diag(a[1:], -1) + torch.diag(c[:-1], 1)


def unit(a):
    return torch.tril(a, -1) + torch.eye(len(a), dtype=a.dtype)


def symmetric(a):
    return torch.tril(a) + torch.tril(a, -1).mT


def ema(x, alpha):
    rows = [x[..., 0]]
    for t in range(1, x.shape[-1]):
        rows.append(torch.lerp(rows[-1], x[..., t], alpha))
    return torch.stack(rows, -1)


def returns(reward, discount):
    count = torch.arange(reward.shape[-1])
    power = discount ** (count[:, None] - count).clamp(min=0).double()
    return reward @ torch.tril(power)


def recurrence(a, b):
    rows = [b[..., 0]]
    for t in range(1, b.shape[-1]):
        rows.append(torch.addcmul(b[..., t], a[..., t], rows[-1]))
    return torch.stack(rows, -1)


def box(x, radius):
    size = 2 * radius + 1
    return F.avg_pool2d(x[None] if x.ndim == 2 else x, size, 1, radius).reshape(
        x.shape
    ) * (size * size)


def segments(x):
    n = x.shape[-1]
    total = torch.cumsum(x, -1)
    return (total[..., :, None] - total[..., None, :]).masked_fill(
        ~torch.ones(n, n).tril().bool(), -torch.inf
    )


LINALG = {
    "matmul": torch.matmul,
    "matmul_nt": lambda a, b: a @ b.mT,
    "matmul_tn": lambda a, b: a.mT @ b,
    "matmul_tt": lambda a, b: a.mT @ b.mT,
    "batched_matmul": torch.matmul,
    "batched_matmul_nt": lambda a, b: a @ b.mT,
    "batched_matmul_tn": lambda a, b: a.mT @ b,
    "matmul_add": lambda a, b, c, **k: torch.addmm(c, a, b, **k),
    "matmul_i8": lambda a, b: a.long() @ b.long(),
    "matmul_quantized": lambda a, b, s, zero: ((a.long() - zero) @ b.long()) * s,
    "matvec": torch.mv,
    "vecmat": lambda x, a: x @ a,
    "dot": torch.dot,
    "outer": torch.outer,
    "batched_matvec": lambda a, x: (a @ x[..., None])[..., 0],
    "batched_dot": torch.linalg.vecdot,
    "batched_outer": lambda x, y: x[..., None] * y[..., None, :],
    "rank_one_update": lambda a, x, y, alpha: torch.addr(a, x, y, alpha=alpha),
    "quadratic_form": lambda x, a, y: torch.einsum("ni,ij,nj->n", x, a, y),
    "matmul_chain": lambda a, b, c: torch.linalg.multi_dot((a, b, c)),
    "gram": lambda x: x @ x.mT,
    "cross": torch.linalg.cross,
    "transpose": lambda a: a.mT,
    "trace": lambda a: a.diagonal(0, -2, -1).sum(-1),
    "diagonal": lambda a, offset=0: torch.diagonal(a, offset, -2, -1),
    "diagonal_matrix": torch.diag_embed,
    "scale_rows": lambda x, a: torch.diag(x) @ a,
    "scale_columns": lambda a, x: a @ torch.diag(x),
    "hadamard": torch.mul,
    "kronecker": torch.kron,
    "khatri_rao": lambda a, b: torch.einsum("in,jn->ijn", a, b).flatten(0, 1),
    "vandermonde": lambda x, degrees: x[:, None] ** torch.arange(degrees),
    "tridiagonal_matvec": lambda a, b, c, x: tridiagonal(a, b, c) @ x,
    "linear": F.linear,
    "linear_no_bias": F.linear,
    "bilinear": F.bilinear,
    "linear_grad": lambda dy, x, w: gradients(
        F.linear, dy, x, w, torch.zeros(len(w), dtype=w.dtype)
    ),
}

TRIANGULAR = {
    "lower_part": lambda a, offset=0: torch.tril(a, offset),
    "upper_part": lambda a, offset=0: torch.triu(a, offset),
    "lower_matvec": lambda a, x: lower(a) @ x,
    "upper_matvec": lambda a, x: upper(a) @ x,
    "lower_matmul": lambda a, b: lower(a) @ b,
    "upper_matmul": lambda a, b: upper(a) @ b,
    "lower_times_upper": lambda a, b: lower(a) @ upper(b),
    "lower_times_lower": lambda a, b: lower(a) @ lower(b),
    "symmetric_matmul": lambda a, b: symmetric(a) @ b,
    "symmetric_gram": lambda x: x @ x.mT,
    "solve_lower": lambda a, b: triangular(a, b, upper=False),
    "solve_lower_unit": lambda a, b: solve(unit(a), b),
    "solve_lower_transposed": lambda a, b: solve(lower(a).mT, b),
    "solve_upper": lambda a, b: triangular(a, b, upper=True),
    "solve_lower_vector": lambda a, b: solve(lower(a), b),
    "solve_upper_vector": lambda a, b: solve(upper(a), b),
    "solve_tridiagonal": lambda a, b, c, x: solve(tridiagonal(a, b, c), x),
    "inverse_lower": lambda a: torch.linalg.inv(lower(a)),
    "cholesky": torch.linalg.cholesky,
    "solve": solve,
    "solve_positive_definite": solve,
}

SCAN = {
    "cumulative_sum": lambda x: x.cumsum(-1),
    "exclusive_sum": lambda x: x.cumsum(-1) - x,
    "reverse_cumulative_sum": lambda x: x.flip(-1).cumsum(-1).flip(-1),
    "cumulative_product": lambda x: x.cumprod(-1),
    "cumulative_max": lambda x: x.cummax(-1).values,
    "cumulative_min": lambda x: x.cummin(-1).values,
    "cumulative_log_sum_exp": lambda x: x.logcumsumexp(-1),
    "segment_sums": segments,
    "linear_recurrence": recurrence,
    "exponential_moving_average": ema,
    "discounted_return": returns,
    "polynomial": lambda c, x: (x[..., None] ** torch.arange(len(c))).to(c.dtype) @ c,
    "integral_image": lambda x: x.cumsum(-1).cumsum(-2),
    "box_sum": box,
    "differences": torch.diff,
}

STATISTICS = {
    "norm_l1": lambda x: torch.linalg.vector_norm(x, 1, -1),
    "norm_l2": lambda x: torch.linalg.vector_norm(x, 2, -1),
    "norm_max": lambda x: torch.linalg.vector_norm(x, torch.inf, -1),
    "norm_p": lambda x, p: torch.linalg.vector_norm(x, p, -1),
    "norm_frobenius": torch.linalg.matrix_norm,
    "norm_rows": lambda x: torch.linalg.matrix_norm(x, torch.inf),
    "norm_columns": lambda x: torch.linalg.matrix_norm(x, 1),
    "log_sum_exp": lambda x: x.logsumexp(-1),
    "squared_distances": lambda a, b: torch.cdist(a, b) ** 2,
    "distances": torch.cdist,
    "cosine_similarities": lambda a, b: F.cosine_similarity(a[:, None], b, -1),
    "cosine_similarity": lambda a, b: F.cosine_similarity(a, b, -1),
    "gaussian_kernel": lambda a, b, gamma: torch.exp(-gamma * torch.cdist(a, b) ** 2),
    "variance": lambda x, **k: torch.var_mean(x, -1, **k),
    "covariance": lambda x, **k: torch.cov(x.T, **k),
    "correlation_matrix": lambda x: torch.corrcoef(x.T),
    "histogram": lambda ids, bins: torch.bincount(ids, minlength=bins),
    "weighted_histogram": lambda ids, w, bins: torch.bincount(ids, w, bins),
    "bucketize": torch.bucketize,
}

PEERS = {**LINALG, **TRIANGULAR, **SCAN, **STATISTICS}
