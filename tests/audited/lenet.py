"""LeNet-5 as printed, its modern form, and what people make of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: The maps of S2 that each map of C3 sees (L98 Table I).
TABLE = (
    "012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235", "012345",
)  # fmt: skip


def squash(x: Tensor) -> Tensor:
    return 1.7159 * torch.tanh(x * 2 / 3)


class Subsample(nn.Module):
    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1, maps, 1, 1))
        self.bias = nn.Parameter(torch.rand(1, maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return 4 * F.avg_pool2d(x, 2) * self.weight + self.bias


class LeNet5(nn.Module):
    """The network of 60,000 parameters; the codes of its RBF are a buffer, or parameters where ``trainable``."""

    codes: Tensor

    def __init__(self, *, full: bool = False, trainable: bool = False, maximum: bool = False) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2: nn.Module = nn.MaxPool2d(2) if maximum else Subsample(6)
        self.s4: nn.Module = nn.MaxPool2d(2) if maximum else Subsample(16)
        self.seen = [[int(digit) for digit in row] for row in TABLE]
        self.c3 = nn.Conv2d(6, 16, 5) if full else nn.ModuleList(nn.Conv2d(len(maps), 1, 5) for maps in self.seen)
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        codes = torch.where(torch.rand(10, 84) < 0.5, -1.0, 1.0)
        if trainable:
            self.codes = nn.Parameter(codes)
        else:
            self.register_buffer("codes", codes)

    def forward(self, x: Tensor) -> Tensor:
        x = squash(self.s2(squash(self.c1(x))))
        if isinstance(self.c3, nn.Conv2d):
            x = self.c3(x)
        else:
            x = torch.cat([conv(x[:, maps]) for conv, maps in zip(self.c3, self.seen, strict=True)], dim=1)
        x = squash(self.s4(squash(x)))
        x = squash(self.f6(squash(self.c5(x)).flatten(1)))
        return ((x.unsqueeze(1) - self.codes) ** 2).sum(2)


@dataclass(frozen=True, kw_only=True)
class Plan:
    padding: int = 0
    activation: type[nn.Module] = nn.ReLU
    pool: type[nn.Module] = nn.MaxPool2d
    towers: int = 1
    relu_on_logits: bool = False
    conv_c5: bool = False
    side: int = 5  # of the last map


class Modern(nn.Module):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.c1 = nn.Conv2d(1, 6, 5, padding=plan.padding)
        self.c3 = nn.ModuleList(nn.Conv2d(6, 16, 5) for _ in range(plan.towers))
        self.c5: nn.Module = nn.Conv2d(16, 120, 5) if plan.conv_c5 else nn.Linear(16 * plan.side**2, 120)
        self.f6, self.out = nn.Linear(120, 84), nn.Linear(84, 10)
        self.activation, self.pool = plan.activation(), plan.pool(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.activation(self.c1(x)))
        branches = [self.pool(self.activation(conv(x))) for conv in self.c3]
        x = branches[0] if len(branches) == 1 else branches[0] + branches[1]
        x = self.c5(x).flatten(1) if self.plan.conv_c5 else self.c5(x.flatten(1))
        x = self.out(self.activation(self.f6(self.activation(x))))
        return F.relu(x) if self.plan.relu_on_logits else x
