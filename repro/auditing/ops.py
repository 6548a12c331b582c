"""The operations of a traced module, as torch names them, with their arguments by name and in-place writes resolved."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from repro.layers import Shape, elements

#: Of these the output is the input's own memory, all of it in its order.
_WHOLE = frozenset((
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous", "alias", "to", "view_as", "expand", "expand_as",
    "detach",
))  # fmt: skip
#: Of these the output is a part of the input's memory, or all of it in another order.
_PARTS = frozenset(("slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "getitem", "transpose", "permute", "t"))


#: Calls of a part of the graph, which stand for "with torch.no_grad()" and "with torch.autocast(...)".
_BLOCKS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


@dataclass(eq=False)
class Op:
    """One operation: ``args`` by the names of torch's schema, ``shape`` with the batch. A tensor that isn't computed
    is a "parameter", a "buffer" or a "constant", with its ``tensor`` and its name in ``state_dict`` as ``module``.
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape = ()
    module: str = ""
    tensor: Tensor | None = None
    memory: Op | None = field(default=None, repr=False)  # whose memory it is, where not its own
    whole: bool = True  # all of that memory, in its order

    def __post_init__(self) -> None:
        if (self.name in _WHOLE or self.name in _PARTS or is_off(self)) and self.sources:
            source = self.sources[0]
            self.memory, self.whole = source.memory or source, source.whole and self.name not in _PARTS

    @property
    def sources(self) -> list[Op]:
        """The operations among the arguments."""
        return list(_ops_in(self.args.values()))


def read_ops(graph: fx.Graph, tensors: Callable[[fx.Node], Op]) -> tuple[list[Op], list[Op]]:
    """The operations of a graph in their order, and those that are its outputs; ``tensors`` reads what isn't computed."""
    env = Environment()
    order: list[Op] = []
    outputs: list[Op] = []
    for node in graph.nodes:
        if node.op == "output":
            outputs = list(_ops_in([_held(node.args, env)]))
        elif node.op == "get_attr" and isinstance(getattr(graph.owning_module, str(node.target), None), fx.GraphModule):
            continue  # what a block such as autocast runs: its call finds it
        elif node.op == "call_function" and str(node.target) in _BLOCKS:
            module, *given = (argument for argument in node.args if isinstance(argument, fx.Node))
            inner = getattr(graph.owning_module, str(module.target)).graph
            waiting = iter(given)
            # The operations within are ours, on the arguments that the block is given.
            within, made = read_ops(inner, lambda place, rest=waiting: env[next(rest)])  # type: ignore[misc]
            order += [op for op in within if all(op is not env[one] for one in given)]
            env[node] = Op("block", {"outputs": made}, made[0].shape if made else ())
        elif node.target is operator.getitem and (block := env.get(node.args[0])) is not None and block.name == "block":
            env[node] = block.args["outputs"][node.args[1]]
        elif node.op in ("placeholder", "get_attr"):
            env[node] = tensors(node)
            order.append(env[node])
        else:
            op = _operation(node, env)
            order.append(op)
            for target in written(node.target, node.args, node.kwargs):
                order += env.overwrite(target, op) if isinstance(target, fx.Node) else []
            env[node] = op
    return order, outputs


def _held(value: Any, env: Mapping[Any, Op]) -> Any:
    """Arguments with the operation in the place of each node."""
    if isinstance(value, fx.Node):
        return env[value]
    if isinstance(value, dict):
        return {key: _held(part, env) for key, part in value.items()}
    return [_held(part, env) for part in value] if isinstance(value, list | tuple) else value


def _operation(node: fx.Node, env: Mapping[fx.Node, Op]) -> Op:
    args, kwargs = _held(node.args, env), _held(node.kwargs, env)
    shape = first_shape(node.meta.get("val"))
    if node.target is operator.getitem:
        return Op("getitem", {"self": args[0], "index": args[1]}, shape, _module_of(node))
    return make_op(node.target, args, kwargs, shape, _module_of(node))


def first_shape(value: Any) -> Shape:
    """The shape of a tensor, or of the first of several."""
    if isinstance(value, list | tuple):
        return next((first_shape(part) for part in value if isinstance(part, Tensor)), ())
    return tuple(int(side) for side in value.shape) if isinstance(value, Tensor) else ()


