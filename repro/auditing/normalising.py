"""Nodes -> the graph: one of several equal ways of writing the same, what doesn't reach the output left out, weights counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from repro.auditing.graph import Graph, Node, Weight
from repro.auditing.merging import merge_branches
from repro.layers import elements

#: Taken before or after the greatest of a window, these give the same.
_RISING = frozenset(("relu", "tanh", "sigmoid", "relu6"))


def make_graph(nodes: Sequence[Node], output: int, trainable: Mapping[str, int], notes: Sequence[str] = ()) -> Graph:
    """The graph of the nodes that reach ``output``; ``trainable`` has the number of values of each trained parameter."""
    kept, last = _reaching(list(nodes), output)
    while changed := _rewrite(kept, last) or merge_branches(kept, last):
        kept, last = _reaching(*changed)
    counted, left = _count(_mark_weights(kept, trainable), dict(trainable))
    return Graph(tuple(_named(counted)), last, tuple(left.items()), tuple(dict.fromkeys(notes)))


def _reaching(nodes: list[Node], output: int) -> tuple[list[Node], int]:
    """The nodes that the output needs, and the input, each after its inputs."""
    order = in_order(nodes, output)
    place = {number: position for position, number in enumerate(order)}
    return [replace(nodes[number], inputs=tuple(place[source] for source in nodes[number].inputs)) for number in order], place[output]


def in_order(nodes: Sequence[Node], output: int) -> list[int]:
    """The numbers of the nodes that the output needs, each after its inputs, in an order that doesn't depend on how the code is written.

    Of the branches of an addition the longest comes first.
    """
    depth: dict[int, int] = {}
    for number in _after_inputs(nodes, output, lambda node: node.inputs):
        depth[number] = 1 + max((depth[source] for source in nodes[number].inputs), default=0)

    def branches(node: Node) -> Sequence[int]:
        if node.kind != "add":
            return node.inputs
        return sorted(node.inputs, key=lambda source: (-depth[source], nodes[source].key, nodes[source].output))

    order = _after_inputs(nodes, output, branches)
    return [0, *(number for number in order if number)]


def _after_inputs(nodes: Sequence[Node], output: int, branches: Callable[[Node], Sequence[int]]) -> list[int]:
    order: list[int] = []
    done: set[int] = set()
    stack = [output]
    while stack:
        number = stack[-1]
        waiting = [source for source in branches(nodes[number]) if source not in done]
        if waiting:
            stack += reversed(waiting)
            continue
        stack.pop()
        if number not in done:
            done.add(number)
            order.append(number)
    return order


def _rewrite(nodes: list[Node], output: int) -> tuple[list[Node], int] | None:
    """One pass; None where nothing is left to rewrite."""
    uses = Counter(source for node in nodes for source in node.inputs)
    uses[output] += 1
    new, changed = list(nodes), False
    for number, node in enumerate(nodes):
        if len(node.inputs) != 1:
            continue
        below = node.inputs[0]
        source = new[below]
        if node.kind == "relu" and source.kind == "relu":
            new[number] = replace(new[below], name=node.name) if uses[below] == 1 else node
            if uses[below] == 1:
                changed = True
            continue
        if uses[below] != 1 or new[number] is not node or source is not nodes[below]:
            continue
        if _commute(node, source):
            new[below] = replace(node, inputs=source.inputs, output=new[source.inputs[0]].output)
            new[number] = replace(source, inputs=(below,), output=node.output)
            changed = True
        elif merged := _merged(node, source, new):
            new[number] = merged
            changed = True
    return (new, output) if changed else None


def _commute(node: Node, source: Node) -> bool:
    """Whether ``node`` may come before its source: it is kept so that activations come first."""
    return (node.kind in _RISING and source.kind == "maxpool") or (node.kind == "relu" and source.kind == "dropout")


def _merged(node: Node, source: Node, nodes: Sequence[Node]) -> Node | None:
    """One node for two, where there is one."""
    if node.kind == source.kind == "pad":
        stride = tuple(first * second for first, second in zip(node.attributes["stride"], source.attributes["stride"], strict=True))
        zeros = node.attributes["zeros"] + source.attributes["zeros"]
        return replace(node, inputs=source.inputs, attributes={"stride": stride, "zeros": zeros}, zeros_at=node.zeros_at + source.zeros_at)
    if source.kind != "zeropad" or node.kind not in ("conv", "maxpool"):
        return None
    behind = nodes[source.inputs[0]]
    if node.kind == "maxpool" and (behind.kind != "relu" or node.attributes["padding"] != (0, 0)):
        return None
    rims = zip(node.attributes["padding"], source.attributes["padding"], strict=True)
    if any(isinstance(own, tuple) for own in node.attributes["padding"]):
        return None
    padding = tuple(own + before if before == after else (own + before, own + after) for own, (before, after) in rims)
    if node.kind == "maxpool" and any(
        isinstance(pad, tuple) or 2 * pad > side for pad, side in zip(padding, node.attributes["kernel"], strict=True)
    ):
        return None
    return replace(node, inputs=source.inputs, attributes={**node.attributes, "padding": padding})


def _count(nodes: list[Node], trainable: dict[str, int]) -> tuple[list[Node], dict[str, int]]:
    """Parameters at the first node that uses them, and those that no node uses."""
    used: set[str] = set()
    counted = []
    for node in nodes:
        names = [weight.name for weight in node.weights]
        params = sum(trainable.pop(name, 0) for name in names if name not in used)
        used |= set(names)
        counted.append(replace(node, params=params) if params != node.params else node)
    return counted, trainable


def _mark_weights(nodes: Sequence[Node], trainable: Mapping[str, int]) -> list[Node]:
    """Weights that aren't trained, and those that an earlier node has already used, become attributes."""
    used: set[str] = set()
    marked = []
    for node in nodes:
        learnt = [weight for weight in node.weights if _is_learnt(weight)]
        more = {}
        if any(weight.name not in trainable for weight in learnt):
            more["frozen"] = True
        if any(weight.name in used for weight in node.weights):
            more["shared"] = True
        if any(weight.name in trainable for weight in node.weights if weight.role == "codes"):
            more["trainable"] = True
        used |= {weight.name for weight in node.weights}
        marked.append(replace(node, attributes={**node.attributes, **more}) if more else node)
    return marked


def _is_learnt(weight: Weight) -> bool:
    return weight.role in ("weight", "bias", "coefficient") and elements(weight.shape) > 0


def _named(nodes: Sequence[Node]) -> list[Node]:
    """Each name once: the module's; with a number where a module runs more than once or runs several operations."""
    taken: Counter[str] = Counter()
    named = []
    for node in nodes:
        base = node.name or node.kind
        taken[base] += 1
        named.append(replace(node, name=base if taken[base] == 1 else f"{base}#{taken[base]}"))
    return named
