"""What several operations make together: response normalisation, scaled tanh, option A's zeros, LeNet-5's own layers.

Each reader looks back from the last of the operations. The nodes of the others stay only where something else uses them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch

from repro.auditing.graph import Node, Weight
from repro.auditing.ops import Op
from repro.auditing.vocabulary import READERS, RESHAPES, Builder, Value, is_tensor, pair, same, subsampled
from repro.layers import Shape, elements

#: Layers as torch writes them without a bias.
_PRODUCTS = ("matmul", "mm", "linear", "conv2d", "convolution")


def _bare(op: Any) -> Any:
    """The operation behind reshapes."""
    while isinstance(op, Op) and op.name in RESHAPES | {"expand"}:
        op = op.sources[0]
    return op


def _number(value: float) -> float:
    return float(f"{value:.12g}")


def _times(op: Any) -> tuple[Any, float]:
    """(x, c) of ``x * c``, written in however many products and quotients."""
    factor = 1.0
    while isinstance(op, Op) and op.name in ("mul", "div") and isinstance(op.args["other"], int | float):
        if op.args.get("rounding_mode") is not None:
            break
        factor = factor * op.args["other"] if op.name == "mul" else factor / op.args["other"]
        op = op.args["self"]
    return op, factor


def _is_square_of(op: Any, x: Op) -> bool:
    op = _bare(op)
    if not isinstance(op, Op):
        return False
    if op.name == "mul":
        return _bare(op.args["self"]) is _bare(op.args["other"]) is _bare(x)
    return _bare(op.sources[0]) is _bare(x) and (op.name == "square" or (op.name == "pow" and op.args["exponent"] == 2))


def _divide(build: Builder, op: Op) -> Value | None:
    """``x / (k + alpha * mean over n maps of x^2) ^ beta``: local response normalisation, with torch's mean made the paper's sum."""
    power = op.args["other"]
    if not isinstance(power, Op) or power.name != "pow" or not isinstance(op.args["self"], Op):
        return _plain_scale(build, op) if op.args.get("rounding_mode") is None else None
    base, x = power.args["self"], op.args["self"]
    if not (isinstance(base, Op) and base.name == "add" and isinstance(base.args["other"], int | float)):
        return None
    mean, alpha = _times(base.args["self"])
    pool = _bare(mean)
    if not (isinstance(pool, Op) and pool.name == "avg_pool3d" and list(pool.args["kernel_size"])[1:] == [1, 1]):
        return None
    n, padded = pool.args["kernel_size"][0], _bare(pool.args["self"])
    inside = list(pool.args["padding"]) == [(n - 1) // 2, 0, 0] and n % 2 == 1 and pool.args["count_include_pad"]
    outside = padded.name in ("pad", "constant_pad_nd") and list(padded.args["pad"])[4:6] == [n // 2, (n - 1) // 2]
    source = padded.args["self"] if outside else padded
    if inside == outside or set(pool.args["stride"] or [n]) != {1} or not _is_square_of(source, x) or pool.shape[-3:] != x.shape[1:]:
        return None
    constants = {"n": n, "alpha": _number(alpha / n), "beta": power.args["exponent"], "k": base.args["other"] * base.args.get("alpha", 1)}
    return same(build, "lrn", op, x, **constants)


def _plain_scale(build: Builder, op: Op) -> Value | None:
    return READERS_OF_ONE["div"](build, op)


def _tanh(build: Builder, op: Op) -> Value:
    """``tanh(S x)``."""
    x, slope = _times(op.args["self"])
    return same(build, "tanh", op, x, A=1.0, S=_number(slope))


def _multiply(build: Builder, op: Op) -> Value | None:
    """``A tanh(S x)``."""
    tanh, amplitude = _times(op)
    if isinstance(tanh, Op) and tanh.name == "tanh" and tanh is not op:
        x, slope = _times(tanh.args["self"])
        return same(build, "tanh", op, x, A=_number(amplitude), S=_number(slope))
    return READERS_OF_ONE["mul"](build, op)


def _add(build: Builder, op: Op) -> Value | None:
    """A bias after a layer without one; LeNet-5's subsampling; otherwise an addition."""
    for first, second in ((op.args["self"], op.args["other"]), (op.args["other"], op.args["self"])):
        if isinstance(first, Op) and is_tensor(_bare(second)) and op.args.get("alpha", 1) == 1:
            value = _biased(build, op, first, second) or _subsampling(build, op, first, second)
            if value:
                return value
    return READERS_OF_ONE["add"](build, op)


def _is_a_number_each(value: Op, maps: Shape, rank: int) -> bool:
    """Whether a tensor holds one number for each map of an operation of this rank."""
    tensor = _bare(value)
    single = (*maps, *(1,) * (rank - 2))
    return elements(tensor.shape) == maps[0] and value.shape in (single, (1, *single)) if maps else False


