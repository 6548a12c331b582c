"""The networks that run: what they compute is compared with loops over the printed formulas and with torchvision."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from torch import Tensor, nn

from repro import Ledger
from repro.building import build

SMALL = ["lenet5", "lenet5-modern", "plain20", "resnet20"]


def part(ledger: Ledger, network: str, name: str) -> nn.Module:
    """One module of a network. It may run on real numbers as long as it has no weights."""
    return build(ledger.network(network), "meta").get_submodule(name)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_gives_scores_and_every_parameter_a_gradient(ledger: Ledger, name: str) -> None:
    torch.manual_seed(0)
    network = ledger.network(name)
    module = build(network)
    scores = module(torch.randn(4, *network.input))
    assert scores.shape == (4, 10)
    loss = nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 3]))
    named = dict(module.named_parameters())
    for key, gradient in zip(named, torch.autograd.grad(loss, list(named.values())), strict=True):
        assert gradient.isfinite().all(), key
        assert gradient.any(), key
    assert sum(parameter.numel() for parameter in module.parameters()) == network.params


def test_every_network_gives_its_classes(ledger: Ledger) -> None:
    for name in ledger.networks:
        if name == "resnet1202":  # traced in test_counting
            continue
        network = ledger.network(name)
        scores = build(network, "meta")(torch.empty(2, *network.input, device="meta"))
        assert scores.shape == (2, 10 if network.input[1] == 32 else 1000), name


@pytest.mark.parametrize("name", SMALL)
def test_values_are_dropped_after_their_last_use(ledger: Ledger, name: str) -> None:
    module = build(ledger.network(name), "meta")
    alive = {"input"}
    for _, inputs, layer, spent in module._plan:
        assert alive >= set(inputs)
        alive = alive - set(spent) | {layer}
    assert len(alive) == 1


def test_response_normalisation_is_the_printed_formula(ledger: Ledger) -> None:
    """K12 section 3.3, b = a / (k + alpha * sum of a_j^2) ^ beta over j from i - n/2 to i + n/2: alpha isn't divided by n."""
    torch.manual_seed(0)
    a = torch.randn(1, 9, 2, 3, dtype=torch.float64) * 100
    k, n, alpha, beta = 2.0, 5, 1e-4, 0.75
    expected = torch.empty_like(a)
    for i in range(9):
        for y in range(2):
            for x in range(3):
                total = sum(a[0, j, y, x].item() ** 2 for j in range(max(0, i - n // 2), min(8, i + n // 2) + 1))
                expected[0, i, y, x] = a[0, i, y, x].item() / (k + alpha * total) ** beta
    for network, name in (("alexnet", "norm1"), ("alexnet", "norm2"), ("vgg-a-lrn", "conv1_lrn")):
        torch.testing.assert_close(part(ledger, network, name)(a), expected, rtol=1e-12, atol=0)


def test_the_squashing_function_keeps_plus_and_minus_one(ledger: Ledger) -> None:
    squash = part(ledger, "lenet5", "C1_tanh")
    x = torch.tensor([-1.0, 0.0, 1.0, 1e6], dtype=torch.float64)
    assert squash(x).tolist() == pytest.approx([-1, 0, 1, 1.7159], abs=1e-4)
    assert squash(x)[2].item() == pytest.approx(1.7159 * math.tanh(2 / 3), rel=1e-12)


def test_subsampling_adds_a_window_times_a_coefficient_plus_a_bias(ledger: Ledger) -> None:
    pool = build(ledger.network("lenet5")).get_submodule("S2").double()
    x = torch.arange(2 * 6 * 4 * 4, dtype=torch.float64).reshape(2, 6, 4, 4)
    torch.testing.assert_close(pool(x), nn.functional.avg_pool2d(x, 2))  # as initialised: a mean
    with torch.no_grad():
        pool.get_parameter("coefficient").copy_(torch.arange(1.0, 7))
        pool.get_parameter("bias").copy_(torch.arange(6) * 100.0)
    for image in range(2):
        for i in range(6):
            for y, x0 in ((0, 0), (1, 1), (0, 1)):
                window = x[image, i, 2 * y : 2 * y + 2, 2 * x0 : 2 * x0 + 2]
                assert pool(x)[image, i, y, x0].item() == window.sum().item() * (i + 1) + 100 * i


def test_the_output_units_measure_the_squared_distance_to_their_codes(ledger: Ledger) -> None:
    rbf = build(ledger.network("lenet5")).get_submodule("OUTPUT")
    codes = rbf.get_buffer("codes")
    assert codes.shape == (10, 84)
    assert set(codes.flatten().tolist()) == {-1.0, 1.0}
    assert len({tuple(code.tolist()) for code in codes}) == 10
    assert list(rbf.parameters()) == []
    torch.manual_seed(0)
    x = torch.randn(3, 84)
    expected = [[sum((v - w) ** 2 for v, w in zip(row, code, strict=True)) for code in codes.tolist()] for row in x.tolist()]
    torch.testing.assert_close(rbf(x), torch.tensor(expected), rtol=1e-5, atol=1e-4)
    distances = rbf(codes)
    assert distances.diagonal().tolist() == [0.0] * 10
    assert distances.argmin(1).tolist() == list(range(10))


def test_option_a_takes_every_second_pixel_and_adds_zero_maps_after_the_others(ledger: Ledger) -> None:
    shortcut = part(ledger, "resnet20", "conv3_1.pad")
    x = torch.randn(2, 16, 6, 8)
    y = shortcut(x)
    assert y.shape == (2, 32, 3, 4)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


def test_a_residual_network_adds_its_shortcuts_and_a_plain_one_does_not(ledger: Ledger) -> None:
    """With all weights of a block at zero, the residual block is its shortcut and the plain block gives nothing."""
    x = torch.randn(1, 3, 32, 32)
    for name, alive in (("resnet20", True), ("plain20", False)):
        module = build(ledger.network(name)).eval()
        with torch.no_grad():
            for parameter_name, parameter in module.named_parameters():
                if parameter_name.startswith("conv3_2."):
                    parameter.zero_()
            seen: list[Tensor] = []
            module.get_submodule("conv3_3.conv1").register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
            module(x)
        assert bool(seen[0].any()) is alive


def test_each_map_of_c3_depends_on_the_maps_of_s2_that_table_1_crosses(ledger: Ledger) -> None:
    columns = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"
    module = build(ledger.network("lenet5"))
    seen: dict[str, Tensor] = {}
    for name in ("S2_tanh", "C3.cat"):
        module.get_submodule(name).register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: output}))
    module(torch.randn(1, 1, 32, 32))
    for i, column in enumerate(columns.split()):
        (gradient,) = torch.autograd.grad(seen["C3.cat"][0, i].sum(), seen["S2_tanh"], retain_graph=True)
        assert [j for j in range(6) if gradient[0, j].any()] == [int(digit) for digit in column]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("vgg-c", "conv1_1.weight conv1_1.bias conv1_2.weight conv1_2.bias conv2_1.weight"),
        ("alexnet", "conv1.weight conv1.bias conv2.weight conv2.bias conv3.weight"),
        ("lenet5", "C1.weight C1.bias S2.coefficient S2.bias C3.conv0.weight"),
        ("resnet20", "conv1.weight conv1_bn.weight conv1_bn.bias conv1_bn.running_mean conv1_bn.running_var"),
    ],
)
def test_weights_are_named_after_the_printed_rows(ledger: Ledger, name: str, keys: str) -> None:
    assert list(build(ledger.network(name), "meta").state_dict())[:5] == keys.split()


