"""Two networks of equal structure on the same weights and random inputs, in float64: equal within rounding, or where they depart.

In evaluation mode the outputs are compared; in training mode (statistics of the batch, dropout off, since its masks are random)
outputs, running statistics and the gradient of every parameter.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from repro.auditing.aligning import Alignment
from repro.auditing.carrying import Carried, carried_weights, carry_all, tensors_of
from repro.auditing.graph import Node
from repro.building import build
from repro.errors import ReproError
from repro.tables import Network

#: Relative to the largest value; rounding may cost more in a deep network, which is measured.
_TOLERANCE = 1e-9
#: Rounding differs by that much more than a change of the input in its last digit, and never counts for more than the cap.
_MARGIN, _CAP = 100, 1e-4
_BATCH = 2
#: Values that are compared at once, for the sake of memory.
_AT_A_TIME = 2**22


@dataclass(frozen=True, slots=True)
class Proof:
    """What was run and how it came out; ``departs`` is (where, expected, found) of the first difference. ``text`` is None unproven."""

    text: str | None
    departs: tuple[str, str, str] | None = None
    notes: tuple[str, ...] = ()


def prove(network: Network, module: nn.Module, alignment: Alignment) -> Proof:
    """Runs both; the module isn't changed. It must have its values, and run on the CPU."""
    if any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()]):
        return Proof(None, notes=("not proven: the module is on the meta device, without values",))
    try:
        carried = list(carried_weights(alignment))
    except ValueError as error:
        return Proof(f"structure equal, order of channels isn't: {error}", (str(error), "the same maps", "maps in another order"))
    failed = None
    for dtype in (torch.float64, torch.float32):
        try:
            with _WithoutDropout(), torch.random.fork_rng(devices=[]):
                return _Run(network, module, alignment, carried, dtype).proof()
        except RuntimeError as error:
            failed = failed or error
    raise ReproError(f"the same structure, but it can't be run: {failed}")