def make_op(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], shape: Shape, module: str) -> Op:
    """A call of torch's with its arguments by name, defaults included; in-place or not is the same operation."""
    schema = getattr(function, "_schema", None)
    if schema is None:
        numbered = {str(number): argument for number, argument in enumerate(args)}
        return Op(getattr(function, "__name__", str(function)), {**numbered, **kwargs}, shape, module)
    given = {argument.name: value for argument, value in zip(schema.arguments, args, strict=False)} | dict(kwargs)
    named = {argument.name: given.get(argument.name, argument.default_value) for argument in schema.arguments}
    name = schema.name.partition("::")[2]
    return Op(name.rstrip("_") if not name.startswith("__") else name, named, shape, module)


def written(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments that an in-place operation writes to."""
    schema = getattr(function, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    marked = [
        (number, argument.name)
        for number, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return [args[number] if number < len(args) else kwargs.get(name) for number, name in marked]


class Environment(dict[Any, Op]):
    """What each tensor, by whatever stands for it, holds now."""

    def __init__(self) -> None:
        super().__init__()
        self._sharing: dict[int, list[Any]] = {}

    def __setitem__(self, node: Any, op: Op) -> None:
        super().__setitem__(node, op)
        self._sharing.setdefault(id(op.memory or op), []).append(node)

    def overwrite(self, target: Any, op: Op) -> list[Op]:
        """From here on whoever shares memory with ``target`` sees what ``op`` wrote. Returns the operations that this adds."""
        before = self[target]
        memory = before.memory or before
        op.memory, op.whole = memory, before.whole
        renewed = {id(before): op}
        for node in self._sharing[id(memory)]:
            old = self[node]
            if id(old) not in renewed:
                whole = before.whole and old.whole and elements(old.shape) == elements(op.shape)
                name = "view" if whole else "write"
                renewed[id(old)] = Op(name, {"self": op} if whole else {"self": old, "value": op}, old.shape, op.module)
                renewed[id(old)].memory, renewed[id(old)].whole = memory, old.whole
            super().__setitem__(node, renewed[id(old)])
        return [added for added in renewed.values() if added is not op]


def is_off(op: Op) -> bool:
    """A dropout that does nothing gives its input back."""
    return op.name.endswith("dropout") and op.args.get("train") is False


def _ops_in(values: Any) -> Iterator[Op]:
    for value in values:
        if isinstance(value, Op):
            yield value
        elif isinstance(value, list | tuple):
            yield from _ops_in(value)
        elif isinstance(value, dict):
            yield from _ops_in(value.values())


def _module_of(node: fx.Node) -> str:
    """The path of the innermost module that ran it."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]).split("@")[0] if stack else ""


def named_tensors(module: nn.Module) -> dict[int, str]:
    """The first name in ``state_dict`` of each parameter and buffer, by identity."""
    names: dict[int, str] = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        names.setdefault(id(tensor), name)
    return names


def tensor_op(tensor: Tensor, named: Mapping[int, str], place: str = "") -> Op:
    """A tensor that isn't computed; one that came from the meta device has no values."""
    kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer" if id(tensor) in named else "constant"
    known = None if getattr(tensor, "valueless", False) else tensor
    return Op(kind, {}, tuple(tensor.shape), named.get(id(tensor), place), known)


def export_ops(module: nn.Module, x: Tensor) -> tuple[list[Op], list[Op]]:
    """The operations as torch.export sees them, in the module's present mode."""
    with torch.set_grad_enabled(module.training):
        exported = torch.export.export(module, (x,), strict=False)
    signature, state = exported.graph_signature, dict(module.state_dict(keep_vars=True))
    named = named_tensors(module)
    places = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}

    def tensors(node: fx.Node) -> Op:
        value = node.meta["val"]
        if node.name not in places:
            return Op("input", shape=tuple(value.shape))
        place = places[node.name]
        tensor = state.get(place, exported.constants.get(place))
        if tensor is None:
            tensor = operator.attrgetter(place)(module)
        return tensor_op(tensor, named, place)

    return read_ops(exported.graph, tensors)
