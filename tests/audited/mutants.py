"""One mutation of an exact net: a stride, a channel, a bias, an activation, an order, a padding, a constant or an addition."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from torch import nn

from audited.resnet import Block

M = TypeVar("M", bound=nn.Module)
Mutation = Callable[[nn.Module, random.Random], str | None]


def _any(net: nn.Module, rng: random.Random, kind: type[M]) -> tuple[str, M] | None:
    found = [(name, module) for name, module in net.named_modules() if isinstance(module, kind)]
    return rng.choice(found) if found else None


def _put(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, module)


def _like(conv: nn.Conv2d, **changes: Any) -> nn.Conv2d:
    """The same convolution, these arguments apart."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups")
    arguments: dict[str, Any] = {name: getattr(conv, name) for name in names}
    return nn.Conv2d(**{**arguments, "bias": conv.bias is not None, **changes})


def stride(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.Conv2d)) is None:
        return None
    name, conv = found
    conv.stride = (1, 1) if conv.stride != (1, 1) else (2, 2)
    return f"stride of {name}"


def channels(net: nn.Module, rng: random.Random) -> str | None:
    """Eight more between two convolutions of a Sequential."""
    pairs = []
    for name, sequence in net.named_modules():
        layers = list(sequence) if isinstance(sequence, nn.Sequential) else []
        convs = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        pairs += [(name, sequence, first, second) for first, second in itertools.pairwise(convs)]
    if not pairs:
        return None
    name, sequence, first, second = rng.choice(pairs)
    assert isinstance(sequence, nn.Sequential)
    for place in range(first, second + 1):
        layer = sequence[place]
        if isinstance(layer, nn.Conv2d):
            wider = {"out_channels": layer.out_channels + 8} if place == first else {"in_channels": layer.in_channels + 8}
            made: nn.Module = _like(layer, **wider)
        elif isinstance(layer, nn.BatchNorm2d):
            made = nn.BatchNorm2d(layer.num_features + 8)
        else:
            continue
        sequence[place] = made
    return f"channels of {name}.{first}"


def bias(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, rng.choice((nn.Conv2d, nn.Linear)))) is None:
        return None
    name, layer = found
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    channels = layer.weight.shape[0]
    layer.bias = None if layer.bias is not None else nn.Parameter(layer.weight.new_ones(channels))
    return f"bias of {name}"


def activation(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.ReLU)) is None:
        return None
    made = rng.choice((nn.Identity(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.1), nn.ReLU6(), nn.GELU()))
    _put(net, found[0], made)
    return f"{type(made).__name__} for {found[0]}"


def order(net: nn.Module, rng: random.Random) -> str | None:
    """Two neighbours of a Sequential change places."""
    if (found := _any(net, rng, nn.Sequential)) is None or len(found[1]) < 2:
        return None
    name, sequence = found
    place = rng.randrange(len(sequence) - 1)
    sequence[place], sequence[place + 1] = sequence[place + 1], sequence[place]
    return f"order of {name}.{place}: {type(sequence[place]).__name__} before {type(sequence[place + 1]).__name__}"


def padding(net: nn.Module, rng: random.Random) -> str | None:
    """One more or less, or as much as a dilation needs; or another filling."""
    if (found := _any(net, rng, nn.Conv2d)) is None:
        return None
    name, conv = found
    assert not isinstance(conv.padding, str)
    match rng.randrange(3):
        case 0:
            conv.padding = (conv.padding[0] + 1, conv.padding[1] + 1)
        case 1 if conv.kernel_size == (3, 3):
            conv.padding = conv.dilation = (2, 2)
        case _ if conv.padding != (0, 0):
            _put(net, name, _like(conv, padding_mode="reflect"))
        case _:
            return None
    return f"padding of {name}"


def pooling(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.MaxPool2d)) is None:
        return None
    name, pool = found
    match rng.randrange(4):
        case 0:
            _put(net, name, nn.AvgPool2d(pool.kernel_size, pool.stride))
        case 1:
            pool.ceil_mode = True
        case 2:
            pool.kernel_size = 3 if pool.kernel_size == 2 else 2
        case _:
            pool.padding = 1
    return f"pooling {name}"


def norm(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.BatchNorm2d)) is None:
        return None
    name, layer = found
    match rng.randrange(4):
        case 0:
            layer.eps = rng.choice((1e-3, 1e-4, 1e-6, 0.1))
        case 1:
            layer.momentum = 0.01
        case 2:
            _put(net, name, nn.BatchNorm2d(layer.num_features, affine=False))
        case _:
            _put(net, name, nn.Identity())
    return f"BN {name}"


def lrn(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.LocalResponseNorm)) is None:
        return None
    name, layer = found
    constant = rng.choice(("size", "alpha", "beta", "k"))
    setattr(layer, constant, {"size": 3, "alpha": 1e-4, "beta": 0.5, "k": 1.0}[constant])
    return f"{constant} of {name}"


def addition(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, Block)) is None or found[1].plan.shortcut == "none":
        return None
    name, block = found
    block.plan = replace(block.plan, lost_addition=block.number)
    return f"addition of {name}"


def dropout(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.Dropout)) is None:
        return None
    name, layer = found
    if rng.random() < 0.5:
        layer.p = 0.25
    else:
        _put(net, name, nn.Identity())
    return f"dropout {name}"


def groups(net: nn.Module, rng: random.Random) -> str | None:
    if (found := _any(net, rng, nn.Conv2d)) is None or found[1].in_channels % 2:
        return None
    name, conv = found
    _put(net, name, _like(conv, groups=1 if conv.groups > 1 else 2))
    return f"groups of {name}"


MUTATIONS: tuple[Mutation, ...] = (
    stride, channels, bias, activation, order, padding, pooling, norm, lrn, addition, dropout, groups,
)  # fmt: skip
