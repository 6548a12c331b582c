"""A session with invented jobs: what is timed, in which order, what its file holds at every moment, and how the next one goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench import jobs, search, session
from bench.jobs import Ended
from bench.session import Bench, Plan, begin, run
from repro import Ledger, machine
from repro.records import folder_of
from repro.throughput.steps import ladder
from repro.throughput.timing import Configuration, Copy, Mistake, Product, Roof, Session, Timing, load_sessions, read_session

MakeTiming = Callable[..., Timing]


@dataclass
class Machine:
    """Times by an invented cost; ``interrupt_at`` is the number of the row at which somebody presses Ctrl-C."""

    make: MakeTiming
    cost: Callable[[Configuration], float | None]
    rows: list[Configuration] = field(default_factory=list)
    same: list[Configuration] = field(default_factory=list)
    limits: list[tuple[float, float, float | None]] = field(default_factory=list)
    roofs: list[dict[str, Any]] = field(default_factory=list)
    interrupt_at: int | None = None
    roof_reason: str | None = None
    before: Callable[[], None] = lambda: None

    def time(self, configuration: Configuration, limit: float, patience: float, *beats: float | None) -> Timing:
        """Stands in for ``time_in_process``. The A/A run beats nobody."""
        if not beats:
            self.same.append(configuration)
            return self.make(seconds=1.0 + len(self.same) / 100, **configuration.model_dump())
        (beat,) = beats
        self.before()
        if len(self.rows) + 1 == self.interrupt_at:
            raise KeyboardInterrupt
        self.rows.append(configuration)
        self.limits.append((limit, patience, beat))
        seconds = self.cost(configuration)
        glanced = seconds is not None and beat is not None and seconds > 1.1 * beat
        changes: dict[str, Any] = {"outcome": "failed"} if seconds is None else {"glanced": glanced}
        return self.make(seconds=(seconds,) * 3 if glanced else seconds or 1.0, spent=10.0, **configuration.model_dump(), **changes)

    def run_module(self, module: str, text: str, environment: dict[str, str], patience: float) -> Ended:
        """Stands in for a process that measures a roof: bfloat16 has the highest one."""
        assert module == "bench.roof"
        task = json.loads(text)
        self.roofs.append(task)
        if self.roof_reason:
            return Ended({}, self.roof_reason, 0.0, 1.0)
        rates = {"float32": 1e11 / len(self.roofs), "bfloat16": 3.6e11 + 0.4e11 * len(self.roofs), "float16": 2e11, "tf32": 3e11}
        roofs = [Roof(dtype=dtype, threads=task["threads"], products=(Product(n=64, flops=rates[dtype]),)) for dtype in task["dtypes"]]
        copies = [Copy(threads=task["threads"], bytes_per_second=1e10 * len(self.roofs))]
        return Ended({"roofs": [one.model_dump() for one in roofs], "copies": [one.model_dump() for one in copies]}, None, 0.0, 1.0)


def cost(configuration: Configuration) -> float:
    """bfloat16 halves the time, channels last and compiling take a tenth off, keeping memory a little."""
    seconds = 0.5 if configuration.dtype == "bfloat16" else 1.2 if configuration.dtype == "float16" else 1.0
    seconds *= 0.9 if configuration.layout == "channels_last" else 1.0
    seconds *= 0.9 if configuration.compiled else 1.0
    return seconds * (0.98 if configuration.allocator == "keep" else 1.0)


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch, make_timing: MakeTiming) -> Machine:
    made = Machine(make_timing, cost)
    monkeypatch.setattr(jobs, "time_in_process", made.time)
    monkeypatch.setattr(jobs, "run_module", made.run_module)
    monkeypatch.setattr(jobs, "impossible", lambda configuration: None)
    monkeypatch.setattr(machine, "cores", lambda: [0, 1])
    monkeypatch.setattr(machine, "has_compiler", lambda: True)
    monkeypatch.setattr(machine, "hardware", lambda device="cpu": "Testor 9, 2 cores")
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 1.0)
    return made


@pytest.fixture
def make_plan(tmp_path: Path, ledger: Ledger) -> Callable[..., Plan]:
    def make(*networks: str, **changes: Any) -> Plan:
        how: dict[str, Any] = {"device": "cpu", "tasks": ("inference",), "records": tmp_path} | changes
        return Plan(networks=tuple(map(ledger.network, networks or ("lenet5",))), **how)

    return make


MakePlan = Callable[..., Plan]


def bench_of(plan: Plan) -> tuple[Bench, list[str]]:
    said: list[str] = []
    return begin(plan, said.append), said


def finish(plan: Plan, invented: Machine) -> tuple[Session, list[str]]:
    """A whole session, as its file has it. The A/A run is made anew in each that times something."""
    invented.same = []
    bench, said = bench_of(plan)
    run(bench)
    assert bench.path is not None
    assert read_session(bench.path) == bench.session
    return bench.session, said


def saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/timing/*"))


# ---------------------------------------------------------------- the file


def test_the_file_is_whole_after_each_row(invented: Machine, make_plan: MakePlan, tmp_path: Path) -> None:
    seen: list[int] = []

    def read() -> None:
        sessions = load_sessions(tmp_path)
        seen.append(len(sessions[0].rows) if sessions else 0)
        assert len(sessions) <= 1

    invented.before = read
    found, _ = finish(make_plan(), invented)
    assert seen == list(range(len(invented.rows)))
    assert [row.configuration for row in found.rows] == invented.rows
    (path,) = saved(tmp_path)
    assert path == tmp_path / folder_of("Testor 9, 2 cores") / "timing" / "001.json"


def test_the_file_has_the_machine_its_roofs_and_its_noise(invented: Machine, make_plan: MakePlan) -> None:
    found, _ = finish(make_plan(), invented)
    machine = (found.device, found.environment.hardware, found.memory, found.source)
    assert machine == ("cpu", "Testor 9, 2 cores", psutil.virtual_memory().total, "repro bench")
    roofs = [("float32", 2, 1e11), ("bfloat16", 2, 4.4e11), ("float16", 2, 2e11)]
    assert [(one.dtype, one.threads, one.flops) for one in found.roofs] == roofs, "in bfloat16 the second time was faster"
    assert [(copy.threads, copy.bytes_per_second) for copy in found.copies] == [(2, 2e10)]
    assert len(found.same) == 2, "at the start and at the end"
    assert found.floor == pytest.approx(1.02 / 1.01 - 1)
    assert set(invented.same) == {Configuration(network="resnet18", task="inference", device="cpu", batch=8, threads=2)}
    once = {"device": "cpu", "threads": 2, "dtypes": ["float32", "bfloat16", "float16"], "limit": 1.0}
    assert invented.roofs == [once | {"sizes": [512, 1024, 2048, 4096, 6144]}, once | {"sizes": [64]}], "the best one again"


def test_a_dtype_that_the_machine_lacks_has_no_roof(invented: Machine, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "impossible", lambda configuration: "no" if configuration.dtype == "float16" else None)
    found, _ = finish(make_plan(), invented)
    assert invented.roofs[0]["dtypes"] == ["float32", "bfloat16"]
    assert "float16" not in {row.configuration.dtype for row in found.rows}


def test_a_roof_that_cannot_be_measured_is_told_once_and_the_rest_goes_on(invented: Machine, make_plan: MakePlan) -> None:
    invented.roof_reason = "killed"
    found, said = finish(make_plan(), invented)
    assert said.count("  not measured, so that shares of it may be missing: killed") == len(invented.roofs) == 1
    assert (found.roofs, found.copies) == ((), ())
    assert len(found.rows) > 1


def test_a_roof_that_cannot_be_measured_again_stays(invented: Machine, make_plan: MakePlan) -> None:
    bench = begin(make_plan(), print)
    run(bench)
    before, invented.roof_reason, said = bench.session.roofs, "killed", list[str]()
    bench.tell = said.append
    for _ in range(2):
        bench.time_the_same()
    assert said.count("  not measured again: killed") == 2, "it may be possible the next time"
    assert bench.session.roofs == before


def test_the_noise_is_looked_at_again_whenever_minutes_have_gone_by(
    invented: Machine, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row takes 100 seconds."""
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: 100.0 * len(invented.rows)))
    found, _ = finish(make_plan("lenet5", "resnet20", "resnet32", "resnet44", budget=1.0), invented)
    assert len(found.rows) == 8
    assert len(found.same) == 3, "before rows 1 and 5, and at the end"


