"""The network that runs is the network of the table: traced layers, and torch's own count of MACs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import event, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from repro import Ledger, load_ledger
from repro.building import build
from repro.counting.tracing import Trace, trace
from repro.counting.with_torch import OnMeta, count_macs
from repro.errors import ReproError, TableError
from repro.tables.schema import PaperFile

NETWORKS = [
    "lenet5", "lenet5-modern", "alexnet", "alexnet-owt", "vgg-a", "vgg-a-lrn", "vgg-b", "vgg-c", "vgg-d", "vgg-e",
    "plain18", "plain34", "resnet18", "resnet34", "resnet18-b", "resnet34-b", "resnet34-c", "resnet50", "resnet101", "resnet152",
    "resnet50-v1.5", "resnet101-v1.5", "resnet152-v1.5", "plain20", "plain32", "plain44", "plain56", "plain110",
    "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202",
]  # fmt: skip


def test_no_network_is_forgotten(ledger: Ledger) -> None:
    assert list(ledger.networks) == NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layers_that_run_are_the_layers_of_the_table(ledger: Ledger, name: str) -> None:
    network = ledger.network(name)
    module = build(network, "meta")
    traced = trace(module, network.input)
    assert len(traced.layers) == len(network.layers)
    for ran, printed in zip(traced.layers, network.layers, strict=True):
        assert ran.to_json() == printed.to_json()
    assert traced.unseen == ({"OUTPUT": 840} if name == "lenet5" else {})
    assert traced.torch_macs + sum(traced.unseen.values()) == network.macs == traced.macs
    assert count_macs(module, network.input) == traced.torch_macs
    assert traced.params == sum(parameter.numel() for parameter in module.parameters()) == network.params
    assert sum(buffer.numel() for key, buffer in module.named_buffers() if key.endswith("codes")) == network.fixed_params


def test_torch_does_not_count_the_output_units_of_lenet5(ledger: Ledger) -> None:
    network = ledger.network("lenet5")
    traced = trace(build(network, "meta"), network.input)
    assert (traced.torch_macs, traced.macs) == (325_680, 326_520)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("alexnet-owt", "alexnet"),
        ("vgg-a", "vgg11"),
        ("vgg-b", "vgg13"),
        ("vgg-d", "vgg16"),
        ("vgg-e", "vgg19"),
        ("resnet18-b", "resnet18"),
        ("resnet34-b", "resnet34"),
        ("resnet50-v1.5", "resnet50"),
        ("resnet101-v1.5", "resnet101"),
        ("resnet152-v1.5", "resnet152"),
    ],
)
def test_torchvision_has_the_same_parameters_and_macs(ledger: Ledger, name: str, model: str) -> None:
    network = ledger.network(name)
    with OnMeta():
        module = getattr(torchvision.models, model)()
    assert count_macs(module, network.input) == network.macs
    assert sum(parameter.numel() for parameter in module.parameters()) == network.params
    traced = trace(module, network.input)
    assert (traced.params, traced.macs) == (network.params, network.macs)
    costly = ("conv", "linear", "batchnorm", "add")
    assert Counter(layer.kind for layer in traced.layers if layer.kind in costly) == Counter(
        layer.kind for layer in network.layers if layer.kind in costly
    )


@pytest.mark.parametrize("crop", [(), (("3x224x224", "3x227x227"), ('stride 4", padding = 2', 'stride 4", padding = 0'))])
def test_alexnet_without_its_two_towers_costs_more(edited: Callable[..., Path], crop: tuple[tuple[str, str], ...]) -> None:
    """The same for both readings of its input: 224 with a padding of 2, or 227 without."""
    ungrouped = [("5x5x48", "5x5x96"), ("3x3x192", "3x3x384"), ("3x3x192", "3x3x384")]
    network = load_ledger(edited("alexnet.toml", *ungrouped, *crop)).network("alexnet")
    traced = trace(build(network, "meta"), network.input)
    assert traced.layers == network.layers
    assert (traced.params, traced.macs) == (62_378_344, 1_135_256_096)


class Twice(nn.Module):
    """One convolution that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Conv2d(1, 1, 3, padding=1, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.f(x))  # type: ignore[no-any-return]


def summary(traced: Trace) -> list[tuple[str, str, int, int]]:
    return [(layer.name, layer.kind, layer.params, layer.macs) for layer in traced.layers]


