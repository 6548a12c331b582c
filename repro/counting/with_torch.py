"""MACs of the network that runs, by torch's own formulas: one pass on the meta device, where nothing is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from repro.layers import Shape


class OnMeta(TorchFunctionMode):
    """Modules built within it take neither memory nor time: ``with OnMeta(): net = torchvision.models.vgg16()``.

    Tensors are made on the meta device, and initialisations, which compute nothing there but take most of the
    time of building, are left out.
    """

    def __enter__(self) -> OnMeta:
        self._device = torch.device("meta")
        self._device.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._device.__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _INITIALISATIONS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def count_macs(module: nn.Module, shape: Shape) -> int:
    """MACs of convolution and linear layers for one input of ``shape`` (without the batch), by torch's formulas.

    The module must be on the meta device (see :class:`OnMeta`), where nothing is computed. BN, pooling,
    activations, additions and biases don't count. A compiled module is counted through its original.
    """
    module = getattr(module, "_orig_mod", module)
    with InMode(module, training=False), torch.no_grad(), FlopFormulas() as formulas, Shortcuts():
        module(torch.empty(1, *shape, device="meta"))
    return int(formulas.flops) // 2


class InMode:
    """Evaluation or training mode for a while; each module's own mode comes back after it."""

    def __init__(self, module: nn.Module, training: bool) -> None:
        self.module, self.training = module, training
        self.before = [(part, part.training) for part in module.modules()]

    def __enter__(self) -> None:
        self.module.train(self.training)

    def __exit__(self, *error: object) -> None:
        for part, training in self.before:
            part.training = training


class WhoRuns:
    """While it's entered, ``name`` is that of the innermost module that runs and has one; "" outside of all."""

    def __init__(self, module: nn.Module) -> None:
        self._names = {id(part): name for name, part in module.named_modules()}
        self._running = [""]

    @property
    def name(self) -> str:
        """As in ``named_modules``."""
        return self._running[-1]

    def __enter__(self) -> WhoRuns:
        register = nn.modules.module.register_module_forward_pre_hook, nn.modules.module.register_module_forward_hook
        self._hooks = [register[0](self._begin), register[1](self._end)]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _begin(self, module: nn.Module, args: Any) -> None:
        self._running.append(self._names.get(id(module), self.name))

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        self._running.pop()


class FlopFormulas(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up torch's FLOP formulas of the operations that run; 2 FLOPs are one MAC."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            by_shape = getattr(formula, "__wrapped__", None)  # the formula itself, without a walk through the arguments
            if by_shape is None or kwargs:
                self.flops += formula(*args, **kwargs, out_val=out)
            else:
                self.flops += by_shape(*(arg.shape if isinstance(arg, Tensor) else arg for arg in args), out_shape=out.shape)
        return out


class Shortcuts(TorchFunctionMode):
    """Answers the calls whose output shape is plain; the meta device takes half a millisecond for a batch normalisation."""

    def answer(self, x: Tensor) -> Tensor:
        """A tensor of the shape of ``x``."""
        return x

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm and len(args) > 1 and args[1] is not None and args[1].shape == args[0].shape[1:2]:
            return self.answer(args[0])
        if func in _ADDITIONS and len(args) == 2 and isinstance(args[1], Tensor) and args[0].shape == args[1].shape:
            return self.answer(args[0])
        return func(*args, **(kwargs or {}))


_INITIALISATIONS = {
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")),
    Tensor.fill_, Tensor.zero_, Tensor.normal_, Tensor.uniform_,
}  # fmt: skip
_ADDITIONS = {torch.add, Tensor.add, Tensor.__add__}
