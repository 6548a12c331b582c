"""Real processes: side by side, killed at any moment, interrupted, on a disk that is full; and the same bits at the end."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from repro import executing, machine
from repro.errors import ReproError
from repro.executing import Outcome, Progress, Stop, run_here, run_side_by_side, terminated_as_interrupt
from repro.experiment import Choice, Specification, plan
from repro.records import Record, find_record, read_record

#: The state is saved as often as this, in seconds, so that a process killed at any moment has something to lose.
OFTEN = {"REPRO_CHECKPOINT_SECONDS": "0.1"}
ENVIRONMENT = os.environ | OFTEN | {"PYTHONUNBUFFERED": "1"}


def specify(folder: Path, *networks: str, iterations: int = 16, **changes: Any) -> list[Specification]:
    runs = plan(Choice(name="digits"), networks, [0], iterations, "cpu", 1, (folder / "runs", folder / "records"))
    return [run.model_copy(update=changes) for run in runs]


def results(record: Record) -> dict[str, Any]:
    """A record without what depends on time, and on whether somebody edits the tree meanwhile."""
    return record.model_dump(exclude={"rate", "wall_seconds", "starts", "environment"})


def only_record(folder: Path, specification: Specification) -> Record:
    path = find_record(folder / "records", specification.key)
    assert path is not None
    return read_record(path)


# ---------------------------------------------------------------- side by side


def test_runs_side_by_side_end_with_a_record_or_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    good, bad = specify(tmp_path, "resnet8")[0], specify(tmp_path, "plain8", records=tmp_path / "file")[0]
    told: list[Progress | Outcome] = []
    outcomes = run_side_by_side([good, bad], 2, lambda specification, now: told.append(now))
    assert [outcome.specification.title for outcome in outcomes] == ["resnet8 seed 0", "plain8 seed 0"]
    assert [outcome.failure for outcome in outcomes] == [
        None, f"{tmp_path / 'file' / machine_folder()}: Not a directory; free space, correct the permissions or give another path, "
        "then run it again",
    ]  # fmt: skip
    assert outcomes[0].record == find_record(good.records, good.key)
    assert [now.iteration for now in told if isinstance(now, Progress)].count(16) == 2
    assert sum(isinstance(now, Outcome) for now in told) == 2
    left = sorted(path.name for path in good.checkpoints.iterdir() if path.suffix != ".lock")
    assert [name.rpartition("-")[0] for name in left] == ["plain8-seed-0"], (
        "what is saved has its record; the other left no state either, since a minute hadn't passed"
    )


def machine_folder() -> str:
    return "".join(c if c.isalnum() else " " for c in machine.hardware().lower()).strip().replace("  ", " ").replace(" ", "-")


def test_a_run_that_another_process_trains_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = specify(tmp_path, "resnet8")
    monkeypatch.setattr(executing, "PATIENCE", 0.0)
    run.checkpoints.mkdir()
    lock = run.checkpoints / f"digits-resnet8-seed0-{run.key}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ReproError, match=rf"^resnet8 seed 0 is being trained by another process, which holds {lock}; wait for it"):
            run_here(run, lambda now: None, lambda: False)
    path = run_here(run, lambda now: None, lambda: False)
    assert run_here(run, lambda now: pytest.fail("trained again"), lambda: False) == path
    again = run_here(run.model_copy(update={"again": True}), lambda now: None, lambda: False)
    assert again.name == f"{path.stem}-2.json", "nothing is overwritten"
    assert read_record(again).loss_trace == read_record(path).loss_trace


def test_each_single_thread_has_a_core_and_more_threads_have_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cores(threads: int, workers: int) -> set[int | None]:
        runs = specify(tmp_path, "resnet8", "plain8")
        runs = [run.model_copy(update={"settings": run.settings.model_copy(update={"threads": threads})}) for run in runs]
        given: list[int | None] = []

        def run(self: object, specification: Specification, core: int | None, tell: object) -> Outcome:
            given.append(core)
            time.sleep(0.1)
            return Outcome(specification, None, "not run")

        monkeypatch.setattr(executing._Children, "run", run)
        run_side_by_side(runs, workers, lambda specification, now: None)
        return set(given)

    monkeypatch.setattr(machine, "cores", lambda: [3, 5, 7, 9])
    assert cores(threads=1, workers=2) == {3, 5}
    assert cores(threads=2, workers=2) == {None}
    assert cores(threads=1, workers=1) == {None}, "commands of their own, at once on one machine, would all take the first"


def test_a_stop_is_an_interrupt_until_there_is_something_to_save() -> None:
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = Stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        stop = Stop()
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_end_that_is_asked_for_is_an_interrupt_unless_it_is_ignored(number: signal.Signals) -> None:
    old = signal.getsignal(number)
    try:
        for before in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(number, before)
            with nullcontext() if before is signal.SIG_IGN else pytest.raises(KeyboardInterrupt), terminated_as_interrupt():
                signal.raise_signal(number)
            assert signal.getsignal(number) is before
    finally:
        signal.signal(number, old)


def test_a_run_that_nobody_listens_to_saves_its_state_and_ends_before_it_has_something_to_say(tmp_path: Path) -> None:
    (run,) = specify(tmp_path, "resnet8", iterations=100_000)
    run = run.model_copy(update={"recipe": replace(run.recipe, log_every=100_000, test_every=100_000)})
    with subprocess.Popen(
        [sys.executable, "-m", "repro.executing", run.model_dump_json(), "-1"], stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as child:
        while not list(run.checkpoints.glob("*.pt")):
            assert child.poll() is None
            time.sleep(0.05)
        assert child.stdout is not None
        child.stdout.close()
        assert child.wait(20) == 130


# ---------------------------------------------------------------- disks


def run_with_files_of(size: int, specification: Specification) -> tuple[int, dict[str, Any], str]:
    """Exit code, last words and standard error of a real process that can't write files of more than ``size`` bytes."""
    code = (
        "import resource, sys; from repro.executing import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "sys.exit(main(sys.argv[1], '-1'))"
    )
    command = [sys.executable, "-B", "-c", code, specification.model_dump_json()]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    return result.returncode, json.loads(result.stdout.splitlines()[-1]), result.stderr


