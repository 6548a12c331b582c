"""README.md of reports/, and the results in the README of the project."""

from __future__ import annotations

from collections.abc import Iterator

from reports import wording
from reports.charts import MACS, Chart, alt_of_macs
from reports.judged import Judged
from reports.markdown import anchor, code, document, folded, link, picture, remake, table, text
from reports.pages import audits, conventions, degradation, errata, lecture, macs, parameters, scale, throughput, timings, training
from repro.claims import VERDICTS
from repro.layers import size
from repro.tables import Paper

PAGES = {
    "errata.md": (errata.TITLE, errata.ABOUT),
    "parameters.md": (parameters.TITLE, parameters.ABOUT),
    "macs.md": (macs.TITLE, macs.ABOUT),
    "conventions.md": (conventions.TITLE, conventions.ABOUT),
    "audit.md": (audits.TITLE, audits.ABOUT),
    "training.md": (training.TITLE, training.ABOUT),
    "degradation.md": (degradation.TITLE, degradation.ABOUT),
    "scale.md": (scale.TITLE, scale.ABOUT),
    "throughput.md": (throughput.TITLE, throughput.ABOUT),
    "timings.md": (timings.TITLE, timings.ABOUT),
    "lecture.md": (lecture.TITLE, lecture.ABOUT),
    "lecture.ko.md": (lecture.TITLE_KO, lecture.ABOUT_KO),
}
NOTEBOOKS = (
    "ResNet-20 built step by step, audited and trained, [in English](../repro/notebooks/resnet20.en.ipynb) and "
    "[in Korean](../repro/notebooks/resnet20.ko.ipynb)"
)
LEAD = """\
Each number that a paper prints is a claim. Counting the network of the paper's own table gives a measurement. Between the two stands \
a verdict. `repro report` writes these pages from [repro/papers/](../repro/papers); nothing here is typed by hand."""


def write_index(judged: Judged, charts: tuple[Chart, ...]) -> str:
    """README.md of reports/."""
    return document(
        "Do the printed numbers hold?",
        LEAD,
        _by_paper(judged, ""),
        remake("repro check", "repro report"),
        "\n".join(f"- **{verdict}**: {wording.MEANINGS[verdict]}" for verdict in VERDICTS),
        picture(f"figures/{MACS}", alt_of_macs(judged)),
        "## Pages",
        table(["page", "what it holds"], ([link(title, name), text(about)] for name, (title, about) in PAGES.items())),
        folded(f"{wording.several(len(charts), 'figure')}, each in a light and a dark theme", "\n".join(map(_figure, charts))),
        f"Notebooks: {NOTEBOOKS}.",
        "## Networks",
        "Each page shows the printed table beside the layers that it gives, the claims, and what the paper leaves open.",
        table(["network", "printed in", "input >", "parameters >", "MACs >", "claims >"], _networks(judged)),
        remake("repro list", "repro report"),
        "## Papers",
        "\n".join(_papers(judged)),
    )


def write_results(judged: Judged) -> str:
    """What the README of the project shows; links lead into ``reports/``."""
    claims = judged.where(lambda judgement: judgement.verdict == "deviates")
    drifts = judged.count("drift")
    counts = [f"{judged.count('reproduced'):,d} are reproduced", f"{judged.count('deviates'):,d} deviate for a stated reason"]
    counts += [f"{judged.count('not-attempted'):,d} need training and are not attempted"]
    counts += [f"and {drifts:,d} drift" if drifts else "and none drifts"]
    rows = (
        [
            wording.network_link(j.claim.network, "reports/"),
            wording.printed_cell(j.claim),
            wording.measured(j),
            wording.place(judged.paper(j), j.claim.where),
            link(code(j.claim.id), f"reports/errata.md#{anchor(j.claim.id)}"),
        ]
        for j in claims
    )
    parts = (
        f"Of {wording.several(len(judged.judgements), 'printed number')} about {wording.several(len(judged.networks), 'network')}, "
        f"{', '.join(counts)}.",
        _by_paper(judged, "reports/"),
        remake("repro check"),
        "Printed numbers that the papers' own tables don't give:",
        table(["network", "printed", "counted >", "where", "why"], rows),
        remake("repro check", "repro report"),
        picture(f"reports/figures/{MACS}", alt_of_macs(judged)),
        f"More: {', '.join(link(title, f'reports/{name}') for name, (title, _) in PAGES.items())}, "
        f"{link('a page for each network', 'reports/README.md#networks')}.",
    )
    return "\n\n".join(parts)


def _by_paper(judged: Judged, root: str) -> str:
    up = "" if root else "../"
    counts = judged.by_paper()
    heads = {"deviates": link("deviates", f"{root}errata.md"), "not-attempted": link("not-attempted", f"{root}training.md")}
    rows = []
    for file, row in counts.iterrows():
        paper = judged.ledger.papers.get(str(file))
        name = f"{_source(paper, up)}: {text(paper.entry.title)}, {paper.entry.year} ({paper.entry.key})" if paper else "**all**"
        rows.append([name, *(f"{int(count):,d}" for count in row)])
    return table(["paper", *(f"{heads.get(head, head)} >" for head in counts.columns)], rows)


def _networks(judged: Judged) -> Iterator[list[str]]:
    for network in judged.networks:
        counts = (f"{network.params:,d}", f"{network.macs:,d}", f"{len(judged.about(network)):,d}")
        yield [wording.network_link(network.name), wording.printed_in(network), size(network.input), *counts]


def _papers(judged: Judged) -> Iterator[str]:
    for paper in judged.ledger.papers.values():
        entry = paper.entry
        yield f"- {entry.key}: {text(entry.authors)}: *{text(entry.title)}*, {entry.year} ({text(entry.source)}): {_source(paper, '../')}"


def _source(paper: Paper, up: str) -> str:
    """The file of a paper, by its name without the ending."""
    return link(paper.file.removesuffix(".toml"), f"{up}repro/papers/{paper.file}")


def _figure(chart: Chart) -> str:
    light, dark = (link(theme, f"figures/{chart.stem}-{theme}.svg") for theme in ("light", "dark"))
    return f"- {chart.title}: {light}, {dark}"
