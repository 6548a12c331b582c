"""What the command prints on a terminal. Tables on standard output, progress on standard error."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from repro.auditing.lines import HEADS, difference_rows, headline, last_lines
from repro.checking import Check, Counts
from repro.claims import VERDICTS, Judgement, as_number, unit
from repro.layers import Layer, size
from repro.tables import Claim, Ledger, Network
from repro.tables.schema import PaperEntry

STYLES = {"reproduced": "green", "deviates": "yellow", "not-attempted": "dim", "drift": "bold red"}


def console() -> Console:
    """A console that folds no table, neither in a pipe nor on a narrow terminal."""
    made = Console(highlight=False)
    made.width = max(made.width, 150) if made.is_terminal else 1_000  # a number is never cut: the terminal wraps what is longer
    return made


@contextmanager
def progress_bar(total: int) -> Iterator[Any]:
    """A bar on standard error; yields a function that is told what comes next."""
    shown = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task("", total=total)
        done = itertools.count()
        yield lambda name: progress.update(task, completed=next(done), description=name)


def print_networks(ledger: Ledger) -> None:
    """``repro list``: the networks with their totals."""
    table = _table("network", "paper", "printed in", "input", "params >", "MACs >")
    for name in ledger.networks:
        network = ledger.network(name)
        place = f"as {network.entry.code_of}, by public code" if network.entry.code_of else ""
        place = place or ", ".join(filter(None, (network.table.where, network.entry.column)))
        table.add_row(name, network.paper.entry.key, place, size(network.input), f"{network.params:,d}", f"{network.macs:,d}")
    console().print(table)


def print_claims(claims: Iterable[Claim]) -> None:
    """``repro list claims``."""
    table = _table("claim", "printed >", "unit", "where")
    for claim in claims:
        table.add_row(claim.id, claim.printed, unit(claim), escape(claim.where))
    console().print(table)


def print_network(network: Network, layers: Sequence[Layer], torch_macs: int) -> None:
    """``repro show``: the printed table beside the layers that run."""
    out = console()
    table = _table("row", "printed", "layer", "kind", "output >", "window >", "params >", "MACs >")
    rows = {layer.name: row for layer, row in zip(network.layers, network.rows, strict=True)}
    shown = -1
    for layer in layers:
        row = rows.get(layer.name, shown)
        head = (network.table.rows[row].name, escape(network.cell(row))) if row != shown else ("", "")
        if row != shown and shown >= 0:
            table.add_section()
        shown = row
        counts = (f"{count:,d}" if count else "" for count in (layer.params, layer.macs))
        table.add_row(*head, layer.name, layer.kind, size(layer.output), _window(layer), *counts)
    out.print(f"[bold]{network.name}[/]: {escape(network.paper.entry.title)}, {network.table.where}, input {size(network.input)}")
    out.print(table)
    out.print(f"parameters  {sum(layer.params for layer in layers):>16,d}")
    if network.fixed_params:
        out.print(f"  fixed     {network.fixed_params:>16,d}  set by hand, not trained, not in the line above")
    macs = sum(layer.macs for layer in layers)
    out.print(f"MACs        {macs:>16,d}  ({2 * macs:,d} FLOPs)")
    if torch_macs != macs:
        names = ", ".join(f"{layer.name} {layer.macs:,d}" for layer in layers if layer.kind == "rbf")
        out.print(f"  counters  {torch_macs:>16,d}  torch and fvcore can't see {names}")
    for reading in network.readings:
        out.print(f"reading: {escape(reading.about)}. {escape(reading.text)}")


def print_check(check: Check) -> None:
    """``repro check``: every claim that needs no training, then what drifts, then the tally."""
    out = console()
    table = _table("claim", "printed >", "unit", "measured >", "verdict")
    for judgement in check.judgements:
        if judgement.verdict != "not-attempted":
            table.add_row(*_claim_row(judgement))
    if table.row_count:
        out.print(table)
    _print_counts(check.counts)
    reasons = [judgement for judgement in check.judgements if judgement.verdict in ("deviates", "drift")]
    for judgement in reasons:
        out.print(f"[{STYLES[judgement.verdict]}]{judgement.verdict}[/] {judgement.claim.id}: {escape(judgement.reason or '')}")
    for drift in check.drifts:
        out.print(f"[{STYLES['drift']}]drift[/] {drift.network}/{drift.gate}: {escape(drift.message)}")
    out.print(tally(check))


def _print_counts(counts: Iterable[Counts]) -> None:
    """All three counters side by side where fvcore was asked; what the counters can't see, in any case."""
    asked = [count for count in counts if count.fvcore is not None]
    if asked:
        table = _table("MACs of", "closed form >", "torch >", "fvcore >")
        for count in asked:
            table.add_row(count.network, *(f"{macs:,d}" for macs in (count.closed_form, count.torch or 0, count.fvcore or 0)))
        console().print(table)
    for count in counts:
        for layer, macs in count.unseen.items():
            console().print(f"{count.network}: neither torch nor fvcore has a formula for {layer}; its {macs:,d} MACs are added by hand")


