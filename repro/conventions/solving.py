"""Which counting conventions give a number: every combination of choices, the simplest first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from repro.conventions.attested import ATTESTATIONS
from repro.conventions.choices import CHOICES, COUNTED, OWN, QUESTIONS, Convention
from repro.conventions.counts import Counts, Step, factor, weigh
from repro.conventions.typed import Typed, read_value
from repro.tables import Ledger


@dataclass(frozen=True, slots=True)
class Solution:
    """A convention that gives the number. ``bridge`` begins with the ledger's own count; its deltas add up to ``total``."""

    convention: Convention
    departures: tuple[str, ...]
    total: int
    unit: str
    prints: str
    attested: str | None
    bridge: tuple[Step, ...]

    @property
    def mark(self) -> str:
        """``attested`` where a named tool or paper counts so, otherwise ``coincidence``."""
        return "attested" if self.attested else "coincidence"

    def to_json(self) -> dict[str, Any]:
        """One entry of ``repro solve --json``."""
        return {
            "mark": self.mark,
            "attested": self.attested,
            "departures": list(self.departures),
            "convention": self.convention.departures,
            "total": self.total,
            "unit": self.unit,
            "prints": self.prints,
            "bridge": [{"label": step.label, "delta": step.delta, "total": step.total} for step in self.bridge],
        }


@dataclass(frozen=True, slots=True)
class Solutions:
    """Every convention that gives a number, fewest departures first; where there is none, the nearest ones.

    ``needless`` counts the combinations that give it as well, but with departures that it doesn't need.
    """

    network: str
    value: Typed
    found: tuple[Solution, ...]
    needless: int = 0
    below: Solution | None = None
    above: Solution | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of ``repro solve --json``. Bounds are those of a rounded number in powers of ten."""
        bounds = self.value.interval()
        return {
            "network": self.network,
            "value": self.value.text,
            "low": float(bounds.low),
            "high": float(bounds.high),
            "solutions": [solution.to_json() for solution in self.found],
            "needless": self.needless,
            "below": self.below.to_json() if self.below else None,
            "above": self.above.to_json() if self.above else None,
        }


def solve(ledger: Ledger, network: str, value: str) -> Solutions:
    """The conventions under which the operations of a network are written as ``value``.

    ``value`` is a number of operations: see :func:`repro.conventions.typed.read_value`. A combination is left out, and only
    counted, where some of its departures give the number without the others, unless a tool or paper counts just so.
    Raises UnknownName for the network and ReproError for the value.
    """
    typed = read_value(value)
    return _Search(Counts(ledger, network), network, typed).solutions()


class _Search:
    """One question: a network and a typed number."""

    def __init__(self, counts: Counts, network: str, typed: Typed) -> None:
        self.counts, self.network, self.typed = counts, network, typed
        self.attested: dict[Convention, list[str]] = {}
        for attestation in ATTESTATIONS:
            if network in (attestation.networks or (network,)) and (attestation.printed is None or self._is(attestation.printed)):
                named = self.attested.setdefault(counts.settle(attestation.convention), [])
                named.append(f"{attestation.name}, {attestation.where}")

    def solutions(self) -> Solutions:
        """All that give the number, or else the nearest."""
        giving = sorted(self._giving(), key=lambda convention: (len(convention.departures), convention not in self.attested))
        if not giving:
            return Solutions(self.network, self.typed, (), 0, *self._nearest())
        needed = list(self._needed(giving))
        return Solutions(self.network, self.typed, tuple(map(self._solution, needed)), len(giving) - len(needed))

    def _needed(self, giving: Iterable[Convention]) -> Iterator[Convention]:
        """Without those whose departures include all of another's, attested ones excepted. The simplest come first."""
        simplest: list[set[tuple[str, str]]] = []
        for convention in giving:
            departures = set(convention.departures.items())
            if not any(simpler < departures for simpler in simplest):
                simplest.append(departures)
                yield convention
            elif convention in self.attested:
                yield convention

    def _giving(self) -> Iterator[Convention]:
        """Every convention whose total is written as the typed number."""
        options = self.counts.options
        writings = [
            (math.ceil(bounds.low), math.ceil(bounds.high), giga, digits)
            for giga in (options("giga") if self.typed.power else (OWN,))
            for digits in options("digits")
            for bounds in [self.typed.interval(binary=giga != OWN, cut_off=digits != OWN)]
        ]
        for structure, counted, unit, total in self._totals():
            for low, high, giga, digits in writings:
                if low <= total < high:
                    yield _joined(structure, counted, unit=unit, giga=giga, digits=digits)

    def _totals(self) -> Iterator[tuple[Convention, tuple[str, ...], str, int]]:
        """(network, choice for each question of COUNTED, unit, operations)."""
        for structure in self.counts.structures():
            items = self.counts.items(structure)
            added = [
                [(choice, *(weigh(CHOICES[question][choice], items) if choice else (0, 0))) for choice in self.counts.options(question)]
                for question in COUNTED
            ]
            for combination in itertools.product(*added):
                macs = items["macs"] + sum(option[1] for option in combination)
                other = sum(option[2] for option in combination)
                counted = tuple(option[0] for option in combination)
                for unit in self.counts.options("unit"):
                    yield structure, counted, unit, factor(unit) * macs + other

    def _nearest(self) -> tuple[Solution | None, Solution | None]:
        """The next number below and above among the attested conventions and those of at most one departure."""
        plain = [Convention(**{question: choice}) for question in QUESTIONS for choice in self.counts.options(question)]
        candidates = {one: self.counts.total(one) for one in [*plain, *self.attested] if not one.giga and not one.digits}
        bounds = self.typed.interval()
        below = [one for one, total in candidates.items() if total < bounds.low]
        above = [one for one, total in candidates.items() if total >= bounds.high]
        return (
            self._solution(max(below, key=candidates.__getitem__)) if below else None,
            self._solution(min(above, key=candidates.__getitem__)) if above else None,
        )

    def _solution(self, convention: Convention) -> Solution:
        total = self.counts.total(convention)
        return Solution(
            convention=convention,
            departures=tuple(self.counts.words(convention, self.typed.power or 9).values()),
            total=total,
            unit=self.counts.unit(convention),
            prints=self.typed.write(total, binary=convention.giga != OWN, cut_off=convention.digits != OWN),
            attested="; ".join(self.attested.get(convention, ())) or None,
            bridge=self.counts.bridge(convention),
        )

    def _is(self, printed: str) -> bool:
        """Whether the typed number is this printed one, to the digit."""
        other = read_value(printed)
        return (self.typed.number, self.typed.step) == (other.number, other.step)


def _joined(structure: Convention, counted: tuple[str, ...], **others: str) -> Convention:
    """One convention from the choices for each question."""
    return Convention(**structure.departures | dict(zip(COUNTED, counted, strict=True)) | others)
