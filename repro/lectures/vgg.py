"""VGG: small filters in stacks, configurations A to E, dense evaluation, and training on several devices (S14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from repro.building import PaperNet, build
from repro.claims import judge_claim
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, bound
from repro.lectures.shares import compare_shares
from repro.tables import Network, load_ledger

PARTS = ("shares", "processes")
NAMES = ("vgg-a", "vgg-a-lrn", "vgg-b", "vgg-c", "vgg-d", "vgg-e")
FULL = 7  #: side of the maps that the first FC layer takes


def stacks() -> Numbers:
    """Weights of stacks on C channels, in C^2 (S14 section 2.3), and the ReLUs of two such stacks in the ledger's networks."""
    from repro.claims import QUANTITIES

    ledger, count = load_ledger(), QUANTITIES["stack_weights"]
    weights = {name: int(count(ledger, "; ".join([cell] * times), 1)) for name, (cell, times) in _STACKS.items()}
    return {
        **{f"weights_{name}": value for name, value in weights.items()},
        "more_percent": round(100 * (weights["one_7x7"] / weights["three_3x3"] - 1)),
        "saved_percent": round(100 * (1 - weights["three_3x3"] / weights["one_7x7"])),
        "activations_one_7x7": _relus("resnet34", "conv1"),
        "activations_three_3x3": _relus("vgg-d", "conv3_"),
    }


_STACKS = {"one_7x7": ("conv7-1", 1), "one_5x5": ("conv5-1", 1), "three_3x3": ("conv3-1", 3), "two_3x3": ("conv3-1", 2)}


def fields() -> Numbers:
    """The side of the square of inputs that move one output of a stack, measured by its gradient."""
    return {
        f"{name}_side": _side(_field([size] * times))
        for name, size, times in (("two_3x3", 3, 2), ("three_3x3", 3, 3), ("one_5x5", 5, 1), ("one_7x7", 7, 1))
    }


def configurations() -> Numbers:
    """The ledger's networks: layers with weights, filter sizes, parameters beside AlexNet's, and how many printed counts hold."""
    ledger = load_ledger()
    networks = [ledger.network(name) for name in NAMES]
    other = {net.name: sum(layer.kind == "conv" and layer.kernel != (3, 3) for layer in net.layers) for net in networks}
    judged = [
        judge_claim(ledger, claim) for claim in ledger.claims if claim.file == "vgg.toml" and claim.quantity in ("params", "weight_layers")
    ]
    counts = {quantity: [one for one in judged if one.claim.quantity == quantity] for quantity in ("params", "weight_layers")}
    alexnet = ledger.network("alexnet")
    depths = [_weight_layers(net) for net in networks]
    one_scale = {f"one_scale_{name}": f"vgg-{name}/top-1-val-error/table-3/train-256-test-256" for name in "ade"}
    jitter = {f"jitter_{name}": f"vgg-{name}/top-1-val-error/table-3/train-256-512-test-384" for name in "de"}
    return {
        "configurations": len(networks),
        "convolutions": sum(layer.kind == "conv" for net in networks for layer in net.layers),
        "not_3x3": sum(other.values()),
        "not_3x3_in_c": other["vgg-c"],
        "params_printed": len(counts["params"]),
        "params_held": sum(one.verdict == "reproduced" for one in counts["params"]),
        "layers_printed": len(counts["weight_layers"]),
        "layers_held": sum(one.verdict == "reproduced" for one in counts["weight_layers"]),
        "fewest_params": min(net.params for net in networks),
        "alexnet_params": alexnet.params,
        "times_alexnet": round(ledger.network("vgg-d").params / alexnet.params, 1),
        "fewest_layers": min(depths),
        "most_layers": max(depths),
        "alexnet_layers": _weight_layers(alexnet),
        "year": networks[0].paper.entry.year,
        "alexnet_year": alexnet.paper.entry.year,
        "dropouts": sum(layer.kind == "dropout" for layer in ledger.network("vgg-d").layers),
        "alexnet_dropouts": sum(layer.kind == "dropout" for layer in alexnet.layers),
        "poolings": sum(layer.kind == "maxpool" for layer in ledger.network("vgg-d").layers),
        **{name: float(ledger.claim(id).printed) for name, id in (one_scale | jitter).items()},
    }