@pytest.mark.parametrize(("size", "what"), [(100_000, "checkpoint"), (2_000, "record")])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, what: str) -> None:
    monkeypatch.setitem(ENVIRONMENT, "REPRO_CHECKPOINT_SECONDS", "0" if what == "checkpoint" else "60")
    (run,) = specify(tmp_path, "resnet8")
    code, words, errors = run_with_files_of(size, run)
    assert (code, errors) == (2, "")
    assert list(words) == ["failure"]
    folder = run.checkpoints if what == "checkpoint" else run.records
    assert words["failure"].startswith(str(folder))
    assert run.key in words["failure"]
    assert words["failure"].endswith(": File too large; free space, correct the permissions or give another path, then run it again")
    assert [path.name for path in run.checkpoints.iterdir()] == [f"digits-resnet8-seed0-{run.key}.lock"]
    assert [path for path in run.records.rglob("*") if path.is_file()] == []


# ---------------------------------------------------------------- killed, and started again


class Command:
    """``repro degradation`` as somebody starts it again and again: resnet8 and plain8 at once."""

    def __init__(self, folder: Path, iterations: int) -> None:
        self.folder, self.log = folder, folder / "stderr"
        self.arguments = [sys.executable, "-m", "repro", "degradation", "--networks", "resnet8,plain8", "--seed", "0"]
        self.arguments += ["--iterations", str(iterations), "--workers", "2", "--device", "cpu"]
        self.arguments += ["--checkpoints", str(folder / "runs"), "--records", str(folder / "records")]
        self.process: subprocess.Popen[bytes] | None = None
        self.began: list[psutil.Process] = []

    def start(self, environment: Mapping[str, str] = ENVIRONMENT) -> None:
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                self.arguments,
                stdout=errors,
                stderr=errors,
                env=environment,
            )

    def wait_until_trained(self, runs: int = 1) -> None:
        """Until so many runs have said how far they are, in this life of the command."""
        assert self.process is not None
        until = time.monotonic() + 120
        while sum(f"{name} seed 0: " in self.said() for name in ("resnet8", "plain8")) < runs:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.02)
        self.began += self.children()

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children()

    def child(self, network: str) -> psutil.Process | None:
        return next((child for child in self.children() if f'"network":"{network}"' in " ".join(child.cmdline())), None)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(600)

    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> None:
        """Whatever became of the test."""
        for process in [*self.began, *([psutil.Process(self.process.pid)] if self.process and self.process.poll() is None else [])]:
            if process.is_running():
                process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    commands: list[Command] = []

    def make(name: str, iterations: int) -> Command:
        (tmp_path / name).mkdir()
        commands.append(Command(tmp_path / name, iterations))
        return commands[-1]

    yield make
    for command in commands:
        command.end()


