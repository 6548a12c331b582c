"""The timer, mostly by an invented clock: how long a block is, when warm-up and sampling end, and what a glance is."""

from __future__ import annotations

import gc
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from bench import timer
from bench.timer import BLOCK, GLANCE, Samples, measure
from repro.intervals import half_width, median_interval


@dataclass
class Clock:
    """Stands in for the module ``time``: it only goes on when something is called."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


@dataclass
class Call:
    """A call that takes as long as the next of its costs."""

    clock: Clock
    costs: Iterator[float]
    made: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        self.made.append(next(self.costs))
        self.clock.now += self.made[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timer, "time", clock)
    return clock


def swinging(cost: float, by: float) -> Iterator[float]:
    """Costs of a block each: even while it warms up, then by turns too short and too long, so that the interval doesn't get narrower."""
    return itertools.chain([cost] * 5, itertools.cycle((cost * (1 - by), cost * (1 + by))))


def counts_calls(call: Call, samples: Samples) -> bool:
    return samples.warm_up + samples.calls * len(samples.seconds) == len(call.made)


def reached(samples: Samples) -> bool:
    return half_width(samples.seconds) <= 0.02


# ---------------------------------------------------------------- blocks


@pytest.mark.parametrize("cost", [1e-6, 1e-5, 1e-3, 0.03, 0.06, 0.0999])
def test_a_block_has_as_many_calls_as_take_100_ms_and_not_many_more(clock: Clock, cost: float) -> None:
    call = Call(clock, itertools.repeat(cost))
    samples = measure(call, "cpu", 2.0)
    assert BLOCK * 0.999 <= samples.calls * cost < 1.4 * BLOCK + cost
    assert samples.seconds == pytest.approx([cost] * len(samples.seconds))
    assert counts_calls(call, samples)


def test_a_call_of_more_than_100_ms_is_a_block(clock: Clock) -> None:
    call = Call(clock, itertools.repeat(0.25))
    samples = measure(call, "cpu", 60.0)
    assert (samples.calls, samples.warm_up) == (1, 2), "the first call, and one block: the next two show that the median is flat"
    assert counts_calls(call, samples)


def test_the_first_call_is_told_and_is_neither_a_sample_nor_a_part_of_the_limit(clock: Clock) -> None:
    samples = measure(Call(clock, itertools.chain([50.0], itertools.repeat(0.2))), "cpu", 20.0)
    assert samples.first_call == pytest.approx(50.0)
    assert max(samples.seconds) == pytest.approx(0.2)
    assert reached(samples)


def test_a_block_does_not_become_huge_since_one_call_took_no_time(clock: Clock) -> None:
    costs = itertools.chain([1e-9, 1e-9], itertools.repeat(0.01, 10_000))
    assert measure(Call(clock, costs), "cpu", 20.0).calls <= 100


def test_a_call_that_takes_no_time_still_ends() -> None:
    assert min(measure(lambda: None, "cpu", 0.3).seconds) > 0


def test_real_sleeps_are_measured() -> None:
    samples = measure(lambda: time.sleep(0.02), "cpu", 1.5)
    assert 0.02 <= statistics.median(samples.seconds) < 0.04
    assert samples.calls >= 3


# ---------------------------------------------------------------- warm-up


def test_warm_up_goes_on_while_calls_get_faster(clock: Clock) -> None:
    falling = [0.2 + 0.3 * 0.8**number for number in range(20)]
    samples = measure(Call(clock, itertools.chain(falling, itertools.repeat(0.2))), "cpu", 100.0)
    assert samples.warm_up >= 10, "an eighth less a call, and then less"
    assert max(samples.seconds) < 0.2 * 1.1
    assert reached(samples)


def test_the_blocks_that_show_that_it_has_warmed_up_are_samples(clock: Clock) -> None:
    costs = [9.0, 0.5, 0.4, 0.201, 0.202, 0.203]  # the first call, two blocks that are cold, three that are flat
    samples = measure(Call(clock, itertools.chain(costs, itertools.repeat(0.2))), "cpu", 100.0)
    assert samples.seconds[:3] == pytest.approx((0.202, 0.203, 0.2))
    assert samples.warm_up == 4
    rising = Call(clock, (0.2 * 1.03**number for number in itertools.count()))
    samples = measure(rising, "cpu", 10.0)
    assert counts_calls(rising, samples), "where it isn't flat, none of the warm-up is a sample"
    assert samples.seconds[0] > rising.made[samples.warm_up - 1]


def test_a_block_of_calls_that_had_no_time_to_warm_up_is_no_sample(clock: Clock) -> None:
    call = Call(clock, itertools.repeat(0.01))
    samples = measure(call, "cpu", 0.2)
    assert (samples.calls, samples.flat) == (11, None)
    assert samples.warm_up == 1 + 1 + 11
    assert counts_calls(call, samples)


