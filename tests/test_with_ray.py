"""Runs on a real Ray, one started on this machine: a worker killed, an interrupt, and what is said where there is no Ray."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from repro import with_ray
from repro.errors import ReproError
from repro.experiment import Choice, Specification, plan
from repro.records import Record, read_record

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'cnn-repro[cluster]'")

#: The command, with tasks that save their state after each iteration. One of them sends a signal once, in its twentieth, to itself or
#: to the driver. Ray takes the functions of a script, unlike those of a module, to its workers as they are here.
SIGNALLED = """
import os, sys, time
from pathlib import Path
from repro import with_ray
from repro.cli import main

once, target, number, *arguments = sys.argv[1:]
driver = os.getpid()

def run(*words):
    import repro.training
    from repro import distributed, with_ray
    repro.training.CHECKPOINT_SECONDS = 0.0
    share, calls = distributed.share, []

    def counted(images, labels):
        calls.append(None)
        if len(calls) == 20 and not Path(once).exists():
            Path(once).touch()
            os.kill(driver if target == "driver" else os.getpid(), int(number))
            counted.pause = 5.0
        time.sleep(counted.pause)
        return share(images, labels)

    counted.pause = 0.0
    distributed.share = counted
    return with_ray._run(*words)

with_ray._run = run
main(arguments)
"""


def degradation(folder: Path, networks: str, *signalled: str) -> subprocess.CompletedProcess[str]:
    """The command on Ray; ``signalled`` says who gets which signal."""
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    options = ["--executor", "ray", "--networks", networks, "--seed", "0", "--iterations", "32", "--device", "cpu"]
    folders = ["--checkpoints", str(folder / "runs"), "--records", str(folder / "records")]
    start = ["-c", SIGNALLED, str(folder / "once"), *signalled] if signalled else ["-m", "repro"]
    command = [sys.executable, *start, "degradation", *options, *folders]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)


def the_records(folder: Path) -> dict[str, Record]:
    return {record.network: record for record in map(read_record, folder.glob("records/*/*.json"))}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("uninterrupted")
    ran = degradation(folder, "plain8,resnet8")
    assert ran.returncode == 0, ran.stderr
    said = {line.split(" seed 0: ")[0] for line in ran.stderr.splitlines() if " seed 0: " in line}
    assert said == {"plain8", "resnet8"}  # progress comes to the driver, and nothing of Ray's
    records = the_records(folder)
    assert set(records) == {"plain8", "resnet8"}
    assert records["resnet8"].starts == 1
    return records["resnet8"]


@needs_ray
@pytest.mark.slow
def test_a_killed_worker_is_tried_again_from_its_checkpoint(tmp_path: Path, uninterrupted: Record) -> None:
    ran = degradation(tmp_path, "resnet8", "task", str(int(signal.SIGKILL)))
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "once").exists()
    record = the_records(tmp_path)["resnet8"]
    assert record.starts == 2
    assert record.loss_trace == uninterrupted.loss_trace
    assert not list(tmp_path.glob("runs/*.pt"))


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_the_state(tmp_path: Path, uninterrupted: Record, number: signal.Signals) -> None:
    ran = degradation(tmp_path, "resnet8", "driver", str(int(number)))
    assert ran.returncode == 130, ran.stderr
    assert ran.stderr.splitlines()[-1] == "repro: interrupted; what was written is whole"
    assert "Traceback" not in ran.stderr
    assert not the_records(tmp_path)
    assert list(tmp_path.glob("runs/*.pt"))
    assert degradation(tmp_path, "resnet8").returncode == 0
    record = the_records(tmp_path)["resnet8"]
    assert record.starts == 2
    assert record.loss_trace == uninterrupted.loss_trace


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ReproError, match=r"^--executor ray needs Ray, which isn't installed: `pip install ray`$"):
        with_ray.run_on_ray(some_runs(tmp_path), None, lambda run, now: None)


@needs_ray
def test_a_cluster_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ReproError, match=rf"^RAY_ADDRESS={address}: no Ray answers there"):
        with_ray.run_on_ray(some_runs(tmp_path), None, lambda run, now: None)


def some_runs(folder: Path) -> list[Specification]:
    return plan(Choice(name="digits"), ["resnet8"], [0], 32, "cpu", 1, (folder / "runs", folder / "records"))
