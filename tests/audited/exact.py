"""The paper's ResNets in several styles: a Sequential, functions of tensors, a ModuleDict, and branches in another order.

Classes of blocks, the fifth, are in :mod:`audited.resnet`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audited import resnet


class Sum(nn.Module):
    """Style 1: everything is a Sequential; the shortcut is a Sequential too."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.body(x), self.shortcut(x))


class Every(nn.Module):
    def __init__(self, stride: int, zeros: int) -> None:
        super().__init__()
        self.stride, self.pad = stride, nn.ZeroPad3d((0, 0, 0, 0, 0, zeros))

    def forward(self, x: Tensor) -> Tensor:
        return self.pad(x[:, :, :: self.stride, :: self.stride])  # type: ignore[no-any-return]


def conv_bn(channels: int, maps: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(channels, maps, 3, stride, "same" if stride == 1 else 1, bias=False), nn.BatchNorm2d(maps)]


def sequential(n: int = 3) -> nn.Sequential:
    layers: list[nn.Module] = [*conv_bn(3, 16), nn.ReLU(inplace=True)]
    channels = 16
    for maps in (16, 32, 64):
        for _ in range(n):
            stride = maps // channels
            shortcut = nn.Identity() if stride == 1 else Every(2, maps - channels)
            layers.append(Sum(nn.Sequential(*conv_bn(channels, maps, stride), nn.ReLU(), *conv_bn(maps, maps)), shortcut))
            layers.append(nn.ReLU(inplace=True))
            channels = maps
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


class Functional(nn.Module):
    """Style 2: parameters and buffers in one place, and F.conv2d, F.batch_norm and F.linear on them."""

    def __init__(self, n: int = 3) -> None:
        super().__init__()
        self.weights = nn.ParameterDict()
        self.plan = [(3, 16, 1)]
        channels = 16
        for maps in (16, 32, 64):
            for _ in range(n):
                self.plan += [(channels, maps, maps // channels), (maps, maps, 1)]
                channels = maps
        for number, (source, maps, _) in enumerate(self.plan):
            self.weights[f"w{number}"] = nn.Parameter(torch.randn(maps, source, 3, 3) / source)
            self.weights[f"gamma{number}"] = nn.Parameter(torch.ones(maps))
            self.weights[f"beta{number}"] = nn.Parameter(torch.zeros(maps))
            self.register_buffer(f"mean{number}", torch.zeros(maps))
            self.register_buffer(f"var{number}", torch.ones(maps))
        self.w_fc, self.b_fc = nn.Parameter(torch.randn(10, 64) / 8), nn.Parameter(torch.zeros(10))

    def convolved(self, x: Tensor, number: int) -> Tensor:
        x = F.conv2d(x, self.weights[f"w{number}"], stride=self.plan[number][2], padding=1)
        mean, var = self.get_buffer(f"mean{number}"), self.get_buffer(f"var{number}")
        return F.batch_norm(x, mean, var, self.weights[f"gamma{number}"], self.weights[f"beta{number}"], self.training)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.convolved(x, 0))
        for number in range(1, len(self.plan), 2):
            source, maps, stride = self.plan[number]
            y = self.convolved(F.relu(self.convolved(x, number)), number + 1)
            x = F.relu(y.add_(x if stride == 1 else resnet.zeros_before(x, stride, maps - source)))
        return x.mean(dim=[-1, -2]) @ self.w_fc.t() + self.b_fc


class Named(nn.Module):
    """Style 3: a ModuleDict, in an order of its own; the layers find each other by name."""

    def __init__(self, n: int = 3) -> None:
        super().__init__()
        self.stages = (16, 32, 64)
        self.n = n
        layers: dict[str, nn.Module] = {"classify": nn.Linear(64, 10)}
        channels = 16
        for stage, maps in enumerate(self.stages):
            for block in range(n):
                layers[f"b-{stage}-{block}"] = nn.Sequential(*conv_bn(maps, maps))
                layers[f"a-{stage}-{block}"] = nn.Sequential(*conv_bn(channels, maps, maps // channels))
                channels = maps
        layers["stem"] = nn.Sequential(*conv_bn(3, 16))
        self.layers = nn.ModuleDict(layers)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.layers["stem"](x))
        for stage, maps in enumerate(self.stages):
            for block in range(self.n):
                y = self.layers[f"b-{stage}-{block}"](self.relu(self.layers[f"a-{stage}-{block}"](x)))
                x = self.relu(y + (x if maps == x.shape[1] else resnet.zeros_joined(x, 2, maps - x.shape[1])))
        x = F.adaptive_avg_pool2d(x, (1, 1)).view(x.size(0), -1)
        return self.layers["classify"](x)  # type: ignore[no-any-return]


class Reversed(nn.Module):
    """Style 4: the shortcut runs first and is the first operand; the modules are made last to first."""

    def __init__(self, plan: resnet.Plan = resnet.RESNET20) -> None:
        super().__init__()
        self.zeros = plan.zeros
        self.fc = nn.Linear(plan.widths[-1], plan.classes)
        shapes = []
        channels = plan.widths[0]
        for maps, count in zip(plan.widths, plan.blocks, strict=True):
            for _ in range(count):
                shapes.append((channels, maps))
                channels = maps
        self.bodies = nn.ModuleList()
        for source, maps in reversed(shapes):
            self.bodies.append(nn.Sequential(*conv_bn(source, maps, maps // source), nn.ReLU(), *conv_bn(maps, maps)))
        self.stem = nn.Sequential(*conv_bn(3, plan.widths[0]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).clamp(min=0)
        for body in reversed(self.bodies):
            maps = int(body[0].out_channels)  # type: ignore[index]
            shortcut = x if maps == x.shape[1] else self.zeros(x, 2, maps - x.shape[1])
            x = torch.relu_(shortcut + body(x))
        return self.fc(x.mean(3).mean(2))  # type: ignore[no-any-return]
