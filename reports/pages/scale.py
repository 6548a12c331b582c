"""scale.md: what the paper's full experiment takes, from the rates that records hold."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reports import wording
from reports.charts import Chart
from reports.judged import Judged
from reports.markdown import code, document, picture, remake, table, text
from reports.trained import CURVES_STYLE
from repro.claims import FLOPS_PER_MAC_TRAINED
from repro.degradation import experiments, label
from repro.recipe import NETWORKS, PAPER_ITERATIONS
from repro.records import Record

TITLE = "What the full experiment takes"
ABOUT = "Hours of the degradation experiment at the paper's length, by machine and number of workers, from measured rates."
SEEDS = 5
BATCH = 128
WORKERS = (1, 2, 4, 5, 10, 20)
#: Deeper networks of the paper, by the measured network whose rate in MACs they are given.
DEEPER, MODEL = ("resnet110", "resnet1202"), "resnet56"
MACS_PER_MAC_TRAINED = FLOPS_PER_MAC_TRAINED // 2
STEM = "hours-by-workers"

ON_A_CPU = "repro degradation --data cifar10 --seeds 1 --iterations 5000"
ON_A_GPU = "repro degradation --data cifar10 --seeds 1 --iterations 5000 --device cuda"


@dataclass(frozen=True)
class Machine:
    """A worker: hardware and how a run uses it, with its rates by network: images a second, the median of each run, and the
    slowest and the fastest log interval of all runs."""

    hardware: str
    device: str
    dtype: str
    threads: int
    rates: Mapping[str, tuple[float, ...]]
    ranges: Mapping[str, tuple[float, float]]

    @property
    def name(self) -> str:
        """``AMD EPYC, 2 cores: 1 core a run, bfloat16``"""
        used = f"{wording.several(self.threads, 'core')} a run" if self.device == "cpu" else f"one {self.device} device a run"
        return f"{self.hardware}: {used}, {self.dtype}"

    def rate(self, network: str) -> float:
        """Images a second, the median over runs."""
        return statistics.median(self.rates[network])

    @property
    def is_complete(self) -> bool:
        """Whether each network of the experiment was measured."""
        return set(NETWORKS) <= set(self.rates)

    def run_hours(self, network: str) -> float:
        """One run of the paper's length, evaluation not counted."""
        return hours(self.rate(network))

    def hours(self, workers: int) -> float:
        """All runs on so many such workers, the longest first, each on the next that is free."""
        return makespan([self.run_hours(network) for network in NETWORKS for _ in range(SEEDS)], workers)


def hours(rate: float) -> float:
    """Hours of the paper's iterations at so many images a second."""
    return PAPER_ITERATIONS * BATCH / rate / 3600


def makespan(lengths: list[float], workers: int) -> float:
    """When the last of these runs ends if the longest are begun first; the unit is theirs."""
    ends = [0.0] * workers
    for length in sorted(lengths, reverse=True):
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def machines_of(records: tuple[Record, ...]) -> list[Machine]:
    """The machines that have rates at 32x32, in one process a run."""
    found: dict[tuple[str, str, str, int], dict[str, list[tuple[float, ...]]]] = {}
    for record in _measured(records):
        key = (record.environment.hardware, record.settings.device, record.settings.dtype, record.settings.threads)
        found.setdefault(key, {}).setdefault(record.network, []).append(record.rate.images_per_second)
    return [
        Machine(
            *key,
            {name: tuple(statistics.median(run) for run in runs) for name, runs in networks.items()},
            {name: (min(map(min, runs)), max(map(max, runs))) for name, runs in networks.items()},
        )
        for key, networks in sorted(found.items())
    ]


def scale_charts(judged: Judged) -> tuple[Chart, ...]:
    """The figure; none where no machine has all rates."""
    data = [
        {"label": machine.name, "workers": list(WORKERS), "hours": [float(f"{machine.hours(count):.4g}") for count in WORKERS]}
        for machine in machines_of(judged.records)
        if machine.is_complete
    ]
    return (Chart(STEM, "Hours of the full experiment by workers", data, "hours", CURVES_STYLE),) if data else ()


def write_scale(judged: Judged) -> str:
    """The page."""
    machines = machines_of(judged.records)
    return document(
        TITLE,
        f"The paper's experiment (H15 section 4.2) is {PAPER_ITERATIONS:,d} iterations of {BATCH} images, here for "
        f"{wording.joined(list(NETWORKS))} with {SEEDS} seeds each: {SEEDS * len(NETWORKS)} runs. A run is one worker's job, and runs "
        "share nothing, so hours follow from the rate of one run. Evaluation, checkpoints and start-up aren't counted.",
        *(_rates(judged, machines) if machines else [f"No record at 32x32 yet: {code(ON_A_CPU)} makes the first."]),
        *_gpu(machines),
        *_workers([machine for machine in machines if machine.is_complete]),
        *_deeper(judged, [machine for machine in machines if MODEL in machine.rates]),
        source="reports/records/",
    )


