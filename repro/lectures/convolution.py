"""Convolution, padding, stride, pooling: the slides' formulas against torch, on seeded grids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from repro.building import build
from repro.data import load
from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, bound
from repro.tables import Network, load_ledger

#: Every height, filter, padding and stride up to these: each case is run by torch.
HEIGHTS, FILTERS, PADDINGS, STRIDES = range(5, 33, 3), (1, 2, 3, 5, 7), (0, 1, 2, 3), (1, 2, 3, 4)


def output_side(height: int, size: int, padding: int = 0, stride: int = 1) -> int:
    """The side of a convolution's output: ``(H + 2P - F) / S + 1``, rounded down."""
    return (height + 2 * padding - size) // stride + 1


def torch_side(height: int, size: int, padding: int = 0, stride: int = 1) -> int:
    """The side that torch gives. Nothing is computed: the tensors have shapes and no values."""
    image = torch.empty(1, 1, height, height, device="meta")
    filters = torch.empty(1, 1, size, size, device="meta")
    return int(functional.conv2d(image, filters, padding=padding, stride=stride).shape[-1])


def grid() -> Iterator[tuple[int, int, int, int]]:
    """Height, filter, padding and stride of each case in which the filter fits."""
    for height, size, padding, stride in product(HEIGHTS, FILTERS, PADDINGS, STRIDES):
        if size <= height + 2 * padding:
            yield height, size, padding, stride


def output_size() -> Numbers:
    """The output-size formula in each case of the grid, and the slide's n - m where padding is 0 and stride 1."""
    cases = [(case, torch_side(*case)) for case in grid()]
    whole = [(height + 2 * padding - size) % stride == 0 for (height, size, padding, stride), _ in cases]
    plain = [(case, side) for case, side in cases if case[2:] == (0, 1)]
    return {
        "cases": len(cases),
        "rounded_down_equal": sum(output_side(*case) == side for case, side in cases),
        "divisible": sum(whole),
        "unrounded_equal": sum(math.isclose((h + 2 * p - f) / s + 1, side) for (h, f, p, s), side in cases),
        "plain_cases": len(plain),
        "n_minus_m_equal": sum(height - size == side for (height, size, _, _), side in plain),
        "n_minus_m_plus_1_equal": sum(height - size + 1 == side for (height, size, _, _), side in plain),
        "lenet_c1": torch_side(32, 5),
        "alexnet_224": torch_side(224, 11, 0, 4),
        "alexnet_227": torch_side(227, 11, 0, 4),
        "alexnet_unrounded": (224 - 11) / 4 + 1,
    }


def strides() -> Numbers:
    """How the output changes from each stride of the grid to the next."""
    larger = smaller = equal = 0
    for height, size, padding, stride in grid():
        now, then = torch_side(height, size, padding, stride), torch_side(height, size, padding, stride + 1)
        larger, smaller, equal = larger + (then > now), smaller + (then < now), equal + (then == now)
    return {"pairs": larger + smaller + equal, "larger": larger, "smaller": smaller, "equal": equal}


