"""Least bytes that a network moves, for the roofline: a machine that moves no more and computes at its roof can't be faster."""

from __future__ import annotations

from collections.abc import Mapping

from repro.layers import Layer, elements
from repro.tables import Network
from repro.throughput.timing import FLOPS_PER_MAC, DType

#: Bytes of a number. TF32 is float32 in memory.
BYTES: Mapping[DType, int] = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}

#: Kinds of layers that have weights to read and can't be fused into the one before.
COUNTED = ("conv", "linear", "rbf", "subsampling")


def least_traffic(network: Network, dtype: DType, batch: int) -> int:
    """Bytes to and from memory of one inference call on a batch, executed layer by layer.

    Each convolution and linear layer, LeNet-5's subsampling and its RBF reads its inputs and its weights once and writes its output once.
    All else is as if fused into them: normalisation, activations, pooling, the addition of a shortcut and what it reads. An
    implementation that writes each of these outputs moves at least as much: it fuses less, or reads some of it twice. One that keeps
    activations in cache from one layer to the next moves less, so that on small networks and batches this bounds nothing.
    """
    shapes = {"input": network.input} | {layer.name: layer.output for layer in network.layers}
    counted = [layer for layer in network.layers if layer.kind in COUNTED]
    activations = sum(elements(layer.output) + sum(elements(shapes[name]) for name in layer.inputs) for layer in counted)
    return BYTES[dtype] * (batch * activations + sum(map(_weights, counted)))


def intensity(network: Network, dtype: DType, batch: int) -> float:
    """FLOP, 2 a MAC, for each byte of :func:`least_traffic`: the highest arithmetic intensity of an inference call."""
    return FLOPS_PER_MAC * network.macs * batch / least_traffic(network, dtype, batch)


def _weights(layer: Layer) -> int:
    """Numbers that a layer reads beside its inputs: weights and biases, or the RBF's fixed codes, one a MAC."""
    return layer.macs if layer.kind == "rbf" else layer.params
