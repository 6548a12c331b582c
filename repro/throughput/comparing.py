"""Two sessions, before and after a change: which configurations became faster or slower, and whether the two may be compared at all."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from repro.records import Environment
from repro.throughput.doubt import MOST_OTHERS, differ, milliseconds, percent
from repro.throughput.timing import Configuration, Session, Timing, larger_floor

Verdict = Literal["faster", "slower", "no difference"]


@dataclass(frozen=True, slots=True)
class Change:
    """One configuration, timed before and after: medians in seconds a call."""

    configuration: Configuration
    before: float
    after: float
    verdict: Verdict

    @property
    def ratio(self) -> float:
        """The time after over the time before: below 1 it takes less."""
        return self.after / self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of each configuration that both sessions timed. ``reason`` says why they can't be compared, and then there are no
    rows; ``notes`` what else differs. ``floor`` is the noise floor that a difference must exceed."""

    hardware: str
    reason: str | None = None
    notes: tuple[str, ...] = ()
    floor: float | None = None
    rows: tuple[Change, ...] = ()


def compare(before: Session, after: Session) -> Comparison:
    """Compares two sessions of one hardware and one timer, configuration by configuration.

    A difference counts where it is above the noise floor and the 95 % intervals of the medians don't overlap. Without an interval, of
    fewer than six blocks, nothing counts. The floor is that of both A/A runs together; but where Python, torch or this code has changed,
    or may have, which may change the A/A run too, it is the larger of the two, and a note says how far that run has moved.
    """
    was, now = before.environment, after.environment
    hardware = was.hardware if was.hardware == now.hardware else f"{was.hardware}, then {now.hardware}"
    old = {row.configuration: row for row in before.rows if row.is_timed}
    pairs = [(old[row.configuration], row) for row in after.rows if row.is_timed and row.configuration in old]
    reason = _obstacle(before, after) or (None if pairs else f"no configuration was timed in both sessions of {hardware}")
    if reason:
        return Comparison(hardware, reason)
    changed = _code_of(was) != _code_of(now) or was.dirty or now.dirty
    floors = [each.floor for each in (before, after) if each.floor is not None]
    floor = max(floors, default=None) if changed else larger_floor(before, after)
    notes = [f"torch {was.torch} before and {now.torch} after: a difference may be torch's"] if was.torch != now.torch else []
    notes += [] if was.cpu_model or before.device != "cpu" else ["the model of the CPU is not recorded: these may be two"]
    notes += _moved(before, after) if changed else []
    notes += _caveats("before", before) + _caveats("after", after)
    notes += [f"timed in both: {len(pairs)} of {len(old)} rows before, and of {sum(row.is_timed for row in after.rows)} after"]
    notes += [
        f"failed after, but not before: {row.configuration.label}" for row in after.rows if row.configuration in old and not row.is_timed
    ]
    changes = tuple(Change(a.configuration, a.median, b.median, _verdict(a, b, floor)) for a, b in pairs)
    return Comparison(hardware, None, tuple(notes), floor, changes)


def _caveats(when: str, session: Session) -> list[str]:
    """Why a session's times may be noise."""
    found = [f"no noise floor was measured {when}: a difference may be noise"] if session.floor is None else []
    others = max((row.others or 0.0 for row in session.rows), default=0.0)
    return [*found, f"others used up to {100 * others:.0f} % of the machine {when}"] if others > MOST_OTHERS else found


def _moved(before: Session, after: Session) -> list[str]:
    """How far the configurations of the A/A run have moved: by the change, or since the machine is slower at another hour."""
    was, now = before.same_medians, after.same_medians
    return [
        f"the A/A run, {its.label}: {milliseconds(statistics.median(was[its]))} before, {milliseconds(statistics.median(now[its]))} after"
        for its in sorted(was.keys() & now.keys(), key=lambda its: its.label)
    ]


def comparison_lines(comparison: Comparison) -> list[str]:
    """A comparison for the terminal: a line a configuration, or the one line that says why there is none."""
    if comparison.reason:
        return [f"not comparable: {comparison.reason}"]
    above = "" if comparison.floor is None else f" above the noise floor of {percent(comparison.floor)}"
    return [
        f"{comparison.hardware}: a difference counts{above} where the 95 % intervals don't overlap",
        *comparison.notes,
        *map(_line, comparison.rows),
    ]


def _line(row: Change) -> str:
    times = f"{milliseconds(row.before)} before, {milliseconds(row.after)} after, x{row.ratio:.2f}"
    return f"{row.configuration.label}: {times}: {row.verdict}"


def _code_of(environment: Environment) -> tuple[str, str, str]:
    return environment.python, environment.torch, environment.commit


def _obstacle(before: Session, after: Session) -> str | None:
    was, now = before.environment, after.environment
    if was.hardware != now.hardware:
        return f"before is on {was.hardware}, after on {now.hardware}"
    if was.cpu_model != now.cpu_model:
        one, other = (f"{its.hardware}, {its.cpu_model or 'of a model that is not recorded'}" for its in (was, now))
        return f"before is on {one}, after on {other}"
    if was.instructions != now.instructions:
        return f"before, {was.hardware} computes with {was.instructions}, after, {now.hardware} computes with {now.instructions}"
    if before.source != after.source:
        return f"on {was.hardware}, before is timed by {before.source}, after by {after.source}"
    return None


def _verdict(before: Timing, after: Timing, floor: float | None) -> Verdict:
    a, b = before.interval, after.interval
    if a is None or b is None or not differ(before.median, after.median, floor):
        return "no difference"
    if b.high < a.low:
        return "faster"
    return "slower" if b.low > a.high else "no difference"
