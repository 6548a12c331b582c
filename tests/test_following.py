"""What a reader sees of runs while they train, and at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from repro import following, machine
from repro.executing import Outcome, Progress, Tell
from repro.experiment import Choice, Specification, plan
from repro.following import findings, follow, print_outcomes
from repro.records import Record, write_record

Make = Callable[..., Record]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Specification]:
    """Two runs, of which one is told to get on, the other to fail."""
    specifications = plan(Choice(name="digits"), ["plain8", "resnet8"], [0], 1_600, "cpu", 1, (tmp_path, tmp_path / "records"))

    def run_side_by_side(given: Sequence[Specification], workers: int, tell: Tell) -> list[Outcome]:
        for iteration in range(10, 1_601, 10):
            tell(given[0], Progress(iteration, 90.0 - iteration / 20, None if iteration == 10 else 6_400.0))
        outcomes = [Outcome(given[0], tmp_path / "a.json", None), Outcome(given[1], None, "ended by signal SIGKILL; start it again")]
        for run, outcome in zip(given, outcomes, strict=True):
            tell(run, outcome)
        return outcomes

    monkeypatch.setattr(following, "run_side_by_side", run_side_by_side)
    return specifications


def test_where_there_is_no_terminal_a_run_has_a_line_for_each_eighth(runs: list[Specification], capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (run.title for run in runs)
    assert len(follow(runs, 2)) == 2
    out, errors = capsys.readouterr()
    plan, *lines = errors.splitlines()
    assert out == ""
    assert plan.startswith("2 runs to train, 2 at a time; records go to ")
    assert lines[0] == f"{first}: 10 of 1,600 iterations, error  89.5 %"
    assert lines[1] == f"{first}: 200 of 1,600 iterations, error  80.0 %, 6,400 images/s, 28 s left"
    assert lines[8] == f"{first}: 1,600 of 1,600 iterations, error  10.0 %, 6,400 images/s, 0 s left"
    assert lines[9].startswith(f"{first}: record ")
    assert lines[9].endswith("a.json")
    assert lines[10:] == [f"{second}: ended by signal SIGKILL; start it again"]


def test_on_a_terminal_each_run_has_a_bar(
    runs: list[Specification], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    follow(runs, 2)
    errors = capsys.readouterr().err
    assert "1600/1600" in errors
    assert "6,400 images/s" in errors
    assert "ended by signal SIGKILL" in errors


def test_a_run_with_a_record_is_not_started(runs: list[Specification], make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_record("plain20", 0)
    write_record(record, runs[0].records)
    done = [runs[0].model_copy(update={"key": record.key})]
    monkeypatch.setattr(following, "run_side_by_side", lambda *given: pytest.fail("trained again"))
    (outcome,) = follow(done, None)
    assert outcome.record is not None
    assert outcome.failure is None


@pytest.mark.parametrize(
    ("cores", "threads", "device", "workers"), [(8, 1, "cpu", 2), (2, 2, "cpu", 1), (1, 4, "cpu", 1), (8, 1, "cuda", 1)]
)
def test_as_many_side_by_side_as_there_are_cores(
    runs: list[Specification], monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, device: str, workers: int
) -> None:
    given: list[int] = []

    def run_side_by_side(runs: Sequence[Specification], workers: int, tell: Tell) -> list[Outcome]:
        given.append(workers)
        return []

    monkeypatch.setattr(machine, "cores", lambda: list(range(cores)))
    monkeypatch.setattr(following, "run_side_by_side", run_side_by_side)
    follow(
        [run.model_copy(update={"settings": run.settings.model_copy(update={"threads": threads, "device": device})}) for run in runs], None
    )
    assert given == [workers]


def test_findings_are_of_runs_with_a_record_and_failures_have_their_reason(
    runs: list[Specification], tmp_path: Path, make_record: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {"plain20": 4.0, "plain56": 50.0, "resnet20": 3.0, "resnet56": 3.1}
    paths = [write_record(make_record(name, seed, end + seed / 2), tmp_path) for name, end in ends.items() for seed in range(3)]
    outcomes = [Outcome(runs[0], path, None) for path in paths] + [Outcome(runs[1], None, "ended by signal SIGKILL")]
    found = findings(outcomes)
    assert found["failures"] == [{"run": runs[1].title, "reason": "ended by signal SIGKILL"}]
    assert found["records"] == [os.fspath(path) for path in paths]
    assert len(found["experiments"]) == 1
    print_outcomes(found)
    lines = capsys.readouterr().out.splitlines()
    assert "  plain56   training error 50.50 %, test error 53.50 % (mean of 3)" in lines
    assert any(line.startswith("  holds: plain56 ends above plain20") for line in lines)
    assert f"{runs[1].title}: ended by signal SIGKILL" in lines