def test_a_folder_that_cannot_be_written_is_noticed_before_anything_is_timed(
    invented: Machine, make_plan: MakePlan, tmp_path: Path
) -> None:
    (tmp_path / folder_of("Testor 9, 2 cores")).write_text("no folder")
    with pytest.raises(OSError, match="testor-9-2-cores"):
        bench_of(make_plan())
    assert invented.same == []


# ---------------------------------------------------------------- going on


def test_an_interrupt_leaves_the_rows_that_are_finished_and_the_next_session_goes_on(
    invented: Machine, make_plan: MakePlan, tmp_path: Path
) -> None:
    invented.interrupt_at = 3
    bench, _ = bench_of(make_plan())
    with pytest.raises(KeyboardInterrupt):
        run(bench)
    first = read_session(*saved(tmp_path))
    assert [row.configuration for row in first.rows] == invented.rows
    assert len(first.rows) == 2
    invented.interrupt_at = None
    invented.rows = []
    second, _ = finish(make_plan(), invented)
    assert not {row.configuration for row in first.rows} & {row.configuration for row in second.rows}
    assert [path.name for path in saved(tmp_path)] == ["001.json", "002.json"]
    assert read_session(saved(tmp_path)[0]) == first, "what is there isn't changed"
    other = make_plan(records=tmp_path / "other")
    whole, _ = finish(other, invented)
    assert {row.configuration for row in (*first.rows, *second.rows)} == {row.configuration for row in whole.rows}


