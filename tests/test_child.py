"""The process that times one configuration: what it finds, what memory it says, and how it tells an error."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from bench import child, jobs, timer
from bench.child import answer, peak_memory, reason_of, time_configuration
from bench.jobs import Ended, time_in_process
from repro.throughput.timing import Configuration, Timing

pytestmark = pytest.mark.usefixtures("torch_as_it_was")

LENET = Configuration(network="lenet5", task="inference", device="cpu", batch=2, threads=1)


def test_what_is_found_are_the_fields_of_a_row() -> None:
    found = json.loads(json.dumps(time_configuration(LENET, 0.5, 1e9)))
    row = Timing.model_validate({"configuration": LENET, "outcome": "timed"} | found)
    assert 0 < row.median < 0.1
    assert row.calls >= 0.1 / max(row.seconds) / 2
    assert row.warm_up > row.calls
    assert row.first_call is not None
    assert row.first_call > 0
    assert row.peak_memory is not None
    assert not row.glanced
    assert (row.transfer, row.clocks) == (None, ()), "a CPU copies nothing and has no clocks that are watched"


def test_the_bar_to_beat_is_passed_on() -> None:
    assert time_configuration(LENET, 0.5, 1e-9)["glanced"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_peak_memory_is_what_a_large_allocation_adds_and_stays_when_it_is_freed() -> None:
    before, held = peak_memory("cpu"), psutil.Process().memory_info().rss
    assert before is not None
    assert before >= held * 0.99
    added = 200 * 2**20
    size = before - held + added
    numbers = torch.ones(size // 4)
    after = peak_memory("cpu")
    del numbers
    assert after is not None
    assert after - before == pytest.approx(added, rel=0.15)
    assert peak_memory("cpu") == pytest.approx(after, rel=0.01)


def test_peak_memory_of_a_device_is_its_allocators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", {"cuda:1": 123}.get)
    assert peak_memory("cuda:1") == 123


def test_a_system_that_does_not_tell_has_no_peak_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "Path", lambda name: tmp_path / "missing")
    assert peak_memory("cpu") is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA: tried to\n allocate 9 GiB"), "out of memory: CUDA: tried to allocate 9 GiB"),
        (MemoryError(), "out of memory: "),
        (RuntimeError("DefaultCPUAllocator: not enough memory: 9"), "out of memory: DefaultCPUAllocator: not enough memory: 9"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"), "out of memory: DefaultCPUAllocator: can't allocate memory: 9"),
        (RuntimeError("CUDA error: out of memory"), "out of memory: CUDA error: out of memory"),
        (RuntimeError("std::bad_alloc"), "out of memory: std::bad_alloc"),
        (RuntimeError("mixed dtype"), "RuntimeError: mixed dtype"),
        (KeyError("a"), "KeyError: 'a'"),
    ],
)
def test_a_reason_is_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_reason_is_short() -> None:
    assert len(reason_of(RuntimeError("word " * 1_000))) < 250
    assert len(reason_of(MemoryError("word " * 1_000))) < 250


def test_an_error_of_a_real_allocation_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**46)
    assert re.match(r"out of memory: .*alloc", reason_of(raised.value))


@pytest.mark.parametrize("error", [RuntimeError("no\nway"), MemoryError("no way")])
def test_an_error_is_an_answer_of_one_line(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    def fail() -> dict[str, Any]:
        raise error

    answer(fail)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"reason": reason_of(error)}
    answer(lambda: {"seconds": (0.5,)})
    assert json.loads(capsys.readouterr().out) == {"seconds": [0.5]}


def test_an_interrupt_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(interrupt)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("device", ["cuda", "xpu"])
def test_a_batch_is_copied_to_a_device_eleven_times(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    copied: list[tuple[str, bool]] = []

    class Images:
        def to(self, device: str, non_blocking: bool) -> None:
            copied.append((device, non_blocking))

    waited: list[str] = []
    moments = itertools.accumulate(itertools.chain([0.0], (took for number in range(11) for took in (0.01 * (11 - number), 1.0))))
    monkeypatch.setattr(child, "make_images", lambda configuration: Images())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(timer, "synchronise", waited.append)
    monkeypatch.setattr(timer, "time", SimpleNamespace(perf_counter=lambda: next(moments)))
    assert child._transfer(LENET.model_copy(update={"device": device})) == pytest.approx(0.06), "of 0.11 to 0.01 s, the median"
    assert copied == [(device, True)] * 11
    assert waited == [device] * 22


@pytest.mark.parametrize("found", [{"foo": 1}, {"seconds": [0.0]}, {"seconds": "x"}, {}])
def test_what_cannot_be_a_timing_is_a_reason(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> None:
    monkeypatch.setattr(jobs, "run_module", lambda *arguments: Ended(found, None, 0.0, 1.0))
    row = time_in_process(LENET, 1.0)
    assert row.reason is not None
    assert row.reason.startswith("what it found can't be a timing: ")