def kill_parent(command: Command) -> None:
    command.signal(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL


def kill_all(command: Command) -> None:
    children = command.children()
    kill_parent(command)
    for child in children:
        if child.is_running():
            child.kill()


def kill_child(network: str) -> Callable[[Command], None]:
    def kill(command: Command) -> None:
        if child := command.child(network):
            child.kill()
        time.sleep(random.random() * 0.1)
        command.signal(signal.SIGTERM)
        assert command.wait() == 130
        if child:
            assert f"{network} seed 0: ended by signal SIGKILL; start the same command again" in command.said()

    return kill


def interrupt(number: int) -> Callable[[Command], None]:
    def ask(command: Command) -> None:
        command.signal(number)
        assert command.wait() == 130
        lines = command.said().splitlines()
        assert sum("interrupted; its state is saved" in line for line in lines) == 2
        assert lines[-1] == "repro: interrupted; what was written is whole"
        assert len(list((command.folder / "runs").glob("digits-*-seed0-????????????.pt"))) == 2
        assert not any(child.is_running() for child in command.began)

    return ask


KILLS = [kill_parent, kill_all, kill_child("resnet8"), kill_parent, kill_all, kill_child("plain8"), kill_parent, kill_all, kill_parent]
ENDINGS = [interrupt(signal.SIGINT), *KILLS, interrupt(signal.SIGTERM)]


@pytest.mark.slow
def test_runs_killed_ten_times_end_where_others_do(start: Callable[..., Command]) -> None:
    iterations = 1_000
    undisturbed, killed = start("undisturbed", iterations), start("killed", iterations)
    specifications = specify(killed.folder, "resnet8", "plain8", iterations=iterations)
    for end in ENDINGS:
        killed.start()
        killed.wait_until_trained(2 if end in (ENDINGS[0], ENDINGS[-1]) else 1)
        time.sleep(random.random() * 0.1)
        end(killed)  # and at once again: whoever is left must not be in the way
        assert not list(killed.folder.glob("records/*/*.json")), "killed inside training"

    killed.start()
    killed.wait_until_trained(2)
    dies = killed.child("plain8")
    assert dies is not None
    dies.kill()
    assert killed.wait() == 1
    assert "plain8 seed 0: ended by signal SIGKILL; start the same command again: it goes on from the last checkpoint" in killed.said()
    assert only_record(killed.folder, specifications[0]).network == "resnet8", "the other went on"

    killed.start()
    assert killed.wait() == 0, killed.said()
    undisturbed.start(os.environ)
    assert undisturbed.wait() == 0, undisturbed.said()
    for specification in specifications:
        whole, parts = only_record(undisturbed.folder, specification), only_record(killed.folder, specification)
        assert whole.starts == 1
        assert parts.starts >= len(ENDINGS) // 2, "most of its lives began from a checkpoint that the one before wrote"
        assert results(parts) == results(whole)
    assert [path.suffix for path in (killed.folder / "runs").iterdir()] == [".lock", ".lock"]


@pytest.mark.slow
@pytest.mark.skipif(not machine.has_compiler(), reason="needs a compiler")
def test_a_compiled_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def run(folder: Path, kill: bool) -> Record:
        (specification,) = specify(folder, "resnet8", iterations=200)
        specification = specification.model_copy(update={"settings": specification.settings.model_copy(update={"compile": True})})
        command = [sys.executable, "-m", "repro.executing", specification.model_dump_json(), "-1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said = json.loads(line)
                if kill and said.get("iteration", 0) >= 60:
                    time.sleep(random.random() * 0.1)
                    process.kill()
                    return run(folder, kill=False)
        assert process.returncode == 0
        return only_record(folder, specification)

    whole, parts = run(tmp_path / "whole", kill=False), run(tmp_path / "parts", kill=True)
    assert (whole.settings.compile, whole.starts, parts.starts) == (True, 1, 2)
    assert results(parts) == results(whole)