def test_an_interrupt_before_the_first_row_leaves_nothing(invented: Machine, make_plan: MakePlan, tmp_path: Path) -> None:
    invented.interrupt_at = 1
    bench, _ = bench_of(make_plan())
    with pytest.raises(KeyboardInterrupt):
        run(bench)
    assert saved(tmp_path) == []


def test_where_every_row_is_known_nothing_is_timed_or_written(invented: Machine, make_plan: MakePlan, tmp_path: Path) -> None:
    finish(make_plan(), invented)
    before = [path.read_bytes() for path in saved(tmp_path)]
    invented.rows, invented.roofs, invented.same = [], [], []
    bench, said = bench_of(make_plan())
    run(bench)
    assert (bench.path, bench.session.rows) == (None, ())
    assert (invented.rows, invented.roofs, invented.same) == ([], [], []), "neither the roof nor the noise either"
    assert [path.read_bytes() for path in saved(tmp_path)] == before
    assert "fastest of 7, some of them timed before: bfloat16, channels last, compiled, memory kept" in " ".join(said)
    assert sum(line.endswith(", timed before, in 001.json") for line in said) == len(bench.taken) >= 7


def test_again_times_everything_anew_into_another_file(invented: Machine, make_plan: MakePlan, tmp_path: Path) -> None:
    first, _ = finish(make_plan(), invented)
    old = saved(tmp_path)[0].read_bytes()
    second, _ = finish(make_plan(again=True), invented)
    assert {row.configuration for row in second.rows} == {row.configuration for row in first.rows}
    assert second.rows[1].configuration.how == "bfloat16, channels last, compiled, memory kept", "the old rows say what to try first"
    assert [path.name for path in saved(tmp_path)] == ["001.json", "002.json"]
    assert saved(tmp_path)[0].read_bytes() == old


