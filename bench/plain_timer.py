"""A timing loop of its own, to hold the timer against: it shares no code with it."""

from __future__ import annotations

import time
from collections.abc import Callable


def time_plainly(call: Callable[[], object], wait: Callable[[], object], seconds: float) -> float:
    """Seconds a call: the median of calls that are timed one by one for so many seconds, five at least, after three that aren't.
    ``wait`` returns when the device has done what it was sent."""
    times: list[int] = []
    for _ in range(3):
        call()
    wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 5:
        start = time.perf_counter_ns()
        call()
        wait()
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[len(times) // 2] / 1e9