def _biased(build: Builder, op: Op, layer: Op, bias: Op) -> Value | None:
    """``x @ w.t() + b``."""
    number = build.node_of(layer)
    node = build.nodes[number]
    maps = op.shape[1:2]
    if node.kind not in ("linear", "conv") or node.attributes["bias"] or layer.name not in _PRODUCTS or layer.shape != op.shape:
        return None
    if not _is_a_number_each(bias, maps, len(op.shape)):
        return None
    tensor = _bare(bias)
    weights = [*node.weights, Weight("bias", tensor.module, tensor.shape)]
    attributes = {**node.attributes, "bias": True}
    return build.emit(node.kind, node.inputs, op.shape[1:], layer, weights, node.macs, **attributes)


def _subsampling(build: Builder, op: Op, product: Op, bias: Op) -> Value | None:
    """``sum over a window * coefficient + bias`` of each map."""
    if product.name != "mul" or not isinstance(product.args["other"], Op) or not is_tensor(_bare(product.args["other"])):
        return None
    pool, factor = _times(product.args["self"])
    coefficient, maps = product.args["other"], op.shape[1:2]
    if not isinstance(pool, Op) or pool.name != "avg_pool2d" or set(pair(pool.args["padding"])) != {0}:
        return None
    kernel = pair(pool.args["kernel_size"])
    whole = all(_is_a_number_each(value, maps, len(op.shape)) for value in (coefficient, bias))
    if not whole or pair(pool.args["stride"] or kernel) != kernel:
        return None
    weights = [Weight(role, _bare(value).module, _bare(value).shape) for role, value in (("coefficient", coefficient), ("bias", bias))]
    divisor = _number((pool.args["divisor_override"] or elements(kernel)) / factor)
    more: dict[str, Any] = {} if divisor == 1 else {"divisor": divisor}
    return build.emit("subsampling", (build.map_of(pool.sources[0]),), op.shape[1:], op, weights, kernel=kernel, **more)


def _sum(build: Builder, op: Op) -> Value | None:
    """``sum((x - code)^2)`` over each code: LeNet-5's RBF units."""
    square = op.args["self"]
    if not (isinstance(square, Op) and (square.name == "square" or (square.name == "pow" and square.args["exponent"] == 2))):
        return None
    less, axes = square.sources[0], op.args.get("dim")
    if less.name != "sub" or less.args.get("alpha", 1) != 1 or len(less.shape) != 3 or list(axes or ()) not in ([-1], [2]):
        return None
    x, codes = less.args["self"], _bare(less.args["other"])
    if not is_tensor(codes) or len(codes.shape) != 2 or less.shape[1:] != codes.shape or x.shape[1:2] != (1,):
        return None
    weight = Weight("codes", codes.module, codes.shape)
    return build.emit("rbf", (build.node_of(x),), op.shape[1:2], op, [weight], macs=elements(codes.shape))


def _pad(build: Builder, op: Op) -> Value | None:
    """Zeros around the maps, or zero maps beside them."""
    if op.args.get("mode", "constant") != "constant" or op.args.get("value") not in (None, 0) or len(op.shape) != 4:
        return None
    sides = [*op.args["pad"], 0, 0, 0, 0, 0, 0][:8]
    source = build.map_of(op.args["self"])
    if min(sides) < 0 or any(sides[6:]):
        return None
    left, right, top, bottom, before, after = sides[:6]
    if before or after:
        if left or right or top or bottom:
            return None
        return _zero_maps(build, op, source, before, after)
    if not (left or right or top or bottom):
        return Value(source, op.shape[1:])
    return build.emit("zeropad", (source,), op.shape[1:], op, padding=((top, bottom), (left, right)))


def _zero_maps(build: Builder, op: Op, source: int, before: int, after: int) -> Value:
    value = build.emit("pad", (source,), op.shape[1:], op, stride=(1, 1), zeros=before + after)
    node = build.nodes[value.node]
    build.nodes[value.node] = Node(node.kind, node.inputs, node.output, node.name, node.attributes, zeros_at=before)
    return value


def _cat(build: Builder, op: Op) -> Value | None:
    """Maps side by side; where all but one part are zeros, they are zero maps."""
    parts = list(op.args["tensors"])
    if op.args.get("dim", 0) % len(op.shape) != 1 or len(op.shape) not in (2, 4):
        return None
    real = [number for number, part in enumerate(parts) if not _is_zero(part)]
    if len(real) == 1 and len(op.shape) == 4:
        widths = [part.shape[1] for part in parts]
        return _zero_maps(build, op, build.map_of(parts[real[0]]), sum(widths[: real[0]]), sum(widths[real[0] + 1 :]))
    return build.emit("cat", [build.map_of(part) for part in parts], op.shape[1:], op)


def _is_zero(op: Any) -> bool:
    op = _bare(op)
    while op.name in ("detach", "slice", "narrow", "clone"):
        op = _bare(op.sources[0])
    if op.name in ("zeros", "zeros_like", "new_zeros", "zero"):
        return True
    if op.name in ("full", "full_like", "new_full", "fill"):
        return bool(op.args.get("fill_value", op.args.get("value")) == 0)
    if op.name == "mul":
        return op.args["other"] == 0 if not isinstance(op.args["other"], Op) else False
    return op.name in ("constant", "buffer") and op.tensor is not None and not bool(op.tensor.any())


