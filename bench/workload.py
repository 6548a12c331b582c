"""A configuration -> the call that is timed: one batch through the network, or one training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode

from repro.building import build
from repro.tables import Network, load_ledger
from repro.throughput.timing import Configuration
from repro.training import initialise

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def prepare(configuration: Configuration) -> Callable[[], object]:
    """The call. Images are noise of the network's own input size, weights are initialised; settings of torch are changed for good."""
    use_device(configuration.device)
    torch.set_num_threads(configuration.threads)
    use_tf32(configuration.dtype == "tf32")
    torch.backends.cudnn.benchmark = True  # in every row, so that two of them differ in what they say
    built = make(load_ledger().network(configuration.network))
    if configuration.compiled and configuration.task == "inference":
        built = fold(built)
    kind = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[configuration.layout]
    net = cast(nn.Module, built.to(device=configuration.device, memory_format=kind))  # type: ignore[call-overload]
    images = make_images(configuration).to(configuration.device)
    return _inference(net, images, configuration) if configuration.task == "inference" else _training(net, images, configuration)


def make(network: Network) -> nn.Module:
    """The network with its weights drawn once, and not by torch before, which takes a second for VGG."""
    with Undrawn():
        net = build(network)
    initialise(net, 0)
    return net


class Undrawn(TorchFunctionMode):
    """Convolutions and linear layers begin with whatever is in memory."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (nn.init.kaiming_uniform_, nn.init.uniform_):
            return kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def fold(net: nn.Module) -> nn.Module:
    """In evaluation mode, with each batch normalisation in the weights of the convolution before it. Freezing would do that too, and gives
    code that is as fast, but compiles ResNet-152 for three times as long."""
    return fuse(net.eval(), inplace=True) if any(isinstance(module, nn.BatchNorm2d) for module in net.modules()) else net


def use_device(device: str) -> None:
    """Events and streams are those of the current device: ``cuda:1`` must be that."""
    index = torch.device(device).index
    if index is not None:
        torch.accelerator.set_device_index(index)


def use_tf32(yes: bool) -> None:
    """Whether a device may round the operands of float32 products; torch's defaults differ between products and convolutions.

    By the flags that all versions have: where the newer ``fp32_precision`` is set, torch.compile and torch.export can't read the flags.
    """
    torch.backends.cudnn.allow_tf32 = yes
    torch.backends.cuda.matmul.allow_tf32 = yes


def make_images(configuration: Configuration) -> Tensor:
    """A batch on the host: noise in the dtype that the device gets it in."""
    shape = (configuration.batch, *load_ledger().network(configuration.network).input)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if configuration.task == "inference":
        images = images.to(DTYPES[configuration.dtype])
    return images.contiguous(memory_format=torch.channels_last) if configuration.layout == "channels_last" else images


def _inference(net: nn.Module, images: Tensor, configuration: Configuration) -> Callable[[], object]:
    net = net.to(DTYPES[configuration.dtype]).eval()
    if configuration.compiled:
        net = _compile(net, configuration.threads, freezing=True)  # weights become constants

    @torch.inference_mode()
    def infer() -> Tensor:
        return cast(Tensor, net(images))

    return infer


def _compile(net: nn.Module, threads: int, *, freezing: bool) -> nn.Module:
    """The network that is compiled at its first call."""
    import torch._inductor.config as inductor  # it takes a second, which rows that aren't compiled needn't wait for

    inductor.cpp.threads = threads  # it's compiled into the code, and into the key of the code's cache
    inductor.freezing = freezing
    return cast(nn.Module, torch.compile(net))


def _training(net: nn.Module, images: Tensor, configuration: Configuration) -> Callable[[], object]:
    net.train()
    classes = load_ledger().network(configuration.network).layers[-1].output[0]
    labels = torch.arange(len(images), device=images.device) % classes
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    half = configuration.dtype in ("bfloat16", "float16")
    scaler = torch.amp.GradScaler(configuration.device, enabled=configuration.dtype == "float16")
    forward = _compile(net, configuration.threads, freezing=False) if configuration.compiled else net
    kind = torch.device(configuration.device).type

    def step() -> None:
        with torch.autocast(kind, DTYPES[configuration.dtype], enabled=half):
            loss = cross_entropy(forward(images), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step
