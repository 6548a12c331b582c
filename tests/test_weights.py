"""Checkpoints as people keep them: wrapped, prefixed, in safetensors; what doesn't fit is named, what may run code isn't read."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from repro.auditing.weights import load_weights, read_checkpoint, write_weights
from repro.errors import CheckpointError


def net(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2), flat=nn.Flatten(), fc=nn.Linear(8, classes)))


def prefixed(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(
    "keep",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
        lambda weights: {"best": 0.5, "model": prefixed("module.", weights)},
        lambda weights: {"teacher": weights},
        lambda weights: prefixed("_orig_mod.module.", weights),
        lambda weights: {"state_dict": prefixed("model.", weights)},
        lambda weights: {name: tensor for name, tensor in weights.items() if "num_batches" not in name},
    ],
    ids=["bare", "training state", "DataParallel", "other key", "compiled", "Lightning", "old BN"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_is_read_as_it_was_kept(tmp_path: Path, keep: Callable[[Any], Any], legacy: bool) -> None:
    weights, other = net().state_dict(), net()
    torch.save(keep(weights), tmp_path / "best.pt", _use_new_zipfile_serialization=not legacy)
    load_weights(other, read_checkpoint(tmp_path / "best.pt"), "best.pt")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in other.state_dict().items() if "num_batches" not in name)


def test_safetensors_and_a_wrapped_target_fit_too(tmp_path: Path) -> None:
    weights, other = net().state_dict(), nn.Sequential(OrderedDict(features=nn.DataParallel(net())))
    save_file(prefixed("features.module.", weights), tmp_path / "best.safetensors")
    load_weights(other, read_checkpoint(tmp_path / "best.safetensors"), "best.safetensors")
    assert all(torch.equal(tensor, weights[name.removeprefix("features.module.")]) for name, tensor in other.state_dict().items())


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    weights = net(classes=4).state_dict()
    weights["head.weight"] = weights.pop("conv.weight")
    with pytest.raises(CheckpointError) as caught:
        load_weights(net(), weights, "best.pt")
    assert str(caught.value) == (
        "best.pt doesn't fit the target: it lacks conv.weight; has in addition head.weight; "
        "differs: fc.weight is 4x8, not 3x8, fc.bias is 4, not 3"
    )
    with pytest.raises(CheckpointError, match=r"it has in addition a0, a1, a2, a3 and 2 more$"):
        load_weights(net(), net().state_dict() | {f"a{number}": torch.ones(1) for number in range(6)}, "best.pt")


@pytest.mark.parametrize(
    ("saved", "line"),
    [
        (argparse.Namespace(lr=1), "best.pt isn't read, since it may run code: it holds more than tensors (argparse.Namespace); if you"),
        (nn.ReLU(), "best.pt isn't read, since it may run code: it holds more than tensors (torch.nn"),
        ({"epoch": 3, "lr": 0.1}, "best.pt holds epoch, lr, none of which is a state_dict"),
        ([torch.ones(1)], "best.pt holds a list, expected a state_dict"),
        ({"a": {"x": torch.ones(1)}, "b": {"x": torch.ones(1)}}, "best.pt holds a, b, none of which is a state_dict"),
    ],
)  # fmt: skip
def test_what_is_no_state_dict_is_one_line(tmp_path: Path, saved: Any, line: str) -> None:
    torch.save(saved, tmp_path / "best.pt")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "best.pt")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["best.pt", "best.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "missing", "folder"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    torch.save(net().state_dict(), path) if name == "best.pt" else save_file(net().state_dict(), path)
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"<html>not found</html>\n" * 9}[damage])
    with pytest.raises(CheckpointError, match=f"^{name}") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_written_weights_say_whose_they_are(tmp_path: Path) -> None:
    write_weights(tmp_path / "net.safetensors", net().state_dict(), "tinynet")
    net().load_state_dict(read_checkpoint(tmp_path / "net.safetensors"))
    with safe_open(tmp_path / "net.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "network": "tinynet"}
