"""Where in a network an operation is: in the stem, in a block's body or shortcut, in front of a normalisation, at the output."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from repro.auditing.graph import Graph, Node
from repro.auditing.results import Difference

ACTIVATIONS = frozenset(
    ("relu", "tanh", "sigmoid", "elu", "gelu", "silu", "leaky_relu", "prelu", "relu6", "hardswish", "selu", "mish", "softplus")
)
POOLS = frozenset(("maxpool", "avgpool", "subsampling"))
#: A block has fewer operations than that between its addition and the place where it forks.
_LONGEST_BRANCH = 40

#: (whether the block keeps its shape, what is on its shortcut) of the blocks of a network -> the letter.
_OPTIONS = {
    frozenset({(True, ""), (False, "pad")}): "A",
    frozenset({(True, ""), (False, "conv")}): "B",
    frozenset({(True, "conv"), (False, "conv")}): "C",
}


@dataclass(frozen=True)
class Block:
    """A residual block: the numbers of its addition, of the nodes of its two branches, and of the node where they fork."""

    add: int
    body: tuple[int, ...]
    shortcut: tuple[int, ...]
    fork: int


class Place:
    """A graph with its blocks, and who uses what."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getitem__(self, number: int) -> Node:
        return self.graph.nodes[number]

    @functools.cached_property
    def users(self) -> list[list[int]]:
        """For each node the numbers of those that take its output."""
        users: list[list[int]] = [[] for _ in self.graph.nodes]
        for number, node in enumerate(self.graph.nodes):
            for source in node.inputs:
                users[source].append(number)
        return users

    @functools.cached_property
    def keys(self) -> list[str]:
        """The operations, without their sizes, in order."""
        return [node.key for node in self.graph.nodes]

    def kinds_after(self, number: int) -> set[str]:
        """Kinds of the nodes that take a node's output."""
        return {self[user].kind for user in self.users[number]}

    def kinds_before(self, number: int) -> set[str]:
        """Kinds of the nodes whose output a node takes."""
        return {self[source].kind for source in self[number].inputs}

    def numbers(self, *kinds: str) -> list[int]:
        """The nodes of these kinds, in order."""
        return [number for number, node in enumerate(self.graph.nodes) if node.kind in kinds]

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The residual blocks, in order."""
        return tuple(block for number in self.numbers("add") if (block := self._block(number)))

    def _block(self, add: int) -> Block | None:
        inputs = self[add].inputs
        if len(inputs) != 2 or inputs[0] == inputs[1]:
            return None
        left, right = (self._branch(source) for source in inputs)
        fork = next((number for number in left if number in right), None)
        if fork is None:
            return None
        branches = sorted((left[: left.index(fork)], right[: right.index(fork)]), key=self._weight_of_branch)
        return Block(add, tuple(branches[1]), tuple(branches[0]), fork)

    def _branch(self, number: int) -> list[int]:
        """From a node back to the addition before it, that included."""
        branch = [number]
        while self[number].inputs and self[number].kind != "add" and len(branch) < _LONGEST_BRANCH:
            number = self[number].inputs[0]
            branch.append(number)
        return branch

    def _weight_of_branch(self, branch: Sequence[int]) -> tuple[int, int]:
        return sum(self[number].kind == "conv" for number in branch), len(branch)

    @functools.cached_property
    def shortcuts(self) -> frozenset[int]:
        """The nodes on shortcuts."""
        return frozenset(number for block in self.blocks for number in block.shortcut)

    @functools.cached_property
    def bodies(self) -> frozenset[int]:
        """The nodes in bodies of blocks."""
        return frozenset(number for block in self.blocks for number in block.body)

    @functools.cached_property
    def projections(self) -> tuple[int, ...]:
        """The convolutions on shortcuts."""
        return tuple(sorted(number for number in self.shortcuts if self[number].kind == "conv"))

    @functools.cached_property
    def option(self) -> str | None:
        """The letter of the shortcuts (H15 section 3.3), None where they are none of the three, or no block changes its shape."""
        kinds = {(self[block.fork].output == self[block.add].output, self._shortcut_kind(block)) for block in self.blocks}
        return _OPTIONS.get(frozenset(kinds))

    def _shortcut_kind(self, block: Block) -> str:
        kinds = [self[number].kind for number in block.shortcut]
        pointwise = all(self[number].attributes["kernel"] == (1, 1) for number in block.shortcut if self[number].kind == "conv")
        return " ".join(kind for kind in kinds if kind != "batchnorm") if pointwise else "convolution of a window"

    @functools.cached_property
    def body_kinds(self) -> list[list[str]]:
        """What the bodies are made of."""
        return [[self[number].kind for number in block.body] for block in self.blocks]

    @functools.cached_property
    def depth_of_block(self) -> int | None:
        """Convolutions in the body of most blocks: 2 is a basic block, 3 a bottleneck."""
        counts = sorted(sum(self[number].kind == "conv" for number in block.body) for block in self.blocks)
        return counts[len(counts) // 2] if counts else None

    @functools.cached_property
    def expands(self) -> bool:
        """Whether bottlenecks end wider than their 3x3."""
        ends = [[self[number].attributes["channels"] for number in block.body if self[number].kind == "conv"] for block in self.blocks]
        return any(len(set(widths)) > 1 for widths in ends)

    @functools.cached_property
    def adds_last(self) -> bool:
        """Whether bodies end in a ReLU and none follows the addition."""
        ends = [(self[block.body[0]].kind == "relu", "relu" in self.kinds_after(block.add)) for block in self.blocks if block.body]
        return bool(ends) and all(before and not after for before, after in ends)

    @functools.cached_property
    def is_preactivated(self) -> bool:
        """Whether all bodies end in a convolution that BN and ReLU precede, and no ReLU follows the addition."""
        ends = [[self[number].kind for number in block.body[:3]] for block in self.blocks if "relu" not in self.kinds_after(block.add)]
        return len(ends) == len(self.blocks) > 0 and all(end == ["conv", "relu", "batchnorm"] for end in ends)

    @functools.cached_property
    def has_stride_last(self) -> bool:
        """Whether a block halves the map without widening, and the next widens without halving."""
        steps = [(self[block.fork].output, self[block.add].output) for block in self.blocks]
        halving = [before[1:] != after[1:] and before[0] == after[0] for before, after in steps]
        widening = [before[1:] == after[1:] and before[0] != after[0] for before, after in steps]
        return any(first and second for first, second in zip(halving, widening[1:], strict=False))

    @functools.cached_property
    def stem(self) -> int | None:
        """The convolution that sees the image."""
        return next((number for number in self.numbers("conv", "linear") if 0 in self[number].inputs), None)

    @functools.cached_property
    def widths(self) -> tuple[int, ...]:
        """Output channels of the convolutions off the shortcuts, repetitions left out: 16, 32, 64."""
        return tuple(width for width, _ in itertools.groupby(self.convs))

    @functools.cached_property
    def convs(self) -> tuple[int, ...]:
        """Output channels of each convolution off the shortcuts."""
        return tuple(int(self[number].attributes["channels"]) for number in self.numbers("conv") if number not in self.shortcuts)

    @functools.cached_property
    def wide_convs(self) -> tuple[int, ...]:
        """Output channels of the convolutions that see more than one pixel."""
        return tuple(
            int(self[number].attributes["channels"]) for number in self.numbers("conv") if self[number].attributes["kernel"] != (1, 1)
        )

    @functools.cached_property
    def grouped(self) -> bool:
        """Whether a convolution has groups."""
        return any(self[number].attributes["groups"] != 1 for number in self.numbers("conv"))

    @functools.cached_property
    def strided_conv(self) -> int | None:
        """Which convolution of a bottleneck has its stride: 0, 1 or 2; None where there is none, or not always the same."""
        places = set()
        for block in self.blocks:
            convs = sorted(number for number in block.body if self[number].kind == "conv")
            if len(convs) == 3:
                places |= {place for place, number in enumerate(convs) if self[number].attributes["stride"] != (1, 1)}
        return places.pop() if len(places) == 1 else None

    @functools.cached_property
    def is_residual(self) -> bool:
        """Whether it adds shortcuts; two equal branches are none."""
        return any(not self.is_twin(block) for block in self.blocks)

    def is_twin(self, block: Block) -> bool:
        """Whether both branches of an addition are the same operations, convolutions among them."""
        branches = [[self[number].key for number in branch] for branch in (block.body, block.shortcut)]
        return branches[0] == branches[1] and any(self[number].kind == "conv" for number in block.body)

    def is_at_end(self, number: int) -> bool:
        """Whether nothing but a softmax comes after a node."""
        return number == self.graph.output or self.kinds_after(number) <= {"softmax", "log_softmax"}


class Scene:
    """The paper's network and the candidate, side by side, with what differs."""

    def __init__(self, network: str, paper: Graph, found: Graph, differences: Sequence[Difference]) -> None:
        self.network = network
        self.paper, self.found = Place(paper), Place(found)
        self.differences = differences
        self._missing = [number for d in differences if d.kind == "missing" for number in d.paper_nodes]
        self._extra = [number for d in differences if d.kind == "extra" for number in d.nodes]

    def missing(self, *kinds: str) -> list[int]:
        """The paper's nodes of these kinds that the candidate lacks."""
        return [number for number in self._missing if self.paper[number].kind in kinds]

    def extra(self, *kinds: str) -> list[int]:
        """The candidate's nodes of these kinds that the paper doesn't have."""
        return [number for number in self._extra if self.found[number].kind in kinds]

    def on_shortcut(self, difference: Difference) -> bool:
        """Whether it is on a shortcut, of either network."""
        return any(number in self.paper.shortcuts for number in difference.paper_nodes) or any(
            number in self.found.shortcuts for number in difference.nodes
        )

    @functools.cached_property
    def same_bodies(self) -> bool:
        """Whether the bodies of both are made of the same kinds, so that what is missing or extra in blocks is on shortcuts."""
        return self.paper.body_kinds == self.found.body_kinds

    def is_of_shortcuts(self, difference: Difference) -> bool:
        """Whether it comes from other shortcuts: on one of them, or where the alignment took a body's operation for a shortcut's."""
        moved = difference.kind in ("missing", "extra") or set(difference.changes) == {"inputs"}
        return self.on_shortcut(difference) or (moved and self.same_bodies and self.in_block(difference))

    def in_block(self, difference: Difference) -> bool:
        """Whether it is in a block, its addition included, of either network."""
        sides = ((self.paper, difference.paper_nodes), (self.found, difference.nodes))
        return any(
            number in place.bodies or number in place.shortcuts or place[number].kind == "add"
            for place, numbers in sides
            for number in numbers
        )

    def kinds(self, difference: Difference) -> tuple[set[str], set[str]]:
        """Kinds of the paper's nodes, and of the candidate's."""
        return (
            {self.paper[number].kind for number in difference.paper_nodes},
            {self.found[number].kind for number in difference.nodes},
        )

    def changed(self, difference: Difference, kind: str, *attributes: str) -> Iterator[tuple[Any, Any]]:
        """(expected, found) of these attributes, where it changes an operation of this kind and nothing but them."""
        if difference.kind == "changed" and set(difference.changes) <= set(attributes) and {kind} in self.kinds(difference):
            yield from difference.changes.values()

    @functools.cached_property
    def lost_blocks(self) -> frozenset[int]:
        """The paper's nodes on shortcuts whose addition the candidate lacks."""
        lost = set(self.missing("add"))
        return frozenset(number for block in self.paper.blocks if block.add in lost for number in block.shortcut)

    def is_of_lost_block(self, difference: Difference) -> bool:
        """Whether it is on a shortcut that the candidate doesn't add."""
        return bool(difference.paper_nodes) and set(difference.paper_nodes) <= self.lost_blocks

    def is_last_linear(self, difference: Difference) -> bool:
        """Whether it is the output layer."""
        last = max(self.paper.numbers("linear"), default=None)
        return last in difference.paper_nodes

    @functools.cached_property
    def has_cifar_stem(self) -> bool:
        """A residual or normalised candidate of ImageNet's widths that begins with a 3x3 of stride 1."""
        stem = self.found[self.found.stem].attributes if self.found.stem is not None else {}
        small = stem.get("kernel") == (3, 3) and stem.get("stride") == (1, 1)
        normal = self.paper.numbers("batchnorm") and self.found.numbers("batchnorm")
        return bool(small and normal and max(self.found.convs) >= 512 and self.found.convs[0] == 64)

    @functools.cached_property
    def has_other_widths(self) -> bool:
        """Whether half of the convolutions have other channels than the table's."""
        changed = sum("channels" in difference.changes for difference in self.differences)
        return 2 * changed > len(self.paper.numbers("conv")) > 0

    @functools.cached_property
    def same_input(self) -> bool:
        """Whether both take images of the same size; AlexNet's 227 is 224 with its padding."""
        sizes = self.paper.graph.input, self.found.graph.input
        return sizes[0] == sizes[1] or (self.network.startswith("alexnet") and sizes[1] == (3, 227, 227))

    def paper_kinds(self, numbers: Sequence[int]) -> set[str]:
        """Kinds of these nodes of the paper's network."""
        return {self.paper[number].kind for number in numbers}

    def found_kinds(self, numbers: Sequence[int]) -> set[str]:
        """Kinds of these nodes of the candidate."""
        return {self.found[number].kind for number in numbers}