@pytest.mark.parametrize(
    "changes",
    [{"hardware": "8"}, {"cpu_model": "6"}, {"torch": "1.0"}, {"instructions": "mmx"}, {"device": "cuda"}, {"source": "pytest-benchmark"}],
)
def test_rows_of_another_machine_torch_or_timer_are_not_known(
    invented: Machine, make_plan: MakePlan, tmp_path: Path, changes: dict[str, str]
) -> None:
    first, _ = finish(make_plan(), invented)
    (path,) = saved(tmp_path)
    assert begin(make_plan(), print).timed.keys() == {row.configuration for row in first.rows}
    document = json.loads(path.read_text())
    environment = document["environment"]
    for key, value in changes.items():
        (environment if key in environment else document)[key] = value
    path.write_text(json.dumps(document))
    bench = begin(make_plan(), print)
    assert bench.timed == {}
    assert bench.old == ()


def test_a_failed_row_is_tried_once_a_session_and_again_in_the_next(invented: Machine, make_plan: MakePlan) -> None:
    invented.cost = lambda one: None if one.compiled else cost(one)
    plan = make_plan("resnet50")
    first, said = finish(plan, invented)
    failed = [row.configuration for row in first.rows if not row.is_timed]
    assert len(failed) == len(set(failed)) > 1
    assert len(first.rows) == len({row.configuration for row in first.rows})
    assert "  failed: out of memory" in said
    invented.cost, invented.rows = cost, []
    second, _ = finish(plan, invented)
    assert set(failed) <= {row.configuration for row in second.rows}
    assert all(row.is_timed for row in second.rows)


def test_a_row_that_was_glanced_at_is_timed_anew_where_it_is_wanted_for_itself(invented: Machine, make_plan: MakePlan) -> None:
    bench, _ = bench_of(make_plan())
    configuration = Configuration(network="lenet5", task="inference", device="cpu", batch=128, threads=2)
    glanced = bench.attempt(configuration, 0.5)
    assert glanced.glanced
    assert bench.attempt(configuration, 0.4) == glanced, "a second glance tells nothing"
    whole = bench.attempt(configuration)
    assert not whole.glanced
    assert bench.session.rows == (whole,), "in its place"
    assert bench.attempt(configuration) == whole
    assert len(invented.rows) == 2
    bench.timed[configuration] = whole.model_copy(update={"glanced": True})
    bench.attempt(configuration)
    assert len(invented.rows) == 2, "a glance at which the median was known is as good"


# ---------------------------------------------------------------- what is timed


def test_the_fastest_is_what_the_costs_say(invented: Machine, make_plan: MakePlan) -> None:
    found, said = finish(make_plan("resnet18", "lenet5", tasks=("inference", "training")), invented)
    for task in ("inference", "training"):
        for network in ("resnet18", "lenet5"):
            rows = [row for row in found.rows if (row.configuration.network, row.configuration.task) == (network, task)]
            assert rows[0].configuration.is_eager_fp32, "what everything is held against is first"
            assert min(rows, key=lambda row: row.median).configuration.how == "bfloat16, channels last, compiled, memory kept"
    assert sum("fastest of" in one and "bfloat16, channels last, compiled, memory kept" in one for one in said) == 4
    assert [one for one in said if one.startswith("[")] == [
        "[1 of 4] resnet18 inference", "[2 of 4] lenet5 inference", "[3 of 4] resnet18 training", "[4 of 4] lenet5 training",
    ]  # fmt: skip
    assert {row.configuration.batch for row in found.rows} == {8, 128}
    assert [len(found.same), found.floor] == pytest.approx([1, 0.01]), "at the end: the first row is eager ResNet-18 too"


def test_limits_and_the_bar_to_beat_are_passed_on(invented: Machine, make_plan: MakePlan) -> None:
    finish(make_plan(limit=3.0, patience=7.0, batch=5, roof_limit=0.2), invented)
    assert invented.roofs[0]["limit"] == 0.2
    assert {(limit, patience) for limit, patience, _ in invented.limits} == {(3.0, 7.0)}
    assert invented.limits[0][2] is None
    assert invented.limits[1][2] == pytest.approx(1.0)
    assert {one.batch for one in invented.rows} == {5}


