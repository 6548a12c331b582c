"""Operations of torch -> nodes of the small vocabulary, one at a time. What several of them make together is in recognising.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from repro.auditing.graph import Node, Weight, plain
from repro.auditing.ops import Op, is_off
from repro.layers import Shape, elements

#: Of these the output is the input, seen in another shape or kept in another type.
RESHAPES = frozenset((
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous", "clone", "alias", "lift_fresh_copy", "to",
    "_to_copy", "type_as", "float", "double", "view_as",
))  # fmt: skip
_ACTIVATIONS = frozenset((
    "relu", "sigmoid", "tanh", "elu", "selu", "celu", "gelu", "silu", "mish", "hardtanh", "relu6", "hardsigmoid", "hardswish",
    "leaky_relu", "softplus", "softsign",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """A node's output as an operation holds it: ``shape`` (without the batch) is another where it was reshaped."""

    node: int
    shape: Shape


class Builder:
    """Nodes as they come, and what each operation became."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.nodes: list[Node] = []
        self.values: dict[int, Value] = {}

    def read(self, op: Op) -> None:
        """Turns one operation into nodes."""
        reader = READERS.get(op.name)
        value = reader(self, op) if reader else None
        self.values[id(op)] = value or self.other(op)

    def emit(self, kind: str, inputs: Sequence[int], output: Shape, op: Op, /, weights: Sequence[Weight] = (), macs: int = 0,
             **attributes: Any) -> Value:  # fmt: skip
        """Adds a node whose output is ``output``, the batch left out."""
        self.nodes.append(Node(kind, tuple(inputs), plain(output), op.module, attributes, tuple(weights), 0, macs))
        return Value(len(self.nodes) - 1, output)

    def other(self, op: Op) -> Value:
        """An operation that has no word here, with all that it takes, so that nothing gets lost."""
        inputs = [self.node_of(source) for source in op.sources]
        return self.emit("other", inputs, op.shape[1:], op, macs=self._product_macs(op), op=op.name)

    def node_of(self, op: Op) -> int:
        """The node whose output an operation gives, in whatever shape."""
        if id(op) not in self.values:  # a tensor that isn't computed
            self.values[id(op)] = self._tensor(op)
        return self.values[id(op)].node

    def map_of(self, op: Op) -> int:
        """The node, where it is taken as the map that it is; a reshaped one becomes a node of its own."""
        number = self.node_of(op)
        value = self.values[id(op)]
        if plain(value.shape) == self.nodes[number].output:
            return number
        self.values[id(op)] = self.emit("other", (number,), value.shape, op, op="view", shape=value.shape)
        return self.values[id(op)].node

    def vector_of(self, op: Op) -> int | None:
        """The node, where it is taken as one vector, a flattened map included; None where it is something else."""
        number = self.node_of(op)
        shape = self.values[id(op)].shape
        return number if shape in ((elements(self.nodes[number].output),), self.nodes[number].output) and len(shape) == 1 else None

    def _tensor(self, op: Op) -> Value:
        shown = Weight("value", op.module, op.shape)
        if op.name == "constant":
            return self.emit("other", (), op.shape, op, op=op.name, value=_fingerprint(op))
        return self.emit("other", (), op.shape, op, (shown,), op=op.name)

    def _product_macs(self, op: Op) -> int:
        """A matrix product that isn't a linear layer, or a convolution with a computed weight: output size times what each value sums."""
        if op.name in ("conv1d", "conv2d", "conv3d", "convolution"):
            return elements(op.shape) * elements(op.args["weight"].shape[1:]) // self.batch
        if op.name not in ("mm", "matmul", "bmm", "addmm", "baddbmm", "linear") or not op.shape:
            return 0
        first = next(source for source in op.sources if len(source.shape) > 1) if op.name != "addmm" else op.args["mat1"]
        return elements(op.shape) * first.shape[-1] // self.batch


def _fingerprint(op: Op) -> str:
    """A constant tensor by its values, where it has any."""
    if op.tensor is None or op.tensor.numel() > 64:
        return "x".join(map(str, op.shape))
    return str(op.tensor.detach().tolist())


def is_tensor(op: Any) -> bool:
    """Whether an argument is a parameter or buffer as it is."""
    return isinstance(op, Op) and op.name in ("parameter", "buffer")


def weights_of(op: Op, **roles: str) -> list[Weight] | None:
    """The tensors of a layer by role; None where one of them is computed."""
    found = []
    for role, argument in roles.items():
        tensor = op.args.get(argument)
        if tensor is None:
            continue
        if not is_tensor(tensor):
            return None
        found.append(Weight(role, tensor.module, tensor.shape))
    return found


