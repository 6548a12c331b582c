"""AlexNet: response normalisation, dropout, initial weights, the schedule, weight decay and the two towers (K12)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from repro.building import PaperNet, build
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, bound
from repro.lectures.two_towers import compare_towers, grouped
from repro.tables import load_ledger

PARTS = ("two_towers", "processes")
N, ALPHA, BETA, K = 5, 1e-4, 0.75, 2.0  #: K12 section 3.3
BIASED = ("conv2", "conv4", "conv5", "fc6", "fc7")  #: K12 section 5: biases of 1
ALIKE = 1e-4  #: relative: sums of 1,200 float32 values in another order
LR, DECAY, MOMENTUM = 0.01, 0.0005, 0.9  #: K12 section 5


def structure() -> Numbers:
    """The kinds of layers of the ledger's network, its input and size beside LeNet-5's, and what libraries keep of it."""
    from torchvision import models

    ledger = load_ledger()
    network, lenet = ledger.network("alexnet"), ledger.network("lenet5")
    kinds = [layer.kind for layer in network.layers]
    channels, height, width = network.input
    with torch.device("meta"):
        public = [
            models.get_model(name, weights=None) for name in ("alexnet", "vgg11", "vgg16", "vgg19", "resnet18", "resnet50", "resnet152")
        ]
    return {
        "max_poolings": kinds.count("maxpool"),
        "normalisations": kinds.count("lrn"),
        "dropouts": kinds.count("dropout"),
        "relus": kinds.count("relu"),
        "tanhs": kinds.count("tanh"),
        "channels": channels,
        "height": height,
        "width": width,
        "inputs": channels * height * width,
        "classes": network.layers[-1].output[0],
        "params": network.params,
        "lenet5_params": lenet.params,
        "times_params": round(network.params / lenet.params),
        "times_macs": round(network.macs / lenet.macs),
        "libraries_models": len(public),
        "libraries_normalisations": sum(isinstance(module, nn.LocalResponseNorm) for net in public for module in net.modules()),
        "year": next(paper.entry.year for paper in ledger.papers.values() if paper.entry.key == "K12"),
    }


def printed_errors() -> Numbers:
    """The printed errors of K12 Table 2, per cent, from the ledger's claims."""
    ledger = load_ledger()
    names = {"one_val": "top-5-val-error/table-2/1-cnn", "five_test": "top-5-test-error/table-2/5-cnns"}
    names |= {"seven_val": "top-5-val-error/table-2/7-cnns-star", "seven_test": "top-5-test-error/table-2/7-cnns-star"}
    return {name: float(ledger.claim(f"alexnet/{id}").printed) for name, id in names.items()}


