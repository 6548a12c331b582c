"""The small vocabulary that a candidate's graph and the paper's both become.

Kinds and their attributes (an attribute that a kind doesn't have is absent; sizes are (height, width)):

    input       -
    conv        channels (out), kernel, stride, padding, dilation, groups, bias
    linear      channels (out), bias; a k x k convolution on a k x k map is one too
    batchnorm   eps, momentum; affine = False, statistics = "running" or "batch" where they are used in both modes
    lrn         n, alpha (as printed, not divided by n), beta, k
    relu, sigmoid, elu, ...   their constants; tanh has A and S: A tanh(S x)
    maxpool     kernel, stride, padding, dilation, ceil_mode
    avgpool     kernel = "map" for global average pooling; else kernel, stride, padding, ceil_mode, count_include_pad, divisor
    subsampling kernel: LeNet-5's S2 and S4
    add         -; of two maps
    scale, shift    value: a multiplication by, an addition of, a constant
    zeropad     padding ((top, bottom), (left, right)) that no convolution takes in
    pad         stride, zeros: option A's shortcut (every stride-th pixel, and so many zero maps)
    dropout     p; always = True where it acts in evaluation mode too
    softmax, log_softmax
    select      maps;  cat    -
    rbf         trainable = True where the codes are
    other       op: an operation that no paper here has, under torch's name

A parameter that an earlier node has already used makes ``shared = True``; one that isn't trained makes ``frozen = True``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from repro.layers import Shape

_USUAL = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "ceil_mode": False}


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or buffer as a node uses it. ``role`` is "weight", "bias", "running_mean", ...; ``name`` as in ``state_dict``."""

    role: str
    name: str
    shape: Shape


@dataclass(frozen=True)
class Node:
    """One operation. ``inputs`` are numbers of nodes of its graph, ``name`` is the module that ran it, the batch is left out of ``output``.

    ``params`` are the trainable parameters that no earlier node uses, ``macs`` are for one image. ``zeros_at`` says
    how many of option A's zero maps come before the others.
    """

    kind: str
    inputs: tuple[int, ...]
    output: Shape
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[Weight, ...] = ()
    params: int = 0
    macs: int = 0
    zeros_at: int = 0

    @functools.cached_property
    def key(self) -> str:
        """What the operation is, its sizes apart: equal keys are equal operations on maps of whatever size."""
        values = (f"{name}={_number(value)}" for name, value in sorted(self.attributes.items()))
        return f"{self.kind} {', '.join(values)}"

    def in_short(self) -> str:
        """The operation without what is as usual."""
        return str(replace(self, attributes={key: value for key, value in self.attributes.items() if _USUAL.get(key) != value}))

    def __str__(self) -> str:
        shown = [f"{key} {_shown(value)}" for key, value in self.attributes.items() if value is not None]
        return f"{self.kind} ({', '.join(shown)})" if shown else self.kind


@dataclass(frozen=True)
class Graph:
    """The nodes that reach the output, each after its inputs; ``nodes[0]`` is the input.

    ``dead`` are trainable parameters that never reach the output, as (name, number of values). The output is the
    module's tensor number ``output_index``; ``one_path`` says that only the path of one input was read.
    """

    nodes: tuple[Node, ...]
    output: int
    dead: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    output_index: int = 0
    one_path: bool = False

    @functools.cached_property
    def params(self) -> int:
        """Trainable parameters, the dead included, shared ones once."""
        return sum(node.params for node in self.nodes) + sum(number for _, number in self.dead)

    @functools.cached_property
    def macs(self) -> int:
        """Multiply-accumulates for one image, of what reaches the output."""
        return sum(node.macs for node in self.nodes)

    @property
    def input(self) -> Shape:
        """The shape of one image."""
        return self.nodes[0].output


def plain(shape: Shape) -> Shape:
    """A map of 1x1 is a vector: ``(512, 1, 1)`` -> ``(512,)``."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return "no" if value is False else "yes" if value is True else str(value)


def _number(value: Any) -> str:
    """``2`` and ``2.0`` are the same constant, and so are numbers that differ by rounding."""
    return f"{value:.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
