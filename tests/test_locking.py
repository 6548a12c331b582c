"""The gate must turn red: each known way to build another network, mutated in a real module, is found and named."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro.building import PaperNet, build
from repro.checking import check_layers, check_network
from repro.counting.tracing import trace
from repro.errors import LockError
from repro.locking import LOCKS, compare_layers, is_locked, lock_path, lock_text, read_lock, write_lock
from repro.tables import Ledger, Network


class FirstOnly(nn.Module):
    """An addition that forgot its shortcut."""

    def forward(self, body: Tensor, shortcut: Tensor) -> Tensor:
        return body


class HalfShortcut(nn.Module):
    """An addition that takes half of its shortcut."""

    def forward(self, body: Tensor, shortcut: Tensor) -> Tensor:
        return torch.add(body, shortcut, alpha=0.5)


class WithDeadProjection(nn.Module):
    """An addition beside a projection that is computed and dropped."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, channels, 1, bias=False, device="meta")

    def forward(self, body: Tensor, shortcut: Tensor) -> Tensor:
        self.projection(shortcut)
        return body + shortcut


def swap(net: PaperNet, name: str, module: nn.Module) -> None:
    """Puts another module in the place of a layer."""
    number = next(i for i, (_, _, layer, _) in enumerate(net._plan) if layer == name)
    _, inputs, _, spent = net._plan[number]
    net._plan[number] = (module, inputs, name, spent)
    parent, _, leaf = name.rpartition(".")
    net.get_submodule(parent).add_module(leaf, module)


conv = functools.partial(nn.Conv2d, device="meta")


def swapped(network: str, layer: str, module: Callable[[], nn.Module]) -> Callable[[Ledger], PaperNet]:
    def made(ledger: Ledger) -> PaperNet:
        net = build(ledger.network(network), "meta")
        swap(net, layer, module())
        return net

    return made


def variant(network: str, **changes: str) -> Callable[[Ledger], PaperNet]:
    return lambda ledger: build(ledger.variant(network, **changes), "meta")


def other(network: str) -> Callable[[Ledger], PaperNet]:
    return lambda ledger: build(ledger.network(network), "meta")


def one_channel_more(ledger: Ledger) -> PaperNet:
    net = build(ledger.network("vgg-d"), "meta")
    swap(net, "conv1_1", conv(3, 65, 3, padding=1))
    swap(net, "conv1_2", conv(65, 64, 3, padding=1))
    return net


def stride_on_the_last_layer(ledger: Ledger) -> PaperNet:
    net = build(ledger.network("resnet20"), "meta")
    swap(net, "conv3_1.conv1", conv(16, 32, 3, padding=1, bias=False))
    swap(net, "conv3_1.conv2", conv(32, 32, 3, padding=1, stride=2, bias=False))
    return net


def dropout_moved(ledger: Ledger) -> PaperNet:
    net = build(ledger.network("vgg-d"), "meta")
    swap(net, "fc6_relu", nn.Dropout(0.5))
    swap(net, "fc6_dropout", nn.ReLU())
    return net


def unused_parameter(ledger: Ledger) -> PaperNet:
    net = build(ledger.network("resnet20"), "meta")
    net.never_called = conv(16, 16, 1)
    return net


def lrn(**constants: float) -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, **({"alpha": 5e-4, "beta": 0.75, "k": 2.0} | constants))


