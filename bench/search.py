"""Which configurations are timed: eager float32, what a search for the fastest one tries, and the full grid."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch

from repro import machine
from repro.tables import Network
from repro.throughput.doubt import is_small
from repro.throughput.timing import EAGER, Configuration, DType, Roof, Session, Task, Timing, Way

#: The eleven networks of `repro bench --quick`, and the networks that get the full grid.
#: The first is compiled quickly, since what is found with it guides the search for the others.
QUICK = ("resnet18", "alexnet", "resnet34", "resnet50", "vgg-a", "vgg-b", "vgg-c", "vgg-d", "vgg-e", "resnet101", "resnet152")
GRID = ("lenet5", "resnet20", "resnet50", "vgg-d")

#: Images of a batch, by device and size of the image: large enough to fill two cores or a GPU, small enough to be timed in seconds.
BATCHES: dict[str, dict[str, int]] = {"cpu": {"large": 8, "small": 128}, "other": {"large": 64, "small": 1024}}
GRID_BATCHES: dict[str, dict[str, tuple[int, ...]]] = {
    "cpu": {"large": (1, 8), "small": (1, 128)},
    "other": {"large": (1, 8, 64, 256), "small": (1, 128, 1024)},
}

#: Times a configuration, thoroughly only if it beats so many seconds a call.
Try = Callable[[Configuration, float | None], Timing]


def batch_for(network: Network, device: str) -> int:
    """The batch at which configurations of a network are compared."""
    return BATCHES[_kind(device)]["small" if is_small(network) else "large"]


def eager(network: Network, task: Task, device: str, batch: int | None = None) -> Configuration:
    """What a beginner's code does, on all cores."""
    batch = batch_for(network, device) if batch is None else batch
    return Configuration(network=network.name, task=task, device=device, batch=batch, threads=len(machine.cores()))


def half_dtypes(device: str) -> list[DType]:
    """The dtypes besides float32 that may be faster here; those that the device lacks come out as failed rows."""
    return ["bfloat16", "float16"] if torch.device(device).type == "cpu" else ["tf32", "bfloat16", "float16"]


def by_roof(roofs: Iterable[Roof]) -> list[DType]:
    """The dtypes of these roofs, the one with the highest first; of several roofs of a dtype the last counts."""
    latest = {roof.dtype: roof.flops for roof in roofs}
    return sorted(latest, key=lambda dtype: latest[dtype], reverse=True)


def grid(network: Network, task: Task, device: str, batch: int | None = None) -> Iterator[Configuration]:
    """Every combination of dtype, layout, eager or compiled, batch, CPU threads and allocator, the cheap ones first."""
    all_cores = len(machine.cores())
    batches = GRID_BATCHES[_kind(device)]["small" if is_small(network) else "large"] if batch is None else (batch,)
    counts = sorted({1, all_cores}, reverse=True) if torch.device(device).type == "cpu" else [all_cores]
    dtypes: list[DType] = ["float32", *half_dtypes(device)]
    kinds = itertools.product((False, True), counts, batches, ("default", "keep"), ("contiguous", "channels_last"), dtypes)
    for compiled, threads, size, allocator, layout, dtype in kinds:
        base = Configuration(network=network.name, task=task, device=device, batch=size, threads=threads)
        yield base.model_copy(update={"compiled": compiled, "allocator": allocator, "layout": layout, "dtype": dtype})


def candidates(base: Configuration, dtypes: Sequence[DType], gains: Mapping[Way, float]) -> list[Configuration]:
    """What may be faster than eager float32, the likeliest first: ways that were faster on other networks, by their gain, then each dtype,
    the one with the highest roof first, compiled and eager."""
    last = base.model_copy(update={"layout": "channels_last"})
    known = sorted((way for way, gain in gains.items() if gain > 1), key=lambda way: gains[way], reverse=True)
    wanted = [base.in_way(way) for way in known]
    wanted += [last.model_copy(update={"dtype": dtypes[0], "compiled": compiled}) for compiled in (True, False)]
    wanted += [last.model_copy(update={"dtype": dtype, "compiled": compiled}) for dtype in dtypes[1:] for compiled in (False, True)]
    wanted += [base.model_copy(update={"dtype": dtypes[0], "compiled": True})]
    return list(dict.fromkeys(wanted))


def find_fastest(base: Timing, wanted: Sequence[Configuration], attempt: Try, left: Callable[[], bool]) -> list[Configuration]:
    """Times what may be faster than ``base`` in this order while time is ``left``, and the fastest with its memory kept; returns what it
    didn't get to.

    A dtype that is slower than another by a third when both are eager isn't compiled: it would have to gain more by it.
    """
    best, waiting = base, list(wanted)
    eagers = {base.configuration.dtype: base.median} if base.is_timed else dict[str, float]()
    while waiting and left():
        tried = waiting.pop(0)
        if tried.compiled and eagers.get(tried.dtype, 0.0) > min(eagers.values(), default=0.0) * 4 / 3:
            continue
        timing = attempt(tried, best.median if best.is_timed else None)
        if timing.is_timed and not tried.compiled:
            eagers[tried.dtype] = min(timing.median, eagers.get(tried.dtype, math.inf))
        if timing.is_timed and (not best.is_timed or timing.median < best.median):
            best = timing
    kept = best.configuration.model_copy(update={"allocator": "keep"})
    if waiting or not left():
        return [*waiting, kept]
    attempt(kept, best.median if best.is_timed else None)
    return []


def gains_of(sessions: Iterable[Session], task: Task) -> dict[Way, float]:
    """How many times as fast as eager float32 each way was, at equal batch and threads and in one session: the geometric mean over
    networks and sessions, with a 1 among them, so that a way that was tried once doesn't come first by luck."""
    found: dict[Way, list[float]] = {}
    for session in sessions:
        timed = {row.configuration: row for row in session.rows if row.is_timed and row.configuration.task == task}
        for configuration, row in timed.items():
            base = timed.get(configuration.in_way(EAGER))
            if base is not None and base is not row:
                found.setdefault(configuration.way, [1.0]).append(base.median / row.median)
    return {way: statistics.geometric_mean(each) for way, each in found.items()}


def _kind(device: str) -> str:
    return "cpu" if torch.device(device).type == "cpu" else "other"
