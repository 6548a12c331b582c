"""Two networks of equal structure on the same weights and random inputs, in float64: equal within rounding, or where they depart.

In evaluation mode the outputs are compared; in training mode (statistics of the batch, dropout off, since its masks are random)
outputs, running statistics and the gradient of every parameter.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from repro.auditing.aligning import Alignment
from repro.auditing.borrowing import Borrowed, WithoutDropout, random_state
from repro.auditing.carrying import Carried, carried_weights, carry_all, tensors_of
from repro.auditing.graph import Node
from repro.auditing.recording import tensors_in
from repro.building import build
from repro.errors import ReproError
from repro.tables import Network

#: Relative to the largest value; rounding may cost more in a deep network, which is measured.
_TOLERANCE = 1e-9
#: Rounding differs by that much more than a change of the input in its last digit, and never counts for more than the cap.
_MARGIN, _CAP, _CAP_FLOAT32 = 100, 1e-4, 2e-3
_BATCH = 2
#: Values that are compared at once, for the sake of memory.
_AT_A_TIME = 2**22


@dataclass(frozen=True, slots=True)
class Proof:
    """What was run and how it came out; ``departs`` is (where, expected, found) of the first difference. ``text`` is None unproven."""

    text: str | None
    departs: tuple[str, str, str] | None = None
    notes: tuple[str, ...] = ()


class _Departure(Exception):
    """(where, expected, found): what the candidate does and the paper's network doesn't."""


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
            with Borrowed(module, dtype), WithoutDropout() as dropout, torch.random.fork_rng(devices=[]):
                return _Run(network, module, alignment, carried, dtype, dropout).proof()
        except _Departure as departure:
            where, expected, found = departure.args
            return Proof(f"departs: {where} is {found}, not {expected}", departure.args)
        except RuntimeError as error:
            failed = failed or error
    raise ReproError(f"the same structure, but it can't be run: {failed}")


class _Run:
    """Both networks with the same weights."""

    def __init__(
        self,
        network: Network,
        module: nn.Module,
        alignment: Alignment,
        carried: Sequence[Carried],
        dtype: torch.dtype,
        dropout: WithoutDropout,
    ) -> None:
        self.alignment, self.carried, self.dtype, self.dropout = alignment, carried, dtype, dropout
        self.generator = torch.Generator().manual_seed(0)
        self.found = module
        self.tensors = tensors_of(self.found)
        self._fill()
        self.paper = paper_module(network, alignment)
        self._share()
        self.x = torch.randn(_BATCH, *alignment.found.input, generator=self.generator, dtype=self.dtype)
        self.worst, self.usual = 0.0, _TOLERANCE if self.dtype == torch.float64 else 1e-4

    def proof(self) -> Proof:
        """First in training mode, so that the running statistics that evaluation uses are those of the data."""
        self._check_codes()
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
        if self.dtype == torch.float64:
            for net in (self.paper, self.found):
                net.zero_grad(set_to_none=True)  # two networks' gradients are gigabytes
            self._check_in_float32()
        gradients = sum(parameter.requires_grad for parameter in self.paper.parameters())
        return Proof(
            f"outputs in evaluation and training mode and the gradients of {gradients} tensors are equal on the same random weights and "
            f"inputs, in {digits}; largest relative difference {self.worst:.1g}"
        )

    def _run(self, x: Tensor, training: bool) -> Tensor:
        """The candidate's output. Raises _Departure where it draws random numbers, or where dropout acts and its graph has none."""
        before, self.dropout.acted = random_state(), 0
        output = output_of(self.found.train(training)(x), self.alignment.found.output_index)
        if random_state() != before:
            raise _Departure("computation", "the same each time, dropout apart", "one that draws random numbers")
        kept = [node for node in self.alignment.found.nodes if "dropout" in node.kind and (training or node.attributes.get("always"))]
        if bool(kept) != bool(self.dropout.acted):
            mode = "training" if training else "evaluation"
            raise _Departure(f"dropout in {mode} mode", *(("acting", "not acting") if kept else ("not acting", "acting")))
        return output

    def _check_codes(self) -> None:
        """LeNet-5's codes are drawn by hand, in black and white."""
        for node in self.alignment.found.nodes:
            for weight in node.weights:
                if weight.role == "codes" and not bool((self.tensors[weight.name].abs() == 1).all()):
                    raise _Departure(node.name, "codes of -1 and 1", "other codes")

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
        """Outputs for several images, for one, of larger values, and for an odd number."""
        inputs = {"output": self.x, "output of one image": 255 * self.x[:1], "output of three images": torch.cat((self.x, self.x[:1]))}
        for what, x in inputs.items():
            with torch.no_grad():
                yield what, self.paper.eval()(x), self._run(x, training=False)

    def _check_in_float32(self) -> None:
        """Once more in float32, which autocast and casts don't leave alone."""
        x = self.x.float()
        with torch.no_grad():
            exact = self.paper.eval()(self.x)
            self.paper.float()
            for tensor in [*self.found.parameters(), *self.found.buffers()]:
                tensor.data = tensor.data.float() if tensor.is_floating_point() else tensor.data
            rounded, found = self.paper(x), self._run(x, training=False)
        tolerance = min(max(1e-4, _MARGIN * apart_by(exact, rounded)), _CAP_FLOAT32)
        if (apart := apart_by(rounded, found)) > tolerance:
            raise _Departure("arithmetic in float32", f"equal within {tolerance:.0e}", f"apart by {apart:.2g} of the largest value")

    def _train(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Outputs, gradients, statistics. Each network takes its turn, so that one holds its activations at a time."""
        self._part_statistics()
        carried = {name for one in self.carried for name in one.names}
        others = {name: tensor for name, tensor in self.found.named_buffers() if name not in carried and "num_batches" not in name}
        before = {name: tensor.clone() for name, tensor in others.items()}
        towards = None
        outputs = []
        for net in (self.paper, self.found):
            net.requires_grad_(True)
            output = net.train()(self.x) if net is self.paper else self._run(self.x, training=True)
            if towards is None:
                towards = torch.randn(output.shape, generator=self.generator, dtype=output.dtype)
            if not output.requires_grad:
                raise _Departure("gradients", "one for every parameter", "none: the network runs without them")
            torch.autograd.backward((output * towards.reshape(output.shape)).sum())
            outputs.append(output.detach())
            del output
        yield "output", outputs[0], outputs[1]
        for name in others:
            if not torch.equal(before[name], self.found.get_buffer(name)):
                raise _Departure(f"buffer {name}", "as it was", "changed by training")
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


def output_of(output: Any, index: int) -> Tensor:
    """The tensor with this number of what a module gives, however it is nested."""
    tensors = tensors_in(output)
    if index >= len(tensors):
        raise ReproError(f"its output was {index + 1} tensors or more, and now is {len(tensors)}")
    return tensors[index]


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
