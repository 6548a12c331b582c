from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro import ReproError
from repro.machine import ROOT, cores
from repro.throughput.pytest_json import read_pytest_json
from repro.throughput.timing import Session, Timing

MakeTiming = Callable[..., Timing]
MakeSession = Callable[..., Session]
Write = Callable[[object], Path]

BLOCKS = (0.101, 0.102, 0.1, 0.1, 0.102, 0.101)


@pytest.fixture
def content(make_timing: MakeTiming, make_session: MakeSession) -> dict[str, Any]:
    """The JSON of a run of pytest-benchmark that nobody made, with one benchmark that says what it timed and one that doesn't."""
    session = make_session(same=()).model_dump(mode="json", exclude={"rows"})
    info = {"configuration": make_timing("lenet5").configuration.model_dump(), "warm_up": 7, "first_call": 0.5, "peak_memory": 1000}
    more = {"macs": 416_520, "images_per_second": 79.2, "roof_share": 0.0003}
    stats = {"data": list(BLOCKS), "iterations": 3, "rounds": 6, "median": 0.101, "min": 0.1}
    named = {"group": None, "params": None, "options": {"timer": "perf_counter"}}
    return {
        "machine_info": {"node": "adas-laptop", "cpu": {"brand_raw": "Testor 9"}, "repro": session},
        "commit_info": {"id": "abc", "project": "adas-project", "branch": "adas-branch"},
        "benchmarks": [
            named | {"name": "test_counting", "fullname": "/srv/ada/test_counting.py", "stats": stats, "extra_info": {"macs": 1}},
            named | {"name": "test_lenet5", "fullname": "/srv/ada/test_throughput.py", "stats": stats, "extra_info": info | more},
        ],
        "datetime": "2026-01-01T00:00:00+00:00",
        "version": "5.3.1",
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a document to a file and returns its path."""

    def written(document: object) -> Path:
        path = tmp_path / "benchmarks.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return written


def read(path: Path) -> Session:
    session = read_pytest_json(path)
    assert session is not None
    return session


def test_rounds_become_blocks_of_the_configuration(content: dict[str, Any], write: Write, make_timing: MakeTiming) -> None:
    session = read(write(content))
    (row,) = session.rows
    assert row.configuration == make_timing("lenet5").configuration
    assert (row.seconds, row.calls, row.warm_up, row.first_call, row.peak_memory) == (BLOCKS, 3, 7, 0.5, 1000)
    assert row.median == pytest.approx(0.101)
    assert row.reached, "±1 % of the median"
    assert (session.source, session.environment.hardware, session.floor) == ("pytest-benchmark", "Testor 9, 2 cores", None)
    assert session.roof("float32", 2) == 200e9


def test_wide_intervals_have_not_reached_two_per_cent(content: dict[str, Any], write: Write) -> None:
    content["benchmarks"][1]["stats"]["data"] = [0.1, 0.11, 0.1, 0.1, 0.12, 0.1]
    assert not read(write(content)).rows[0].reached
    content["benchmarks"][1]["stats"]["data"] = [0.1] * 5
    assert not read(write(content)).rows[0].reached


def test_names_of_hosts_projects_and_folders_stay_out(content: dict[str, Any], write: Write) -> None:
    assert "ada" not in read(write(content)).model_dump_json()


def test_a_session_is_no_file_of_pytest_benchmark(write: Write, make_session: MakeSession) -> None:
    assert read_pytest_json(write(make_session().model_dump(mode="json"))) is None
    assert read_pytest_json(write([1, 2])) is None


def test_what_is_not_json_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    path.write_text("time: 3 s", encoding="utf-8")
    with pytest.raises(ReproError, match=r"benchmarks\.json: it isn't JSON: .*; give a file that `repro bench` or `pytest bench"):
        read_pytest_json(path)


def without_configuration(content: dict[str, Any]) -> None:
    del content["benchmarks"][1]


def without_session(content: dict[str, Any]) -> None:
    del content["machine_info"]["repro"]


def without_data(content: dict[str, Any]) -> None:
    del content["benchmarks"][1]["stats"]["data"]


def negative(content: dict[str, Any]) -> None:
    content["benchmarks"][1]["stats"]["data"][2] = -0.1


def unknown_dtype(content: dict[str, Any]) -> None:
    content["benchmarks"][1]["extra_info"]["configuration"]["dtype"] = "float8"


def host_in_session(content: dict[str, Any]) -> None:
    content["machine_info"]["repro"]["node"] = "adas-laptop"


def session_that_is_text(content: dict[str, Any]) -> None:
    content["machine_info"]["repro"] = "Testor 9"


def benchmarks_that_are_numbers(content: dict[str, Any]) -> None:
    content["benchmarks"] = [1, 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_configuration, "no benchmark says what it timed"),
        (without_session, "'repro' is missing"),
        (without_data, "'data' is missing"),
        (negative, "rows.0: Value error, a row that is timed has samples above 0 s, and calls in each"),
        (unknown_dtype, "rows.0.configuration.dtype: Input should be 'float32', 'tf32', 'bfloat16' or 'float16'"),
        (host_in_session, "node: Extra inputs are not permitted"),
        (session_that_is_text, "it hasn't the form of pytest-benchmark's JSON"),
        (benchmarks_that_are_numbers, "it hasn't the form of pytest-benchmark's JSON"),
    ],
)
def test_what_makes_no_sense_is_named_with_the_cure(
    content: dict[str, Any], write: Write, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    spoil(content)
    path = write(content)
    with pytest.raises(ReproError) as caught:
        read_pytest_json(path)
    assert str(caught.value) == f"{path}: {message}; expected what `pytest bench/test_throughput.py --benchmark-json FILE` writes"


def test_a_session_is_of_one_device(content: dict[str, Any], write: Write, make_timing: MakeTiming) -> None:
    content["benchmarks"][0]["extra_info"] = content["benchmarks"][1]["extra_info"] | {
        "configuration": make_timing(device="cuda").configuration.model_dump()
    }
    with pytest.raises(ReproError, match="benchmarks on cpu and cuda, and a session is of one device; run pytest again with `-k cpu`"):
        read_pytest_json(write(content))


@pytest.mark.slow
def test_a_real_run_becomes_a_record_that_compares_with_no_other_timer(tmp_path: Path) -> None:
    def run(*words: object) -> str:
        command = ["taskset", "-c", str(cores()[0]), sys.executable, "-m", *map(str, words)]  # other tests run on the other cores
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # a worker would not time anything
        done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    file, records, other = tmp_path / "benchmarks.json", tmp_path / "records", tmp_path / "other.json"
    chosen = "test_inference and cpu and lenet5 and eager"
    run("pytest", "-p", "no:cacheprovider", "bench/test_throughput.py", "-k", chosen, "--benchmark-json", file)
    (printed,) = json.loads(run("repro", "bench", "--take", file, "--records", records, "--json"))["sessions"]
    (written,) = records.glob("*/timing/*.json")
    assert printed["written"] == written.as_posix()
    taken = Session.model_validate_json(written.read_bytes())
    (row,) = taken.rows
    assert (row.configuration.network, row.configuration.is_eager_fp32, taken.source) == ("lenet5", True, "pytest-benchmark")
    assert len(row.seconds) >= 6
    assert 0 < printed["rows"][0]["roof_share"] < 1

    other.write_text(taken.model_copy(update={"source": "repro bench"}).model_dump_json(), encoding="utf-8")
    line = run("repro", "bench", "--compare", other, file)
    assert line.startswith("not comparable: on ")
    assert line.strip().endswith("before is timed by repro bench, after by pytest-benchmark")
