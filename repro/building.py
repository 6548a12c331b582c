"""A network of the ledger -> ``nn.Module``, nothing else.

Each layer becomes one module under its own name (``conv2_1.conv1`` is a parameter prefix too), and
``forward`` runs them in the order of the table. Weights are what torch initialises them to: the papers'
initialisations belong to their training recipes.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import wrap_torch_function

from repro.errors import ReproError
from repro.layers import Layer
from repro.tables import Network


def build(network: Network, device: torch.device | str = "cpu") -> PaperNet:
    """The network as a module: input ``(batch, *network.input)``, output ``(batch, classes)`` scores before any softmax.

    ``device="meta"`` builds without memory or time, for counting.
    """
    return PaperNet(network, torch.device(device))


class PaperNet(nn.Module):
    """Runs the layers of a network; a value is dropped after the last layer that needs it."""

    def __init__(self, network: Network, device: torch.device) -> None:
        super().__init__()
        self._plan: list[tuple[nn.Module, tuple[str, ...], str, tuple[str, ...]]] = []
        outputs = {"input": network.input} | {layer.name: layer.output for layer in network.layers}
        last_use = {name: layer.name for layer in network.layers for name in layer.inputs}
        for layer in network.layers:
            module = _module(layer, outputs[layer.inputs[0]][0], network, device)
            _attach(self, layer.name, module)
            spent = tuple(name for name in dict.fromkeys(layer.inputs) if last_use[name] == layer.name)
            self._plan.append((module, layer.inputs, layer.name, spent))

    def forward(self, x: Tensor) -> Tensor:
        values = {"input": x}
        for module, inputs, name, spent in self._plan:
            x = module(*[values[source] for source in inputs])
            for source in spent:
                del values[source]
            values[name] = x
        return x


def _attach(root: nn.Module, path: str, module: nn.Module) -> None:
    """``conv2_1.conv1`` lives in a container ``conv2_1``."""
    *parents, leaf = path.split(".")
    for parent in parents:
        if parent not in root._modules:
            _add(root, parent, path, nn.Module())
        root = cast(nn.Module, root._modules[parent])
    _add(root, leaf, path, module)


def _add(root: nn.Module, name: str, path: str, module: nn.Module) -> None:
    if hasattr(root, name):  # "training" is nn.Module's own word; a layer and a block can't share a name either
        raise ReproError(f"layer {path!r} can't be built: {name!r} is taken; give its row in repro/papers/ another name")
    root.add_module(name, module)


def _module(layer: Layer, channels: int, network: Network, device: torch.device) -> nn.Module:
    """The module of one layer; ``channels`` go in."""
    c: Any = layer.constants
    match layer.kind:
        case "conv":
            return nn.Conv2d(
                channels, layer.output[0], _pair(layer.kernel), _pair(layer.stride), _pair(layer.padding),
                groups=layer.groups or 1, bias=bool(layer.bias), device=device,
            )  # fmt: skip
        case "linear":
            return nn.Linear(channels, layer.output[0], bias=bool(layer.bias), device=device)
        case "batchnorm":
            return nn.BatchNorm2d(channels, eps=c["eps"], momentum=c["momentum"], device=device)
        case "relu":
            return nn.ReLU()
        case "tanh":
            return ScaledTanh(c["A"], c["S"])
        case "lrn":  # torch divides alpha by n, the paper's formula doesn't
            return nn.LocalResponseNorm(c["n"], alpha=c["alpha"] * c["n"], beta=c["beta"], k=c["k"])
        case "maxpool":
            return nn.MaxPool2d(_pair(layer.kernel), _pair(layer.stride), _pair(layer.padding))
        case "avgpool":
            return GlobalAvgPool()
        case "subsampling":
            return Subsampling(channels, _pair(layer.kernel)[0], device)
        case "dropout":
            return nn.Dropout(c["p"])
        case "flatten":
            return nn.Flatten()
        case "add":
            return Add()
        case "pad":
            return ZeroPadShortcut(_pair(layer.stride)[0], c["zeros"])
        case "select":
            return Select(c["maps"])
        case "cat":
            return Cat()
        case "rbf":
            return Rbf(network, device)
    raise ValueError(f"no module for a layer of kind {layer.kind!r}")


def _pair(value: tuple[int, ...] | None) -> tuple[int, int]:
    assert value is not None
    height, width = value
    return height, width


class Add(nn.Module):
    """The sum of a block's body and its shortcut (H15 eq. 1)."""

    def forward(self, body: Tensor, shortcut: Tensor) -> Tensor:
        return body + shortcut


