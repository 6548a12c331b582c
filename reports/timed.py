"""Timings as reports show them: the sessions by machine and device, the pairs that are compared, and the ladder.

No ratio has rows of two machines in it.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from reports import wording
from repro.records import folder_of
from repro.tables import Ledger
from repro.throughput.doubt import NO_DIFFERENCE, Key, are_apart, baseline, fastest, flags, group, is_small, speed_up
from repro.throughput.steps import CLIMBED, ladder
from repro.throughput.timing import Configuration, DType, Origin, Session, Task, Timing, larger_floor

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Row:
    """A timing with the session that it belongs to; ``number`` counts the sessions of a place from 1."""

    timing: Timing
    session: Session
    number: int

    @property
    def configuration(self) -> Configuration:
        """What was timed."""
        return self.timing.configuration

    @property
    def is_flagged(self) -> bool:
        """Whether there is something to know about it."""
        return bool(flags(self.timing))

    @property
    def standard_error(self) -> float:
        """Of its median, relative to it: within its process by its interval, and from process to process by the A/A
        run of its session. Infinite where one of both isn't known, and then no reason to prefer it."""
        return math.hypot(self.timing.half_width / 1.96, self.session.drift)

    def share(self, ledger: Ledger) -> float | None:
        """What part of its own session's roof it reaches."""
        return self.session.share(self.timing, ledger)


@dataclass(frozen=True)
class Pair:
    """A network's eager float32 row with all threads, and the fastest of the ``tried`` rows at its batch; ``alike`` others of them are no
    different from it."""

    base: Row
    best: Row
    tried: int
    alike: int

    @property
    def network(self) -> str:
        """The name of the network of both."""
        return self.base.configuration.network

    @property
    def rows(self) -> tuple[Row, ...]:
        """Both, or the one that is both."""
        return (self.base,) if self.best is self.base else (self.base, self.best)

    @property
    def words(self) -> str:
        """``1.44 times``, or ``no difference``."""
        return times(self.base, self.best)


@dataclass(frozen=True)
class Step:
    """A row of the ladder: the row before it with one thing more."""

    name: str
    row: Row


