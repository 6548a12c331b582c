"""Parameters and MACs of one layer by arithmetic from the printed table; no torch.

Each function takes the layer that feeds it (its name and output shape) and what the paper prints, and
returns the complete :class:`~repro.layers.Layer`. Shapes are ``(channels, height, width)`` or ``(units,)``.
MACs are for one image. A size that can't be is a ShapeError, which names both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repro.layers import Layer, Shape, elements


class ShapeError(ValueError):
    """Two rows of a table don't fit together."""


def conv(name: str, source: Layer, filters: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1, bias: bool) -> Layer:
    """A convolution with square kernels: ``filters * (channels / groups) * kernel^2`` weights, once per output pixel."""
    channels, height, width = _map(name, source)
    if channels % groups or filters % groups:
        raise ShapeError(f"{name}: {channels} maps in and {filters} out don't divide into {groups} groups")
    output = (filters, *_window(name, (height, width), kernel, stride, padding))
    weights = filters * (channels // groups) * kernel * kernel
    return Layer(
        name, "conv", (source.name,), output, (kernel, kernel), (stride, stride), (padding, padding), groups, bias,
        params=weights + (filters if bias else 0), macs=weights * output[1] * output[2],
    )  # fmt: skip


def linear(name: str, source: Layer, units: int, *, bias: bool = True) -> Layer:
    """A fully connected layer on a vector."""
    (inputs,) = _vector(name, source)
    weights = inputs * units
    return Layer(name, "linear", (source.name,), (units,), bias=bias, params=weights + (units if bias else 0), macs=weights)


def rbf(name: str, source: Layer, units: int) -> Layer:
    """LeNet-5's output: squared distances to ``units`` fixed codes. One MAC per input and unit; nothing is trained."""
    (inputs,) = _vector(name, source)
    return Layer(name, "rbf", (source.name,), (units,), macs=inputs * units)


def subsampling(name: str, source: Layer, kernel: int) -> Layer:
    """LeNet-5's S2 and S4: the inputs of a window are added, times one trained coefficient, plus one trained bias."""
    channels, height, width = _map(name, source)
    output = (channels, *_window(name, (height, width), kernel, kernel, 0))
    return Layer(name, "subsampling", (source.name,), output, (kernel, kernel), (kernel, kernel), bias=True, params=2 * channels)


def batchnorm(name: str, source: Layer, constants: dict[str, Any]) -> Layer:
    """Batch normalisation: one trained scale and one shift per channel."""
    return Layer(name, "batchnorm", (source.name,), source.output, constants=constants, params=2 * source.output[0])


def maxpool(name: str, source: Layer, kernel: int, stride: int, padding: int = 0) -> Layer:
    """Max pooling with square windows; the size is rounded down."""
    channels, height, width = _map(name, source)
    if padding > kernel // 2:
        raise ShapeError(f"{name}: a padding of {padding} is more than half of the window of {kernel}")
    output = (channels, *_window(name, (height, width), kernel, stride, padding))
    return Layer(name, "maxpool", (source.name,), output, (kernel, kernel), (stride, stride), (padding, padding))


def avgpool(name: str, source: Layer) -> Layer:
    """Global average pooling: a map becomes one number."""
    return Layer(name, "avgpool", (source.name,), (_map(name, source)[0],))


def flatten(name: str, source: Layer) -> Layer:
    """A map becomes a vector."""
    return Layer(name, "flatten", (source.name,), (elements(source.output),))


def pointwise(name: str, kind: str, source: Layer, constants: dict[str, Any] | None = None) -> Layer:
    """A layer without parameters that keeps the shape: relu, tanh, lrn (maps only), dropout."""
    if kind == "lrn":
        _map(name, source)
    return Layer(name, kind, (source.name,), source.output, constants=constants or {})


def add(name: str, left: Layer, right: Layer) -> Layer:
    """The sum of a block's body and its shortcut."""
    if left.output != right.output:
        raise ShapeError(f"{name}: the body gives {left.output} and the shortcut {right.output}")
    return Layer(name, "add", (left.name, right.name), left.output)


def pad(name: str, source: Layer, channels: int, stride: int) -> Layer:
    """Option A's shortcut: every ``stride``-th pixel, and zero maps after the others."""
    before, height, width = _map(name, source)
    if channels < before:
        raise ShapeError(f"{name}: option A can't take {before} maps to {channels}")
    output = (channels, -(-height // stride), -(-width // stride))
    return Layer(name, "pad", (source.name,), output, stride=(stride, stride), constants={"zeros": channels - before})


def select(name: str, source: Layer, maps: Sequence[int]) -> Layer:
    """Some of the maps below, by number (a column of LeNet-5's Table I)."""
    channels, height, width = _map(name, source)
    if not maps or max(maps) >= channels:
        raise ShapeError(f"{name}: maps {list(maps)} of {channels}")
    return Layer(name, "select", (source.name,), (len(maps), height, width), constants={"maps": list(maps)})


def cat(name: str, sources: Sequence[Layer]) -> Layer:
    """Maps side by side."""
    output = (sum(source.output[0] for source in sources), *sources[0].output[1:])
    return Layer(name, "cat", tuple(source.name for source in sources), output)


def _map(name: str, source: Layer) -> Shape:
    if len(source.output) != 3:
        raise ShapeError(f"{name}: needs maps, but {source.name} gives a vector of {source.output[0]}")
    return source.output


def _vector(name: str, source: Layer) -> Shape:
    if len(source.output) != 1:
        raise ShapeError(f"{name}: needs a vector, but {source.name} gives maps of {source.output}")
    return source.output


def _window(name: str, size: tuple[int, int], kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Output height and width, ``floor((size + 2 padding - kernel) / stride) + 1``."""
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    if height < 1 or width < 1:
        raise ShapeError(f"{name}: a window of {kernel} doesn't fit in {size[0]}x{size[1]} with padding {padding}")
    return height, width
