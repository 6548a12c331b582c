"""How fast networks run here, as benchmarks of pytest-benchmark, and whether our timer and search do what they promise.

``pytest bench/test_throughput.py --benchmark-json FILE``, then ``repro bench --take FILE`` makes a record of the benchmarks. Where there
is an accelerator, a record needs ``-k cpu`` or, say, ``-k cuda``: it's of one device. ``-k "not quick"`` leaves the longest bar away.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import jobs, search
from bench.child import peak_memory
from bench.conftest import Bars
from bench.plain_timer import time_plainly
from bench.timer import BLOCK, measure, synchronise
from bench.workload import prepare
from repro import machine
from repro.tables import load_ledger
from repro.throughput.doubt import fastest
from repro.throughput.pytest_json import CONFIGURATION
from repro.throughput.timing import Configuration, Session, Timing

About = Callable[[str], Session]

NETWORKS = ("alexnet", "vgg-a", "resnet18", "resnet50", "resnet20", "lenet5")

#: Enough rounds for an interval of the median, after a second of warm-up.
ROUNDS = 11
WARM_UP = 1.0

#: Seconds of measuring a row, and of searching, for the fastest way.
LIMIT, BUDGET = 8.0, 90.0

#: How often timers take turns, and for how many seconds each where they take many.
TURNS, SHORT_TURN = 4, 2.0

#: What most scripts do: calls that warm up, and calls that count.
FIXED = (10, 40)

QUICK = ("--quick",)


def eager(network: str, device: str, batch: int | None = None) -> Configuration:
    return search.eager(load_ledger().network(network), "inference", device, batch)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# ---------------------------------------------------------------- benchmarks


@pytest.mark.benchmark(disable_gc=True)
@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("device", machine.all_devices())
def test_inference(benchmark: BenchmarkFixture, about: About, device: str, network: str, way: str) -> None:
    session = about(device)
    configuration = eager(network, device)
    if way == "compiled":
        best = search.by_roof(session.roofs)[0]
        configuration = configuration.model_copy(update={"layout": "channels_last", "dtype": best, "compiled": True})
    if (reason := jobs.impossible(configuration)) is not None:
        pytest.skip(reason)
    torch.compiler.reset()  # or this network counts as one more variant of the last one's code, and too many run eager
    alone = forget_peak(device)
    call = prepare(configuration)

    def work() -> None:
        call()
        synchronise(device)

    first_call = seconds(work)
    warm = warm_up(work)
    iterations = max(1, round(1.1 * BLOCK / statistics.median(warm[-5:])))  # a tenth more, so that none is too short
    benchmark.pedantic(work, rounds=ROUNDS, iterations=iterations)
    if benchmark.stats is None:
        pytest.skip("benchmarks are disabled")
    row = Timing(configuration=configuration, outcome="timed", seconds=tuple(benchmark.stats.stats.data), calls=iterations)
    benchmark.extra_info |= {
        CONFIGURATION: configuration.model_dump(),
        "macs": load_ledger().network(network).macs,
        "images_per_second": row.images_per_second,
        "roof_share": session.share(row, load_ledger()),
        "warm_up": 1 + len(warm),
        "first_call": first_call,
        "peak_memory": peak_memory(device) if alone else None,
    }


def warm_up(work: Callable[[], object]) -> list[float]:
    """Seconds of each of the calls that are made for a second, five at least."""
    end, taken = time.perf_counter() + WARM_UP, list[float]()
    while time.perf_counter() < end or len(taken) < 5:
        taken.append(seconds(work))
    return taken


def forget_peak(device: str) -> bool:
    """From now on, ``peak_memory`` isn't that of the networks before; False where the system can't forget."""
    if torch.device(device).type != "cpu":
        torch.accelerator.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- bars


def test_fastest_resnet50(bars: Bars, about: About) -> None:
    session, rows, start = about("cpu"), list[Timing](), time.monotonic()

    def attempt(configuration: Configuration, beat: float | None) -> Timing:
        rows.append(jobs.time_in_process(configuration, LIMIT, beat=beat))
        return rows[-1]

    base, dtypes = eager("resnet50", "cpu"), search.by_roof(session.roofs)
    wanted = [one for one in search.candidates(base, dtypes, {}) if machine.has_compiler() or not one.compiled]
    search.find_fastest(attempt(base, None), wanted, attempt, lambda: time.monotonic() - start < BUDGET)
    best = fastest(rows)
    assert best is not None
    assert rows[0].is_timed, rows[0].reason
    ratio, its, has_amx = rows[0].median / best.median, machine.instructions(), machine.instructions() == "amx_bf16"
    bars.add(f"ResNet-50, fastest / eager float32, {its}", ratio, ">= 10" if has_amx else "none", ratio >= 10 or not has_amx)
    bars.skip(f"  {rows[0].images_per_second:.1f} -> {best.images_per_second:.1f} images/s: {best.configuration.how}")
    if not has_amx:
        roofs = {roof.dtype: roof.flops for roof in session.roofs}
        expected = roofs[dtypes[0]] / roofs["float32"]
        bars.add(f"  roofs, {dtypes[0]} / float32: expected without matrix units", expected, "none", True)
    share = session.share(best, load_ledger())
    assert share is not None
    bars.add(f"  its share of the {best.configuration.dtype} roof", 100 * share, ">= 50", share >= 0.5, "%")


@pytest.mark.parametrize("device", machine.all_devices())
def test_a_plain_loop_agrees(bars: Bars, device: str) -> None:
    """The plain loop, and ours before and after it, in turns: ratios are of one turn, since a machine is slower in some minutes."""
    configuration = eager("resnet18", device)
    call = prepare(configuration)

    def by_ours() -> float:
        return statistics.median(measure(call, device, SHORT_TURN).seconds)

    turns = [(by_ours(), time_plainly(call, lambda: synchronise(device), SHORT_TURN), by_ours()) for _ in range(2 * TURNS)]
    apart = abs(statistics.median(plain / statistics.mean([ours, again]) for ours, plain, again in turns) - 1)
    floor = abs(statistics.median(again / ours for ours, _, again in turns) - 1)
    most = max(0.03, floor)
    bars.add(f"plain loop against ours, {device}, A/A floor {100 * floor:.1f} %", 100 * apart, f"<= {100 * most:.1f}", apart <= most, "%")


@pytest.mark.parametrize("least", [0.02, 0.1])
def test_two_per_cent_is_reached_in_time(bars: Bars, least: float) -> None:
    """Against 10 + 40 calls of at least so many seconds, in turns, each with a network of its own, so that both pay for the first call."""
    configuration = that_takes(least)
    turns = [(ours_takes(configuration), *fixed_takes(configuration)) for _ in range(TURNS)]
    ratio = statistics.median(ours / fixed for ours, fixed, _ in turns)
    each, width = 1000 * statistics.median(fixed for _, fixed, _ in turns) / sum(FIXED), statistics.median(width for _, _, width in turns)
    bars.add(f"until ±2 % / 10 + 40 calls of {each:.0f} ms, batch {configuration.batch}", ratio, "<= 1", ratio <= 1)
    bars.skip(f"  the {FIXED[1]} calls themselves come to ±{100 * width:.1f} %")


def that_takes(least: float) -> Configuration:
    """Eager ResNet-18 at the smallest batch that was found to take so many seconds."""
    batch = 1
    while True:
        call = prepare(configuration := eager("resnet18", "cpu", batch))
        took = min(seconds(call) for _ in range(5))
        if took >= least:
            return configuration
        batch = max(batch + 1, int(batch * least / took))


def ours_takes(configuration: Configuration) -> float:
    """Seconds until the half-width is 2 %; a minute at most."""
    call = prepare(configuration)
    return seconds(lambda: measure(call, configuration.device, 60))


def fixed_takes(configuration: Configuration) -> tuple[float, float]:
    """Seconds, and the half-width of the interval of the calls that count, over their median."""
    call = prepare(configuration)
    took = [seconds(call) for _ in range(sum(FIXED))]
    timing = Timing(configuration=configuration, outcome="timed", seconds=tuple(took[FIXED[0] :]), calls=1)
    return sum(took), timing.half_width


def test_quick_ends_in_time(bars: Bars, tmp_path: Path) -> None:
    """Twice: with nothing compiled before, and with what the first one compiled."""
    command = [sys.executable, "-m", "repro", "bench", *QUICK, "--records", str(tmp_path / "records")]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
    for words, cache, most in (((), "empty", 10), (("--again",), "full", 5)):
        run = [*command, *words]
        minutes = seconds(lambda: subprocess.run(run, env=environment, cwd=machine.ROOT, check=True, stdout=subprocess.DEVNULL)) / 60  # noqa: B023
        bars.add(f"repro bench {' '.join([*QUICK, *words])}, compiler's cache {cache}", minutes, f"<= {most}", minutes <= most, "min")
