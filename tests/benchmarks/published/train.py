"""Train the pairwise net on times that `measure` wrote; judge it on unseen networks.

    python -m tests.benchmarks.published.train times.csv [--out pairwise_net.json]

Needs PyTorch (the extra `torch`). Each network is held out in turn, together with all
layers of its shapes; the table shows the pair accuracy and the share of the best
variant's speed that the first choice reaches, beside PolyRank's. The net that is
written is trained on everything.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from polydsl.schedule.published.pairwise_net import (
    SOFTSIGN_LAYER,
    WIDTHS,
    PairwiseNet,
    first_is_faster,
    net_to_json,
    pair_inputs,
    tournament,
)
from polydsl.schedule.published.polyrank import polyrank_costs
from tests.benchmarks.published.data import (
    Floats,
    Measured,
    folds,
    pair_accuracy,
    read_times,
    regret,
)

EPOCHS = 60
BATCH = 256
RATE = 2e-3
DECAY = 1e-4


def train(measured: Sequence[Measured], description: str, epochs: int) -> PairwiseNet:
    """Return a net trained on the pairs of some layers, each in both orders and each
    layer of the same weight, by cross-entropy and Adam from a fixed seed."""
    torch.manual_seed(0)
    inputs, labels, weights = _examples(measured)
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss_of = torch.nn.CrossEntropyLoss(reduction="none")
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            losses = loss_of(model(inputs[batch]), labels[batch])
            loss = (losses * weights[batch]).sum() / weights[batch].sum()
            loss.backward()
            optimizer.step()
        schedule.step()
    return net_of(model, description)


def net_of(model: torch.nn.Sequential, description: str) -> PairwiseNet:
    """Return a model's weights as the network that runs in NumPy."""
    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    return PairwiseNet(
        tuple(layer.weight.detach().double().numpy().T for layer in linear),
        tuple(layer.bias.detach().double().numpy() for layer in linear),
        description,
    )


def make_model() -> torch.nn.Sequential:
    """Return an untrained net of the published shape, without the softmax."""
    layers: list[torch.nn.Module] = []
    for place, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        layers.append(torch.nn.Linear(inputs, outputs))
        if place == SOFTSIGN_LAYER:
            layers.append(torch.nn.Softsign())
        elif place < len(WIDTHS) - 2:
            layers.append(torch.nn.ReLU())
    return torch.nn.Sequential(*layers)


def _examples(
    measured: Sequence[Measured],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return inputs (first, second), the place of the faster one, and weights."""
    inputs, labels, weights = [], [], []
    for layer in measured:
        pairs = layer.pairs()
        fast, slow = layer.level_bytes[pairs[:, 0]], layer.level_bytes[pairs[:, 1]]
        inputs += [pair_inputs(fast, slow), pair_inputs(slow, fast)]
        labels += [np.zeros(len(pairs), int), np.ones(len(pairs), int)]
        weights.append(np.full(2 * len(pairs), 1 / max(len(pairs), 1)))
    return (
        torch.tensor(np.concatenate(inputs), dtype=torch.float32),
        torch.tensor(np.concatenate(labels)),
        torch.tensor(np.concatenate(weights), dtype=torch.float32),
    )


def pairwise_accuracy(
    measured: Sequence[Measured], net: PairwiseNet
) -> tuple[float, int]:
    """Return the share of pairs of which the net names the faster one, and how many
    pairs there are. A pair of equal inputs is a guess: half right."""
    right, total = 0.0, 0
    for layer in measured:
        pairs = layer.pairs()
        fast, slow = layer.level_bytes[pairs[:, 0]], layer.level_bytes[pairs[:, 1]]
        chance = first_is_faster(net, fast, slow)
        is_even = (fast == slow).all(axis=1)
        right += float(np.sum(np.where(is_even, 0.5, chance > 0.5)))
        total += len(pairs)
    return right / max(total, 1), total


def by_polyrank(layer: Measured) -> Floats:
    """Return PolyRank's costs."""
    return polyrank_costs(layer.level_bytes)


def cross_validate(measured: Sequence[Measured], epochs: int) -> str:
    """Print each network's result when it is held out; return all of them in a line."""
    print(
        f"{'network':14} layers  pairs  net acc  polyrank acc  net top1  polyrank top1"
    )
    rows = []
    for network, seen, held_out in folds(measured):
        net = train(seen, "", epochs)
        accuracy, pairs = pairwise_accuracy(held_out, net)
        plain, _ = pair_accuracy(held_out, by_polyrank)
        first = regret(held_out, lambda m, net=net: -tournament(net, m.level_bytes))
        plain_first = regret(held_out, by_polyrank)
        rows.append((len(held_out), pairs, accuracy, plain, first, plain_first))
        print(
            f"{network:14} {len(held_out):6} {pairs:6} {accuracy:8.3f} {plain:13.3f} "
            f"{first:9.3f} {plain_first:14.3f}",
            flush=True,
        )
    numbers = np.array(rows)
    layers, pairs = numbers[:, 0], numbers[:, 1]
    accuracy, plain = (np.average(numbers[:, i], weights=pairs) for i in (2, 3))
    first, plain_first = (
        np.exp(np.average(np.log(numbers[:, i]), weights=layers)) for i in (4, 5)
    )
    summary = (
        f"unseen networks: pair accuracy {accuracy:.3f} (PolyRank {plain:.3f}), first "
        f"choice at {first:.3f} of the best (PolyRank {plain_first:.3f})"
    )
    print(summary)
    return summary


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, train on everything, write the net."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--machine", default="", help="words about it, for the file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    measured = read_times(options.file)
    summary = cross_validate(measured, options.epochs)
    variants = sum(len(m.seconds) for m in measured)
    pairs = sum(len(m.pairs()) for m in measured)
    description = (
        f"Trained on {pairs} pairs of {variants} published variants of {len(measured)} "
        f"convolution layers, N = 1, f32, one thread{options.machine and ', '}"
        f"{options.machine}; {summary}"
    )
    net = train(measured, description, options.epochs)
    if options.out:
        options.out.write_text(net_to_json(net), encoding="utf-8")


if __name__ == "__main__":
    main()
