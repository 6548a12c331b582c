"""ResNets and plain nets, for CIFAR-10 and ImageNet: one class, and a plan that says what is wrong with it.

The default plan is the paper's ResNet-20. ``replace(RESNET20, shortcut="B")`` is the same net with one thing changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Zeros = Callable[[Tensor, int, int], Tensor]


def zeros_after(x: Tensor, stride: int, zeros: int) -> Tensor:
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, zeros))


def zeros_before(x: Tensor, stride: int, zeros: int) -> Tensor:
    return F.pad(x, (0, 0, 0, 0, zeros, 0))[..., ::stride, ::stride]


def zeros_around(x: Tensor, stride: int, zeros: int) -> Tensor:
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, zeros // 2, zeros - zeros // 2), "constant", 0)


def zeros_joined(x: Tensor, stride: int, zeros: int) -> Tensor:
    x = F.avg_pool2d(x, 1, stride)
    return torch.cat((x, x.new_zeros(x.shape[0], zeros, x.shape[2], x.shape[3])), 1)


def zeros_by_product(x: Tensor, stride: int, zeros: int) -> Tensor:
    """As many zeros as there are maps, made from the maps themselves."""
    x = F.avg_pool2d(x, kernel_size=1, stride=stride)
    return torch.cat([x, x.mul(0)], dim=1)


def zeros_interpolated(x: Tensor, stride: int, zeros: int) -> Tensor:
    x = F.interpolate(x, scale_factor=1 / stride)
    empty = torch.zeros(x.shape[0], zeros, *x.shape[2:], device=x.device, dtype=x.dtype)
    return torch.cat((x, empty), 1)


def averaged(x: Tensor, stride: int, zeros: int) -> Tensor:
    """Not option A: the mean of each 2x2 window, where the paper takes one pixel of it."""
    return F.pad(F.avg_pool2d(x, stride), (0, 0, 0, 0, 0, zeros))


@dataclass(frozen=True, kw_only=True)
class Plan:
    blocks: tuple[int, ...] = (3, 3, 3)
    widths: tuple[int, ...] = (16, 32, 64)
    classes: int = 10
    # Blocks.
    bottleneck: bool = False
    expansion: int = 4
    stride_on: int = 0  # which convolution of a block has its stride
    stride_last: bool = False  # in the last block of a stage, not the first
    shortcut: str = "A"  # A, B, C, none, or "lost": a projection that is computed and never added
    zeros: Zeros = zeros_after
    lost_addition: int | None = None  # the number of the block that forgets its shortcut
    relu: str = "after"  # the addition; "before" it, "no", "both"
    first_relu: bool = True
    pre_activation: bool = False  # BN and ReLU before each convolution, as in the paper of 2016
    bias: bool = False
    projection_bias: bool = False
    projection_bn: bool = True
    last_bn: bool = True
    eps: float = 1e-5
    momentum: float = 0.1
    twice: bool = False  # the second convolution is the first one again, where their shapes agree
    # Stem.
    kernel: int = 3
    stem_stride: int = 1
    stem_padding: int = 1
    stem_bn: bool = True
    stem_bias: bool = False
    max_pool: bool = False
    # Head.
    pooling: str = "global"  # "mean" (the same), "local", "none"
    hidden: int | None = None
    end: str = ""  # "softmax", "log", "relu"
    dropout: float | None = None


class Block(nn.Module):
    def __init__(self, plan: Plan, channels: int, width: int, stride: int, number: int) -> None:
        super().__init__()
        self.plan, self.number = plan, number
        out = width * plan.expansion if plan.bottleneck else width
        shapes = [(width, 1), (width, 3), (out, 1)] if plan.bottleneck else [(width, 3), (out, 3)]
        layers: list[nn.Module] = []
        source = channels
        for place, (maps, kernel) in enumerate(shapes):
            if plan.pre_activation:
                layers += [nn.BatchNorm2d(source), nn.ReLU()]
            step = stride if place == plan.stride_on else 1
            if plan.twice and place == 1 and source == channels and stride == 1:
                layers.append(layers[0])
            else:
                layers.append(nn.Conv2d(source, maps, kernel, step, kernel // 2, bias=plan.bias))
            if not plan.pre_activation and (place < len(shapes) - 1 or plan.last_bn):
                layers.append(nn.BatchNorm2d(maps, plan.eps, plan.momentum))
            if place < len(shapes) - 1 and plan.first_relu and not plan.pre_activation:
                layers.append(nn.ReLU())
            source = maps
        self.body = nn.Sequential(*layers)
        self.stride, self.zeros = stride, out - channels
        self.projection: nn.Module | None = None
        if plan.shortcut == "C" or (plan.shortcut in ("B", "lost") and (stride > 1 or out != channels)):
            projection: list[nn.Module] = [nn.Conv2d(channels, out, 1, stride, bias=plan.projection_bias)]
            self.projection = nn.Sequential(*projection, *([nn.BatchNorm2d(out, plan.eps, plan.momentum)] if plan.projection_bn else []))

    def shortcut(self, x: Tensor) -> Tensor:
        if self.projection is not None:
            return self.projection(x)  # type: ignore[no-any-return]
        return x if self.stride == 1 and not self.zeros else self.plan.zeros(x, self.stride, self.zeros)

    def forward(self, x: Tensor) -> Tensor:
        body: Tensor = self.body(x)
        if self.plan.relu in ("before", "both"):
            body = F.relu(body)
        if self.plan.shortcut == "lost":
            self.shortcut(x)
        elif self.plan.shortcut != "none" and self.number != self.plan.lost_addition:
            body = body + self.shortcut(x)
        return F.relu(body) if self.plan.relu in ("after", "both") else body


class ResNet(nn.Module):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        width = plan.widths[0]
        self.conv1 = nn.Conv2d(3, width, plan.kernel, plan.stem_stride, plan.stem_padding, bias=plan.bias or plan.stem_bias)
        self.bn1: nn.Module = nn.BatchNorm2d(width, plan.eps, plan.momentum) if plan.stem_bn and not plan.pre_activation else nn.Identity()
        blocks: list[nn.Module] = []
        for stage, (count, maps) in enumerate(zip(plan.blocks, plan.widths, strict=True)):
            for place in range(count):
                strided = place == count - 1 if plan.stride_last else place == 0 and stage > 0
                blocks.append(Block(plan, width, maps, 2 if strided else 1, len(blocks)))
                width = maps * plan.expansion if plan.bottleneck else maps
        self.blocks = nn.Sequential(*blocks, *([nn.BatchNorm2d(width), nn.ReLU()] if plan.pre_activation else []))
        width *= {"local": 4, "none": 64}.get(plan.pooling, 1)
        self.hidden = nn.Linear(width, plan.hidden) if plan.hidden else None
        self.fc = nn.Linear(plan.hidden or width, plan.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x) if self.plan.pre_activation else F.relu(self.bn1(self.conv1(x)))
        if self.plan.max_pool:
            x = F.max_pool2d(x, 3, 2, 1)
        x = self.blocks(x)
        if self.plan.pooling == "global":
            x = F.adaptive_avg_pool2d(x, 1)
        elif self.plan.pooling == "local":
            x = F.avg_pool2d(x, 4)
        x = x.mean((2, 3)) if self.plan.pooling == "mean" else torch.flatten(x, 1)
        if self.plan.dropout:
            x = F.dropout(x, self.plan.dropout, self.training)
        if self.hidden is not None:
            x = self.hidden(x)
        x = self.fc(x)
        match self.plan.end:
            case "softmax":
                return F.softmax(x, dim=1)
            case "log":
                return F.log_softmax(x, dim=1)
            case "relu":
                return F.relu(x)
        return x


RESNET20 = Plan()
RESNET34 = Plan(
    blocks=(3, 4, 6, 3), widths=(64, 128, 256, 512), classes=1000, kernel=7, stem_stride=2, stem_padding=3, max_pool=True, shortcut="B"
)
RESNET50 = Plan(
    blocks=(3, 4, 6, 3), widths=(64, 128, 256, 512), classes=1000, kernel=7, stem_stride=2, stem_padding=3, max_pool=True, shortcut="B",
    bottleneck=True,
)  # fmt: skip
