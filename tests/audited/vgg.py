"""VGG nets: a list of layers as people write it, and what can go wrong with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layers = tuple[int | str, ...]

A: Layers = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
B: Layers = (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
C: Layers = (64, 64, "M", 128, 128, "M", 256, 256, "256x1", "M", 512, 512, "512x1", "M", 512, 512, "512x1", "M")
D: Layers = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
#: What is left of A where one attribute of a class is assigned twice: the second convolution takes the place of the first.
OVERWRITTEN: Layers = (64, "M", 128, "M", 256, "M", 512, "M", 512, "M")


def features(
    layers: Layers, *, bn: bool = False, bias: bool = True, padding_of_1x1: int = 0, lrn: nn.Module | None = None
) -> nn.Sequential:
    modules: list[nn.Module] = []
    channels = 3
    for layer in layers:
        if layer == "M":
            modules.append(nn.MaxPool2d(2))
            continue
        maps, kernel = (int(part) for part in f"{layer}x3".split("x")[:2])
        modules.append(nn.Conv2d(channels, maps, kernel, padding=1 if kernel == 3 else padding_of_1x1, bias=bias))
        modules += [nn.BatchNorm2d(maps)] if bn else []
        modules.append(nn.ReLU(inplace=True))
        if lrn is not None and channels == 3:
            modules.append(lrn)
        channels = maps
    return nn.Sequential(*modules)


def head(order: str = "fc relu drop", units: int = 4096, inputs: int = 512 * 49, classes: int = 1000, end: str = "") -> nn.Sequential:
    """Two hidden layers, each in the order given, the output layer, and what follows it."""
    modules: list[nn.Module] = []

    def append(words: str, outputs: int) -> None:
        nonlocal inputs
        for word in words.split():
            match word:
                case "fc":
                    modules.append(nn.Linear(inputs, outputs))
                    inputs = outputs
                case "relu":
                    modules.append(nn.ReLU())
                case "drop":
                    modules.append(nn.Dropout())
                case "softmax":
                    modules.append(nn.Softmax(dim=1))

    append(order, units)
    append(order, units)
    append(f"fc {end}", classes)
    return nn.Sequential(*modules)


class Vgg(nn.Module):
    def __init__(self, features: nn.Module, head: nn.Module, adaptive: int | None = None) -> None:
        super().__init__()
        self.features, self.head, self.adaptive = features, head, adaptive

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        if self.adaptive:
            x = F.adaptive_avg_pool2d(x, self.adaptive)
        x = self.head(torch.flatten(x, 1))
        return x


class ConvHead(nn.Module):
    """The classifier as convolutions (S14 section 3.2), averaged over the map that they give."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.features = features(layers)
        self.fc6, self.fc7, self.fc8 = nn.Conv2d(512, 4096, 7), nn.Conv2d(4096, 4096, 1), nn.Conv2d(4096, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = F.dropout(F.relu(self.fc6(x)), training=self.training)
        x = F.dropout(F.relu(self.fc7(x)), 0.5, self.training)
        return self.fc8(x).flatten(1)  # type: ignore[no-any-return]