def normalisation() -> Numbers:
    """Response normalisation as printed, in torch, and with torch's defaults, on maps that all have the value 100."""
    maps = torch.full((1, 96, 1, 1), 100.0, dtype=torch.float64)
    random = torch.randn(2, 96, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 100
    ours = next(module for module in build(load_ledger().network("alexnet"), "meta").modules() if isinstance(module, nn.LocalResponseNorm))
    middle = 48
    return {
        "off": bound((as_printed(random) - ours(random)).flatten().tolist()),
        "as_printed": round(as_printed(maps)[0, middle].item(), 2),
        "torch_alpha_as_printed": round(nn.LocalResponseNorm(N, ALPHA, BETA, K)(maps)[0, middle].item(), 2),
        "torch_default": round(nn.LocalResponseNorm(N)(maps)[0, middle].item(), 2),
        "torch_alpha_needed": ours.alpha,
    }


def as_printed(maps: Tensor) -> Tensor:
    """K12 section 3.3: each value over ``(k + alpha * sum of squares over n adjacent maps) ** beta``; (batch, maps, height, width)."""
    squares = nn.functional.pad(maps.square(), (0, 0, 0, 0, N // 2, N // 2))
    return maps / (K + ALPHA * sum(squares[:, first : first + maps.shape[1]] for first in range(N))) ** BETA


def dropout() -> Numbers:
    """What dropout with 0.5 does to ones: the share that becomes 0, and the means in training and at test, here and as K12 has it."""
    layers = [layer for layer in load_ledger().network("alexnet").layers if layer.kind == "dropout"]
    share = layers[0].constants["p"]
    layer, ones = nn.Dropout(share), torch.ones(1_000, 1_000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained = layer(ones)
    return {
        "zeroed_percent": round(100 * (trained == 0).float().mean().item(), 1),
        "torch_mean_training": round(trained.mean().item(), 2),
        "torch_mean_test": round(layer.eval()(ones).mean().item(), 2),
        "paper_mean_training": round((trained != 0).float().mean().item(), 2),
        "paper_mean_test": round(((1 - share) * ones).mean().item(), 2),
        "layers": len(layers),
    }


def initialise_as_in_2012(net: PaperNet, seed: int, bias: float = 1.0) -> None:
    """K12 section 5: weights N(0, 0.01), biases 1 in conv2, conv4, conv5 and the hidden FC layers, 0 elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
            assert module.bias is not None
            nn.init.constant_(module.bias, bias if name in BIASED else 0.0)


def initialisation() -> Numbers:
    """torch's own initial weights; and conv2 with biases of 1 and of 0, and with weights of 1, as the slide can be read."""
    net = grouped(load_ledger().network("alexnet"), 0)
    named = {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    stds = [module.weight.std().item() for module in named.values()]
    initialise_as_in_2012(net, 0)
    images = torch.randn(2, *load_ledger().network("alexnet").input, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        maps = net.pool1(net.norm1(net.conv1(images).relu()))  # type: ignore[operator]
        conv2 = named["conv2"]
        positive = 100 * (conv2(maps) > 0).float().mean().item()
        without = 100 * (conv2(maps) - 1 > 0).float().mean().item()
        nn.init.ones_(conv2.weight)
        values = conv2(maps)[0, : conv2.weight.shape[0] // 2, 10, 10]
    return {
        "torch_std_low": round(min(stds), 4),
        "torch_std_high": round(max(stds), 4),
        "positive_with_1": round(positive, 1),
        "positive_with_0": round(without, 1),
        "alike_if_weights_1": int(((values / values[0] - 1).abs() <= ALIKE).sum()),
        "maps": len(values),
    }


def schedule() -> Numbers:
    """The rate under torch's plateau rule, where each rate lowers the error to a floor of its own: 10, 5, 4 and 3.8 %.

    ``min_lr`` ends it after three drops, as the paper's hand did; torch's rule alone would go on.
    """
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=LR)
    rule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=3, threshold=1e-2, min_lr=1e-5)
    floors, error, rates = [10.0, 5.0, 4.0, 3.8], 90.0, []
    for _ in range(120):
        rate = optimizer.param_groups[0]["lr"]
        error += 0.3 * (floors[min(round(-math.log10(rate / LR)), 3)] - error)
        rates.append(rate)
        rule.step(error)
    return {"first": rates[0], "last": round(rates[-1], 8), "drops": sum(new < old for old, new in itertools.pairwise(rates))}


def decay() -> Numbers:
    """The printed update against torch's SGD, at one rate and after the rate fell; and the gradient of L2's term against decay."""
    same, fell = _updates((LR, LR, LR)), _updates((LR, LR, LR / 10))
    w = torch.tensor([3.0, -2.0], requires_grad=True)
    (DECAY / 2 * w.square().sum()).backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    return {
        "off": bound([same]),
        "off_percent_after_drop": float(f"{100 * fell:.2g}"),
        "l2_off": bound((w.grad - DECAY * w.detach()).tolist()),
    }


def _updates(rates: tuple[float, ...]) -> float:
    """How far torch's steps end from the printed ones, relative to the way: ``v = 0.9 v - 0.0005 lr w - lr grad; w = w + v``."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(50, generator=generator, dtype=torch.float64)
    gradients = [torch.randn(50, generator=generator, dtype=torch.float64) for _ in rates]
    w, v = start.clone(), torch.zeros_like(start)
    theirs = nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([theirs], lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    for rate, gradient in zip(rates, gradients, strict=True):
        v = MOMENTUM * v - DECAY * rate * w - rate * gradient
        w = w + v
        optimizer.param_groups[0]["lr"], theirs.grad = rate, gradient.clone()
        optimizer.step()
    return float((theirs.detach() - w).norm() / (w - start).norm())


def overlapping() -> Numbers:
    """Overlapping pooling (3, 2) and plain pooling (2, 2) of 55x55 maps."""
    maps = torch.rand(1, 1, 55, 55, generator=torch.Generator().manual_seed(0))
    both = [nn.functional.max_pool2d(maps, size, 2) for size in (3, 2)]
    return {
        "side": both[0].shape[-1],
        "side_plain": both[1].shape[-1],
        "differ_percent": round(100 * (both[0] != both[1]).float().mean().item(), 1),
    }


CHECKS = {
    "structure": structure,
    "errors": printed_errors,
    "normalisation": normalisation,
    "overlapping": overlapping,
    "dropout": dropout,
    "initialisation": initialisation,
    "schedule": schedule,
    "decay": decay,
    "two_towers": compare_towers,
}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """Normalised values by value, where all five neighbours have it."""
    values = [float(value) for value in range(0, 301, 10)]
    forms = {
        "as printed (K12)": (K, ALPHA * N),
        "torch with the printed alpha and k": (K, ALPHA),
        "torch's defaults": (1.0, ALPHA),
    }
    return [
        {"name": name, "value": values, "normalised": [round(value / (k + alpha * value**2) ** BETA, 2) for value in values]}
        for name, (k, alpha) in forms.items()
    ]
