"""Anybody's checkpoint in the ledger's network: the same scores, or what stands in the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from audited import exact, lenet, resnet
from safetensors.torch import load_file
from torch import Tensor, nn

from repro import Ledger
from repro.auditing.comparing import compare_module
from repro.auditing.converting import convert
from repro.building import build
from repro.errors import CheckpointError

THEIRS = "from torchvision.models import resnet18\n"


def trained(module: nn.Module, x: Tensor) -> nn.Module:
    """With weights and running statistics of its own."""
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(torch.randn_like(tensor), alpha=0.1)
        module.train()(x)
    return module.eval()


@pytest.mark.parametrize(
    ("name", "make", "sides"),
    [
        ("resnet20", exact.sequential, (3, 32, 32)),
        ("resnet20", lambda: exact.Reversed(replace(resnet.RESNET20, zeros=resnet.zeros_before)), (3, 32, 32)),
        ("resnet20", lambda: exact.Reversed(replace(resnet.RESNET20, zeros=resnet.zeros_around)), (3, 32, 32)),
        ("lenet5", lenet.LeNet5, (1, 32, 32)),
    ],
    ids=["Sequential", "zeros before", "zeros around", "LeNet-5"],
)
def test_the_network_of_the_ledger_gives_the_same_scores(
    ledger: Ledger, name: str, make: Callable[[], nn.Module], sides: tuple[int, int, int]
) -> None:
    torch.manual_seed(1)
    x = torch.randn(4, *sides)
    module = trained(make(), x)
    expected = module(x).detach()
    weights, notes = convert(module, compare_module(module, ledger.network(name), None))
    paper = build(ledger.network(name))
    paper.load_state_dict(weights)
    assert torch.allclose(paper.eval()(x), expected.reshape(4, -1), rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert notes[-1].startswith("in evaluation mode, outputs on a random input differ by ")


def test_dropout_is_no_obstacle_and_anything_else_is_named(ledger: Ledger) -> None:
    module = trained(nn.Sequential(*exact.sequential(), nn.Dropout(0.1)), torch.randn(4, 3, 32, 32))
    _, notes = convert(module, compare_module(module, ledger.network("resnet20"), None))
    assert len(notes) == 2
    biased = resnet.ResNet(replace(resnet.RESNET20, bias=True))
    with pytest.raises(CheckpointError, match=r"^weights can't be carried into resnet20: conv bias before BN$"):
        convert(biased, compare_module(biased, ledger.network("resnet20"), None))


def test_weights_that_do_not_give_the_same_scores_are_not_given(ledger: Ledger) -> None:
    module = exact.sequential()
    found = compare_module(module, ledger.network("resnet20"), None)
    module.register_forward_hook(lambda module, args, output: output + 1)  # the graph was read before it
    with pytest.raises(CheckpointError, match=r"^weights were carried into resnet20, but the outputs differ by \d"):
        convert(module, found)


def test_the_command_writes_a_file_that_the_network_loads(ledger: Ledger, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    module = torchvision.models.resnet18(num_classes=1000).eval()
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in module.state_dict().items()}, "epoch": 3}, tmp_path / "best.pt")
    (tmp_path / "theirs.py").write_text(THEIRS)
    words = [sys.executable, "-m", "repro", "convert", f"{tmp_path / 'theirs.py'}:resnet18", str(tmp_path / "best.pt")]
    out = tmp_path / "out.safetensors"
    ran = subprocess.run([*words, str(out), "--as", "resnet18-b", "--json"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["params"] == 11_689_512
    paper = build(ledger.network("resnet18-b"))
    paper.load_state_dict(load_file(out))
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(paper.eval()(x), module(x), atol=1e-4)
    ran = subprocess.run([*words, str(tmp_path / "other.safetensors"), "--as", "resnet18"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "repro: weights can't be carried into resnet18: option B shortcut; try --as resnet18-b\n"
    assert not (tmp_path / "other.safetensors").exists()