def small_filters() -> Numbers:
    """Whether a 1x1 convolution is linear, alone and with ReLU: how far f(x + y) is from f(x) + f(y), relative."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 8, 1, 1, generator=generator, dtype=torch.float64)
    x, y = torch.randn(2, 1, 8, 6, 6, generator=generator, dtype=torch.float64)

    def apart(bend: nn.Module) -> float:
        def run(z: Tensor) -> Tensor:
            return cast(Tensor, bend(nn.functional.conv2d(z, weight)))

        return float((run(x + y) - run(x) - run(y)).norm() / run(x + y).norm())

    return {"alone_off": bound([apart(nn.Identity())]), "with_relu_off_percent": round(100 * apart(nn.ReLU()), 1)}


def bends() -> Numbers:
    """How far from linear one 7x7 convolution with its ReLU is, and three 3x3 with theirs: the share of the output's variance that the
    best affine function of the same 7x7 inputs leaves, on random inputs and weights (four channels, mean over five seeds)."""
    shares = {name: sum(_unexplained(sizes, seed) for seed in range(5)) / 5 for name, sizes in (("one_7x7", [7]), ("three_3x3", [3] * 3))}
    return {f"{name}_percent": round(100 * share, 1) for name, share in shares.items()}


def dense() -> Numbers:
    """vgg-a with its FC layers as convolutions: the same scores at 224, and the side of the map of scores at larger images."""
    network = load_ledger().network("vgg-a")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(network).eval()
    image = torch.randn(1, *network.input, generator=torch.Generator().manual_seed(1))
    whole = as_convolutions(net)
    with torch.no_grad():
        scores, dense_scores = net(image), whole(image)[..., 0, 0]
    kernels = [module.kernel_size[0] for module in whole.modules() if isinstance(module, nn.Conv2d)][-3:]
    shapes = as_convolutions(build(network, "meta").eval())
    sides = {side: shapes(torch.empty(1, 3, side, side, device="meta")).shape[-1] for side in (224, 256, 384, 512)}
    return {
        "off": bound(((dense_scores - scores) / scores.std()).flatten().tolist()),
        "first_kernel": kernels[0],
        "second_kernel": kernels[1],
        "third_kernel": kernels[2],
        "layers_1x1": kernels.count(1),
        "fc_layers": len(kernels),
        **{f"side_{side}": found for side, found in sides.items()},
        "formula_held": sum(found == side // 32 - 6 for side, found in sides.items()),
        "sides": len(sides),
    }


def as_convolutions(net: PaperNet) -> nn.Sequential:
    """The network without flattening: the first FC layer as a 7x7 convolution, the others as 1x1 (S14 section 3.2). Weights are shared."""
    layers: list[nn.Module] = []
    for module in net.modules():
        if isinstance(module, nn.Linear):
            side = FULL if not any(isinstance(layer, nn.Conv2d) and layer.kernel_size == (FULL, FULL) for layer in layers) else 1
            with torch.device("meta"):
                convolution = nn.Conv2d(module.in_features // side**2, module.out_features, side)
            convolution.weight = nn.Parameter(module.weight.detach().view(convolution.weight.shape))
            convolution.bias = module.bias
            layers.append(convolution)
        elif not isinstance(module, nn.Flatten | PaperNet) and not list(module.children()):
            layers.append(module)
    return nn.Sequential(*layers)


def epochs() -> Numbers:
    """Epochs by arithmetic: 370 thousand iterations of 256 images (S14 section 3.1) over 1.281 million images."""
    return {"epochs": round(370_000 * 256 / 1_281_167, 1)}


CHECKS = {
    "stacks": stacks,
    "fields": fields,
    "configurations": configurations,
    "small_filters": small_filters,
    "bends": bends,
    "dense": dense,
    "printed": epochs,
    "data_parallel": compare_shares,
}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """Fields by gradient; weights by channels; sides of the map of scores."""
    kinds = {"one 7x7": [7], "two 3x3": [3, 3], "three 3x3": [3, 3, 3]}
    rows: Rows = [
        {"name": name, "field": [[round(value, 4) for value in row] for row in _field(sizes).tolist()]} for name, sizes in kinds.items()
    ]
    channels = [64, 128, 256, 512]
    for name, key in (("one 7x7", "one_7x7"), ("three 3x3", "three_3x3"), ("two 3x3", "two_3x3")):
        rows.append({"name": name, "channels": channels, "weights": [numbers["stacks"][f"weights_{key}"] * c * c for c in channels]})
    return rows


def _field(sizes: list[int]) -> Tensor:
    """The gradient of the middle output of a stack of averaging filters, by input: (13, 13), the largest 1."""
    image = torch.zeros(1, 1, 13, 13, requires_grad=True)
    x: Tensor = image
    for size in sizes:
        x = nn.functional.conv2d(x, torch.full((1, 1, size, size), 1 / size**2), padding=size // 2)
    (gradient,) = torch.autograd.grad(x[0, 0, 6, 6], image)
    return gradient[0, 0] / gradient.max()


def _unexplained(sizes: list[int], seed: int, channels: int = 4, cases: int = 4_000) -> float:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(cases, channels, 7, 7, generator=generator, dtype=torch.float64)
    y = x
    for size in sizes:
        weight = torch.randn(channels, channels, size, size, generator=generator, dtype=torch.float64)
        y = nn.functional.conv2d(y, weight * (2 / weight[0].numel()) ** 0.5).relu()
    inputs, outputs = torch.cat([x.flatten(1), x.new_ones(cases, 1)], 1), y.flatten(1)
    rest = outputs - inputs @ torch.linalg.lstsq(inputs, outputs).solution
    return float(rest.square().sum() / (outputs - outputs.mean(0)).square().sum())


def _weight_layers(network: Network) -> int:
    """Layers with weights, as the heads of S14 Table 1 count them."""
    return sum(layer.kind in ("conv", "linear") for layer in network.layers)


def _relus(network: str, prefix: str) -> int:
    """ReLUs of the layers whose names begin so."""
    return sum(layer.kind == "relu" and layer.name.startswith(prefix) for layer in load_ledger().network(network).layers)


def _side(field: Tensor) -> int:
    """The side of what isn't 0."""
    return int((field.sum(0) > 0).sum())
