"""The answer as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from repro.conventions.choices import OWN
from repro.conventions.solving import Solution, Solutions
from repro.conventions.typed import Typed

#: Conventions that are shown; attested ones always are.
SHOWN = 10


def solution_lines(solutions: Solutions, limit: int = SHOWN) -> Iterator[str]:
    """What ``repro solve`` prints: the first ``limit`` conventions and every attested one, each with its bridge."""
    asked = f"{solutions.network} {solutions.value.text}"
    if not solutions.found:
        yield f"{asked}: no convention gives it. The nearest, of those that are attested or have one departure:"
        for side, nearest in (("below", solutions.below), ("above", solutions.above)):
            yield ""
            yield f"{side}: {_heading(nearest)}" if nearest else f"{side}: none"
            if nearest:
                yield from _bridge_lines(nearest, solutions.value)
        return
    count = len(solutions.found)
    yield f"{asked}: {count} conventions give it" if count > 1 else f"{asked}: one convention gives it"
    shown = [solution for number, solution in enumerate(solutions.found) if number < limit or solution.attested]
    for solution in shown:
        yield ""
        yield _heading(solution)
        yield from _bridge_lines(solution, solutions.value)
    if count > len(shown):
        yield ""
        yield f"and {count - len(shown)} more, all coincidences: --json lists them"
    if solutions.needless:
        yield ""
        yield f"left out: {solutions.needless:,d} combinations with departures that the number doesn't need"


def _heading(solution: Solution) -> str:
    count = len(solution.departures)
    departures = "no departure" if count == 0 else "1 departure" if count == 1 else f"{count} departures"
    return f"{solution.mark}, {departures}" + (f": {solution.attested}" if solution.attested else "")


def _bridge_lines(solution: Solution, value: Typed) -> Iterator[str]:
    """A line for each step: what it adds, the sum so far, in what words; then how the total is written."""
    first, *others = solution.bridge
    yield f"  {'':>17}  {first.total:>14,d}  {first.label}"
    for step in others:
        yield f"  {step.delta:>+17,d}  {step.total:>14,d}  {step.label}"
    binary = solution.convention.giga != OWN
    digits = solution.total / value.divisor(binary=binary)
    exact = f"{digits:,.{value.decimals + 2}f}{value.unit(binary=binary)}, " if value.power else ""
    numerals = solution.departures[len(others) :]
    yield f"  {'':>17}  {exact}written {solution.prints} {solution.unit}" + (f" ({', '.join(numerals)})" if numerals else "")
