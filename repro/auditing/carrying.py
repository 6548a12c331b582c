"""A candidate's weights in the shapes and the order of the paper's network, along an alignment of equal graphs.

Channels may come in another order: where option A's zeros come before the other maps, all maps of that stage do. An order is a list
that has, for each of the paper's channels, the candidate's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from repro.auditing.aligning import Alignment
from repro.auditing.graph import Graph, Node
from repro.layers import Shape

Order = list[int]
#: The channels that these give are their own, whatever they take: any order will do.
_FRESH = ("conv", "linear", "rbf", "cat")


@dataclass(frozen=True, slots=True)
class Carried:
    """One tensor of the paper's network: ``names`` of the candidate's that hold it, one after the other, of ``shape`` in all, and
    the order of its rows and, for a convolution or linear layer, of its columns (None: as they are).
    """

    paper: str
    names: tuple[str, ...]
    shape: Shape
    rows: Order | None
    columns: Order | None

    def carry(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The candidate's values as the paper's network has them: the very tensor where nothing has another order."""
        parts = [tensors[name] for name in self.names]
        whole = (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(self.shape)
        if self.rows is not None:
            whole = whole[self.rows]
        if self.columns is not None:
            grouped = whole.reshape(whole.shape[0], len(self.columns), -1)
            whole = grouped[:, self.columns].reshape(self.shape)
        return whole

    def give_back(self, value: Tensor, tensors: Mapping[str, Tensor]) -> None:
        """The inverse, for a tensor without columns: the paper's values into the candidate's tensors."""
        assert self.columns is None
        restored = value
        if self.rows is not None:
            restored = torch.empty_like(value)
            restored[self.rows] = value
        start = 0
        for name in self.names:
            width = tensors[name].numel()
            tensors[name].copy_(restored.flatten()[start : start + width].reshape(tensors[name].shape))
            start += width


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their first name, as memory."""
    return {name: tensor.data for name, tensor in [*module.named_parameters(), *module.named_buffers()]}


def carry_all(carried: Iterable[Carried], tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The ``state_dict`` of the paper's network with the candidate's values; batches that BN has seen are counted anew."""
    counts = {name: torch.zeros((), dtype=torch.long) for name in network.state_dict() if name.endswith("num_batches_tracked")}
    return {one.paper: one.carry(tensors).contiguous() for one in carried} | counts


def carried_weights(alignment: Alignment) -> Iterator[Carried]:
    """Every tensor of the paper's network. Raises ValueError where no order of channels makes the two graphs the same network."""
    orders = channel_orders(alignment)
    for first, second in alignment.pairs:
        paper, found = alignment.paper.nodes[first], alignment.found.nodes[second]
        out, columns = orders.get(first), orders.get(paper.inputs[0]) if paper.inputs else None
        for weight in paper.weights:
            names = tuple(own.name for own in found.weights if own.role == weight.role)
            if not names:
                raise ValueError(f"{found.name} has no {weight.role}")
            inner = paper.kind in ("conv", "linear") and weight.role == "weight"
            rows = None if paper.kind == "rbf" else out if paper.kind in _FRESH else columns
            yield Carried(weight.name, names, weight.shape, rows, columns if inner or paper.kind == "rbf" else None)


def channel_orders(alignment: Alignment) -> dict[int, Order]:
    """The order of the channels of each of the paper's nodes, where it isn't their own. Raises ValueError where none fits."""
    paper, found = alignment.paper, alignment.found
    mates = dict(alignment.pairs)
    if all(node.kind != "pad" or not node.zeros_at for node in found.nodes):
        return {}
    group = _tied(paper)
    orders: dict[int, Order] = {}
    for number, node in enumerate(paper.nodes):
        if node.kind != "pad":
            continue
        source = node.inputs[0]
        own = orders.get(group[source], list(range(paper.nodes[source].output[0])))
        order = _padded(own, found.nodes[mates[number]])
        if orders.setdefault(group[number], order) != order:
            raise ValueError(f"the zeros of {node.name} come in another place than those of the other shortcuts of its maps")
    moved = {root: order for root, order in orders.items() if order != list(range(len(order)))}
    for number, node in enumerate(paper.nodes):
        fixed = [number] if number in (0, paper.output) else []
        if node.kind in ("lrn", "select", "cat") or node.attributes.get("groups", 1) != 1:
            fixed += [number, *node.inputs]
        if any(group[one] in moved for one in fixed):
            raise ValueError(f"{node.name} needs its maps in the printed order")
    return {number: moved[root] for number, root in group.items() if root in moved}


def _padded(order: Order, found: Node) -> Order:
    """The order behind zero maps that the candidate has before, after or around the others; the paper's come after."""
    before, zeros, width = found.zeros_at, found.attributes["zeros"], len(order)
    return [before + own for own in order] + list(range(before)) + list(range(before + width, width + zeros))


def _tied(graph: Graph) -> dict[int, int]:
    """For each node the first of those whose channels have the same order."""
    group: dict[int, int] = {}

    def root(number: int) -> int:
        while group[number] != number:
            group[number] = group[group[number]]
            number = group[number]
        return number

    for number, node in enumerate(graph.nodes):
        group[number] = number
        if node.inputs and node.kind not in _FRESH and node.kind != "pad":
            for source in node.inputs:
                first, second = sorted((root(source), root(number)))
                group[second] = first
    return {number: root(number) for number in group}
