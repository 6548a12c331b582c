"""One audit: which network it is held against and on which input, what differs, the verdict, the proof."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from repro.auditing.aligning import Alignment, align, likeness
from repro.auditing.allowed import place_of_zeros, read_as
from repro.auditing.graph import Graph
from repro.auditing.naming import is_in_a_paper, name_differences
from repro.auditing.paper import paper_graph
from repro.auditing.reading import bare, read_module
from repro.auditing.results import Audit, Difference
from repro.errors import ReproError
from repro.layers import Shape, size
from repro.tables import Ledger, Network, load_ledger

#: The nearest few by likeness are aligned.
_TRIED = 3
#: Another input than the paper's own, that its networks may be written for.
_OTHER_INPUTS: dict[str, Shape] = {"alexnet.toml": (3, 227, 227), "lenet5.toml": (1, 28, 28)}


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
        with without_random_weights():
            model = model()
    if not isinstance(model, nn.Module):
        raise ReproError(f"{type(model).__name__} is no nn.Module and makes none; give a module, or a function that makes one")
    return bare(model)


def compare_module(module: nn.Module, network: Network | None, shape: Shape | None) -> Comparison:
    """The module beside the network, or beside the nearest one, on images of ``shape``, or of the shape that fits best of those that
    people take. Raises ReproError where it can't be run or traced.
    """
    if shape is not None:
        graph = read_module(module, shape)
        return _beside(network, graph) if network else _nearest(graph)
    networks = [network] if network else list(map(_ledger().network, _ledger().networks))
    own = list(dict.fromkeys(one.input for one in networks))
    others = list(dict.fromkeys(_OTHER_INPUTS[one.paper.file] for one in networks if one.paper.file in _OTHER_INPUTS))
    beside = functools.partial(_beside, network) if network else _nearest
    found = [beside(graph) for graph in _graphs(module, own)]
    if not found:
        found = [beside(graph) for graph in _graphs(module, others)]
    elif (best := _likest(found)).alignment.differences:
        other = _OTHER_INPUTS.get(best.network.paper.file)
        found = [best, *(_beside(best.network, graph) for graph in _graphs(module, [other] if other else []))]
    if not found:
        raise _runs_on_none(module, [*own, *others])
    return _likest(found)


def _graphs(module: nn.Module, shapes: Iterable[Shape]) -> list[Graph]:
    """The module's graphs on those of these inputs that it takes."""
    graphs = []
    for shape in shapes:
        with contextlib.suppress(ReproError):
            graphs.append(read_module(module, shape))
    return graphs


def _runs_on_none(module: nn.Module, shapes: Sequence[Shape]) -> ReproError:
    """Why, of the input that its first convolution would take."""
    channels = next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    likely = next((shape for shape in shapes if shape[0] == channels), shapes[0])
    try:
        read_module(module, likely)
    except ReproError as error:
        tried = f"; {', '.join(map(size, shapes))} were tried" if len(shapes) > 1 else ""
        return ReproError(f"{error}{tried}")
    raise AssertionError(f"it does run on {size(likely)}")


def _likest(found: Iterable[Comparison]) -> Comparison:
    """The one with the fewest differences, or the most operations in common, or costs that are the paper's, or the smallest images."""
    return min(found, key=lambda one: (one.alignment.cost, -one.alignment.near, len(one.alignment.differences), one.alignment.found.input))


def _beside(network: Network, graph: Graph) -> Comparison:
    paper, notes = read_as(network, papers()[network.name], graph)
    alignment = align(paper, graph)
    if network.entry.code_of:
        notes.append(f"no paper prints {network.name}: public code makes it of {network.entry.code_of}")
    return Comparison(network, alignment, (*graph.notes, *notes, *place_of_zeros(paper, graph, alignment.pairs)))


def _nearest(graph: Graph) -> Comparison:
    """The network with the fewest differences, of the few that have the most operations in common; if no paper prints it, the printed
    network of which public code makes it.
    """
    order = sorted(papers(), key=lambda name: -likeness(papers()[name], graph))
    found = min((_beside(_ledger().network(name), graph) for name in order[:_TRIED]), key=lambda one: one.alignment.cost)
    printed = found.network.entry.code_of
    return _beside(_ledger().network(printed), graph) if printed else found


@functools.cache
def _ledger() -> Ledger:
    return load_ledger()


@functools.cache
def papers() -> dict[str, Graph]:
    """The graphs of all networks of the ledger, by name."""
    return {name: paper_graph(_ledger().network(name)) for name in _ledger().networks}


def _judged(target: str, module: nn.Module, found: Comparison, proof: bool) -> Audit:
    """The audit: verdict by the names of the differences, and by the proof where there are none."""
    alignment, name = found.alignment, found.network.name
    paper, graph = alignment.paper, alignment.found
    named = name_differences(name, paper, graph, alignment.differences)
    verdict = named.verdict
    if named.differences and verdict != "exact" and not is_in_a_paper(graph, papers().values()):
        verdict = "not-paper"
    result = Audit(
        target, name, verdict, graph.params, graph.macs, paper.params, paper.macs, named.differences, None, found.notes, None,
        alignment.near, graph.input,
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
    sure = proven.text is not None and not graph.one_path
    result = replace(result, verdict="exact" if sure else "same-structure", notes=(*result.notes, *proven.notes))
    if proven.departs:
        where, expected, was = proven.departs
        row = Difference("changed", where, expected, was, 0, 0, name="other numbers from the same structure")
        return replace(result, verdict="wrong", differences=(row,), proof=proven.text)
    return replace(result, proof=proven.text)


@contextlib.contextmanager
def without_random_weights() -> Iterator[None]:
    """Leaves out torch.nn.init's random numbers for parameters, which take most of the time of building and touch all memory.

    Nobody looks at them; what a buffer holds may matter.
    """
    before = {name: getattr(nn.init, name) for name in _RANDOM}
    try:
        for name, function in before.items():
            setattr(nn.init, name, functools.partial(_unless_parameter, function))
        yield
    finally:
        for name, function in before.items():
            setattr(nn.init, name, function)


def _unless_parameter(function: Callable[..., Any], tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    return tensor if isinstance(tensor, nn.Parameter) else function(tensor, *args, **kwargs)


_RANDOM = (
    "uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_",
)  # fmt: skip