def test_blocks_that_are_not_flat_are_no_samples(clock: Clock) -> None:
    falling = [0.4 * 0.9**number for number in range(9)]  # until half of the limit is over
    call = Call(clock, itertools.chain([0.4], falling, itertools.repeat(0.15)))
    samples = measure(call, "cpu", 5.0)
    assert samples.flat is False
    assert list(samples.seconds) == pytest.approx([0.15] * 6)
    assert counts_calls(call, samples)


def test_warm_up_goes_on_while_calls_get_slower(clock: Clock) -> None:
    rising = [0.2 * 1.05**number for number in range(20)]
    samples = measure(Call(clock, itertools.chain(rising, itertools.repeat(0.55))), "cpu", 100.0)
    assert samples.warm_up >= 20, "heat makes them slower"
    assert samples.flat


def test_warm_up_that_never_gets_flat_ends_at_half_of_the_time(clock: Clock) -> None:
    call = Call(clock, (0.2 * 1.03**number for number in itertools.count()))
    samples = measure(call, "cpu", 10.0)
    assert sum(call.made[1 : samples.warm_up]) <= 5.0 + call.made[samples.warm_up]
    assert sum(call.made[1 : samples.warm_up + 1]) > 4.0
    assert not samples.flat
    assert counts_calls(call, samples)


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize(("by", "blocks"), [(0.0310, 6), (0.0312, 7)])
def test_six_blocks_are_enough_only_within_2_percent(clock: Clock, by: float, blocks: int) -> None:
    costs = itertools.chain([9.0], [0.2] * 5, [0.2 * (1 - by), 0.2 * (1 + by)], itertools.repeat(0.2))  # 9/14 of the six lie within ±2 %
    assert len(measure(Call(clock, costs), "cpu", 100.0).seconds) == blocks


def test_sampling_ends_as_soon_as_the_median_is_known(clock: Clock) -> None:
    samples = measure(Call(clock, swinging(0.2, 0.01)), "cpu", 1_000.0)
    assert reached(samples)
    assert len(samples.seconds) == 6
    assert not samples.glanced


@pytest.mark.parametrize(("noise", "least", "most"), [(0.01, 0.93, 0.97), (0.03, 0.93, 0.97), (0.05, 0.92, 0.97), (0.08, 0.89, 0.94)])
def test_the_interval_holds_the_median_although_sampling_ends_when_it_is_narrow(
    clock: Clock, noise: float, least: float, most: float
) -> None:
    draw, covered, rounds = random.Random(0), 0, 1_000
    for _ in range(rounds):
        seconds = measure(Call(clock, (0.03 * draw.gauss(1.0, noise) for _ in itertools.count())), "cpu", 1_000.0).seconds
        interval = median_interval(seconds)
        assert interval is not None
        covered += interval.low <= 0.03 <= interval.high
    assert least < covered / rounds < most


def test_sampling_ends_at_the_limit_where_the_median_is_not_known(clock: Clock) -> None:
    samples = measure(Call(clock, swinging(0.2, 0.2)), "cpu", 20.0)
    assert not reached(samples)
    assert 20.0 - 0.5 < clock.now <= 20.0 + 0.2 + 1e-9, "the first call isn't counted"


def test_at_least_one_block_is_sampled_however_slow_it_is(clock: Clock) -> None:
    call = Call(clock, itertools.repeat(30.0))
    samples = measure(call, "cpu", 1.0)
    assert (len(samples.seconds), samples.warm_up, samples.flat) == (1, 1, None)
    assert len(call.made) == 2


def test_a_block_that_would_end_after_the_limit_is_not_begun(clock: Clock) -> None:
    found = measure(Call(clock, itertools.cycle([0.9, 1.1])), "cpu", 20.0)
    assert clock.now <= 1.1 + 20.0
    assert len(found.seconds) > 6


def test_six_blocks_are_sampled_even_where_that_takes_longer_than_the_limit_but_not_eight_times(clock: Clock) -> None:
    found = measure(Call(clock, itertools.cycle([3.5, 4.5])), "cpu", 14.0)
    assert len(found.seconds) == 6
    assert not reached(found)
    before = clock.now
    found = measure(Call(clock, itertools.repeat(1.9)), "cpu", 1.0)
    assert len(found.seconds) == 4
    assert 1.9 + 6 * 1.0 < clock.now - before <= 1.9 + 8 * 1.0


# ---------------------------------------------------------------- glances


def test_a_call_that_is_slower_than_another_gets_a_glance(clock: Clock) -> None:
    samples = measure(Call(clock, swinging(0.2, 0.1)), "cpu", 100.0, beat=0.15)
    assert samples.glanced
    assert len(samples.seconds) >= 1
    assert clock.now <= 0.22 + GLANCE + 0.22


