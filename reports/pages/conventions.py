"""conventions.md: the counts that people meet in public, and which convention gives each."""

from __future__ import annotations

from collections.abc import Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import code, document, remake, table, text
from repro.conventions import Solution, Solutions, solve

TITLE = "Which convention gives this number?"
ABOUT = "Counts of operations that papers and tools print for one network, each with the convention that gives it."

#: Numbers that public threads ask about, in 10^9: one network, many counts.
ASKED = {
    "resnet50": ("3.8", "3.86", "4.09", "4.11", "4.13", "4.14", "8.2"),
    "vgg-d": ("15.3", "15.5", "30.9"),
    "vgg-e": ("19.6",),
    "alexnet": ("0.71", "0.72", "1.14"),
}
#: Those that get their bridge below the table.
BRIDGES = {("resnet50", value) for value in ("4.09", "4.11", "4.13", "4.14", "8.2")}


def write_conventions(judged: Judged) -> str:
    """The page."""
    known = [(network, value) for network, values in ASKED.items() if network in judged.ledger.networks for value in values]
    answers = {(network, value): solve(judged.ledger, network, value) for network, value in known}
    bridges = [answers[asked] for asked in known if asked in BRIDGES]
    return document(
        TITLE,
        "Two tools rarely print the same number for one network. Neither need be wrong: one counts the paper's network and the other a "
        "variant of it, one counts MACs and the other FLOPs, one adds normalisation and pooling, one divides by 2^30. Each row is a number "
        "in 10^9, the convention with the fewest departures from the paper's own count that a named tool or paper is known to use, and "
        "the exact count under it.",
        table(["network", "number", "who counts so", "departures from the paper's MACs", "exact >", "unit"], map(_row, answers.values())),
        remake("repro solve resnet50 4.14", "repro solve vgg-d 15.3"),
        "## From the paper's count to each of them",
        *(part for solutions in bridges for part in _bridge(solutions)),
    )


def _best(solutions: Solutions) -> Solution:
    """The attested convention with the fewest departures, or else the first coincidence."""
    return next((solution for solution in solutions.found if solution.attested), solutions.found[0])


def _row(solutions: Solutions) -> list[str]:
    best = _best(solutions)
    departures = "; ".join(best.departures) or "none"
    who = text(best.attested or "nobody known: a coincidence")
    number = code(solutions.value.text)
    return [wording.network_link(solutions.network), number, who, text(departures), f"{best.total:,d}", best.unit]


def _bridge(solutions: Solutions) -> Iterator[str]:
    best = _best(solutions)
    yield f"### {solutions.network} {solutions.value.text}"
    yield text(best.attested or "A coincidence") + "."
    first, *steps = best.bridge
    rows = [["", f"{first.total:,d}", text(first.label)]]
    rows += [[f"{step.delta:+,d}", f"{step.total:,d}", text(step.label)] for step in steps]
    yield table(["adds >", "total >", "what"], rows)
    yield remake(f"repro solve {solutions.network} {solutions.value.text}")