class _Run:
    """Both networks with the same weights."""

    def __init__(self, network: Network, module: nn.Module, alignment: Alignment, carried: Sequence[Carried], dtype: torch.dtype) -> None:
        self.alignment, self.carried, self.dtype = alignment, carried, dtype
        self.generator = torch.Generator().manual_seed(0)
        self.found = copy.deepcopy(module).to("cpu", dtype).requires_grad_(False)
        self.tensors = tensors_of(self.found)
        self._fill()
        self.paper = paper_module(network, alignment)
        self._share()
        self.x = torch.randn(_BATCH, *alignment.found.input, generator=self.generator, dtype=dtype)
        self.worst, self.usual = 0.0, _TOLERANCE if dtype == torch.float64 else 1e-4

    def proof(self) -> Proof:
        """First in training mode, so that the running statistics that evaluation uses are those of the data."""
        self._calibrate()
        for mode, run in (("evaluation", self._evaluate), ("training", self._train)):
            tolerance = self.usual
            for where, expected, found in run():
                apart = apart_by(expected, found)
                self.worst = max(self.worst, apart)
                if apart > tolerance == self.usual:
                    tolerance = self._tolerance(mode == "training")
                if apart > tolerance:
                    place = self._first_departure(mode == "training", tolerance)
                    text = f"departs in {mode} mode: {place or where} by {apart:.2g} of the largest value"
                    return Proof(text, (place or where, f"equal within {tolerance:.0e} in {mode} mode", f"apart by {apart:.2g}"))
        digits = "float64" if self.dtype == torch.float64 else "float32"
        gradients = sum(parameter.requires_grad for parameter in self.paper.parameters())
        return Proof(
            f"outputs in evaluation and training mode and the gradients of {gradients} tensors are equal on the same random weights and "
            f"inputs, in {digits}; largest relative difference {self.worst:.1g}"
        )

    def _fill(self) -> None:
        """Random weights, of a size that keeps the values of the network near 1."""
        for node in self.alignment.found.nodes:
            for weight in node.weights:
                tensor = self.tensors[weight.name]
                if weight.role == "codes":
                    continue
                if weight.role == "weight" and node.kind != "batchnorm":
                    scale = (2 / max(1, tensor[0].numel())) ** 0.5
                    tensor.normal_(0, scale, generator=self.generator)
                elif weight.role in ("weight", "running_var", "coefficient"):
                    tensor.uniform_(0.5, 1.5, generator=self.generator)
                else:
                    tensor.normal_(0, 0.2, generator=self.generator)

    def _share(self) -> None:
        """The paper's network gets the candidate's weights, the same memory where they have the same order."""
        self.paper.load_state_dict(carry_all(self.carried, self.tensors, self.paper), assign=True)
        self.paper.requires_grad_(False)

    def _calibrate(self) -> None:
        """Running statistics are set to those of the inputs, and a little beside them."""
        norms = [part for part in self.paper.modules() if isinstance(part, nn.BatchNorm2d)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        self.paper.train()
        with torch.no_grad():
            self.paper(self.x)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for one in self.carried:
            if one.paper.endswith(("running_mean", "running_var")):
                value = self.paper.get_buffer(one.paper)
                value *= torch.empty_like(value).uniform_(0.8, 1.2, generator=self.generator)
                one.give_back(value, self.tensors)
        for one in self.carried:  # where memory is shared, the candidate's is the paper's again
            if one.paper.endswith(("running_mean", "running_var")):
                self.paper.get_buffer(one.paper).copy_(one.carry(self.tensors))

    def _evaluate(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        with torch.no_grad():
            yield "output", self.paper.eval()(self.x), first_output(self.found.eval()(self.x))

    def _train(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Outputs, gradients, statistics. Each network takes its turn, so that one holds its activations at a time."""
        self._part_statistics()
        towards = None
        outputs = []
        for net in (self.paper, self.found):
            names = {id(tensor): name for name, tensor in net.named_parameters()}
            learnt = [tensor for tensor in net.parameters() if id(tensor) in names]
            for tensor in learnt:
                tensor.requires_grad_(True)
            output = first_output(net.train()(self.x))
            if towards is None:
                towards = torch.randn(output.shape, generator=self.generator, dtype=output.dtype)
            torch.autograd.backward((output * towards.reshape(output.shape)).sum())
            outputs.append(output.detach())
            del output
        yield "output", outputs[0], outputs[1]
        gradients = {name: tensor.grad for name, tensor in self.found.named_parameters(remove_duplicate=False)}
        for one in self.carried:
            place = self.paper.get_parameter(one.paper) if one.paper in dict(self.paper.named_parameters()) else None
            if place is None:
                yield one.paper, self.paper.get_buffer(one.paper), one.carry(self.tensors)
            elif any(gradients.get(name) is None for name in one.names) or place.grad is None:
                yield f"gradient of {one.paper}", torch.ones(1), torch.full((1,), float("inf"))
            else:
                yield f"gradient of {one.paper}", place.grad, one.carry(cast(Mapping[str, Tensor], gradients))

    def _part_statistics(self) -> None:
        """Running statistics in memory of their own, so that each network updates its own."""
        for module in self.paper.modules():
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = buffer.clone()

    def _tolerance(self, training: bool) -> float:
        """How far rounding may take the two apart: what a change of the input in its last digit does to the paper's network."""
        kept = {name: tensor.clone() for name, tensor in self.paper.named_buffers()}
        tiny = 4 * torch.finfo(self.dtype).eps
        noise = 1 + tiny * torch.randn(self.x.shape, generator=self.generator, dtype=self.dtype)
        with torch.no_grad():
            outputs = [self.paper.train(training)(x) for x in (self.x, self.x * noise)]
        for name, tensor in self.paper.named_buffers():
            tensor.copy_(kept[name])
        return min(max(self.usual, _MARGIN * apart_by(*outputs)), _CAP)

    def _first_departure(self, training: bool, tolerance: float) -> str:
        """The first operation whose modules, in both networks, give other values. Empty where no module shows it."""
        pairs = [(self.alignment.paper.nodes[first], self.alignment.found.nodes[second]) for first, second in self.alignment.pairs]
        with torch.no_grad():
            expected = _outputs(self.paper.train(training), [paper.name for paper, _ in pairs], self.x)
            found = _outputs(self.found.train(training), [node.name for _, node in pairs], self.x)
        for paper, node in pairs:
            if paper.name in expected and node.name in found and expected[paper.name].numel() == found[node.name].numel():
                first, second = expected[paper.name], found[node.name]
                if not apart_by(first.flatten().sort().values, second.flatten().sort().values) <= tolerance:  # in whatever order of maps
                    return f"{paper.name}; here: {node.name}"
        return ""


def paper_module(network: Network, alignment: Alignment) -> nn.Module:
    """The network of the ledger on the meta device, in the reading that the alignment has."""
    net = build(network, "meta")
    for node in alignment.paper.nodes:
        if node.kind in _READINGS and node.name in (modules := dict(net.named_modules())):
            _READINGS[node.kind](modules[node.name], node)
    return net


def _read_conv(module: Any, node: Node) -> None:
    module.padding = node.attributes["padding"]


def _read_norm(module: Any, node: Node) -> None:
    module.eps, module.momentum = node.attributes["eps"], node.attributes["momentum"]


def _read_pool(module: Any, node: Node) -> None:
    module.padding, module.ceil_mode = node.attributes["padding"], node.attributes["ceil_mode"]


_READINGS: dict[str, Callable[[Any, Node], None]] = {"conv": _read_conv, "batchnorm": _read_norm, "maxpool": _read_pool}


def apart_by(expected: Tensor, found: Tensor) -> float:
    """The largest difference relative to the largest value; infinite where the shapes don't fit or a value isn't finite."""
    if expected.numel() != found.numel():
        return float("inf")
    largest = apart = 0.0
    parts = (torch.split(tensor.detach().flatten(), _AT_A_TIME) for tensor in (expected, found))
    for first, second in zip(*parts, strict=True):
        largest = max(largest, first.abs().max().item())
        difference = (first - second).abs().max().item()
        apart = max(apart, difference if math.isfinite(difference) else float("inf"))
    return apart / max(largest, 1e-30)


def first_output(output: Any) -> Tensor:
    """The first tensor of what a module gives."""
    if isinstance(output, Tensor):
        return output
    parts = list(output.values()) if isinstance(output, Mapping) else list(output)
    return first_output(parts[0])


def _outputs(net: nn.Module, names: Sequence[str], x: Tensor) -> dict[str, Tensor]:
    """What the modules of these names give, the first time they run."""
    found: dict[str, Tensor] = {}
    modules = dict(net.named_modules())
    with contextlib.ExitStack() as stack:
        for name in dict.fromkeys(names):
            if name and name in modules:

                def keep(module: nn.Module, args: Any, output: Any, name: str = name) -> None:
                    if isinstance(output, Tensor):
                        found.setdefault(name, output.clone())

                stack.callback(modules[name].register_forward_hook(keep).remove)
        net(x)
    return found


class _WithoutDropout(TorchFunctionMode):
    """Dropout gives its input back: its masks are random, and its place and rate are compared as structure."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DROPOUTS:
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)


_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout)
