"""What may be wrong with a number: noise, spread, other processes, and rules that the rows of one session must keep.

Nothing is corrected or left out for it: a doubt is printed beside the number. Times are in seconds a call.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from repro.claims import significant
from repro.tables import Ledger, Network
from repro.throughput.timing import HALF_WIDTH, Configuration, DType, Mistake, Session, Task, Timing, on_threads

#: The coefficient of variation of the blocks, and the part of all cores that others used, above which a row is flagged.
MOST_VARIATION = 0.05
MOST_OTHERS = 0.05

#: Sessions of one machine measure the same roof within this part.
SAME_ROOF = 0.1

NO_DIFFERENCE = "no difference"

#: An image with a longer side than this is large: those of ImageNet are, those of MNIST and CIFAR aren't.
LARGE_SIDE = 100

#: Network, task, device and batch: what rows must share for one to be called the fastest.
Key = tuple[str, Task, str, int]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A rule that the rows of a session don't keep, and one sentence that says where, with the numbers."""

    rule: str
    what: str


# ---------------------------------------------------------------- one row, or two


def flags(row: Timing) -> list[str]:
    """What to know about a timed row, in words for a cell of a table: ``varies by 7.3 %``. A row that failed has none."""
    if not row.is_timed:
        return []
    found = []
    if MOST_VARIATION < row.variation < math.inf:
        found.append(f"varies by {percent(row.variation)}")
    if not row.reached:
        width = f"±{percent(row.half_width)}, " if row.interval else "fewer than six blocks, "
        found.append(f"{width}{100 * HALF_WIDTH:.0f} % not reached{': only glanced at' if row.glanced else ''}")
    if row.flat is False:
        found.append("still warming up")
    if row.others is not None and row.others > MOST_OTHERS:
        found.append(f"others used {100 * row.others:.0f} % of the machine")
    reasons = dict.fromkeys(reason for clocks in row.clocks for reason in clocks.throttled)
    return [*found, f"throttled: {', '.join(reasons)}"] if reasons else found


def differ(a: float, b: float, floor: float | None) -> bool:
    """Whether two medians differ by more than the noise floor, the larger over the smaller less 1. Without a floor they always do."""
    return floor is None or max(a, b) / min(a, b) - 1 > floor


def are_apart(one: Timing, other: Timing, floor: float | None) -> bool:
    """Whether the medians of two timed rows differ by more than the noise floor, and their intervals, where they have one, don't
    overlap."""
    a, b = one.interval, other.interval
    overlap = a is not None and b is not None and a.low <= b.high and b.low <= a.high
    return differ(one.median, other.median, floor) and not overlap


def speed_up(slow: Timing, fast: Timing, floor: float | None) -> str:
    """How many times as fast the second row is: ``1.44``, or ``no difference`` where they aren't apart."""
    return f"{slow.median / fast.median:.2f}" if are_apart(slow, fast, floor) else NO_DIFFERENCE


def mistaken(mistake: Mistake, floor: float | None) -> str | None:
    """By how much a wrong way overstates a call: ``2.5``, or ``no difference`` within the noise floor; None where it isn't shown."""
    if mistake.factor is None or mistake.right is None or mistake.wrong is None:
        return None
    return significant(mistake.factor) if differ(mistake.right, mistake.wrong, floor) else NO_DIFFERENCE


def clocks_of(row: Timing) -> list[str]:
    """What an NVIDIA GPU did meanwhile: ``1,755 to 1,980 MHz, 41 to 67 °C``; empty for other rows."""
    if not row.clocks:
        return []
    clocks, degrees = [each.sm for each in row.clocks], [each.temperature for each in row.clocks]
    return [f"{min(clocks):,d} to {max(clocks):,d} MHz, {min(degrees)} to {max(degrees)} °C"]


def percent(part: float) -> str:
    """``7.3 %``"""
    return f"{100 * part:.1f} %"


def milliseconds(seconds: float) -> str:
    """``12.3 ms``, three digits."""
    return f"{significant(1000 * seconds)} ms"


# ---------------------------------------------------------------- choosing rows


def is_small(network: Network) -> bool:
    """Whether its images are smaller than ImageNet's: batches and axes of small networks aren't those of large ones."""
    return network.input[-1] <= LARGE_SIDE


def fastest(rows: Iterable[Timing], apart: Callable[[Timing, Timing], bool] = lambda one, other: True) -> Timing | None:
    """The timed row with the most images a second, the first of equals; None where nothing was timed. One without an interval gives way to
    the best of those that have one, at its batch, if both aren't ``apart``."""

    def rate(row: Timing) -> float:
        return row.images_per_second

    timed = [row for row in rows if row.is_timed]
    best = max(timed, key=rate, default=None)
    if best is None or best.interval is not None:
        return best
    alike = (row for row in timed if row.interval and row.configuration.batch == best.configuration.batch)
    return max((row for row in alike if not apart(row, best)), key=rate, default=best)


def baseline(rows: Iterable[Timing]) -> Timing | None:
    """The eager float32 row on the most threads: what the code of a beginner reaches. None where it wasn't timed."""
    eager = (row for row in rows if row.is_timed and row.configuration.is_eager_fp32)
    return max(eager, key=lambda row: row.configuration.threads, default=None)


def group(rows: Iterable[Timing]) -> dict[Key, list[Timing]]:
    """Rows, those that failed too, by network, task, device and batch, in the order in which they come."""
    groups: dict[Key, list[Timing]] = defaultdict(list)
    for row in rows:
        its = row.configuration
        groups[its.network, its.task, its.device, its.batch].append(row)
    return dict(groups)


