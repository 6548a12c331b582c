"""One session of timing on one device, from its roof to its last row. The file of the session is replaced after each row."""

from __future__ import annotations

import functools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from bench import jobs, search
from bench.exhibit import show_mistakes
from bench.roof import LIMIT, SIZES
from repro import machine
from repro.files import uninterrupted
from repro.tables import Network, load_ledger
from repro.throughput.doubt import MOST_OTHERS
from repro.throughput.steps import CLIMBED, ladder
from repro.throughput.timing import (
    Configuration,
    Copy,
    DType,
    Mistake,
    Roof,
    Session,
    Task,
    Timing,
    Way,
    load_sessions,
    on_threads,
    sessions_of,
    write_session,
)

#: The A/A run: the network whose eager float32 is timed at the start, at the end, and whenever so many seconds have gone by.
SAME_NETWORK, SAME_EVERY = "resnet18", 300.0

#: Percent of all cores that others may use before it's told, looked at for so many seconds.
BUSY, LOOK = 5.0, 1.0

#: How many times the budget the first network gets, since what it finds guides the search for the others.
FIRST = 3

#: Roofs are measured in a process that may take this long.
ROOF_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session times. ``limit``: seconds of measuring a row, ``roof_limit``: a size of matrix product; ``budget``: seconds of
    searching a network and task. ``steps``: whether the ladder is timed."""

    device: str
    networks: tuple[Network, ...]
    tasks: tuple[Task, ...]
    records: Path
    limit: float = 20.0
    budget: float = 120.0
    roof_limit: float = LIMIT
    batch: int | None = None
    full_grid: bool = False
    steps: bool = True
    exhibit: bool = False
    again: bool = False
    patience: float = jobs.PATIENCE


@dataclass
class Bench:
    """A session that runs. ``tell`` is given a line for each thing that begins or ends. ``timed``: rows that needn't be timed any more.
    ``taken``: those of them that were asked for and are from an earlier session, with the name of its file. ``old``: earlier sessions of
    this machine, which say what to try first, even where everything is timed anew."""

    plan: Plan
    tell: Callable[[str], None]
    session: Session
    path: Path | None = None
    timed: dict[Configuration, Timing] = field(default_factory=dict)
    taken: dict[Configuration, str] = field(default_factory=dict)
    roofless: set[int] = field(default_factory=set)
    same_at: float = -math.inf
    old: tuple[Session, ...] = ()

    def attempt(self, configuration: Configuration, beat: float | None = None) -> Timing:
        """A row: the one that there is, or a new one, which is written at once. A row that was only glanced at is timed anew where
        it isn't asked whether it beats another."""
        known = self.timed.get(configuration)
        if known is not None and (beat is not None or known.reached or not known.is_timed or not known.glanced):
            self._take(known)
            return known
        if configuration == self.same:
            self.same_at = time.monotonic()
        self._prepare(configuration.threads)
        self.tell(f"{configuration.label} ...")
        timing = jobs.time_in_process(configuration, self.plan.limit, self.plan.patience, beat)
        self.timed[configuration] = timing
        self.tell(f"  {line(timing)}")
        rows = tuple(row for row in self.session.rows if row.configuration != configuration)
        self._save(rows=(*rows, timing))
        return timing

    def _take(self, known: Timing) -> None:
        """Says once which earlier session a row is from, if it's from one."""
        its = known.configuration
        if its in self.taken or known in self.session.rows:
            return
        if file := next((old.file for old in reversed(self.old) if known in old.rows), None):
            self.taken[its] = file
            self.tell(f"{its.label}: {line(known)}, timed before, in {file}")

    def _prepare(self, threads: int) -> None:
        """The roof for so many threads before the first row that needs it, and from time to time the A/A run."""
        if time.monotonic() - self.same_at > SAME_EVERY:
            self.time_the_same()
        if self.session.copy_rate(threads) is None and threads not in self.roofless:
            self._find_roofs(threads, SIZES)

    def _find_roofs(self, threads: int, sizes: Sequence[int]) -> None:
        """The best rates so far of matrix products of these sizes and of memory copy, by so many threads."""
        self.tell(f"roof of matrix products and memory copy, {on_threads(threads)} ...")
        base = Configuration(network=SAME_NETWORK, task="inference", device=self.plan.device, batch=1, threads=threads)
        task = {"device": self.plan.device, "threads": threads, "dtypes": jobs.possible_dtypes(base), "sizes": sizes}
        task["limit"] = self.plan.roof_limit
        ended = jobs.run_module("bench.roof", json.dumps(task), jobs.variables(base), ROOF_PATIENCE)
        if ended.reason is not None:
            if self.session.copy_rate(threads) is not None:
                return self.tell(f"  not measured again: {ended.reason}")
            self.roofless.add(threads)
            return self.tell(f"  not measured, so that shares of it may be missing: {ended.reason}")
        roofs = {(roof.dtype, roof.threads): roof for roof in self.session.roofs}
        for roof in map(Roof.model_validate, ended.found["roofs"]):
            known = roofs.get((roof.dtype, threads))
            roofs[roof.dtype, threads] = roof.or_better(known) if known else roof
        copies = sorted((*self.session.copies, *map(Copy.model_validate, ended.found["copies"])), key=lambda copy: copy.bytes_per_second)
        self.tell("  " + ", ".join(f"{dtype} {roof.flops / 1e9:,.0f} GFLOP/s" for (dtype, by), roof in roofs.items() if by == threads))
        self._save(roofs=tuple(roofs.values()), copies=tuple({copy.threads: copy for copy in copies}.values()))

    @functools.cached_property
    def same(self) -> Configuration:
        """What the A/A run times; a row of it is a part of that run."""
        return search.eager(load_ledger().network(SAME_NETWORK), "inference", self.plan.device)

    def time_the_same(self) -> None:
        """Once more what was timed before: differences are the machine's."""
        self.tell("the same as ever, for the noise floor ...")
        timing = jobs.time_in_process(self.same, self.plan.limit, self.plan.patience)
        self.tell(f"  {line(timing)}")
        self._save(same=(*self.session.same, timing))
        for threads in {roof.threads for roof in self.session.roofs} - self.roofless:
            self._find_roofs(threads, sorted({roof.best.n for roof in self.session.roofs if roof.threads == threads}))
        self.same_at = time.monotonic()

    def _save(self, **changes: object) -> None:
        """The file as it is now: whole, under the name that the session has had since its first row."""
        with uninterrupted():
            self.session = self.session.model_copy(update=changes)
            if self.session.rows or self.session.mistakes:
                self.path = write_session(self.session, self.plan.records, self.path)

    def add_mistake(self, mistake: Mistake) -> None:
        """A row of the exhibit."""
        self.tell(f"  {mistake.result}")
        self._save(mistakes=(*self.session.mistakes, mistake))

    def add_untried(self, configurations: Iterable[Configuration]) -> None:
        """What the search had no time for."""
        self._save(untried=(*self.session.untried, *(each for each in dict.fromkeys(configurations) if each not in self.timed)))


