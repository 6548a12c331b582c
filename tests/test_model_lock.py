"""The lock of anybody's model: what it holds, and what it says when something changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro.errors import TargetError
from repro.model_lock import LockedModel, lock_model, locked_input

CURE = "repro lock --model net.py:Net --write"


class Net(nn.Module):
    """Makes tensors while it runs, and normalises by keywords."""

    def __init__(self, bias: bool = False, frozen: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=bias)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(8, 2)
        self.dead = nn.Linear(8, 2)
        self.fc.requires_grad_(not frozen)

    def forward(self, x: Tensor) -> Tensor:
        bn = self.bn
        assert bn.running_mean is not None
        x = F.batch_norm(self.conv(x), running_mean=bn.running_mean, running_var=bn.running_var, weight=bn.weight, bias=bn.bias)
        x = torch.cat([x, torch.zeros(x.shape)], 1)
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


def test_a_lock_holds_the_layers_and_the_totals_of_any_model(tmp_path: Path) -> None:
    found = lock_model(nn.DataParallel(Net()), "Net()", [3, 8, 8])
    assert found == LockedModel.from_json(found.to_json())
    totals = found.to_json()
    assert (totals["params"], totals["fixed_params"], totals["macs"]) == (108 + 8 + 18 + 18, 0, 108 * 36 + 16)
    assert [layer.params for layer in found.layers if layer.kind == "unused"] == [16, 2]
    assert found.write(tmp_path / "x.json")
    assert not found.write(tmp_path / "x.json")
    assert found.drift(tmp_path / "x.json", CURE) is None
    assert locked_input(tmp_path / "x.json") == (3, 8, 8)
    assert locked_input(tmp_path / "y.json") is None


def test_what_changed_is_named_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    lock_model(Net(), "Net()", [3, 8, 8]).write(path)
    drifts = [
        lock_model(Net(bias=True), "Net()", [3, 8, 8]).drift(path, CURE),
        lock_model(Net(), "Net(1)", [3, 8, 8]).drift(path, CURE),
        lock_model(Net(frozen=True), "Net()", [3, 8, 8]).drift(path, CURE),
        lock_model(Net(), "Net()", [3, 9, 9]).drift(path, CURE),
        lock_model(Net(), "Net()", [3, 8, 8]).drift(tmp_path / "y.json", CURE),
    ]
    cure = f"; if meant, run `{CURE}`"
    assert drifts == [
        f"layer conv: bias is true, expected false (the first of 2 differences){cure}",
        "x.json is the lock of Net(), not of Net(1); give each a lock of its own",
        f"layer fc: params is 0, expected 18{cure}",
        f"layer conv: output is [4, 7, 7], expected [4, 6, 6] (the first of 4 differences){cure}",
        f"Net(): no lock at y.json; write it with `{CURE}`",
    ]


def test_a_model_that_cannot_be_run_is_one_line() -> None:
    with pytest.raises(TargetError, match=r"^Net can't run on 1x8x8 without values: RuntimeError: "):
        lock_model(Net(), "Net", (1, 8, 8))


def test_the_model_stays_as_it_was() -> None:
    net = Net()
    lock_model(net, "Net", (3, 8, 8))
    assert net.training
    assert net.conv.weight.device.type == "cpu"
