"""Perceptron and multi-layer perceptron: what layers are without an activation between them, and XOR with one and without."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor, nn

from repro.building import build
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, bound
from repro.tables import load_ledger

POINTS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = {"and": (0, 0, 0, 1), "xor": (0, 1, 1, 0)}

#: A grid of weights and thresholds for every line through the unit square that separates its corners differently.
WEIGHTS = [step / 2 for step in range(-4, 5)]


def collapse() -> Numbers:
    """Three layers without activation against the one matrix W1 W2 W3, and the same with ReLU between them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 20, generator=generator, dtype=torch.float64)
    weights = [torch.randn(*shape, generator=generator, dtype=torch.float64) / shape[0] ** 0.5 for shape in ((20, 30), (30, 25), (25, 10))]
    stacked = x @ weights[0] @ weights[1] @ weights[2]
    one = x @ (weights[0] @ weights[1] @ weights[2])
    bent = ((x @ weights[0]).relu() @ weights[1]).relu() @ weights[2]
    best = x @ torch.linalg.lstsq(x, bent).solution
    return {
        "off": bound((stacked - one).flatten().tolist()),
        "relu_off_percent": round(100 * ((bent - best).norm() / bent.norm()).item(), 1),
    }


def perceptrons() -> Numbers:
    """How many of four points a single unit can get right at best, for and and xor; by trying all lines of a grid."""
    best = dict.fromkeys(TARGETS, 0)
    for w1, w2, b in product(WEIGHTS, WEIGHTS, WEIGHTS):
        fired = (POINTS @ torch.tensor([w1, w2]) + b - 0.25 > 0).int()
        for name, target in TARGETS.items():
            best[name] = max(best[name], int((fired == torch.tensor(target)).sum()))
    return {f"{name}_right": count for name, count in best.items()}


def xor() -> Numbers:
    """XOR learnt by a network of 2-8-1, with ReLU and without, five seeds each: points right of four, the worst and the best seed."""
    found = {name: [_right(_learn(name == "relu", seed)) for seed in range(5)] for name in ("relu", "linear")}
    return {
        "relu_worst": min(found["relu"]),
        "relu_best": max(found["relu"]),
        "linear_worst": min(found["linear"]),
        "linear_best": max(found["linear"]),
    }


def outputs() -> Numbers:
    """Softmax and sigmoid of the same scores: whether they lie between 0 and 1, and what they sum to."""
    scores = torch.randn(100, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    softmax, sigmoid = scores.softmax(1), scores.sigmoid()
    inside = [int(((values > 0) & (values < 1)).all()) for values in (softmax, sigmoid)]
    return {
        "softmax_inside": inside[0],
        "sigmoid_inside": inside[1],
        "softmax_sum_off": bound((softmax.sum(1) - 1).tolist()),
        "sigmoid_sum_lowest": round(sigmoid.sum(1).min().item(), 1),
        "sigmoid_sum_highest": round(sigmoid.sum(1).max().item(), 1),
        "same_answer": int((softmax.argmax(1) == scores.argmax(1)).sum()),
        "cases": len(scores),
    }


def parts() -> Numbers:
    """How many of the ledger's networks are convolutions followed by fully connected layers, and nothing else with weights."""
    ledger = load_ledger()
    two = 0
    single = 0
    for name in ledger.networks:
        modules = [type(module).__name__ for module in build(ledger.network(name), "meta").modules()]
        order = "".join("c" if kind == "Conv2d" else "f" for kind in modules if kind in ("Conv2d", "Linear", "Rbf"))
        two += order.startswith("c") and "fc" not in order and order.endswith("f")
        single += order.count("f") == 1
    return {"networks": len(ledger.networks), "two_parts": two, "one_fc": single}


CHECKS = {"parts": parts, "perceptrons": perceptrons, "collapse": collapse, "xor": xor, "outputs": outputs}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """What the networks that learnt XOR say over the square: a grid of probabilities, with ReLU and without."""
    side = [number / 20 - 0.25 for number in range(31)]
    square = torch.tensor([[x, y] for y in side for x in side])
    nets = {name: _learn(name == "relu", 0) for name in ("linear", "relu")}
    with torch.no_grad():
        shown = {name: net(square).sigmoid().reshape(31, 31) for name, net in nets.items()}
    return [
        {"name": name, "side": side, "values": [[round(value, 3) for value in row] for row in grid.tolist()]}
        for name, grid in shown.items()
    ]


def _learn(relu: bool, seed: int) -> nn.Module:
    """Gradient descent on the four points, full batch: 2-8-1."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU() if relu else nn.Identity(), nn.Linear(8, 1))
    for weight in net.parameters():
        nn.init.normal_(weight, std=1.0, generator=generator)
    target = torch.tensor(TARGETS["xor"]).float()[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(POINTS), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net


def _right(net: nn.Module) -> int:
    """Points whose probability is nearer to the target than 0.25; without a margin, 0.5 plus a rounding error would count."""
    with torch.no_grad():
        found: Tensor = net(POINTS)[:, 0].sigmoid()
    return int(((found - torch.tensor(TARGETS["xor"])).abs() < 0.25).sum())
