"""AlexNets: one class in order, one with two towers as two streams, and the one-weird-trick net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Plan:
    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    groups: int = 2
    padding: int = 0  # of conv1: 0 for 227, 2 for 224
    norm: str = "lrn"  # "no", "bn"
    k: float = 2.0
    alpha: float = 5e-4  # torch divides it by n = 5
    beta: float = 0.75
    n: int = 5
    norm_last: bool = False  # pooling before normalisation
    order: str = "fc relu drop"
    classes: int = 1000
    side: int = 6  # of the last map
    p: float = 0.5  # of dropout
    end: str = ""
    last_pool: int = 3  # kernel


class AlexNet(nn.Module):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        a, b, c, d, e = plan.widths
        two = plan.groups
        layers: list[nn.Module] = [
            nn.Conv2d(3, a, 11, 4, plan.padding), nn.ReLU(), *normed(plan, a),
            nn.Conv2d(a, b, 5, padding=2, groups=two), nn.ReLU(), *normed(plan, b),
            nn.Conv2d(b, c, 3, padding=1), nn.ReLU(),
            nn.Conv2d(c, d, 3, padding=1, groups=two), nn.ReLU(),
            nn.Conv2d(d, e, 3, padding=1, groups=two), nn.ReLU(), nn.MaxPool2d(plan.last_pool, 2),
            nn.Flatten(),
        ]  # fmt: skip
        inputs = e * plan.side**2
        for outputs in (4096, 4096):
            made = {"fc": nn.Linear(inputs, outputs), "relu": nn.ReLU(), "drop": nn.Dropout(plan.p)}
            layers += [made[word] for word in plan.order.split()]
            inputs = outputs
        layers.append(nn.Linear(inputs, plan.classes))
        if plan.end == "softmax":
            layers.append(nn.Softmax(dim=1))
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]


def normed(plan: Plan, maps: int) -> Sequence[nn.Module]:
    pool = nn.MaxPool2d(3, 2)
    if plan.norm == "no":
        return [pool]
    norm = nn.BatchNorm2d(maps) if plan.norm == "bn" else nn.LocalResponseNorm(plan.n, plan.alpha, plan.beta, plan.k)
    return [pool, norm] if plan.norm_last else [norm, pool]


class Towers(nn.Module):
    """The two GPUs of Figure 2 as two streams. ``crossing``: normalisation sees both GPUs' maps, as the paper's formula reads."""

    def __init__(self, crossing: bool = True) -> None:
        super().__init__()
        self.crossing = crossing
        self.conv1 = nn.ModuleList(nn.Conv2d(3, 48, 11, 4, 2) for _ in range(2))
        self.conv2 = nn.ModuleList(nn.Conv2d(48, 128, 5, 1, 2) for _ in range(2))
        self.conv3 = nn.ModuleList(nn.Conv2d(256, 192, 3, 1, 1) for _ in range(2))
        self.conv4 = nn.ModuleList(nn.Conv2d(192, 192, 3, 1, 1) for _ in range(2))
        self.conv5 = nn.ModuleList(nn.Conv2d(192, 128, 3, 1, 1) for _ in range(2))
        self.fc = nn.ModuleList([nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)])

    def normed(self, towers: list[Tensor]) -> list[Tensor]:
        if not self.crossing:
            return [F.local_response_norm(x, 5, 5e-4, 0.75, 2.0) for x in towers]
        whole = F.local_response_norm(torch.cat(towers, 1), 5, alpha=0.0005, beta=0.75, k=2)
        return list(torch.chunk(whole, 2, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        towers = [conv(x).relu() for conv in self.conv1]
        towers = [F.max_pool2d(x, 3, 2) for x in self.normed(towers)]
        towers = [conv(x).relu() for conv, x in zip(self.conv2, towers, strict=True)]
        towers = [F.max_pool2d(x, 3, 2) for x in self.normed(towers)]
        both = torch.cat(towers, 1)
        towers = [conv(both).relu() for conv in self.conv3]
        for layer in (self.conv4, self.conv5):
            towers = [conv(x).relu() for conv, x in zip(layer, towers, strict=True)]
        x = torch.cat([F.max_pool2d(x, 3, 2) for x in towers], 1).flatten(1)
        for linear in self.fc[:2]:
            x = F.dropout(linear(x).relu(), 0.5, self.training)
        return self.fc[2](x)  # type: ignore[no-any-return]


def lrn_by_hand(x: Tensor, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> Tensor:
    """The formula as printed (K12 section 3.3), by an average over a window of maps."""
    total = F.avg_pool3d(x.square()[:, None], (n, 1, 1), 1, (n // 2, 0, 0))[:, 0] * n
    return x / (k + alpha * total) ** beta


PAPER = Plan()
OWT = Plan(widths=(64, 192, 384, 256, 256), groups=1, padding=2, norm="no", order="drop fc relu")
