"""The section of one machine's device in throughput.md: tables, figures, doubts, wrong timers, and what its rates mean in days."""

from __future__ import annotations

from collections.abc import Iterator

from reports import wording
from reports.markdown import code, folded, link, picture, remake, table, text
from reports.pages.timings import HEADS, HEADS_MORE, bench_command, milli, row_cells, session_cells, session_heads
from reports.plotted import alt_text, data_of_ladder, data_of_rates, data_of_roofline
from reports.timed import TASKS, Pair, Place, Row, about_batch, giga, times_cell
from repro.records import folder_of
from repro.tables import Ledger
from repro.throughput.doubt import Doubt, doubts, doubts_between, mistaken, percent
from repro.throughput.planner import Plan, plan
from repro.throughput.steps import CLIMBED
from repro.throughput.timing import HALF_WIDTH, Configuration, Mistake, Task
from repro.throughput.traffic import intensity

ALL_HOLD = (
    "as far as there are rows to compare, no rule is broken by more than the noise: something is faster than eager float32; time grows "
    "with MACs; no row is above the roof; a roof doesn't fall with more threads."
)

WRONGLY = (
    "The same call, timed right and with one mistake. Above 1, the call looks slower than it is; below 1, faster. *One cold call*: the "
    "first. *No warm-up*: the first ten. *No synchronisation*: ten that a device may not have ended. *All cores oversubscribed*: ten "
    "while the same network runs in another process for each core but one."
)


def speeds_section(place: Place, ledger: Ledger) -> Iterator[str]:
    """All about a place, under its heading."""
    yield f"## {text(place.name)}"
    if data_of_rates(place, ledger):
        yield picture(f"figures/{place.stem('rates')}", alt_text("rates", place, ledger))
    for task in TASKS:
        yield from _task(place, task, ledger)
    yield from _ladder(place, ledger)
    yield from _roof(place, ledger)
    yield from _sessions(place)
    yield from _doubts(place, ledger)
    yield from _mistakes(place)
    yield from _plans(place, ledger)
    yield from _failures(place)


def _task(place: Place, task: Task, ledger: Ledger) -> Iterator[str]:
    """The answer by network, then both rows of each in full, folded."""
    pairs = place.pairs(task, ledger)
    if not pairs:
        return
    again = remake(bench_command(place), "repro report")
    yield f"### {task.capitalize()}"
    heads = [
        "network",
        "MACs of an image >",
        "at",
        "eager float32, images/s >",
        "fastest, images/s >",
        "how",
        "speed-up >",
        "ways timed >",
        "as fast >",
        "not tried >",
    ]
    yield table(heads, (_answer(place, pair, ledger) for pair in pairs))
    yield again
    full = table(
        ["network", *session_heads(place), *HEADS, *HEADS_MORE],
        ([wording.network_link(pair.network), *session_cells(row, place), *row_cells(row, ledger)] for pair in pairs for row in pair.rows),
    )
    yield folded(f"The same rows in full: {task}", full, again)


def _answer(place: Place, pair: Pair, ledger: Ledger) -> list[str]:
    same = pair.best is pair.base
    return [
        wording.network_link(pair.network),
        f"{ledger.network(pair.network).macs:,d}",
        about_batch(pair.base),
        rate_cell(pair.base),
        "" if same else rate_cell(pair.best),
        "eager float32 itself" if same else pair.best.configuration.how + _threads(pair),
        times_cell(pair.base, pair.best),
        str(pair.tried),
        str(pair.alike),
        str(place.untried(pair.base.configuration)),
    ]


def _threads(pair: Pair) -> str:
    """Where the fastest isn't on all threads, on how many."""
    own, most = (row.configuration.threads for row in (pair.best, pair.base))
    return "" if own == most else f", {wording.several(own, 'thread')}"


def rate_cell(row: Row) -> str:
    """``12.3 (12.1 to 12.6)``: images a second with the interval."""
    ends = row.timing.rates
    shown = f" ({wording.rounded(ends.low)} to {wording.rounded(ends.high)})" if ends else ""
    return f"{wording.rounded(row.timing.images_per_second)}{shown}"