#: what was done -> (the network that it should have been, how it was built, the first layer and field that differ)
MUTATIONS: dict[str, tuple[str, Callable[[Ledger], PaperNet], str]] = {
    "v1.5 stride": ("resnet50", variant("resnet50", stride_on="3x3"), "conv3_1.conv1: output"),
    "option B on a CIFAR net": ("resnet20", variant("resnet20", shortcut="B"), "conv3_1.projection is new"),
    "option C": ("resnet34-b", variant("resnet34-b", shortcut="C"), "conv2_1.projection is new"),
    "lost shortcut addition": ("resnet20", swapped("resnet20", "conv2_1.add", FirstOnly), "conv2_1.add is missing"),
    "plain instead of option A": ("resnet56", other("plain56"), "conv2_1.conv2_relu is new"),
    "conv bias before BN": (
        "resnet20",
        swapped("resnet20", "conv2_2.conv1", lambda: conv(16, 16, 3, padding=1)),
        "conv2_2.conv1: bias",
    ),
    "missing BN": ("resnet20", swapped("resnet20", "conv2_2.conv1_bn", nn.Identity), "conv2_2.conv1_bn is missing"),
    "missing bias": ("vgg-d", swapped("vgg-d", "conv1_1", lambda: conv(3, 64, 3, padding=1, bias=False)), "conv1_1: bias"),
    "VGG C with 3x3": ("vgg-c", swapped("vgg-c", "conv3_3", lambda: conv(256, 256, 3, padding=1)), "conv3_3: kernel"),
    "OWT AlexNet": ("alexnet", other("alexnet-owt"), "conv1: output"),
    "ungrouped AlexNet": ("alexnet", swapped("alexnet", "conv2", lambda: conv(96, 256, 5, padding=2)), "conv2: groups"),
    "LRN lost": ("alexnet", swapped("alexnet", "norm1", nn.Identity), "norm1 is missing"),
    "LRN k": ("alexnet", swapped("alexnet", "norm1", lambda: lrn(k=1.0)), "norm1: constants"),
    "LRN alpha": ("alexnet", swapped("alexnet", "norm1", lambda: lrn(alpha=1e-4)), "norm1: constants"),
    "ReLU lost": ("vgg-a", swapped("vgg-a", "fc6_relu", nn.Identity), "fc6_relu is missing"),
    "dropout lost": ("vgg-d", swapped("vgg-d", "fc7_dropout", nn.Identity), "fc7_dropout is missing"),
    "dropout moved": ("vgg-d", dropout_moved, "fc6_relu: kind"),
    "another dropout": ("vgg-d", swapped("vgg-d", "fc7_dropout", lambda: nn.Dropout(0.4)), "fc7_dropout: constants"),
    "padding changed": ("alexnet", swapped("alexnet", "conv1", lambda: conv(3, 96, 11, stride=4, padding=3)), "conv1: padding"),
    "one channel more": ("vgg-d", one_channel_more, "conv1_1: output"),
    "stride on a block's last layer": ("resnet20", stride_on_the_last_layer, "conv3_1.conv1: output"),
    "half a shortcut": ("resnet20", swapped("resnet20", "conv2_1.add", HalfShortcut), "conv2_1.add: constants"),
    "BN without running statistics": (
        "resnet20",
        swapped("resnet20", "conv1_bn", lambda: nn.BatchNorm2d(16, track_running_stats=False, device="meta")),
        "conv1_bn: constants",
    ),
    "frozen weights": (
        "resnet20",
        swapped("resnet20", "conv1", lambda: conv(3, 16, 3, padding=1, bias=False).requires_grad_(False)),
        "conv1: params",
    ),
    "reflecting padding": (
        "resnet20",
        swapped("resnet20", "conv1", lambda: conv(3, 16, 3, padding=1, padding_mode="reflect", bias=False)),
        "conv1: kind",
    ),
    "dead projection": ("resnet20", swapped("resnet20", "conv2_1.add", lambda: WithDeadProjection(16)), "conv2_1.add.projection is new"),
    "dead parameters": ("resnet20", unused_parameter, "never_called.weight is new"),
    "eps of BN": ("resnet20", swapped("resnet20", "conv1_bn", lambda: nn.BatchNorm2d(16, eps=1e-3, device="meta")), "conv1_bn: constants"),
    "max pool without padding": (
        "resnet18-b",
        swapped("resnet18-b", "conv2_maxpool", lambda: nn.MaxPool2d(3, 2, ceil_mode=True)),
        "conv2_maxpool: padding",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation_turns_the_gate_red_and_names_layer_cell_and_cure(ledger: Ledger, name: str) -> None:
    network_name, mutate, first = MUTATIONS[name]
    network = ledger.network(network_name)
    drifts = check_layers(network, trace(mutate(ledger), network.input).layers)
    locks = [drift for drift in drifts if drift.gate == "lock"]
    assert len(locks) == 1
    assert locks[0].message.startswith(f"layer {first}")
    assert network.table.where in locks[0].message
    assert "`repro lock --write`" in locks[0].message


@pytest.mark.parametrize("name", ["resnet20", "alexnet", "vgg-c", "lenet5"])
def test_an_unchanged_network_keeps_the_gate_green(ledger: Ledger, name: str) -> None:
    network = ledger.network(name)
    assert check_layers(network, trace(build(network, "meta"), network.input).layers) == []


class Dropout(nn.Module):
    """Dropout whose mode isn't the module's."""

    def __init__(self, on: bool) -> None:
        super().__init__()
        self.on = on

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, self.on)


class ShortcutInEvaluation(nn.Module):
    """An addition that forgets its shortcut in training mode."""

    def forward(self, body: Tensor, shortcut: Tensor) -> Tensor:
        return body if self.training else body + shortcut


class Frozen(nn.BatchNorm2d):
    """Batch normalisation that stays in evaluation mode."""

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)