def begin(plan: Plan, tell: Callable[[str], None]) -> Bench:
    """A session that knows the rows that this machine has already, unless they are to be timed again."""
    environment = machine.environment(plan.device)
    session = Session(
        device=plan.device, environment=environment, memory=psutil.virtual_memory().total, limit=plan.limit, budget=plan.budget
    )
    bench = Bench(plan, tell, session)
    folder = sessions_of(plan.records, environment.hardware)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # whether it can be written, before minutes are spent
        pass
    bench.old = tuple(old for old in load_sessions(plan.records, environment.hardware) if old.origin == session.origin)
    for old in () if plan.again else bench.old:
        bench.timed |= {row.configuration: row for row in old.rows if row.is_timed}
    return bench


def run(bench: Bench) -> None:
    """All rows of the plan. An interrupt leaves the rows that are finished in the session's file."""
    plan = bench.plan
    if (busy := psutil.cpu_percent(LOOK)) > BUSY:
        bench.tell(f"other programs use {busy:.0f} % of this machine: close them, or no timing can be trusted")
    compiler = machine.has_compiler() or torch.device(plan.device).type != "cpu"
    if not compiler:
        bench.tell("no C++ compiler: everything is timed eager; install g++, or set CXX, to time compiled code too")
    parts = [(task, network) for task in plan.tasks for network in plan.networks]
    for number, (task, network) in enumerate(parts, 1):
        bench.tell(f"[{number} of {len(parts)}] {network.name} {task}")
        base = search.eager(network, task, plan.device, plan.batch)
        seconds = plan.budget if _gains(bench, task) else FIRST * plan.budget
        _search(bench, bench.attempt(base), compiler, seconds)
        if network.name == CLIMBED and plan.steps:
            _ladder(bench, base, compiler)
        if plan.full_grid:
            _grid(bench, network, task)
    if plan.exhibit:
        bench.tell("the same network, timed wrongly ...")
        for mistake in show_mistakes(plan.device):
            bench.add_mistake(mistake)
    if bench.session.rows or bench.session.mistakes:
        bench.time_the_same()


