"""Data-parallel training as VGG's: each process has its share of the batch, and gradients are averaged (S14 section 3.3)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from repro import distributed
from repro.building import build
from repro.lectures.judging import Numbers
from repro.lectures.processes import WORLD, in_processes
from repro.lectures.running import bound
from repro.tables import load_ledger
from repro.training import initialise

#: Two steps show more than one: the second is taken from weights that the first one moved.
BATCH, STEPS, LR, SIDE, CLASSES = 8, 2, 0.01, 32, 10


def compare_shares() -> Numbers:
    """Weights after two steps of two processes against those of one process with the whole batch."""
    return in_processes(_compare)


def small_vgg(seed: int) -> nn.Module:
    """The convolutions of vgg-a on 32x32 images, with one fully connected layer for ten classes: not the ledger's network, whose
    123 million weights of FC layers would show nothing more."""
    network = load_ledger().network("vgg-a")
    names = itertools.takewhile(lambda name: name != "flatten", (layer.name for layer in network.layers))
    kept = [build(network, "meta").get_submodule(name) for name in names]
    net = nn.Sequential(*kept, nn.Flatten(), nn.Linear(512, CLASSES, device="meta")).to_empty(device="cpu")
    initialise(net, seed)
    return net


def _compare() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(BATCH, 3, SIDE, SIDE, generator=generator), torch.randint(CLASSES, (BATCH,), generator=generator))
        for _ in range(STEPS)
    ]
    alone, shared, apart = small_vgg(0), small_vgg(0), small_vgg(0)
    for images, labels in batches:
        _step(alone, images, labels, average=False)
        part = distributed.share(images, labels)
        _step(shared, *part, average=True)
        _step(apart, *part, average=False)
    moved = _weights(alone) - _weights(small_vgg(0))
    return {
        "processes": WORLD,
        "batch": BATCH,
        "share": BATCH // WORLD,
        "steps": STEPS,
        "weights": _weights(alone).numel(),
        "off": bound([((_weights(shared) - _weights(alone)).norm() / moved.norm()).item()]),
        "off_without_average_percent": round(100 * ((_weights(apart) - _weights(alone)).norm() / moved.norm()).item(), 1),
    }


def _step(net: nn.Module, images: Tensor, labels: Tensor, average: bool) -> None:
    """One step of plain gradient descent."""
    loss = cross_entropy(net(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    if average:
        distributed.average(gradients)
    with torch.no_grad():
        for weight, gradient in zip(net.parameters(), gradients, strict=True):
            weight.sub_(LR * gradient)
    net.zero_grad()


def _weights(net: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])