def _ladder(place: Place, ledger: Ledger) -> Iterator[str]:
    panels = data_of_ladder(place, ledger)
    if not panels:
        return
    yield f"### {CLIMBED}, step by step"
    yield "Each step adds one thing to the row before it, at the same batch and threads."
    yield picture(f"figures/{place.stem('ladder')}", alt_text("ladder", place, ledger))
    rows = []
    for task in TASKS:
        steps = place.ladder(task, ledger)
        for number, step in enumerate(steps):
            against = [times_cell(steps[0].row, step.row), times_cell(steps[number - 1].row, step.row)] if number else ["", ""]
            rows.append([task, about_batch(step.row), *session_cells(step.row, place), step.name, rate_cell(step.row), *against])
    heads = ["task", "at", *session_heads(place), "step", "images/s >", "over the first >", "over the step before >"]
    yield table(heads, rows)
    yield remake(bench_command(place), "repro report")


def _roof(place: Place, ledger: Ledger) -> Iterator[str]:
    rows = []
    for number, session in enumerate(place.sessions, 1):
        for roof in session.roofs:
            sizes = f"n = {min(product.n for product in roof.products)} to {max(product.n for product in roof.products)}"
            how = f"n = {roof.best.n}, {roof.best.by}"
            rows.append([str(number), f"matrix product, {roof.dtype}", str(roof.threads), f"{giga(roof.flops)} GFLOP/s", how, sizes])
        rows += [[str(number), "memory copy", str(copy.threads), f"{giga(copy.bytes_per_second)} GB/s", "", ""] for copy in session.copies]
    if not rows:
        return
    yield "### The roof"
    again = remake(bench_command(place), "repro report")
    yield "The machine's own best, measured in the same runs. A copied byte counts twice: it is read and written."
    yield folded("Every roof", table(["session >", "what", "threads >", "rate >", "best at", "tried"], rows), again)
    if not data_of_roofline(place, ledger):
        return
    yield picture(f"figures/{place.stem('roofline')}", alt_text("roofline", place, ledger))
    yield (
        "The least traffic moves each layer's weights, input and output once. A small network that stays in cache moves less, and its "
        "dot may lie above the slope. Where several sessions measured a roof, the figure has the highest; a share is of its own session's."
    )
    dots = table(
        ["network", "how", "FLOP per byte >", "GFLOP/s >", "roof and slope allow >", "reached of that, % >"],
        (_under(place, row, ledger) for pair in place.pairs("inference", ledger) for row in pair.rows),
    )
    yield folded("Every dot of the figure", dots, again)


def _under(place: Place, row: Row, ledger: Ledger) -> list[str]:
    """A row under its own session's roof and slope."""
    its, network = row.configuration, ledger.network(row.configuration.network)
    flops, each = row.timing.flops(network.macs), intensity(network, its.dtype, its.batch)
    flat, copy = row.session.roof(its.dtype, its.threads), row.session.copy_rate(its.threads)
    allowed = min(limit for limit in (flat, copy and copy * each) if limit) if flat else None
    cells = [giga(allowed), f"{100 * flops / allowed:.0f}"] if allowed else ["not measured", ""]
    return [wording.network_link(network.name), f"{its.how}, {about_batch(row)}", wording.rounded(each), giga(flops), *cells]


def _sessions(place: Place) -> Iterator[str]:
    """What each session is, with its file, its time and its noise floor."""
    same = dict.fromkeys(its.label for session in place.sessions for its in session.same_medians)
    yield "### Sessions"
    if same:
        yield f"Timed again and again for the noise floor: {text(wording.joined(list(same)))}."
    heads = ["session >", "record", "limit of a row, s >", "of a search, s >", "rows timed >", "flagged >"]
    yield table(
        [*heads, "noise floor >", "from, ms/batch", "code"], (_session(place, number) for number in range(1, len(place.sessions) + 1))
    )
    yield remake(bench_command(place), "repro report")
    yield (
        f"Where ±{100 * HALF_WIDTH:.0f} % wasn't reached, more time for each row ({code('--again --time-limit 60')}) brings it nearer. "
        f"Why a row is flagged is in {link('Every timing', 'timings.md')}."
    )


def _session(place: Place, number: int) -> list[str]:
    session, its = place.sessions[number - 1], place.sessions[number - 1].environment
    rows = [row for row in place.timed if row.number == number]
    path = f"records/{folder_of(its.hardware)}/timing/{session.file}"
    return [
        str(number),
        link(session.file, path) if session.file else "",
        *("not recorded" if seconds is None else f"{seconds:g}" for seconds in (session.limit, session.budget)),
        f"{len(rows):,d}",
        f"{sum(row.is_flagged for row in rows):,d}",
        "not measured" if session.floor is None else percent(session.floor),
        ", ".join(milli(median) for medians in session.same_medians.values() for median in medians),
        f"{code(its.commit[:7])}{', with uncommitted changes' if its.dirty else ''}",
    ]


