"""The usual wrong timings: their factors by invented jobs, what can't be shown on a CPU, and real wrong timers on an invented call."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import psutil
import pytest

from bench import exhibit, jobs
from bench.exhibit import COLD, CROWDED, HALF, NO_WARM_UP, OTHERS, TF32, UNSYNCHRONISED, WITH_COMPILING, show_mistakes, time_wrongly
from bench.jobs import Ended
from repro import machine
from repro.throughput.timing import Configuration, Mistake, Timing

WRONG = {COLD: 3.0, NO_WARM_UP: 1.5, WITH_COMPILING: 20.0, UNSYNCHRONISED: 0.1, CROWDED: 4.0}
BASE = Configuration(network="lenet5", task="inference", device="cpu", batch=2, threads=1)


@dataclass
class Machine:
    """Half a second is right for everything, a quarter where it's compiled or in another dtype."""

    make: Callable[..., Timing]
    fails: Callable[[Configuration], bool] = lambda configuration: False
    reasons: dict[str, str] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ended: int = 0
    status: int | None = None
    timed: list[Configuration] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)

    def time(self, configuration: Configuration, limit: float) -> Timing:
        self.timed.append(configuration)
        if self.fails(configuration):
            return self.make(outcome="failed", reason=f"no {configuration.how}", **configuration.model_dump())
        return self.make(seconds=0.5 if configuration.is_eager_fp32 else 0.25, **configuration.model_dump())

    def run_module(self, module: str, text: str, environment: dict[str, str], patience: float) -> Ended:
        assert module == "bench.exhibit"
        way = json.loads(text)["way"]
        self.ways.append(way)
        assert environment["OMP_NUM_THREADS"] == str(len(machine.cores()))
        return Ended({"seconds": WRONG[way]}, self.reasons.get(way), 0.0, 1.0)

    @contextlib.contextmanager
    def working(self, module: str, text: str, environment: dict[str, str]) -> Iterator[SimpleNamespace]:
        self.begun.append(json.loads(text)["way"])
        yield SimpleNamespace(poll=lambda: self.status)
        self.ended += 1


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch, make_timing: Callable[..., Timing]) -> Machine:
    made = Machine(make_timing)
    monkeypatch.setattr(jobs, "time_in_process", made.time)
    monkeypatch.setattr(jobs, "run_module", made.run_module)
    monkeypatch.setattr(jobs, "working", made.working)
    monkeypatch.setattr(machine, "cores", lambda: [0, 1])
    return made


def shown(device: str) -> dict[str, Mistake]:
    found = list(show_mistakes(device))
    assert len({mistake.name for mistake in found}) == len(found) == 7
    return {mistake.name: mistake for mistake in found}


def test_each_wrong_way_is_held_against_the_right_one(invented: Machine) -> None:
    found = shown("cpu")
    factors = {name: mistake.factor for name, mistake in found.items() if mistake.factor}
    assert factors == {COLD: 6.0, NO_WARM_UP: 3.0, WITH_COMPILING: 80.0, CROWDED: 8.0}
    assert found[WITH_COMPILING].configuration.compiled
    assert not found[NO_WARM_UP].configuration.compiled


def test_what_needs_another_device_has_a_reason_on_a_cpu(invented: Machine) -> None:
    found = shown("cpu")
    assert found[UNSYNCHRONISED].reason == "a CPU's calls return when they are done; needs another device"
    assert found[TF32].reason == found[HALF].reason == "needs a device besides the CPU"
    assert [found[name].factor for name in (UNSYNCHRONISED, TF32, HALF)] == [None] * 3
    assert UNSYNCHRONISED not in invented.ways
    assert len(invented.timed) == 2


def test_on_another_device_all_are_shown(invented: Machine) -> None:
    found = shown("cuda")
    assert found[UNSYNCHRONISED].factor == pytest.approx(0.2), "it tells less than the truth"
    assert (found[CROWDED].reason, found[CROWDED].factor) == ("it's a CPU's", None)
    assert [(found[name].right, found[name].wrong) for name in (TF32, HALF)] == [(0.5, 0.25)] * 2
    assert [found[name].configuration.dtype for name in (TF32, HALF)] == ["tf32", "float16"]
    assert all((found[name].against or BASE).is_eager_fp32 for name in (TF32, HALF))
    assert {mistake.configuration.device for mistake in found.values()} == {"cuda"}


