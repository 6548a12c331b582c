"""A session for the terminal, and as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from repro.tables import Ledger
from repro.throughput.doubt import NO_DIFFERENCE, are_apart, baseline, clocks_of, doubts, fastest, flags, group, mistaken, percent, speed_up
from repro.throughput.timing import Session, Timing, on_threads

#: A noise floor above which it's told how to get a better one.
LOUD = 0.5


def session_lines(session: Session, ledger: Ledger) -> list[str]:
    """The machine, a line for each network with its fastest way, what failed, and what to doubt."""
    return list(_lines(session, ledger))


def session_document(session: Session, ledger: Ledger) -> dict[str, Any]:
    """What ``repro bench --json`` prints: the session's raw rows, each with what follows from them, and the doubts."""
    rows = [
        row.model_dump(mode="json")
        | (
            {"median": row.median, "images_per_second": row.images_per_second, "roof_share": session.share(row, ledger)}
            if row.is_timed
            else {}
        )
        | {"flags": flags(row)}
        for row in session.rows
    ]
    kept = session.model_dump(mode="json", exclude={"rows"})
    return kept | {"noise_floor": session.floor, "rows": rows, "doubts": [doubt.what for doubt in doubts(session, ledger)]}


def _lines(session: Session, ledger: Ledger) -> Iterator[str]:
    its = session.environment
    yield f"{its.hardware}, {its.instructions or session.device}, torch {its.torch}"
    for roof in session.roofs:
        yield f"roof of {roof.dtype}, {on_threads(roof.threads)}: {roof.flops / 1e9:,.0f} GFLOP/s"
    for copy in session.copies:
        yield f"memory copy, {on_threads(copy.threads)}: {copy.bytes_per_second / 1e9:,.1f} GB/s"
    if session.floor is not None:
        timings = f"{sum(map(len, session.same_medians.values()))} timings of one configuration"
        yield f"noise floor: {percent(session.floor)}, the largest difference between {timings}{_loud(session)}"
    for (network, task, _, batch), rows in group(session.rows).items():
        best, eager = fastest(rows, lambda one, other: are_apart(one, other, session.floor)), baseline(rows)
        result = "nothing was timed" if best is None else _result(session, ledger, eager, best, sum(row.is_timed for row in rows))
        yield f"{network} {task}, batch {batch}: {result}"
        for row in rows:
            if not row.is_timed:
                yield f"  not timed: {row.configuration.how}, {on_threads(row.configuration.threads)}: {row.reason}"
    for mistake in session.mistakes:
        words = mistaken(mistake, session.floor)
        yield f"timed wrongly, {f'{mistake.name}: {words}' if words == NO_DIFFERENCE else mistake.result}"
    for doubt in doubts(session, ledger):
        yield f"doubt: {doubt.rule}: {doubt.what}"


def _result(session: Session, ledger: Ledger, eager: Timing | None, best: Timing, tried: int) -> str:
    share = session.share(best, ledger)
    parts = [f"{best.images_per_second:,.1f} images/s ({best.configuration.how})"]
    if eager is not None and eager is not best:
        words = speed_up(eager, best, session.floor)
        parts.append(f"{words} {'from' if words == NO_DIFFERENCE else 'times'} the {eager.images_per_second:,.1f} of eager float32")
    parts += [f"{100 * share:.0f} % of the roof{', so that one of both is off' if share > 1 else ''}"] if share is not None else []
    return ", ".join([*parts, f"fastest of {tried}", *flags(best), *clocks_of(best)])


def _loud(session: Session) -> str:
    """What to do where noise hides most differences."""
    most = (session.floor or 0.0) > LOUD
    return "; this machine or its host was busy: rather delete this record, and time it again when it's quiet" if most else ""
