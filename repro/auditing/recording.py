"""The operations of a module along the path that one input takes, for code that torch.export can't follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from repro.auditing.ops import Environment, Op, first_shape, make_op, named_tensors, tensor_op, written
from repro.counting.with_torch import WhoRuns


def record_ops(module: nn.Module, x: Tensor) -> tuple[list[Op], list[Op]]:
    """The operations that run for random values of the shape of ``x``, in the module's present mode; and the outputs."""
    x = torch.randn_like(x)
    with torch.no_grad(), WhoRuns(module) as running, _Recorder(module, x, running) as recorder, _Dropout(recorder):
        output = module(x)
    return recorder.order, [recorder.op_of(tensor) for tensor in tensors_in(output) if id(tensor) in recorder.env]


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down each operation; a tensor is known by its identity, and kept alive for that."""

    def __init__(self, module: nn.Module, x: Tensor, running: WhoRuns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module, self.named = module, named_tensors(module)
        self.env, self.order, self._alive = Environment(), [Op("input", shape=tuple(x.shape))], [x]
        self.env[id(x)] = self.order[0]
        self._running = running

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        targets = written(func, args, kwargs)
        op = self.add(make_op(func, self._ops(args), self._ops(kwargs), first_shape(out), self._running.name))
        for target in targets:
            self.order += self.env.overwrite(id(target), op) if isinstance(target, Tensor) and id(target) in self.env else []
        if isinstance(out, Tensor):
            self.hold(out, op)
        elif isinstance(out, list | tuple):
            for number, part in enumerate(out):
                if isinstance(part, Tensor):
                    self.hold(part, self.add(Op("getitem", {"self": op, "index": number}, tuple(part.shape), op.module)))
        return out

    def add(self, op: Op) -> Op:
        """Writes an operation down."""
        self.order.append(op)
        return op

    def hold(self, tensor: Tensor, op: Op) -> None:
        """From here on the tensor is what the operation made."""
        self._alive.append(tensor)
        self.env[id(tensor)] = op

    def op_of(self, tensor: Tensor) -> Op:
        """What made a tensor."""
        if id(tensor) not in self.env:
            self.hold(tensor, self.add(tensor_op(tensor, self.named)))
        return self.env[id(tensor)]

    def _ops(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.op_of(value)
        if isinstance(value, Mapping):
            return {key: self._ops(part) for key, part in value.items()}
        return type(value)(self._ops(part) for part in value) if isinstance(value, list | tuple) else value


class _Dropout(TorchFunctionMode):
    """Dropout as one operation, which here does nothing: below, torch makes a mask of several."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        names = {F.dropout: "dropout", torch.dropout: "dropout", F.dropout2d: "feature_dropout"}
        if func not in names:
            return func(*args, **kwargs)
        given = dict(zip(("input", "p", "training"), args, strict=False)) | kwargs
        given = {"p": 0.5, "training": True} | given | ({"training": given["train"]} if "train" in given else {})
        if not given["training"]:
            return given["input"]
        source = self._recorder.op_of(given["input"])
        out = given["input"].clone()
        described = {"input": source, "p": given["p"], "train": True}
        self._recorder.hold(out, self._recorder.add(Op(names[func], described, source.shape, source.module)))
        return out


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of what a module gives, in their order, however it is nested."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]
