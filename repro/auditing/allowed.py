"""What a paper doesn't print and a candidate may choose: the paper's graph in the candidate's reading, and notes on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from repro.auditing.graph import Graph, Node
from repro.tables import Network

#: Constants of batch normalisation that a framework's default may be, all over a network.
_EPS, _MOMENTUM = (1e-7, 1.01e-3), (1e-3, 0.5)


def read_as(network: Network, paper: Graph, found: Graph) -> tuple[Graph, list[str]]:
    """The paper's graph with what the ledger lists as a reading taken as the candidate has it, and a note for each."""
    about = {reading.about for reading in network.readings}
    notes: list[str] = []
    nodes = list(paper.nodes)
    if "224 or 227" in about:
        notes += _input_of_227(nodes, found)
    if "padding of the max pool" in about:
        notes += _pool_rounding_up(nodes, found)
    if "constants of batch normalisation" in about:
        notes += _constants(nodes, found)
    return replace(paper, nodes=tuple(nodes)), notes


def _input_of_227(nodes: list[Node], found: Graph) -> Iterator[str]:
    """227 without padding on the first convolution gives the maps that 224 with 2 gives."""
    stem = next((node for node in found.nodes if 0 in node.inputs), None)
    if found.input != (3, 227, 227) or stem is None or stem.attributes.get("padding") != (0, 0):
        return
    nodes[0] = replace(nodes[0], output=found.input)
    nodes[1] = replace(nodes[1], attributes={**nodes[1].attributes, "padding": (0, 0)})
    yield "reading: an input of 227 without padding on conv1, not 224 with padding 2"


def _pool_rounding_up(nodes: list[Node], found: Graph) -> Iterator[str]:
    """A max-pooling without padding that rounds up."""
    pools = [node for node in found.nodes if node.kind == "maxpool"]
    own = [number for number, node in enumerate(nodes) if node.kind == "maxpool"]
    if len(pools) == len(own) == 1 and pools[0].attributes["padding"] == (0, 0) and pools[0].attributes["ceil_mode"]:
        number = own[0]
        nodes[number] = replace(nodes[number], attributes={**nodes[number].attributes, "padding": (0, 0), "ceil_mode": True})
        yield "reading: no padding of the max pool, whose size is rounded up"


def _constants(nodes: list[Node], found: Graph) -> Iterator[str]:
    """eps and momentum, where all normalisations have the same."""
    norms = [node for node in found.nodes if node.kind == "batchnorm"]
    for name, (low, high) in (("eps", _EPS), ("momentum", _MOMENTUM)):
        values = {node.attributes[name] for node in norms}
        value: Any = values.pop() if len(values) == 1 else None
        expected = {node.attributes[name] for node in nodes if node.kind == "batchnorm"}
        if value is None or expected == {value} or not low <= value <= high:
            continue
        for number, node in enumerate(nodes):
            if node.kind == "batchnorm":
                nodes[number] = replace(node, attributes={**node.attributes, name: value})
        yield f"reading: BN's {name} is {value:g}, not {expected.pop():g}"


def place_of_zeros(paper: Graph, found: Graph, pairs: Sequence[tuple[int, int]]) -> list[str]:
    """A note where option A's zeros aren't after the other maps."""
    places = set()
    for first, second in pairs:
        node = found.nodes[second]
        if paper.nodes[first].kind == node.kind == "pad" and node.zeros_at:
            places.add("before" if node.zeros_at == node.attributes["zeros"] else "around")
    return [f"reading: option A's zeros come {' or '.join(sorted(places))} the other maps, not after them"] if places else []
