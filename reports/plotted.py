"""What the figures of timings show: their data, by machine and device, and their description in words.

Nothing here draws; ``reports.rates`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reports import wording
from reports.charts import Chart
from reports.timed import TASKS, Place, Row, about_batch, giga, is_step, network_order, places_of, times
from reports.trained import CURVES_STYLE
from repro.tables import Ledger
from repro.throughput.doubt import is_small
from repro.throughput.steps import CLIMBED
from repro.throughput.timing import Session
from repro.throughput.traffic import intensity

RATES_STYLE = CURVES_STYLE + (Path(__file__).parent / "rates.py").read_text(encoding="utf-8")
KINDS = {"rates": "Images a second by network", "roofline": "Roofline of inference", "ladder": "Speed-up ladder"}


def timing_charts(sessions: Iterable[Session], ledger: Ledger) -> tuple[Chart, ...]:
    """The figures of every place; those without data are left out."""
    return tuple(chart for place in places_of(sessions) for chart in charts_of_place(place, ledger))


def charts_of_place(place: Place, ledger: Ledger) -> Iterator[Chart]:
    """The figures of a place."""
    for kind, title in KINDS.items():
        if data := _DATA[kind](place, ledger):
            yield Chart(place.stem(kind), f"{title}: {place.name}", data, kind, RATES_STYLE)


# ---------------------------------------------------------------- data


def data_of_rates(place: Place, ledger: Ledger) -> list[dict[str, Any]]:
    """A head, then images a second of each pair with their intervals, and how many times the second is the first."""
    pairs = {task: place.pairs(task, ledger) for task in TASKS}
    names = sorted({pair.network for found in pairs.values() for pair in found}, key=lambda name: network_order(ledger, name))
    groups = [[name for name in names if is_small(ledger.network(name)) is small] for small in (False, True)]
    at = {about_batch(pair.base) for found in pairs.values() for pair in found}
    label = ", ".join([place.name, *(at if len(at) == 1 else [])])
    head = {"label": label, "tasks": [task for task in TASKS if pairs[task]], "groups": [names for names in groups if names]}
    rows = [
        {
            "task": task,
            "network": pair.network,
            "eager": _dot(pair.base),
            "fastest": _dot(pair.best),
            "words": pair.words.removesuffix(" times"),
        }
        for task, found in pairs.items()
        for pair in found
    ]
    return [head, *rows] if rows else []


def data_of_roofline(place: Place, ledger: Ledger) -> list[dict[str, Any]]:
    """A head with the roofs in FLOP/s and the copy rate in bytes/s, then FLOP per byte and FLOP/s of each pair's two rows."""
    pairs = place.pairs("inference", ledger)
    threads = max((pair.base.configuration.threads for pair in pairs), default=0)
    used = {row.configuration.dtype for pair in pairs for row in (pair.base, pair.best)}
    roofs = [{"dtype": dtype, "flops": _short(flops)} for dtype, flops in place.roofs(threads).items() if dtype in used]
    if not roofs:
        return []
    rows = [{"network": pair.network, "eager": _point(pair.base, ledger), "fastest": _point(pair.best, ledger)} for pair in pairs]
    copy = place.copy_rate(threads)
    about = f"{place.name}, {wording.several(threads, 'thread')}, inference" if place.device == "cpu" else f"{place.name}, inference"
    return [{"label": about, "roofs": roofs, "copy": copy and _short(copy)}, *rows]


def data_of_ladder(place: Place, ledger: Ledger) -> list[dict[str, Any]]:
    """A head, then a panel for each task with its steps: images a second, words, and whether it is a step from the one before."""
    panels = []
    for task in TASKS:
        steps = place.ladder(task, ledger)
        if len(steps) > 1:
            shown = [
                {
                    "step": step.name,
                    "rate": _dot(step.row),
                    "words": _climb(steps[0].row, step.row),
                    "differs": is_step(before.row, step.row),
                }
                for before, step in zip([steps[0], *steps], steps, strict=False)
            ]
            panels.append({"title": f"{task.capitalize()}, {about_batch(steps[0].row)}", "steps": shown})
    return [{"label": f"{CLIMBED}, {place.name}"}, *panels] if panels else []


def _climb(first: Row, row: Row) -> str:
    rate = f"{wording.rounded(row.timing.images_per_second)} images/s"
    return rate if row is first else f"{rate}, {times(first, row)}{' the first' if is_step(first, row) else ''}"


def _dot(row: Row) -> list[float | None]:
    """Images a second: of the median, and both ends of the interval, None where there is none."""
    ends = row.timing.rates
    return [_short(row.timing.images_per_second), *([_short(ends.low), _short(ends.high)] if ends else [None, None])]


def _point(row: Row, ledger: Ledger) -> list[float]:
    """FLOP per byte of least traffic, and FLOP/s."""
    its, network = row.configuration, ledger.network(row.configuration.network)
    return [_short(intensity(network, its.dtype, its.batch)), _short(row.timing.flops(network.macs))]


def _short(value: float) -> float:
    """Four significant digits: more than a picture shows."""
    return float(f"{value:.4g}")


_DATA = {"rates": data_of_rates, "roofline": data_of_roofline, "ladder": data_of_ladder}


# ---------------------------------------------------------------- words


def alt_text(kind: str, place: Place, ledger: Ledger) -> str:
    """A figure in words."""
    return f"{_SHOWN[kind]}; {place.name}. {'. '.join(_ALT[kind](place, ledger))}."


_SHOWN = {
    "rates": "Images a second of each network on a logarithmic scale, eager float32 and the fastest of what was tried",
    "roofline": "FLOP/s of each network against FLOP for each byte of least traffic, under the measured roofs, both logarithmic",
    "ladder": f"Images a second of {CLIMBED}, one thing more at each step",
}


def _rates_in_words(place: Place, ledger: Ledger) -> Iterator[str]:
    for task in TASKS:
        if pairs := place.pairs(task, ledger):
            slow, fast = (take(pairs, key=lambda pair: pair.base.timing.images_per_second) for take in (min, max))
            least, most = (take(pairs, key=lambda pair: pair.base.timing.median / pair.best.timing.median) for take in (min, max))
            ends = [f"{pair.network} with {wording.rounded(pair.base.timing.images_per_second)}" for pair in (slow, fast)]
            gains = [f"{pair.network} {pair.words}" for pair in (least, most)]
            yield f"{task.capitalize()} in eager float32 from {' to '.join(ends)}, the fastest over it from {' to '.join(gains)}"


def _roofline_in_words(place: Place, ledger: Ledger) -> Iterator[str]:
    head, *rows = data_of_roofline(place, ledger)
    roofs = [f"{giga(roof['flops'])} GFLOP/s in {roof['dtype']}" for roof in head["roofs"]]
    yield f"The roofs are {wording.joined(roofs)}"
    best = max(rows, key=lambda row: row["fastest"][1])
    each, flops = best["fastest"]
    yield f"The highest, {best['network']}, comes to {giga(flops)} GFLOP/s at {wording.rounded(each)} FLOP per byte"


def _ladder_in_words(place: Place, ledger: Ledger) -> Iterator[str]:
    for panel in data_of_ladder(place, ledger)[1:]:
        steps = [(step["step"], step["words"]) for step in panel["steps"]]
        yield f"{panel['title']}: {', '.join(f'{name} {words}' for name, words in steps)}"


_ALT = {"rates": _rates_in_words, "roofline": _roofline_in_words, "ladder": _ladder_in_words}