def test_weights_of_a_block_are_named_after_the_block(ledger: Ledger) -> None:
    keys = [key for key in build(ledger.network("resnet50"), "meta").state_dict() if key.startswith("conv3_1.") and key.endswith("weight")]
    assert keys == [
        f"conv3_1.{name}.weight" for name in ("conv1", "conv1_bn", "conv2", "conv2_bn", "conv3", "conv3_bn", "projection", "projection_bn")
    ]


def test_fixed_codes_are_saved_with_the_weights(ledger: Ledger) -> None:
    torch.manual_seed(0)
    saved, loaded = build(ledger.network("lenet5")).eval(), build(ledger.network("lenet5")).eval()
    assert "OUTPUT.codes" in saved.state_dict()
    x = torch.randn(2, 1, 32, 32)
    assert not torch.equal(saved(x), loaded(x))
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(saved(x), loaded(x))


def difference_from_torchvision(ledger: Ledger, name: str, model: str, side: int) -> float:
    """The largest difference of scores, with torchvision's weights in both and relative to the largest score."""
    torch.manual_seed(0)
    theirs, ours = getattr(torchvision.models, model)().eval(), build(ledger.network(name)).eval()
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(other)
        scores = theirs(x)
        return float((ours(x) - scores).abs().max() / scores.abs().max())


@pytest.mark.parametrize(("name", "model"), [("resnet18-b", "resnet18"), ("resnet50-v1.5", "resnet50")])
def test_a_network_computes_what_torchvision_computes(ledger: Ledger, name: str, model: str) -> None:
    assert difference_from_torchvision(ledger, name, model, 64) < 1e-5


def test_the_place_of_the_stride_changes_what_is_computed(ledger: Ledger) -> None:
    """The paper's ResNet-50 takes torchvision's weights and gives other scores."""
    assert difference_from_torchvision(ledger, "resnet50", "resnet50", 64) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [("alexnet-owt", "alexnet"), ("vgg-a", "vgg11"), ("resnet34-b", "resnet34")])
def test_a_large_network_computes_what_torchvision_computes(ledger: Ledger, name: str, model: str) -> None:
    assert difference_from_torchvision(ledger, name, model, 224) < 1e-5
