"""audit.md: the AlexNets, VGGs and ResNets of public libraries against the papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reports import wording
from reports.markdown import code, document, remake, table, text
from repro.auditing.usual import USUAL

TITLE = "What libraries call AlexNet, VGG and ResNet"
ABOUT = "Models of torchvision, timm and pytorchcv against the papers: verdicts, and each difference with its cost."
_MEANINGS = {
    "exact": "the paper's network or one of its allowed readings, proven on numbers: the same weights give the same outputs and gradients",
    "same-structure": "the paper's operations, not proven on numbers",
    "variant": "every difference is a known one, with a usual name",
    "wrong": "at least one difference that isn't a usual variant",
    "not-paper": "stem, stages, widths or input of no network of the papers",
    "error": "can't be built or traced",
}

Document = Mapping[str, Any]


def write_audits_page(libraries: Sequence[Document]) -> str:
    """The page; ``libraries`` are documents of ``reports/audits/``."""
    return document(
        TITLE,
        "Each model is traced, and its graph aligned with that of the paper's table. From the paper's totals the differences lead to "
        "the model's, in parameters and in multiply-accumulates (MACs) of one image. Where no operation differs, both networks run on "
        "the same random weights, in evaluation and in training mode. To audit a model of your own: "
        f"{code('repro audit FILE.py:NAME')}.",
        "\n".join(f"- **{verdict}**: {meaning}" for verdict, meaning in _MEANINGS.items()),
        *(part for library in libraries for part in _section(library)),
        "## Differences that have a name",
        "Of a model whose every difference makes it a variant, the verdict is `variant`; any other difference, named or not, is `wrong`.",
        table(["name", "makes it", "why"], ([text(row.name.replace("{}", "...")), row.verdict, text(row.why)] for row in USUAL)),
        remake("repro report"),
        source="reports/audits/ and repro/auditing/usual.py",
    )


def _section(library: Document) -> Iterator[str]:
    audits = library["audits"]
    counts = Counter(found["verdict"] for found in audits)
    yield f"## {text(library['library'])} {text(library['version'])}"
    yield f"{', '.join(f'{counts[verdict]} {verdict}' for verdict in _MEANINGS if counts[verdict])}."
    yield table(
        ["model", "held against", "verdict", "differences", "parameters >", "MACs >"], (row for found in audits for row in _rows(found))
    )
    yield remake(f"python -m reports.zoo {library['library']}", "repro report")


def _rows(found: Document) -> Iterator[list[str]]:
    """One row where nothing differs; else from the paper's totals over each difference to the model's."""
    head = [code(found["target"].partition(":")[2]), wording.network_link(found["network"]), f"**{found['verdict']}**"]
    if found["error"]:
        yield [*head, text(found["error"]), "", ""]
        return
    paper, own = ([wording.number(found[f"{side}{name}"]) for name in ("params", "macs")] for side in ("paper_", ""))
    if not found["differences"]:
        yield [*head, text("; ".join(found["notes"])), *own]
        return
    yield [*head, "the paper's", *paper]
    for row in found["differences"]:
        name = row["name"] or f"{row['where']}: {row['expected'] or 'nothing'} -> {row['found'] or 'nothing'}"
        yield ["", "", "", text(name), *(f"{delta:+,d}" if delta else "0" for delta in (row["params_delta"], row["macs_delta"]))]
    form = found["form"]
    same = form and form["verdict"] == "exact"
    yield ["", "", "", f"this model: exactly {wording.network_link(form['network'])}" if same else "this model", *own]
