"""One audit: which network it is held against and on which input, what differs, the verdict, the proof."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from repro.auditing.aligning import Alignment, align, likeness
from repro.auditing.allowed import place_of_zeros, read_as
from repro.auditing.graph import Graph
from repro.auditing.naming import is_in_a_paper, name_differences
from repro.auditing.paper import paper_graph
from repro.auditing.reading import bare, read_module
from repro.auditing.results import Audit, Difference
from repro.errors import ReproError
from repro.layers import Shape
from repro.tables import Ledger, Network, load_ledger

#: The nearest few by likeness are aligned.
_TRIED = 3
#: Inputs that a network may be written for besides the paper's own.
_OTHER_INPUTS: dict[Shape, tuple[Shape, ...]] = {(3, 224, 224): ((3, 227, 227),), (1, 32, 32): ((1, 28, 28),)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate beside one network of the ledger, in the candidate's reading."""

    network: Network
    alignment: Alignment
    notes: tuple[str, ...]


def compare(model: nn.Module | Callable[[], nn.Module], as_: str | None, input: Sequence[int] | None, proof: bool) -> Audit:
    """See :func:`repro.auditing.audit`."""
    ledger = _ledger()
    target = as_ and ledger.network(as_)
    module = module_of(model)
    name = getattr(model, "__name__", type(module).__name__)
    try:
        found = compare_module(module, target or None, tuple(input) if input else None)
    except ReproError as error:
        return Audit(name, as_, "error", error=str(error))
    return _judged(name, module, found, proof)


def module_of(model: object) -> nn.Module:
    """A module as it is, or what a callable makes. Raises ReproError for anything else."""
    if not isinstance(model, nn.Module) and callable(model):
        with _WithoutInitialisation():
            model = model()
    if not isinstance(model, nn.Module):
        raise ReproError(f"{type(model).__name__} is no nn.Module and makes none; give a module, or a function that makes one")
    return bare(model)


def compare_module(module: nn.Module, network: Network | None, shape: Shape | None) -> Comparison:
    """The module beside the network, or beside the nearest one. Raises ReproError where it can't be run or traced."""
    if network is not None:
        return _on_its_input(module, network, shape)
    if shape is not None:
        return _nearest(read_module(module, shape))
    inputs = dict.fromkeys(_ledger().network(name).input for name in _ledger().networks)
    try:
        found = _likest(map(_nearest, _graphs(module, inputs)))
    except ReproError as error:  # it takes none of the papers' own inputs
        try:
            return _likest(map(_nearest, _graphs(module, itertools.chain(*_OTHER_INPUTS.values()))))
        except ReproError:
            raise error from None
    return _on_its_input(module, found.network, None) if found.alignment.differences else found


def _likest(found: Iterable[Comparison]) -> Comparison:
    """The one with the fewest differences, or, of several, with the most operations in common."""
    return min(found, key=lambda one: (one.alignment.cost, -one.alignment.near))


def _on_its_input(module: nn.Module, network: Network, shape: Shape | None) -> Comparison:
    """On the paper's input; where the module doesn't take that, or differs on it, on another that people take."""
    found: Comparison | None = None
    failed: ReproError | None = None
    for one in [shape] if shape else [network.input, *_OTHER_INPUTS.get(network.input, ())]:
        try:
            tried = _beside(network, read_module(module, one))
        except ReproError as error:
            failed = failed or error
            continue
        if found is None or tried.alignment.cost < found.alignment.cost:
            found = tried
        if not found.alignment.differences:
            break
    if found is None:
        assert failed is not None
        raise failed
    return found


def _graphs(module: nn.Module, shapes: Iterable[Shape]) -> list[Graph]:
    """The module's graphs on those of these inputs that it takes. Raises ReproError where it takes none."""
    graphs, failed = [], []
    for shape in shapes:
        try:
            graphs.append(read_module(module, shape))
        except ReproError as error:
            failed.append(error)
    if not graphs:
        raise failed[0]
    return graphs


def _beside(network: Network, graph: Graph) -> Comparison:
    paper, notes = read_as(network, _papers()[network.name], graph)
    rows = {layer.name: network.table.rows[row].name for layer, row in zip(network.layers, network.rows, strict=True)}
    alignment = align(paper, graph, rows)
    return Comparison(network, alignment, (*graph.notes, *notes, *place_of_zeros(paper, graph, alignment.pairs)))


def _nearest(graph: Graph) -> Comparison:
    """The network with the fewest differences, of the few that have the most operations in common."""
    order = sorted(_papers(), key=lambda name: -likeness(_papers()[name], graph))
    return min((_beside(_ledger().network(name), graph) for name in order[:_TRIED]), key=lambda one: one.alignment.cost)


@functools.cache
def _ledger() -> Ledger:
    return load_ledger()


@functools.cache
def _papers() -> dict[str, Graph]:
    return {name: paper_graph(_ledger().network(name)) for name in _ledger().networks}


def _judged(target: str, module: nn.Module, found: Comparison, proof: bool) -> Audit:
    """The audit: verdict by the names of the differences, and by the proof where there are none."""
    alignment, name = found.alignment, found.network.name
    paper, graph = alignment.paper, alignment.found
    named = name_differences(name, paper, graph, alignment.differences)
    verdict = named.verdict
    if named.differences and verdict != "exact" and not is_in_a_paper(graph, _papers().values()):
        verdict = "not-paper"
    result = Audit(
        target, name, verdict, graph.params, graph.macs, paper.params, paper.macs, named.differences, None, found.notes, None,
        alignment.near,
    )  # fmt: skip
    if verdict != "exact":
        return result
    if not proof:
        return replace(result, verdict="same-structure")
    from repro.auditing.proving import prove

    try:
        proven = prove(found.network, module, alignment)
    except ReproError as error:
        return replace(result, verdict="error", error=str(error))
    result = replace(result, verdict="exact" if proven.text else "same-structure", notes=(*result.notes, *proven.notes))
    if proven.departs:
        where, expected, was = proven.departs
        row = Difference("changed", where, expected, was, 0, 0, name="other numbers from the same structure")
        return replace(result, verdict="wrong", differences=(row,), proof=proven.text)
    return replace(result, proof=proven.text)


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves out torch.nn.init, whose random numbers take most of the time of building, and which nothing here looks at."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
