"""The same network timed in the wrong ways that public tables are made of, beside the right one, each in a process of its own.

``python -m bench.exhibit`` reads ``{"configuration", "way"}`` as JSON from standard input and prints ``{"seconds"}`` a call.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from bench import jobs, search
from bench.child import answer
from bench.timer import synchronise
from bench.workload import prepare
from repro import machine
from repro.tables import load_ledger
from repro.throughput.timing import Configuration, Mistake

NETWORK = "resnet18"

#: A loop of this many calls is what most scripts have.
CALLS = 10
PATIENCE = 300.0

COLD, NO_WARM_UP, WITH_COMPILING = "one cold call", "no warm-up", "no warm-up, compiled"
UNSYNCHRONISED, CROWDED = "no synchronisation", "all cores oversubscribed"
OTHERS = "others that keep the cores busy"
TF32, HALF = "TF32 silently on", "float16 there, float32 here"


def show_mistakes(device: str, network: str = NETWORK, limit: float = 10.0) -> Iterator[Mistake]:
    """Each wrong way with its factor on this machine, or the reason why it can't be shown here."""
    base = search.eager(load_ledger().network(network), "inference", device)
    compiled = base.model_copy(update={"compiled": True})
    on_cpu = torch.device(device).type == "cpu"
    elsewhere = {UNSYNCHRONISED: "a CPU's calls return when they are done; needs another device"} if on_cpu else {CROWDED: "it's a CPU's"}
    right = {configuration: jobs.time_in_process(configuration, limit) for configuration in (base, compiled)}
    for way, configuration in ((COLD, base), (NO_WARM_UP, base), (WITH_COMPILING, compiled), (UNSYNCHRONISED, base), (CROWDED, base)):
        good = right[configuration]
        reason = elsewhere.get(way) or good.reason
        seconds, reason = (None, reason) if reason else _wrongly(configuration, way)
        right_seconds = good.median if seconds is not None else None
        yield Mistake(name=way, configuration=configuration, right=right_seconds, wrong=seconds, reason=reason)
    yield _other_dtype(TF32, base, "tf32", limit)
    yield _other_dtype(HALF, base, "float16", limit)


def _other_dtype(way: str, base: Configuration, dtype: str, limit: float) -> Mistake:
    """A dtype that isn't the one that the table says, on a device that is held against a CPU in float32."""
    other = base.model_copy(update={"dtype": dtype})
    if torch.device(base.device).type == "cpu":
        return Mistake(name=way, configuration=other, against=base, reason="needs a device besides the CPU")
    good, bad = (jobs.time_in_process(configuration, limit) for configuration in (base, other))
    if not good.is_timed or not bad.is_timed:
        return Mistake(name=way, configuration=other, against=base, reason=good.reason or bad.reason)
    return Mistake(name=way, configuration=other, against=base, right=good.median, wrong=bad.median)


def _wrongly(configuration: Configuration, way: str) -> tuple[float | None, str | None]:
    """Seconds a call, or the reason why there are none."""
    variables = jobs.variables(configuration)
    with contextlib.ExitStack() as crowd:
        others = [
            crowd.enter_context(jobs.working("bench.exhibit", _task(configuration, OTHERS), variables))
            for _ in (machine.cores()[1:] if way == CROWDED else ())
        ]
        ended = jobs.run_module("bench.exhibit", _task(configuration, way), variables, PATIENCE)
        if any(other.poll() is not None for other in others):
            return None, "what was to keep the other cores busy had ended"
    return (None, ended.reason) if ended.reason else (float(ended.found["seconds"]), None)


def _task(configuration: Configuration, way: str) -> str:
    return json.dumps({"configuration": configuration.model_dump(), "way": way})


def time_wrongly(configuration: Configuration, way: str) -> dict[str, Any]:
    """In a process of its own: the seconds that a wrong timer tells."""
    call = prepare(configuration)
    if way == OTHERS:
        _keep_busy(call)
    calls = 1 if way == COLD else CALLS
    if way in (UNSYNCHRONISED, CROWDED):
        for _ in range(CALLS):
            call()
        synchronise(configuration.device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    if way != UNSYNCHRONISED:
        synchronise(configuration.device)
    return {"seconds": (time.perf_counter() - start) / calls}


def _keep_busy(call: Callable[[], object]) -> None:
    """Until somebody ends this process, or ought to have."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        call()


if __name__ == "__main__":
    task = json.load(sys.stdin)
    answer(lambda: time_wrongly(Configuration.model_validate(task["configuration"]), task["way"]))
