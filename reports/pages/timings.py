"""timings.md: every row of every session, by machine, network and task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import anchor, code, document, link, remake, table, text
from reports.timed import TASKS, Place, Row, giga, network_order, places_of
from repro.tables import Ledger
from repro.throughput.doubt import clocks_of, flags

TITLE = "Every timing"
ABOUT = (
    "Every row of every timing record, by machine, network and task: ms, images/s, spread, first call, memory, FLOP/s, share of the roof."
)
NOTHING = f"No machine has a timing record yet: {code('repro bench --quick')} makes the first, in about ten minutes."
LEAD = f"""\
What was compared and what follows is in {link("How fast the networks run", "throughput.md")}, with how it's measured. *n* is blocks x \
calls in a block; ± is the half-width of the 95 % interval of the median, *spread* the coefficient of variation of the blocks, both in \
per cent. The first call is in no other column. A row without a time has its reason under *flags*."""

HEADS = ("how", "batch >", "threads >", "ms/batch >", "ms/image >", "images/s >", "± % >", "spread % >", "n >", "first call s >")
HEADS_MORE = ("peak memory GiB >", "GFLOP/s >", "% of the roof >", "flags")
GIB = 2**30


def write_timings(judged: Judged) -> str:
    """The page."""
    places = places_of(judged.sessions)
    return document(
        TITLE,
        *([LEAD, "\n".join(_contents(places, judged.ledger))] if places else [NOTHING]),
        *(part for place in places for part in _place(place, judged.ledger)),
        source="reports/records/",
    )


def bench_command(place: Place, more: str = "") -> str:
    """What times this place's device anew: ``repro bench --again --device cuda``."""
    if place.source == "pytest-benchmark":
        return "pytest bench/test_throughput.py --benchmark-json FILE"
    return f"repro bench --again --device {place.device}{more}"


def row_cells(row: Row, ledger: Ledger) -> list[str]:
    """The cells under :data:`HEADS` and :data:`HEADS_MORE`."""
    timing, its = row.timing, row.configuration
    remarks = text("; ".join([*flags(timing), *clocks_of(timing)]))
    start = [its.how, f"{its.batch:,d}", str(its.threads) if its.device == "cpu" else ""]
    if not timing.is_timed:
        return [*start, *[""] * 10, f"**no time**: {text(timing.reason or 'no reason given')}"]
    share, known = row.share(ledger), its.network in ledger.networks
    return [
        *start,
        milli(timing.median),
        milli(timing.median / its.batch),
        wording.rounded(timing.images_per_second),
        _percent(timing.half_width),
        _percent(timing.variation),
        f"{len(timing.seconds)} x {timing.calls}",
        "" if timing.first_call is None else wording.rounded(timing.first_call),
        "" if timing.peak_memory is None else f"{timing.peak_memory / GIB:.2f}",
        giga(timing.flops(ledger.network(its.network).macs)) if known else "",
        "" if share is None else f"{100 * share:.0f}",
        remarks,
    ]


def milli(seconds: float) -> str:
    """Milliseconds, three digits."""
    return wording.rounded(1000 * seconds)


def session_cells(row: Row, place: Place) -> list[str]:
    """The number of its session, where there are several."""
    return [str(row.number)] if len(place.sessions) > 1 else []


def session_heads(place: Place) -> list[str]:
    """The head over :func:`session_cells`."""
    return ["session >"] if len(place.sessions) > 1 else []


def _percent(part: float) -> str:
    return "" if math.isinf(part) else f"{100 * part:.1f}"


def _contents(places: tuple[Place, ...], ledger: Ledger) -> Iterator[str]:
    for place in places:
        names = [link(name, f"#{anchor(_heading(name, place))}") for name in _networks(place.rows, ledger)]
        yield f"- {link(text(place.name), f'#{anchor(place.name)}')}, {wording.several(len(place.rows), 'row')}: {', '.join(names)}"


def _networks(rows: Iterable[Row], ledger: Ledger) -> list[str]:
    """Their names in the order of throughput.md; those that no paper has come last."""
    names = dict.fromkeys(row.configuration.network for row in rows)
    known = sorted((name for name in names if name in ledger.networks), key=lambda name: network_order(ledger, name))
    return [*known, *(name for name in names if name not in ledger.networks)]


def _heading(network: str, place: Place) -> str:
    return f"{network} on {place.name}"


def _place(place: Place, ledger: Ledger) -> Iterator[str]:
    yield f"## {text(place.name)}"
    for name in _networks(place.rows, ledger):
        yield f"### {text(_heading(name, place))}"
        for task in TASKS:
            if rows := [row for row in place.rows if (row.configuration.network, row.configuration.task) == (name, task)]:
                yield f"{task.capitalize()}, {wording.several(len(rows), 'row')}:"
                yield _rows(rows, place, ledger)
                yield remake(bench_command(place), "repro report")


def _rows(rows: list[Row], place: Place, ledger: Ledger) -> str:
    """By batch and threads, the fastest first; columns for the session and for the copy to the device where there is more to say."""
    copied = any(row.timing.transfer is not None for row in rows)
    heads = [*session_heads(place), *HEADS, *HEADS_MORE, *(["copy to the device, ms/batch >"] if copied else [])]
    cells = []
    for row in sorted(rows, key=_by_speed):
        transfer = "" if row.timing.transfer is None else milli(row.timing.transfer)
        cells.append([*session_cells(row, place), *row_cells(row, ledger), *([transfer] if copied else [])])
    return table(heads, cells)


def _by_speed(row: Row) -> tuple[int, int, float]:
    its = row.configuration
    return its.batch, its.threads, row.timing.median if row.timing.is_timed else math.inf
