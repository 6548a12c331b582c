"""What a target names -> ``nn.Module``: an instance as it is, a class or factory called, with the defaults that can't be met replaced."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from repro.auditing.faults import describe, first_line
from repro.auditing.reading import bare
from repro.auditing.targets import Call
from repro.errors import ReproError, TargetError

#: Arguments whose defaults want a download, a file or a device, and what asks for none of these.
_MODEST = {"pretrained": False, "weights": None, "pretrained_backbone": False, "weights_backbone": None, "download": False, "device": "cpu"}
#: Maps of one image that the networks take, in the order in which they are tried.
INPUTS = ((3, 224, 224), (3, 227, 227), (3, 32, 32), (1, 32, 32), (1, 28, 28))


class OnCpu(TorchFunctionMode):
    """Whatever is sent to an accelerator within it stays where it is; what is made on one is made on the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.cuda, Tensor.xpu):
            return args[0]
        kwargs = {key: torch.device("cpu") if _is_accelerator(value) else value for key, value in (kwargs or {}).items()}
        if func is Tensor.to and len(args) > 1 and _is_accelerator(args[1]):
            args = (args[0], args[0].device, *args[2:])
        return func(*args, **kwargs)


def _is_accelerator(value: Any) -> bool:
    if isinstance(value, torch.device):
        return value.type not in ("cpu", "meta")
    return isinstance(value, str) and value.split(":")[0] in ("cuda", "mps", "xpu")


def on_cpu() -> contextlib.AbstractContextManager[Any]:
    """:class:`OnCpu` where there is no accelerator."""
    return contextlib.nullcontext() if torch.accelerator.is_available() else OnCpu()


def construct(call: Call, shown: str, root: Path) -> tuple[nn.Module, list[str]]:
    """The module that a call makes, and notes on what was called otherwise than written. Raises TargetError.

    ``shown`` is the target, ``root`` its repository, both for messages.
    """
    value = call.function
    notes: list[str] = []
    if call.written or not isinstance(value, nn.Module):
        if not callable(value):
            raise TargetError(f"{shown} is {_kind(value)}, neither a module nor something that makes one")
        _check_arguments(call, shown)
        value, notes = _called(call, shown, root)
    if not isinstance(value, nn.Module):
        raise TargetError(f"{shown} gives {_kind(value)}, expected an nn.Module; name what makes the network itself")
    try:
        return bare(value), notes
    except ReproError as error:
        raise TargetError(f"{shown}: {error}") from error


def _called(call: Call, shown: str, root: Path) -> tuple[Any, list[str]]:
    """The result of the call as written, or with modest arguments, or with accelerators taken for the CPU."""
    given = dict(call.keywords)
    modest = {name: _MODEST[name] for name in _open_parameters(call) if name in _MODEST}
    first: BaseException | None = None
    for keywords, note in _attempts(given, modest):
        try:
            with on_cpu() if note == _NO_DEVICE else contextlib.nullcontext():
                value = call.function(*call.arguments, **keywords)
        except (Exception, SystemExit) as error:
            first = first or error
            continue
        notes = [f"{note}, since it fails as it is: {first_line(first, 160)}"] if first else []
        return value, notes
    assert first is not None
    raise TargetError(describe(first, root, f"making {shown.rpartition(':')[2]}")) from first


_NO_DEVICE = "built on the CPU"


def _attempts(given: dict[str, Any], modest: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    yield given, ""
    if modest:
        yield given | modest, f"called with {', '.join(f'{name}={value!r}' for name, value in modest.items())}"
    if not torch.accelerator.is_available():
        yield given, _NO_DEVICE


def _open_parameters(call: Call) -> list[str]:
    """Parameters that the call leaves to their defaults."""
    signature = _signature(call.function)
    if signature is None:
        return []
    bound = signature.bind_partial(*call.arguments, **dict(call.keywords)).arguments
    return [name for name in signature.parameters if name not in bound]


def _check_arguments(call: Call, shown: str) -> None:
    """Raises TargetError with the signature where the arguments don't fit it."""
    signature = _signature(call.function)
    if signature is None:
        return
    try:
        signature.bind(*call.arguments, **dict(call.keywords))
    except TypeError as error:
        name = getattr(call.function, "__name__", "") or shown.rpartition(":")[2].split("(")[0]
        place = shown[: shown.rindex(":") + 1] if not call.written else shown[: shown.index("(")].rpartition(":")[0] + ":"
        wanted = [parameter for parameter in signature.parameters.values() if parameter.default is parameter.empty]
        example = ", ".join(
            f"{parameter.name}=..." for parameter in wanted if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        )
        plain = ", ".join(str(_plain(parameter)) for parameter in signature.parameters.values())
        raise TargetError(
            f"{name}({plain}) can't be called so ({error}); give its arguments in the target, such as '{place}{name}({example})'"
        ) from None


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(annotation=inspect.Parameter.empty)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "a dict (weights alone don't say how they are used)" if any(isinstance(part, Tensor) for part in value.values()) else "a dict"
        )
    return "None" if value is None else f"a {type(value).__name__}"


def sizes_that_work(module: nn.Module) -> Iterator[tuple[int, int, int]]:
    """Which of INPUTS the module takes, tried with tensors that hold no values; the module's mode comes back after it."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from repro.counting.with_torch import InMode

    for shape in INPUTS:
        try:
            with InMode(module, training=False), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), on_cpu():
                module(torch.empty(2, *shape))
        except Exception:
            continue
        yield shape