def test_there_are_as_many_processes_in_a_crowd_as_cores(invented: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [0, 1, 2])
    shown("cpu")
    assert invented.ways.count(CROWDED) == invented.ways.count(COLD) == 1
    assert invented.begun == [OTHERS, OTHERS]
    assert invented.ended == 2


def test_a_crowd_that_has_ended_is_a_reason(invented: Machine) -> None:
    invented.status = 1
    assert shown("cpu")[CROWDED].reason == "what was to keep the other cores busy had ended"
    assert invented.ended == 1


def test_an_interrupt_ends_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {child.pid for child in psutil.Process().children()}

    def interrupted(*arguments: object) -> Ended:
        crowd.extend(child for child in psutil.Process().children() if child.pid not in before)
        raise KeyboardInterrupt

    crowd: list[psutil.Process] = []
    monkeypatch.setattr(jobs, "run_module", interrupted)
    monkeypatch.setattr(machine, "cores", lambda: [0, 1, 2])
    with pytest.raises(KeyboardInterrupt):
        exhibit._wrongly(BASE, CROWDED)
    assert len(crowd) == 2
    assert not any(process.is_running() for process in crowd)


def test_the_others_of_a_crowd_work_until_they_ought_to_have_been_ended(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibit, "PATIENCE", 20.0)
    time_wrongly(BASE, OTHERS)
    assert calls.count("call") > 10


def test_a_process_that_fails_is_a_reason(invented: Machine) -> None:
    invented.reasons = {CROWDED: "killed"}
    found = shown("cpu")
    assert (found[CROWDED].reason, found[CROWDED].right, found[CROWDED].factor) == ("killed", None, None)
    assert found[COLD].factor == 6.0


def test_what_has_no_right_time_is_not_timed_wrongly(invented: Machine) -> None:
    invented.fails = lambda configuration: configuration.compiled
    found = shown("cpu")
    assert (found[WITH_COMPILING].reason or "").startswith("no float32, NCHW, compiled")
    assert WITH_COMPILING not in invented.ways
    invented.fails = lambda configuration: configuration.dtype == "tf32"
    found = shown("cuda")
    assert (found[TF32].reason or "").startswith("no tf32")
    assert found[HALF].factor == 0.5


# ---------------------------------------------------------------- the wrong timers


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a wrong timer does: the first call takes 10 s, each other 1 s, and waiting for the device half a second."""
    done: list[str] = []
    now = SimpleNamespace(seconds=0.0)

    def call() -> None:
        now.seconds += 1.0 if "call" in done else 10.0
        done.append("call")

    def wait(device: str) -> None:
        now.seconds += 0.5
        done.append("wait")

    def clock() -> float:
        done.append("clock")
        return float(now.seconds)

    monkeypatch.setattr(exhibit, "prepare", lambda configuration: call)
    monkeypatch.setattr(exhibit, "synchronise", wait)
    monkeypatch.setattr(exhibit, "time", SimpleNamespace(perf_counter=clock))
    return done


@pytest.mark.parametrize(
    ("way", "seconds", "done"),
    [
        (COLD, 10.5, "clock call wait clock"),
        (NO_WARM_UP, 1.95, f"clock {'call ' * 10}wait clock"),
        (WITH_COMPILING, 1.95, f"clock {'call ' * 10}wait clock"),
        (UNSYNCHRONISED, 1.0, f"{'call ' * 10}wait clock {'call ' * 10}clock"),
        (CROWDED, 1.05, f"{'call ' * 10}wait clock {'call ' * 10}wait clock"),
    ],
)
def test_each_way_is_wrong_in_one_thing(calls: list[str], way: str, seconds: float, done: str) -> None:
    assert time_wrongly(BASE, way) == {"seconds": pytest.approx(seconds)}
    assert " ".join(calls) == done


@pytest.mark.slow
def test_real_wrong_timings_of_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [0])  # other tests run on the other cores
    found = {mistake.name: mistake for mistake in show_mistakes("cpu", "lenet5", limit=1.0)}
    cold = found[COLD]
    again = [exhibit._wrongly(cold.configuration, COLD)[0] for _ in range(4)]  # it's one call, and other programs run too
    assert statistics.median(seconds for seconds in [cold.wrong, *again] if seconds) > 1.2 * (cold.right or math.inf)
    assert (found[CROWDED].factor or math.nan) > 0.5
    if machine.has_compiler():
        assert (found[WITH_COMPILING].factor or math.nan) > 10
    else:
        assert found[WITH_COMPILING].reason
