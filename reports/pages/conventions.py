"""conventions.md: the counts that people meet in public, which convention gives each, and what each tool counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import code, document, link, remake, table, text
from repro.conventions import Convention, Solution, Solutions, solve
from repro.conventions.attested import ATTESTATIONS
from repro.conventions.choices import STRUCTURE
from repro.conventions.counts import Counts
from repro.layers import size

TITLE = "Which convention gives this number?"
ABOUT = "Counts of operations that papers and tools print for one network, each with the convention that gives it."

#: Numbers in 10^9 that public threads ask about: facebookresearch/fvcore#133, sovrasov/flops-counter.pytorch#94,
#: Eric-mingjie/rethinking-network-pruning#31 (resnet50), Roll920/ThiNet_Code#2 (vgg-d), pytorch/vision#185 (alexnet).
ASKED = {
    "resnet50": ("3.8", "3.86", "3.9", "4.09", "4.11", "4.13", "4.14", "8.2"),
    "vgg-d": ("15.3", "15.5", "30.9"),
    "vgg-e": ("19.6",),
    "alexnet": ("0.71", "0.72", "1.14"),
}
#: Those that are taken apart, all of one network.
BRIDGED = ("resnet50", ("4.09", "4.11", "4.13", "4.14", "8.2"))
#: What the tools count: torchvision's resnet50.
COUNTED_BY_TOOLS = "resnet50-v1.5"
#: The command of the first table; any other row is asked for alike.
EXAMPLE = "repro solve resnet50 4.14e9"

LEAD = """\
Two tools rarely print the same number for one network. Neither need be wrong: one counts the paper's network and the other a variant of \
it, one counts MACs and the other FLOPs (2 for each MAC), one adds normalisation and pooling, one rounds and the other cuts off."""
ROWS = f"""\
Each row is a number in 10^9. Of the conventions that a named tool or paper is known to use \
({link("attested.py", "../repro/conventions/attested.py")}), it shows the one with the fewest departures from the MACs of the paper's own \
network, and the exact count. The last two columns say how many other conventions give the number too, and how many of those a tool or \
paper uses; the rest are coincidences. A convention with a departure that the number doesn't need is left out unless it is in use."""


def write_conventions(judged: Judged) -> str:
    """The page."""
    known = [(network, value) for network, values in ASKED.items() if network in judged.ledger.networks for value in values]
    answers = {(network, value): solve(judged.ledger, network, value) for network, value in known}
    heads = ["network", "number", "who counts so", "departures from the paper's MACs", "exact >", "unit", "other conventions >", "in use >"]
    return document(
        TITLE,
        LEAD,
        ROWS,
        table(heads, map(_row, answers.values())),
        remake(EXAMPLE),
        *_bridges([answers[BRIDGED[0], value] for value in BRIDGED[1] if (BRIDGED[0], value) in answers]),
        *_tools(judged),
    )


def _best(solutions: Solutions) -> Solution | None:
    """The attested convention with the fewest departures, or else the first coincidence; None where nothing gives the number."""
    return next((solution for solution in solutions.found if solution.attested), next(iter(solutions.found), None))


def _row(solutions: Solutions) -> list[str]:
    best = _best(solutions)
    asked = [wording.network_link(solutions.network), code(solutions.value.text)]
    if best is None:
        return [*asked, "nobody: no convention gives it", "", "", "", "0", "0"]
    who = text(best.attested or "nobody known: a coincidence")
    others = [solution for solution in solutions.found if solution is not best]
    counts = [f"{len(others):,d}", f"{sum(other.attested is not None for other in others):,d}"]
    return [*asked, who, text("; ".join(best.departures) or "none"), f"{best.total:,d}", best.unit, *counts]


def _bridges(asked: list[Solutions]) -> Iterator[str]:
    """One table: for each number the way to it from the ledger's count, departure by departure."""
    found = [(solutions, best) for solutions in asked if (best := _best(solutions))]
    if found:
        yield f"## {text(found[0][0].network)}: from the paper's count to each of them"
        yield "Each number begins with the same count. A line adds one departure; the total in bold is the exact count of the first table."
        yield table(["number", "adds >", "total >", "what"], (line for pair in found for line in _bridge(*pair)))
        yield remake(*(f"repro solve {solutions.network} {solutions.value.text}" for solutions, _ in found))


def _bridge(solutions: Solutions, best: Solution) -> Iterator[list[str]]:
    for number, step in enumerate(best.bridge):
        total = f"**{step.total:,d}**" if number == len(best.bridge) - 1 else f"{step.total:,d}"
        head, adds = ("", f"{step.delta:+,d}") if number else (code(solutions.value.text), "")
        yield [head, adds, total, text(step.label)]


def _tools(judged: Judged) -> Iterator[str]:
    """What each attested source that counts this network, and no variant of it, gives for it."""
    if COUNTED_BY_TOOLS not in judged.ledger.networks:
        return
    counts = Counts(judged.ledger, COUNTED_BY_TOOLS)
    conventions = sorted(_attested(counts).items(), key=lambda item: counts.total(item[0]))
    yield f"## What each tool counts in {text(COUNTED_BY_TOOLS)}"
    yield (
        f"{wording.network_link(COUNTED_BY_TOOLS)} is torchvision's resnet50: the stride is on the 3x3 convolution. For one image of "
        f"{size(judged.ledger.network(COUNTED_BY_TOOLS).input)}, each tool counts its MACs, and more:"
    )
    yield table(["tool", "what it adds to the MACs", "exact >", "in 10^9 >", "unit"], _tool_rows(counts, conventions))
    yield remake(*(f"repro solve {COUNTED_BY_TOOLS} {counts.total(convention)}" for convention, _ in conventions[-1:]), "repro report")


def _attested(counts: Counts) -> dict[Convention, list[str]]:
    """The conventions of ATTESTATIONS that don't change the network, each with those who use it."""
    users: dict[Convention, list[str]] = {}
    for source in ATTESTATIONS:
        convention = counts.settle(source.convention)
        applies = COUNTED_BY_TOOLS in (source.networks or (COUNTED_BY_TOOLS,)) and source.printed is None
        if applies and not convention.departures.keys() & set(STRUCTURE):
            users.setdefault(convention, []).append(f"{source.name}, {source.where}")
    return users


def _tool_rows(counts: Counts, conventions: Iterable[tuple[Convention, list[str]]]) -> Iterator[list[str]]:
    for convention, users in conventions:
        total, words = counts.total(convention), counts.words(convention).values()
        adds = text("; ".join(words) or "nothing")
        yield [text("; ".join(users)), adds, f"{total:,d}", f"{total / 10**9:.2f}", counts.unit(convention)]
