"""errata.md: each printed number that arithmetic doesn't reproduce, with the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import anchor, code, document, link, remake, table, text
from repro.claims import Judgement

TITLE = "Errata"
ABOUT = "Each printed number that arithmetic does not reproduce, with the arithmetic."


def write_errata(judged: Judged) -> str:
    """The page."""
    claims = judged.where(lambda judgement: judgement.verdict == "deviates")
    return document(
        TITLE,
        f"{wording.several(len(claims), 'printed number')} that the paper's own tables don't give, at the precision that the print has. "
        "Each has a reason, which is data: if the number came to hold, or another one stopped to, the build would fail.",
        table(["claim", "printed", "stands for", "counted >", "off by >"], map(_line, claims)),
        remake("repro check"),
        *(part for judgement in claims for part in _section(judged, judgement)),
        *_drifts(judged),
    )


def _line(judgement: Judgement) -> list[str]:
    claim = judgement.claim
    target = link(text(claim.id), f"#{anchor(claim.id)}")
    return [target, wording.printed_cell(claim), wording.stands_for(judgement), wording.measured(judgement), wording.off_by(judgement)]


def _section(judged: Judged, judgement: Judgement) -> Iterator[str]:
    claim = judgement.claim
    noun = wording.noun(claim)
    about = ["" if claim.printed.endswith(noun) else noun, f"for {claim.layer}" if claim.layer else ""]
    printed = " ".join(filter(None, [wording.printed_cell(claim), *map(text, about)]))
    yield f"## {text(claim.id)}"
    yield (
        f"- Printed: {printed}, {wording.place(judged.paper(judgement), claim.where)}; "
        f"network {wording.network_link(claim.network)}\n"
        f"- Counted: {wording.measured(judgement)}, as {code(claim.expression)}\n"
        f"- Why: {text(judgement.reason or '')}"
    )
    yield remake(f"repro explain {claim.id}", f"repro check {claim.network}")


def _drifts(judged: Judged) -> Iterator[str]:
    claims = judged.where(lambda judgement: judgement.verdict == "drift")
    if claims:
        yield "## Drift: no reason known"
        yield table(["claim", "printed", "counted >", "why"], (_drift(judgement) for judgement in claims))
        yield remake("repro check")


def _drift(judgement: Judgement) -> list[str]:
    claim = judgement.claim
    return [text(claim.id), wording.printed_cell(claim), wording.measured(judgement), text(judgement.reason or "")]