def fastest_by_network(rows: Iterable[Timing], task: Task) -> dict[str, Timing]:
    """The row with the most images a second of each network that was timed at this task, at whatever batch."""
    timed: dict[str, list[Timing]] = defaultdict(list)
    for row in rows:
        if row.is_timed and row.configuration.task == task:
            timed[row.configuration.network].append(row)
    return {network: best for network, of_it in timed.items() if (best := fastest(of_it))}


# ---------------------------------------------------------------- rules of a session


def doubts(session: Session, ledger: Ledger) -> list[Doubt]:
    """Where the rows of a session don't keep the rules: something that was tried is faster than eager float32; in a family of networks,
    time grows with MACs; no row computes faster than the machine's roof; a roof doesn't fall with more threads."""
    return [*_nothing_faster(session), *_less_time_for_more(session, ledger), *_above_the_roof(session, ledger), *_falling_roofs(session)]


def doubts_between(merged: Session, sessions: Sequence[Session], ledger: Ledger) -> list[Doubt]:
    """The same for rows of several sessions of a machine that stand in one, with the A/A runs of all; but each session has roofs of its
    own, of which it's asked whether they are the same."""
    return [*_nothing_faster(merged), *_less_time_for_more(merged, ledger), *_unlike_roofs(sessions)]


def _nothing_faster(session: Session) -> Iterator[Doubt]:
    groups: dict[tuple[Key, int], list[Timing]] = defaultdict(list)
    for key, rows in group(session.rows).items():
        for row in rows:
            groups[key, row.configuration.threads].append(row)
    for rows in groups.values():
        eager = baseline(rows)
        others = [row for row in rows if row.is_timed and not row.configuration.is_eager_fp32]
        best = fastest(others)
        if eager and best and best.median > eager.median and differ(best.median, eager.median, session.floor):
            yield Doubt(
                "something is faster than eager float32",
                f"{eager.configuration.label} takes {milliseconds(eager.median)}, and nothing else that was timed is faster: "
                f"the best of {len(others)} is {best.configuration.how} with {milliseconds(best.median)}",
            )


def _less_time_for_more(session: Session, ledger: Ledger) -> Iterator[Doubt]:
    """One doubt for each network that is faster than one with fewer MACs, all else being equal; it names the slowest such."""
    families: dict[Configuration, list[tuple[int, Timing]]] = defaultdict(list)
    for row in session.rows:
        name = row.configuration.network
        family = _family(ledger, name)
        if row.is_timed and family is not None:
            alike = row.configuration.model_copy(update={"network": family})
            families[alike].append((ledger.network(name).macs, row))
    for rows in families.values():
        for macs, row in rows:
            smaller = [(other.median, count, other) for count, other in rows if count < macs]
            median, count, slowest = max(smaller, key=lambda other: other[0], default=(0.0, 0, row))
            if median > row.median and differ(median, row.median, session.floor):
                yield Doubt(
                    "time grows with MACs",
                    f"{row.configuration.label}: {milliseconds(row.median)} for {significant(macs / 1e6)} million MACs an image, "
                    f"but {slowest.configuration.network} takes {milliseconds(median)} for {significant(count / 1e6)} million",
                )


def _family(ledger: Ledger, name: str) -> str | None:
    """Networks of one design that differ in size: of the same paper, input and first word of the name. None for foreign networks, and
    for what public code makes of a printed one, since that changes more than the size."""
    if name not in ledger.networks or (network := ledger.network(name)).entry.code_of:
        return None
    return f"{network.paper.file} {network.table.input} {re.split('[^a-z]', name)[0]}"


def _above_the_roof(session: Session, ledger: Ledger) -> Iterator[Doubt]:
    """By more than the noise floor. MACs are counted directly, so that an algorithm with fewer, such as Winograd's, may truly be above."""
    for row in session.rows:
        share = session.share(row, ledger)
        if share is not None and share > 1 + (session.floor or 0):
            flops = row.flops(ledger.network(row.configuration.network).macs)
            yield Doubt(
                "no row is above the roof",
                f"{row.configuration.label}: {significant(flops / 1e9)} GFLOP/s, {100 * share:.0f} % of the roof of "
                f"{significant(flops / share / 1e9)}: it is measured too low, or the convolutions need fewer products than are counted",
            )


def _falling_roofs(session: Session) -> Iterator[Doubt]:
    for one in session.roofs:
        for more in session.roofs:
            falls = one.dtype == more.dtype and one.threads < more.threads and more.flops < one.flops
            if falls and differ(one.flops, more.flops, session.floor):
                yield Doubt(
                    "a roof doesn't fall with more threads",
                    f"{one.dtype}: {_giga(one.flops)} on {on_threads(one.threads)}, {_giga(more.flops)} on {on_threads(more.threads)}",
                )


def _unlike_roofs(sessions: Sequence[Session]) -> Iterator[Doubt]:
    """A fixed tolerance: the A/A runs of noisy sessions would excuse any roof, and they are what makes roofs differ."""
    found = dict[tuple[DType, int], list[float]]()
    for session in sessions:
        for roof in session.roofs:
            found.setdefault((roof.dtype, roof.threads), []).append(roof.flops)
    for (dtype, threads), each in found.items():
        if differ(max(each), min(each), SAME_ROOF):
            yield Doubt(
                f"a roof is the same in every session, within {100 * SAME_ROOF:.0f} %",
                f"{dtype} on {on_threads(threads)}: {_giga(min(each))} to {_giga(max(each))}, so that shares of it may be off",
            )


def _giga(flops: float) -> str:
    return f"{significant(flops / 1e9)} GFLOP/s"
