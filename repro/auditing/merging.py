"""Several branches side by side as the one operation that they are: AlexNet's two towers as convolutions with two groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from repro.auditing.graph import Node, Weight

#: These treat each map by itself.
_MAPWISE = frozenset(("relu", "tanh", "sigmoid", "maxpool", "avgpool", "zeropad", "dropout"))


def merge_branches(nodes: Sequence[Node], output: int) -> tuple[list[Node], int] | None:
    """One concatenation or selection less, or moved towards the input; None where there is none to move."""
    uses = Counter(source for node in nodes for source in node.inputs)
    for number, node in enumerate(nodes):
        if node.kind not in ("cat", "select"):
            continue
        if (same := _joined(node, nodes)) is not None:
            inputs = (tuple(same if source == number else source for source in other.inputs) for other in nodes)
            changed = [replace(other, inputs=given) for other, given in zip(nodes, inputs, strict=True)]
            return changed, same if output == number else output
        changed = list(nodes)
        if (merged := _merged_parts(node, changed, uses)) is not None:
            changed[number] = merged
            return changed, output
    return None


def _merged_parts(node: Node, nodes: list[Node], uses: Mapping[int, int]) -> Node | None:
    """A concatenation as another node, where its parts allow it; nodes that are needed in front of it are added to ``nodes``."""
    if node.kind != "cat" or len(node.inputs) < 2:
        return None
    parts = [nodes[number] for number in node.inputs]
    first = parts[0]
    if len({part.key for part in parts}) > 1 or any(len(part.inputs) != 1 for part in parts):
        return None
    if any(uses[number] != 1 for number in node.inputs) or len(set(node.inputs)) < len(node.inputs):
        return None
    sources = [part.inputs[0] for part in parts]
    if first.kind in _MAPWISE and not first.weights:
        shapes = {nodes[source].output[1:] for source in sources}
        if len(shapes) > 1 or len(first.output) != 3:
            return None
        channels = sum(nodes[source].output[0] for source in sources)
        nodes.append(replace(node, inputs=tuple(sources), output=(channels, *nodes[sources[0]].output[1:])))
        return replace(first, inputs=(len(nodes) - 1,), output=node.output)
    return _convolution(node, parts, sources, nodes) if first.kind == "conv" else None


def _convolution(node: Node, parts: Sequence[Node], sources: Sequence[int], nodes: list[Node]) -> Node | None:
    """Convolutions of the same maps are one with more channels; of maps of their own, one with groups."""
    first, count = parts[0], len(parts)
    if first.attributes["groups"] != 1 or len({tuple(weight.shape for weight in part.weights) for part in parts}) > 1:
        return None
    roles = [weight.role for weight in first.weights]
    weights = [Weight(role, part.weights[place].name, part.weights[place].shape) for place, role in enumerate(roles) for part in parts]
    names = [weight.name for weight in weights]
    if len(set(names)) < len(names):
        return None
    attributes = {**first.attributes, "channels": first.attributes["channels"] * count}
    macs = sum(part.macs for part in parts)
    made = replace(first, output=node.output, weights=tuple(weights), attributes=attributes, macs=macs)
    if len(set(sources)) == 1:
        return replace(made, inputs=(sources[0],))
    shapes = {nodes[source].output for source in sources}
    if len(shapes) > 1 or len(set(sources)) < count:
        return None
    channels, *size = shapes.pop()
    nodes.append(replace(node, inputs=tuple(sources), output=(channels * count, *size)))
    return replace(made, inputs=(len(nodes) - 1,), attributes={**attributes, "groups": count})


def _joined(node: Node, nodes: Sequence[Node]) -> int | None:
    """The node that a concatenation or selection gives unchanged: all its pieces in their order, or one of the parts of a concatenation."""
    if node.kind == "cat":
        parts = [nodes[number] for number in node.inputs]
        if any(part.kind != "select" for part in parts) or len({part.inputs for part in parts}) > 1:
            return None
        whole = parts[0].inputs[0]
        maps = [number for part in parts for number in part.attributes["maps"]]
        return whole if maps == list(range(nodes[whole].output[0])) else None
    if node.kind != "select":
        return None
    source = nodes[node.inputs[0]]
    maps = list(node.attributes["maps"])
    if maps == list(range(source.output[0])):
        return node.inputs[0]
    if source.kind != "cat":
        return None
    start = 0
    for number in source.inputs:
        width = nodes[number].output[0]
        if maps == list(range(start, start + width)):
            return number
        start += width
    return None