def _measured(records: tuple[Record, ...]) -> list[Record]:
    return [run for run in records if run.data.shape[1:] == (32, 32) and run.settings.world == 1 and run.rate.images_per_second]


def _rates(judged: Judged, machines: list[Machine]) -> Iterator[str]:
    runs = [label(experiment) for experiment in experiments(_measured(judged.records))]
    yield "## Measured rates"
    yield (
        "Images a second in training, the median over the log intervals of a run and then over runs. "
        f"Measured in: {text('; '.join(runs))}. "
        f"A training step costs {MACS_PER_MAC_TRAINED} MACs for each MAC of the network. Where the slowest and the fastest interval "
        "lie far apart, the machine did other work meanwhile, and the hours below are too many."
    )
    heads = [
        "machine",
        "network",
        "images/s >",
        "slowest to fastest interval >",
        "runs >",
        "10^9 MACs/s in training >",
        "hours of one full run >",
    ]
    rows = []
    for machine in machines:
        for network in sorted(machine.rates, key=lambda name: (_macs(judged, name), name)):
            rate, macs = machine.rate(network), _macs(judged, network)
            achieved = f"{MACS_PER_MAC_TRAINED * macs * rate / 10**9:,.0f}" if macs else ""
            low, high = machine.ranges[network]
            cells = [
                f"{rate:,.0f}",
                f"{low:,.0f} to {high:,.0f}",
                str(len(machine.rates[network])),
                achieved,
                f"{machine.run_hours(network):,.1f}",
            ]
            rows.append([text(machine.name), network, *cells])
    yield table(heads, rows)
    yield remake(ON_A_CPU, "repro report")
    yield from _shape(judged, machines)


def _shape(judged: Judged, machines: list[Machine]) -> Iterator[str]:
    shallow, deep = _macs(judged, "resnet20"), _macs(judged, MODEL)
    for machine in machines:
        if shallow and deep and {"resnet20", MODEL} <= set(machine.rates):
            longer = machine.rate("resnet20") / machine.rate(MODEL)
            yield f"{text(machine.name)}: {MODEL} has {deep / shallow:.2f} times the MACs of resnet20 and takes {longer:.2f} times as long."


def _gpu(machines: list[Machine]) -> Iterator[str]:
    if not any(machine.device != "cpu" for machine in machines):
        yield f"A GPU: not measured here. Where one is, {code(ON_A_GPU)} adds its rows."


def _workers(machines: list[Machine]) -> Iterator[str]:
    if not machines:
        return
    yield "## Hours by number of workers"
    runs = SEEDS * len(NETWORKS)
    yield (
        "Runs begin with the longest, each on the next free worker. The worker-hours stay the same; the hours can't fall below the "
        f"longest run, and more than {runs} workers have nothing to do. On a CPU a worker is a core, on one machine or on many."
    )
    heads = ["machine", *(f"{wording.several(count, 'worker')} >" for count in WORKERS), "longest run >", "worker-hours >"]
    rows = (
        [
            text(machine.name),
            *(f"{machine.hours(count):,.1f}" for count in WORKERS),
            f"{max(map(machine.run_hours, NETWORKS)):,.1f}",
            f"{machine.hours(1):,.1f}",
        ]
        for machine in machines
    )
    yield table(heads, rows)
    yield remake("repro report")
    yield picture(f"figures/{STEM}", _alt_text(machines))


def _alt_text(machines: list[Machine]) -> str:
    few, many = WORKERS[0], WORKERS[-1]
    ends = [f"{m.hours(few):,.1f} hours with {few} and {m.hours(many):,.1f} with {many} ({m.name})" for m in machines]
    return f"Hours of the full experiment by number of workers, on logarithmic axes, a line for each machine: {wording.joined(ends)}."


def _deeper(judged: Judged, machines: list[Machine]) -> Iterator[str]:
    model = _macs(judged, MODEL)
    known = [name for name in DEEPER if _macs(judged, name)]
    if not machines or not model or not known:
        return
    yield "## 110 and 1,202 layers: extrapolated"
    yield f"Not measured: these hours take the MACs of the deeper network, and assume that it reaches the MACs a second of {MODEL}."
    heads = ["machine", "network", f"MACs over {MODEL}'s >", "hours of one run >", f"{SEEDS} seeds, 1 worker >", f"{SEEDS} workers >"]
    rows = []
    for machine in machines:
        for network in known:
            times = _macs(judged, network) / model
            one = times * machine.run_hours(MODEL)
            rows.append([text(machine.name), network, f"{times:.2f}", f"{one:,.1f}", f"{SEEDS * one:,.1f}", f"{one:,.1f}"])
    yield table(heads, rows)
    yield remake("repro report")


def _macs(judged: Judged, network: str) -> int:
    """MACs of one image; 0 where the ledger has no such network."""
    return judged.ledger.network(network).macs if network in judged.ledger.networks else 0
