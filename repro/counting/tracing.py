"""The network that runs, layer by layer, as one pass on the meta device shows it.

A TorchFunctionMode sees each functional call with its constants (``conv2d(x, weight, bias, stride, ...)``), which
is the level at which papers describe networks. Within each call torch's FLOP formulas are added up, so the MACs
of a layer are torch's count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro import building
from repro.counting.with_torch import FlopFormulas, InMode, OnMeta, Shortcuts, WhoRuns
from repro.layers import Layer, Shape
from repro.tables import Network


@dataclass(frozen=True, slots=True)
class Trace:
    """What ran: the layers in their order, and what torch's formulas counted of them.

    ``torch_macs`` lacks the layers that torch has no formula for; ``unseen`` names those with their MACs.
    """

    layers: tuple[Layer, ...]
    torch_macs: int
    unseen: dict[str, int]

    @property
    def params(self) -> int:
        """Trainable parameters, those that no layer uses included."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, the unseen layers' included."""
        return sum(layer.macs for layer in self.layers)


def build_to_trace(network: Network) -> building.PaperNet:
    """A network of the ledger on the meta device, which takes neither memory nor time."""
    with OnMeta():
        return building.build(network, "meta")


def trace(module: nn.Module, shape: Shape, *, training: bool = False) -> Trace:
    """The layers that run for one input of ``shape`` (without the batch). The module must be on the meta device.

    Parameters that no layer uses end the list as layers of kind "unused". In training mode a network must show the
    same layers as in evaluation mode: a dropout or BN whose own mode is another says so in its constants.
    """
    module = getattr(module, "_orig_mod", module)
    with InMode(module, training), torch.no_grad(), FlopFormulas() as formulas:
        x = torch.empty(1, *shape, device="meta")
        with WhoRuns(module) as running, _LayerRecorder(module, x, formulas, running, training) as recorder:
            module(x)
    layers = [*recorder.layers, *recorder.unused()]
    unseen = {layer.name: layer.macs for layer in layers if layer.kind == "rbf"}
    return Trace(tuple(layers), formulas.flops // 2, unseen)


class _LayerRecorder(Shortcuts):
    """Writes down each functional call that makes a tensor, under the name of the module that calls it."""

    def __init__(self, module: nn.Module, x: Tensor, formulas: FlopFormulas, running: WhoRuns, training: bool) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self._formulas = formulas
        self._training = training
        self._module = module
        self._running = running
        self._names: dict[str, int] = {}
        self._made_by = {id(x): "input"}
        self._alive: list[Tensor] = [x]  # an id is only a name while the tensor lives
        self._pending = {id(p): (name, p.numel()) for name, p in module.named_parameters() if p.requires_grad}
        self._made_of = {number: {number} for number in self._pending}  # tensors computed from parameters alone

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = self._formulas.flops
        out = super().__torch_function__(func, types, args, kwargs)
        values = [*args, *kwargs.values()]
        outputs = [value for value in (out if isinstance(out, tuple | list) else [out]) if isinstance(value, Tensor)]
        if outputs and (sources := self._sources(values)):
            name = self._record(func, args, kwargs, sources, outputs[0], (self._formulas.flops - before) // 2)
            self._made_by.update({id(output): name for output in outputs})
            self._alive += outputs
        elif outputs and (parameters := self._parameters(values)):
            self._made_of.update({id(output): parameters for output in outputs})
            self._alive += outputs
        return out

    def _sources(self, values: Sequence[Any]) -> list[str]:
        """The layers whose outputs are among these arguments."""
        found = []
        for value in values:
            if isinstance(value, Tensor) and id(value) in self._made_by:
                found.append(self._made_by[id(value)])
            elif isinstance(value, list | tuple):
                found += self._sources(value)
        return found

    def _parameters(self, values: Sequence[Any]) -> set[int]:
        """The parameters among these arguments, also behind a view or another computation on parameters alone."""
        return set().union(*(self._made_of.get(id(value), ()) for value in values if isinstance(value, Tensor)))

    def _record(self, func: Any, args: Any, kwargs: Any, sources: list[str], out: Tensor, macs: int) -> str:
        """Adds a layer and returns its name. A parameter counts for the first layer that takes it."""
        kind, describe = _VOCABULARY.get(func, (getattr(func, "__name__", str(func)), None))
        fields: dict[str, Any] = {"kind": kind, "macs": macs} | (describe(*args, **kwargs) if describe else {})
        if (mode := fields.pop("training", self._training)) != self._training:
            fields["constants"] = fields["constants"] | {"training": mode}
        name = self._fresh(self._running.name, fields["kind"])
        taken = self._parameters([*args, *kwargs.values()])
        params = sum(self._pending.pop(number, ("", 0))[1] for number in taken)
        self.layers.append(Layer(name=name, inputs=tuple(sources), output=tuple(out.shape[1:]), params=params, **fields))
        return name

    def _fresh(self, owner: str, kind: str) -> str:
        """The module's name; with a number where the module makes several layers, with the kind where it's no leaf."""
        module = self._module.get_submodule(owner)
        base = owner if owner and not next(module.children(), None) else f"{owner}.{kind}" if owner else kind
        self._names[base] = count = self._names.get(base, 0) + 1
        return base if count == 1 else f"{base}#{count}"

    def answer(self, x: Tensor) -> Tensor:
        """A new tensor, since each layer's output is known by its identity."""
        return torch.empty_like(x)

    def unused(self) -> list[Layer]:
        """Trainable parameters that no layer took."""
        return [Layer(name, "unused", (), (numel,), params=numel) for name, numel in self._pending.values()]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)


def _conv(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> dict[str, Any]:
    kernel = _pair(weight.shape[2:])
    if isinstance(padding, str):  # "same" puts half of the window on each side, "valid" nothing
        padding = [0 if padding == "valid" else step * (side - 1) // 2 for step, side in zip(_pair(dilation), kernel, strict=True)]
    window = {"kernel": kernel, "stride": _pair(stride), "padding": _pair(padding), "groups": groups}
    dilated = {} if _pair(dilation) == (1, 1) else {"constants": {"dilation": list(_pair(dilation))}}
    return window | dilated | {"bias": bias is not None}


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> dict[str, Any]:
    return {"bias": bias is not None}


def _batch_norm(
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> dict[str, Any]:
    unusual = {} if running_mean is not None else {"running_stats": False}
    return {"constants": {"eps": eps, "momentum": momentum} | unusual, "training": training}


def _add(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> dict[str, Any]:
    return {} if alpha == 1 else {"constants": {"alpha": alpha}}


def _max_pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> dict[str, Any]:
    constants: dict[str, Any] = {"ceil_mode": True} if ceil_mode else {}
    if _pair(dilation) != (1, 1):
        constants["dilation"] = list(_pair(dilation))
    return {"kernel": _pair(kernel_size), "stride": _pair(stride or kernel_size), "padding": _pair(padding), "constants": constants}


def _lrn(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> dict[str, Any]:
    return {"constants": {"n": size, "k": k, "alpha": float(f"{alpha / size:.12g}"), "beta": beta}}  # as printed, undivided


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> dict[str, Any]:
    return {"constants": {"p": p}, "training": training}


def _subsample(x: Tensor, coefficient: Tensor, bias: Tensor, kernel: int) -> dict[str, Any]:
    return {"kernel": (kernel, kernel), "stride": (kernel, kernel), "bias": True}


def _zero_pad(x: Tensor, stride: int, zeros: int) -> dict[str, Any]:
    return {"stride": (stride, stride), "constants": {"zeros": zeros}}


def _mean(input: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Global average pooling is a mean over height and width; any other mean keeps its own name."""
    dims = {axis % input.dim() for axis in ([dim] if isinstance(dim, int) else dim or ())}
    return {} if input.dim() == 4 and dims == {2, 3} else {"kind": "mean"}


#: functional call -> (kind, what its arguments say). A call that isn't here keeps its own name as its kind.
_VOCABULARY: dict[Any, tuple[str, Callable[..., dict[str, Any]] | None]] = {
    torch.conv2d: ("conv", _conv),
    F.linear: ("linear", _linear),
    F.batch_norm: ("batchnorm", _batch_norm),
    F.relu: ("relu", None),
    torch.relu: ("relu", None),
    Tensor.relu: ("relu", None),
    F.max_pool2d: ("maxpool", _max_pool),
    torch.max_pool2d: ("maxpool", _max_pool),
    F.local_response_norm: ("lrn", _lrn),
    F.dropout: ("dropout", _dropout),
    torch.flatten: ("flatten", None),
    Tensor.flatten: ("flatten", None),
    Tensor.mean: ("avgpool", _mean),
    torch.mean: ("avgpool", _mean),
    torch.add: ("add", _add),
    Tensor.add: ("add", _add),
    Tensor.add_: ("add", _add),
    torch.cat: ("cat", None),
    building.zero_pad_shortcut: ("pad", _zero_pad),
    building.subsample: ("subsampling", _subsample),
    building.scaled_tanh: ("tanh", lambda x, A, S: {"constants": {"A": A, "S": S}}),
    building.rbf_distance: ("rbf", lambda x, codes: {"macs": codes.numel()}),
    building.select_maps: ("select", lambda x, maps: {"constants": {"maps": list(maps)}}),
}
