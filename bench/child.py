"""Times one configuration in this process: ``python -m bench.child`` reads a task as JSON from standard input, and prints the result.

The result is one line of JSON on standard output: the fields of a ``Timing`` that are known here, or ``{"reason": ...}``.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench import nvidia
from bench.timer import by_clock, measure
from bench.workload import make_images, prepare
from repro.throughput.timing import Configuration

T = TypeVar("T")

#: What errors say when memory runs out: torch's allocator, the system through it, a driver, and C++.
OUT_OF_MEMORY = ("not enough memory", "allocate memory", "out of memory", "bad_alloc")


def time_configuration(configuration: Configuration, limit: float, beat: float) -> dict[str, Any]:
    """The fields of a ``Timing``; ``limit`` and ``beat`` are those of :func:`bench.timer.measure`. Raises what torch raises."""
    call = prepare(configuration)
    watch = nvidia.Watch(configuration.device)
    samples = measure(call, configuration.device, limit, watch.look, beat)
    return asdict(samples) | {
        "peak_memory": _or_none(lambda: peak_memory(configuration.device)),
        "transfer": _or_none(lambda: _transfer(configuration)),
        "clocks": [clocks.model_dump() for clocks in watch.seen],
    }


def peak_memory(device: str) -> int | None:
    """Bytes: of this process on a CPU, of torch's allocator on a device; None where the system doesn't tell."""
    if torch.device(device).type != "cpu":
        return int(torch.accelerator.max_memory_allocated(device))
    status = Path("/proc/self/status")  # getrusage counts what the parent held when it started this process
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else None


def reason_of(error: BaseException) -> str:
    """Why a configuration can't be timed, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return f"out of memory: {text[:160]}"
    return f"{type(error).__name__}: {text[:200]}"


def _or_none(look: Callable[[], T]) -> T | None:
    """What can't be told of a row that is timed doesn't make it one that failed."""
    try:
        return look()
    except RuntimeError:
        return None


def _transfer(configuration: Configuration) -> float | None:
    """Seconds in which a batch goes from the host's pinned memory to the device, the median of eleven; None on a CPU."""
    if torch.device(configuration.device).type == "cpu":
        return None
    images = make_images(configuration)
    images = images.pin_memory() if torch.cuda.is_available() else images

    time_block = by_clock(configuration.device)
    return statistics.median(time_block(lambda: images.to(configuration.device, non_blocking=True), 1) for _ in range(11))


def answer(work: Callable[[], dict[str, Any]]) -> None:
    """Prints what the work gives, or why it doesn't."""
    try:
        found = work()
    except Exception as error:
        found = {"reason": reason_of(error)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    task = json.load(sys.stdin)
    answer(lambda: time_configuration(Configuration.model_validate(task["configuration"]), task["limit"], task["beat"] or math.inf))
    os._exit(0)  # to give back all memory and modules one by one takes a second