class Cat(nn.Module):
    """Maps side by side."""

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.cat(maps, 1)


class GlobalAvgPool(nn.Module):
    """``(batch, channels, height, width)`` -> ``(batch, channels)``; a mean, whose backward is deterministic on CUDA too."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@wrap_torch_function(lambda x, stride, zeros: (x,))
def zero_pad_shortcut(x: Tensor, stride: int, zeros: int) -> Tensor:
    """Option A (H15 section 3.3): every ``stride``-th pixel, then ``zeros`` zero maps after the others."""
    return nn.functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, zeros))


@wrap_torch_function(lambda x, coefficient, bias, kernel: (x, coefficient, bias))
def subsample(x: Tensor, coefficient: Tensor, bias: Tensor, kernel: int) -> Tensor:
    """L98 section II.B: the inputs of a window are added, times one coefficient, plus one bias, for each map."""
    total = nn.functional.avg_pool2d(x, kernel, divisor_override=1)
    return total * coefficient[:, None, None] + bias[:, None, None]


@wrap_torch_function(lambda x, A, S: (x,))
def scaled_tanh(x: Tensor, A: float, S: float) -> Tensor:
    """``A tanh(S x)`` (L98 appendix A)."""
    return A * torch.tanh(S * x)


@wrap_torch_function(lambda x, codes: (x, codes))
def rbf_distance(x: Tensor, codes: Tensor) -> Tensor:
    """Squared distance of each vector to each code: ``(batch, 84), (10, 84) -> (batch, 10)`` (L98 eq. 7)."""
    return (x[:, None] - codes).square().sum(-1)


@wrap_torch_function(lambda x, maps: (x,))
def select_maps(x: Tensor, maps: list[int]) -> Tensor:
    """Some maps of ``(batch, channels, height, width)``, by number."""
    return x[:, maps]


class ZeroPadShortcut(nn.Module):
    """Option A's shortcut where the size changes."""

    def __init__(self, stride: int, zeros: int) -> None:
        super().__init__()
        self.stride, self.zeros = stride, zeros

    def forward(self, x: Tensor) -> Tensor:
        return zero_pad_shortcut(x, self.stride, self.zeros)


class Subsampling(nn.Module):
    """LeNet-5's S2 and S4."""

    def __init__(self, maps: int, kernel: int, device: torch.device) -> None:
        super().__init__()
        self.kernel = kernel
        self.coefficient = nn.Parameter(torch.full((maps,), 1 / kernel**2, device=device))
        self.bias = nn.Parameter(torch.zeros(maps, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return subsample(x, self.coefficient, self.bias, self.kernel)


class ScaledTanh(nn.Module):
    """LeNet-5's squashing function."""

    def __init__(self, A: float, S: float) -> None:
        super().__init__()
        self.A, self.S = A, S

    def forward(self, x: Tensor) -> Tensor:
        return scaled_tanh(x, self.A, self.S)


class Select(nn.Module):
    """The maps of S2 that one map of C3 sees (L98 Table I)."""

    def __init__(self, maps: list[int]) -> None:
        super().__init__()
        self.maps = list(maps)

    def forward(self, x: Tensor) -> Tensor:
        return select_maps(x, self.maps)


class Rbf(nn.Module):
    """LeNet-5's output units: distances to the codes of the digits, +1 for ink and -1 for paper, which stay fixed."""

    codes: Tensor

    def __init__(self, network: Network, device: torch.device) -> None:
        super().__init__()
        drawings = network.paper.codes.values()
        codes = [[1.0 if pixel == "#" else -1.0 for row in drawing for pixel in row] for drawing in drawings]
        self.register_buffer("codes", torch.tensor(codes, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return rbf_distance(x, self.codes)
