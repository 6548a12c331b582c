"""A module of anybody's -> its graph, as it runs in evaluation mode and in training mode."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from repro.auditing.graph import Graph, Node
from repro.auditing.normalising import make_graph
from repro.auditing.ops import Op, export_ops
from repro.auditing.recognising import READERS_OF_SEVERAL
from repro.auditing.recording import record_ops
from repro.auditing.vocabulary import READERS, Builder
from repro.counting.with_torch import InMode
from repro.errors import ReproError
from repro.layers import Shape, size

_ONE_PATH = "read along the path that one input takes"
READERS.update(READERS_OF_SEVERAL)


def bare(module: nn.Module) -> nn.Module:
    """The module behind what wraps it: data parallelism, compilation. Raises ReproError for a ScriptModule."""
    while True:
        if isinstance(module, torch.jit.ScriptModule):
            raise ReproError(f"{type(module).__name__}: a ScriptModule has no Python code to trace; give the module that it was made from")
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def read_module(module: nn.Module, shape: Shape) -> Graph:
    """The graph of a module for images of ``shape`` (channels, height, width). Raises ReproError where it can't be run or traced.

    What differs between evaluation and training, BN's statistics and dropout apart, is a node of kind "other".
    """
    module = bare(module)
    if any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()]):
        # Code that indexes with a list makes a tensor of it, on the device of what is indexed: on meta its values would be lost.
        module = copy.deepcopy(module).to_empty(device="cpu")
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.valueless = True  # type: ignore[attr-defined]  # ops.py asks for it
    else:
        build_lazily(module, shape)
    evaluated = read_in_mode(module, shape, training=False)
    try:
        trained = read_in_mode(module, shape, training=True)
    except ReproError as error:
        return _other_in_training(evaluated, f"training mode can't be traced: {error}")
    return _both_modes(evaluated, trained)


def read_in_mode(module: nn.Module, shape: Shape, training: bool) -> Graph:
    """The graph in one mode: BN has "training" among its attributes."""
    names = {id(tensor): name for name, tensor in module.named_parameters()}
    x = _images(module, shape)
    with InMode(module, training):
        order, outputs, notes = _traced(module, x, shape)
    trainable = {names[id(tensor)]: tensor.numel() for tensor in module.parameters() if tensor.requires_grad}
    if not outputs:
        raise ReproError("its output isn't computed by torch's operations")
    index = _last_computed(order, outputs)
    if len(outputs) > 1:
        notes.append(f"{len(outputs)} outputs; number {index + 1} is taken, which is computed last")
    build = Builder(batch=2)
    build.values.update({id(op): build.emit("input", (), op.shape[1:], op) for op in order if op.name == "input"})
    for op in order:
        if op.name not in ("input", "parameter", "buffer", "constant"):
            build.read(op)
    graph = make_graph(build.nodes, build.node_of(outputs[index]), trainable, notes)
    return replace(graph, output_index=index, one_path=bool(notes) and _ONE_PATH in notes[0])


def _images(module: nn.Module, shape: Shape) -> Tensor:
    """Two, on the device and of the type of the module's first parameter."""
    known = (tensor for tensor in module.parameters() if not nn.parameter.is_lazy(tensor))
    like = next(known, torch.empty(0))
    return torch.zeros(2, *shape, device=like.device, dtype=like.dtype if like.is_floating_point() else None)


def _last_computed(order: Sequence[Op], outputs: Sequence[Op]) -> int:
    """Which of several outputs: features and auxiliary heads are computed before the scores."""
    place = {id(op): number for number, op in enumerate(order)}
    return max(range(len(outputs)), key=lambda number: place.get(id(outputs[number]), -1))


def build_lazily(module: nn.Module, shape: Shape) -> None:
    """One pass in evaluation mode, by which a module makes the layers that it makes late. Raises ReproError where it can't run."""
    try:
        with InMode(module, training=False), torch.no_grad():
            module(_images(module, shape))
    except Exception as error:
        raise ReproError(f"can't be run on {size(shape)}: {_first_line(error)}") from error