def pair(value: Any) -> tuple[int, int]:
    """``3`` or ``[3]`` -> (3, 3)."""
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), int(values[-1]))


def _reshaped(build: Builder, op: Op) -> Value | None:
    """The same values in another shape, where the batch stays apart."""
    source = op.sources[0]
    number = build.node_of(source)
    if isinstance(op.args.get("dtype"), torch.dtype) and op.args["dtype"] not in (torch.float32, torch.float64):
        return None
    if source.name in ("parameter", "buffer", "constant") or (build.nodes[number].kind == "other" and not build.nodes[number].inputs):
        return Value(number, op.shape)
    return Value(number, op.shape[1:]) if op.shape[:1] == source.shape[:1] else None


def _conv(build: Builder, op: Op) -> Value | None:
    if (weights := weights_of(op, weight="weight", bias="bias")) is None or len(op.shape) != 4 or op.args.get("transposed"):
        return None
    source, weight = build.map_of(op.args["input"]), op.args["weight"]
    kernel, dilation = pair(weight.shape[2:]), pair(op.args["dilation"])
    padding = _padding(op.args["padding"], kernel, dilation)
    size, bias = op.args["input"].shape[2:], op.args["bias"] is not None
    macs = elements(op.shape) * elements(weight.shape[1:]) // build.batch
    if padding is not None and kernel == tuple(size) and padding == (0, 0) and op.args["groups"] == 1 and dilation == (1, 1):
        return build.emit("linear", (source,), op.shape[1:], op, weights, macs, channels=weight.shape[0], bias=bias)
    attributes = {
        "channels": weight.shape[0], "kernel": kernel, "stride": pair(op.args["stride"]), "padding": padding, "dilation": dilation,
        "groups": op.args["groups"], "bias": bias,
    }  # fmt: skip
    return build.emit("conv", (source,), op.shape[1:], op, weights, macs, **attributes)


