"""One network over two real processes: shares, averages, and what happens when one of them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro import distributed
from repro.errors import ReproError
from repro.records import Record, read_record

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
OPTIONS = ("--networks", "resnet8", "--seed", "0", "--iterations", "32", "--device", "cpu")

#: A run that saves its state after each iteration, one process of which sends itself a signal in its twentieth.
SIGNALLED = """
import os, sys
import repro.training
from repro import distributed
from repro.cli import main

rank, number, *arguments = sys.argv[1:]
repro.training.CHECKPOINT_SECONDS = 0.0
share, calls = distributed.share, []

def counted(images, labels):
    calls.append(None)
    if distributed.rank() == int(rank) and len(calls) == 20:
        os.kill(os.getpid(), int(number))
    return share(images, labels)

distributed.share = counted
main(arguments)
"""

#: Both processes hold the mean of their gradients against the gradient of the whole batch, in evaluation mode.
GRADIENTS = """
import torch
from torch.nn.functional import cross_entropy
from repro import distributed
from repro.building import build
from repro.experiment import find_network

torch.manual_seed(0)
net = build(find_network("resnet8")).double().eval()
images, labels = torch.randn(16, 3, 8, 8, dtype=torch.float64), torch.randint(10, (16,))

def gradients(images, labels):
    return torch.autograd.grad(cross_entropy(net(images), labels), list(net.parameters()))

with distributed.together("cpu"):
    whole, part = gradients(images, labels), gradients(*distributed.share(images, labels))
    assert not all(torch.allclose(one, other) for one, other in zip(whole, part))
    distributed.average(part)
    for one, other in zip(whole, part, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert distributed.anyone(distributed.rank() == 1, "cpu") and not distributed.anyone(False, "cpu")
    assert distributed.from_first(distributed.rank) == 0
"""


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*TORCHRUN, *words], env=environment, capture_output=True, text=True, timeout=240)


def degradation(folder: Path, *before: str, options: tuple[str, ...] = OPTIONS) -> subprocess.CompletedProcess[str]:
    folders = ("--checkpoints", str(folder / "runs"), "--records", str(folder / "records"))
    return torchrun(*(before or ("-m", "repro")), "degradation", *options, *folders)


def said(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """What the project says on standard error; the launcher says much more."""
    return [line for line in ran.stderr.splitlines() if line.startswith("repro: ")]


def the_record(folder: Path) -> Record:
    (path,) = folder.glob("records/*/*.json")
    return read_record(path)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("uninterrupted")
    ran = degradation(folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("training error") == 1  # by one process only
    return the_record(folder)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes itself for the second of two."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")


def test_alone_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    images, labels = torch.randn(5, 3, 8, 8), torch.arange(5)
    assert [part.tolist() for part in distributed.share(images, labels)] == [images.tolist(), labels.tolist()]
    distributed.check_shares(12, 127)
    with distributed.together("cpu"):
        distributed.average([images])
        assert distributed.from_first(lambda: 3) == 3
        assert not torch.distributed.is_initialized()


@pytest.mark.usefixtures("two")
def test_the_second_of_two_takes_the_second_half() -> None:
    images, labels = distributed.share(torch.arange(8).reshape(8, 1), torch.arange(8))
    assert images.flatten().tolist() == labels.tolist() == [4, 5, 6, 7]


@pytest.mark.usefixtures("two")
def test_what_cannot_be_shared_is_refused() -> None:
    distributed.check_shares(1, 128)
    with pytest.raises(ReproError, match="2 processes share one run, and there are 4; give one name with --networks and one --seed"):
        distributed.check_shares(4, 128)
    with pytest.raises(ReproError, match="a batch of 127 can't be shared equally by 2 processes"):
        distributed.check_shares(1, 127)


def test_the_average_is_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    ran = torchrun(str(script))
    assert ran.returncode == 0, ran.stderr


def test_two_processes_make_one_record(uninterrupted: Record) -> None:
    assert uninterrupted.settings.world == 2
    assert uninterrupted.outcome == "finished"
    assert uninterrupted.curves.train.iteration[-1] == 32
    assert uninterrupted.curves.train.error[-1] < 50  # it learns


@pytest.mark.slow
def test_one_process_killed_leaves_a_state_to_go_on_from(tmp_path: Path, uninterrupted: Record) -> None:
    ended = signalled(tmp_path, 0, signal.SIGKILL)
    assert said(ended) == [f"repro: {distributed.LOST}"]
    assert "repro/" not in ended.stderr  # no traceback of ours
    assert goes_on(tmp_path) == uninterrupted.loss_trace


@pytest.mark.slow
def test_the_other_process_killed_leaves_a_state_too(tmp_path: Path, uninterrupted: Record) -> None:
    ended = signalled(tmp_path, 1, signal.SIGKILL)
    assert said(ended) == [f"repro: {distributed.LOST}"]
    assert goes_on(tmp_path) == uninterrupted.loss_trace


@pytest.mark.slow
def test_a_signal_to_one_process_ends_both_with_their_state_saved(tmp_path: Path, uninterrupted: Record) -> None:
    ended = signalled(tmp_path, 1, signal.SIGTERM)
    assert said(ended) == ["repro: interrupted; what was written is whole"]
    assert goes_on(tmp_path) == uninterrupted.loss_trace


@pytest.mark.slow
def test_the_launcher_may_start_them_again(tmp_path: Path, uninterrupted: Record) -> None:
    script = tmp_path / "signalled.py"
    script.write_text(SIGNALLED)
    ran = degradation(tmp_path, "--max-restarts", "1", str(script), "0", str(int(signal.SIGKILL)))
    assert ran.returncode == 0, ran.stderr
    assert the_record(tmp_path).loss_trace == uninterrupted.loss_trace
    assert the_record(tmp_path).starts == 2


@pytest.mark.slow
def test_bad_input_is_said_once(tmp_path: Path) -> None:
    ran = degradation(tmp_path, options=("--networks", "plain8,resnet8", *OPTIONS[2:]))
    assert ran.returncode != 0
    assert said(ran) == ["repro: 2 processes share one run, and there are 2; give one name with --networks and one --seed"]


def signalled(folder: Path, rank: int, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    script = folder / "signalled.py"
    script.write_text(SIGNALLED)
    ended = degradation(folder, str(script), str(rank), str(int(number)))
    assert ended.returncode != 0
    assert not list(folder.glob("records/*/*"))
    return ended


def goes_on(folder: Path) -> str:
    """The loss trace of the run that the same command ends; that it did go on is held too."""
    ran = degradation(folder)
    assert ran.returncode == 0, ran.stderr
    assert the_record(folder).starts == 2
    assert not list(folder.glob("runs/*.pt"))
    return the_record(folder).loss_trace