def test_the_first_network_gets_three_times_the_budget_since_it_guides_the_others(
    invented: Machine, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row takes 10 seconds, and none is begun that would end too late; eager float32 is no part of the search."""
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(invented.rows)))
    found, _ = finish(make_plan("resnet18", "lenet5", "alexnet", budget=12.0), invented)
    assert Counter(row.configuration.network for row in found.rows) == {"resnet18": 1 + 3, "lenet5": 1 + 1, "alexnet": 1 + 1}
    assert found.rows[5].configuration.how == "bfloat16, channels last, compiled", "what was fastest before"


def test_without_time_to_search_eager_float32_is_timed_and_the_rest_is_told(invented: Machine, make_plan: MakePlan) -> None:
    found, said = finish(make_plan(budget=0.0), invented)
    assert [row.configuration.is_eager_fp32 for row in found.rows] == [True]
    ways = len(search.candidates(found.rows[0].configuration, ["bfloat16", "float16", "float32"], {})) + 1
    assert len(found.untried) == len(set(found.untried)) == ways
    assert f"  fastest of 1: float32, NCHW, eager; no time for {ways} more ways, --budget gives more" in said


def test_a_missing_compiler_is_told_and_nothing_compiled_is_tried(
    invented: Machine, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_compiler", lambda: False)
    found, said = finish(make_plan("resnet50"), invented)
    assert said[0].startswith("no C++ compiler: everything is timed eager; install g++, or set CXX")
    assert not any(row.configuration.compiled for row in found.rows)
    assert any(row.configuration.allocator == "keep" for row in found.rows)


def test_other_programs_are_told_before_anything_is_timed(invented: Machine, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 37.2)
    _, said = finish(make_plan(), invented)
    assert said[0] == "other programs use 37 % of this machine: close them, or no timing can be trusted"


@pytest.mark.parametrize(("budget", "task"), [(0.0, "inference"), (300.0, "inference"), (0.0, "training")])
def test_the_ladder_is_timed_for_its_network(invented: Machine, make_plan: MakePlan, budget: float, task: str) -> None:
    found, _ = finish(make_plan("resnet50", budget=budget, tasks=(task,)), invented)
    base = found.rows[0].configuration
    rows = {row.configuration: row for row in found.rows}
    steps = [step for _, step in ladder(base)]
    assert set(steps) <= rows.keys()
    assert not any(rows[step].glanced for step in steps), "each in full"
    assert len(found.rows) == len(rows)


def test_the_ladder_is_not_timed_elsewhere_and_can_be_left_away(invented: Machine, make_plan: MakePlan) -> None:
    found, _ = finish(make_plan("resnet50", budget=0.0, steps=False), invented)
    assert len(found.rows) == 1
    found, _ = finish(make_plan("resnet34", budget=0.0), invented)
    assert len(found.rows) == 1


def test_the_full_grid_is_timed_for_the_networks_that_are_named(invented: Machine, make_plan: MakePlan, ledger: Ledger) -> None:
    found, _ = finish(make_plan("lenet5", "resnet18", full_grid=True, budget=0.0), invented)
    rows = {network: [row for row in found.rows if row.configuration.network == network] for network in ("lenet5", "resnet18")}
    assert {row.configuration for row in rows["lenet5"]} == set(search.grid(ledger.network("lenet5"), "inference", "cpu"))
    assert {row.configuration for row in rows["resnet18"]} == set(search.grid(ledger.network("resnet18"), "inference", "cpu"))
    assert {roof.threads for roof in found.roofs} == {1, 2}, "each number of threads has a roof"
    assert not any(row.glanced for row in found.rows)


def test_the_exhibit_is_a_part_of_the_file(invented: Machine, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = Configuration(network="resnet18", task="inference", device="cpu", batch=8, threads=2)
    mistakes = [Mistake(name="one cold call", configuration=configuration, right=1.0, wrong=3.0)]
    monkeypatch.setattr(session, "show_mistakes", lambda device: iter(mistakes))
    assert finish(make_plan(), invented)[0].mistakes == ()
    found, _ = finish(make_plan(exhibit=True), invented)
    assert list(found.mistakes) == mistakes
    assert (found.rows, len(found.same)) == ((), 1), "they were known, and the noise is asked for nevertheless"