def _search(bench: Bench, base: Timing, compiler: bool, seconds: float) -> None:
    """Looks for the fastest way to compute a network within so many seconds."""
    its = base.configuration
    start, tried = time.monotonic(), [base]

    def attempt(configuration: Configuration, beat: float | None) -> Timing:
        tried.append(bench.attempt(configuration, beat))
        return tried[-1]

    def left() -> bool:
        """Whether one more that takes as long as the last has time."""
        return time.monotonic() - start + (tried[-1].spent if len(tried) > 1 else 0) < seconds

    wanted = search.candidates(its, _by_roof(bench, its.threads), _gains(bench, its.task))
    wanted = [configuration for configuration in wanted if compiler or not configuration.compiled]
    untried = search.find_fastest(base, wanted, attempt, left)
    bench.add_untried(untried)
    timed = [timing for timing in tried if timing.is_timed]
    if timed:
        best = min(timed, key=lambda timing: timing.median)
        count = len({timing.configuration for timing in tried})
        mixed = ", some of them timed before" if any(timing.configuration in bench.taken for timing in tried) else ""
        bench.tell(f"  fastest of {count}{mixed}: {best.configuration.how}{_left(untried)}")


def _left(untried: Iterable[Configuration]) -> str:
    count = len(set(untried))
    return f"; no time for {count} more ways, --budget gives more" if count else ""


def _ladder(bench: Bench, base: Configuration, compiler: bool) -> None:
    for _, step in ladder(base):
        if compiler or not step.compiled:
            bench.attempt(step)


def _grid(bench: Bench, network: Network, task: Task) -> None:
    configurations = list(search.grid(network, task, bench.plan.device, bench.plan.batch))
    for number, configuration in enumerate(configurations, 1):
        if configuration not in bench.timed:
            bench.tell(f"  {number} of {len(configurations)} of the grid:")
        bench.attempt(configuration)


def _by_roof(bench: Bench, threads: int) -> list[DType]:
    """The dtypes of the roofs, the highest first; those of an earlier session serve too."""
    roofs = (roof for session in (*bench.old, bench.session) for roof in session.roofs if roof.threads == threads)
    return search.by_roof(roofs) or ["float32"]


def _gains(bench: Bench, task: Task) -> dict[Way, float]:
    return search.gains_of([*bench.old, bench.session], task)


def line(timing: Timing) -> str:
    """A row for the terminal."""
    if not timing.is_timed:
        return f"failed: {timing.reason}"
    spread = f"±{100 * timing.half_width:.1f} %" if timing.interval else f"({len(timing.seconds)} of the six blocks that an interval needs)"
    first = f", first call {timing.first_call:,.1f} s" if timing.first_call and timing.first_call > 10 * timing.median + 1 else ""
    busy = f", others used {100 * timing.others:.0f} % of the machine" if timing.others and timing.others > MOST_OTHERS else ""
    return f"{timing.images_per_second:,.1f} images/s {spread}, {1000 * timing.median:,.2f} ms a batch{first}{busy}"
