"""What looks like the paper's network and isn't: the proof sees it. What looks odd and is the paper's network: the proof doesn't mind."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from audited import exact, lenet, resnet
from torch import Tensor, nn
from torch.nn import functional as F

from repro.auditing import audit

Change = Callable[[nn.Module, Tensor], Tensor]


class Changed(nn.Module):
    """The paper's ResNet-20 with something done to its images, and to what its last layer takes."""

    def __init__(self, images: Change | None = None, features: Change | None = None) -> None:
        super().__init__()
        self.net = exact.sequential()
        self.register_buffer("count", torch.zeros(1))
        self.images, self.features = images, features

    def forward(self, x: Tensor) -> Tensor:
        y = self.net[:-1](self.images(self, x) if self.images else x)
        return self.net[-1](self.features(self, y) if self.features else y)  # type: ignore[no-any-return]


class Rounded(Changed):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


class Unlearning(Changed):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def counting(module: nn.Module, x: Tensor) -> Tensor:
    if module.training:
        module.count = module.get_buffer("count") + 1
    return x


def without_gradient(net: Changed) -> Changed:
    net.net.get_parameter("0.weight").register_hook(lambda gradient: 0 * gradient)  # type: ignore[no-untyped-call]
    return net


def forgetful(net: Changed) -> Changed:
    def forget(parameter: Tensor) -> None:
        parameter.grad = None

    net.net.get_parameter("0.weight").register_post_accumulate_grad_hook(forget)  # type: ignore[no-untyped-call]
    return net


class Filled(resnet.ResNet):
    """Option A's shortcut with fixed random maps where the zeros should be."""

    def __init__(self) -> None:
        super().__init__(replace(resnet.RESNET20, zeros=self.join))
        self.register_buffer("fixed", nn.init.normal_(torch.empty(1, 32, 32, 32)))

    def join(self, x: Tensor, stride: int, zeros: int) -> Tensor:
        x = x[:, :, ::stride, ::stride]
        return torch.cat((x, self.get_buffer("fixed")[:, :zeros, : x.shape[2], : x.shape[3]].expand(x.shape[0], -1, -1, -1)), 1)


def other_codes() -> nn.Module:
    net = lenet.LeNet5()
    next(net.buffers()).mul_(0.5)
    return net


NOT_THE_PAPERS: dict[str, Callable[[], nn.Module]] = {
    "dropout in evaluation only": lambda: Changed(features=lambda net, y: F.dropout(y, 0.5, not net.training)),
    "dropout with gradients only": lambda: Changed(features=lambda net, y: F.dropout(y, 0.5, net.training and torch.is_grad_enabled())),
    "rarely, by Python": lambda: Changed(lambda net, x: x.flip(3) if net.training and random.random() < 1e-9 else x),
    "rarely, by torch": lambda: Changed(lambda net, x: x.flip(3) if net.training and torch.rand(1).item() < 1e-9 else x),
    "large values only": lambda: Changed(lambda net, x: x / 255 if x.abs().max() > 50 else x),
    "one image only": lambda: Changed(lambda net, x: F.max_pool2d(x, 3, 1, 1) if x.shape[0] == 1 else x),
    "gradient hook": lambda: without_gradient(Changed()),
    "gradient thrown away": lambda: forgetful(Changed()),
    "autocast": Rounded,
    "no_grad": Unlearning,
    "a buffer that training changes": lambda: Changed(counting),
    "random maps, not zeros": Filled,
}


@pytest.mark.parametrize("make", NOT_THE_PAPERS.values(), ids=NOT_THE_PAPERS)
def test_what_is_not_the_papers_network_is_not_exact(make: Callable[[], nn.Module]) -> None:
    assert audit(make, as_="resnet20").verdict == "wrong"


def test_codes_are_black_and_white() -> None:
    assert audit(lenet.LeNet5(), as_="lenet5").verdict == "exact"
    found = audit(other_codes(), as_="lenet5")
    assert found.verdict == "wrong"
    assert found.differences[0].expected == "codes of -1 and 1"


def test_one_path_through_the_code_is_no_proof() -> None:
    found = audit(Changed(lambda net, x: x if x.sum() < 1e9 else x + 1), as_="resnet20")
    assert (found.verdict, found.differences) == ("same-structure", ())
    assert found.proof is not None


def odd_nets() -> Iterator[tuple[str, nn.Module]]:
    yield "double", Changed().double()
    yield "half", Changed().half()
    locked = Changed()
    locked.lock = threading.Lock()  # type: ignore[assignment]  # nothing that can be copied
    yield "with a lock", locked
    closure = Changed()
    closure.forward = lambda x: closure.net(x)  # type: ignore[method-assign]
    yield "closure", closure
    yield "zeros of Variable", resnet.ResNet(replace(resnet.RESNET20, zeros=variable_zeros))


def variable_zeros(x: Tensor, stride: int, zeros: int) -> Tensor:
    x = x[:, :, ::stride, ::stride]
    empty = torch.autograd.Variable(torch.zeros(x.shape[0], zeros, *x.shape[2:])).type_as(x)
    return torch.cat((empty[:, : zeros // 2], x, empty[:, zeros // 2 :]), 1)


@pytest.mark.parametrize(("name", "net"), list(odd_nets()))
def test_odd_code_may_be_exact(name: str, net: nn.Module) -> None:
    found = audit(net, as_="resnet20")
    assert found.verdict == "exact", (name, found)


def test_of_several_outputs_the_scores_are_taken() -> None:
    class Both(Changed):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            features = self.net[:-1](x)
            return features, self.net[-1](features)

    found = audit(Both(), as_="resnet20")
    assert (found.verdict, found.notes) == ("exact", ("2 outputs; number 2 is taken, which is computed last",))


def test_the_module_is_as_it_was() -> None:
    net = without_gradient(Changed().train())
    weight = net.net.get_parameter("0.weight")
    weight.grad = torch.ones_like(weight)
    net.net[1].eval()
    before = {name: (id(tensor), tensor.dtype, tensor.clone()) for name, tensor in net.state_dict(keep_vars=True).items()}
    audit(net, as_="resnet20")
    after = net.state_dict(keep_vars=True)
    assert all((id(after[name]), after[name].dtype) == (number, dtype) for name, (number, dtype, _) in before.items())
    assert all(torch.equal(after[name], tensor) for name, (_, _, tensor) in before.items())
    assert weight.grad is not None
    assert bool((weight.grad == 1).all())
    assert (net.training, net.net[1].training, net.net[2].training) == (True, False, True)
    assert weight.requires_grad
