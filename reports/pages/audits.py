"""audit.md: the AlexNets, VGGs and ResNets of public libraries against the papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reports import wording
from reports.markdown import code, document, remake, table, text

TITLE = "What libraries call AlexNet, VGG and ResNet"
ABOUT = "Models of torchvision, timm and pytorchcv against the papers: verdicts, and each difference with its cost."
_MEANINGS = {
    "exact": "the paper's network or one of its allowed readings",
    "variant": "every difference is a known one, with a usual name",
    "wrong": "another difference",
    "not-paper": "stem, stages, widths or input of no network of the papers",
    "error": "can't be built or traced",
}

Document = Mapping[str, Any]


def write_audits_page(libraries: Sequence[Document]) -> str:
    """The page; ``libraries`` are documents of ``reports/audits/``."""
    return document(
        TITLE,
        "Each model is traced and its graph aligned with that of the paper's table. The differences add up, in parameters and "
        "in multiply-accumulates (MACs), to the difference of the totals. Weights play no part.",
        "\n".join(f"- **{verdict}**: {meaning}" for verdict, meaning in _MEANINGS.items()),
        *(part for library in libraries for part in _section(library)),
        source="reports/audits/",
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
    """The model, and what each difference adds to the paper's totals."""
    network = wording.network_link(found["network"]) if found["network"] else ""
    if found["error"]:
        yield [code(found["model"]), network, f"**{found['verdict']}**", text(found["error"]), "", ""]
        return
    totals = [wording.number(found["params"]), wording.number(found["macs"])]
    yield [code(found["model"]), network, f"**{found['verdict']}**", "", *totals]
    for row in found["differences"]:
        name = text(row["name"] or f"{row['where']}: {row['expected'] or 'nothing'} -> {row['found'] or 'nothing'}")
        yield ["", "", "", name, f"{row['params_delta']:+,d}", f"{row['macs_delta']:+,d}"]