@dataclass(frozen=True)
class Place:
    """A device of a machine with all its sessions, in the order of their files; ``more`` tells it from another of the same name."""

    hardware: str
    device: str
    source: str
    sessions: tuple[Session, ...]
    more: str = ""

    @property
    def machine(self) -> str:
        """``AMD EPYC, 2 cores``, and what tells it from another of that name."""
        return f"{self.hardware}{self.more}"

    @property
    def name(self) -> str:
        """``AMD EPYC, 2 cores (cpu)``"""
        by = "" if self.source == "repro bench" else f", timed by {self.source}"
        return f"{self.machine} ({self.device}{by})"

    @property
    def slug(self) -> str:
        """The name in the names of files."""
        return folder_of(self.name)

    def stem(self, kind: str) -> str:
        """The stem of a figure of this place."""
        return f"throughput-{self.slug}-{kind}"

    @functools.cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row of every session."""
        return tuple(Row(row, session, number) for number, session in enumerate(self.sessions, 1) for row in session.rows)

    @functools.cached_property
    def timed(self) -> tuple[Row, ...]:
        """Every row that has a time."""
        return tuple(row for row in self.rows if row.timing.is_timed)

    @functools.cached_property
    def counting(self) -> dict[Configuration, Row]:
        """The rows that count: of each configuration the surest; one that got little time, only where no other has."""
        surest_last = sorted(self.timed, key=lambda row: (not row.timing.glanced, -row.standard_error, row.number))
        return {row.configuration: row for row in surest_last}

    def beside(self, configuration: Configuration, session: Session) -> Row | None:
        """The row of a configuration that is held against rows of a session: that session's own, since a machine is slower on some days,
        or else the one that counts."""
        own = (row for row in self.timed if row.session is session and row.configuration == configuration)
        return next(own, self.counting.get(configuration))

    @property
    def never_timed(self) -> list[Row]:
        """The last failure of each configuration that no session timed."""
        return list({row.configuration: row for row in self.rows if row.configuration not in self.counting}.values())

    def untried(self, base: Configuration) -> int:
        """How many ways a search had no time for, at the network, task, batch and threads of a row."""
        left = {each for session in self.sessions for each in session.untried if each.in_way(base.way) == base}
        return len(left - set(self.counting))

    @functools.cached_property
    def merged(self) -> Session:
        """The last session with the rows that count of all, and with the A/A runs of the sessions that they are from."""
        numbers = {row.number for row in self.counting.values()}
        sessions = [self.sessions[number - 1] for number in sorted(numbers)]
        kept = {
            "rows": tuple(row.timing for row in self.counting.values()),
            "same": tuple(timing for session in sessions for timing in session.same_timings),
            "mistakes": tuple(mistake for session in sessions for mistake in session.mistakes),
        }
        return self.sessions[-1].model_copy(update=kept)

    def pairs(self, task: Task, ledger: Ledger) -> list[Pair]:
        """A pair for each network that has an eager float32 row: large images before small ones, then by MACs.

        Of several batches it is the one with the most threads, then that of most networks, then that of most rows, then the largest.
        """
        found = {key: rows for key, rows in group(self.merged.rows).items() if key[1] == task and key[0] in ledger.networks}
        bases = {key: base for key, rows in found.items() if (base := baseline(rows))}
        common = Counter((is_small(ledger.network(name)), batch) for name, _, _, batch in bases)

        def preference(key: Key) -> tuple[int, int, int, int]:
            small = is_small(ledger.network(key[0]))
            return bases[key].configuration.threads, common[small, key[3]], len(found[key]), key[3]

        chosen = {key[0]: key for key in sorted(bases, key=preference)}  # of each network the last
        return [
            self._pair(bases[chosen[name]], found[chosen[name]]) for name in sorted(chosen, key=lambda name: network_order(ledger, name))
        ]

    def _pair(self, base: Timing, rows: list[Timing]) -> Pair:
        found = fastest(rows, lambda *both: is_step(*(self.counting[row.configuration] for row in both)))
        best = self.counting[(found or base).configuration]
        others = (self.counting[row.configuration] for row in rows if row.configuration != best.configuration)
        alike = sum(not is_step(best, other) for other in others)
        return Pair(self.beside(base.configuration, best.session) or best, best, len(rows), alike)

    def ratios(self, pair: Pair) -> list[float]:
        """How many times as fast the second of a pair was in each session that timed both; none where both are the same."""
        wanted, found = {row.configuration for row in pair.rows}, list[float]()
        for session in self.sessions:
            own = {row.configuration: row.median for row in session.rows if row.is_timed and row.configuration in wanted}
            if len(own) == 2:
                found.append(own[pair.base.configuration] / own[pair.best.configuration])
        return found

    def ladder(self, task: Task, ledger: Ledger) -> list[Step]:
        """The steps of :data:`CLIMBED` that were timed, at the batch and threads of its pair; empty where there is no pair. They are of
        the session that timed most of them, that with the least drift of equals, as far as it did."""
        pair = next((pair for pair in self.pairs(task, ledger) if pair.network == CLIMBED), None)
        if pair is None:
            return []
        wanted, steps = ladder(pair.base.configuration), []
        its = {configuration for _, configuration in wanted}
        timed = Counter(row.number for row in self.timed if row.configuration in its)
        session = self.sessions[max(timed, key=lambda number: (timed[number], -self.sessions[number - 1].drift, number)) - 1]
        for name, configuration in wanted:
            row = self.beside(configuration, session)
            if row is None:  # a step that is missing isn't skipped: the next would be two steps
                break
            steps.append(Step(name, row))
        return steps

    def roofs(self, threads: int) -> dict[DType, float]:
        """FLOP/s by dtype with so many threads: the best of all sessions."""
        found: dict[DType, float] = {}
        for roof in (roof for session in self.sessions for roof in session.roofs if roof.threads == threads):
            found[roof.dtype] = max(roof.flops, found.get(roof.dtype, 0))
        return found

    def copy_rate(self, threads: int) -> float | None:
        """Bytes a second with so many threads: the best of all sessions."""
        return max(filter(None, (session.copy_rate(threads) for session in self.sessions)), default=None)


def places_of(sessions: Iterable[Session]) -> tuple[Place, ...]:
    """The sessions by hardware, device, timer, model of the CPU, instructions and torch, CPUs first."""
    found: dict[Origin, list[Session]] = {}
    for session in sessions:
        found.setdefault(session.origin, []).append(session)
    places = [Place(*key[:3], tuple(own), _what_differs(key, found)) for key, own in found.items()]
    return tuple(sorted(places, key=lambda place: (place.device != "cpu", place.name)))


def _what_differs(key: Origin, keys: Iterable[Origin]) -> str:
    """The CPU's model, as far as it's recorded, instructions and torch, where those of others of the same hardware, device and timer are
    different ones."""
    alike = [other for other in keys if other[:3] == key[:3]]
    words = {3: key[3], 4: key[4] or key[1], 5: f"torch {key[5]}"}
    return "".join(f", {word}" for at, word in words.items() if word and len({other[at] for other in alike}) > 1)


# ---------------------------------------------------------------- comparing


def times(slow: Row, fast: Row) -> str:
    """``1.44 times``, or ``no difference``: how many images the second does in the time in which the first does one.

    The floor is that of both sessions together.
    """
    words = speed_up(slow.timing, fast.timing, larger_floor(slow.session, fast.session))
    return words if words == NO_DIFFERENCE else f"{words} times"


def times_cell(slow: Row, fast: Row) -> str:
    """The same for a cell, which says where an interval is missing: of fewer than six blocks there is none."""
    words, known = times(slow, fast), slow.timing.interval and fast.timing.interval
    return words if known or words == NO_DIFFERENCE else f"{words}, no interval"


def is_step(before: Row, after: Row) -> bool:
    """Whether two rows differ by more than noise."""
    return are_apart(before.timing, after.timing, larger_floor(before.session, after.session))


def network_order(ledger: Ledger, name: str) -> tuple[bool, int, str]:
    """Sorts networks: large images before small ones, then by MACs."""
    network = ledger.network(name)
    return is_small(network), network.macs, name


def about_batch(row: Row) -> str:
    """``batch 8, 2 threads``; threads on a CPU only."""
    its = row.configuration
    return f"batch {its.batch}" + (f", {wording.several(its.threads, 'thread')}" if its.device == "cpu" else "")


def giga(value: float) -> str:
    """A number of 10^9, with three digits."""
    return wording.rounded(value / 10**9)