def padding() -> Numbers:
    """Padding that keeps the size, and how many kinds of torch's give other values: zero padding is constant padding with 0."""
    odd = list(range(1, 12, 2))
    image = _images(2)
    zero = functional.pad(image, (1, 1, 1, 1))
    constant = functional.pad(image, (1, 1, 1, 1), value=0.7)
    kinds = [zero, constant, *(functional.pad(image, (1, 1, 1, 1), mode=mode) for mode in ("reflect", "replicate", "circular"))]
    distinct = len({tuple(padded.flatten().tolist()) for padded in kinds})
    return {
        "odd_filters": len(odd),
        "kept": sum(torch_side(20, size, (size - 1) // 2) == 20 for size in odd),
        "even_kept": sum(torch_side(20, size, padding) == 20 for size in (2, 4, 6) for padding in range(4)),
        "zero_is_constant_0": int(torch.equal(zero, functional.pad(image, (1, 1, 1, 1), value=0.0))),
        "constant_differs": int(not torch.equal(zero, constant)),
        "kinds": distinct,
        "other_kinds": distinct - len({tuple(padded.flatten().tolist()) for padded in (zero, constant)}),
    }


def filters() -> Numbers:
    """A convolution by hand against torch's, and against one whose filters are turned around."""
    generator = torch.Generator().manual_seed(0)
    image, kernel = torch.randn(1, 3, 9, 9, generator=generator), torch.randn(4, 3, 3, 3, generator=generator)
    by_hand = _by_hand(image[0], kernel)
    flipped = functional.conv2d(image, kernel.flip(2, 3))[0]
    return {
        "by_hand_off": bound((by_hand - functional.conv2d(image, kernel)[0]).flatten().tolist()),
        "flipped_off": float(f"{(flipped - by_hand).abs().max().item():.3g}"),
    }


def shapes() -> Numbers:
    """Dimensions of what the ledger's layers give up to the last convolution, and how many filters each convolutional layer has.

    LeNet-5's C3 is one layer: the ``cat`` of its 16 maps, each of a convolution of its own.
    """
    ledger = load_ledger()
    networks = [ledger.network(name) for name in ledger.networks]
    until = [layer for net in networks for layer in net.layers[: 1 + max(n for n, one in enumerate(net.layers) if one.kind == "conv")]]
    parts = {(net.name, part) for net in networks for layer in net.layers if layer.kind == "cat" for part in layer.inputs}
    filters = [
        layer.output[0]
        for net in networks
        for layer in net.layers
        if layer.kind == "cat" or (layer.kind == "conv" and (net.name, layer.name) not in parts)
    ]
    return {
        "networks": len(networks),
        "images_of_three": sum(len(net.input) == 3 for net in networks),
        "layers": len(until),
        "layers_of_three": sum(len(layer.output) == 3 for layer in until),
        "dimensions_after_flatten": len(next(layer.output for layer in ledger.network("vgg-d").layers if layer.kind == "flatten")),
        "convolutional": len(filters),
        "several": sum(count > 1 for count in filters),
        "fewest_filters": min(filters),
    }


def depths() -> Numbers:
    """How many of the maps before it each filter of the ledger's networks sees: fewer with groups, and in LeNet-5's C3 (L98 Table I)."""
    ledger = load_ledger()
    found = [depth for name in ledger.networks for depth in _depths(ledger.network(name))]
    everything = [depth for depth in found if depth.connected]
    c3 = [depth for depth in _depths(ledger.network("lenet5")) if depth.layer.startswith("C3.")]
    conv2 = next(depth for depth in _depths(ledger.network("alexnet")) if depth.layer == "conv2")
    return {
        "convolutions": len(found),
        "as_deep_as_the_input": sum(depth.seen == depth.maps for depth in found),
        "connected": len(everything),
        "as_deep_if_connected": sum(depth.seen == depth.maps for depth in everything),
        "alexnet_conv2_depth": conv2.seen,
        "alexnet_conv2_input": conv2.maps,
        "lenet5_c3_filters": len(c3),
        "lenet5_c3_fewer": sum(depth.seen < depth.maps for depth in c3),
        "lenet5_c3_fewest": min(depth.seen for depth in c3),
        "lenet5_c3_input": c3[0].maps,
    }


def pooling() -> Numbers:
    """What max pooling has and does: parameters, channels, sizes; and what reduces the size in the ledger's networks."""
    pool, image = nn.MaxPool2d(2), _images(64)
    maps = functional.conv2d(image, _edges(), padding=1)
    picked = maps[:, :, ::2, ::2]
    ledger = load_ledger()
    networks = [ledger.network(name).layers for name in ledger.networks]
    pools = [sum(layer.kind in ("maxpool", "subsampling") for layer in layers) for layers in networks]
    averages = [sum(layer.kind == "avgpool" for layer in layers) for layers in networks]
    strided = [layer for layers in networks for layer in layers if layer.kind == "conv" and max(layer.stride or ()) > 1]
    return {
        "parameters": sum(weight.numel() for weight in pool.parameters()),
        "lenet5_s2_parameters": next(layer.params for layer in ledger.network("lenet5").layers if layer.name == "S2"),
        "channels_in": maps.shape[1],
        "channels_out": pool(maps).shape[1],
        "side_in": maps.shape[2],
        "side_out": pool(maps).shape[2],
        "side_out_stride_1": functional.max_pool2d(maps, 3, 1, 1).shape[2],
        "differs_from_stride_alone": float(f"{100 * (pool(maps) != picked).float().mean().item():.3g}"),
        "networks": len(networks),
        "poolings": sum(pools),
        "networks_with_pooling": sum(count > 0 for count in pools),
        "networks_with_average": sum(count > 0 for count in averages),
        "networks_with_either": sum(pool + average > 0 for pool, average in zip(pools, averages, strict=True)),
        "strided_convolutions": sum(max(layer.kernel or ()) > 1 for layer in strided),
    }


def shifts() -> Numbers:
    """How far a shift by one pixel moves the maps of an edge filter, and those maps after pooling (relative L2 distance, per cent)."""
    rows = [row for row in shift_rows() if row["shift"] == 1]
    return {f"{row['pooling']}": row["moved"] for row in rows}


def shift_rows() -> Rows:
    """The distance by shift and pooling, on the digits' test images scaled to 28x28 on 36x36."""
    images = functional.pad(functional.interpolate(_images(360), size=28, mode="bilinear"), (4, 4, 4, 4))
    stages = {"none": 1, "max_2": 2, "max_4": 4}
    rows = []
    for name, size in stages.items():
        for shift in range(5):
            still = functional.max_pool2d(functional.conv2d(images, _edges(), padding=1).relu(), size)
            moved = functional.max_pool2d(functional.conv2d(images.roll(shift, 3), _edges(), padding=1).relu(), size)
            rows.append({"pooling": name, "shift": shift, "moved": round(100 * ((moved - still).norm() / still.norm()).item(), 1)})
    return rows


CHECKS = {
    "output_size": output_size,
    "strides": strides,
    "padding": padding,
    "filters": filters,
    "shapes": shapes,
    "depths": depths,
    "pooling": pooling,
    "shifts": shifts,
}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """Output sides by input side, torch's and two formulas'; and the effect of a shift."""
    sides: list[dict[str, Any]] = [
        {
            "height": height,
            "torch": torch_side(height, 3, 0, 2),
            "slide": (height - 3) / 2 + 1,
            "n_minus_m": height - 3,
            "plain": torch_side(height, 3),
        }
        for height in range(4, 17)
    ]
    return [{"sides": sides, "shifts": shift_rows()}]


def _images(count: int) -> Tensor:
    """Test images of the embedded digits, float32 (count, 1, 8, 8), 0 to 1."""
    return load("digits").test.images[:count, :, :, :1].permute(0, 3, 1, 2).float() / 255


def _edges() -> Tensor:
    """Four edge filters of 3x3 (Sobel's, and both diagonals): (4, 1, 3, 3)."""
    sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    diagonal = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, -2.0]]) / 4
    return torch.stack([sobel, sobel.T, diagonal, diagonal.flip(1)])[:, None]


def _by_hand(image: Tensor, kernel: Tensor) -> Tensor:
    """The sum of products in each window: image (C, H, W), kernel (N, C, F, F) -> (N, H - F + 1, W - F + 1)."""
    size = kernel.shape[-1]
    places = range(image.shape[1] - size + 1)
    rows = [[(image[:, top : top + size, left : left + size] * kernel).sum((1, 2, 3)) for left in places] for top in places]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


class Depth(NamedTuple):
    """How many maps the filters of a convolution see, how many there are before it, and whether it's connected to all of them."""

    layer: str
    seen: int
    maps: int
    connected: bool


def _depths(network: Network) -> Iterator[Depth]:
    """Each convolution; what a ``select`` picks some maps of has more."""
    net, before = build(network, "meta"), {"input": network.input[0]} | {layer.name: layer.output[0] for layer in network.layers}
    picked = {layer.name: layer.inputs[0] for layer in network.layers if layer.kind == "select"}
    for layer in network.layers:
        if layer.kind == "conv":
            (source,) = layer.inputs
            weight = net.get_submodule(layer.name).get_parameter("weight")
            yield Depth(layer.name, weight.shape[1], before[picked.get(source, source)], layer.groups == 1 and source not in picked)