@pytest.mark.parametrize(
    ("network", "layer", "module", "first"),
    [
        ("alexnet", "fc6_dropout", lambda: Dropout(False), "in training mode layer fc6_dropout: constants"),
        ("alexnet", "fc6_dropout", lambda: Dropout(True), "layer fc6_dropout: constants"),
        ("resnet20", "conv2_1.add", ShortcutInEvaluation, "in training mode layer conv2_1.add is missing"),
        ("resnet20", "conv1_bn", lambda: Frozen(16, device="meta"), "in training mode layer conv1_bn: constants"),
    ],
)
def test_a_mode_of_its_own_turns_the_gate_red(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, network: str, layer: str, module: Callable[[], nn.Module], first: str
) -> None:
    made = swapped(network, layer, module)(ledger)
    monkeypatch.setattr("repro.building.build", lambda *_: made)
    drifts, _ = check_network(ledger.network(network), frozenset({"torch"}))
    assert drifts[0].message.startswith(first)


def test_the_head_of_the_lock_is_held(ledger: Ledger, tmp_path: Path) -> None:
    network = ledger.network("lenet5")
    text = lock_text(network, network.layers)
    for old, new, message in (
        ('"input": [1, 32, 32]', '"input": [1, 33, 32]', "input is [1, 32, 32], the lock has [1, 33, 32]"),
        ('"params": 60000', '"params": 1', "params is 60000, the lock has 1"),
        ('"fixed_params": 840', '"fixed_params": 8', "fixed_params is 840, the lock has 8"),
        ('"layers": [', '"layers":  [', "the lock isn't written as `repro lock --write` writes it"),
    ):
        assert old in text
        (tmp_path / "lenet5.json").write_text(text.replace(old, new, 1))
        (drift,) = check_layers(network, network.layers, tmp_path)
        assert drift.message == f"{message}; if meant, run `repro lock --write`"


def test_the_message_names_the_printed_cell(ledger: Ledger) -> None:
    network = ledger.network("resnet50")
    (drift,) = (d for d in check_layers(network, trace(MUTATIONS["v1.5 stride"][1](ledger), network.input).layers) if d.gate == "lock")
    assert 'H15 Table 1, row conv3_x, column 50-layer: "[1x1, 128; 3x3, 128; 1x1, 512] x4"' in drift.message
    assert drift.file == "repro/papers/resnet.toml"
    assert 'name = "conv3_x"' in Path(drift.file).read_text().splitlines()[drift.line - 1]


def test_every_network_is_locked_and_nothing_else(ledger: Ledger) -> None:
    assert {path.stem for path in LOCKS.glob("*.json")} == set(ledger.networks)
    assert all(is_locked(network, network.layers, lock_path(network.name)) for network in map(ledger.network, ledger.networks))


def test_a_lock_is_json_with_one_layer_a_line_and_reads_back(ledger: Ledger) -> None:
    network = ledger.network("lenet5")
    text = lock_text(network, network.layers)
    rows = json.loads(text)
    assert (rows["params"], rows["fixed_params"], rows["macs"], rows["input"]) == (60_000, 840, 326_520, [1, 32, 32])
    assert text.count("\n") == len(network.layers) + 1  # the head stands on a line of its own
    assert read_lock("lenet5", lock_path("lenet5")) == network.layers


def test_writing_an_equal_lock_changes_nothing_and_leaves_no_temporary_file(ledger: Ledger, tmp_path: Path) -> None:
    network: Network = ledger.network("lenet5")
    assert write_lock(network, network.layers, lock_path(network.name, tmp_path))
    before = (tmp_path / "lenet5.json").stat().st_mtime_ns
    assert not write_lock(network, network.layers, lock_path(network.name, tmp_path))
    assert (tmp_path / "lenet5.json").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["lenet5.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"layers": [{"name": 1}]}', b'{"layers": [3]}', b'{"layers": 7}'])
def test_a_broken_lock_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lenet5.json").write_bytes(content)
    with pytest.raises(LockError, match=r"^lenet5: lenet5\.json is no lock .*`repro lock --write`$"):
        read_lock("lenet5", lock_path("lenet5", tmp_path))


def test_a_missing_lock_is_drift(ledger: Ledger, tmp_path: Path) -> None:
    network = ledger.network("lenet5")
    (drift,) = check_layers(network, network.layers, tmp_path)
    assert drift.message == "lenet5: no lock at lenet5.json; write it with `repro lock --write`"


def test_differences_come_in_running_order(ledger: Ledger) -> None:
    layers = ledger.network("alexnet").layers
    found = [layer for layer in layers if layer.name != "norm1"]
    found[-1] = replace(found[-1], macs=1)
    assert [str(difference) for difference in compare_layers(layers, found)] == [
        "layer norm1 is missing",
        "layer fc8: macs is 1, expected 4096000",
    ]
    reordered = [layers[1], layers[0], *layers[2:]]
    assert [difference.field for difference in compare_layers(layers, reordered)] == ["order"]
    assert compare_layers(layers, list(layers)) == []
