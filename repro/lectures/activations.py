"""Activation functions, their slopes, and how gradients change with depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from repro.building import ScaledTanh
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows

#: Functions of one value, by name; softmax is of a whole vector and is measured apart.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "scaled_tanh": ScaledTanh(1.7159, 2 / 3),  # L98 appendix A
    "relu": torch.relu,
    "leaky_relu": nn.LeakyReLU(0.01),
}
DEPTHS = (2, 5, 10, 15, 20)
WIDTH, IMAGES, SEEDS = 64, 64, 5

#: The distance from the best line, relative to the spread of the values, below which a function is one.
STRAIGHT = 1e-3


def slopes() -> Numbers:
    """The largest and the smallest slope of each function on -6 to 6, from autograd."""
    found: Numbers = {}
    for name, function in FUNCTIONS.items():
        slope = _slope(function, torch.linspace(-6, 6, 12_001, dtype=torch.float64))
        found |= {f"{name}_max": round(slope.max().item(), 4), f"{name}_min": round(slope.min().item(), 4)}
    found["sigmoid_at_2"] = round(_slope(torch.sigmoid, torch.tensor([2.0], dtype=torch.float64)).item(), 3)
    return found


def kinds() -> Numbers:
    """What tells the functions apart: their ranges, how far each is from a line, and how many outputs one input of softmax moves."""
    x = torch.linspace(-6, 6, 1_001, dtype=torch.float64)
    values = {name: function(x) for name, function in FUNCTIONS.items()}
    jacobian = torch.autograd.functional.jacobian(lambda z: z.softmax(0), torch.arange(5.0))  # type: ignore[no-untyped-call]
    return {
        "sigmoid_low": round(values["sigmoid"].min().item(), 2),
        "sigmoid_high": round(values["sigmoid"].max().item(), 2),
        "relu_low": round(values["relu"].min().item(), 2),
        "leaky_relu_low": round(values["leaky_relu"].min().item(), 2),
        "distinct": len({tuple(value.tolist()) for value in values.values()}),
        "functions": len(values),
        "bent": sum(_bent(x, value) > STRAIGHT for value in values.values()),
        "least_bent_percent": round(100 * min(_bent(x, value) for value in values.values()), 1),
        "softmax_inputs": 5,
        "softmax_moved_by_one": int((jacobian[:, 0].abs() > 0).sum()),
    }


def vanishing() -> Numbers:
    """The factor by which one layer changes the gradient's norm on its way back, in MLPs of 20 layers (geometric mean over layers and
    seeds): sigmoid and ReLU with weights of variance 1/n and 2/n, sigmoid with weights eight times as large, and ReLU with variance 1/n.
    """
    ratios = {
        "sigmoid": _ratio("sigmoid", 20, 1.0),
        "relu": _ratio("relu", 20, 2**0.5),
        "relu_small": _ratio("relu", 20, 1.0),
        "sigmoid_large": _ratio("sigmoid", 20, 8.0),
    }
    return {
        **{f"{name}_a_layer": round(ratio ** (1 / 19), 2) for name, ratio in ratios.items()},
        "sigmoid_log10": round(torch.tensor(ratios["sigmoid"]).log10().item(), 1),
        "relu_after_20": float(f"{ratios['relu']:.1g}"),
        "relu_small_after_20": float(f"{ratios['relu_small']:.1g}"),
    }


CHECKS = {"slopes": slopes, "kinds": kinds, "vanishing": vanishing}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """The functions and their slopes, and the first layer's gradient over the last one's by depth."""
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    rows: Rows = [
        {"name": name, "x": _rounded(x), "value": _rounded(function(x)), "slope": _rounded(_slope(function, x))}
        for name, function in FUNCTIONS.items()
    ]
    lines = (
        ("sigmoid", "sigmoid", 1.0),
        ("sigmoid, weights x 8", "sigmoid", 8.0),
        ("relu", "relu", 2**0.5),
        ("relu, variance x 1/2", "relu", 1.0),
    )
    for name, function, gain in lines:
        rows.append({"name": name, "depth": list(DEPTHS), "ratio": [float(f"{_ratio(function, depth, gain):.3g}") for depth in DEPTHS]})
    return rows


def _slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


def _bent(x: Tensor, values: Tensor) -> float:
    """How far values are from the best line through them: the norm of the rest over that of their deviations from the mean."""
    x, values = x - x.mean(), values - values.mean()
    return float((values - x * (x @ values) / (x @ x)).norm() / values.norm())


def _ratio(function: str, depth: int, gain: float) -> float:
    """The norm of the gradient at the first hidden layer's output over that at the last one's: geometric mean over seeds.

    Weights are normal with variance ``gain``^2 / n, without biases, in float64.
    """
    logs = []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(IMAGES, WIDTH, generator=generator, dtype=torch.float64)
        outputs: list[Tensor] = []
        for _ in range(depth):
            weight = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64) * gain / WIDTH**0.5
            x = FUNCTIONS[function]((x @ weight).requires_grad_())
            outputs.append(x)
        down = torch.randn(IMAGES, WIDTH, generator=generator, dtype=torch.float64)
        first, last = torch.autograd.grad((outputs[-1] * down).sum(), [outputs[0], outputs[-1]])
        logs.append((first.norm() / last.norm()).log())
    return torch.stack(logs).mean().exp().item()


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