def _write(build: Builder, op: Op) -> Value | None:
    """Maps written into zeros are zero maps beside them."""
    zeros, copied = op.args["self"], op.args["value"]
    part = copied.args.get("self")
    if copied.name != "copy" or not _is_zero(zeros) or len(op.shape) != 4 or not isinstance(part, Op):
        return None
    start = 0
    while part is not zeros and isinstance(part, Op) and part.name == "slice":
        axis = part.args["dim"] % 4
        if part.args["step"] != 1 or (axis != 1 and part.shape != part.args["self"].shape):
            return None
        start += slice(part.args["start"], None).indices(part.args["self"].shape[1])[0] if axis == 1 else 0
        part = part.args["self"]
    source = copied.args["src"]
    if part is not zeros or not isinstance(source, Op) or source.shape[2:] != op.shape[2:]:
        return None
    return _zero_maps(build, op, build.map_of(source), start, op.shape[1] - start - source.shape[1])


def _slice(build: Builder, op: Op) -> Value | None:
    """Every stride-th pixel, some of the maps, or all."""
    source, axis, step = op.args["self"], op.args["dim"] % len(op.shape), op.args["step"]
    if source.shape == op.shape:
        build.node_of(source)
        return build.values[id(source)]
    size, start, end = source.shape[axis], op.args["start"] or 0, op.args["end"]
    start, end, step = slice(start, end, step).indices(size)
    if axis == 1 and len(op.shape) == 4:
        return _selected(build, op, source, range(start, end, step))
    if axis not in (2, 3) or len(op.shape) != 4 or start != 0 or end <= (op.shape[axis] - 1) * step or end < size - step + 1:
        return None
    stride = (step, 1) if axis == 2 else (1, step)
    return build.emit("pad", (build.map_of(source),), op.shape[1:], op, stride=stride, zeros=0)


def _selected(build: Builder, op: Op, source: Op, maps: Any) -> Value:
    return build.emit("select", (build.map_of(source),), op.shape[1:], op, maps=tuple(maps))


def _index(build: Builder, op: Op) -> Value | None:
    """Maps by number."""
    chosen: Any
    if op.name == "index_select":
        axis, chosen = op.args["dim"], op.args["index"]
    else:
        filled = [(number, item) for number, item in enumerate(op.args["indices"]) if item is not None]
        if len(filled) != 1:
            return None
        axis, chosen = filled[0]
    source = op.args["self"]
    values = _bare(chosen).tensor
    if axis % len(source.shape) != 1 or len(op.shape) != 4 or values is None or values.dim() != 1:
        return None
    numbers = values.nonzero().flatten() if values.dtype == torch.bool else values % source.shape[1]
    return _selected(build, op, source, numbers.tolist())


_FIRST_OF_SEVERAL = ("max_pool2d_with_indices", "adaptive_max_pool2d", "native_batch_norm", "_native_batch_norm_legit", "native_dropout")


def _piece(build: Builder, op: Op) -> Value | None:
    """One of the results of an operation that has several."""
    source, index = op.args["self"], op.args["index"]
    if source.name in _FIRST_OF_SEVERAL and index == 0:
        build.node_of(source)
        return build.values[id(source)]
    if source.name not in ("chunk", "split", "split_with_sizes") or source.args.get("dim", 0) != 1 or len(op.shape) != 4:
        return None
    whole = source.args["self"]
    if source.name == "chunk":
        starts = [index * -(-whole.shape[1] // source.args["chunks"])]
    else:
        sizes = source.args.get("split_sizes", source.args.get("split_size"))
        starts = [index * sizes] if isinstance(sizes, int) else list(itertools.accumulate(sizes, initial=0))[index : index + 1]
    return _selected(build, op, whole, range(starts[0], starts[0] + op.shape[1]))


def _nearest(build: Builder, op: Op) -> Value | None:
    """Interpolation to the nearest pixel, down by a whole number, takes every stride-th pixel."""
    source = op.sources[0]
    steps = [before // after for before, after in zip(source.shape[2:], op.shape[2:], strict=True) if after and before % after == 0]
    if len(steps) != 2:
        return None
    return subsampled(build, op, build.map_of(source), (steps[0], steps[1]))


READERS_OF_ONE: dict[str, Callable[[Builder, Op], Value | None]] = {name: READERS[name] for name in ("div", "mul", "add")}
READERS_OF_SEVERAL: dict[str, Callable[[Builder, Op], Value | None]] = {
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    **dict.fromkeys(("index", "index_select"), _index),
    "div": _divide, "tanh": _tanh, "mul": _multiply, "add": _add, "sum": _sum, "slice": _slice, "write": _write, "getitem": _piece,
    "upsample_nearest2d": _nearest,
}  # fmt: skip
