"""AlexNet's two towers as two processes, which exchange maps only where the paper connects them (K12 sections 3.2 and 3.5)."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from repro import distributed
from repro.building import PaperNet, build
from repro.lectures.judging import Numbers
from repro.lectures.processes import WORLD, in_processes
from repro.lectures.running import bound
from repro.tables import Network, load_ledger

IMAGES = 2
PIXELS = 64.0  #: standard deviation, as of images of 0 to 255: smaller values are hardly normalised


class Halves(nn.Module):
    """A layer on each tower's maps alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, channels, height, width), the first half those of the first tower."""
        return torch.cat([self.layer(half) for half in x.chunk(WORLD, 1)], 1)


def compare_towers() -> Numbers:
    """The scores of two processes against those of the grouped network in one, and how often they exchanged."""
    return in_processes(_compare)


def grouped(network: Network, seed: int) -> PaperNet:
    """The network in one piece, in evaluation mode, with torch's initial weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(network).eval()


def run_tower(net: PaperNet, network: Network, x: Tensor) -> tuple[Tensor, list[str]]:
    """This process's half of the filters of every layer, on the images (batch, 3, 224, 224); the half scores of the last layer, and the
    layers before which the towers exchanged their maps."""
    rank, exchanged = distributed.rank(), []
    for number, layer in enumerate(network.layers):
        module = net.get_submodule(layer.name)
        if isinstance(module, nn.Conv2d | nn.Linear):
            if number > 0 and getattr(module, "groups", 1) == 1:
                x = _exchange(x)
                exchanged.append(layer.name)
            x = _half(module, x, rank)
        else:
            x = module(x)
    return x, exchanged


def _compare() -> Numbers:
    network = load_ledger().network("alexnet")
    net = grouped(network, 0)
    images = PIXELS * torch.randn(IMAGES, *network.input, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        half, exchanged = run_tower(net, network, images)
        scores = _exchange(half)
        crossing = net(images)
        for name in ("norm1", "norm2"):
            setattr(net, name, Halves(net.get_submodule(name)))
        whole = _run(net, network, images)
    return {
        "off": bound(((scores - whole) / whole.std()).flatten().tolist()),
        "processes": WORLD,
        "exchanges": len(exchanged),
        "conv3_exchanged": int("conv3" in exchanged),
        "fc_exchanged": sum(name in exchanged for name in ("fc6", "fc7", "fc8")),
        "others_exchanged": len(set(exchanged) - {"conv3", "fc6", "fc7", "fc8"}),
        "params": network.params,
        "tower_params": sum(weight.chunk(WORLD)[distributed.rank()].numel() for weight in net.parameters()),
        "lrn_across_percent": float(f"{100 * ((crossing - whole).norm() / whole.norm()).item():.2g}"),
    }


def _run(net: PaperNet, network: Network, x: Tensor) -> Tensor:
    """The layers in their order, so that replaced ones run too."""
    for layer in network.layers:
        x = net.get_submodule(layer.name)(x)
    return x


def _half(module: nn.Conv2d | nn.Linear, x: Tensor, rank: int) -> Tensor:
    """This tower's half of a layer's outputs."""
    weight, bias = module.weight.chunk(WORLD)[rank], module.bias.chunk(WORLD)[rank] if module.bias is not None else None
    if isinstance(module, nn.Linear):
        return nn.functional.linear(x, weight, bias)
    return nn.functional.conv2d(x, weight, bias, module.stride, module.padding)


def _exchange(x: Tensor) -> Tensor:
    """Both towers' maps, side by side in the order of the towers."""
    parts = [torch.empty_like(x) for _ in range(WORLD)]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts, 1)
