"""Another's module for a while: with other numbers in it, run, trained for a step, and then as it was.

It is no copy: a function that the module keeps may hold its tensors, and a copy of a parameter lacks the parameter's hooks.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout)


class Borrowed:
    """Within it the module's tensors have memory of their own, on the CPU, of ``dtype``, without gradients; afterwards all is as before."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        self.module, self.dtype = module, dtype

    def __enter__(self) -> None:
        self._modes = [(part, part.training) for part in self.module.modules()]
        tensors = {id(tensor): tensor for tensor in [*self.module.parameters(), *self.module.buffers()]}
        self._before = [(tensor, tensor.data, tensor.grad, tensor.requires_grad) for tensor in tensors.values()]
        for tensor, data, _, _ in self._before:
            tensor.grad = None
            tensor.data = data.to("cpu", self.dtype if data.is_floating_point() else data.dtype, copy=True)
            tensor.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for part, training in self._modes:
            part.training = training
        for tensor, data, grad, requires_grad in self._before:
            tensor.grad = None
            tensor.data = data
            tensor.requires_grad_(requires_grad)
            tensor.grad = grad


class WithoutDropout(TorchFunctionMode):
    """Dropout gives its input back: its masks are random, and its place and rate are compared as structure. ``acted`` counts calls."""

    acted = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in _DROPOUTS:
            return func(*args, **kwargs)
        given: dict[str, Any] = dict(zip(("input", "p", "training"), args, strict=False)) | kwargs
        if given.get("p", 0.5) > 0 and given.get("training", given.get("train", func is not torch.dropout)):
            self.acted += 1
        return given["input"]


def random_state() -> tuple[bytes, ...]:
    """Where the generators of Python, numpy and torch are; the same before and after what draws no number from them."""
    state: Tensor = torch.get_rng_state()
    return repr(random.getstate()).encode(), repr(np.random.get_state(legacy=False)).encode(), state.numpy().tobytes()
