"""training.md: the printed numbers that only a training run can judge, and what that would cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reports import wording
from reports.judged import Judged
from reports.markdown import code, document, remake, table, text
from repro.claims import FLOPS_PER_MAC_TRAINED, Judgement
from repro.tables import Paper
from repro.tables.schema import TrainingEntry

TITLE = "What needs training"
ABOUT = "Printed numbers that only a training run can judge, none attempted here, with what each would cost."


def write_training(judged: Judged) -> str:
    """The page."""
    claims = judged.where(lambda judgement: judgement.verdict == "not-attempted")
    share = f"{len(claims):,d} of {wording.several(len(judged.judgements), 'claim')}"
    return document(
        TITLE,
        f"{share} are error rates, in percent, and need a training run. None is attempted here. The cost is arithmetic: one PFLOP is "
        f"10^15 operations, and one image seen in training costs {FLOPS_PER_MAC_TRAINED} FLOPs for each MAC of the network (a forward "
        "pass is 2, a backward pass twice that). Evaluation isn't counted. The ids of the claims stand on the networks' pages.",
        *_papers(judged, claims),
    )


def _papers(judged: Judged, claims: Iterable[Judgement]) -> Iterator[str]:
    """A heading for each paper, one for each of its tables, and a table of Markdown for each kind of training in it."""
    seen: list[tuple[str, ...]] = []
    for (file, heading, _), group in _grouped(claims).items():
        paper = judged.ledger.papers[file]
        if (file,) not in seen:
            yield f"## {text(f'{paper.entry.key}: {paper.entry.title} ({paper.entry.year})')}"
        if (file, heading) not in seen:
            yield f"### {wording.place(paper, heading)}"
        seen += [(file,), (file, heading)]
        yield from _table(paper, group)


def _grouped(claims: Iterable[Judgement]) -> dict[tuple[str, str, TrainingEntry], list[Judgement]]:
    """The claims by file, printed table and kind of training."""
    papers: dict[str, dict[tuple[str, TrainingEntry], list[Judgement]]] = {}
    for judgement in claims:
        claim = judgement.claim
        if claim.training is not None:
            papers.setdefault(claim.file, {}).setdefault((_split(claim.where)[0], claim.training), []).append(judgement)
    grouped = {(file, *key): group for file, groups in papers.items() for key, group in groups.items()}
    return dict(sorted(grouped.items(), key=lambda item: (list(papers).index(item[0][0]), _natural(item[0][1]))))


def _table(paper: Paper, group: list[Judgement]) -> Iterator[str]:
    training = group[0].claim.training
    assert training is not None
    quantities = list(dict.fromkeys(judgement.claim.quantity for judgement in group))
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    tails = []
    for judgement in group:
        claim = judgement.claim
        cost, tail = _cost(judgement, training)
        tails.append(tail)
        rows.setdefault((claim.network, _split(claim.where)[1], cost), {})[claim.quantity] = code(claim.printed)
    yield f"Trained {text(tails[0])} ({wording.place(paper, training.where)})."
    cells = (
        [wording.network_link(network), text(label), *(printed.get(quantity, "") for quantity in quantities), text(cost)]
        for (network, label, cost), printed in rows.items()
    )
    yield table(["network", "as printed", *(f"{quantity} >" for quantity in quantities), "cost, about >"], cells)
    yield remake(f"repro explain {group[0].claim.id}")


def _cost(judgement: Judgement, training: TrainingEntry) -> tuple[str, str]:
    """The reason in two: the cost, which a row has, and the data and images, which the whole table shares."""
    head, on, tail = (judgement.reason or "").removeprefix("needs training: ").removeprefix("about ").partition(f" on {training.data}")
    return head, f"{on}{tail}".strip()


def _split(where: str) -> tuple[str, str]:
    """``Table 3, 10-crop, VGG-16`` as the printed table and the rest."""
    match = re.match(r"(Table|Section|Figure) [\w.]+", where)
    head = match[0] if match else where.split(",")[0]
    return head, where[len(head) :].strip(" ,")


def _natural(heading: str) -> list[tuple[int, str]]:
    """Table 2 before Table 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", heading)]