@pytest.mark.parametrize("beat", [1.0, 0.2, 0.2 / 1.09])
def test_a_call_that_is_faster_or_about_as_fast_gets_all_the_time(clock: Clock, beat: float) -> None:
    samples = measure(Call(clock, swinging(0.2, 0.1)), "cpu", 100.0, beat=beat)
    assert not samples.glanced
    assert clock.now > 95.0


def test_whether_it_is_slower_is_asked_of_the_median(clock: Clock) -> None:
    costs = itertools.chain([9.0, 0.198, 0.198, 0.2005], itertools.repeat(0.2))  # the last two of the warm-up: 0.19925 in the median
    assert measure(Call(clock, costs), "cpu", 100.0, beat=0.199 / 1.1).glanced


def test_a_glance_waits_no_longer_for_warm_up_than_for_samples(clock: Clock) -> None:
    call = Call(clock, (0.2 * 1.03**number for number in itertools.count()))
    samples = measure(call, "cpu", 100.0, beat=0.01)
    assert samples.glanced
    assert sum(call.made[1:]) <= GLANCE + 2 * call.made[-1]


def test_a_call_that_is_slow_only_when_cold_is_no_glance(clock: Clock) -> None:
    samples = measure(Call(clock, itertools.chain([9.0, 0.4, 0.4], itertools.repeat(0.2))), "cpu", 100.0, beat=0.2)
    assert not samples.glanced
    assert reached(samples)


# ---------------------------------------------------------------- around the blocks


def test_edges_are_before_between_and_after_the_blocks(clock: Clock) -> None:
    call = Call(clock, itertools.repeat(0.2))
    seen: list[int] = []
    samples = measure(call, "cpu", 100.0, lambda: seen.append(len(call.made)))
    first = samples.warm_up + timer.WINDOW
    assert seen == list(range(first, len(call.made) + 1)), "none before it's known that it has warmed up"


def test_garbage_is_collected_before_and_after_only(clock: Clock) -> None:
    call, collecting = Call(clock, itertools.repeat(0.2)), set[bool]()

    def watched() -> None:
        collecting.add(gc.isenabled())
        call()

    assert gc.isenabled()
    measure(watched, "cpu", 2.0)
    assert collecting == {False}
    assert gc.isenabled()


@pytest.mark.parametrize("before", [True, False])
def test_garbage_collection_is_as_it_was_after_an_error(before: bool) -> None:
    def fail() -> None:
        raise MemoryError("no")

    try:
        if not before:
            gc.disable()
        with pytest.raises(MemoryError):
            measure(fail, "cpu", 1.0)
        assert gc.isenabled() is before
    finally:
        gc.enable()


def test_the_device_is_waited_for_at_both_edges_of_a_block(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    said: list[str] = []

    def wait(device: str) -> None:
        said.append(device)
        clock.now += 1.0  # what was sent before the block, and what the block has sent

    monkeypatch.setattr(timer, "synchronise", wait)
    took = timer.by_clock("xpu")(lambda: said.append("call"), 3)
    assert said == ["xpu", "call", "call", "call", "xpu"]
    assert took == pytest.approx(1.0), "waiting for what was sent before isn't a part of it"


class Event:
    """Stands in for torch's: the device's clock is the number of calls, in ms."""

    calls: int = 0
    said: list[str]

    def __init__(self, device: str, enable_timing: bool) -> None:
        assert enable_timing
        self.at = -1

    def record(self) -> None:
        self.said.append("record")
        self.at = Event.calls

    def elapsed_time(self, end: Event) -> float:
        assert self.said[-1] == "wait"
        return float(end.at - self.at)


def test_an_nvidia_gpu_is_timed_by_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Event, "said", said, raising=False)
    monkeypatch.setattr(torch, "Event", Event)
    monkeypatch.setattr(timer, "synchronise", lambda device: said.append("wait"))

    def call() -> None:
        Event.calls += 1
        said.append("call")

    assert timer._by_events("cuda")(call, 3) == pytest.approx(0.003)
    assert said == ["wait", "record", "call", "call", "call", "record", "wait"]
    monkeypatch.setattr(timer, "by_clock", lambda device: pytest.fail("by the host's clock"))
    assert measure(call, "cuda", 0.2).seconds[0] == pytest.approx(0.001)


@pytest.mark.parametrize(("device", "there", "waits"), [("cpu", True, []), ("cuda", False, []), ("cuda:1", True, ["cuda:1"])])
def test_only_an_accelerator_is_waited_for(monkeypatch: pytest.MonkeyPatch, device: str, there: bool, waits: list[str]) -> None:
    waited: list[Any] = []
    synchronise: Callable[[torch.device], None] = waited.append
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: there)
    monkeypatch.setattr(torch.accelerator, "synchronize", synchronise)
    timer.synchronise(device)
    assert [str(one) for one in waited] == waits