def test_a_shared_module_costs_twice_and_weighs_once() -> None:
    traced = trace(Twice(), (1, 8, 8))
    assert summary(traced) == [("f", "conv", 10, 576), ("f#2", "conv", 0, 576)]
    assert (traced.params, traced.macs, traced.torch_macs) == (10, 1_152, 1_152)


def test_a_module_that_is_a_layer_itself_is_traced() -> None:
    traced = trace(nn.Linear(10, 11, device="meta"), (10,))
    assert summary(traced) == [("linear", "linear", 121, 110)]
    assert traced.torch_macs == 110


def test_a_grouped_convolution_is_counted_in_groups() -> None:
    conv = nn.Conv2d(96, 256, 5, padding=2, groups=2, device="meta")
    traced = trace(conv, (96, 27, 27))
    assert (traced.params, traced.macs, traced.torch_macs) == (307_456, 223_948_800, 223_948_800)
    assert traced.layers[0].groups == 2


class Functional(nn.Module):
    """A convolution without a module, and a parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(4, 3, 3, 3, device="meta"))
        self.idle = nn.Parameter(torch.empty(7, device="meta"))
        self.frozen = nn.Parameter(torch.empty(5, device="meta"), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.w, padding=1)


def test_a_functional_convolution_counts_and_an_idle_parameter_is_listed() -> None:
    traced = trace(Functional(), (3, 8, 8))
    assert summary(traced) == [("conv", "conv", 108, 6_912), ("idle", "unused", 7, 0)]
    assert traced.torch_macs == 6_912
    assert traced.layers[0].padding == (1, 1)
    assert traced.layers[0].bias is False


def test_a_compiled_module_is_counted_through_its_original() -> None:
    compiled = torch.compile(Twice())
    assert isinstance(compiled, nn.Module)
    assert count_macs(compiled, (1, 8, 8)) == 1_152


class Traced(nn.Module):
    """A module whose forward is given, with a convolution of 2 of 3x3x4 and a bias vector to use in it."""

    def __init__(self, run: Callable[[Traced, Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run
        self.weight = nn.Parameter(torch.empty(2, 4, 3, 3, device="meta"))
        self.offset = nn.Parameter(torch.empty(4, device="meta"))

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


@pytest.mark.parametrize(
    ("run", "kinds"),
    [
        (lambda m, x: F.conv2d(x, m.weight, padding="same"), ["conv"]),
        (lambda m, x: F.conv2d(input=x, weight=m.weight, padding=1), ["conv"]),
        (lambda m, x: F.conv2d(x + m.offset.view(1, -1, 1, 1), m.weight, padding="same"), ["add", "conv"]),
        (lambda m, x: F.conv2d(torch.cat(x.chunk(2, 1), 1), m.weight, padding=1), ["chunk", "cat", "conv"]),
        (lambda m, x: F.conv2d(x, m.weight, padding=1).mean((2, 3)), ["conv", "avgpool"]),
        (lambda m, x: F.conv2d(x, m.weight, padding=1).mean((-1, -2), keepdim=True), ["conv", "avgpool"]),
        (lambda m, x: F.conv2d(x, m.weight, padding=1).mean(1), ["conv", "mean"]),
    ],
)
def test_other_peoples_ways_to_write_a_layer_are_seen(run: Callable[[Traced, Tensor], Tensor], kinds: list[str]) -> None:
    found = trace(Traced(run), (4, 8, 8))
    assert [layer.kind for layer in found.layers if layer.kind != "unused"] == kinds
    assert found.macs == found.torch_macs == 2 * 4 * 9 * 64
    assert next(layer for layer in found.layers if layer.kind == "conv").padding == (1, 1)
    assert found.params == 72 + 4


def test_a_parameter_behind_a_view_is_used() -> None:
    found = trace(Traced(lambda m, x: F.conv2d(x + m.offset.view(1, -1, 1, 1), m.weight)), (4, 8, 8))
    assert [(layer.kind, layer.params) for layer in found.layers] == [("add", 4), ("conv", 72)]


def test_a_layer_whose_name_is_taken_is_refused(edited: Callable[..., Path]) -> None:
    folder = edited("alexnet.toml", ('name = "norm1"', 'name = "training"'))
    with pytest.raises(ReproError, match="layer 'training' can't be built: 'training' is taken"):
        build(load_ledger(folder).network("alexnet"), "meta")


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_torchs_own_counter_on_real_numbers_agrees(ledger: Ledger, name: str) -> None:
    network = ledger.network(name)
    with FlopCounterMode(display=False) as counter:
        build(network)(torch.randn(1, *network.input))
    assert counter.get_total_flops() == 2 * (network.macs - network.fixed_params)


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        self.norm(x)
        raise RuntimeError("broken")


def test_modes_come_back_and_no_hook_stays(ledger: Ledger) -> None:
    network = ledger.network("resnet20")
    module = build(network, "meta")
    module.train()
    module.get_submodule("conv1_bn").eval()
    before = {name: part.training for name, part in module.named_modules()}
    trace(module, network.input)
    count_macs(module, network.input)
    assert {name: part.training for name, part in module.named_modules()} == before
    broken = Broken()
    for count in (trace, count_macs):
        with pytest.raises(RuntimeError, match="broken"):
            count(broken, (3, 8, 8))
    assert broken.training
    assert broken.norm.training
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks


def test_tracing_twice_gives_the_same(ledger: Ledger) -> None:
    network = ledger.network("resnet20")
    module = build(network, "meta")
    assert trace(module, network.input) == trace(module, network.input)


def test_another_input_size_changes_macs_and_no_parameter(ledger: Ledger) -> None:
    """A CIFAR network on 64x64 has four times the MACs, its 640 of the last layer excepted."""
    network = ledger.network("resnet20")
    traced = trace(build(network, "meta"), (3, 64, 64))
    assert traced.params == network.params
    assert traced.macs == 4 * (network.macs - 640) + 640


kernel, filters, stride = st.integers(1, 5), st.sampled_from([2, 4, 6, 8]), st.integers(1, 3)
cells = (
    st.builds("{0}x{0}, {1}, stride {2}".format, kernel, filters, stride)
    | st.builds("{1} kernels of size {0}x{0}x{2}".format, kernel, filters, st.sampled_from([1, 2, 3, 4]))
    | st.builds("{0}x{0} max pool, stride {1}".format, st.integers(2, 3), stride)
    | st.builds("[{0}x{0}, {2}; {1}x{1}, {3}] x{4}".format, kernel, kernel, filters, filters, st.integers(1, 3))
    | st.just("LRN")
)
rules = st.fixed_dictionaries(
    {
        "conv_bias": st.booleans(),
        "conv_then": st.sampled_from([[], ["relu"], ["batchnorm", "relu"], ["tanh"]]),
        "padding": st.sampled_from(["same", "none"]),
        "pool_padding": st.integers(0, 1),
        "fc_then": st.just(["relu"]),
        "lrn": st.just({"n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75}),
        "tanh": st.just({"A": 1.7159, "S": 2 / 3}),
        "batchnorm": st.just({"eps": 1e-5, "momentum": 0.1}),
    }
)


@st.composite
def papers(draw: st.DrawFn) -> dict[str, Any]:
    """A paper that nobody wrote: convolutions, pools and blocks in any order, and perhaps a classifier."""
    body = draw(st.lists(cells, min_size=1, max_size=6))
    head = draw(st.sampled_from([["average pool", "10-d fc"], ["FC-7", "FC-10; softmax"], []]))
    table = {
        "where": "Table 1",
        "input": f"{draw(st.integers(1, 4))}x{draw(st.integers(4, 40))}x{draw(st.integers(4, 40))}",
        "rows": [{"name": f"row{number}_x", "cell": cell} for number, cell in enumerate([*body, *head])],
        "rules": draw(rules),
        "downsampling": [f"row{number}_1" for number in draw(st.sets(st.integers(0, len(body) - 1)))],
    }
    network = {"table": "Table 1", "shortcut": draw(st.sampled_from(["none", "A", "B", "C"]))}
    paper = {"key": "T", "title": "T", "authors": "T", "year": 1999, "source": "T"}
    return {"paper": paper, "tables": [table], "networks": {"net": network}}


def runs_as_counted(content: dict[str, Any]) -> bool:
    """Whether the network's rows fit; those that do must run as the closed form has them."""
    try:
        network = Ledger({"paper.toml": PaperFile.model_validate(content)}).network("net")
    except TableError:
        return False
    traced = trace(build(network, "meta"), network.input)
    assert traced.layers == network.layers
    assert traced.torch_macs == network.macs
    return True


@settings(max_examples=200)
@given(papers())
def test_any_table_whose_rows_fit_runs_as_it_is_counted(content: dict[str, Any]) -> None:
    event("fits" if runs_as_counted(content) else "refused")


@pytest.mark.slow
@settings(max_examples=3_000, derandomize=False)
@given(papers())
def test_thousands_of_tables_whose_rows_fit_run_as_they_are_counted(content: dict[str, Any]) -> None:
    event("fits" if runs_as_counted(content) else "refused")
