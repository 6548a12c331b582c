"""A network of the ledger as a graph: from its layers, without torch, so that 34 of them take no time to compare."""

from __future__ import annotations

from typing import Any

from repro.auditing.graph import Graph, Node, Weight, plain
from repro.auditing.normalising import make_graph
from repro.layers import Layer, Shape, elements
from repro.tables import Network

_SET = ("running_mean", "running_var", "codes")
_WINDOW = ("kernel", "stride", "padding")


def paper_graph(network: Network) -> Graph:
    """The graph of what the paper prints; the name of a node is the name of its layer, whose module has the same."""
    nodes = [Node("input", (), plain(network.input), "input")]
    numbers = {"input": 0}
    for layer in network.layers:
        inputs = tuple(numbers[name] for name in layer.inputs)
        if layer.kind == "flatten":
            numbers[layer.name] = inputs[0]
            continue
        numbers[layer.name] = len(nodes)
        nodes.append(_node(layer, inputs, nodes[inputs[0]].output))
    trained = (weight for node in nodes for weight in node.weights if weight.role not in _SET)
    return make_graph(nodes, numbers[network.layers[-1].name], {weight.name: elements(weight.shape) for weight in trained})


def _node(layer: Layer, inputs: tuple[int, ...], source: Shape) -> Node:
    kind, attributes = layer.kind, _attributes(layer, source)
    if kind == "conv" and layer.kernel == source[1:] and set(layer.padding or ()) == {0}:
        kind, attributes = "linear", {"channels": layer.output[0], "bias": bool(layer.bias)}
    weights = _weights(layer, source)
    output = source if kind in ("relu", "tanh", "dropout") else plain(layer.output)  # whether flattened or not
    return Node(kind, inputs, output, layer.name, attributes, weights, macs=layer.macs)


def _attributes(layer: Layer, source: Shape) -> dict[str, Any]:
    """The attributes of a node, in the order and the words of :mod:`repro.auditing.graph`."""
    constants = dict(layer.constants)
    window = {name: getattr(layer, name) for name in _WINDOW}
    match layer.kind:
        case "conv":
            return {"channels": layer.output[0], **window, "dilation": (1, 1), "groups": layer.groups, "bias": bool(layer.bias)}
        case "linear":
            return {"channels": layer.output[0], "bias": bool(layer.bias)}
        case "maxpool":
            return {**window, "dilation": (1, 1), "ceil_mode": False}
        case "avgpool":
            return {"kernel": "map"}
        case "subsampling":
            return {"kernel": layer.kernel}
        case "pad":
            return {"stride": layer.stride, "zeros": constants["zeros"]}
        case "select":
            return {"maps": tuple(constants["maps"])}
        case "lrn":
            return {name: constants[name] for name in ("n", "alpha", "beta", "k")}
        case "rbf":
            return {}
    return constants


def _weights(layer: Layer, source: Shape) -> tuple[Weight, ...]:
    """The tensors of the layer's module, in the words of torch; shapes as the module of the ledger has them."""
    channels, outputs = source[0], layer.output[0]
    shapes: dict[str, Shape] = {}
    match layer.kind:
        case "conv":
            shapes["weight"] = (outputs, channels // (layer.groups or 1), *(layer.kernel or ()))
        case "linear":
            shapes["weight"] = (outputs, elements(source))
        case "batchnorm":
            shapes = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (channels,))
        case "subsampling":
            shapes = {"coefficient": (channels,), "bias": (channels,)}
        case "rbf":
            shapes["codes"] = (outputs, channels)
    if layer.bias and layer.kind in ("conv", "linear"):
        shapes["bias"] = (outputs,)
    return tuple(Weight(role, f"{layer.name}.{role}", shape) for role, shape in shapes.items())
