"""Two graphs -> the operations that belong together, and every difference, whose costs add up to the difference of the totals."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from repro.auditing.graph import Graph, Node
from repro.auditing.results import Difference
from repro.layers import size

#: Kinds that may stand for each other; any two others are one operation missing and one more.
_FAMILIES = (
    frozenset(("relu", "tanh", "sigmoid", "elu", "selu", "celu", "gelu", "silu", "mish", "relu6", "hardtanh", "hardsigmoid", "hardswish",
               "leaky_relu", "softplus", "softsign")),
    frozenset(("maxpool", "avgpool", "subsampling")),
    frozenset(("lrn", "batchnorm")),
)  # fmt: skip
_EQUAL, _CHANGED, _REPLACED, _NEVER = 9, 6, 2, -(10**6)


@dataclass(frozen=True)
class Alignment:
    """Which node of the paper's graph is which of the candidate's; ``pairs`` are in the order of both."""

    paper: Graph
    found: Graph
    pairs: tuple[tuple[int, int], ...]
    differences: tuple[Difference, ...]

    @property
    def near(self) -> float:
        """The share of equal operations, 0 to 1."""
        different = {number for difference in self.differences for number in difference.nodes if difference.kind != "follows"}
        equal = sum(number not in different for _, number in self.pairs)
        return equal / max(len(self.paper.nodes), len(self.found.nodes))

    @property
    def cost(self) -> int:
        """How many operations differ, for comparing networks."""
        return sum(1 for difference in self.differences if difference.kind != "follows")


def align(paper: Graph, found: Graph) -> Alignment:
    """The paper's graph beside a candidate's."""
    pairs = _pairs(paper.nodes, found.nodes)
    differences = tuple(_differences(paper, found, pairs))
    if not differences and paper.input != found.input:
        expected, has = (f"images of {size(graph.input)}" for graph in (paper, found))
        differences = (Difference("follows", "input", expected, has, 0, 0, {}, (0,), (0,)),)
    if not differences and _fingerprint(paper) != _fingerprint(found):
        raise AssertionError("no difference was found between graphs that aren't equal")
    return Alignment(paper, found, tuple(pairs), differences)


def likeness(paper: Graph, found: Graph) -> float:
    """The share of equal operations, wherever they are, once with sizes and costs and once without: quick, for choosing what to align."""
    sized, unsized = (
        [Counter((node.key, (node.output, node.params, node.macs) if sizes else ()) for node in graph.nodes) for graph in (paper, found)]
        for sizes in (True, False)
    )
    return sum((first & second).total() for first, second in (sized, unsized)) / (len(paper.nodes) + len(found.nodes))


# ---------------------------------------------------------------- which belongs to which


@dataclass(frozen=True, slots=True)
class _Placed:
    """A node with what it takes, so that of equal nodes those in equal places belong together."""

    node: Node
    source: str

    @property
    def sign(self) -> tuple[Any, ...]:
        """What the score of a pair depends on."""
        return self.node.key, self.node.output, self.node.params, self.node.macs, self.source


def _pairs(paper: Sequence[Node], found: Sequence[Node]) -> list[tuple[int, int]]:
    """The pairs of the best alignment in order (Needleman and Wunsch), equal beginnings and ends first."""
    first, second = (
        [_Placed(node, " and ".join(nodes[source].key for source in node.inputs)) for node in nodes] for nodes in (paper, found)
    )
    signs = [[placed.sign for placed in side] for side in (first, second)]
    shorter = min(len(paper), len(found))
    start = next((place for place in range(shorter) if signs[0][place] != signs[1][place]), shorter)
    end = next((place for place in range(shorter - start) if signs[0][-1 - place] != signs[1][-1 - place]), shorter - start)
    middle = _align_middle(first[start : len(paper) - end], second[start : len(found) - end])
    return [
        *((place, place) for place in range(start)),
        *((start + one, start + other) for one, other in middle),
        *((len(paper) - place, len(found) - place) for place in range(end, 0, -1)),
    ]


def _align_middle(paper: Sequence[_Placed], found: Sequence[_Placed]) -> list[tuple[int, int]]:
    """A row of the table of scores at a time; a gap costs 1, and the best score with gaps in a row is a running maximum."""
    if not paper or not found:
        return []
    unlike = {placed.sign: placed for placed in (*paper, *found)}
    numbers = {sign: number for number, sign in enumerate(unlike)}
    kinds = list(unlike.values())
    scores = np.array([[_score(first, second) for second in kinds] for first in kinds], dtype=np.int32)
    columns = np.array([numbers[placed.sign] for placed in found])
    ramp = np.arange(len(found) + 1, dtype=np.int32)
    above = -ramp
    came = np.zeros((len(paper) + 1, len(found) + 1), dtype=np.int8)  # 0 from the left, 1 from above, 2 a pair
    for row, placed in enumerate(paper, 1):
        paired = above[:-1] + scores[numbers[placed.sign]][columns]
        best = np.concatenate(([above[0]], np.maximum(above[1:], paired + 1))) - 1
        new = np.maximum.accumulate(best + ramp) - ramp
        came[row] = np.where(new == above - 1, 1, 0)
        came[row, 1:] = np.where(new[1:] == paired, 2, came[row, 1:])
        above = new
    return _traced_back(came)


def _traced_back(came: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    row, column = came.shape[0] - 1, came.shape[1] - 1
    pairs = []
    while row and column:
        match came[row, column]:
            case 2:
                row, column = row - 1, column - 1
                pairs.append((row, column))
            case 1:
                row -= 1
            case _:
                column -= 1
    return pairs[::-1]


@functools.cache
def _family(kind: str) -> int:
    return next((number for number, family in enumerate(_FAMILIES) if kind in family), -1)


def _score(first: _Placed, second: _Placed) -> int:
    paper, found = first.node, second.node
    alike = (paper.output == found.output) + (first.source == second.source)
    if paper.key == found.key:
        return _EQUAL + alike + ((paper.params, paper.macs) == (found.params, found.macs))
    if paper.kind == found.kind:
        return max(_CHANGED - len(_changes(paper, found)), 2) + alike
    return _REPLACED + alike if _family(paper.kind) == _family(found.kind) != -1 else _NEVER


# ---------------------------------------------------------------- what differs


def _differences(paper: Graph, found: Graph, pairs: Sequence[tuple[int, int]]) -> Iterator[Difference]:
    """In the order of both graphs; dead parameters last."""
    partner = dict(pairs)
    wired = _Wiring(paper, found, pairs)
    first = 0
    for number, node in enumerate(found.nodes):
        mate = wired.paper_of.get(number)
        if mate is None:
            yield _one_sided("extra", number, node)
            continue
        for missing in range(first, mate):
            if missing not in partner:
                yield _one_sided("missing", missing, paper.nodes[missing])
        first = mate + 1
        yield from _of_pair(paper.nodes[mate], node, mate, number, wired.other_inputs(mate, number))
    for missing in range(first, len(paper.nodes)):
        yield _one_sided("missing", missing, paper.nodes[missing])
    for name, values in found.dead:
        yield Difference("extra", f"here: {name}", None, f"{values:,d} parameters that never reach the output", values, 0)


def _of_pair(paper: Node, found: Node, mate: int, number: int, inputs: tuple[str, str] | None) -> Iterator[Difference]:
    changes = _changes(paper, found)
    if inputs:
        changes["inputs"] = inputs
    params, macs = found.params - paper.params, found.macs - paper.macs
    if not changes and not params and not macs:
        return
    texts = _texts(paper, found, changes)
    if inputs and len(changes) == 1:
        texts = (f"{paper.kind} of {inputs[0]}", f"{found.kind} of {inputs[1]}")
    elif not changes:
        texts = (f"{paper.kind} of {_cost(paper)}", f"{found.kind} of {_cost(found)}")
    where = f"{paper.name}; here: {found.name}"
    yield Difference("changed" if changes else "follows", where, *texts, params, macs, changes, (mate,), (number,))


def _texts(paper: Node, found: Node, changes: Mapping[str, Any]) -> tuple[str, str]:
    """Both operations, with the attributes that differ."""
    if paper.kind != found.kind:
        return paper.in_short(), found.in_short()
    short = (
        replace(node, attributes={name: value for name, value in node.attributes.items() if name in changes}) for node in (paper, found)
    )
    expected, was = map(str, short)
    return expected, was


def _cost(node: Node) -> str:
    return f"{node.params:,d} parameters, {node.macs:,d} MACs"


def _one_sided(kind: Any, number: int, node: Node) -> Difference:
    if kind == "missing":
        return Difference(kind, node.name, node.in_short(), None, -node.params, -node.macs, {}, (number,), ())
    return Difference(kind, f"here: {node.name}", None, node.in_short(), node.params, node.macs, {}, (), (number,))


def _changes(paper: Node, found: Node) -> dict[str, tuple[Any, Any]]:
    """Attributes that differ, as (expected, found)."""
    if paper.key == found.key:
        return {}
    if paper.kind != found.kind:
        return {"kind": (paper.kind, found.kind)}
    expected, has = paper.attributes, found.attributes
    names = dict.fromkeys((*expected, *has))
    one = {name: (expected.get(name), has.get(name)) for name in names}
    return {
        name: pair for name, pair in one.items() if Node("", (), (), "", {name: pair[0]}).key != Node("", (), (), "", {name: pair[1]}).key
    }


class _Wiring:
    """Whether the operations of a pair take the outputs of pairs, what is only on one side seen through."""

    def __init__(self, paper: Graph, found: Graph, pairs: Sequence[tuple[int, int]]) -> None:
        self.paper, self.found = paper, found
        self.paper_of = {second: first for first, second in pairs}
        self._paired = {first for first, _ in pairs}
        self._seen: dict[tuple[bool, int], frozenset[int]] = {}

    def other_inputs(self, mate: int, number: int) -> tuple[str, str] | None:
        """The names of what each of the two takes, where that isn't the same."""
        wanted = [self._sources(True, source) for source in self.paper.nodes[mate].inputs]
        given = [self._sources(False, source) for source in self.found.nodes[number].inputs]
        orders = [given, given[::-1]] if self.paper.nodes[mate].kind == "add" else [given]
        if any(len(order) == len(wanted) and all(map(_meet, wanted, order)) for order in orders):
            return None
        names = [node.inputs for node in (self.paper.nodes[mate], self.found.nodes[number])]
        expected = " and ".join(self.paper.nodes[source].name for source in names[0])
        return expected, " and ".join(self.found.nodes[source].name for source in names[1])

    def _sources(self, of_paper: bool, number: int) -> frozenset[int]:
        """Numbers in the paper's graph of the pairs from which a node's output comes, through nodes without a partner."""
        key = (of_paper, number)
        if key not in self._seen:
            paired = number in self._paired if of_paper else number in self.paper_of
            if paired:
                self._seen[key] = frozenset((number if of_paper else self.paper_of[number],))
            else:
                nodes = self.paper.nodes if of_paper else self.found.nodes
                self._seen[key] = frozenset().union(*(self._sources(of_paper, source) for source in nodes[number].inputs))
        return self._seen[key]


def _meet(first: frozenset[int], second: frozenset[int]) -> bool:
    return bool(first & second) or not first or not second


def _fingerprint(graph: Graph) -> tuple[Any, ...]:
    """Equal for equal graphs, whichever branch of an addition is written first."""
    known: list[int] = []
    for node in graph.nodes:
        inputs = [known[source] for source in node.inputs]
        known.append(hash((node.key, node.output, tuple(sorted(inputs) if node.kind == "add" else inputs))))
    return known[graph.output], len(known), graph.params, graph.macs