def _doubts(place: Place, ledger: Ledger) -> Iterator[str]:
    """The rules that don't hold in a session, or only in the rows that count of all."""
    yield "### What may be wrong"
    several, kept, lines, own = len(place.sessions) > 1, list[str](), list[str](), set[str]()
    for number, session in enumerate(place.sessions, 1):
        broken = doubts(session, ledger)
        own |= {doubt.what for doubt in broken}
        kept += [] if broken else [str(number)]
        lines += [f"- {f'Session {number}: a' if several else 'A'} {_broken(doubt)}" for doubt in broken]
    if kept and several:
        lines.append(f"- {'Session' if len(kept) == 1 else 'Sessions'} {wording.joined(kept)}: {ALL_HOLD}")
    elif kept:
        lines.append(f"- {ALL_HOLD.capitalize()}")
    between = doubts_between(place.merged, place.sessions, ledger)
    lines += [f"- Between sessions: a {_broken(doubt)}" for doubt in between if doubt.what not in own]
    yield "\n".join(lines)


def _broken(doubt: Doubt) -> str:
    return f"broken rule, **{text(doubt.rule)}**: {text(doubt.what)}."


def _mistakes(place: Place) -> Iterator[str]:
    quietest_last = sorted(place.sessions, key=lambda session: session.drift, reverse=True)
    found = {each.name: (each, session.floor) for session in quietest_last for each in session.mistakes}
    if not found:
        return
    yield "### Wrong timers"
    yield WRONGLY
    yield table(
        ["mistake", "timed", "right, ms >", "wrong, ms >", "wrong over right >", "why not shown"],
        (_mistake(each, floor) for each, floor in found.values()),
    )
    yield remake(bench_command(place, " --exhibit"), "repro report")


def _mistake(each: Mistake, floor: float | None) -> list[str]:
    against = f", against {each.against.label}" if each.against else ""
    right, wrong = ("" if seconds is None else milli(seconds) for seconds in (each.right, each.wrong))
    start = [text(each.name), text(f"{each.configuration.label}{against}"), right, wrong]
    return [*start, mistaken(each, floor) or "", text(each.reason or "")]


def _plans(place: Place, ledger: Ledger) -> Iterator[str]:
    plans = plan(place.merged, ledger)
    if not plans:
        return
    yield "### Days of each paper's own recipe"
    yield (
        "An estimate: images of the whole recipe over the best training rate measured, as if that rate held for days, and loading, "
        "evaluation and another batch cost nothing. The last column says how many times longer than the measurement the training is."
    )
    heads = ["network", "recipe", "images >", "timed as", "images/s >", "takes >", "measured, s >", "extrapolated >"]
    yield table(heads, map(_plan, sorted(plans, key=lambda each: each.days)))
    yield remake(bench_command(place), "repro report")


def _plan(each: Plan) -> list[str]:
    its = each.configuration
    return [
        wording.network_link(each.network),
        text(f"{each.recipe.where}: {each.recipe.says}"),
        f"{each.images:,d}",
        f"{its.how}, batch {its.batch}",
        wording.rounded(each.images_per_second),
        _takes(each.days),
        wording.rounded(each.measured_seconds),
        f"{wording.rounded(each.extrapolation)} times",
    ]


def _takes(days: float) -> str:
    """``1.7 min``, ``4.2 h`` or ``138 days``"""
    for unit, a_day in (("days", 1), ("h", 24)):
        if days * a_day >= 1:
            return f"{wording.rounded(days * a_day)} {unit}"
    return f"{wording.rounded(days * 24 * 60)} min"


def _failures(place: Place) -> Iterator[str]:
    """Alike reasons of one network and task are one line."""
    found: dict[tuple[str, str, str], list[Configuration]] = {}
    for row in place.never_timed:
        its = row.configuration
        found.setdefault((row.timing.reason or "no reason given", its.network, its.task), []).append(its)
    if not found:
        return
    yield "### What has no time"
    yield table(["configuration", "why"], ([text(_those(each)), text(reason)] for (reason, _, _), each in found.items()))
    yield remake(bench_command(place), "repro report")


def _those(configurations: list[Configuration]) -> str:
    first = configurations[0]
    if len(configurations) == 1:
        return first.label
    dtypes = wording.joined(list(dict.fromkeys(its.dtype for its in configurations)))
    return f"{first.network} {first.task}, {first.device}, {dtypes}: {len(configurations)} ways"