def tally(check: Check) -> str:
    """One line: how many networks, and how many claims have each verdict."""
    counts = Counter(judgement.verdict for judgement in check.judgements)
    counts["drift"] += len(check.drifts)
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    plural = "" if len(check.networks) == 1 else "s"
    return f"{len(check.networks)} network{plural}, {len(check.judgements)} claims: {verdicts}"


def print_annotations(check: Check) -> None:
    """``repro check --format github``: a workflow command for each drift, then the tally."""
    for drift in check.drifts:
        print(f"::error file={drift.file},line={drift.line},title={_property(f'{drift.network} {drift.gate}')}::{_message(drift.message)}")
    for judgement in check.judgements:
        if judgement.verdict == "drift":
            claim = judgement.claim
            text = f"{claim.where} prints {claim.printed}: {judgement.reason}; see `repro explain {claim.id}`"
            print(f"::error file=repro/papers/{claim.file},title={_property(claim.id)}::{_message(text)}")
    print(tally(check))


def print_explanation(judgement: Judgement, paper: PaperEntry) -> None:
    """``repro explain``: where a number was printed, how it was measured, what remakes it."""
    claim = judgement.claim
    low, high = (f"{as_number(side):,}" for side in (claim.interval.low, claim.interval.high))
    printed = claim.printed if claim.printed.endswith(unit(claim)) else f"{claim.printed} {unit(claim)}"
    end = "up to and including" if claim.interval.closed else "up to, without,"
    rows = {
        "claim": claim.id,
        "paper": f"{paper.authors}: {paper.title} ({paper.source})",
        "printed": f"{printed}, {claim.where}",
        "stands for": f"{low} {end} {high}" + (f" (all digits count: {claim.exact})" if claim.exact else ""),
        "measures": claim.note if claim.measure else None,
        "measured as": "a training run" if claim.training else f"{claim.expression}, in exact arithmetic from repro/papers/{claim.file}",
        "measured": None if judgement.measured is None else f"{as_number(judgement.measured):,}",
        "verdict": judgement.verdict,
        "reason": judgement.reason if judgement.reason != claim.note else None,
        "record": f"repro/locks/{claim.network}.json (the layers that were counted)" if judgement.command else None,
        "remake it": judgement.command,
    }
    out = console()
    for key, value in rows.items():
        if value is not None:
            out.print(f"[bold]{key:<12}[/] {escape(value)}", soft_wrap=True)


def print_audit(found: Mapping[str, Any]) -> None:
    """``repro audit``: the document of ``--json`` for readers."""
    out = console()
    out.print(escape(headline(found)), soft_wrap=True)
    if rows := difference_rows(found):
        table = _table(*HEADS[:4], *(f"{head} >" for head in HEADS[4:]))
        for row in rows:
            table.add_row(*map(escape, row))
        out.print()
        out.print(table)
    for line in last_lines(found):
        out.print(escape(line), soft_wrap=True)


def _claim_row(judgement: Judgement) -> tuple[str, str, str, str, str]:
    claim, style = judgement.claim, STYLES[judgement.verdict]
    measured = as_number(judgement.measured)
    text = f"{measured:,d}" if isinstance(measured, int) else f"{measured:.4g}"
    return claim.id, claim.printed, unit(claim), text, f"[{style}]{judgement.verdict}[/]"


def _window(layer: Layer) -> str:
    """Kernel, stride and padding as ``3x3/2+1``, with groups where there are several."""
    if not layer.kernel or not layer.stride:
        return f"/{layer.stride[0]}" if layer.stride else ""
    text = size(layer.kernel)
    text += f"/{layer.stride[0]}" if layer.stride[0] > 1 else ""
    text += f"+{layer.padding[0]}" if layer.padding and layer.padding[0] else ""
    return text + (f" g{layer.groups}" if layer.groups and layer.groups > 1 else "")


def _table(*heads: str) -> Table:
    """A plain table; a head that ends in ``>`` is a column of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        name = head.removesuffix(" >")
        table.add_column(
            name,
            justify="right" if name != head else "left",
            no_wrap=name != head or name in ("layer", "network", "verdict", "row", "kind"),
            overflow="fold",
        )
    return table


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