def _traced(module: nn.Module, x: Tensor, shape: Shape) -> tuple[list[Op], list[Op], list[str]]:
    """By torch.export, or, where that fails, along the path that one input takes."""
    try:
        with _in_silence():
            return *export_ops(module, x), []
    except Exception as error:
        failed = _first_line(error)
    try:
        return *record_ops(module, x), [f"torch.export can't read it ({failed}); {_ONE_PATH}"]
    except Exception as error:
        raise ReproError(f"can't be run or traced on {size(shape)}: {_first_line(error)}; torch.export: {failed}") from error


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """torch.export logs and prints, over many lines, why it gives up; its exception says so too."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _both_modes(evaluated: Graph, trained: Graph) -> Graph:
    """The graph in training mode, with what isn't as usual in evaluation mode as attributes: dropout that acts, BN's statistics."""
    plain, pairs = _without_dropout(evaluated), _without_dropout(trained)
    if [row[1:] for row in plain] != [row[1:] for row in pairs]:
        place = next((pair[0] for row, pair in zip(plain, pairs, strict=False) if row[1:] != pair[1:]), len(trained.nodes) - 1)
        text = f"training mode runs another network than evaluation mode, from {trained.nodes[place].name} on"
        return _other_in_training(evaluated, text, trained)
    partner = {number: other for (number, *_), (other, *_) in zip(pairs, plain, strict=True)}
    acting, trained_ones = (
        {graph.nodes[node.inputs[0]].name for node in graph.nodes if _is_dropout(node)} for graph in (evaluated, trained)
    )
    if acting - trained_ones:
        return _other_in_training(evaluated, "dropout acts in evaluation mode and not in training mode", trained)
    nodes = []
    for number, node in enumerate(trained.nodes):
        attributes = dict(node.attributes)
        if _is_dropout(node) and trained.nodes[node.inputs[0]].name in acting:
            attributes["always"] = True
        if node.kind == "batchnorm":
            modes = (evaluated.nodes[partner[number]].attributes["training"], attributes.pop("training"))
            if modes != (False, True):
                attributes["statistics"] = "batch" if modes[0] else "running"
        nodes.append(replace(node, attributes=attributes))
    notes = tuple(dict.fromkeys(evaluated.notes + trained.notes))
    return replace(trained, nodes=tuple(nodes), notes=notes, one_path=evaluated.one_path or trained.one_path)


def _is_dropout(node: Node) -> bool:
    return "dropout" in node.kind


def _without_dropout(graph: Graph) -> list[tuple[Any, ...]]:
    """(number, key without BN's mode, inputs, weights) of each node but dropouts."""
    place: dict[int, int] = {}
    rows: list[tuple[Any, ...]] = []
    for number, node in enumerate(graph.nodes):
        if _is_dropout(node):
            place[number] = place[node.inputs[0]]
            continue
        place[number] = len(rows)
        same = replace(node, attributes={name: value for name, value in node.attributes.items() if name != "training"})
        rows.append((number, same.key, tuple(place[source] for source in node.inputs), node.weights))
    return rows


def _other_in_training(evaluated: Graph, text: str, trained: Graph | None = None) -> Graph:
    """The graph in evaluation mode with one more node, which says that training isn't the same."""
    nodes = [
        replace(node, attributes={name: value for name, value in node.attributes.items() if name != "training"}) for node in evaluated.nodes
    ]
    alive = dict(evaluated.dead)
    if trained is not None:
        for name, _ in trained.dead:
            alive.pop(name, None)
    output = nodes[evaluated.output]
    more = Node(
        "other", (evaluated.output,), output.output, "training", {"op": "another network in training mode"}, (), sum(alive.values())
    )
    dead = tuple((name, number) for name, number in evaluated.dead if trained is not None and (name, number) in trained.dead)
    if trained is None:
        more, dead = replace(more, params=0), evaluated.dead
    return Graph((*nodes, more), len(nodes), dead, (*evaluated.notes, text))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
