"""What is measured of a network while it's trained: errors, gradient norms, responses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from repro.counting.with_torch import InMode
from repro.data import Feeder, Split

EVALUATION_BATCH = 500  #: images; what they hold between layers then fits a small machine


def evaluate(net: nn.Module, feeder: Feeder, split: Split, precision: AbstractContextManager[Any]) -> tuple[float, float]:
    """Mean loss, and error in per cent, of a split without augmentation, batch normalisation in evaluation mode."""
    loss, wrong = torch.zeros((), device=split.labels.device), torch.zeros((), device=split.labels.device)
    with evaluating(net), precision:
        for start in range(0, len(split.labels), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            output = net(feeder.plain(split.images[part])).float()
            loss += cross_entropy(output, split.labels[part], reduction="sum")
            wrong += (output.argmax(1) != split.labels[part]).sum()
    return loss.item() / len(split.labels), 100 * wrong.item() / len(split.labels)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, then the mode as it was."""
    with InMode(net, training=False), torch.no_grad():
        yield


def gradient_layers(net: nn.Module) -> list[str]:
    """The layers with weights that multiply: convolutions and linear ones, in the order in which they run."""
    return [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def gradient_norms(net: nn.Module) -> list[float]:
    """L2 norm of the gradient of the weight of each of ``gradient_layers``."""
    gradients = [net.get_submodule(name).weight.grad for name in gradient_layers(net)]
    return torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients if isinstance(gradient, Tensor)]).tolist()


def response_stds(net: nn.Module, feeder: Feeder, images: Tensor, precision: AbstractContextManager[Any]) -> dict[str, float]:
    """Standard deviation of the output of each 3x3 convolution after its BN (H15 Figure 7), on uint8 ``images``."""
    totals: dict[str, list[float]] = {}

    def add(name: str, output: Tensor) -> None:
        values = output.double()
        row = totals.setdefault(name, [0.0, 0.0, 0.0])
        row[0] += values.sum().item()
        row[1] += values.square().sum().item()
        row[2] += values.numel()

    hooks = [
        module.register_forward_hook(lambda module, inputs, output, name=name: add(name, output))
        for name, module in net.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    try:
        with evaluating(net), precision:
            for start in range(0, len(images), EVALUATION_BATCH):
                net(feeder.plain(images[start : start + EVALUATION_BATCH]))
    finally:
        for hook in hooks:
            hook.remove()
    return {name.removesuffix("_bn"): max(square / n - (total / n) ** 2, 0.0) ** 0.5 for name, (total, square, n) in totals.items()}
