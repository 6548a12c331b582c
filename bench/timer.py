"""Times a call until its median is known.

A sample is a block of calls, with the device synchronised at both edges; it has so many calls that they took at least 100 ms at the end of
the warm-up. The warm-up ends when the median is flat, and the blocks that show it are the first samples. In a simulation with independent
noise of the blocks of 1 to 2 % the interval held the true median in 94 to 95 of 100 cases, with noise of 3 to 8 % in 90 to 92, since
sampling ends when the interval happens to be narrow. Where half of the limit is over after one or two calls of 100 ms or more, nobody can
see whether it's flat, and the last of them is a sample: it's as warm as the next.
Sampling ends when the half-width of the median's 95 % interval is within 2 % of the median, or at the time limit, with six blocks at least.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from repro.intervals import half_width
from repro.throughput.timing import HALF_WIDTH

BLOCK = 0.1  #: seconds
MARGIN = 1.05  #: a block is made longer by so much, since calls may still become a little faster

#: Seconds for a call that is too slow to be of interest.
GLANCE = 2.0

#: The median of the last two blocks is flat when it's this close to that of the two blocks that begin one earlier.
FLAT = 0.02
WINDOW = 2

#: Fewer blocks than this have no interval: they are sampled even where that takes longer than the limit, though not this many times longer.
FEWEST, MOST_LIMITS = 6, 8.0


@dataclass(frozen=True, slots=True)
class Samples:
    """``seconds`` a call, one number a block of ``calls`` calls. ``warm_up`` counts the calls before, the first one included; ``flat``
    says whether it ended with a median that was flat, and not with its time; None where that was over before anybody could see it."""

    seconds: tuple[float, ...]
    calls: int
    warm_up: int
    flat: bool | None
    first_call: float
    glanced: bool


def measure(
    call: Callable[[], object],
    device: str,
    limit: float,
    edge: Callable[[], None] = lambda: None,
    beat: float = math.inf,
    fewest: int = FEWEST,
) -> Samples:
    """Samples of a call on a device within about ``limit`` seconds, the first call not counted, or within eight times that where six blocks
    take longer. ``edge`` is called between blocks.

    At least one block is sampled, however long a call takes. A call that takes a tenth longer than ``beat`` seconds after it has warmed
    up isn't worth that time: a glance is enough. Garbage collection waits until the end.
    """
    time_block = _by_events(device) if torch.device(device).type == "cuda" else by_clock(device)
    collecting = gc.isenabled()
    gc.disable()
    try:
        first_call = time_block(call, 1)
        start = time.perf_counter()
        end = start + limit
        calls, warm_up, warm, flat = _warm_up(call, time_block, end if beat == math.inf else min(end, start + 2 * GLANCE))
        glanced = statistics.median(warm) > 1.1 * beat
        end, last = (min(end, start + GLANCE), 0.0) if glanced else (end, start + MOST_LIMITS * limit)
        seconds = list(warm) if flat else warm[-1:] if flat is None and calls == 1 else []
        warm_up -= calls * len(seconds)
        while not seconds or (
            half_width(seconds) > HALF_WIDTH
            and time.perf_counter() + seconds[-1] * calls < (end if len(seconds) >= fewest else max(end, last))
        ):
            edge()
            seconds.append(time_block(call, calls) / calls)
        edge()
    finally:
        if collecting:
            gc.enable()
    return Samples(tuple(seconds), calls, 1 + warm_up, flat, first_call, glanced)


def _warm_up(
    call: Callable[[], object], time_block: Callable[[Callable[[], object], int], float], end: float
) -> tuple[int, int, list[float], bool | None]:
    """Blocks until they are long enough and their median is flat, or half of the time is over: calls a block, calls in all, the last
    blocks, in seconds a call, and whether their median is flat, or None where they are too few to see it."""
    half = (time.perf_counter() + end) / 2
    calls, total, blocks = 1, 0, list[float]()
    while True:
        took = time_block(call, calls)
        total += calls
        if took < BLOCK:
            calls, blocks = min(max(calls + 1, math.ceil(calls * MARGIN * BLOCK / max(took, 1e-9))), 100 * total), []
        else:
            blocks.append(took / calls)
            last = blocks[-WINDOW:]
            before = statistics.median(blocks[-WINDOW - 1 : -1] or [math.inf])
            flat = abs(statistics.median(last) / before - 1) <= FLAT if len(blocks) > WINDOW else None
            if flat or time.perf_counter() + took > half:
                return calls, total, last, flat


def synchronise(device: str) -> None:
    """Waits for what was sent to a device; on a CPU there is nothing to wait for."""
    if torch.device(device).type != "cpu" and torch.accelerator.is_available():
        torch.accelerator.synchronize(torch.device(device))


def by_clock(device: str) -> Callable[[Callable[[], object], int], float]:
    """Times so many calls by the host's clock, in seconds, from when the device is idle until it's idle again."""

    def time_block(call: Callable[[], object], calls: int) -> float:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        synchronise(device)
        return time.perf_counter() - start

    return time_block


def _by_events(device: str) -> Callable[[Callable[[], object], int], float]:
    """By the device's own clock, which doesn't count what the host does before and after."""

    def time_block(call: Callable[[], object], calls: int) -> float:
        start, end = (torch.Event(device, enable_timing=True) for _ in range(2))
        synchronise(device)
        start.record()
        for _ in range(calls):
            call()
        end.record()
        synchronise(device)
        return start.elapsed_time(end) / 1000

    return time_block