def _padding(value: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[Any, Any]:
    """In numbers; "same" for an even kernel puts more after than before: ((before, after), ...)."""
    if value == "valid":
        return (0, 0)
    if value != "same":
        return pair(value)
    totals = [step * (side - 1) for step, side in zip(dilation, kernel, strict=True)]
    both = [total // 2 if total % 2 == 0 else (total // 2, total - total // 2) for total in totals]
    return (both[0], both[1])


def _linear(build: Builder, op: Op) -> Value | None:
    """``linear``, or ``addmm`` and ``matmul`` with a transposed weight."""
    x, weight, bias = _linear_arguments(op)
    if not is_tensor(weight) or not (bias is None or is_tensor(bias)) or len(op.shape) != 2 or op.shape[0] != build.batch:
        return None
    if (source := build.vector_of(x)) is None:
        return None
    weights = [Weight("weight", weight.module, weight.shape)] + ([Weight("bias", bias.module, bias.shape)] if bias is not None else [])
    return build.emit(
        "linear", (source,), op.shape[1:], op, weights, elements(weight.shape), channels=weight.shape[0], bias=bias is not None
    )


def _linear_arguments(op: Op) -> tuple[Any, Any, Any]:
    if op.name == "linear":
        return op.args["input"], op.args["weight"], op.args["bias"]
    if op.name == "addmm":
        x, weight, bias = op.args["mat1"], op.args["mat2"], op.args["self"]
    else:
        x, weight, bias = op.args["self"], op.args["other" if op.name == "matmul" else "mat2"], None
    plain_sum = op.name != "addmm" or (op.args["beta"] == op.args["alpha"] == 1 and bias.shape == op.shape[1:])
    return (x, weight.sources[0], bias) if _is_turned(weight) and plain_sum else (x, None, None)


def _is_turned(weight: Any) -> bool:
    """Whether it is the transpose of a matrix."""
    if not isinstance(weight, Op) or len(weight.shape) != 2:
        return False
    match weight.name:
        case "t" | "numpy_T":
            return True
        case "transpose":
            return bool((weight.args["dim0"] - weight.args["dim1"]) % 2)
        case "permute":
            return bool(weight.args["dims"][0] % 2)
    return False


def _batch_norm(build: Builder, op: Op) -> Value | None:
    roles = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    if (weights := weights_of(op, **roles)) is None:
        return None
    source = build.map_of(op.args["input"])
    attributes: dict[str, Any] = {"eps": op.args["eps"], "momentum": op.args["momentum"], "training": op.args["training"]}
    if op.args["weight"] is None or op.args["bias"] is None:
        attributes["affine"] = (op.args["weight"] is not None, op.args["bias"] is not None)
    if op.args["running_mean"] is None:
        attributes["statistics"] = "batch"
    return build.emit("batchnorm", (source,), op.shape[1:], op, weights, **attributes)


def _activation(build: Builder, op: Op) -> Value:
    constants = {key: value for key, value in op.args.items() if not isinstance(value, Op) and value is not None}
    if op.name == "tanh":
        constants = {"A": 1.0, "S": 1.0}
    return same(build, op.name, op, op.sources[0], **constants)


def same(build: Builder, kind: str, op: Op, source: Op, **attributes: Any) -> Value:
    """A node that treats every value alike: its map keeps the shape that its input has, flattened or not."""
    number = build.node_of(source)
    value = build.emit(kind, (number,), build.nodes[number].output, op, **attributes)
    return Value(value.node, build.values[id(source)].shape)


def _hardtanh(build: Builder, op: Op) -> Value:
    relu6 = (op.args["min_val"], op.args["max_val"]) == (0, 6)
    return same(build, "relu6", op, op.sources[0]) if relu6 else _activation(build, op)


def _clamp(build: Builder, op: Op) -> Value | None:
    """``clamp(min=0)`` is a ReLU."""
    low, high = op.args.get("min"), op.args.get("max")
    return same(build, "relu", op, op.sources[0]) if high is None and low is not None and not isinstance(low, Op) and low == 0 else None


def _max_pool(build: Builder, op: Op) -> Value | None:
    kernel = pair(op.args["kernel_size"])
    stride = pair(op.args["stride"] or kernel)
    padding, dilation = pair(op.args["padding"]), pair(op.args["dilation"])
    source = build.map_of(op.sources[0])
    floor = tuple(
        (size + 2 * pad - step * (side - 1) - 1) // move + 1
        for size, pad, step, side, move in zip(op.sources[0].shape[-2:], padding, dilation, kernel, stride, strict=True)
    )
    if kernel == (1, 1) and padding == (0, 0) and floor == op.shape[-2:]:
        return subsampled(build, op, source, stride)
    ceil = floor != op.shape[-2:]
    return build.emit(
        "maxpool", (source,), op.shape[1:], op, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil
    )


def subsampled(build: Builder, op: Op, source: int, stride: tuple[int, int]) -> Value:
    """Every stride-th pixel."""
    if stride == (1, 1):
        return Value(source, op.shape[1:])
    return build.emit("pad", (source,), op.shape[1:], op, stride=stride, zeros=0)


def _avg_pool(build: Builder, op: Op) -> Value | None:
    kernel, source = pair(op.args["kernel_size"]), build.map_of(op.sources[0])
    stride, padding = pair(op.args["stride"] or kernel), pair(op.args["padding"])
    divisor, size = op.args["divisor_override"], op.sources[0].shape[-2:]
    if padding == (0, 0) and divisor is None and kernel == size:
        return _global_pool(build, op, source)
    floor = tuple((side + 2 * pad - window) // move + 1 for side, pad, window, move in zip(size, padding, kernel, stride, strict=True))
    if kernel == (1, 1) and padding == (0, 0) and divisor is None and floor == op.shape[-2:]:
        return subsampled(build, op, source, stride)
    more = {"divisor": divisor} if divisor else {}
    more |= {"count_include_pad": op.args["count_include_pad"]} if padding != (0, 0) else {}
    more |= {"ceil_mode": True} if floor != op.shape[-2:] else {}
    return build.emit("avgpool", (source,), op.shape[1:], op, kernel=kernel, stride=stride, padding=padding, **more)


def _global_pool(build: Builder, op: Op, source: int) -> Value:
    if len(build.nodes[source].output) == 1:  # the mean of one pixel
        return Value(source, op.shape[1:])
    return build.emit("avgpool", (source,), op.shape[1:2], op, kernel="map")


def _adaptive_pool(build: Builder, op: Op) -> Value | None:
    """To 1 is global pooling, of a map of 1x1 too; to a divisor of the size a plain pooling; to the size itself nothing."""
    source = build.map_of(op.sources[0])
    before, after = op.sources[0].shape[-2:], op.shape[-2:]
    average = "avg" in op.name
    if average and after == (1, 1) and build.nodes[source].attributes.get("kernel") != "map":
        return build.emit("avgpool", (source,), op.shape[1:2], op, kernel="map")
    if before == after:
        return Value(source, op.shape[1:])
    if any(size % new for size, new in zip(before, after, strict=True)):
        return build.emit("avgpool" if average else "maxpool", (source,), op.shape[1:], op, kernel="adaptive", size=after)
    window = tuple(size // new for size, new in zip(before, after, strict=True))
    more: dict[str, Any] = {} if average else {"dilation": (1, 1), "ceil_mode": False}
    return build.emit(
        "avgpool" if average else "maxpool", (source,), op.shape[1:], op, kernel=window, stride=window, padding=(0, 0), **more
    )


def _axes(op: Op) -> set[int]:
    """The axes that a mean is over, all by default."""
    rank, axes = len(op.sources[0].shape), op.args.get("dim")
    return set(range(rank)) if axes is None else {axis % rank for axis in ([axes] if isinstance(axes, int) else axes)}


def _mean(build: Builder, op: Op) -> Value | None:
    """The mean over all of a map, flattened or not, or over its width and then its height."""
    source = op.sources[0]
    if source.name == "mean" and len(source.sources[0].shape) == 4 and _axes(source) == {3} and _axes(op) == {2}:
        return _global_pool_of(build, op, source.sources[0])
    rank = len(source.shape)
    return _global_pool_of(build, op, source) if rank > 2 and _axes(op) == set(range(2, rank)) else None


def _global_pool_of(build: Builder, op: Op, source: Op) -> Value | None:
    number = build.node_of(source)
    output, shape = build.nodes[number].output, build.values[id(source)].shape
    if shape[0] != output[0] or elements(shape) != elements(output):
        return None
    value = _global_pool(build, op, number)
    return Value(value.node, op.shape[1:])


def _dropout(build: Builder, op: Op) -> Value:
    source = op.sources[0]
    number = build.node_of(source)
    if is_off(op) or op.args["p"] == 0:
        return build.values[id(source)]
    word = {"dropout": "dropout", "feature_dropout": "dropout2d"}.get(op.name, op.name)
    if word == "dropout2d" and len(build.nodes[number].output) == 1:
        word = "dropout"
    return same(build, word, op, source, p=op.args["p"])


def _softmax(build: Builder, op: Op) -> Value | None:
    source = op.sources[0]
    if build.vector_of(source) is None or op.args["dim"] % len(op.shape) != 1:
        return None
    return same(build, op.name.strip("_"), op, source)


def _add(build: Builder, op: Op) -> Value | None:
    first, second = op.args["self"], op.args["other"]
    if not isinstance(second, Op):
        return build.values[id(first)] if second == 0 else same(build, "shift", op, first, value=float(second) * op.args.get("alpha", 1))
    if not isinstance(first, Op) or first.shape != second.shape or first.shape[:1] != (build.batch,) or op.args.get("alpha", 1) != 1:
        return None
    numbers = build.node_of(first), build.node_of(second)
    if build.nodes[numbers[0]].output != build.nodes[numbers[1]].output:
        numbers = build.map_of(first), build.map_of(second)
    value = build.emit("add", numbers, build.nodes[numbers[0]].output, op)
    return Value(value.node, first.shape[1:])


def _scale(build: Builder, op: Op) -> Value | None:
    first, second = op.args["self"], op.args["other"]
    if not isinstance(first, Op) or isinstance(second, Op):
        return None
    build.node_of(first)
    factor = float(second) if op.name == "mul" else 1 / second
    return build.values[id(first)] if factor == 1 else same(build, "scale", op, first, value=factor)


def _identity(build: Builder, op: Op) -> Value:
    build.node_of(op.sources[0])
    return build.values[id(op.sources[0])]


READERS: dict[str, Callable[[Builder, Op], Value | None]] = {
    **dict.fromkeys(RESHAPES, _reshaped),
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **dict.fromkeys(("conv2d", "convolution"), _conv),
    **dict.fromkeys(("linear", "addmm", "matmul", "mm"), _linear),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _max_pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    **dict.fromkeys(("softmax", "log_softmax", "_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(("mul", "div"), _scale),
    **dict.fromkeys(("batch_norm", "native_batch_norm", "_native_batch_norm_legit"), _batch_norm),
    "hardtanh": _hardtanh, "clamp": _clamp, "clamp_min": _clamp, "avg_pool2d": _avg_pool, "mean": _mean,
    "add": _add,
}  # fmt: skip
