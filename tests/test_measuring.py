"""Numbers of a network that somebody could check by hand."""

from __future__ import annotations

import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro.building import build
from repro.data import Feeder, Split, load
from repro.experiment import find_network
from repro.measuring import EVALUATION_BATCH, evaluate, evaluating, gradient_layers, gradient_norms, response_stds
from repro.training import initialise


class Reads(nn.Module):
    """Ten points for the class that the first pixel names."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(x[:, 0, 0, 0].long(), 10) * 10.0


def test_loss_and_error_of_known_outputs() -> None:
    labels = torch.arange(1_203) % 10
    images = labels.to(torch.uint8)[:, None, None, None].expand(-1, 1, 1, 3).contiguous()
    images[[0, 700, 1_202]] = (images[[0, 700, 1_202]] + 1) % 10
    assert len(labels) % EVALUATION_BATCH, "the last batch isn't full"
    feeder = cast(Feeder, SimpleNamespace(plain=lambda images: images.permute(0, 3, 1, 2)))
    loss, error = evaluate(Reads(), feeder, Split(images, labels), nullcontext())
    assert error == pytest.approx(100 * 3 / 1_203)
    assert loss == pytest.approx(math.log1p(9 * math.exp(-10)) + 10 * 3 / 1_203, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_changes_nothing_afterwards(training: bool) -> None:
    net = build(find_network("resnet8")).train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with evaluating(net):
        assert not net.training
        net(torch.randn(4, 3, 8, 8))
    assert net.training == training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(ZeroDivisionError), evaluating(net):
        _ = 1 / 0
    assert net.training == training


def test_gradient_norms_are_autograds() -> None:
    net = build(find_network("plain8"))
    net(torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    by_hand = {name: float(np.sqrt((p.grad.numpy().astype(float) ** 2).sum())) for name, p in net.named_parameters() if p.grad is not None}
    names = gradient_layers(net)
    assert (names[0], names[-1], len(names)) == ("conv1", "fc", 8)
    assert gradient_norms(net) == pytest.approx([by_hand[f"{name}.weight"] for name in names], rel=1e-5)


def test_response_stds_are_numpys_over_all_images_after_bn_before_relu() -> None:
    digits, net = load("digits"), build(find_network("resnet8"))
    initialise(net, 0)
    feeder, images = Feeder(digits, pad=1, mirror=False), digits.train.images[:700]
    net(feeder.plain(images))  # so that the running statistics aren't 0 and 1
    outputs: dict[str, np.ndarray[Any, Any]] = {}
    hooks = [
        module.register_forward_hook(lambda module, inputs, output, name=name: outputs.update({name: output.numpy()}))
        for name, module in net.named_modules()
    ]
    with evaluating(net):
        net(feeder.plain(images))
    for hook in hooks:
        hook.remove()
    found = response_stds(net, feeder, images, nullcontext())
    assert list(found) == gradient_layers(net)[:-1]
    assert list(found.values()) == pytest.approx([float(outputs[f"{name}_bn"].astype(float).std()) for name in found], rel=1e-4)
    assert min(float(outputs[f"{name}_bn"].min()) for name in found) < -0.1, "before the ReLU"


def test_a_response_that_never_changes_has_no_spread() -> None:
    net, digits = build(find_network("plain8")), load("digits")
    nn.init.zeros_(cast(Tensor, net.get_submodule("conv1_bn").weight))
    nn.init.constant_(cast(Tensor, net.get_submodule("conv1_bn").bias), 1.1)  # the square of which rounding makes the variance negative
    stds = response_stds(net, Feeder(digits, pad=1, mirror=False), digits.train.images[:600], nullcontext())
    assert isinstance(stds["conv1"], float), "not complex"
    assert stds["conv1"] < 1e-6


def test_evaluation_uses_the_running_statistics() -> None:
    net, data = build(find_network("resnet20")), load("digits")
    feeder = Feeder(data, pad=data.pad, mirror=data.mirror)
    few = Split(data.test.images[:7], data.test.labels[:7])
    net.eval()
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(net(feeder.plain(few.images)), few.labels).item()
    net.train()
    assert evaluate(net, feeder, few, nullcontext())[0] == pytest.approx(expected, rel=1e-5)
