"""The command of timing: one line for bad input, one document for --json, and an interrupt that keeps what is finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from bench import jobs, search
from bench.jobs import Ended
from repro import cli, cli_bench, machine
from repro.tables import load_ledger
from repro.throughput.timing import Configuration, Copy, Product, Roof, Session, Timing, read_session

MakeSession = Callable[..., Session]

RUN = ("bench", "--networks", "lenet5", "--task", "inference", "--device", "cpu")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, make_timing: Callable[..., Timing]) -> list[Configuration]:
    """What an invented machine was asked to time; half a second for each call."""
    asked: list[Configuration] = []

    def time_in_process(configuration: Configuration, limit: float, patience: float, beat: float | None = None) -> Timing:
        asked.append(configuration)
        return make_timing(**configuration.model_dump(), spent=limit)

    def run_module(module: str, text: str, environment: dict[str, str], patience: float) -> Ended:
        threads = json.loads(text)["threads"]
        roof = Roof(dtype="float32", threads=threads, products=(Product(n=64, flops=1e11),))
        copy = Copy(threads=threads, bytes_per_second=1e10)
        return Ended({"roofs": [roof.model_dump()], "copies": [copy.model_dump()]}, None, 0.0, 1.0)

    monkeypatch.setattr(jobs, "time_in_process", time_in_process)
    monkeypatch.setattr(jobs, "run_module", run_module)
    monkeypatch.setattr(machine, "hardware", lambda device="cpu": "Testor 9, 2 cores")
    monkeypatch.setattr(machine, "all_devices", lambda: ["cpu"])
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 1.0)
    return asked


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, Session], str]:
    def write(name: str, session: Session) -> str:
        (tmp_path / name).write_text(session.model_dump_json(), encoding="utf-8")
        return str(tmp_path / name)

    return write


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--networks", "vgg16"], "unknown network 'vgg16'; did you mean vgg-d?"),
        (["--networks", "lenet5,resnet5o"], "unknown network 'resnet5o'; did you mean resnet56, resnet50"),
        (["--networks", "lenet5", "--batch", "0"], "Invalid value for '--batch'"),
        (["--networks", "lenet5", "--batch", "many"], "Invalid value for '--batch'"),
        (["--networks", "lenet5", "--task", "learning"], "Invalid value for '--task'"),
        (["--networks", "lenet5", "--time-limit", "0"], "Invalid value for '--time-limit'"),
        (["--networks", "lenet5", "--time-limit", "nan"], "Invalid value for '--time-limit'"),
        (["--networks", "lenet5", "--time-limit", "inf"], "Invalid value for '--time-limit'"),
        (["--networks", "lenet5", "--budget", "inf"], "Invalid value for '--budget'"),
        (["--networks", "lenet5", "--budget", "-1"], "Invalid value for '--budget'"),
        (["--networks", "lenet5", "--device", "nonsense"], "--device nonsense: not a name of a device; leave --device away"),
        (["--networks", "lenet5", "--device", "cuda"], "--device cuda: this machine has no accelerator; "),
        (["--compare", "missing.json", "missing.json"], "missing.json: no such file; expected a file of reports/records/*/timing/"),
        (["--compare", ".", "."], ".: no such file; "),
        (["--compare", "one.json"], "Option '--compare' requires 2 arguments."),
        (["--compare", "text.json", "text.json"], "text.json: it isn't JSON"),
        (["--compare", "list.json", "list.json"], "list.json: the file: "),
        (["--compare", "bytes.json", "bytes.json"], "bytes.json: it isn't JSON"),
        (["--compare", "other.json", "other.json"], "other.json: "),
        (["--take", "missing.json"], "missing.json: no such file; "),
        (["--take", "text.json"], "text.json: it isn't JSON"),
        (["--take", "empty.json"], "empty.json: it isn't JSON"),
        (["--take", "pytest.json"], "pytest.json: no benchmark says what it timed; "),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    timed: list[Configuration],
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    files = {"text": b"no", "list": b"[1]", "bytes": b"\xff\xfe\x00", "other": b'{"format": 2}', "empty": b""}
    for name, content in (files | {"pytest": b'{"benchmarks": []}'}).items():
        Path(f"{name}.json").write_bytes(content)
    assert run("bench", "--records", "records", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"repro: {line}")
    assert printed.err.count("\n") == 1
    assert timed == []
    assert not Path("records").exists()


def test_a_damaged_record_is_one_line_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], timed: list[Configuration]) -> None:
    its = tmp_path / "testor-9-2-cores" / "timing"
    its.mkdir(parents=True)
    (its / "001.json").write_text('{"format": 1, "kind": "timing"', encoding="utf-8")
    assert run(*RUN, "--records", str(tmp_path)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"repro: {its / '001.json'}: ")
    assert "remove the file or take it from git again" in printed.err
    assert timed == []
    its.parent.rename(tmp_path / "another-machine")
    assert run(*RUN, "--records", str(tmp_path)) == 0, "no row of it is asked for"


def test_an_installed_copy_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "bench.session", None)
    assert run(*RUN) == 2
    assert capsys.readouterr().err == (
        "repro: timing needs a checkout of the project, and this is an installed copy; run `pip install -e .` in a clone\n"
    )


# ---------------------------------------------------------------- what is timed


def test_a_run_prints_its_result_and_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], timed: list[Configuration]) -> None:
    assert run(*RUN, "--records", str(tmp_path)) == 0
    printed = capsys.readouterr()
    (path,) = tmp_path.glob("*/timing/001.json")
    assert printed.out.startswith("Testor 9, 2 cores, ")
    assert printed.out.endswith(f"written: {path.as_posix()}\n")
    assert "lenet5 inference, batch 128: 256.0 images/s" in printed.out
    assert "lenet5 inference" in printed.err, "what is going on isn't a part of the result"
    timed.clear()
    assert run(*RUN, "--records", str(tmp_path)) == 0
    assert capsys.readouterr().out == "Testor 9, 2 cores: nothing was timed\nevery row was there already; --again times them anew\n"
    assert timed == []
    assert run(*RUN, "--records", str(tmp_path), "--again") == 0
    assert timed
    assert sorted(path.name for path in tmp_path.glob("*/timing/*")) == ["001.json", "002.json"]


def test_json_is_one_document_with_the_numbers_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], timed: list[Configuration]
) -> None:
    assert run(*RUN, "--records", str(tmp_path), "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["sessions"]
    saved = json.loads(Path(document["written"]).read_text())
    assert [{key: row[key] for key in saved["rows"][0]} for row in document["rows"]] == saved["rows"]
    assert {key: document[key] for key in saved if key != "rows"} == {key: value for key, value in saved.items() if key != "rows"}
    assert {row["images_per_second"] for row in document["rows"]} == {256.0}
    assert run(*RUN, "--records", str(tmp_path), "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["sessions"]
    assert (document["written"], document["rows"]) == (None, [])


@pytest.mark.parametrize(
    ("arguments", "networks", "tasks", "limit"),
    [
        (["--quick"], set(search.QUICK), {"inference"}, 2.0),
        (["--quick", "--task", "training", "--time-limit", "3"], set(search.QUICK), {"training"}, 3.0),
        (["--networks", " lenet5 ,resnet20,"], {"lenet5", "resnet20"}, {"inference", "training"}, 20.0),
        (["--networks", "resnet20", "--task", "both", "--quick"], {"resnet20"}, {"inference"}, 2.0),
    ],
)
def test_what_is_timed_is_chosen(
    tmp_path: Path,
    timed: list[Configuration],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    networks: set[str],
    tasks: set[str],
    limit: float,
) -> None:
    assert run("bench", "--records", str(tmp_path), "--budget", "0", "--batch", "3", "--json", *arguments) == 0
    (document,) = json.loads(capsys.readouterr().out)["sessions"]
    rows = [row["configuration"] for row in document["rows"]]
    assert {row["network"] for row in rows} == networks
    assert {row["task"] for row in rows} == tasks
    assert {row["batch"] for row in rows} == {3}
    assert {row["spent"] for row in document["rows"]} == {limit}


def test_every_network_is_timed_by_default(
    tmp_path: Path, timed: list[Configuration], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = load_ledger().networks
    plans: list[Any] = []

    def begin(plan: Any, tell: object) -> Any:
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.session.begin", begin)
    assert run("bench", "--records", str(tmp_path)) == 130
    assert run("bench", "--records", str(tmp_path), "--grid") == 130
    assert [[network.name for network in plan.networks] for plan in plans] == [list(networks), list(search.GRID)]
    assert [plan.full_grid for plan in plans] == [False, True]
    options = ("--exhibit", "--again", "--budget", "0", "--time-limit", "7", "--batch", "9", "--task", "training")
    assert run("bench", "--records", str(tmp_path), "--networks", "lenet5", *options) == 130
    asked = plans.pop()
    assert (asked.exhibit, asked.again, asked.budget, asked.limit, asked.batch) == (True, True, 0.0, 7.0, 9)
    assert (asked.tasks, asked.records) == (("training",), tmp_path)
    assert not any(plan.exhibit or plan.again for plan in plans)
    assert [plan.device for plan in plans] == ["cpu", "cpu"]
    assert run("bench", "--records", str(tmp_path), "--quick") == 130
    times = [(plan.limit, plan.budget, plan.roof_limit, plan.steps) for plan in plans[1:]]
    assert times == [(20.0, 120.0, 1.0, True), (2.0, 8.0, 0.1, False)]


def test_an_interrupt_is_exit_code_130_and_one_line(
    tmp_path: Path, timed: list[Configuration], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    time_in_process = jobs.time_in_process

    def interrupted(configuration: Configuration, *arguments: Any) -> Timing:
        if not configuration.is_eager_fp32:
            raise KeyboardInterrupt
        return time_in_process(configuration, *arguments)

    monkeypatch.setattr(jobs, "time_in_process", interrupted)
    assert run(*RUN, "--records", str(tmp_path)) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    (path,) = tmp_path.glob("*/timing/*")
    assert len(read_session(path).rows) == 1
    goes_on = f"1 row is in {path.as_posix()}; the same command goes on from there\n"
    assert printed.err.endswith(f"{goes_on}repro: interrupted; what was written is whole\n")
    assert run(*RUN, "--records", str(tmp_path), "--again") == 130
    assert "002.json; the same command without --again goes on from there" in capsys.readouterr().err
    assert run(*RUN, "--records", str(tmp_path)) == 130
    assert "interrupted before the first row" in capsys.readouterr().err
    monkeypatch.setattr(jobs, "time_in_process", time_in_process)
    assert run(*RUN, "--records", str(tmp_path)) == 0
    assert "not timed again: 1 row of 002.json; --again does\n" in capsys.readouterr().err


# ---------------------------------------------------------------- comparing and taking


def test_two_sessions_of_one_machine_are_compared(
    make_session: MakeSession, make_timing: Callable[..., Timing], save: Callable[[str, Session], str], capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = save("a.json", make_session(make_timing(seconds=0.5))), save("b.json", make_session(make_timing(seconds=0.25)))
    assert run("bench", "--compare", before, after) == 0
    assert "x0.50: faster" in capsys.readouterr().out
    assert run("bench", "--compare", before, after, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["verdict"] for row in document["rows"]] == ["faster"]


def test_two_machines_are_not_comparable(
    make_session: MakeSession, make_timing: Callable[..., Timing], save: Callable[[str, Session], str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = save("a.json", make_session(make_timing()))
    after = save("b.json", make_session(make_timing(), hardware="Testor 8, 4 cores"))
    assert run("bench", "--compare", before, after) == 0
    assert capsys.readouterr() == ("not comparable: before is on Testor 9, 2 cores, after on Testor 8, 4 cores\n", "")
    assert run("bench", "--compare", before, after, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["reason"], document["rows"]) == ("before is on Testor 9, 2 cores, after on Testor 8, 4 cores", [])


def test_what_is_taken_becomes_a_record(
    make_session: MakeSession,
    make_timing: Callable[..., Timing],
    save: Callable[[str, Session], str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    taken = make_session(make_timing())
    assert run("bench", "--take", save("a.json", taken), "--records", str(tmp_path / "records"), "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)["sessions"]
    assert read_session(Path(document["written"])) == taken
    assert [path.name for path in (tmp_path / "records").glob("*/timing/*")] == ["001.json"]


def test_all_times_a_few_networks_only_where_nothing_was_timed(
    tmp_path: Path, timed: list[Configuration], make_session: MakeSession, make_timing: Callable[..., Timing]
) -> None:
    (path,) = cli_bench.refresh(tmp_path)
    assert {row.configuration.network for row in read_session(path).rows} == {"resnet18", "alexnet", "resnet50"}
    timed.clear()
    path.write_text(make_session(make_timing("vgg-d"), hardware="Testor 8, 4 cores").model_dump_json(), encoding="utf-8")
    assert cli_bench.refresh(tmp_path) == []
    assert timed == [], "timings of any machine are enough for the reports"


# ---------------------------------------------------------------- real processes


@pytest.mark.slow
def test_ctrl_c_keeps_the_rows_that_are_finished_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """And one whole run: what is printed is what is written."""
    code = "from bench import session; session.SIZES = (64, 128); from repro.cli import main; main()"  # a roof that takes no minute
    words = [*RUN, "--records", str(tmp_path), "--time-limit", "0.5", "--batch", "2", "--json"]
    command = ["taskset", "-c", str(machine.cores()[0]), sys.executable, "-c", code, *words]  # on one core: other tests run on the other
    with subprocess.Popen([*command, "--budget", "300"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (paths := list(tmp_path.glob("*/timing/001.json"))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert errors.endswith("repro: interrupted; what was written is whole\n")
    assert "Traceback" not in errors
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    (path,) = paths
    content, kept = path.read_bytes(), read_session(path)
    assert kept.rows[0].is_timed, kept.rows[0].reason
    ended = subprocess.run([*command, "--budget", "1"], capture_output=True, text=True, check=True)
    (document,) = json.loads(ended.stdout)["sessions"]
    assert document["written"] != path.as_posix()
    saved = read_session(Path(document["written"]))
    assert not {row.configuration for row in saved.rows} & {row.configuration for row in kept.rows}
    assert [row["seconds"] for row in document["rows"]] == [list(row.seconds) for row in saved.rows]
    assert [row.get("median") for row in document["rows"]] == [row.median if row.is_timed else None for row in saved.rows]
    assert document["noise_floor"] == saved.floor
    assert path.read_bytes() == content
